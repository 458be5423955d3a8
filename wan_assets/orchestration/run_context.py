"""The context of one run: its partitions, and how it reports to Dagster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypedDict, Unpack

import dagster as dg

from wan_assets.engine import OnMismatch, Outcome, ProgressCallback, ignore_progress
from wan_assets.ledger import BudgetAlert, PartitionRow, Takes
from wan_assets.orchestration.partitions.data_versions import LogEvent

if TYPE_CHECKING:  # these modules import this one
    from wan_assets.orchestration.checks.video_check import VideoCheck
    from wan_assets.orchestration.runs.pilot import Pilot

OnOutcome: TypeAlias = Callable[[Outcome], None]
OnBudgetAlert: TypeAlias = Callable[[BudgetAlert], object]
TakesOf: TypeAlias = Callable[[Sequence[PartitionRow]], Sequence[Takes]]
Event: TypeAlias = dg.AssetMaterialization | dg.AssetCheckEvaluation


def ignore_outcome(_: Outcome) -> None:
    """Ignores an outcome."""


RECORDED_ALREADY = {"__source_asset_observation__": True}
"""Metadata of an output that Dagster does not record, because the run has recorded each partition itself.

Without an output, Dagster skips downstream steps and checks. With an ordinary output, it records a second
materialization of each partition. The key is private to Dagster; a test shows that it works.
"""


class RunContextOptions(TypedDict, total=False):
    """Optional fields of a run context."""

    on_outcome: OnOutcome
    on_progress: ProgressCallback
    severities: Mapping[str, dg.AssetCheckSeverity] | None
    on_mismatch: OnMismatch | None
    deps: Collection[dg.AssetKey]
    video_checks: Sequence[VideoCheck]
    is_reviewed: bool
    max_takes: int | None
    retake_rejected: bool | None
    on_budget_alert: OnBudgetAlert | None


@dataclass(frozen=True)
class RunContext:
    """The partitions `keys` of the asset `asset_key`, and how a run reports to Dagster.

    `log_event` records an observation. `on_outcome` is called with each outcome, and `on_progress` with the progress of
    the run. With `severities`, the check `quality` evaluates each partition's videos. `on_mismatch` takes precedence
    over that of the resource. `deps` are the upstream assets of the videos other than their requests. `run_tags` are
    the tags of the run. `video_checks` run for each stored video. `pilot` is set if the run requests some rows only. If
    the videos are reviewed, `takes_of` returns the takes of rows. `max_takes` and `retake_rejected` override those of
    the resource. `on_budget_alert` is called with alerts of budgets, and `costs` is the asset whose events report them,
    if there is one.
    """

    asset_key: dg.AssetKey
    keys: tuple[str, ...]
    run_id: str
    instance: dg.DagsterInstance
    log: logging.Logger
    log_event: LogEvent
    on_outcome: OnOutcome = ignore_outcome
    on_progress: ProgressCallback = ignore_progress
    severities: Mapping[str, dg.AssetCheckSeverity] | None = None
    on_mismatch: OnMismatch | None = None
    deps: Collection[dg.AssetKey] = ()
    run_tags: Mapping[str, str] = field(default_factory=dict)
    video_checks: Sequence[VideoCheck] = ()
    is_reviewed: bool = False
    max_takes: int | None = None
    retake_rejected: bool | None = None
    takes_of: TakesOf | None = None
    on_budget_alert: OnBudgetAlert | None = None
    costs: dg.AssetKey | None = None
    pilot: Pilot | None = None

    def pilot_metadata(self, partition: str) -> dict[str, Any]:
        """Returns the metadata that a pilot run adds to an event of a partition."""
        return self.pilot.metadata(partition) if self.pilot else {}

    @classmethod
    def of(
        cls,
        context: dg.OpExecutionContext | dg.AssetExecutionContext,
        asset_key: dg.AssetKey,
        keys: Iterable[str] = (),
        **options: Unpack[RunContextOptions],
    ) -> Self:
        """Creates the run context from the context of a Dagster step."""
        resources = context.run.run_id, context.instance, context.log, context.log_event
        return cls(asset_key, tuple(keys), *resources, **options, run_tags=context.run.tags)
