"""Writes a table of texts, counts and amounts as Parquet with exact decimals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from wan_assets.cli.table_files import FileColumn, Kind
from wan_assets.models import usd

_TYPES: Mapping[Kind, pa.DataType] = {
    "text": pa.string(),
    "count": pa.int64(),
    "usd": pa.decimal128(18, 6),
    "microusd": pa.int64(),
    "share": pa.float64(),
}


def write_parquet(path: Path, columns: Sequence[FileColumn]) -> None:
    """Writes all columns to one file."""
    arrays = {column.name: _array(column) for column in columns}
    pq.write_table(pa.table(arrays), path, compression="zstd")


def _array(column: FileColumn) -> pa.Array:
    if column.kind == "usd":
        return pa.array([None if each is None else usd(each) for each in column.values], _TYPES["usd"])
    return pa.array(column.values, _TYPES[column.kind])
