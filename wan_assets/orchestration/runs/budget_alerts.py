"""Delivers alerts of budgets: to a log, to the events of Dagster, and to the function of a user."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeAlias

import dagster as dg

from wan_assets.engine import Clock, Progress, ProgressCallback
from wan_assets.errors import LedgerError
from wan_assets.ledger import BudgetAlert, Channel, Ledger, new_owner
from wan_assets.orchestration.asset_names import AssetNames
from wan_assets.orchestration.checks.budgets import BUDGET_CHECK, VIDEOS, budget_check
from wan_assets.orchestration.run_context import OnBudgetAlert, RunContext

_Send: TypeAlias = Callable[[BudgetAlert], object]

_INTERVAL_S = 1.0


@dataclass(frozen=True)
class CostEvents:
    """The asset that reports costs, and the Dagster instance that records its events."""

    instance: dg.DagsterInstance
    costs: dg.AssetKey

    def observe(self, alert: BudgetAlert) -> None:
        """Records an observation at once, which a run that is killed then has not lost."""
        observation = dg.AssetObservation(self.costs, description=alert.message, metadata=alert_metadata(alert))
        self.instance.report_runless_asset_event(observation)

    def evaluate(self, ledger: Ledger) -> dg.AssetCheckEvaluation:
        """Records an evaluation of the check `budgets`, and returns it."""
        evaluation = budget_check(self.costs, ledger)
        self.instance.report_runless_asset_event(evaluation)
        return evaluation


class _Attempt:
    """A call of a function of a user; an error does not leave the block, because it must fail nothing else."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error = error if isinstance(error, Exception) else None
        return self.error is not None


@dataclass
class AlertDelivery:
    """Delivers the outstanding alerts of a ledger to each channel that is given here.

    With a `run_id`, it delivers the alerts of that run, and those that killed runs have left. `evaluated` is the last
    evaluation of the check `budgets` that it has recorded.
    """

    ledger: Ledger
    log: logging.Logger
    run_id: str = ""
    on_alert: OnBudgetAlert | None = None
    events: CostEvents | None = None
    clock: Clock = time.monotonic
    evaluated: dg.AssetCheckEvaluation | None = None
    _owner: str = field(default_factory=new_owner)
    _last: float | None = None
    _failed: set[Channel] = field(default_factory=set)

    @classmethod
    def of_run(cls, ledger: Ledger, run: RunContext) -> Self:
        """Returns the delivery of a run of videos."""
        events = CostEvents(run.instance, run.costs) if run.costs else None
        return cls(ledger, run.log, run.run_id, run.on_budget_alert, events)

    def deliver(self) -> int:
        """Delivers all outstanding alerts; returns their number. Raises `LedgerError`."""
        delivered = {alert.key for alert in self._sent("log", self._write)}
        if self.events:
            observed = self._sent("events", self.events.observe)
            if observed:
                self.evaluated = self.events.evaluate(self.ledger)
            delivered |= {alert.key for alert in observed}
        if self.on_alert:
            delivered |= {alert.key for alert in self._sent("callable", self.on_alert)}
        return len(delivered)

    def poll(self) -> None:
        """Delivers outstanding alerts, at most once per second. An error of the ledger is ignored: a later call, or
        another process, delivers them.
        """
        now = self.clock()
        if self._last is None or now - self._last >= _INTERVAL_S:
            self._last = now
            with suppress(LedgerError):
                self.deliver()

    def finish(self) -> None:
        """Delivers outstanding alerts at the end of a run, also those that could not be delivered before."""
        self._failed.clear()
        with suppress(LedgerError):
            self.deliver()

    def polled_by(self, on_progress: ProgressCallback) -> ProgressCallback:
        """Returns a function that delivers alerts whenever progress is reported, before it is passed on."""

        def report(progress: Progress) -> None:
            self.poll()
            on_progress(progress)

        return report

    @property
    def has_failed(self) -> bool:
        """Whether a channel did not accept an alert."""
        return bool(self._failed)

    def _write(self, alert: BudgetAlert) -> None:
        self.log.warning("%s", alert.message, extra={"wan_assets": _fields(alert)})

    def _sent(self, channel: Channel, send: _Send) -> list[BudgetAlert]:
        """Sends the outstanding alerts of a channel, and marks each as delivered.

        After an error, the channel gets no further alert from here until the run ends.
        """
        if channel in self._failed:
            return []
        sent = []
        for alert in self.ledger.take_alerts(channel, self._owner, self.run_id):
            if channel not in self._failed and self._is_sent(channel, send, alert):
                self.ledger.mark_alerts_delivered(channel, [alert.key])
                sent.append(alert)
            else:
                self.ledger.release_alerts(channel, [alert.key], self._owner)
        return sent

    def _is_sent(self, channel: Channel, send: _Send, alert: BudgetAlert) -> bool:
        with _Attempt() as attempt:
            send(alert)
        if attempt.error is None:
            return True
        self._failed.add(channel)
        error = f"{type(attempt.error).__name__}: {attempt.error}"
        self.log.warning("the alert %r was not delivered and is sent again later: %s", alert.key, error)
        return False


def alert_metadata(alert: BudgetAlert) -> dict[str, Any]:
    """Returns the metadata of an observation."""
    metadata: dict[str, Any] = {
        "wan_assets/budget": alert.budget,
        "wan_assets/percent": alert.percent,
        "wan_assets/limit_usd": float(alert.limit_usd),
        "wan_assets/committed_usd": float(alert.committed_usd),
        "wan_assets/left_usd": float(alert.left_usd),
        "wan_assets/simulated": alert.is_simulated,
        "wan_assets/alert": alert.key,
        "wan_assets/asset": alert.asset,
        "wan_assets/run_id": alert.run_id,
    }
    if alert.resets_at:
        metadata["wan_assets/resets_at"] = dg.MetadataValue.timestamp(alert.resets_at)
    return metadata


def costs_of(
    videos: dg.AssetKey,
    context: dg.OpExecutionContext | dg.AssetExecutionContext | dg.SensorEvaluationContext,
) -> dg.AssetKey | None:
    """Returns the asset that reports the costs of videos; None if the project does not define it.

    A run in the process of a test or a command does not know the project; the asset then has its default name.
    """
    repository = None
    with suppress(Exception):  # a private exception of Dagster if there is no repository
        repository = context.repository_def
    if repository is None:
        return AssetNames(videos).beside("costs")
    specs = (spec for asset in {*repository.assets_defs_by_key.values()} for spec in asset.check_specs)
    of_videos = (spec for spec in specs if spec.metadata.get(VIDEOS) == videos.to_user_string())
    return next((spec.asset_key for spec in of_videos if spec.name == BUDGET_CHECK), None)


def _fields(alert: BudgetAlert) -> dict[str, Any]:
    amounts = {"limit_usd": float(alert.limit_usd), "committed_usd": float(alert.committed_usd)}
    return {"alert": alert.key, "budget": alert.budget, "percent": alert.percent, **amounts}
