"""The two kinds of partitioning of video assets: by prompt and by batch. Both use the same engine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypeAlias, cast

import dagster as dg

from wan_assets.engine import Outcome, VideoJob, job_of
from wan_assets.errors import NoSnapshotError
from wan_assets.orchestration.asset_names import AssetNames
from wan_assets.orchestration.metadata import video
from wan_assets.orchestration.partitions.assignment import (
    NoPartitionError,
    PartitionOf,
    assign_partitions,
    partition_key_by,
    partition_of,
)
from wan_assets.orchestration.partitions.data_versions import Lineage, RecordedVersions, record_changes, record_requests
from wan_assets.orchestration.partitions.sync import (
    PartitionChanges,
    add_partitions,
    dynamic_dimensions,
    keys_of_tables,
    sync_partitions,
    table_id_of,
)
from wan_assets.orchestration.run_context import Event, RunContext
from wan_assets.orchestration.runs.batch_run import BatchRun
from wan_assets.orchestration.runs.cost_reporting import CostReporter
from wan_assets.orchestration.runs.pilot import Pilot, Rows, RowSelector, reported
from wan_assets.orchestration.runs.prompt_run import PromptRun
from wan_assets.orchestration.runs.row_recording import RowRecorder
from wan_assets.orchestration.runs.table_snapshot import NO_REQUESTS, PartitionStatus, TableSnapshot, with_row
from wan_assets.orchestration.tables.accepted import TABLE_VERSION, TableOfRun, readable_prompts
from wan_assets.orchestration.tables.upstream import PromptsOrAsset, upstream_of
from wan_assets.prompts import (
    Chunk,
    Problem,
    PromptRow,
    Prompts,
    PromptTable,
    RowSelection,
    Snapshot,
    Summary,
    fingerprints_by_id,
    scan,
)
from wan_assets.store import VideoStore

Partitions: TypeAlias = Literal["prompt"] | dg.PartitionsDefinition[str]
"""One partition per prompt, or a definition whose partitions contain many rows."""

_RECORDED_PER_CHECK = 300
"""An event takes at least 10 ms. The next check of the table records the others."""

_RECORDED_PER_RUN = 100
"""The number of partitions in a run of a backfill by default. Events of a larger run would take more than a second."""


class VideoRun(Protocol):
    """One run over some partitions, and its events."""

    def events(
        self, outcomes: Iterator[Outcome], cost_reporter: CostReporter, row_recorder: RowRecorder, store: VideoStore
    ) -> Iterator[Event]:
        """Yields events as outcomes arrive; raises a `Failure` if rows have no video."""


class PreparedRun(NamedTuple):
    """A run with its rows read: the videos to generate, and the local files that the rows reference."""

    run: VideoRun
    jobs: Sequence[VideoJob]
    media: Mapping[str, Path]


@dataclass(frozen=True)
class Partitioning:
    """The assignment of prompts to partitions.

    `partition_of` returns the partition of a row. `digest` returns the digest of a partition's rows from the digest
    without the last row. `run` creates a run over the rows of some partitions. Without `retires_partitions`, dynamic
    partitions are only added. `read_from` is the source of a table that was read before. `pilot` are the rows that were
    left out of `partitions_def`. `rule` identifies the rule of `partition_of`; it is empty if the code of a user
    decides. If a method raises a `PromptTableError`, a `SelectionError` or a `Failure`, nothing is
    submitted.
    """

    prompts: PromptsOrAsset
    partitions_def: dg.PartitionsDefinition[str]
    partitions_per_run: int
    partition_of: PartitionOf
    digest: Callable[[str, PromptRow], str]
    retires_partitions: bool = field(default=True, kw_only=True)
    read_from: Prompts | None = field(default=None, kw_only=True)
    pilot: Pilot | None = field(default=None, kw_only=True)
    rule: str = field(default="", kw_only=True)
    run: Callable[[RunContext, Rows, Lineage], VideoRun]

    @property
    def dynamic_name(self) -> str | None:
        """The name of the dynamic partitions definition, whose keys follow the table's rows."""
        definition = self.partitions_def
        return definition.name if isinstance(definition, dg.DynamicPartitionsDefinition) else None

    @property
    def is_by_prompt(self) -> bool:
        """Whether each row is a partition, whose key is its id."""
        return self.partition_of is _id_of

    @property
    def source(self) -> Prompts:
        """The prompts, of a table that does not come from an upstream asset."""
        return cast("Prompts", self.prompts)

    @property
    def described(self) -> PromptsOrAsset:
        """The source of the prompts that Dagster shows."""
        return self.prompts if self.read_from is None else self.read_from

    def read_latest(self, instance: dg.DagsterInstance, videos: dg.AssetKey, store: VideoStore) -> TableSnapshot:
        """Reads the source of the table, or the last accepted snapshot of a table from an upstream asset."""
        return self.read(readable_prompts(self.prompts, videos, instance, store))

    def read(
        self, source: Prompts, *, part: str = "", on_chunk: Callable[[Chunk, Sequence[str]], None] = lambda _, __: None
    ) -> TableSnapshot:
        """Reads the whole table in chunks, and keeps only a digest for each partition.

        A row whose partition can never be materialized is a problem of the table. `on_chunk` receives each chunk, and
        the partitions of its rows unless each row is one.
        """
        summary, request_versions = Summary(), dict[str, str]()
        keys: Sequence[str]
        upstream = upstream_of(self.prompts)
        for read in scan(source, base_dir=upstream.base_dir if upstream else None, part=part):
            if self.is_by_prompt:
                chunk, keys = read, ()
                request_versions.update(fingerprints_by_id(chunk.rows))
            else:
                assigned = assign_partitions(read, self.partition_of)
                chunk, keys = assigned.chunk, assigned.keys
                for key, row in zip(assigned.keys, assigned.rows, strict=True):
                    request_versions[key] = self.digest(request_versions.get(key, NO_REQUESTS), row)
            summary.add(chunk)
            on_chunk(chunk, keys)
        return TableSnapshot(summary, request_versions)

    def sync(
        self, instance: dg.DagsterInstance, snapshot: TableSnapshot, kept: Collection[str] = (), **maximum: int
    ) -> PartitionChanges:
        """Synchronizes dynamic partitions with the table, up to the limits of `sync_partitions`, and retires none of
        `kept`.

        Dynamic dimensions of multi-partitions only get new keys. None is retired, because other assets may use them.
        """
        if self.dynamic_name is not None:
            return self._sync_own(instance, self.dynamic_name, snapshot, kept, **maximum)
        dimensions = dynamic_dimensions(self.partitions_def, snapshot.request_versions)
        added = [add_partitions(instance, name, keys, maximum.get("max_added")) for name, keys in dimensions]
        keys = tuple(key for changes in added for key in changes.added)
        return PartitionChanges(keys, left=sum(changes.left for changes in added))

    def _sync_own(
        self,
        instance: dg.DagsterInstance,
        name: str,
        snapshot: TableSnapshot,
        kept: Collection[str],
        **maximum: int,
    ) -> PartitionChanges:
        if not self.retires_partitions:
            maximum["max_retired"] = 0
        others = keys_of_tables(instance, name, but=table_id_of(self.prompts))
        return sync_partitions(instance, name, list(snapshot.request_versions), kept=others | set(kept), **maximum)

    def existing(self, instance: dg.DagsterInstance, changes: PartitionChanges | None = None) -> Sequence[str]:
        """Returns all existing partitions in Dagster's order, after a sync with these changes."""
        if changes is not None and changes.existing is not None:
            return changes.existing
        return self.partitions_def.get_partition_keys(dynamic_partitions_store=instance)

    def sync_and_record(
        self, run_context: RunContext, snapshot: TableSnapshot, kept: Collection[str] = ()
    ) -> PartitionStatus:
        """Synchronizes partitions with a table that was read, except those in `kept`, and records changed requests."""
        changes = self.sync(run_context.instance, snapshot, kept)
        status = self.status(run_context.instance, run_context.asset_key, snapshot)
        changed = record_changes(run_context.asset_key, status.reported, status.request_versions, run_context.log_event)
        existing = self.existing(run_context.instance, changes)
        self.record_requests(run_context.instance, run_context.asset_key, status, existing, _RECORDED_PER_CHECK)
        counts = len(changes.added), len(changes.retired), changed
        run_context.log.info("partitions: %d added, %d retired, %d changed", *counts)
        return status

    def record_requests(
        self,
        instance: dg.DagsterInstance,
        videos: dg.AssetKey,
        status: PartitionStatus,
        existing: Iterable[str],
        limit: int,
    ) -> int:
        """Records new and changed requests of existing partitions, at most `limit`; returns how many are left."""
        known = set(existing)
        versions = {key: version for key, version in status.request_versions.items() if key in known}
        return record_requests(instance, videos, versions, limit=limit, made_from=status.reported.made_from)

    def status(self, instance: dg.DagsterInstance, videos: dg.AssetKey, snapshot: TableSnapshot) -> PartitionStatus:
        """Compares a table with Dagster's events, including partitions whose rows were removed."""
        reported = RecordedVersions.of(instance, videos)
        emptied = () if self.dynamic_name else reported.made_from
        return PartitionStatus({**dict.fromkeys(emptied, NO_REQUESTS), **snapshot.request_versions}, reported)

    def begin(self, run_context: RunContext, store: VideoStore, selection: RowSelection | None = None) -> PreparedRun:
        """Reads the rows of a run's partitions, and records which requests changed.

        With a selection, only the selected rows are requested. The whole table is validated all the same.
        """
        selector = RowSelector(selection or RowSelection(), run_context.log)
        requested = run_context.run_tags.get(TABLE_VERSION)
        of_run = TableOfRun(
            self.prompts, run_context.asset_key, run_context.instance, store, run_context.log, requested
        )
        table = of_run.read(partial(self._table_of, set(run_context.keys), selector))
        rows: dict[str, list[PromptRow]] = {key: [] for key in run_context.keys}
        for row in table.rows:
            rows[self.partition_of(row)].append(row)
        request_versions = {key: reduce(self.digest, found, NO_REQUESTS) for key, found in rows.items()}
        lineage = Lineage(
            run_context.instance, run_context.asset_key, request_versions, run_context.log_event, run_context.deps
        )
        if len(rows) <= _RECORDED_PER_RUN:
            versions = {key: request_versions[key] for key, found in rows.items() if found}
            record_requests(run_context.instance, run_context.asset_key, versions, limit=len(versions), keys=versions)
        requested_rows, pilot = selector.of_run(rows) or (rows, self.pilot)
        if pilot:
            run_context = reported(pilot, run_context)
        run = self.run(run_context, requested_rows, lineage)
        return PreparedRun(run, _jobs_of(requested_rows), table.media)

    def _parts_of(self, keys: Collection[str], source: Prompts) -> Prompts:
        """Returns only the given parts of a table whose partitions are those of the videos.

        Raises `NoSnapshotError` for a partition whose rows are unknown, because it would count as complete.
        """
        if self.partition_of is not _part_of or not isinstance(source, Snapshot):
            return source
        if unknown := sorted(set(keys) - source.files.keys()):
            reason = f"the table has no snapshot of the partition {unknown[0]}: materialize that partition of it first"
            raise NoSnapshotError(reason)
        return Snapshot({key: source.files[key] for key in sorted(keys)})

    def _table_of(self, keys: Collection[str], selector: RowSelector, source: Prompts) -> PromptTable:
        """Returns the rows of some partitions.

        Raises a `Failure` if the table has problems, and `SelectionError` if it has none of the selected rows.
        """
        unplaced: list[Problem] = []
        selector.begin()

        def is_wanted(row: PromptRow) -> bool:
            selector.add(row)
            try:
                return self.partition_of(row) in keys
            except NoPartitionError as error:
                unplaced.append(error.problem)
                return False

        parts = self._parts_of(keys, source)
        if self.is_by_prompt and selector.is_whole and isinstance(parts, Snapshot):
            parts = replace(parts, prompt_ids=frozenset(keys))
        table = PromptTable.load(parts, keep=is_wanted)
        table = _valid(replace(table, problems=(*table.problems, *unplaced)))
        selector.verify(is_whole_table=parts is source)
        return table


