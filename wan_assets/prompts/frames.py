"""Frames of rows: DataFrames and Parquet files in batches; alone here in importing pandas and pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from wan_assets.errors import PromptTableError
from wan_assets.prompts.formats import Record, unreadable


def records_of_frame(frame: Any, batch_rows: int) -> Iterator[Record]:
    """Yields the rows of a DataFrame; its index is ignored."""
    if not isinstance(frame, pd.DataFrame):
        raise PromptTableError(f"{type(frame).__name__} is no prompt table; give a path or a DataFrame")
    names = tuple(map(str, frame.columns))
    for start in range(0, len(frame), batch_rows):
        batch = frame.iloc[start : start + batch_rows]
        columns = [[_plain(value) for value in batch.iloc[:, index].tolist()] for index in range(len(names))]
        yield from map(Record, repeat(None), repeat(names), zip(*columns, strict=True))


def records_of_parquet(path: Path, batch_rows: int) -> Iterator[Record]:
    """Yields the rows of a Parquet file, a batch of a row group at a time."""
    try:
        with pq.ParquetFile(path) as file:
            names = tuple(file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=batch_rows):
                columns = [_values_of(column) for column in batch.columns]
                yield from map(Record, repeat(None), repeat(names), zip(*columns, strict=True))
    except UnicodeDecodeError as error:
        raise unreadable(path, f"holds text that is not UTF-8: {error}; write it anew") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(path, f"is no whole Parquet file: {error}; write it anew") from error


def _values_of(column: pa.Array) -> list[Any]:
    is_binary = pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)
    values: list[Any] = (column.cast(pa.string()) if is_binary else column).to_pylist()
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return None if value is pd.NA or value is pd.NaT else value
