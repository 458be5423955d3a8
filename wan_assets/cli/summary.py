"""What a run over a table came to, for people and for programs."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import click

from wan_assets.cli.display import dollars, printable, show_table
from wan_assets.cli.run import Deviation, TableRun
from wan_assets.pricing import usd
from wan_assets.prompts import PromptRow
from wan_assets.settings import Settings
from wan_assets.store import StoredTask

_PROMPT_SHOWN = 60
_FAILED_SHOWN = 10
_DEVIATIONS_SHOWN = 5


def summary_json(run: TableRun) -> dict[str, Any]:
    """The object that `--json` prints."""
    failures = run.failures()
    return {
        "rows": len(run.table.rows),
        "green": len(run.green),
        "failed": len(failures),
        "reused": run.reused,
        "submitted": run.submitted,
        "cost_usd": float(usd(run.cost_microusd)),
        "unknown_cost": run.unknown_cost,
        "missing_usd": float(usd(sum(shortfall.missing_microusd for shortfall in run.shortfalls()))),
        "deviating": len(deviations := run.deviations()),
        "deviations": [_deviation(*one) for one in deviations],
        "failures": failures,
        "run_id": run.run_id,
    }


def show_summary(run: TableRun, settings: Settings, broken: list[str]) -> None:
    """Prints each row with its cost, the sums, what failed, and where to look."""
    columns = ("prompt_id", "video", "state", "cost", "prompt")
    rows = [_row(run, row) for row in run.table.rows]
    show_table("Videos", columns, rows, right=("cost",), flexible=("prompt",))
    _show_failures(run.failures())
    _show_deviations(run.deviations())
    for shortfall in run.shortfalls():
        click.echo(f"{shortfall}.")
    for uri in broken:
        click.echo(f"not as it was stored: {uri}")
    _show_sums(run, settings)
    _show_places(settings)


def _show_failures(failures: list[dict[str, str]]) -> None:
    """Prints each kind of failure once, with what to do and the rows that it met."""
    kinds: dict[tuple[str, str], list[dict[str, str]]] = {}
    for failure in failures:
        kinds.setdefault((failure["class"], failure["code"]), []).append(failure)
    for (kind, code), rows in kinds.items():
        named = ", ".join(row["prompt_id"] for row in rows[:_FAILED_SHOWN])
        more = f" and {len(rows) - _FAILED_SHOWN:,} more" if len(rows) > _FAILED_SHOWN else ""
        click.echo(f"{len(rows):,} failed: {kind}{f' [{code}]' if code else ''}")
        click.echo(f"  rows        {printable(named)}{more}")
        click.echo(f"  said        {printable(rows[0]['message'])}")
        click.echo(f"  what to do  {rows[0]['advice']}\n")


def _show_deviations(deviations: list[Deviation]) -> None:
    """Prints how many videos deviate, the first of them, and where all are shown."""
    if not deviations:
        return
    count = "1 row has" if len(deviations) == 1 else f"{len(deviations):,} rows have"
    click.echo(f"{count} a playable video that deviates from the request:")
    for prompt_id, stored in deviations[:_DEVIATIONS_SHOWN]:
        click.echo(f"  {printable(prompt_id)}: {printable('; '.join(stored.differences))}")
    if len(deviations) > _DEVIATIONS_SHOWN:
        click.echo(f"  and {len(deviations) - _DEVIATIONS_SHOWN:,} more, which --json lists")
    click.echo(
        "  The videos are stored, and the check `matches_request` of their partitions fails. The gallery shows them "
        "with the filter `deviates from the request`; `--on-mismatch fail` sets such videos aside instead.\n"
    )


def _deviation(prompt_id: str, stored: StoredTask) -> dict[str, Any]:
    return {
        "prompt_id": prompt_id,
        "task_uuid": stored.task_uuid,
        "uri": stored.videos[0].uri,
        "differences": list(stored.differences),
    }


def _show_sums(run: TableRun, settings: Settings) -> None:
    rows, money = len(run.table.rows), dollars(run.cost_microusd)
    click.echo(f"{len(run.green):,} of {rows:,} rows have their video, {run.reused:,} of them reused.")
    sent = _sent(run.submitted)
    unknown = f"; the cost of {run.unknown_cost:,} is unknown" if run.unknown_cost else ""
    paid = "simulated dollars: nothing was charged" if settings.is_simulated or run.is_simulated else "spent"
    click.echo(f"{sent}; this run cost {money} ({paid}){unknown}.")


def _sent(submissions: int) -> str:
    if submissions == 1:
        return "1 submission was sent"
    return f"{submissions:,} submissions were sent" if submissions else "No submission was sent"


def _show_places(settings: Settings) -> None:
    python = shlex.quote(sys.executable)
    places = {
        "DAGSTER_HOME": str(settings.dagster_home),
        "WAN_ASSETS_PROMPTS": str(settings.prompts.absolute()),
        "WAN_ASSETS_STORE": settings.store,
        "WAN_ASSETS_LEDGER": settings.ledger,
    }
    click.echo(f"\nvideos    {settings.store}")
    click.echo(f"spending  {python} -m wan_assets ledger --url {shlex.quote(settings.ledger)}")
    click.echo("Dagster   to see them at http://127.0.0.1:3000:\n")
    for name, value in places.items():
        click.echo(f"  {name}={shlex.quote(value)} \\")
    click.echo(f"  {python} -m dagster dev -m wan_assets.definitions")


def _row(run: TableRun, row: PromptRow) -> tuple[str, ...]:
    outcome, prompt = run.outcomes.get(row.prompt_id), row.request.positive_prompt[:_PROMPT_SHOWN]
    if outcome is None or outcome.stored is None:
        return (row.prompt_id, "", "failed", "", prompt)
    state = f"{'reused' if outcome.is_reused else 'new'}{', deviates' if outcome.stored.differences else ''}"
    return (row.prompt_id, _described(row, outcome.stored), state, dollars(outcome.cost_microusd), prompt)


def _described(row: PromptRow, stored: StoredTask) -> str:
    facts = stored.videos[0].facts
    count = f"{len(stored.videos)} x " if len(stored.videos) > 1 else ""
    size = f"{facts.get('container')} {facts.get('width')}x{facts.get('height')} {facts.get('duration_s') or 0:.0f} s"
    sound = "" if facts.get("audio_codec") else ", silent"
    return f"{count}{size}{sound}{', from image' if row.request.image else ''}"
