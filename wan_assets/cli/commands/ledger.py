"""`wan-assets ledger`: shows money spent and reserved, and open tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from wan_assets.cli.display import counted, dollars, printable, show_json, show_table
from wan_assets.cli.kind_costs import kind_costs_json
from wan_assets.cli.lazy import LazyCommand, LazyGroup
from wan_assets.cli.options import json_option, open_ledger, url_option
from wan_assets.cli.spend_options import by_option, table_file_option, time_zone_option
from wan_assets.cli.spend_tables import file_columns, line_json, show_spending
from wan_assets.cli.suggestions import Suggestions
from wan_assets.cli.table_files import write_table
from wan_assets.errors import TaskUnknownError
from wan_assets.ledger import (
    Grouping,
    KindCosts,
    Ledger,
    Overcharge,
    RecentPrices,
    SpendLine,
    TakeCosts,
    Task,
    Totals,
    money_kind,
)
from wan_assets.models import usd

_COMMANDS = {
    "budgets": LazyCommand("budgets", "budgets", "Show budgets with forecasts; `set` and `unset` change them."),
    "reconcile": LazyCommand("reconcile", "reconcile", "Compare with the account's usage, day by day."),
    "pause": LazyCommand("pause", "pause", "Stop all runs from submitting tasks; tasks in flight complete."),
    "resume": LazyCommand("pause", "resume", "Let runs submit tasks again."),
    "settle": LazyCommand("settle", "settle", "Record the cost of tasks that ended without reporting it."),
    "trace": LazyCommand("trace", "trace", "Show row, run, cost and files of a task, row, run or video."),
    "adopt": LazyCommand("adopt", "adopt", "Accept quarantined files as the videos of their rows."),
    "recover": LazyCommand("recover", "recover", "Settle and fetch open tasks; nothing is submitted."),
    "chargeback": LazyCommand("chargeback", "chargeback", "Charge a month's tasks to the values of a tag."),
}
_USUAL = ("state", "day", "asset")


@dataclass(frozen=True)
class _Account:
    """The content of the ledger that the command shows."""

    paused: str | None
    totals: Totals
    groups: list[tuple[Grouping, list[SpendLine]]]
    still_open: list[Task]
    lost: list[Task]
    unknown: list[Task]
    overcharged: list[Overcharge]
    prices: list[RecentPrices]
    takes: list[TakeCosts]
    kinds: list[KindCosts]


@click.group(cls=LazyGroup, lazy_commands=_COMMANDS, invoke_without_command=True)
@url_option
@by_option
@time_zone_option
@table_file_option
@json_option
@click.pass_context
def ledger(
    context: click.Context,
    url: str | None,
    by: tuple[Grouping, ...],
    time_zone: str,
    output: Path | None,
    *,
    as_json: bool,
) -> None:
    """Show money spent and reserved, and open tasks; simulated money is shown separately.

    With --output, the table of one --by is written to a file.
    """
    if context.invoked_subcommand:
        return
    if output and len(by) != 1:
        raise click.UsageError("--output writes one table: give --by once, such as --by campaign,model")
    groupings = [replace(grouping, time_zone=time_zone) for grouping in by or map(Grouping.of, _USUAL)]
    with open_ledger(url, context) as (ledger, settings):
        account = _account_of(ledger, groupings)
    if output:
        _, found = account.groups[0]
        click.echo(write_table(output, file_columns(groupings[0].names, found)), err=as_json)
    if as_json:
        show_json(_as_json(account))
    elif not output:
        _show(account, Suggestions.of(settings))


def _account_of(ledger: Ledger, by: Sequence[Grouping]) -> _Account:
    tasks = ledger.open_tasks()
    return _Account(
        paused=ledger.paused(),
        totals=ledger.totals(),
        groups=[(group, ledger.spending(group)) for group in by],
        still_open=[task for task in tasks if not task.is_lost],
        lost=[task for task in tasks if task.is_lost],
        unknown=ledger.unknown_costs(),
        overcharged=ledger.overcharged(),
        prices=ledger.recent_prices(),
        takes=ledger.take_costs(),
        kinds=ledger.kind_costs(),
    )


def _as_json(account: _Account) -> dict[str, Any]:
    return {
        "paused": account.paused,
        "real": line_json(account.totals.real),
        "simulated": line_json(account.totals.simulated),
        "by": {str(group): [line_json(line) for line in found] for group, found in account.groups},
        "open": [_task(task) for task in account.still_open],
        "lost": [_task(task) for task in account.lost],
        "unknown_cost": [_task(task) for task in account.unknown],
        "overcharged": [_overcharge(over) for over in account.overcharged],
        "prices": [_price(price) for price in account.prices],
        "estimate_by_kind": kind_costs_json(account.kinds),
        "approved": [_approved(costs) for costs in account.takes],
    }


def _show(account: _Account, suggestions: Suggestions) -> None:
    for group, found in account.groups:
        show_spending(group, found)
    _show_prices(account.prices)
    _show_takes(account.takes)
    _show_tasks("Open: these tasks may still produce a video", account.still_open)
    _show_tasks("Lost: the API does not know these tasks; every run polls them again", account.lost)
    if account.lost:
        click.echo(f"  what to do  {printable(suggestions.completed(TaskUnknownError.hint))}")
    _show_tasks("Ended, cost unknown: the reservation is kept", account.unknown)
    if account.unknown:
        is_simulated = all(task.is_simulated for task in account.unknown)
        click.echo(f"  what to do  {printable(suggestions.of_unknown_costs(simulated=is_simulated))}")
    _show_overcharged(account.overcharged)
    if account.paused is not None:
        click.echo(f"paused: {printable(account.paused)}")
    real, simulated = account.totals.real, account.totals.simulated
    click.echo(f"{_amounts(real)}; simulated dollars, not charged: {_amounts(simulated)}")


def _amounts(line: SpendLine) -> str:
    return f"spent {dollars(line.cost_microusd)}, reserved {dollars(line.reserved_microusd)}"


def _show_prices(prices: list[RecentPrices]) -> None:
    rows = [
        (
            price.kind,
            money_kind(price.is_simulated),
            f"{price.tasks:,}",
            dollars(price.cost_microusd),
            dollars(price.lowest_microusd),
            dollars(price.highest_microusd),
        )
        for price in prices
    ]
    columns = ("request", "money", "tasks", "spent", "lowest", "highest")
    if rows:
        show_table("Recent prices", columns, rows, right=columns[2:], flexible=columns[:1])


def _show_takes(takes: list[TakeCosts]) -> None:
    rows = [
        (
            money_kind(costs.is_simulated),
            f"{costs.approved:,}",
            f"{costs.rows:,}",
            dollars(costs.cost_microusd),
            f"{costs.retakes:,}",
            dollars(costs.retakes_microusd),
            dollars(costs.per_approved_microusd),
        )
        for costs in takes
    ]
    columns = ("money", "approved", "rows", "spent", "retakes", "on retakes", "per approved")
    if rows:
        show_table("Approved videos, with all takes of their rows", columns, rows, right=columns[1:])
    if unknown := sum(costs.unknown for costs in takes):
        click.echo(f"the cost of {counted(unknown, 'task')} of these rows is unknown and not included")


def _show_overcharged(overcharged: list[Overcharge]) -> None:
    rows = [
        (over.task_uuid, over.partition, dollars(over.reserved_microusd), dollars(over.excess_microusd))
        for over in overcharged
    ]
    columns = ("task", "partition", "reserved", "excess")
    if rows:
        show_table("Charged more than was reserved", columns, rows, right=columns[2:], flexible=("partition",))


def _show_tasks(title: str, tasks: list[Task]) -> None:
    if tasks:
        rows = [
            (task.task_uuid, task.state, task.origin.partition, dollars(task.reserved_microusd), task.error_code or "")
            for task in tasks
        ]
        columns = ("task", "state", "partition", "reserved", "error")
        show_table(title, columns, rows, right=("reserved",), flexible=("partition", "error"), folded=("error",))


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


def _overcharge(over: Overcharge) -> dict[str, Any]:
    return {
        "task_uuid": over.task_uuid,
        "run_id": over.run_id,
        "partition": over.partition,
        "reserved_usd": float(usd(over.reserved_microusd)),
        "excess_usd": float(usd(over.excess_microusd)),
        "simulated": over.is_simulated,
    }


def _approved(costs: TakeCosts) -> dict[str, Any]:
    return {
        "simulated": costs.is_simulated,
        "approved": costs.approved,
        "rows": costs.rows,
        "tasks": costs.tasks,
        "cost_usd": float(usd(costs.cost_microusd)),
        "retakes": costs.retakes,
        "retakes_usd": float(usd(costs.retakes_microusd)),
        "per_approved_usd": float(usd(costs.per_approved_microusd)),
        "unknown_cost_count": costs.unknown,
    }


def _price(price: RecentPrices) -> dict[str, Any]:
    return {
        "kind": price.kind,
        "simulated": price.is_simulated,
        "tasks": price.tasks,
        "cost_usd": float(usd(price.cost_microusd)),
        "lowest_usd": float(usd(price.lowest_microusd)),
        "highest_usd": float(usd(price.highest_microusd)),
        "median_usd": float(usd(price.median_microusd)),
    }
