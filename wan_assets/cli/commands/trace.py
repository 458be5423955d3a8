"""`wan-assets ledger trace`: shows everything the ledger knows about a video, from any of its identifiers."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from wan_assets.cli.display import counted, dollars, printable, show_json
from wan_assets.cli.options import json_option, open_ledger, url_option
from wan_assets.ledger import Task, money_kind
from wan_assets.models import usd

_VIDEO = ("video_uuid", "seed", "uri", "sha256")


@click.command()
@click.argument("identifier")
@url_option
@json_option
@click.pass_context
def trace(context: click.Context, identifier: str, url: str | None, *, as_json: bool) -> None:
    """Show row, request, run, cost and files of every task that IDENTIFIER identifies.

    IDENTIFIER is a task's UUID, a fingerprint, a prompt_id, a partition, a run, or a video's UUID, SHA-256 or URI.

    Exit status: 0 a task was found, 1 none was found.
    """
    with open_ledger(url, context) as (ledger, _):
        tasks = ledger.find_tasks(identifier)
    if as_json:
        show_json({"tasks": [_as_json(task) for task in tasks]})
    else:
        for task in tasks:
            _show(task)
        click.echo(f"{counted(len(tasks), 'task')} found for {printable(identifier)}")
    sys.exit(0 if tasks else 1)


def _show(task: Task) -> None:
    origin = task.origin
    lines = {
        "task": f"{task.task_uuid} {task.state}, attempt {task.attempt}, {money_kind(task.is_simulated)}",
        "row": f"{origin.prompt_id}, partition {origin.partition} of {origin.asset}",
        "run": f"{origin.run_id}, submitted {task.submitted_at or 'never'}, ended {task.finished_at or 'not yet'}",
        "request": f"{task.fingerprint}: {task.request.get('positivePrompt', '')}",
        "cost": f"{dollars(task.cost_microusd)}, still reserved {dollars(task.reserved_microusd)}",
    }
    for name, value in lines.items():
        click.echo(f"{name:8} {printable(value)}")
    for result in task.results:
        click.echo(f"{'video':8} {printable(_video(result))}")
    if task.error_code:
        click.echo(f"{'error':8} {printable(f'{task.error_code}: {task.error_message}')}")
    click.echo()


def _video(result: Mapping[str, Any]) -> str:
    return f"{result.get('uri') or 'not stored'}, seed {result.get('seed')}, sha256 {result.get('sha256')}"


def _as_json(task: Task) -> dict[str, Any]:
    return {
        "task_uuid": task.task_uuid,
        "state": task.state,
        "attempt": task.attempt,
        "simulated": task.is_simulated,
        "prompt_id": task.origin.prompt_id,
        "partition": task.origin.partition,
        "asset": task.origin.asset,
        "run_id": task.origin.run_id,
        "fingerprint": task.fingerprint,
        "request": task.request,
        "cost_usd": float(usd(task.cost_microusd)),
        "reserved_usd": float(usd(task.reserved_microusd)),
        "submitted_at": task.submitted_at,
        "finished_at": task.finished_at,
        "error": task.error_code,
        "videos": [
            {key: result.get(key) for key in ("video_uuid", "seed", "uri", "sha256")} for result in task.results
        ],
    }
