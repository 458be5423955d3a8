"""The place of a generation: a step of a Dagster run with its asset and partitions, or a script."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self, TypeAlias

import dagster as dg

from wan_assets.engine import NO_PARTITION, VideoJob, job_of
from wan_assets.orchestration.asset_names import Key, key_of
from wan_assets.orchestration.partitions.assignment import (
    NoPartitionError,
    PartitionOf,
    partition_key_by,
    partition_of,
)
from wan_assets.orchestration.partitions.data_versions import LogEvent
from wan_assets.prompts import Problem, PromptRow

StepContext: TypeAlias = dg.AssetExecutionContext | dg.OpExecutionContext

_LOG = logging.getLogger("wan_assets")


@dataclass(frozen=True)
class Step:
    """The run, asset and partitions that videos are recorded under.

    `partition_of` is None if all rows belong to the only partition. A script has a run of its own, so that a budget per
    run applies to each call, and no instance.
    """

    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    asset_key: dg.AssetKey | None = None
    keys: tuple[str, ...] = ()
    partition_of: PartitionOf | None = None
    instance: dg.DagsterInstance | None = None
    log_event: LogEvent | None = None
    log: logging.Logger = _LOG
    run_tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, context: StepContext, asset_key: Key | None, partition_key_of: PartitionOf | None) -> Self:
        """Reads the context of an asset or op; raises `ValueError` if the step has several assets and none is named."""
        operation = _operation_of(context)
        given = None if asset_key is None else key_of(asset_key)
        key = given or _only_asset(operation)
        definition = _definition_of(operation, key)
        has_keys = _is_partitioned(operation) and (key is None or definition is not None)
        keys = tuple(operation.partition_keys) if has_keys else ()
        assigned = _partition_of(definition, keys, partition_key_of)
        reports = operation.instance, operation.log_event, operation.log
        return cls(operation.run_id, key, keys, assigned, *reports, run_tags=_tags_of(operation))

    @property
    def asset(self) -> str:
        """The name of the asset in the ledger."""
        return self.asset_key.to_user_string() if self.asset_key else "-"

    @property
    def is_ranged(self) -> bool:
        """Whether the step covers several partitions, each of which is recorded by an event of its own."""
        return len(self.keys) > 1

    def jobs_of(self, rows: Sequence[PromptRow]) -> tuple[Mapping[str, Sequence[VideoJob]], list[Problem]]:
        """Returns the videos to generate by partition, in the order of the rows, and the problems of other rows.

        Rows of other partitions than those of the step are omitted.
        """
        jobs: dict[str, list[VideoJob]] = {key: [] for key in self.keys or (NO_PARTITION,)}
        problems: list[Problem] = []
        for row in rows:
            try:
                key = self._partition_of(row)
            except NoPartitionError as error:
                problems.append(error.problem)
            else:
                if key in jobs:
                    jobs[key].append(job_of(row, key))
        return jobs, problems

    def _partition_of(self, row: PromptRow) -> str:
        if self.partition_of is not None:
            return self.partition_of(row)
        return self.keys[0] if self.keys else NO_PARTITION


def _operation_of(context: StepContext) -> dg.OpExecutionContext:
    if isinstance(context, dg.AssetExecutionContext):
        return context.op_execution_context
    if isinstance(context, dg.OpExecutionContext):
        return context
    raise TypeError(f"context must be that of an asset or op, not {type(context).__name__}; scripts leave it out")


def _tags_of(operation: dg.OpExecutionContext) -> Mapping[str, str]:
    """Returns the tags of the run; a step that a test invokes directly has no run."""
    with suppress(dg.DagsterError):
        return operation.run.tags
    return {}


def _only_asset(operation: dg.OpExecutionContext) -> dg.AssetKey | None:
    if not operation.has_assets_def:
        return None
    keys = [*operation.assets_def.keys]
    if len(keys) > 1:
        raise ValueError("the step has several assets: name one of them with generate(asset_key=…)")
    return keys[0]


def _is_partitioned(operation: dg.OpExecutionContext) -> bool:
    return operation.has_partition_key or operation.has_partition_key_range


def _partition_of(
    definition: dg.PartitionsDefinition[str] | None, keys: tuple[str, ...], partition_key_of: PartitionOf | None
) -> PartitionOf | None:
    """Returns the function that assigns rows; None if the step has at most one partition and no function is given."""
    if definition is None or not keys:
        return None
    if partition_key_of:
        return partition_key_by(partition_key_of, definition)
    return partition_of(definition) if len(keys) > 1 else None


def _definition_of(operation: dg.OpExecutionContext, key: dg.AssetKey | None) -> dg.PartitionsDefinition[str] | None:
    if not operation.has_assets_def:
        return None
    specs: Iterator[dg.AssetSpec] = iter(operation.assets_def.specs)
    return next((spec.partitions_def for spec in specs if spec.key == key), None)
