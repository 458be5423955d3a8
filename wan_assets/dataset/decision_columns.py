"""The columns of the manifest about the review of a video: its take, and the decision that applies."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pyarrow as pa

from wan_assets.dataset.column import Column
from wan_assets.ledger import Decision


def _decision(name: str, type_: pa.DataType, description: str, value: Callable[[Decision], Any]) -> Column:
    return Column(name, type_, description, lambda entry: entry.decision and value(entry.decision))


_TEXT, _INT = pa.string(), pa.int32()

DECISION_COLUMNS = (
    Column("take", _INT, "Number of the take of the row that the video is, from 1.", lambda entry: entry.take),
    _decision(
        "decision",
        _TEXT,
        "Decision about the video: approved, rejected or retake; null if it is undecided.",
        lambda made: made.value.value,
    ),
    _decision("rating", _INT, "Rating of the video, 1 to 5; null without one.", lambda made: made.rating),
    _decision(
        "labels",
        _TEXT,
        "Labels of the video, as a JSON list; null without any.",
        lambda made: json.dumps(made.labels, ensure_ascii=False) if made.labels else None,
    ),
    _decision("note", _TEXT, "Note of the decision; null without one.", lambda made: made.note or None),
    _decision("reviewer", _TEXT, "Person or policy that made the decision.", lambda made: made.reviewer),
    _decision(
        "decided_at",
        pa.timestamp("us", tz="UTC"),
        "Time of the decision.",
        lambda made: datetime.fromisoformat(made.decided_at),
    ),
)
