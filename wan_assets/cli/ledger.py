"""`wan-assets ledger`: what was spent, reserved and left open."""

from __future__ import annotations

import os
from typing import Any, get_args

import click

from wan_assets.cli.display import dollars, show_json, show_table
from wan_assets.ledger import Ledger, SpendLine, Task
from wan_assets.ledger.report import Grouping
from wan_assets.pricing import usd
from wan_assets.settings import settings_from


@click.command()
@click.option("--url", help="SQLAlchemy URL; by default WAN_ASSETS_LEDGER, or the file in ./wan_assets_data.")
@click.option("--by", type=click.Choice(get_args(Grouping)), multiple=True, help="Group by this; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def ledger(url: str | None, by: tuple[Grouping, ...], as_json: bool) -> None:
    """Show what was spent, reserved and left open, real and simulated apart."""
    book = Ledger(url or settings_from(os.environ).ledger, must_exist=True)
    groups = {group: book.spending(group) for group in by or ("state", "day", "asset")}
    still_open, unknown, totals = book.open_tasks(), book.unknown_costs(), book.totals()
    if as_json:
        lines = {group: [_line(line) for line in found] for group, found in groups.items()}
        tasks = {"open": [_task(task) for task in still_open], "unknown_cost": [_task(task) for task in unknown]}
        show_json({"real": _line(totals.real), "simulated": _line(totals.simulated), "by": lines, **tasks})
        return
    for group, found in groups.items():
        _show_group(group, found)
    _show_tasks("Open: may still bring a video", still_open)
    _show_tasks("Ended, cost unknown: the reservation is kept", unknown)
    click.echo(
        f"spent {dollars(totals.real.cost_microusd)}, reserved {dollars(totals.real.reserved_microusd)}", nl=False
    )
    click.echo(f"; simulated, so not paid: {dollars(totals.simulated.cost_microusd)}")


def _show_group(group: str, found: list[SpendLine]) -> None:
    rows = [
        (
            line.key,
            "simulated" if line.is_simulated else "real",
            f"{line.tasks:,}",
            dollars(line.cost_microusd),
            dollars(line.reserved_microusd),
            f"{line.unknown:,}",
        )
        for line in found
    ]
    columns = (group, "money", "tasks", "spent", "reserved", "unknown")
    show_table(f"By {group}", columns, rows, right=columns[2:])


def _show_tasks(title: str, tasks: list[Task]) -> None:
    if tasks:
        rows = [
            (task.task_uuid, task.state, task.origin.partition, dollars(task.reserved_microusd), task.error_code or "")
            for task in tasks
        ]
        show_table(title, ("task", "state", "partition", "reserved", "trouble"), rows, right=("reserved",))


def _line(line: SpendLine) -> dict[str, Any]:
    return {
        "key": line.key,
        "simulated": line.is_simulated,
        "tasks": line.tasks,
        "cost_usd": float(usd(line.cost_microusd)),
        "reserved_usd": float(usd(line.reserved_microusd)),
        "unknown_cost": line.unknown,
    }


def _task(task: Task) -> dict[str, Any]:
    return {
        "task_uuid": task.task_uuid,
        "state": task.state,
        "run_id": task.origin.run_id,
        "asset": task.origin.asset,
        "partition": task.origin.partition,
        "reserved_usd": float(usd(task.reserved_microusd)),
        "cost_usd": float(usd(task.cost_microusd)),
        "simulated": task.is_simulated,
        "created_at": task.created_at,
        "error": task.error_code,
    }
