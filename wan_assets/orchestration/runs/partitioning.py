"""The two grains of video assets: a partition per prompt, or per batch of prompts. One engine serves both."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypeAlias

import dagster as dg

from wan_assets.engine import Outcome, VideoJob
from wan_assets.orchestration.metadata import video
from wan_assets.orchestration.partitions.assignment import (
    NoPartitionError,
    PartitionOf,
    partition_key_by,
    partition_of,
    placed,
)
from wan_assets.orchestration.partitions.data_versions import Lineage, RecordedVersions, note_changes
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
"""A partition per prompt, or any definition whose partitions hold many rows."""

Rows: TypeAlias = Mapping[str, Sequence[PromptRow]]

_NOTHING = "0" * 64
"""What a batch without rows asks for."""


class VideoRun(Protocol):
    """One run over some partitions, and what it tells of it."""

    def events(self, outcomes: Iterator[Outcome], cost_reporter: CostReporter, store: VideoStore) -> Iterator[Event]:
        """Yields events as outcomes come; ends in a `Failure` where rows have no video."""


class PreparedRun(NamedTuple):
    """A run that has read its rows: what they ask for, and the local files that they name."""

    run: VideoRun
    jobs: Sequence[VideoJob]
    media: Mapping[str, Path]


@dataclass(frozen=True)
class TableSnapshot:
    """A whole table: what it comes to, and a digest of what each partition's rows ask for, in the table's order."""

    summary: Summary
    asks_for: Mapping[str, str]

    @property
    def is_sound(self) -> bool:
        """Whether rows may be sent: while any has a problem, none may."""
        return not self.summary.problem_count

    @property
    def version(self) -> str:
        """A digest of what all rows ask for."""
        return hashlib.sha256(repr(sorted(self.asks_for.items())).encode()).hexdigest()


@dataclass(frozen=True)
class PartitionStatus:
    """What each partition asks for, held against what Dagster's events tell of it."""

    asks_for: Mapping[str, str]
    reported: RecordedVersions

    def wants_run(self, key: str) -> bool:
        """Whether a partition has rows, or had some, and lacks what they ask for now."""
        return key in self.asks_for and self.reported.is_wanting(key, self.asks_for[key])


@dataclass(frozen=True)
class Partitioning:
    """How prompts are cut into partitions.

    `partition_of` tells the partition of a row; `digest` that of a partition's rows, given what it is without the last;
    `run` makes a run over the rows of some partitions. Without `retires_partitions` dynamic ones are only added.
    A `PromptTableError` or a `Failure` of any method sends nothing.
    """

    prompts: Prompts
    partitions_def: dg.PartitionsDefinition[str]
    partitions_per_run: int
    partition_of: PartitionOf
    digest: Callable[[str, PromptRow], str]
    retires_partitions: bool = field(default=True, kw_only=True)
    run: Callable[[RunContext, Rows, Lineage], VideoRun]

    @property
    def dynamic_name(self) -> str | None:
        """The name of the partitions that come and go with the table's rows."""
        cut = self.partitions_def
        return cut.name if isinstance(cut, dg.DynamicPartitionsDefinition) else None

    def read(self) -> TableSnapshot:
        """Reads the whole table in pieces; of its rows only a digest for each partition is held.

        A row that no run can ever make is a problem of the table.
        """
        summary, asks_for = Summary(), dict[str, str]()
        for read in scan(self.prompts):
            chunk, keys = placed(read, self.partition_of)
            summary.add(chunk)
            for key, row in zip(keys, chunk.rows, strict=True):
                asks_for[key] = self.digest(asks_for.get(key, _NOTHING), row)
        return TableSnapshot(summary, asks_for)

    def sync(self, instance: dg.DagsterInstance, reading: TableSnapshot, **maximum: int) -> PartitionChanges:
        """Makes dynamic partitions those of the table, or as `sync_partitions` is told by `most_…`.

        To dynamic dimensions of multi-partitions keys are added. None is retired there, since others may use them.
        """
        if self.dynamic_name is not None:
            return self._sync_own(instance, self.dynamic_name, reading, **maximum)
        dimensions = dynamic_dimensions(self.partitions_def, reading.asks_for)
        added = [add_partitions(instance, name, keys, maximum.get("most_added")) for name, keys in dimensions]
        keys = tuple(key for changes in added for key in changes.added)
        return PartitionChanges(keys, left=sum(changes.left for changes in added))

    def _sync_own(
        self, instance: dg.DagsterInstance, name: str, reading: TableSnapshot, **maximum: int
    ) -> PartitionChanges:
        if not self.retires_partitions:
            maximum["most_retired"] = 0
        others = keys_of_tables(instance, name, but=table_id_of(self.prompts))
        return sync_partitions(instance, name, list(reading.asks_for), kept=others, **maximum)

    def present(self, instance: dg.DagsterInstance) -> Sequence[str]:
        """All partitions that there are by now, in Dagster's order."""
        return self.partitions_def.get_partition_keys(dynamic_partitions_store=instance)

    def check(self, run_context: RunContext) -> TableSnapshot:
        """Reads the table, keeps its partitions in step, and tells what has changed."""
        reading = self.read()
        if reading.is_sound:
            self.keep_in_step(run_context, reading)
        return reading

    def keep_in_step(self, run_context: RunContext, reading: TableSnapshot) -> PartitionStatus:
        """Brings partitions in step with a table that was read, and tells what has changed."""
        changes = self.sync(run_context.instance, reading)
        standing = self.standing(run_context.instance, run_context.asset_key, reading)
        changed = note_changes(run_context.asset_key, standing.reported, standing.asks_for, run_context.log_event)
        counts = len(changes.added), len(changes.retired), changed
        run_context.log.info("%d partitions added, %d retired, %d ask for something else than before", *counts)
        return standing

    def standing(self, instance: dg.DagsterInstance, videos: dg.AssetKey, reading: TableSnapshot) -> PartitionStatus:
        """Holds a table against Dagster's events, also of partitions that had rows once and stay where they are."""
        reported = RecordedVersions.of(instance, videos)
        emptied = () if self.dynamic_name else reported.made_from
        return PartitionStatus({**dict.fromkeys(emptied, _NOTHING), **reading.asks_for}, reported)

    def begin(self, run_context: RunContext) -> PreparedRun:
        """Reads the rows of a run's partitions, and tells which of them ask for something else than before."""
        table = self._table_of(set(run_context.keys))
        rows: dict[str, list[PromptRow]] = {key: [] for key in run_context.keys}
        for row in table.rows:
            rows[self.partition_of(row)].append(row)
        asks_for = {key: reduce(self.digest, found, _NOTHING) for key, found in rows.items()}
        lineage = Lineage(run_context.instance, run_context.asset_key, asks_for, run_context.log_event)
        return PreparedRun(self.run(run_context, rows, lineage), _orders_of(rows), table.media)

    def _table_of(self, keys: Container[str]) -> PromptTable:
        """The rows of some partitions, out of a table without any problem."""
        unplaced: list[Problem] = []

        def is_wanted(row: PromptRow) -> bool:
            try:
                return self.partition_of(row) in keys
            except NoPartitionError as error:
                unplaced.append(error.problem)
                return False

        table = PromptTable.load(self.prompts, keep=is_wanted)
        return _sound(replace(table, problems=(*table.problems, *unplaced)))


