"""What a prompt table comes to: counts, problems and prices, gathered chunk by chunk in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from wan_assets.models import VideoRequest, list_price_microusd, reservation_microusd
from wan_assets.prompts.problems import Problem
from wan_assets.prompts.table import Chunk

_PROBLEMS_KEPT = 10_000


@dataclass
class Summary:
    """Grows with each chunk. Equal requests are priced once; prices in µ$, as if no video were there yet.

    `kinds` counts videos by text or image, resolution and length; `problems` are the first of `problem_count`.
    """

    rows: int = 0
    valid: int = 0
    problem_count: int = 0
    problems: list[Problem] = field(default_factory=list)
    prints: set[bytes] = field(default_factory=set)
    kinds: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    price_microusd: int = 0
    reserved_microusd: int = 0

    @classmethod
    def of(cls, chunks: Iterable[Chunk]) -> Self:
        """Gathers all chunks of a table."""
        summary = cls()
        for chunk in chunks:
            summary.add(chunk)
        return summary

    def add(self, chunk: Chunk) -> None:
        """Counts and prices the next rows."""
        self.rows += chunk.row_count
        self.valid += len(chunk.rows)
        self.problem_count += len(chunk.problems)
        self.problems += chunk.problems[: _PROBLEMS_KEPT - len(self.problems)]
        for row in chunk.rows:
            self._add_request(row.request)

    def _add_request(self, request: VideoRequest) -> None:
        fingerprint = bytes.fromhex(request.fingerprint())[:16]
        if fingerprint not in self.prints:
            self.prints.add(fingerprint)
            kind = "image-to-video" if request.image else "text-to-video"
            self.kinds[kind, request.tier or "as the image", request.duration] += request.number_results
            self.price_microusd += list_price_microusd(request)
            self.reserved_microusd += reservation_microusd(request)
