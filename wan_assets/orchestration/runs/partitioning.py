"""The two kinds of partitioning of video assets: by prompt and by batch. Both use the same engine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypeAlias

import dagster as dg

from wan_assets.engine import Outcome, VideoJob
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
from wan_assets.orchestration.runs.prompt_run import PromptRun
from wan_assets.prompts import Problem, PromptRow, Prompts, PromptTable, Summary, scan
from wan_assets.store import VideoStore

Partitions: TypeAlias = Literal["prompt"] | dg.PartitionsDefinition[str]
"""One partition per prompt, or a definition whose partitions contain many rows."""

Rows: TypeAlias = Mapping[str, Sequence[PromptRow]]

_RECORDED_PER_CHECK = 300
"""An event takes at least 10 ms. The next check of the table records the others."""

_RECORDED_PER_RUN = 100
"""The number of partitions in a run of a backfill by default. Events of a larger run would take more than a second."""

_NO_REQUESTS = "0" * 64
"""The digest of a batch without rows."""


class VideoRun(Protocol):
    """One run over some partitions, and its events."""

    def events(self, outcomes: Iterator[Outcome], cost_reporter: CostReporter, store: VideoStore) -> Iterator[Event]:
        """Yields events as outcomes arrive; raises a `Failure` if rows have no video."""


class PreparedRun(NamedTuple):
    """A run with its rows read: the videos to generate, and the local files that the rows reference."""

    run: VideoRun
    jobs: Sequence[VideoJob]
    media: Mapping[str, Path]


@dataclass(frozen=True)
class TableSnapshot:
    """A whole table: its summary, and a digest of the requests of each partition, in the table's order."""

    summary: Summary
    request_versions: Mapping[str, str]

    @property
    def is_valid(self) -> bool:
        """Whether rows may be submitted: a table with any problem is not submitted."""
        return not self.summary.problem_count

    @property
    def version(self) -> str:
        """A digest of all requests."""
        return hashlib.sha256(repr(sorted(self.request_versions.items())).encode()).hexdigest()


@dataclass(frozen=True)
class PartitionStatus:
    """The requests of each partition, compared with the versions in Dagster's events."""

    request_versions: Mapping[str, str]
    reported: RecordedVersions

    def needs_run(self, key: str) -> bool:
        """Whether a partition has or had rows, and lacks the videos of its current requests."""
        return key in self.request_versions and self.reported.is_outdated(key, self.request_versions[key])


@dataclass(frozen=True)
class Partitioning:
    """The assignment of prompts to partitions.

    `partition_of` returns the partition of a row. `digest` returns the digest of a partition's rows from the digest
    without the last row. `run` creates a run over the rows of some partitions. Without `retires_partitions`, dynamic
    partitions are only added. `source` is the source of the prompts, if they were read before. If a method raises a
    `PromptTableError` or a `Failure`, nothing is submitted.
    """

    prompts: Prompts
    partitions_def: dg.PartitionsDefinition[str]
    partitions_per_run: int
    partition_of: PartitionOf
    digest: Callable[[str, PromptRow], str]
    retires_partitions: bool = field(default=True, kw_only=True)
    source: Prompts | None = field(default=None, kw_only=True)
    run: Callable[[RunContext, Rows, Lineage], VideoRun]

    @property
    def dynamic_name(self) -> str | None:
        """The name of the dynamic partitions definition, whose keys follow the table's rows."""
        definition = self.partitions_def
        return definition.name if isinstance(definition, dg.DynamicPartitionsDefinition) else None

    def read(self) -> TableSnapshot:
        """Reads the whole table in chunks, and keeps only a digest for each partition.

        A row whose partition can never be materialized is a problem of the table.
        """
        summary, request_versions = Summary(), dict[str, str]()
        for read in scan(self.prompts):
            chunk, keys = assign_partitions(read, self.partition_of)
            summary.add(chunk)
            for key, row in zip(keys, chunk.rows, strict=True):
                request_versions[key] = self.digest(request_versions.get(key, _NO_REQUESTS), row)
        return TableSnapshot(summary, request_versions)

    def sync(self, instance: dg.DagsterInstance, snapshot: TableSnapshot, **maximum: int) -> PartitionChanges:
        """Synchronizes dynamic partitions with the table, up to the limits of `sync_partitions`.

        Dynamic dimensions of multi-partitions only get new keys. None is retired, because other assets may use them.
        """
        if self.dynamic_name is not None:
            return self._sync_own(instance, self.dynamic_name, snapshot, **maximum)
        dimensions = dynamic_dimensions(self.partitions_def, snapshot.request_versions)
        added = [add_partitions(instance, name, keys, maximum.get("max_added")) for name, keys in dimensions]
        keys = tuple(key for changes in added for key in changes.added)
        return PartitionChanges(keys, left=sum(changes.left for changes in added))

    def _sync_own(
        self, instance: dg.DagsterInstance, name: str, snapshot: TableSnapshot, **maximum: int
    ) -> PartitionChanges:
        if not self.retires_partitions:
            maximum["max_retired"] = 0
        others = keys_of_tables(instance, name, but=table_id_of(self.prompts))
        return sync_partitions(instance, name, list(snapshot.request_versions), kept=others, **maximum)

    def existing(self, instance: dg.DagsterInstance) -> Sequence[str]:
        """Returns all existing partitions in Dagster's order."""
        return self.partitions_def.get_partition_keys(dynamic_partitions_store=instance)

    def check(self, run_context: RunContext) -> TableSnapshot:
        """Reads the table, synchronizes its partitions, and records changed requests."""
        snapshot = self.read()
        if snapshot.is_valid:
            self.sync_and_record(run_context, snapshot)
        return snapshot

    def sync_and_record(self, run_context: RunContext, snapshot: TableSnapshot) -> PartitionStatus:
        """Synchronizes partitions with a table that was read, and records changed requests."""
        changes = self.sync(run_context.instance, snapshot)
        status = self.status(run_context.instance, run_context.asset_key, snapshot)
        log_event = run_context.log_event
        changed = record_changes(run_context.asset_key, status.reported, status.request_versions, log_event)
        self.record_requests(run_context.instance, run_context.asset_key, status, _RECORDED_PER_CHECK)
        counts = len(changes.added), len(changes.retired), changed
        run_context.log.info("partitions: %d added, %d retired, %d changed", *counts)
        return status

    def record_requests(
        self, instance: dg.DagsterInstance, videos: dg.AssetKey, status: PartitionStatus, limit: int
    ) -> int:
        """Records new and changed requests of existing partitions, at most `limit`; returns how many are left."""
        existing = set(self.existing(instance))
        versions = {key: version for key, version in status.request_versions.items() if key in existing}
        return record_requests(instance, videos, versions, limit=limit, made_from=status.reported.made_from)

    def status(self, instance: dg.DagsterInstance, videos: dg.AssetKey, snapshot: TableSnapshot) -> PartitionStatus:
        """Compares a table with Dagster's events, including partitions whose rows were removed."""
        reported = RecordedVersions.of(instance, videos)
        emptied = () if self.dynamic_name else reported.made_from
        return PartitionStatus({**dict.fromkeys(emptied, _NO_REQUESTS), **snapshot.request_versions}, reported)

    def begin(self, run_context: RunContext) -> PreparedRun:
        """Reads the rows of a run's partitions, and records which requests changed."""
        table = self._table_of(set(run_context.keys))
        rows: dict[str, list[PromptRow]] = {key: [] for key in run_context.keys}
        for row in table.rows:
            rows[self.partition_of(row)].append(row)
        request_versions = {key: reduce(self.digest, found, _NO_REQUESTS) for key, found in rows.items()}
        lineage = Lineage(
            run_context.instance, run_context.asset_key, request_versions, run_context.log_event, run_context.deps
        )
        if len(rows) <= _RECORDED_PER_RUN:
            versions = {key: request_versions[key] for key, found in rows.items() if found}
            record_requests(run_context.instance, run_context.asset_key, versions, limit=len(versions), keys=versions)
        return PreparedRun(self.run(run_context, rows, lineage), _jobs_of(rows), table.media)

    def _table_of(self, keys: Container[str]) -> PromptTable:
        """Returns the rows of some partitions; raises a `Failure` if the table has problems."""
        unplaced: list[Problem] = []

        def is_wanted(row: PromptRow) -> bool:
            try:
                return self.partition_of(row) in keys
            except NoPartitionError as error:
                unplaced.append(error.problem)
                return False

        table = PromptTable.load(self.prompts, keep=is_wanted)
        return _valid(replace(table, problems=(*table.problems, *unplaced)))


