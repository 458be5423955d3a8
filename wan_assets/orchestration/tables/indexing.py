"""Reading of a table with the index of the table that was accepted before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from wan_assets.errors import WanAssetsError
from wan_assets.orchestration.partitions.assignment import assign_partitions
from wan_assets.orchestration.runs.partitioning import Partitioning
from wan_assets.orchestration.runs.table_snapshot import NO_REQUESTS, TableSnapshot, with_content
from wan_assets.orchestration.tables.upstream import upstream_of
from wan_assets.prompts import (
    SMALLEST_BYTES,
    ChangedTable,
    Chunk,
    IndexedFile,
    IndexedReading,
    IndexUnusableError,
    Prompts,
    Summary,
    TableIndex,
    changed_table,
    snapshot_writer,
)
from wan_assets.store import VideoStore


@dataclass(frozen=True)
class ReadTable:
    """A table that was read and written to a snapshot; `first_secret` is that of the writer."""

    snapshot: TableSnapshot
    first_secret: str
    index: TableIndex | None


@dataclass(frozen=True)
class IndexedReader:
    """Reads a table, and writes its rows to a snapshot; `asset` is the key of the table's asset.

    A table of fewer bytes than `smallest_bytes` has no index.
    """

    partitioning: Partitioning
    store: VideoStore
    asset: Sequence[str]
    smallest_bytes: int = SMALLEST_BYTES

    def read(self, source: Prompts, path: Path, part: str = "") -> ReadTable:
        """Reads the changed rows of a table with an index, or all rows; `path` is the file of the snapshot."""
        file = None if part else self._indexed(source)
        if file is None:
            return self._read_whole(source, path, part, None)
        known = TableIndex.load(self.store.table_index(self.asset))
        if known is not None:
            with suppress(IndexUnusableError):
                return self._read_changes(file, known, path)
        return self._read_whole(source, path, part, IndexedReading(file))

    def save(self, index: TableIndex, version: str) -> None:
        """Stores the index of the table with this snapshot. If that fails, the next table is read in full."""
        with suppress(WanAssetsError), self.store.incoming(".arrow") as path:
            replace(index, version=version).save(path)
            self.store.put_table_index(path, self.asset)

    def versions(self, source: Prompts, version: str) -> Mapping[str, str] | None:
        """Returns the request versions of an accepted table from its index; None if they are unknown."""
        file = self._indexed(source)
        known = TableIndex.load(self.store.table_index(self.asset)) if file else None
        is_known = file is not None and known is not None and (known.key, known.version) == (file.key, version)
        return known.versions() if known is not None and is_known else None

    def _indexed(self, source: Prompts) -> IndexedFile | None:
        rule = "" if upstream_of(self.partitioning.prompts) else self.partitioning.rule
        return IndexedFile.of(source, rule, self.smallest_bytes) if rule else None

    def _read_whole(self, source: Prompts, path: Path, part: str, reading: IndexedReading | None) -> ReadTable:
        with snapshot_writer(path) as writer:

            def add(chunk: Chunk, keys: Sequence[str]) -> None:
                writer.add(chunk)
                if reading is not None:
                    reading.add(chunk, keys)

            snapshot = self.partitioning.read(source, part=part, on_chunk=add)
        index = reading.index() if reading is not None and snapshot.is_valid else None
        if index is not None and not self.partitioning.is_by_prompt:
            index = replace(index, request_versions=snapshot.request_versions)
        return ReadTable(snapshot, writer.first_secret, index)

    def _read_changes(self, file: IndexedFile, known: TableIndex, path: Path) -> ReadTable:
        stored = self.store.table(self.asset, known.version)
        with snapshot_writer(path) as writer:
            changed = changed_table(file, known, stored, writer, self._keys_of)
        if writer.first_secret:
            raise IndexUnusableError
        index = changed.index
        if not self.partitioning.is_by_prompt:
            index = replace(index, request_versions=_changed_versions(known, changed))
        return ReadTable(TableSnapshot(changed.summary, index.versions()), "", index)

    def _keys_of(self, chunk: Chunk) -> Sequence[str]:
        if self.partitioning.is_by_prompt:
            return ()
        assigned = assign_partitions(chunk, self.partitioning.partition_of)
        if assigned.chunk.problems:
            raise IndexUnusableError
        return assigned.keys


def accepted_snapshot(versions: Mapping[str, str]) -> TableSnapshot:
    """Returns an accepted table, which has no problems, without its summary."""
    return TableSnapshot(Summary(), versions)


def _changed_versions(known: TableIndex, changed: ChangedTable) -> dict[str, str]:
    """Returns the digest of each partition that has rows: the earlier one, without the old rows, with the new ones."""
    found = dict(known.request_versions)
    for count, parts in ((-1, changed.removed), (1, changed.added)):
        for rows in parts:
            for key, prompt_id, fingerprint in changed.index.keyed(rows):
                found[key] = with_content(found.get(key, NO_REQUESTS), prompt_id, fingerprint, count)
    return {key: found[key] for key in changed.index.used_partitions()}
