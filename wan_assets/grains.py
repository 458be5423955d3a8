"""The two grains of video assets: a partition per prompt, or per batch of prompts. One engine serves both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import dagster as dg

from wan_assets import report
from wan_assets.automation import sync_partitions
from wan_assets.batch_run import BatchRun
from wan_assets.batches import PartitionOf
from wan_assets.errors import PromptTableError
from wan_assets.generation import Order, Outcome
from wan_assets.prompts import Chunk, PromptRow, Prompts, PromptTable, Summary, scan
from wan_assets.row_run import RowRun
from wan_assets.telling import Telling

OnOutcome: TypeAlias = Callable[[Outcome], None]


class VideoRun(Protocol):
    """One run over some partitions: what it asks for, and what it tells of it."""

    def orders(self) -> list[Order]:
        """All rows of the partitions."""

    def events(self, outcomes: Iterator[Outcome], telling: Telling) -> Iterator[dg.AssetMaterialization]:
        """Yields events as outcomes come; ends in a `Failure` where rows have no video."""


@dataclass(frozen=True)
class Grain:
    """How prompts are cut into partitions.

    `check` reads the whole table and keeps its partitions in step; `begin` reads the rows of a run's partitions, and
    gives the run and the local files that it names. A `PromptTableError` or a `Failure` of either sends nothing.
    """

    partitions_def: dg.PartitionsDefinition[str]
    partitions_per_run: int
    resends_refused: bool
    check: Callable[[dg.AssetExecutionContext], Summary]
    begin: Callable[[dg.AssetExecutionContext, OnOutcome], tuple[VideoRun, Mapping[str, Path]]]


def by_prompt(name: str, prompts: Prompts) -> Grain:
    """One dynamic partition per `prompt_id`."""

    def check(context: dg.AssetExecutionContext) -> Summary:
        table = PromptTable.load(prompts)
        if not table.problems:
            _sync(context, name, [row.prompt_id for row in table.rows])
        return Summary.of([table.chunk()])

    def begin(context: dg.AssetExecutionContext, on_outcome: OnOutcome) -> tuple[VideoRun, Mapping[str, Path]]:
        table = _sound(PromptTable.load(prompts))
        keys = tuple(context.partition_keys)
        return RowRun(table, keys, context.asset_key, context.log, on_outcome), table.media

    return Grain(dg.DynamicPartitionsDefinition(name=name), 100, resends_refused=True, check=check, begin=begin)


def by_batch(partitions_def: dg.PartitionsDefinition[str], prompts: Prompts, partition_of: PartitionOf) -> Grain:
    """Many rows in each partition; the table is read in pieces, and only the rows of a run are held."""

    def check(context: dg.AssetExecutionContext) -> Summary:
        summary, keys = Summary(), dict[str, None]()
        for chunk in _chunks(prompts):
            summary.add(chunk)
            keys |= dict.fromkeys(map(partition_of, chunk.rows))
        if isinstance(partitions_def, dg.DynamicPartitionsDefinition) and not summary.problem_count:
            _sync(context, str(partitions_def.name), list(keys))
        return summary

    def begin(context: dg.AssetExecutionContext, on_outcome: OnOutcome) -> tuple[VideoRun, Mapping[str, Path]]:
        wanted = set(context.partition_keys)
        table = _sound(PromptTable.load(prompts, keep=lambda row: partition_of(row) in wanted))
        batches: dict[str, list[PromptRow]] = {key: [] for key in context.partition_keys}
        for row in table.rows:
            batches[partition_of(row)].append(row)
        return BatchRun(batches, context.asset_key, context.log, context.log_event, on_outcome), table.media

    return Grain(partitions_def, 1, resends_refused=False, check=check, begin=begin)


def _chunks(prompts: Prompts) -> Iterator[Chunk]:
    source = prompts() if callable(prompts) else prompts
    return iter([source.chunk()]) if isinstance(source, PromptTable) else scan(source)


def _sound(table: PromptTable) -> PromptTable:
    """The table, if its rows may be sent; while any row has a problem, none may."""
    if table.problems:
        raise report.refusal_of(table)
    return table


def _sync(context: dg.AssetExecutionContext, name: str, keys: list[str]) -> None:
    changes = sync_partitions(context.instance, name, keys)
    context.log.info("%d partitions added, %d retired", len(changes.added), len(changes.retired))


def told_as_failure(error: PromptTableError) -> dg.Failure:
    """What a run says of a table that cannot be read: another try would not help."""
    return dg.Failure(f"{error}. {error.advice}", allow_retries=False)
