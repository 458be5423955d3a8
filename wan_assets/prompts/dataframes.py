"""Records from DataFrames and Parquet files, in batches; the only module here that imports pandas and pyarrow."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from wan_assets.errors import PromptTableError
from wan_assets.prompts import hf_datasets
from wan_assets.prompts.plain_values import plain_cell
from wan_assets.prompts.records import MalformedRecord, Piece, Record, RecordBatch, unreadable
from wan_assets.prompts.snapshot import MARKER
from wan_assets.prompts.table_file import TableFile

_NOT_IN_PYTHON = (OverflowError, ValueError, LookupError)
"""Errors for values that Arrow supports and Python does not, such as a date in the year 12000."""

_UNNAMED_INDEX = re.compile(r"__index_level_\d+__")
_BINARY = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
_FIRST_YEAR, _LAST_YEAR = 1, 9999


@dataclass(frozen=True)
class _Unreadable:
    """A value that Python cannot represent, as text if possible, and the rule that it breaks."""

    text: str
    rule: str
    fix: str


def records_of_frame(frame: Any, batch_rows: int) -> Iterator[Piece]:
    """Yields the rows of a DataFrame, a dataset or an Arrow table; an index without a name is left out."""
    if isinstance(frame, pd.DataFrame):
        yield from _records_of_pandas(frame, batch_rows)
        return
    indexes = _Indexes.of(frame.schema, frame.num_rows) if isinstance(frame, pa.Table) else None
    start = 0
    for batch in _batches_of(frame, batch_rows):
        yield from _records_of_batch(batch, indexes or _Indexes.of(batch.schema, None), start)
        start += batch.num_rows


def _records_of_pandas(frame: pd.DataFrame, batch_rows: int) -> Iterator[Piece]:
    names = tuple(map(str, frame.columns))
    levels = [at for at, name in enumerate(frame.index.names) if name is not None and str(name) not in names]
    named = tuple(str(frame.index.names[at]) for at in levels)
    for start in range(0, len(frame), batch_rows):
        batch = frame.iloc[start : start + batch_rows]
        indexes = [_items_of(batch.index.get_level_values(at).to_series()) for at in levels]
        yield from _records((*named, *names), [*indexes, *(_items_of(batch.iloc[:, at]) for at in range(len(names)))])


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


def _records_of_batch(batch: pa.RecordBatch, indexes: _Indexes, start: int) -> Iterator[Piece]:
    """Yields the rows of a batch, whose first row is row `start` of its table."""
    kept = batch.drop_columns(indexes.unnamed)
    names = (*(name for name, _ in indexes.ranges), *kept.schema.names)
    ranges = [list(values[start : start + kept.num_rows]) for _, values in indexes.ranges]
    return _records(names, [*ranges, *(_values_of(column) for column in kept.columns)])


def records_of_parquet(table: TableFile, batch_rows: int) -> Iterator[Piece]:
    """Yields the rows of a Parquet file, one batch of a row group at a time."""
    try:
        with pq.ParquetFile(table.path) as file:
            _refuse_snapshot(table, file.schema_arrow)
            indexes, start = _Indexes.of(file.schema_arrow, file.metadata.num_rows), 0
            _refuse_unknown_zones(table, file.schema_arrow)
            for batch in file.iter_batches(batch_size=batch_rows):
                yield from _records_of_batch(batch, indexes, start)
                start += batch.num_rows
    except UnicodeDecodeError as error:
        raise unreadable(table, f"contains text that is not UTF-8: {error}; write the file again") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(table, f"is not a complete Parquet file: {error}; write the file again") from error


def _refuse_snapshot(table: TableFile, schema: pa.Schema) -> None:
    """Refuses a snapshot that is read as a table, because its parameters are in one column and would be left out."""
    if MARKER in (schema.metadata or {}):
        fix = "read it alone by its path, or by a URL whose server can send parts of a file"
        raise unreadable(table, f"is a snapshot of an accepted table, and is read here as a part of a table; {fix}")


@dataclass(frozen=True)
class _Indexes:
    """The indexes that pandas wrote: columns of those without a name, and named ranges, of which no column exists."""

    unnamed: list[str]
    ranges: list[tuple[str, range]]

    @classmethod
    def of(cls, schema: pa.Schema, row_count: int | None) -> Self:
        """Reads the metadata of pandas; a range of another length is that of a table of which these rows are a part."""
        found = (schema.pandas_metadata or {}).get("index_columns", ())
        unnamed = [name for name in found if isinstance(name, str) and _UNNAMED_INDEX.fullmatch(name)]
        named = [each for each in found if isinstance(each, dict) and each.get("kind") == "range" and each.get("name")]
        ranges = [(str(each["name"]), range(each["start"], each["stop"], each["step"])) for each in named]
        whole = [(name, values) for name, values in ranges if len(values) == row_count and name not in schema.names]
        return cls(unnamed, whole)


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
    return list(map(plain_cell, values)) if any(is_kind(kind) for is_kind in _BINARY) else values


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
    return plain_cell(value)
