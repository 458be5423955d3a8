"""The summary of a prompt table: counts, problems and prices, computed chunk by chunk with bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Self

from wan_assets.models import VideoRequest, list_price_microusd, reservation_microusd
from wan_assets.prompts.column_types import ColumnTypes
from wan_assets.prompts.column_use import ColumnUse
from wan_assets.prompts.findings import Findings
from wan_assets.prompts.prompt_row import PromptRow
from wan_assets.prompts.row_batch import RowBatch, parts_of
from wan_assets.prompts.table import Chunk

_FIRST_ROWS = 20
_KEPT_BYTES = 16
"""A part of each fingerprint that identifies a request among all those of a table."""


@dataclass
class Summary:
    """Counts, problems and prices of the chunks added so far.

    Equal requests are priced once. Prices are in µ$ and ignore stored videos. `kinds` counts videos by input (text or
    image), resolution and duration. `findings` are the problems by kind. `columns` tells how the columns are used,
    and `first` are the first valid rows.
    """

    rows: int = 0
    valid: int = 0
    findings: Findings = field(default_factory=Findings)
    columns: ColumnUse = field(default_factory=ColumnUse)
    fingerprints: set[bytes] = field(default_factory=set)
    kinds: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    price_microusd: int = 0
    reserved_microusd: int = 0
    first: list[PromptRow] = field(default_factory=list)
    _types: ColumnTypes = field(default_factory=ColumnTypes)

    @property
    def problem_count(self) -> int:
        """The number of all problems."""
        return self.findings.count

    @property
    def types(self) -> Mapping[str, str]:
        """The types by name of the first 1,000 columns that valid rows use."""
        return self._types.by_name

    @classmethod
    def of(cls, chunks: Iterable[Chunk]) -> Self:
        """Summarizes all chunks of a table."""
        summary = cls()
        for chunk in chunks:
            summary.add(chunk)
        return summary

    def add(self, chunk: Chunk) -> None:
        """Adds the rows of the next chunk."""
        self.rows += chunk.row_count
        self.valid += len(chunk.rows)
        self.findings.add(chunk.problems)
        self.columns |= chunk.columns
        self.first += islice(chunk.rows, _FIRST_ROWS - len(self.first))
        for part in parts_of(chunk.rows):
            self._types.add(part)
            if isinstance(part, RowBatch):
                self._add_batch(part)
            else:
                self._add_rows(part)

    def _add_rows(self, rows: Iterable[PromptRow]) -> None:
        for row in rows:
            fingerprint = bytes.fromhex(row.fingerprint)[:_KEPT_BYTES]
            if fingerprint not in self.fingerprints:
                self.fingerprints.add(fingerprint)
                self._add_priced(_Priced.of(row.request), 1)

    def _add_batch(self, batch: RowBatch) -> None:
        """Adds rows in columns: the requests that are new, counted by template."""
        fingerprints = [fingerprint[:_KEPT_BYTES] for fingerprint in batch.fingerprints]
        by_fingerprint = dict(zip(fingerprints, batch.templates, strict=True))
        for known in self.fingerprints & by_fingerprint.keys():
            del by_fingerprint[known]
        self.fingerprints |= by_fingerprint.keys()
        for template, count in Counter(by_fingerprint.values()).items():
            self._add_priced(_Priced.of(template.example), count)

    def _add_priced(self, priced: _Priced, count: int) -> None:
        self.kinds[priced.kind] += count * priced.videos
        self.price_microusd += count * priced.price_microusd
        self.reserved_microusd += count * priced.reserved_microusd


@dataclass(frozen=True, slots=True)
class _Priced:
    """What requests of one template have in common; prices are in µ$."""

    kind: tuple[str, str, int]
    videos: int
    price_microusd: int
    reserved_microusd: int

    @classmethod
    def of(cls, request: VideoRequest) -> Self:
        kind = "image-to-video" if request.image else "text-to-video"
        price, reserved = list_price_microusd(request), reservation_microusd(request)
        return cls((kind, request.tier or "as the image", request.duration), request.number_results, price, reserved)
