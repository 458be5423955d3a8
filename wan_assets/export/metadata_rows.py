"""The metadata of exported files: the manifest's columns, with `file_name` instead of `uri`.

Readers of JSON Lines infer the type of a column from its first values, and `datasets` refuses splits with different
inferred types. Therefore a column has the same type in every record. Values that may be missing are text, which is
empty if the value is missing. Amounts are text, to stay exact. Text that looks like a date or time ends with a space.
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
_REQUIRED_COLUMNS = frozenset(
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
        "take",
        "is_simulated",
    }
)
"""Numeric and boolean columns that have a value for every file."""

_CHOSEN_BY_MODEL = {"requested_duration_s": 0}
"""The value of such a column if the request leaves it to the model."""

_DATE_OR_TIME = re.compile(
    r"\d{4}-\d\d-\d\d(?:[ T]\d\d(?::?\d\d(?::?\d\d(?:\.\d+)?)?)?\s*(?:Z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)
_FLOATS = frozenset(column.name for column in _COLUMNS if pa.types.is_floating(column.type))

PARQUET_SCHEMA = pa.schema(
    [
        pa.field(
            FILE_NAME, pa.string(), metadata={"description": "Path of the file, relative to the root of the dataset."}
        ),
        *(SCHEMA.field(column.name) for column in _COLUMNS),
    ]
)
"""The manifest's schema with `file_name` instead of `uri`."""


def json_of(entry: Entry, file_name: str) -> bytes:
    """Returns one record as JSON without a newline; raises `ExportError` if the sidecar lacks a required value."""
    values = {column.name: column.value(entry) for column in _COLUMNS}
    values |= {name: value for name, value in _CHOSEN_BY_MODEL.items() if values[name] is None}
    record = {FILE_NAME: file_name, **{name: _plain(name, value) for name, value in values.items()}}
    for name in _REQUIRED_COLUMNS:
        if record[name] == "":
            raise ExportError(f"the sidecar of task {entry.stored.task_uuid} has no value for {name}")
    return json.dumps(record, ensure_ascii=False).encode()


def table_of(entries: Sequence[tuple[Entry, str]]) -> pa.Table:
    """Returns the records of entries with their file names as an Arrow table."""
    columns = {column.name: [column.value(entry) for entry, _ in entries] for column in _COLUMNS}
    return pa.table({FILE_NAME: [name for _, name in entries], **columns}, schema=PARQUET_SCHEMA)


def column_descriptions() -> list[tuple[str, str]]:
    """Returns the name and description of each column."""
    return [(field.name, field.metadata[b"description"].decode()) for field in PARQUET_SCHEMA]


def _plain(name: str, value: Any) -> str | int | float | bool:
    if name in _REQUIRED_COLUMNS and value is not None:
        plain: int | float | bool = float(value) if name in _FLOATS else value
        return plain
    if isinstance(value, str):
        return f"{value} " if _DATE_OR_TIME.fullmatch(value) else value
    return _text(value)


def _text(value: float | bool | Decimal | datetime | None) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    if isinstance(value, Decimal):
        return f"{value:f}"
    return json.dumps(value)