def partitioning_of(
    names: AssetNames,
    prompts: PromptsOrAsset,
    partitions: Partitions = "prompt",
    partition_key_of: PartitionOf | None = None,
    partitions_per_run: int | None = None,
) -> Partitioning:
    """Returns the partitioning of a videos asset; raises `ValueError` if rows cannot be assigned."""
    upstream = upstream_of(prompts)
    if partitions == "prompt":
        partitioning = partitioning_by_prompt(names.partitions, prompts)
    elif upstream and upstream.partitions == partitions and partition_key_of is None:
        partitioning = replace(partitioning_by_batch(partitions, prompts, _part_of), retires_partitions=False)
    elif isinstance(partitions, dg.PartitionsDefinition):
        partitioning = partitioning_by_batch(partitions, prompts, _partition_of(partitions, partition_key_of))
        partitioning = replace(partitioning, rule="" if partition_key_of else _rule_of(partitions))
    else:
        raise ValueError(f"partitions={partitions!r} is neither 'prompt' nor a partitions definition")
    return replace(partitioning, partitions_per_run=partitions_per_run or partitioning.partitions_per_run)


def _partition_of(partitions: dg.PartitionsDefinition[str], partition_key_of: PartitionOf | None) -> PartitionOf:
    return partition_key_by(partition_key_of, partitions) if partition_key_of else partition_of(partitions)


