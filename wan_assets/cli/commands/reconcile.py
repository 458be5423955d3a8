"""`wan-assets ledger reconcile`: compares the ledger with the account's usage."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any

import click

from wan_assets.cli.connection import connected
from wan_assets.cli.display import counted, dollars, printable, show_json, show_table
from wan_assets.cli.options import json_option, open_ledger, url_option
from wan_assets.cli.suggestions import Suggestions
from wan_assets.dataset import DayCompared, days_without_unknown_charges, reconciled
from wan_assets.ledger import Ledger, Task
from wan_assets.models import usd
from wan_assets.settings import Settings

_DAY = click.DateTime(formats=["%Y-%m-%d"])
_DAYS = 30


@click.command()
@url_option
@click.option("--since", type=_DAY, help=f"The first UTC day, such as 2026-01-31; {_DAYS} days ago by default.")
@click.option("--until", type=_DAY, help="The last UTC day; today by default.")
@click.option(
    "--release", is_flag=True, help="Settle unknown costs at $0 on days when the account charged what the ledger knows."
)
@json_option
@click.pass_context
def reconcile(
    context: click.Context,
    url: str | None,
    since: datetime | None,
    until: datetime | None,
    *,
    release: bool,
    as_json: bool,
) -> None:
    """Compare the ledger with the account's usage by day, and list every difference.

    With --release, the reservations of ended tasks of unknown cost are released for every day on which the account
    charged exactly the amount in the ledger. The account may show a charge late: release a day's reservations when its
    usage is complete.

    Exit status: 0 every day is equal, 1 some are not, 2 it could not start.
    """
    last = until.date() if until else datetime.now(UTC).date()
    first = since.date() if since else last - timedelta(days=_DAYS - 1)
    if first > last:
        raise click.UsageError(f"--since {first} is after --until {last}")
    with open_ledger(url, context) as (ledger, settings):
        days, simulated = asyncio.run(_compared(ledger, settings, first, last))
        settled = days_without_unknown_charges(days) if release else set()
        released = ledger.release_unknown(settled, simulated=simulated)
    if as_json:
        compared = {"first": first.isoformat(), "last": last.isoformat(), "days": [_line(day) for day in days]}
        show_json(compared | ({"released": [_released(task) for task in released]} if release else {}))
    else:
        _show(days, first, last, Suggestions.of(settings))
        if release:
            _show_released(released)
    sys.exit(0 if all(day.status == "equal" for day in days) else 1)


async def _compared(ledger: Ledger, settings: Settings, first: date, last: date) -> tuple[list[DayCompared], bool]:
    """Returns the days, and whether they are the simulator's."""
    async with connected(settings, ledger) as client:
        return await reconciled(client, ledger, first, last), await client.is_simulated()


def _show_released(released: list[Task]) -> None:
    amount = dollars(sum(task.reserved_microusd for task in released))
    tasks = f"{len(released):,} task{'' if len(released) == 1 else 's'}"
    click.echo(f"Released {amount} that was reserved for {tasks} of unknown cost.")


def _released(task: Task) -> dict[str, Any]:
    return {"task_uuid": task.task_uuid, "day": task.day, "released_usd": float(usd(task.reserved_microusd))}


def _show(days: list[DayCompared], first: date, last: date, suggestions: Suggestions) -> None:
    rows = [
        (
            day.day.isoformat(),
            dollars(day.ledger_microusd),
            dollars(day.reserved_microusd),
            dollars(day.account_microusd),
            dollars(day.difference_microusd),
            day.status,
        )
        for day in days
    ]
    columns = ("day", "spent", "reserved", "account", "difference", "result")
    show_table("The ledger and the account", columns, rows, right=columns[1:-1])
    unequal = [day for day in days if day.status != "equal"]
    equal = f"{len(days) - len(unequal)} of {counted(len(days), 'day')}"
    click.echo(f"{equal} from {first} to {last} (UTC) {'is' if len(days) == 1 else 'are'} equal.")
    if unequal:
        hint = (
            "`wan-assets ledger recover` settles open tasks. The ledger does not contain charges of other programs on "
            "the account."
        )
        click.echo(printable(suggestions.completed(hint)))


def _line(day: DayCompared) -> dict[str, Any]:
    return {
        "day": day.day.isoformat(),
        "ledger_tasks": day.ledger_tasks,
        "ledger_usd": float(usd(day.ledger_microusd)),
        "reserved_usd": float(usd(day.reserved_microusd)),
        "account_tasks": day.account_tasks,
        "account_usd": float(usd(day.account_microusd)),
        "difference_usd": float(usd(day.difference_microusd)),
        "result": day.status,
    }
