"""Records from DataFrames and Parquet files, in batches; the only module here that imports pandas and pyarrow."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from wan_assets.errors import PromptTableError
from wan_assets.prompts import hf_datasets
from wan_assets.prompts.records import MalformedRecord, Piece, Record, RecordBatch, unreadable
from wan_assets.prompts.snapshot import MARKER
from wan_assets.prompts.table_file import TableFile

_NOT_IN_PYTHON = (OverflowError, ValueError, LookupError)
"""Errors for values that Arrow supports and Python does not, such as a date in the year 12000."""

_UNNAMED_INDEX = re.compile(r"__index_level_\d+__")
_FIRST_YEAR, _LAST_YEAR = 1, 9999


@dataclass(frozen=True)
class _Unreadable:
    """A value that Python cannot represent, as text if possible, and the rule that it breaks."""

    text: str
    rule: str
    fix: str


def records_of_frame(frame: Any, batch_rows: int) -> Iterator[Piece]:
    """Yields the rows of a DataFrame, a dataset or an Arrow table; ignores the index of a DataFrame."""
    if isinstance(frame, pd.DataFrame):
        names = tuple(map(str, frame.columns))
        for start in range(0, len(frame), batch_rows):
            batch = frame.iloc[start : start + batch_rows]
            yield from _records(names, [_items_of(batch.iloc[:, index]) for index in range(len(names))])
        return
    for batch in _batches_of(frame, batch_rows):
        yield from _records_of_batch(batch.drop_columns(_indexes_in(batch.schema)))


def _batches_of(frame: Any, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """Yields a table with Arrow's C stream piece by piece; it need not fit in memory."""
    if hf_datasets.is_dataset(frame):
        tables = hf_datasets.batches_of(frame, batch_rows)
        yield from (batch for table in tables for batch in table.to_batches(max_chunksize=batch_rows))
    elif isinstance(frame, (ds.Dataset, ds.Scanner)):
        yield from frame.to_batches()
    elif hasattr(frame, "__arrow_c_stream__"):
        reader = _reader_of(frame)
        yield from _sliced(reader, batch_rows, is_stream=isinstance(frame, pa.RecordBatchReader))
    else:
        raise PromptTableError(f"{type(frame).__name__} is not a prompt table; pass a path, a DataFrame or a list")


def _reader_of(frame: Any) -> pa.RecordBatchReader:
    try:
        return pa.RecordBatchReader.from_stream(frame)
    except pa.ArrowInvalid:
        reason = "is a single column; pass a table in which it has a name, such as to_frame('positive_prompt')"
        raise PromptTableError(f"the {type(frame).__name__} {reason}") from None


def _sliced(reader: pa.RecordBatchReader, batch_rows: int, *, is_stream: bool) -> Iterator[pa.RecordBatch]:
    batch = None
    for batch in reader:
        for start in range(0, batch.num_rows, batch_rows):
            yield batch.slice(start, batch_rows)
    if batch is None and is_stream:
        raise PromptTableError("the RecordBatchReader has no rows left; it can be read only once: pass its read_all()")


def _records_of_batch(batch: pa.RecordBatch) -> Iterator[Piece]:
    return _records(tuple(batch.schema.names), [_values_of(column) for column in batch.columns])


def records_of_parquet(table: TableFile, batch_rows: int) -> Iterator[Piece]:
    """Yields the rows of a Parquet file, one batch of a row group at a time."""
    try:
        with pq.ParquetFile(table.path) as file:
            _refuse_snapshot(table, file.schema_arrow)
            indexes = _indexes_in(file.schema_arrow)
            names = tuple(name for name in file.schema_arrow.names if name not in indexes)
            _refuse_unknown_zones(table, file.schema_arrow)
            for whole in file.iter_batches(batch_size=batch_rows):
                batch = whole.drop_columns(indexes)
                yield from _records(names, [_values_of(column) for column in batch.columns])
    except UnicodeDecodeError as error:
        raise unreadable(table, f"contains text that is not UTF-8: {error}; write the file again") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(table, f"is not a complete Parquet file: {error}; write the file again") from error