def _rule_of(partitions: dg.PartitionsDefinition[str]) -> str:
    """Returns the definition as text, if rows depend on nothing else; empty for others."""
    is_fixed = isinstance(partitions, (dg.StaticPartitionsDefinition, dg.TimeWindowPartitionsDefinition))
    is_named = isinstance(partitions, dg.DynamicPartitionsDefinition) and partitions.name is not None
    return repr(partitions) if is_fixed or is_named else ""


def _part_of(row: PromptRow) -> str:
    """Returns the partition of the upstream asset that contains a row."""
    return row.file


def _id_of(row: PromptRow) -> str:
    return row.prompt_id


def partitioning_by_prompt(name: str, prompts: PromptsOrAsset) -> Partitioning:
    """Returns one dynamic partition per `prompt_id`; `name` is the name of the dynamic partitions."""
    return Partitioning(
        prompts=prompts,
        partitions_def=dg.DynamicPartitionsDefinition(name=name),
        partitions_per_run=100,
        partition_of=_id_of,
        digest=lambda _, row: row.fingerprint,
        rule="prompt",
        run=PromptRun,
    )


def partitioning_by_batch(
    partitions_def: dg.PartitionsDefinition[str], prompts: PromptsOrAsset, partition_of: PartitionOf
) -> Partitioning:
    """Returns partitions of many rows; the table is read in chunks, and only a run's rows are kept."""
    return Partitioning(
        prompts=prompts,
        partitions_def=partitions_def,
        partitions_per_run=1,
        partition_of=partition_of,
        digest=with_row,
        run=BatchRun,
    )


def _jobs_of(rows: Rows) -> list[VideoJob]:
    """Returns the videos to generate, higher priorities first."""
    keyed = [(key, row) for key, found in rows.items() for row in found]
    keyed.sort(key=lambda pair: -pair[1].priority)
    return [job_of(row, key) for key, row in keyed]


def _valid(table: PromptTable) -> PromptTable:
    """Returns a table without problems; raises the run's failure for any other."""
    if table.problems:
        raise video.refusal_of(table)
    return table
