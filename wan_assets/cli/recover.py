"""`wan-assets ledger recover`: settles and fetches what is still open, and sends nothing."""

from __future__ import annotations

import asyncio
import sys
from contextlib import closing
from typing import Any

import click

from wan_assets.cli.connection import connected
from wan_assets.cli.display import dollars, show_json, show_table
from wan_assets.cli.options import json_option, mismatch_option, opened, url_option
from wan_assets.cli.progress import watched
from wan_assets.errors import RunwareError
from wan_assets.generation import Limits, OnMismatch, Recovered
from wan_assets.generation import recover as recovered_in
from wan_assets.ledger import Ledger
from wan_assets.pricing import usd
from wan_assets.progress import Following, Progress
from wan_assets.settings import Settings
from wan_assets.store import VideoStore


@click.command()
@url_option
@click.option("--store", "root", help="Root of the store; by default WAN_ASSETS_STORE, or ./wan_assets_data/videos.")
@click.option("--release-unsent", is_flag=True, help="Give back the money of tasks that never reached the API.")
@click.option(
    "--wait", "wait_s", type=click.FloatRange(min=0), default=1200.0, show_default=True, help="Seconds for a task."
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
    """Settle and fetch every task that is still open; nothing is sent. Needs no Dagster.

    Exit status: 0 nothing is open any more, 1 something still is, 2 it could not start.
    """
    book, settings = opened(url, context)
    with closing(book):
        store, limits = VideoStore(root or settings.store), Limits(max_wait_s=wait_s, on_mismatch=on_mismatch)
        found = asyncio.run(_recovered(book, settings, store, limits, releases=release_unsent, is_quiet=as_json))
        still_open = {task.task_uuid for task in book.open_tasks()} & {one.task.task_uuid for one in found}
    if as_json:
        show_json({"tasks": [_line(one) for one in found]})
    else:
        _show(found)
    sys.exit(1 if still_open else 0)


async def _recovered(
    book: Ledger, settings: Settings, store: VideoStore, limits: Limits, *, releases: bool, is_quiet: bool
) -> list[Recovered]:
    found: list[Recovered] = []
    async with connected(settings, book) as client:
        simulated = await client.is_simulated()
        first = Progress(sum(task.is_simulated == simulated for task in book.open_tasks()))
        with watched("open tasks", first, is_quiet=is_quiet) as show:
            following = Following(first, show)
            recovering = recovered_in(
                client=client, store=store, ledger=book, limits=limits, releases_unsent=releases, watch=following.tell
            )
            async for one in recovering:
                found.append(one)
                following.tell(one)
    return found


def _show(found: list[Recovered]) -> None:
    rows = [
        (one.task.task_uuid, one.task.origin.partition, _cost(one), "in the store" if one.stored else str(one.error))
        for one in found
    ]
    if rows:
        show_table("Open tasks", ("task", "partition", "cost", "now"), rows, right=("cost",), flexible=("now",))
    stored = sum(one.stored is not None for one in found)
    click.echo(f"{stored:,} of {len(found):,} open tasks are in the store now; nothing was sent.")
    for advice in dict.fromkeys(one.error.advice for one in found if one.error):
        click.echo(f"  what to do  {advice}")


def _cost(one: Recovered) -> str:
    return dollars(one.stored.cost_microusd) if one.stored else ""


def _line(one: Recovered) -> dict[str, Any]:
    cost = one.stored.cost_microusd if one.stored else None
    return {
        "task_uuid": one.task.task_uuid,
        "partition": one.task.origin.partition,
        "run_id": one.task.origin.run_id,
        "is_stored": one.stored is not None,
        "cost_usd": None if cost is None else float(usd(cost)),
        "class": type(one.error).__name__ if one.error else "",
        "code": one.error.code if isinstance(one.error, RunwareError) else "",
        "message": str(one.error or ""),
        "advice": one.error.advice if one.error else "",
    }
