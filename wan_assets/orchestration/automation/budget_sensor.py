"""A sensor that delivers alerts of budgets, also those of processes outside Dagster and of killed runs."""

from __future__ import annotations

from typing import Unpack

import dagster as dg

from wan_assets.errors import LedgerError
from wan_assets.ledger import Ledger
from wan_assets.orchestration.asset_names import AssetNames
from wan_assets.orchestration.asset_options import known_keywords
from wan_assets.orchestration.automation.sensor import VideoSensorOptions
from wan_assets.orchestration.checks import budget_check
from wan_assets.orchestration.resources import LedgerResource
from wan_assets.orchestration.run_context import OnBudgetAlert
from wan_assets.orchestration.runs.budget_alerts import AlertDelivery, CostEvents, costs_of

_INTERVAL_S = 60
_PASSED, _FAILED = "passed", "failed"


@known_keywords(VideoSensorOptions)
def build_budget_sensor(
    *, name: str | None = None, on_alert: OnBudgetAlert | None = None, **options: Unpack[VideoSensorOptions]
) -> dg.SensorDefinition:
    """Builds a sensor that delivers the alerts of budgets that no run has delivered.

    A run delivers its alerts itself, within seconds. The sensor delivers those of killed runs, of scripts and of
    commands: it logs them, records an observation and the check `budgets` on the report of costs, and calls `on_alert`.
    It also evaluates the check when a budget resets. It needs the resource `ledger`, with the budgets.

    Args:
        name: Name of the videos' asset, by default `videos`.
        on_alert: Function that is called with each `BudgetAlert`. An error in it is logged, and the next tick calls it
            again. It must return within two minutes.
        **options: `key` is the key of the videos' asset, instead of `name`; `key_prefix` is a prefix of `name`.
            `minimum_interval_seconds` (in seconds, by default 60) and `default_status` are Dagster's.

    Returns:
        The sensor `<name>_budget_sensor`.

    Raises:
        dagster.DagsterInvalidDefinitionError: The name is not valid.
        TypeError: A keyword does not exist.

    Example:
        >>> from wan_assets import build_budget_sensor
        >>> build_budget_sensor(name="trailers", on_alert=print).name
        'trailers_budget_sensor'
    """
    names = AssetNames.of(name, options.get("key"), options.get("key_prefix"))

    def tick(context: dg.SensorEvaluationContext, ledger: LedgerResource) -> dg.SensorResult:
        costs = costs_of(names.videos, context)
        events = CostEvents(context.instance, costs) if costs else None
        try:
            with ledger.open() as opened:
                delivery = AlertDelivery(opened, context.log, on_alert=on_alert, events=events)
                return _ticked(delivery, opened, context.cursor)
        except LedgerError as error:
            return dg.SensorResult(skip_reason=f"{error}. {error.hint}", cursor=context.cursor)

    decorated = dg.sensor(
        name=names.named("budget_sensor"),
        description="Delivers alerts of budgets that no run has delivered.",
        minimum_interval_seconds=options.get("minimum_interval_seconds", _INTERVAL_S),
        default_status=options.get("default_status", dg.DefaultSensorStatus.STOPPED),
    )
    return decorated(tick)


def _ticked(delivery: AlertDelivery, ledger: Ledger, cursor: str | None) -> dg.SensorResult:
    """Delivers alerts, and evaluates the check if its result has changed since the last tick."""
    delivered = delivery.deliver()
    if delivery.events:
        evaluation = delivery.evaluated or budget_check(delivery.events.costs, ledger)
        now = _PASSED if evaluation.passed else _FAILED
        if delivery.evaluated is None and now != (cursor or _PASSED):
            delivery.events.evaluate(ledger)
        cursor = now
    noun = "alert" if delivered == 1 else "alerts"
    reason = f"delivered {delivered} {noun}" if delivered else "there is no new alert"
    again = "; an alert could not be delivered and is sent again: the log has the error"
    return dg.SensorResult(skip_reason=f"{reason}{again if delivery.has_failed else ''}", cursor=cursor)
