"""The manifest: a Parquet file with one row for each video file, in table order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from more_itertools import chunked

from wan_assets.dataset.entries import Entries, Only
from wan_assets.dataset.manifest_columns import COLUMNS, SCHEMA
from wan_assets.ledger import DecisionValue, Ledger
from wan_assets.prompts import PromptTable
from wan_assets.store import VideoStore

_FILES_AT_ONCE = 500
_FIRST_ROWS = 20


@dataclass(frozen=True)
class Manifest:
    """A written manifest; `missing` counts rows of the table without a video, and money is in µ$.

    `left_out` counts the rows without an approved video, by reason, if the manifest has only approved videos.
    `decisions` counts the rows with a video by the decision about it.
    """

    uri: str
    bytes: int
    sha256: str
    rows: int
    missing: int
    cost_microusd: int
    unknown_cost_count: int
    is_simulated: bool
    first: tuple[Mapping[str, Any], ...]
    extra_columns: tuple[str, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    decisions: Mapping[DecisionValue, int] = field(default_factory=dict)


def write_manifest(
    name: str, table: PromptTable, *, store: VideoStore, ledger: Ledger, only: Only | None = None
) -> Manifest:
    """Writes `datasets/<name>.parquet` in the store's root; the old file is replaced atomically.

    The same table, ledger and store produce the same bytes. `only="approved"` leaves out videos that are not approved.
    """
    entries = Entries(table, store=store, ledger=ledger, only=only)
    with store.incoming(".parquet") as path:
        first = _write(path, entries)
        uri, size, sha256 = store.put_dataset(path, f"{name}.parquet")
    totals = entries.totals
    return Manifest(
        uri,
        size,
        sha256,
        rows=totals.rows,
        missing=totals.missing,
        cost_microusd=totals.cost_microusd,
        unknown_cost_count=totals.unknown_cost_count,
        is_simulated=entries.is_simulated,
        first=tuple(first),
        extra_columns=tuple(sorted(totals.extra_columns)),
        left_out=totals.left_out,
        decisions=totals.decisions,
    )


def _write(path: Path, entries: Entries) -> list[Mapping[str, Any]]:
    """Writes all entries; returns the first rows."""
    first: list[Mapping[str, Any]] = []
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for some in chunked(entries, _FILES_AT_ONCE):
            table = pa.table(
                {column.name: [column.value(entry) for entry in some] for column in COLUMNS}, schema=SCHEMA
            )
            writer.write_table(table)
            first += table.slice(0, _FIRST_ROWS - len(first)).to_pylist()
    return first
