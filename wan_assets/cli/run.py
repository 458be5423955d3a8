"""A table's videos made in one Dagster run in this process, watched as they land."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import dagster as dg

from wan_assets import report
from wan_assets.assets import build_video_assets
from wan_assets.cli.progress import watched
from wan_assets.errors import PromptTableError
from wan_assets.generation import OnMismatch, Outcome
from wan_assets.home import instance_in
from wan_assets.ledger import Ledger, Shortfall, shortfalls_of
from wan_assets.partitions import range_tags, sync_partitions
from wan_assets.progress import Progress, Watcher
from wan_assets.prompts import PromptTable
from wan_assets.resources import resources_of
from wan_assets.settings import Settings
from wan_assets.store import StoredTask, VideoStore

_NAME = "videos"
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_PROBLEMS_SHOWN = 5


class Deviation(NamedTuple):
    """A row, and its videos that deviate from its request."""

    prompt_id: str
    stored: StoredTask


@dataclass(frozen=True)
class TableRun:
    """What became of a table: `green` are the partitions that Dagster recorded, `outcomes` what the engine said."""

    table: PromptTable
    run_id: str
    green: frozenset[str]
    outcomes: dict[str, Outcome]
    store: VideoStore
    trouble: Mapping[str, str]
    """What ended the run before it came to all rows, as class, code, message and advice."""

    @property
    def is_green(self) -> bool:
        """Whether every row's partition is green."""
        return len(self.green) == len(self.table.rows)

    @property
    def submitted(self) -> int:
        """How many tasks this run sent."""
        return sum(outcome.submitted for outcome in self.outcomes.values())

    @property
    def reused(self) -> int:
        """How many rows had their video before this run."""
        return sum(outcome.is_reused for outcome in self.outcomes.values())

    @property
    def cost_microusd(self) -> int:
        """What the videos that landed in this run cost, as far as it is known."""
        return sum(outcome.cost_microusd or 0 for outcome in self.outcomes.values())

    @property
    def is_simulated(self) -> bool:
        """Whether its money is the simulator's, whose address may have been given as the API's."""
        return any(outcome.stored is not None and outcome.stored.is_simulated for outcome in self.outcomes.values())

    @property
    def unknown_cost(self) -> int:
        """How many videos landed whose cost the API did not tell."""
        return sum(outcome.cost_microusd is None for outcome in self.outcomes.values())

    def failures(self) -> list[dict[str, str]]:
        """Every row without a green partition: what went wrong and what to do."""
        return [self._failure(row.prompt_id) for row in self.table.rows if row.prompt_id not in self.green]

    def deviations(self) -> list[Deviation]:
        """Every row whose videos are stored and deviate from its request, in the table's order."""
        rows = ((row.prompt_id, self.outcomes.get(row.prompt_id)) for row in self.table.rows)
        return [
            Deviation(prompt_id, outcome.stored)
            for prompt_id, outcome in rows
            if outcome and outcome.stored and outcome.stored.differences
        ]

    def shortfalls(self) -> list[Shortfall]:
        """What each cap lacks that kept rows from being sent."""
        return shortfalls_of(outcome.error for outcome in self.outcomes.values() if outcome.error)

    def broken(self) -> list[str]:
        """Files of this table that are not there or are not what was stored."""
        return [
            video.uri
            for outcome in self.outcomes.values()
            for video in (outcome.stored.videos if outcome.stored else ())
            if not self.store.verifies(video)
        ]

    def _failure(self, prompt_id: str) -> dict[str, str]:
        outcome = self.outcomes.get(prompt_id)
        if outcome and outcome.error:
            return {"prompt_id": prompt_id, **report.failure_row(outcome.error)}
        return {"prompt_id": prompt_id, **self.trouble}


def run_table(settings: Settings, on_mismatch: OnMismatch, *, is_quiet: bool) -> TableRun:
    """Makes the videos of a table; raises a `WanAssetsError` before anything is sent where it cannot start."""
    table = PromptTable.load(settings.prompts)
    if table.problems:
        shown = "".join(f"\n  {problem}" for problem in table.problems[:_PROBLEMS_SHOWN])
        raise PromptTableError(f"{settings.prompts} has {len(table.problems)} problems:{shown}")
    store = VideoStore(settings.store)
    store.make_ready()
    with closing(Ledger(settings.ledger)), instance_in(settings.dagster_home) as instance:
        sync_partitions(instance, _NAME, [row.prompt_id for row in table.rows])
        outcomes: dict[str, Outcome] = {}
        with watched("videos", Progress(len(table.rows)), is_quiet=is_quiet) as watch:
            result = _run(settings, table, instance, outcomes, watch, on_mismatch)
    return TableRun(table, result.run_id, frozenset(_green(result)), outcomes, store, _trouble(result))


def _run(
    settings: Settings,
    table: PromptTable,
    instance: dg.DagsterInstance,
    outcomes: dict[str, Outcome],
    watch: Watcher,
    on_mismatch: OnMismatch,
) -> dg.ExecuteInProcessResult:
    """One run over all partitions: they are those of the table alone, so the range from first to last is exact."""
    keys = instance.get_dynamic_partitions(_NAME)
    warnings.simplefilter("ignore", dg.BetaWarning)

    def keep(outcome: Outcome) -> None:
        outcomes[outcome.order.partition] = outcome

    assets = build_video_assets(name=_NAME, prompts=table, on_mismatch=on_mismatch, on_outcome=keep, on_progress=watch)
    definitions = dg.Definitions.merge(assets, dg.Definitions(resources=resources_of(settings)))
    return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        run_config=_QUIET,
        raise_on_error=False,
        tags=range_tags(keys[0], keys[-1]),
    )


def _green(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    for event in result.get_asset_materialization_events():
        if event.partition is not None:
            yield event.partition


def _trouble(result: dg.ExecuteInProcessResult) -> Mapping[str, str]:
    """Why the run ended as it did, in the words of the step that failed."""
    advice = f"See run {result.run_id} in the Dagster UI, then run again."
    message = "not reached"
    for event in result.filter_events(lambda event: event.is_step_failure):
        data = event.step_failure_data
        told = data.user_failure_data.metadata.get(report.REASON) if data.user_failure_data else None
        if isinstance(told, dg.TableMetadataValue):
            return {name: str(value) for name, value in told.records[0].data.items()}
        message = data.error.message.strip() if data.error else message
    return {"class": "NotReached", "code": "", "message": message, "advice": advice}
