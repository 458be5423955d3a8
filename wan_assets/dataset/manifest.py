"""The manifest: a Parquet file with one row for each video file, in the table's order, written in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wan_assets.dataset.columns import COLUMNS, SCHEMA
from wan_assets.dataset.entries import Entry, entries_of
from wan_assets.dataset.subjects import Subject, is_all_simulated, subjects_of
from wan_assets.ledger import Ledger
from wan_assets.prompts import PromptTable
from wan_assets.slices import slices_of
from wan_assets.store import VideoStore

_FILES_AT_ONCE = 500
_FIRST_ROWS = 20


@dataclass(frozen=True)
class Manifest:
    """What was written, and what it holds; `missing` counts rows of the table without a video, money is in µ$."""

    uri: str
    bytes: int
    sha256: str
    rows: int
    missing: int
    cost_microusd: int
    cost_unknown: int
    is_simulated: bool
    first: tuple[Mapping[str, Any], ...]
    carried: tuple[str, ...]


@dataclass
class _Tally:
    """What has been written so far."""

    rows: int = 0
    missing: int = 0
    cost_microusd: int = 0
    cost_unknown: int = 0
    first: list[Mapping[str, Any]] = field(default_factory=list)
    carried: set[str] = field(default_factory=set)


def write_manifest(name: str, table: PromptTable, *, store: VideoStore, ledger: Ledger) -> Manifest:
    """Writes `datasets/<name>.parquet` in the store's root; readers see the old file until the new one is whole.

    The same table, ledger and store give the same bytes. The simulator's videos count only where no row has a real
    task. Of videos and ledger, what 500 rows need is held at once.
    """
    is_simulated = is_all_simulated(table.rows, ledger)
    tally = _Tally()
    entries = entries_of(_counted(subjects_of(table.rows, store, ledger, simulated=is_simulated), tally))
    with store.incoming(".parquet") as path:
        _write(path, entries, tally)
        uri, size, sha256 = store.put_dataset(path, f"{name}.parquet")
    return Manifest(
        uri,
        size,
        sha256,
        rows=tally.rows,
        missing=tally.missing,
        cost_microusd=tally.cost_microusd,
        cost_unknown=tally.cost_unknown,
        is_simulated=is_simulated,
        first=tuple(tally.first),
        carried=tuple(sorted(tally.carried)),
    )


def _counted(subjects: Iterable[Subject], tally: _Tally) -> Iterator[Subject]:
    for subject in subjects:
        tally.carried.update(subject.row.extra)
        tally.missing += subject.stored is None
        yield subject


def _write(path: Path, entries: Iterator[Entry], tally: _Tally) -> None:
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for some in slices_of(entries, _FILES_AT_ONCE):
            table = pa.table(
                {column.name: [column.value(entry) for entry in some] for column in COLUMNS}, schema=SCHEMA
            )
            writer.write_table(table)
            tally.rows += len(some)
            tally.cost_microusd += sum(entry.cost_microusd or 0 for entry in some)
            tally.cost_unknown += sum(entry.cost_microusd is None for entry in some)
            tally.first += table.slice(0, _FIRST_ROWS - len(tally.first)).to_pylist()
