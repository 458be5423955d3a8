"""`wan-assets ledger settle`: books the cost of tasks that the API did not tell, as a person found it out."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import click

from wan_assets.cli.display import dollars, show_json
from wan_assets.cli.options import json_option, opened, url_option
from wan_assets.ledger import Task
from wan_assets.pricing import microusd, usd


def _microusd(_: click.Context, __: click.Parameter, said: str) -> int:
    try:
        return microusd(said)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("tasks", nargs=-1, required=True)
@click.option("--cost", "cost_microusd", required=True, callback=_microusd, help="The cost of each task in dollars.")
@url_option
@json_option
@click.pass_context
def settle(
    context: click.Context, tasks: tuple[str, ...], cost_microusd: int, url: str | None, *, as_json: bool
) -> None:
    """Record the cost of TASKS that ended without reporting it, or are lost: 0 where `reconcile` shows no charge.

    The rest of the reservation is released. A lost task is given up: the next run buys its row again.
    """
    book, _ = opened(url, context)
    with closing(book):
        settled = [book.book_cost(task_uuid, cost_microusd) for task_uuid in tasks]
    if as_json:
        show_json({"tasks": [_line(task) for task in settled]})
        return
    for task in settled:
        click.echo(f"{task.task_uuid} {task.state}: {dollars(task.cost_microusd)}, nothing reserved")


def _line(task: Task) -> dict[str, Any]:
    return {"task_uuid": task.task_uuid, "state": task.state, "cost_usd": float(usd(task.cost_microusd))}
