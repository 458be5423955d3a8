"""`wan-assets ledger adopt`: accepts quarantined files as the videos of their rows."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import click

from wan_assets.cli.display import dollars, printable, show_json
from wan_assets.cli.options import json_option, open_ledger, url_option
from wan_assets.cli.suggestions import Suggestions
from wan_assets.engine import Adopted
from wan_assets.engine import adopt as adopted_by
from wan_assets.ledger import Ledger, TaskState, money_kind
from wan_assets.models import usd
from wan_assets.store import StoredTask, VideoStore


@click.command()
@click.argument("tasks", nargs=-1)
@click.option("--all", "takes_all", is_flag=True, help="Every task with a quarantined file.")
@click.option("--store", "root", help="Root of the store; by default WAN_ASSETS_STORE, or ./wan_assets_data/videos.")
@url_option
@json_option
@click.pass_context
def adopt(
    context: click.Context,
    tasks: tuple[str, ...],
    *,
    takes_all: bool,
    root: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Accept the quarantined files of TASKS, which deviate from the request or could not be decoded.

    Each file is decoded first; a damaged file is not accepted. The task is then recorded as stored, at the cost already
    recorded, and the next run of its table reuses it. Nothing is submitted. Dagster is not needed.

    Exit status: 0 the videos of all tasks are stored, 1 some are not, 2 it could not start.
    """
    if takes_all == bool(tasks):
        raise click.UsageError("Give TASKS or --all.")
    with open_ledger(url, context, root) as (ledger, settings):
        store = VideoStore(settings.store)
        found = asyncio.run(_adopted(_all_of(ledger, store) if takes_all else map(_task_uuid, tasks), store, ledger))
    suggestions = Suggestions.of(settings)
    if as_json:
        show_json({"tasks": [_line(one, suggestions) for one in found]})
    else:
        _show(found, suggestions)
    sys.exit(1 if any(one.error for one in found) else 0)


async def _adopted(tasks: Iterable[str], store: VideoStore, ledger: Ledger) -> list[Adopted]:
    return [one async for one in adopted_by(tasks, store=store, ledger=ledger)]


def _all_of(ledger: Ledger, store: VideoStore) -> list[str]:
    """Returns the ledger's tasks with quarantined files, oldest first."""
    quarantined = store.quarantined_tasks()
    return [
        task.task_uuid
        for task in ledger.open_tasks()
        if task.state is TaskState.DELIVERED and task.task_uuid in quarantined
    ]


def _task_uuid(given: str) -> str:
    """Returns a UUID in the ledger's form; other text is unchanged, and is not found."""
    try:
        return str(uuid.UUID(given.strip()))
    except ValueError:
        return given


def _show(found: Sequence[Adopted], suggestions: Suggestions) -> None:
    for one in found:
        click.echo(f"{printable(one.task_uuid)}: {printable(suggestions.completed(_message(one)))}")
    adopted = sum(one.stored is not None and not one.was_stored for one in found)
    tasks = "1 task is" if adopted == 1 else f"{adopted:,} tasks are"
    click.echo(f"{tasks} adopted; nothing was submitted or paid. The next run of the table reuses their videos.")
    for hint in dict.fromkeys(one.error.hint for one in found if one.error):
        click.echo(f"  what to do  {printable(suggestions.completed(hint))}")


def _message(one: Adopted) -> str:
    if one.stored is None:
        return f"not adopted: {one.error}"
    differences = "; ".join(one.stored.differences) or "matches the request"
    state = "was already stored" if one.was_stored else "adopted"
    money = f"{dollars(one.stored.cost_microusd)} ({money_kind(one.stored.is_simulated)})"
    return f"{state} as {one.stored.videos[0].uri}, cost {money}: {differences}"


def _line(one: Adopted, suggestions: Suggestions) -> dict[str, Any]:
    return {
        "task_uuid": one.task_uuid,
        "is_stored": one.stored is not None,
        "was_stored": one.was_stored,
        **(_stored(one.stored) if one.stored else {}),
        "class": type(one.error).__name__ if one.error else "",
        "message": suggestions.completed(str(one.error or "")),
        "hint": suggestions.completed(one.error.hint) if one.error else "",
    }


def _stored(stored: StoredTask) -> dict[str, Any]:
    cost = stored.cost_microusd
    return {
        "simulated": stored.is_simulated,
        "cost_usd": None if cost is None else float(usd(cost)),
        "uris": [video.uri for video in stored.videos],
        "differences": list(stored.differences),
    }