def _refuse_snapshot(table: TableFile, schema: pa.Schema) -> None:
    """Refuses a snapshot that is read as a table, because its parameters are in one column and would be left out."""
    if MARKER in (schema.metadata or {}):
        fix = "read it alone by its path, or by a URL whose server can send parts of a file"
        raise unreadable(table, f"is a snapshot of an accepted table, and is read here as a part of a table; {fix}")


def _indexes_in(schema: pa.Schema) -> list[str]:
    """Returns the columns that pandas wrote for an index without a name; like the index of a DataFrame, no row of the
    table needs it.
    """
    indexes = (schema.pandas_metadata or {}).get("index_columns", ())
    return [name for name in indexes if isinstance(name, str) and _UNNAMED_INDEX.fullmatch(name)]


def _records(names: tuple[str, ...], columns: Sequence[list[Any]]) -> Iterator[Piece]:
    if not any(isinstance(value, _Unreadable) for column in columns for value in column):
        values = list(zip(*columns, strict=True))
        if values:
            yield RecordBatch([None] * len(values), names, values)
        return
    for row in zip(*columns, strict=True):
        index = next((index for index, value in enumerate(row) if isinstance(value, _Unreadable)), None)
        yield Record(None, names, row) if index is None else _malformed(names, index, row[index])


def _malformed(names: tuple[str, ...], index: int, value: _Unreadable) -> MalformedRecord:
    return MalformedRecord(None, value.text, f"column {names[index]} contains {value.rule}", value.fix, names)


def _refuse_unknown_zones(table: TableFile, schema: pa.Schema) -> None:
    for field in schema:
        if pa.types.is_timestamp(field.type) and field.type.tz:
            try:
                pa.scalar(0, field.type).as_py()
            except _NOT_IN_PYTHON:
                reason = f"column {field.name} has the unknown time zone {field.type.tz!r}"
                raise unreadable(table, f"cannot be read: {reason}; write its times in UTC") from None


def _values_of(column: pa.Array) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        raise
    except _NOT_IN_PYTHON:
        values = _one_by_one(len(column), lambda place: column[place].as_py(), lambda place: _text_of(column, place))
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    is_binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    return list(map(_text_in, values)) if is_binary else values


def _text_in(value: Any) -> Any:
    """Returns the text in a binary cell, or its bytes if they are none, such as those of an image.

    Other rows do not matter: a row would differ if it were read in another batch.
    """
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


def _items_of(column: pd.Series[Any]) -> list[Any]:
    try:
        return [_plain(value) for value in column.tolist()]
    except _NOT_IN_PYTHON:
        return _one_by_one(len(column), lambda place: _plain(column.iloc[place]), lambda _: f"<{column.dtype}>")


def _one_by_one(count: int, read: Callable[[int], Any], text_of: Callable[[int], str]) -> list[Any]:
    values: list[Any] = []
    for place in range(count):
        try:
            values.append(read(place))
        except LookupError:
            rule, fix = "a time in an unknown time zone", "write its times in UTC"
            values.append(_Unreadable(text_of(place), rule, fix))
        except _NOT_IN_PYTHON:
            rule, fix = "a date or a number that is out of range", "write dates between the years 1 and 9999"
            values.append(_Unreadable(text_of(place), rule, fix))
    return values


def _text_of(column: pa.Array, place: int) -> str:
    with suppress(*_NOT_IN_PYTHON, pa.ArrowException):
        return str(column.slice(place, 1).cast(pa.string())[0].as_py())
    return f"<{column.type}>"


def _plain(value: Any) -> Any:
    if isinstance(value, pd.Timestamp) and not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise OverflowError
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return None if value is pd.NA or value is pd.NaT else value
