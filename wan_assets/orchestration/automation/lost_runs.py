"""A sensor for runs whose worker is gone: without it, Dagster shows them as running forever."""

from typing import Unpack

import dagster as dg

from wan_assets.errors import LedgerError
from wan_assets.ledger import Ledger
from wan_assets.orchestration.asset_options import known_keywords
from wan_assets.orchestration.automation.sensor import SensorOptions
from wan_assets.orchestration.resources import LedgerResource

_ENDED = "its process ended without reporting: its lease in the ledger has expired. Its paid tasks are in the ledger"


@known_keywords(SensorOptions)
def build_lost_run_sensor(*, name: str = "lost_runs", **options: Unpack[SensorOptions]) -> dg.SensorDefinition:
    """Builds a sensor that ends runs whose process was killed or whose host is gone, so that run retries repeat them.

    A run counts as lost if no process has renewed its lease in the resource `ledger` for 45 seconds, or if its process
    was on this host and is dead. A slow process renews its lease. With `run_retries` in `dagster.yaml`, Dagster repeats
    the run on another worker. The ledger knows the run's tasks, and nothing is paid twice.

    Args:
        name: Name of the sensor.
        **options: Dagster's `minimum_interval_seconds` (in seconds, by default 15) and `default_status` (by default
            running).

    Returns:
        The sensor.

    Raises:
        dagster.DagsterInvalidDefinitionError: The name is not valid.
        TypeError: A keyword does not exist.

    Example:
        >>> from wan_assets import build_lost_run_sensor
        >>> build_lost_run_sensor(minimum_interval_seconds=30).minimum_interval_seconds
        30
    """
    options = {"minimum_interval_seconds": 15, "default_status": dg.DefaultSensorStatus.RUNNING, **options}

    @dg.sensor(name=name, description="Ends runs whose process is gone, so that run retries repeat them.", **options)
    def sensor(context: dg.SensorEvaluationContext, ledger: LedgerResource) -> dg.SkipReason | None:
        try:
            with ledger.open() as open_ledger:
                ended = _end_lost_runs(open_ledger, context.instance)
        except LedgerError as error:
            return dg.SkipReason(f"{error}. {error.hint}")
        return dg.SkipReason(f"ended lost runs: {', '.join(ended)}") if ended else None

    return sensor


def _end_lost_runs(ledger: Ledger, instance: dg.DagsterInstance) -> list[str]:
    """Ends lost runs, except those of another Dagster instance that shares the ledger."""
    found = [run for run_id in ledger.lost_runs() if (run := instance.get_run_by_id(run_id))]
    ended = [run.run_id for run in found if _is_ended(run, instance)]
    for run in found:
        ledger.forget_run(run.run_id)
    return ended


def _is_ended(run: dg.DagsterRun, instance: dg.DagsterInstance) -> bool:
    """Ends a run that Dagster still considers running."""
    match run.status:
        case dg.DagsterRunStatus.STARTED:
            instance.report_run_failed(run, f"run {run.run_id}: {_ENDED}")
        case dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, f"run {run.run_id}: {_ENDED}")
        case _:
            return False
    return True