def partitioning_of(
    names: AssetNames,
    prompts: Prompts,
    partitions: Partitions = "prompt",
    partition_key_of: PartitionOf | None = None,
    partitions_per_run: int | None = None,
) -> Partitioning:
    """Returns the partitioning of a videos asset; raises `ValueError` if rows cannot be assigned."""
    if partitions == "prompt":
        partitioning = partitioning_by_prompt(names.partitions, prompts)
    elif isinstance(partitions, dg.PartitionsDefinition):
        partitioning = partitioning_by_batch(partitions, prompts, _partition_of(partitions, partition_key_of))
    else:
        raise ValueError(f"partitions={partitions!r} is neither 'prompt' nor a partitions definition")
    return replace(partitioning, partitions_per_run=partitions_per_run or partitioning.partitions_per_run)


def _partition_of(partitions: dg.PartitionsDefinition[str], partition_key_of: PartitionOf | None) -> PartitionOf:
    return partition_key_by(partition_key_of, partitions) if partition_key_of else partition_of(partitions)


def partitioning_by_prompt(name: str, prompts: Prompts) -> Partitioning:
    """Returns one dynamic partition per `prompt_id`; `name` is the name of the dynamic partitions."""
    return Partitioning(
        prompts=prompts,
        partitions_def=dg.DynamicPartitionsDefinition(name=name),
        partitions_per_run=100,
        partition_of=lambda row: row.prompt_id,
        digest=lambda _, row: row.request.fingerprint(),
        run=PromptRun,
    )


def partitioning_by_batch(
    partitions_def: dg.PartitionsDefinition[str], prompts: Prompts, partition_of: PartitionOf
) -> Partitioning:
    """Returns partitions of many rows; the table is read in chunks, and only a run's rows are kept."""
    return Partitioning(
        prompts=prompts,
        partitions_def=partitions_def,
        partitions_per_run=1,
        partition_of=partition_of,
        digest=_with_row,
        run=BatchRun,
    )


def _with_row(before: str, row: PromptRow) -> str:
    """Adds a row to a batch's digest; the order of rows has no effect."""
    added = hashlib.sha256(f"{row.prompt_id}\n{row.request.fingerprint()}".encode()).digest()
    return f"{(int(before, 16) + int.from_bytes(added)) % 2**256:064x}"


def _jobs_of(rows: Rows) -> list[VideoJob]:
    """Returns the videos to generate, higher priorities first."""
    keyed = [(key, row) for key, found in rows.items() for row in found]
    keyed.sort(key=lambda pair: -pair[1].priority)
    return [VideoJob(row.request, key, row.prompt_id) for key, row in keyed]


def _valid(table: PromptTable) -> PromptTable:
    """Returns a table without problems; raises the run's failure for any other."""
    if table.problems:
        raise video.refusal_of(table)
    return table
