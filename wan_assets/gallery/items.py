"""The data of one file for the page: a short record for search and sorting, and the values of its audit card."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from wan_assets.dataset import COLUMNS, Column, Entry, QualityResult
from wan_assets.models import usd
from wan_assets.prompts import EXPERIMENT, VARIANT

_NOT_IN_AUDIT = ("prompt_id", "positive_prompt", "uri", "checks")
"""Columns outside the audit card's table: the card shows row, prompt and checks, and `uri` may reveal a machine."""

MODEL_FILTER = "model"
"""The filter of models, beside those of the extra columns."""

_MAX_FILTER, _MAX_FILTERS = 80, 20
"""The longest value of an extra column that is a filter, in characters, and the number of such columns."""

_MONEY = ("cost_usd", "reserved_usd")
_ORIGIN = (
    *("task_uuid", "video_uuid", "seed", "fingerprint", "run_id", "asset", "partition"),
    *("stored_at", "generation_s", "is_simulated"),
)
AUDIT_COLUMNS = tuple(column for column in COLUMNS if column.name not in _NOT_IN_AUDIT)
"""The manifest's columns that an audit card shows; none of them contains secrets."""


@dataclass(frozen=True)
class Item:
    """One file of the gallery; `file` and `poster` are names in the folders `videos` and `posters`, or `file` is a path
    in the store.

    `paid_by` is the row that has the cost of a task shared by several rows; empty if it is this row.
    """

    entry: Entry
    quality_results: tuple[QualityResult, ...]
    file: str
    poster: str
    paid_by: str

    @property
    def failed_checks(self) -> list[str]:
        """The names of the checks that failed."""
        return [quality_result.name for quality_result in self.quality_results if not quality_result.passed]

    @property
    def size(self) -> str:
        """The measured size, such as 1280x720; empty if it is unknown."""
        width, height = self._fact("width"), self._fact("height")
        return f"{width:g}x{height:g}" if width and height else ""

    @property
    def pixels(self) -> float:
        """Width times height; 0 if the size is unknown."""
        return self._fact("width") * self._fact("height")

    @property
    def length_s(self) -> int:
        """The measured duration in whole seconds; 0 if it is unknown."""
        return round(self._fact("duration_s"))

    @property
    def extra(self) -> dict[str, str]:
        """The model, and the row's extra columns that can be filters: short values of the first columns."""
        short = ((name, value) for name, value in self.entry.dataset_row.row.extra.items() if len(value) <= _MAX_FILTER)
        return {MODEL_FILTER: self.entry.request.description.short_name, **dict(islice(short, _MAX_FILTERS))}

    @property
    def experiment(self) -> str:
        """The id that the variants of one prompt share; empty for a row without variants."""
        return self.entry.dataset_row.row.extra.get(EXPERIMENT, "")

    def record(self) -> list[Any]:
        """Returns the values in the order of `FIELDS`."""
        entry = self.entry
        return [
            entry.dataset_row.row.prompt_id,
            entry.request.prompt,
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
            self.failed_checks,
            self.paid_by,
            list(entry.video.differences),
            self.extra,
            self.experiment,
            self.entry.dataset_row.row.extra.get(VARIANT, ""),
            *entry.key[:2],
            entry.dataset_row.take,
            entry.dataset_row.is_chosen,
            [[check.check_name, check.score] for check in entry.checks if check.score is not None],
            [decision.as_json() for decision in entry.decisions],
        ]

    def audit(self) -> list[Any]:
        """Returns the values of `AUDIT_COLUMNS` as text, and the check results."""
        values = [text_of(column.value(self.entry)) for column in AUDIT_COLUMNS]
        return [
            values,
            [
                [quality_result.name, _result_of(quality_result), quality_result.message]
                for quality_result in self.quality_results
            ],
        ]

    def _fact(self, name: str) -> float:
        value = self.entry.video.facts.get(name)
        return value if isinstance(value, (int, float)) and math.isfinite(value) else 0


FIELDS = (
    *("prompt_id", "prompt", "result", "size", "pixels", "length_s", "format", "cost", "simulated", "stored_at"),
    *("file", "poster", "failed_checks", "paid_by", "differences", "extra", "experiment", "variant"),
    *("fingerprint", "sha256", "take", "chosen", "scores", "decisions"),
)


def audit_columns() -> list[Sequence[str]]:
    """Returns name, group and description of each column in `AUDIT_COLUMNS`."""
    return [(column.name, _group_of(column), column.description) for column in AUDIT_COLUMNS]


def money_text(microusd: int | None) -> str:
    """Formats an exact amount with four decimals, or six if the last two are not zero."""
    if microusd is None:
        return "unknown"
    digits = 6 if microusd % 100 else 4
    return f"{'-' if microusd < 0 else ''}${usd(abs(microusd)):,.{digits}f}"


def text_of(value: Any) -> str:
    """Formats a value for people; empty for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return f"${value:,.6f}"
    return value.isoformat(sep=" ", timespec="seconds") if isinstance(value, datetime) else str(value)


def poster_in(sidecar: str) -> bytes | None:
    """Decodes the poster of a sidecar; returns None if it is not a WebP image."""
    try:
        data = base64.b64decode(sidecar, validate=True)
    except ValueError:
        return None
    return data if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def _group_of(column: Column) -> str:
    if column.requested_from is not None:
        return "Requested"
    if column.name in _MONEY:
        return "Money"
    return "Origin" if column.name in _ORIGIN else "File"


def _result_of(quality_result: QualityResult) -> str:
    if not quality_result.passed:
        return "failed"
    return "passed" if quality_result.is_measured else "not measured"
