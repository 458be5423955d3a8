"""`wan-assets ledger settle`: records the cost of tasks for which the API reported none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from wan_assets.cli.display import dollars, show_json
from wan_assets.cli.options import json_option, open_ledger, url_option
from wan_assets.ledger import Ledger, Task, TaskState
from wan_assets.models import microusd, usd

_GIVEN_UP = (TaskState.LOST, TaskState.DELIVERED)
"""Settling such a task gives it up, and the next run pays for its row again: its state must be given explicitly."""

_STATES = (TaskState.FAILED, TaskState.STORED, *_GIVEN_UP)


def _microusd(_: click.Context, __: click.Parameter, value: str) -> int:
    try:
        return microusd(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _day(_: click.Context, __: click.Parameter, value: datetime | None) -> str | None:
    return value.date().isoformat() if value else None


@click.command()
@click.argument("tasks", nargs=-1)
@click.option("--cost", "cost_microusd", required=True, callback=_microusd, help="The cost of each task in dollars.")
@click.option(
    "--state", type=click.Choice([str(state) for state in _STATES]), help="All tasks of unknown cost in this state."
)
@click.option("--error", "error_code", metavar="CODE", help="All tasks of unknown cost with this error code.")
@click.option("--run", "run_id", metavar="ID", help="All tasks of unknown cost of this run.")
@click.option("--asset", metavar="KEY", help="All tasks of unknown cost of this asset.")
@click.option("--partition", metavar="KEY", help="All tasks of unknown cost of this partition.")
@click.option(
    "--day",
    type=click.DateTime(formats=["%Y-%m-%d"]),
    callback=_day,
    help="All tasks of unknown cost that were submitted on this UTC day.",
)
@url_option
@json_option
@click.pass_context
def settle(
    context: click.Context,
    /,
    tasks: tuple[str, ...],
    cost_microusd: int,
    url: str | None,
    *,
    as_json: bool,
    **wanted: str | None,
) -> None:
    """Record the cost of TASKS that ended without reporting it, or are lost: 0 if `reconcile` shows no charge.

    Instead of TASKS, or to select among them, give one or more of the options below; a task is settled if it matches
    all of them. The rest of the reservation is released. A lost task is given up, and the next run pays for its row
    again: give its UUID, or --state lost.
    """
    chosen = {name: value for name, value in wanted.items() if value}
    if not tasks and not chosen:
        raise click.UsageError(
            "Give TASKS, or select them with --state, --error, --run, --asset, --partition or --day."
        )
    with open_ledger(url, context) as (ledger, _):
        tasks = tuple(task.strip().lower() for task in tasks)
        uuids = tasks if not chosen else [task.task_uuid for task in _matching(ledger, tasks, chosen)]
        settled = [ledger.record_cost(task_uuid, cost_microusd) for task_uuid in uuids]
    if as_json:
        show_json({"tasks": [_line(task) for task in settled]})
        return
    for task in settled:
        click.echo(f"{task.task_uuid} {task.state}: {dollars(task.cost_microusd)}, nothing reserved")
    if not settled:
        click.echo("No task of unknown cost matches.")


def _matching(ledger: Ledger, named: Sequence[str], wanted: dict[str, str]) -> list[Task]:
    """Returns the tasks of unknown cost that match all conditions."""
    given_up = [task for task in ledger.open_tasks() if task.state in _GIVEN_UP and wanted.get("state") == task.state]
    found = (task for task in (*ledger.unknown_costs(), *given_up) if not named or task.task_uuid in named)
    return [task for task in found if all(_facts(task)[name] == value for name, value in wanted.items())]


def _facts(task: Task) -> dict[str, str | None]:
    return {
        "state": task.state,
        "error_code": task.error_code,
        "run_id": task.origin.run_id,
        "asset": task.origin.asset,
        "partition": task.origin.partition,
        "day": task.day,
    }


def _line(task: Task) -> dict[str, Any]:
    return {"task_uuid": task.task_uuid, "state": task.state, "cost_usd": float(usd(task.cost_microusd))}
