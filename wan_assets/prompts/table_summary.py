"""The summary of a prompt table: counts, problems and prices, computed chunk by chunk with bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from wan_assets.models import VideoRequest, list_price_microusd, reservation_microusd
from wan_assets.prompts.column_use import NAMES_KEPT, ColumnUse
from wan_assets.prompts.columns import CAMPAIGN
from wan_assets.prompts.findings import Findings
from wan_assets.prompts.price_list import PriceList
from wan_assets.prompts.rows import NOT_COLUMNS, PromptRow
from wan_assets.prompts.table import Chunk

_FIRST_ROWS = 20
_GROUPS = {"inputs", "provider_settings", "safety"}
_TYPES = {bool: "bool", int: "int", float: "float"}


@dataclass
class Summary:
    """Counts, problems and prices of the chunks added so far.

    Equal requests are priced once. Prices are in µ$ and ignore stored videos. `kinds` counts videos by input (text or
    image), resolution and duration; `prices` has the prices by kind and campaign. `findings` are the problems by kind.
    `columns` tells how the columns are used, `types` are the types by name of the first 1,000 columns that valid rows
    use, and `first` are the first valid rows.
    """

    rows: int = 0
    valid: int = 0
    findings: Findings = field(default_factory=Findings)
    columns: ColumnUse = field(default_factory=ColumnUse)
    fingerprints: set[bytes] = field(default_factory=set)
    kinds: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    price_microusd: int = 0
    reserved_microusd: int = 0
    prices: PriceList = field(default_factory=PriceList)
    types: dict[str, str] = field(default_factory=lambda: {"prompt_id": "string"})
    first: list[PromptRow] = field(default_factory=list)

    @property
    def problem_count(self) -> int:
        """The number of all problems."""
        return self.findings.count

    @classmethod
    def of(cls, chunks: Iterable[Chunk], prices: PriceList | None = None) -> Self:
        """Summarizes all chunks of a table; `prices` knows the requests that are paid already."""
        summary = cls(prices=prices or PriceList())
        for chunk in chunks:
            summary.add(chunk)
        return summary

    def add(self, chunk: Chunk) -> None:
        """Adds the rows of the next chunk."""
        self.rows += chunk.row_count
        self.valid += len(chunk.rows)
        self.findings.add(chunk.problems)
        self.columns |= chunk.columns
        self.first += chunk.rows[: _FIRST_ROWS - len(self.first)]
        for row in chunk.rows:
            self._add_request(row.request, row.extra.get(CAMPAIGN))
            self._add_columns(row)

    def _add_columns(self, row: PromptRow) -> None:
        if len(self.types) >= NAMES_KEPT:
            return
        given = row.request.model_fields_set - NOT_COLUMNS
        if given & _GROUPS or not given | row.extra.keys() <= self.types.keys():
            for name, value in row.cells().items():
                self.types.setdefault(name, _TYPES.get(type(value), "string"))

    def _add_request(self, request: VideoRequest, campaign: str | None) -> None:
        fingerprint = bytes.fromhex(request.fingerprint())[:16]
        if fingerprint not in self.fingerprints:
            self.fingerprints.add(fingerprint)
            self.prices.add(request, campaign, new=fingerprint not in self.prices.paid)
            kind = "image-to-video" if request.image else "text-to-video"
            self.kinds[kind, request.tier or "as the image", request.duration] += request.number_results
            self.price_microusd += list_price_microusd(request)
            self.reserved_microusd += reservation_microusd(request)
