"""The result of a run over a table, for people and for programs, read from the ledger even after an interruption."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import click

from wan_assets.cli.display import counted, dollars, printable, show_table
from wan_assets.cli.failed_rows import show_failures
from wan_assets.cli.failures import Failure, failure_of
from wan_assets.cli.kind_costs import kind_costs_json, show_kind_costs
from wan_assets.cli.run import TableRun
from wan_assets.cli.selection_options import selection_json, show_selection
from wan_assets.engine import Outcome
from wan_assets.errors import LedgerError
from wan_assets.ledger import BudgetAlert, Ledger, RunAccount, SkippedRows, Task, skipped_rows_of
from wan_assets.models import usd
from wan_assets.prompts import PromptRow, label_of
from wan_assets.settings import LEDGER_VARIABLE, TABLE_OPTIONS_VARIABLE
from wan_assets.store import StoredTask, VideoStore

_PROMPT_SHOWN = 60
_DEVIATIONS_SHOWN = 5
_BUSY_S = 5.0
_STATES = {"reserved": "reserved", "submitted": "in flight", "delivered": "to be stored", "lost": "lost"}


class Deviation(NamedTuple):
    """A row and its stored videos that deviate from the request."""

    prompt_id: str
    stored: StoredTask


@dataclass(frozen=True)
class Summary:
    """A run and its account in the ledger; `ledger_error` is the error if the ledger is unreadable.

    `alerts` are those of budgets whose shares the run has reached.
    """

    run: TableRun
    account: RunAccount
    ledger_error: Failure | None = None
    alerts: Sequence[BudgetAlert] = ()

    @classmethod
    def of(cls, run: TableRun) -> Summary:
        """Reads a run's account; a run that did not start may have no ledger."""
        fingerprints = sorted({row.fingerprint for row in run.rows})
        if not run.has_started:
            return cls(run, RunAccount())
        try:
            with Ledger(run.settings.ledger, must_exist=True, busy_s=_BUSY_S) as ledger:
                alerts = [alert for alert in ledger.budget_alerts() if alert.run_id == run.run_id]
                return cls(run, ledger.run_account(run.run_id, fingerprints), alerts=alerts)
        except LedgerError as error:
            return cls(run, RunAccount(), run.suggestions.failure(failure_of(error)))

    @property
    def rows(self) -> Sequence[PromptRow]:
        """The rows that the run requests; none if the table has problems."""
        return self.run.rows

    @property
    def is_simulated(self) -> bool:
        """Whether the money is simulated: the configured API address may be a simulator's."""
        return self.run.settings.is_simulated or self.run.is_simulated or bool(self.account.is_simulated)

    @property
    def outcomes(self) -> list[Outcome]:
        """The engine's results by row, in the table's order."""
        found = (self.run.outcomes.get(row.prompt_id) for row in self.rows)
        return [outcome for outcome in found if outcome]

    @property
    def succeeded(self) -> int:
        """The number of rows whose partitions Dagster recorded."""
        return len(self.materialized)

    @cached_property
    def materialized(self) -> frozenset[str]:
        """The rows whose partitions Dagster recorded; without a result of Dagster, those with a stored video."""
        stored = {outcome.job.partition for outcome in self.outcomes if outcome.stored}
        return frozenset(self.run.materialized if self.run.has_result else stored)

    @property
    def reused(self) -> int:
        """The number of rows whose video was stored before this run."""
        return sum(outcome.is_reused for outcome in self.outcomes)

    def failures(self) -> list[tuple[PromptRow, Failure]]:
        """Returns every row without a materialized partition that was not skipped, with the reason."""
        still_open = {task.fingerprint: task for task in self.account.open_tasks}
        failed = [row for row in self._missing if not self._is_skipped(row)]
        return [(row, self._failure(row, still_open.get(row.fingerprint))) for row in failed]

    def skipped(self) -> list[tuple[PromptRow, Failure]]:
        """Returns every row that was left out because of a budget or a pause, with the reason."""
        return [(row, self._failure(row, None)) for row in self._missing if self._is_skipped(row)]

    def skip_reasons(self) -> list[SkippedRows]:
        """Returns the budgets and the pause because of which rows were left out, with the missing amounts."""
        return skipped_rows_of(outcome.error for outcome in self.outcomes if outcome.is_skipped and outcome.error)

    @property
    def _missing(self) -> list[PromptRow]:
        return [row for row in self.rows if row.prompt_id not in self.materialized]

    def _is_skipped(self, row: PromptRow) -> bool:
        outcome = self.run.outcomes.get(row.prompt_id)
        return outcome is not None and outcome.is_skipped

    def deviations(self) -> list[Deviation]:
        """Returns every row whose stored videos deviate from the request, in the table's order."""
        return [
            Deviation(outcome.job.partition, outcome.stored)
            for outcome in self.outcomes
            if outcome.stored and outcome.stored.differences
        ]

    def damaged_files(self) -> list[str]:
        """Returns the URIs of this table's files that are missing or differ from the stored content."""
        store = VideoStore(self.run.settings.store)
        stored = (outcome.stored.videos for outcome in self.outcomes if outcome.stored)
        return [video.uri for videos in stored for video in videos if not store.verifies(video)]

    def _failure(self, row: PromptRow, task: Task | None) -> Failure:
        outcome, ended = self.run.outcomes.get(row.prompt_id), self.run.failure
        if outcome and outcome.error:
            return self.run.suggestions.failure(failure_of(outcome.error))
        if self.run.signal or ended is None:
            name = self.run.signal.name if self.run.signal else ""
            return Failure("Interrupted", _where(task, name or "the run's end"), "Run the same command again.", name)
        return ended


