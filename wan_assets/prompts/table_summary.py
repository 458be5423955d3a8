"""The summary of a prompt table: counts, problems and prices, computed chunk by chunk with bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from wan_assets.models import VideoRequest, list_price_microusd, reservation_microusd
from wan_assets.prompts.problems import Problem
from wan_assets.prompts.rows import NOT_COLUMNS, PromptRow
from wan_assets.prompts.table import Chunk

_PROBLEMS_KEPT = 10_000
_FIRST_ROWS = 20
_GROUPS = {"inputs", "provider_settings", "safety"}
_TYPES = {bool: "bool", int: "int", float: "float"}


@dataclass
class Summary:
    """Counts, problems and prices of the chunks added so far.

    Equal requests are priced once. Prices are in µ$ and ignore stored videos. `kinds` counts videos by input (text or
    image), resolution and duration. `problems` contains the first 10,000 of `problem_count` problems. `columns` are the
    names and types of all columns that valid rows use, and `first` the first valid rows.
    """

    rows: int = 0
    valid: int = 0
    problem_count: int = 0
    problems: list[Problem] = field(default_factory=list)
    fingerprints: set[bytes] = field(default_factory=set)
    kinds: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    price_microusd: int = 0
    reserved_microusd: int = 0
    columns: dict[str, str] = field(default_factory=lambda: {"prompt_id": "string"})
    first: list[PromptRow] = field(default_factory=list)

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
        self.problem_count += len(chunk.problems)
        self.problems += chunk.problems[: _PROBLEMS_KEPT - len(self.problems)]
        self.first += chunk.rows[: _FIRST_ROWS - len(self.first)]
        for row in chunk.rows:
            self._add_request(row.request)
            self._add_columns(row)

    def _add_columns(self, row: PromptRow) -> None:
        given = row.request.model_fields_set - NOT_COLUMNS
        if given & _GROUPS or not given | row.extra.keys() <= self.columns.keys():
            for name, value in row.cells().items():
                self.columns.setdefault(name, _TYPES.get(type(value), "string"))

    def _add_request(self, request: VideoRequest) -> None:
        fingerprint = bytes.fromhex(request.fingerprint())[:16]
        if fingerprint not in self.fingerprints:
            self.fingerprints.add(fingerprint)
            kind = "image-to-video" if request.image else "text-to-video"
            self.kinds[kind, request.tier or "as the image", request.duration] += request.number_results
            self.price_microusd += list_price_microusd(request)
            self.reserved_microusd += reservation_microusd(request)
