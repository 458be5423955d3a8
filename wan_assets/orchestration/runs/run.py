"""One run: generates the videos of its partitions with the engine and converts outcomes to Dagster events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import chain
from typing import Literal

import dagster as dg
from pydantic import Field

from wan_assets.dataset import row_videos
from wan_assets.engine import Limits, progress_logged
from wan_assets.errors import WanAssetsError
from wan_assets.ledger import Origin, PartitionRow, heartbeat
from wan_assets.orchestration.checks import VideoCheckRun
from wan_assets.orchestration.configured_resources import warn_if_simulated
from wan_assets.orchestration.metadata.video import failure_to_start
from wan_assets.orchestration.resources import LedgerResource, RunwareResource, VideoStoreResource
from wan_assets.orchestration.run_context import Event, RunContext
from wan_assets.orchestration.runs.budget_alerts import AlertDelivery
from wan_assets.orchestration.runs.cost_reporting import CostReporter
from wan_assets.orchestration.runs.engine_thread import EngineRun
from wan_assets.orchestration.runs.partitioning import Partitioning
from wan_assets.orchestration.runs.row_recording import RowRecorder
from wan_assets.prompts import RowSelection, run_tags_of
from wan_assets.store import StoredTask

POOL = "runware"
"""Dagster's pool of all runs that use the account; its limit caps the number of concurrent runs."""


class GenerationConfig(dg.Config):
    """The config of a single run."""

    regenerate: str = Field(
        default="",
        description="Pays for every row again, once for each name. The name, such as 'new-look', identifies the "
        "purchase.",
    )
    resend_refused: bool = Field(
        default=False,
        description="Submit rows again that the provider has refused for their content or parameters. By default "
        "they fail with the reason of the refusal, and cost nothing.",
    )
    on_mismatch: Literal["", "keep", "fail"] = Field(
        default="",
        description="What to do with a playable video that deviates from its request, 'keep' or 'fail'; empty uses the "
        "value of the asset or the resource `runware`.",
    )
    limit: int | None = Field(
        default=None,
        description="A pilot run: request only the first rows of the run's partitions, at most this number. The other "
        "rows are left out, and their partitions stay missing.",
    )
    sample: int | None = Field(
        default=None,
        description="A pilot run: request only a sample of this number of rows of the run's partitions. The sample "
        "depends on the ids of the rows, and a larger sample contains a smaller one.",
    )
    select: list[str] = Field(
        default=[],
        description="A pilot run: request only rows that fulfil all conditions, such as 'split=val' or "
        "'campaign!=a,b', on parameters and on columns that stay with the row.",
    )
    ids: list[str] = Field(default=[], description="A pilot run: request only the rows with these ids.")

    def selection(self) -> RowSelection:
        """Returns the rows that the run requests; raises `SelectionError` if the config is not valid."""
        return RowSelection.of(limit=self.limit, sample=self.sample, select=self.select, ids=self.ids)


def run_events(
    partitioning: Partitioning,
    run_context: RunContext,
    config: GenerationConfig,
    *,
    runware: RunwareResource,
    store: VideoStoreResource,
    ledger: LedgerResource,
) -> Iterator[Event]:
    """Yields the events of each complete partition; raises a `Failure` that names the rows without a video."""
    try:
        yield from _events_of(partitioning, run_context, config, runware=runware, store=store, ledger=ledger)
    except WanAssetsError as error:
        raise failure_to_start(error) from None


def _events_of(
    partitioning: Partitioning,
    run_context: RunContext,
    config: GenerationConfig,
    *,
    runware: RunwareResource,
    store: VideoStoreResource,
    ledger: LedgerResource,
) -> Iterator[Event]:
    asset = run_context.asset_key.to_user_string()
    origin = Origin(run_context.run_id, asset, purchase=config.regenerate, run_tags=run_tags_of(run_context.run_tags))
    with ExitStack() as stack:
        open_ledger = stack.enter_context(ledger.open())
        stack.enter_context(heartbeat(open_ledger, run_context.run_id))
        videos = store.open()
        if run_context.is_reviewed:
            run_context = replace(run_context, takes_of=open_ledger.takes_of)
        prepared = partitioning.begin(run_context, videos, config.selection())
        warn_if_simulated(runware, run_context.log)
        alerts = AlertDelivery.of_run(open_ledger, run_context)
        stack.callback(alerts.finish)
        on_progress = stack.enter_context(progress_logged(run_context.log, alerts.polled_by(run_context.on_progress)))
        limits = _limits_of(run_context, config, runware)
        run = EngineRun(prepared.jobs, runware, videos, open_ledger, limits, origin, prepared.media)
        outcomes = stack.enter_context(run.outcomes(on_progress))
        cost_reporter = CostReporter(open_ledger, run_context.instance, run_context.asset_key)
        check_run = stack.enter_context(
            closing(VideoCheckRun(run_context.video_checks, run_context.asset_key, open_ledger))
        )

        def check(partition: str, rows: Sequence[tuple[PartitionRow, StoredTask]]) -> None:
            found = (row_videos(partition, row, stored, store=videos) for row, stored in rows)
            check_run.submit(partition, chain.from_iterable(found))

        row_recorder = RowRecorder(open_ledger, run_context.asset_key, run_context.keys, check)
        check_run.read_results(row_recorder.task_uuids)
        yield from _with_checks(prepared.run.events(outcomes, cost_reporter, row_recorder, videos), check_run)


def _with_checks(events: Iterator[Event], check_run: VideoCheckRun) -> Iterator[Event]:
    """Yields the events of a run, and evaluations as they finish; all of them also if rows of the run failed."""
    try:
        for event in events:
            yield event
            yield from check_run.finished()
    except dg.Failure:
        yield from check_run.rest()
        raise
    yield from check_run.rest()


def _limits_of(run_context: RunContext, config: GenerationConfig, runware: RunwareResource) -> Limits:
    """Returns the resource's limits, overridden by the asset and then by the run."""
    limits = runware.limits()
    return replace(
        limits,
        resend_refused=limits.resend_refused or config.resend_refused,
        on_mismatch=config.on_mismatch or run_context.on_mismatch or limits.on_mismatch,
        max_takes=limits.max_takes if run_context.max_takes is None else run_context.max_takes,
        retake_rejected=(
            limits.retake_rejected if run_context.retake_rejected is None else run_context.retake_rejected
        ),
    )