def _where(task: Task | None, by: str) -> str:
    if task is None:
        return f"interrupted by {by} before it was submitted"
    return f"interrupted by {by}; its task {task.task_uuid} is {_STATES.get(task.state, task.state)}"


def summary_json(found: Summary) -> dict[str, Any]:
    """Returns the object that `--json` prints."""
    failures, skipped, account, run = found.failures(), found.skipped(), found.account, found.run
    reasons = found.skip_reasons()
    error = run.failure or found.ledger_error
    return {
        "rows": len(found.rows),
        "selection": selection_json(run.options.selection, [row.prompt_id for row in found.rows], run.left_out),
        "succeeded": found.succeeded,
        "failed": len(failures),
        "skipped": len(skipped),
        "reused": found.reused,
        "submitted": account.submitted,
        "in_flight": account.in_flight,
        "to_be_stored": account.to_be_stored,
        "unconfirmed": account.unconfirmed,
        "lost": account.lost,
        "stored": account.stored,
        "cost_usd": float(usd(account.cost_microusd)),
        "reserved_usd": float(usd(account.reserved_microusd)),
        "estimate_by_kind": kind_costs_json(account.kinds),
        "unknown_cost_count": account.unknown_costs,
        "shortfall_usd": float(usd(sum(reason.shortfall_microusd for reason in reasons))),
        "simulated": found.is_simulated,
        "deviating": len(deviations := found.deviations()),
        "deviations": [_deviation(*one) for one in deviations],
        "videos": list(_videos(found)),
        "failures": [{"prompt_id": row.prompt_id, **failure.as_json()} for row, failure in failures],
        "skipped_rows": [{"prompt_id": row.prompt_id, **failure.as_json()} for row, failure in skipped],
        "skip_reasons": [_reason_json(reason) for reason in reasons],
        "budget_alerts": [_alert_json(alert) for alert in found.alerts],
        "run_id": run.run_id,
        "error": error.as_json() if error else None,
    }


def _reason_json(reason: SkippedRows) -> dict[str, Any]:
    resets_at = reason.resets_at.isoformat() if reason.resets_at else None
    shortfall = float(usd(reason.shortfall_microusd))
    return {"rows": reason.rows, "reason": reason.reason, "shortfall_usd": shortfall, "resets_at": resets_at}


def _alert_json(alert: BudgetAlert) -> dict[str, Any]:
    amounts = {"limit_usd": float(alert.limit_usd), "committed_usd": float(alert.committed_usd)}
    return {"budget": alert.budget, "percent": alert.percent, **amounts, "message": alert.message}


def _videos(found: Summary) -> Iterator[dict[str, Any]]:
    for outcome in found.outcomes:
        for video in outcome.stored.videos if outcome.stored else ():
            cost = None if video.cost_microusd is None else float(usd(video.cost_microusd))
            yield {"prompt_id": outcome.job.partition, "uri": video.uri, "cost_usd": cost, "sha256": video.sha256}


def show_summary(found: Summary, damaged_files: list[str]) -> None:
    """Prints each row with its cost, the failures, the totals, how to continue, and the locations of results."""
    columns = ("prompt_id", "video", "state", "cost", "prompt")
    still_open = {task.fingerprint: task for task in found.account.open_tasks}
    rows = [_row(found, row, still_open.get(row.fingerprint)) for row in found.rows]
    more = "--json lists every video and failure"
    show_table("Videos", columns, rows, right=("cost",), flexible=("prompt",), more=more)
    show_failures(found.failures())
    show_failures(found.skipped(), "skipped")
    _show_deviations(found.deviations())
    for reason in found.skip_reasons():
        click.echo(f"{reason}.")
    for alert in found.alerts:
        click.echo(f"{alert.message}.")
    for uri in damaged_files:
        click.echo(f"missing or changed file: {printable(uri)}")
    show_kind_costs(found.account.kinds)
    _show_sums(found)
    _show_continuing(found)
    if not found.run.signal:
        _show_locations(found)


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
        "with the filter `deviates from the request`; `--on-mismatch fail` quarantines such videos instead.\n"
    )


def _deviation(prompt_id: str, stored: StoredTask) -> dict[str, Any]:
    return {
        "prompt_id": prompt_id,
        "task_uuid": stored.task_uuid,
        "uri": stored.videos[0].uri,
        "differences": list(stored.differences),
    }


