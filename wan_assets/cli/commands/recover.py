"""`wan-assets ledger recover`: settles and fetches open tasks; submits nothing."""

from __future__ import annotations

import asyncio
import signal
import sys
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import click

from wan_assets.cli import signals
from wan_assets.cli.connection import connected
from wan_assets.cli.display import counted, dollars, printable, show_json, show_table
from wan_assets.cli.failures import Failure, failure_of, interruption
from wan_assets.cli.options import json_option, mismatch_option, open_ledger, url_option
from wan_assets.cli.progress import ProgressDisplay, progress_display
from wan_assets.cli.suggestions import Suggestions
from wan_assets.engine import Limits, OnMismatch, Progress, ProgressTracker, Recovered
from wan_assets.engine import recover as recovered_in
from wan_assets.ledger import Ledger, Origin
from wan_assets.models import usd
from wan_assets.settings import Settings
from wan_assets.store import VideoStore

OpenDisplay: TypeAlias = Callable[[Progress], AbstractContextManager[ProgressDisplay]]

_CHECK_INTERVAL_S = 0.2


@dataclass
class _Recovery:
    """The state of a recovery of all open tasks."""

    ledger: Ledger
    settings: Settings
    store: VideoStore
    limits: Limits
    releases: bool
    run_id: str = field(default_factory=lambda: f"recover-{uuid.uuid4()}")
    found: list[Recovered] = field(default_factory=list)
    is_simulated: bool = False

    async def run(self, display: OpenDisplay, stop: signals.StopRequest) -> None:
        """Recovers until all tasks are done or `stop` is requested."""
        working = asyncio.create_task(self._work(display))
        while not working.done():
            await asyncio.wait([working], timeout=_CHECK_INTERVAL_S)
            if stop.signal:
                working.cancel()
        with suppress(asyncio.CancelledError):
            await working

    async def _work(self, display: OpenDisplay) -> None:
        async with connected(self.settings, self.ledger) as client:
            self.is_simulated = simulated = await client.is_simulated()
            first = Progress(sum(task.is_simulated == simulated for task in self.ledger.open_tasks()))
            with display(first) as show:
                following = ProgressTracker(first, show)
                recovering = recovered_in(
                    client=client,
                    store=self.store,
                    ledger=self.ledger,
                    limits=self.limits,
                    release_unsent=self.releases,
                    origin=Origin(self.run_id),
                    on_progress=following.update,
                )
                async with aclosing(recovering) as found:
                    async for one in found:
                        self.found.append(one)
                        following.update(one)


@click.command()
@url_option
@click.option("--store", "root", help="Root of the store; by default WAN_ASSETS_STORE, or ./wan_assets_data/videos.")
@click.option("--release-unsent", is_flag=True, help="Release the reservations of tasks that never reached the API.")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(min=0),
    default=1200.0,
    show_default=True,
    help="Seconds to wait for a task.",
)
@mismatch_option
@json_option
@click.pass_context
def recover(
    context: click.Context,
    url: str | None,
    root: str | None,
    *,
    release_unsent: bool,
    wait_s: float,
    on_mismatch: OnMismatch,
    as_json: bool,
) -> None:
    """Settle and fetch every open task; nothing is submitted. Dagster is not needed.

    Exit status: 0 no task is open any more, 1 some still are, 2 it could not start, 130 and 143 after the signals INT
    and TERM.
    """
    with open_ledger(url, context, root) as (ledger, settings):
        limits = Limits(max_wait_s=wait_s, on_mismatch=on_mismatch)
        recovery = _Recovery(ledger, settings, VideoStore(settings.store), limits, release_unsent)
        display = partial(progress_display, "open tasks", is_quiet=as_json)
        ended = signals.run_supervised(
            lambda stop: asyncio.run(recovery.run(display, stop)), on_signal=partial(_say_stopping, is_quiet=as_json)
        )
        if ended.error is not None:
            raise ended.error
        _report(recovery, ended.signal, as_json=as_json)


def _say_stopping(number: signal.Signals, *, is_quiet: bool) -> None:
    if not is_quiet:
        click.echo(f"{number.name} received: recovery stops. A second signal ends it at once.", err=True)


def _report(recovery: _Recovery, number: signal.Signals | None, *, as_json: bool) -> None:
    """Prints from the ledger what was recovered and which tasks are open, and exits with the status."""
    account = recovery.ledger.run_account(recovery.run_id)
    tasks = [task for task in recovery.ledger.open_tasks() if task.is_simulated == recovery.is_simulated]
    still_open = {task.task_uuid for task in tasks} & {one.task.task_uuid for one in recovery.found}
    stored = sum(one.stored is not None for one in recovery.found)
    reserved_microusd = sum(task.reserved_microusd for task in tasks)
    if as_json:
        show_json(
            {
                "tasks": [_line(one, Suggestions.of(recovery.settings)) for one in recovery.found],
                "submitted": 0,
                "stored": stored,
                "in_flight": len(tasks),
                "cost_usd": float(usd(account.cost_microusd)),
                "reserved_usd": float(usd(reserved_microusd)),
                "unknown_cost_count": account.unknown_costs,
                "simulated": recovery.is_simulated,
                "error": interruption(number).as_json() if number else None,
            }
        )
    else:
        _show(recovery.found, Suggestions.of(recovery.settings))
        if tasks:
            kind = " (simulated dollars: nothing was charged)" if recovery.is_simulated else ""
            click.echo(f"{counted(len(tasks), 'task')} still open, {dollars(reserved_microusd)} reserved{kind}.")
        if account.unknown_costs:
            hint = Suggestions.of(recovery.settings).of_unknown_costs(simulated=recovery.is_simulated)
            click.echo(f"The cost of {counted(account.unknown_costs, 'task')} is unknown, and stays reserved.")
            click.echo(f"  what to do  {printable(hint)}")
        if number:
            click.echo(f"interrupted by {number.name}; to continue, run the same command again.")
    sys.exit(signals.exit_code_of(number) if number else 1 if still_open else 0)


def _show(found: list[Recovered], suggestions: Suggestions) -> None:
    rows = [
        (
            one.task.task_uuid,
            one.task.origin.partition,
            _cost(one),
            "in the store" if one.stored else suggestions.completed(str(one.error)),
        )
        for one in found
    ]
    if rows:
        show_table(
            "Open tasks",
            ("task", "partition", "cost", "now"),
            rows,
            right=("cost",),
            flexible=("now",),
            folded=("now",),
        )
    stored = sum(one.stored is not None for one in found)
    tasks = f"{stored:,} of {counted(len(found), 'open task')}"
    click.echo(f"{tasks} {'is' if len(found) == 1 else 'are'} in the store now; nothing was submitted.")
    for hint in dict.fromkeys(one.error.hint for one in found if one.error):
        click.echo(f"  what to do  {printable(suggestions.completed(hint))}")


def _cost(one: Recovered) -> str:
    return dollars(one.stored.cost_microusd) if one.stored else ""


def _line(one: Recovered, suggestions: Suggestions) -> dict[str, Any]:
    cost = one.stored.cost_microusd if one.stored else None
    return {
        "task_uuid": one.task.task_uuid,
        "partition": one.task.origin.partition,
        "run_id": one.task.origin.run_id,
        "is_stored": one.stored is not None,
        "cost_usd": None if cost is None else float(usd(cost)),
        **(suggestions.failure(failure_of(one.error)) if one.error else Failure("", "", "")).as_json(),
    }
