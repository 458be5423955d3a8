"""The format `parquet`: one Parquet file per split with exact types, and the video files."""

from __future__ import annotations

from contextlib import ExitStack

import pyarrow.parquet as pq

from wan_assets.dataset import Entry
from wan_assets.export.metadata_rows import PARQUET_SCHEMA, table_of
from wan_assets.export.source_files import path_of
from wan_assets.export.splits import SPLITS, Split
from wan_assets.export.statistics import SplitEntries
from wan_assets.export.target import Target

_FILES_AT_ONCE = 500


def write_parquet(entries: SplitEntries, target: Target) -> None:
    """Writes new and changed files; videos are written before the Parquet files that refer to them."""
    with ExitStack() as stack:
        paths = {split: stack.enter_context(target.draft()) for split in SPLITS}
        writers = {
            split: stack.enter_context(pq.ParquetWriter(path, PARQUET_SCHEMA, compression="zstd"))
            for split, path in paths.items()
        }
        counts = _write(entries, target, writers)
        for split, writer in writers.items():
            writer.close()
            if counts[split]:
                target.put_draft(f"data/{split}.parquet", paths[split])


def _write(entries: SplitEntries, target: Target, writers: dict[Split, pq.ParquetWriter]) -> dict[Split, int]:
    waiting: dict[Split, list[tuple[Entry, str]]] = {split: [] for split in SPLITS}
    counts = dict.fromkeys(SPLITS, 0)
    for split, entry in entries:
        name = f"videos/{path_of(entry.video)}"
        target.put_video(name, entry.video)
        waiting[split].append((entry, name))
        counts[split] += 1
        if len(waiting[split]) == _FILES_AT_ONCE:
            writers[split].write_table(table_of(waiting[split]))
            waiting[split].clear()
    for split, rest in waiting.items():
        if rest:
            writers[split].write_table(table_of(rest))
    return counts