def partitioning_of(
    name: str,
    prompts: Prompts,
    partitions: Partitions = "prompt",
    partition_key_of: PartitionOf | None = None,
    partitions_per_run: int | None = None,
) -> Partitioning:
    """The grain of the videos' asset `name`; raises `ValueError` where rows cannot be told apart."""
    if partitions == "prompt":
        partitioning = partitioning_by_prompt(name, prompts)
    elif isinstance(partitions, dg.PartitionsDefinition):
        partitioning = partitioning_by_batch(partitions, prompts, _partition_of(partitions, partition_key_of))
    else:
        raise ValueError(f"partitions={partitions!r} is neither 'prompt' nor a partitions definition")
    return replace(partitioning, partitions_per_run=partitions_per_run or partitioning.partitions_per_run)


def _partition_of(partitions: dg.PartitionsDefinition[str], partition_key_of: PartitionOf | None) -> PartitionOf:
    return partition_key_by(partition_key_of, partitions) if partition_key_of else partition_of(partitions)


def partitioning_by_prompt(name: str, prompts: Prompts) -> Partitioning:
    """One dynamic partition per `prompt_id`."""
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
    """Many rows in each partition; the table is read in pieces, and only the rows of a run are held."""
    return Partitioning(
        prompts=prompts,
        partitions_def=partitions_def,
        partitions_per_run=1,
        partition_of=partition_of,
        digest=_with_row,
        run=BatchRun,
    )


def _with_row(before: str, row: PromptRow) -> str:
    """A digest of a batch with one more row, the same in whatever order they come."""
    added = hashlib.sha256(f"{row.prompt_id}\n{row.request.fingerprint()}".encode()).digest()
    return f"{(int(before, 16) + int.from_bytes(added)) % 2**256:064x}"


def _orders_of(rows: Rows) -> list[VideoJob]:
    """What rows ask for, those of a higher priority first."""
    keyed = [(key, row) for key, found in rows.items() for row in found]
    keyed.sort(key=lambda pair: -pair[1].priority)
    return [VideoJob(row.request, key, row.prompt_id) for key, row in keyed]


def _sound(table: PromptTable) -> PromptTable:
    """The table, if its rows may be sent; while any row has a problem, none may."""
    if table.problems:
        raise video.refusal_of(table)
    return table
