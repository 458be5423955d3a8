"""What an export says of each file: the manifest's columns, with the file's name in the place of its address.

Readers of JSON Lines guess each column's type from its first values, and `datasets` refuses splits whose guesses
differ. So a column has one type in every record, whatever the others hold: what may be missing is text, empty where it
is; amounts are text, since they are exact; and text that would pass for a moment has a space at its end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from wan_assets.dataset import COLUMNS, SCHEMA, Entry
from wan_assets.errors import ExportError

FILE_NAME = "file_name"

_COLUMNS = tuple(column for column in COLUMNS if column.name != "uri")
_ALWAYS = frozenset(
    {
        "result",
        "row",
        "requested_duration_s",
        "number_results",
        "output_quality",
        "requested_audio",
        "prompt_extend",
        "width",
        "height",
        "fps",
        "frames",
        "duration_s",
        "has_audio",
        "generation_s",
        "bytes",
        "matches_request",
        "is_simulated",
    }
)
"""Numbers and answers that every file has."""

_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d(?:[ T]\d\d(?::?\d\d(?::?\d\d(?:\.\d+)?)?)?\s*(?:Z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)
_FLOATS = frozenset(column.name for column in _COLUMNS if pa.types.is_floating(column.type))

PARQUET_SCHEMA = pa.schema(
    [
        pa.field(FILE_NAME, pa.string(), metadata={"description": "The file, as seen from the dataset's root."}),
        *(SCHEMA.field(column.name) for column in _COLUMNS),
    ]
)
"""The manifest's schema with `file_name` for `uri`."""


def json_of(entry: Entry, file_name: str) -> bytes:
    """One record as a line of JSON, without its end; raises `ExportError` where the sidecar lacks what all have."""
    record = {FILE_NAME: file_name, **{column.name: _plain(column.name, column.value(entry)) for column in _COLUMNS}}
    for name in _ALWAYS:
        if record[name] == "":
            raise ExportError(f"the sidecar of task {entry.stored.task_uuid} does not tell {name}")
    return json.dumps(record, ensure_ascii=False).encode()


def table_of(entries: Sequence[tuple[Entry, str]]) -> pa.Table:
    """Records of entries with their file names, in Arrow's own types."""
    columns = {column.name: [column.value(entry) for entry, _ in entries] for column in _COLUMNS}
    return pa.table({FILE_NAME: [name for _, name in entries], **columns}, schema=PARQUET_SCHEMA)


def described() -> list[tuple[str, str]]:
    """Each column's name and meaning."""
    return [(field.name, field.metadata[b"description"].decode()) for field in PARQUET_SCHEMA]


def _plain(name: str, value: Any) -> str | int | float | bool:
    if name in _ALWAYS and value is not None:
        plain: int | float | bool = float(value) if name in _FLOATS else value
        return plain
    if isinstance(value, str):
        return f"{value} " if _MOMENT.fullmatch(value) else value
    return _text(value)


def _text(value: float | bool | Decimal | datetime | None) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    if isinstance(value, Decimal):
        return f"{value:f}"
    return json.dumps(value)
