"""What the page is told of one file: a short record to search and sort by, and all that is known for its audit card."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from wan_assets.dataset import COLUMNS, Column, Entry, QualityResult
from wan_assets.models import usd

_SHOWN_APART = ("prompt_id", "positive_prompt", "uri")
"""The card's head has the row and its prompt; where the file lies tells of a machine and not of the video."""

_MONEY = ("cost_usd", "reserved_usd")
_ORIGIN = (
    *("task_uuid", "video_uuid", "seed", "fingerprint", "run_id", "asset", "partition"),
    *("stored_at", "generation_s", "is_simulated"),
)
AUDITED = tuple(column for column in COLUMNS if column.name not in _SHOWN_APART)
"""The manifest's columns that an audit card shows: they are made so that no secret is in them."""


@dataclass(frozen=True)
class Item:
    """One file of the gallery; the names of its files are within `videos` and `posters`.

    `paid_by` is the row whose file has the cost of a task that several rows share, empty where that is this one.
    """

    entry: Entry
    quality_results: tuple[QualityResult, ...]
    file: str
    poster: str
    paid_by: str

    @property
    def flaws(self) -> list[str]:
        """The names of the checks that failed."""
        return [quality_result.name for quality_result in self.quality_results if not quality_result.passed]

    @property
    def size(self) -> str:
        """Width and height found, such as 1280x720; empty where they are not known."""
        width, height = self._fact("width"), self._fact("height")
        return f"{width:g}x{height:g}" if width and height else ""

    @property
    def pixels(self) -> float:
        """Width times height, 0 where they are not known."""
        return self._fact("width") * self._fact("height")

    @property
    def length_s(self) -> int:
        """The length found, in whole seconds; 0 where it is not known."""
        return round(self._fact("duration_s"))

    def record(self) -> list[Any]:
        """Values in the order of `FIELDS`."""
        entry = self.entry
        return [
            entry.dataset_row.row.prompt_id,
            entry.request.positive_prompt,
            entry.number if entry.request.number_results > 1 else 0,
            self.size,
            self.pixels,
            self.length_s,
            entry.request.output_format,
            entry.cost_microusd,
            entry.stored.is_simulated,
            entry.stored.stored_at,
            self.file,
            self.poster,
            self.flaws,
            self.paid_by,
            list(entry.video.differences),
        ]

    def audit(self) -> list[Any]:
        """The values of `AUDITED` as texts, and the verdicts."""
        values = [text_of(column.value(self.entry)) for column in AUDITED]
        return [
            values,
            [
                [quality_result.name, _result_of(quality_result), quality_result.said]
                for quality_result in self.quality_results
            ],
        ]

    def _fact(self, name: str) -> float:
        value = self.entry.video.facts.get(name)
        return value if isinstance(value, (int, float)) and math.isfinite(value) else 0


FIELDS = (
    *("prompt_id", "prompt", "result", "size", "pixels", "length_s", "format", "cost", "simulated", "stored_at"),
    *("file", "poster", "flaws", "paid_by", "differences"),
)


def columns_told() -> list[Sequence[str]]:
    """Name, group and meaning of each of `AUDITED`."""
    return [(column.name, _group_of(column), column.description) for column in AUDITED]


def money_text(microusd: int | None) -> str:
    """An exact amount: as prices have it four digits, and six where the last two are not nought."""
    if microusd is None:
        return "unknown"
    digits = 6 if microusd % 100 else 4
    return f"{'-' if microusd < 0 else ''}${usd(abs(microusd)):,.{digits}f}"


def text_of(value: Any) -> str:
    """A value as a person reads it; empty for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return f"${value:,.6f}"
    return value.isoformat(sep=" ", timespec="seconds") if isinstance(value, datetime) else str(value)


def poster_in(sidecar: str) -> bytes | None:
    """The picture that a sidecar holds, or None where it holds none."""
    try:
        data = base64.b64decode(sidecar, validate=True)
    except ValueError:
        return None
    return data if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def _group_of(column: Column) -> str:
    if column.asked is not None:
        return "Requested"
    if column.name in _MONEY:
        return "Money"
    return "Origin" if column.name in _ORIGIN else "File"


def _result_of(quality_result: QualityResult) -> str:
    if not quality_result.passed:
        return "failed"
    return "passed" if quality_result.is_measured else "not measured"