def _show_sums(found: Summary) -> None:
    show_selection(found.run.options.selection, [row.prompt_id for row in found.rows], found.run.left_out)
    skipped = len(found.skipped())
    left_out = counted(skipped, "row")
    account, of_all = found.account, f"{found.succeeded:,} of {counted(len(found.rows), 'row')}"
    click.echo(
        f"{of_all} {'has its' if len(found.rows) == 1 else 'have their'} video, {found.reused:,} of them reused"
        f"{f'; {left_out} skipped' if skipped else ''}."
    )
    if found.ledger_error:
        click.echo(f"The ledger cannot be read, so the cost is unknown: {found.ledger_error.message}")
        click.echo("  what to do  Run `wan-assets ledger` when it can be read.")
        return
    paid = "simulated dollars: nothing was charged" if found.is_simulated else "spent"
    unknown = f"; the cost of {counted(account.unknown_costs, 'task')} is unknown" if account.unknown_costs else ""
    reserved = f", {dollars(account.reserved_microusd)} reserved" if account.reserved_microusd else ""
    click.echo(f"{_tasks(found)}; this run cost {dollars(account.cost_microusd)} ({paid}){reserved}{unknown}.")
    if account.unknown_costs:
        hint = found.run.suggestions.of_unknown_costs(simulated=found.is_simulated)
        click.echo(f"  what to do  {printable(hint)}")


def _tasks(found: Summary) -> str:
    """Describes the run's tasks by state; after a signal, reserved rows may also have waited for capacity."""
    account = found.account
    reserved = "waiting for capacity, or submission unconfirmed" if found.run.signal else "submission unconfirmed"
    counts = {
        "in flight": account.in_flight,
        "to be stored (results are known)": account.to_be_stored,
        f"reserved ({reserved})": account.unconfirmed,
        "lost": account.lost,
        "stored": account.stored,
    }
    described = [f"{count:,} {description}" for description, count in counts.items() if count and account.open_tasks]
    return ", ".join([_submissions(account.submitted), *described])


def _submissions(submissions: int) -> str:
    if not submissions:
        return "No submissions"
    return counted(submissions, "submission")


def _show_continuing(found: Summary) -> None:
    if not (found.account.open_tasks or found.run.signal):
        return
    click.echo(
        "To continue, run the same command again: stored videos are reused, open tasks are polled, not paid again."
    )
    if found.account.open_tasks and not found.run.settings.is_simulated:
        click.echo(f"To {_recovery(found.account)} and submit nothing:")
        click.echo(f"  wan-assets ledger recover{found.run.suggestions.options}")


def _recovery(account: RunAccount) -> str:
    """Describes briefly what `recover` does for the open tasks."""
    kinds = {
        "fetch tasks in flight": account.in_flight,
        "store known results": account.to_be_stored,
        "poll reserved tasks": account.unconfirmed,
        "poll lost tasks": account.lost,
    }
    return ", ".join(description for description, count in kinds.items() if count)


def _show_locations(found: Summary) -> None:
    settings, python = found.run.settings, shlex.quote(sys.executable)
    places = {
        "DAGSTER_HOME": str(settings.dagster_home),
        "WAN_ASSETS_PROMPTS": label_of(settings.prompts),
        "WAN_ASSETS_STORE": settings.store,
    }
    if options := found.run.options.table.as_json:
        places[TABLE_OPTIONS_VARIABLE] = options
    if ledger := found.run.suggestions.url_option:
        places[LEDGER_VARIABLE] = settings.ledger
    click.echo(f"\nvideos    {settings.store}")
    click.echo(f"spending  {python} -m wan_assets ledger{ledger}")
    click.echo("Dagster   to see the videos at http://127.0.0.1:3000:\n")
    for name, value in places.items():
        click.echo(f"  {name}={printable(shlex.quote(value))} \\")
    click.echo(f"  {python} -m dagster dev -m wan_assets.definitions")


def _row(found: Summary, row: PromptRow, task: Task | None) -> tuple[str, ...]:
    outcome, prompt = found.run.outcomes.get(row.prompt_id), row.request.prompt[:_PROMPT_SHOWN]
    if outcome is None or outcome.stored is None:
        state = ("skipped" if outcome.is_skipped else "failed") if outcome else "not submitted"
        return (row.prompt_id, "", _STATES.get(task.state, state) if task else state, "", prompt)
    state = f"{'reused' if outcome.is_reused else 'new'}{', deviates' if outcome.stored.differences else ''}"
    return (row.prompt_id, _described(row, outcome.stored), state, dollars(outcome.cost_microusd), prompt)


def _described(row: PromptRow, stored: StoredTask) -> str:
    facts = stored.videos[0].facts
    count = f"{len(stored.videos)} x " if len(stored.videos) > 1 else ""
    size = f"{facts.get('container')} {facts.get('width')}x{facts.get('height')} {facts.get('duration_s') or 0:.0f} s"
    audio = "" if facts.get("audio_codec") else ", silent"
    return f"{count}{size}{audio}{', from image' if row.request.image else ''}"
