"""`wan-assets ledger budgets`: shows budgets with their forecasts; `set` and `unset` change those of the ledger."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import click
from pydantic import ValidationError

from wan_assets.cli.budget_json import budgets_json
from wan_assets.cli.budget_report import Account, BudgetReport, Plan, show_budgets
from wan_assets.cli.connection import connected
from wan_assets.cli.display import printable, show_json
from wan_assets.cli.estimate_report import needed_microusd
from wan_assets.cli.estimates import ledger_state
from wan_assets.cli.lazy import LazyCommand, LazyGroup
from wan_assets.cli.options import TABLE, TableOptions, json_option, open_ledger, url_option
from wan_assets.cli.suggestions import Suggestions
from wan_assets.ledger import BudgetLimit, BudgetState, Forecasts, Ledger, OpenPartitions, Per, conditions_in
from wan_assets.models import in_cents
from wan_assets.prompts import Summary, name_of, scan
from wan_assets.settings import Settings, SettingsError

_COMMANDS = {
    "set": LazyCommand("budgets", "set_budget", "Record a budget in the ledger, for all processes."),
    "unset": LazyCommand("budgets", "unset_budget", "Remove a budget that the ledger records."),
}
_MAX_DAYS = 30
"""The API reports at most 30 days of usage at once."""


@click.group(cls=LazyGroup, lazy_commands=_COMMANDS, invoke_without_command=True)
@click.option("--plan", "table", type=TABLE, help="Add what the rows of this table need that have no task yet.")
@click.option(
    "--backfills", is_flag=True, help="Add what open backfills and runs of the Dagster home still cost; loads Dagster."
)
@click.option("--account", "has_account", is_flag=True, help="Add the account's own projection of its usage.")
@url_option
@json_option
@click.pass_context
def budgets(
    context: click.Context,
    table: str | Path | None,
    url: str | None,
    *,
    backfills: bool,
    has_account: bool,
    as_json: bool,
) -> None:
    """Show each budget with what is spent, reserved and left, when it is exhausted, and the expected total.

    Shown are the budgets of the environment and those that the ledger records; the asset <name>_costs shows those of
    its resource `ledger`. Amounts are real money; without an API key, simulated money if the ledger has no other.

    Exit status: 0 shown, 1 the table of --plan has problems or does not fit in a budget, 2 it could not start.
    """
    if context.invoked_subcommand:
        return
    with open_ledger(url, context, has_budgets=True) as (ledger, settings):
        simulated = not settings.is_charged and not ledger.totals().real.tasks
        found = ledger.forecasts(simulated=simulated)
        states = [budget.state for budget in found.budgets]
        report = BudgetReport(
            found,
            simulated,
            _plan_of(table, settings, states, simulated=simulated) if table else None,
            _open_partitions(ledger, settings, states, simulated=simulated) if backfills else None,
            asyncio.run(_account_of(ledger, settings, found)) if has_account else None,
        )
    if as_json:
        show_json(budgets_json(report))
    else:
        show_budgets(report, Suggestions.of(settings))
    sys.exit(0 if report.fits else 1)


def _plan_of(table: str | Path, settings: Settings, states: Sequence[BudgetState], *, simulated: bool) -> Plan:
    if simulated == settings.is_charged:
        raise SettingsError("RUNWARE_API_KEY is not set, and the ledger contains tasks of a real account")
    source = TableOptions().of_file_or_settings(table, settings)
    with ledger_state(settings) as state:
        summary = Summary.of(scan(source), state.prices())
        needed = {each.counter: needed_microusd(each, summary.prices) for each in states}
    return Plan(name_of(table), summary.problem_count, needed)


def _open_partitions(
    ledger: Ledger, settings: Settings, states: Sequence[BudgetState], *, simulated: bool
) -> list[OpenPartitions]:
    """Reads the Dagster home, if there is one, for the assets that the ledger knows."""
    if not settings.dagster_home.is_dir():
        return []
    home, automation = import_module("wan_assets.cli.dagster_home"), import_module("wan_assets.orchestration")
    assets = {line.key for line in ledger.spending("asset") if line.is_simulated == simulated}
    with home.instance_in(settings.dagster_home) as instance:
        wanted = automation.open_partitions(instance, assets)
    return ledger.open_partitions([state.counter for state in states], wanted, simulated=simulated)


async def _account_of(ledger: Ledger, settings: Settings, found: Forecasts) -> Account:
    last = found.now.date()
    first = max(last.replace(day=1), last - timedelta(days=_MAX_DAYS - 1))
    async with connected(settings, ledger) as client:
        return Account(first, last, await client.usage_totals(first, last), await client.is_simulated())


def _scope(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Returns the conditions of all `--scope`, each of which may contain several."""
    try:
        conditions = conditions_in(",".join(given))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if any(not text.strip(" ,") for text in given):
        raise click.BadParameter("an empty scope would limit everything: leave out --scope for that")
    return conditions


def _limit_options(command: Any) -> Any:
    """Adds the options that say what a budget counts."""
    for option in (
        click.option(
            "--time-zone", default="UTC", show_default=True, help="The time zone of the periods, such as Europe/Berlin."
        ),
        click.option(
            "--scope",
            multiple=True,
            callback=_scope,
            metavar="NAME=VALUE",
            help="A condition, such as campaign=fall, asset=trailers or run_tag:team=ads, or several with commas "
            "between them; repeatable, all must hold.",
        ),
        click.option("--per", type=click.Choice(get_args(Per)), required=True, help="The period."),
    ):
        command = option(command)
    return url_option(command)


@click.command()
@click.argument("limit_usd", metavar="USD", type=float)
@_limit_options
@click.pass_context
def set_budget(context: click.Context, /, limit_usd: float, url: str | None, **counts: Any) -> None:
    """Record a budget of USD dollars in the ledger, for all processes from their next reservation on.

    It replaces the budget of the same scope, period and time zone in their configurations. Below what is spent it stops
    submissions; raised, it lets them continue. Tasks that are submitted are not affected.

    Exit status: 0 recorded, 2 it could not start.
    """
    limit = _limit_of(limit_usd, **counts)
    with open_ledger(url, context, has_budgets=True) as (ledger, settings):
        known = [state.counter for state in ledger.budget_states("", simulated=not settings.is_charged)]
        ledger.set_budget(limit)
        simulated = not settings.is_charged and not ledger.totals().real.tasks
        states = {state.counter: state for state in ledger.budget_states("", simulated=simulated)}
    state = states[limit.counter]
    click.echo(printable(f"{limit.counter.name}: {in_cents(limit.microusd)} for all processes; {_present(state)}"))
    for other in known:
        if other != limit.counter and (other.per, other.scope) == (limit.counter.per, limit.counter.scope):
            kept = f"the budget {other.name} also stays in force: to change that one, add --time-zone {other.time_zone}"
            click.echo(printable(kept), err=True)


@click.command()
@_limit_options
@click.pass_context
def unset_budget(context: click.Context, /, url: str | None, **counts: Any) -> None:
    """Remove a budget that the ledger records; then those of the configurations apply again.

    Exit status: 0 removed, 1 the ledger records no such budget, 2 it could not start.
    """
    limit = _limit_of(0, **counts)
    with open_ledger(url, context) as (ledger, settings):
        is_recorded = limit.counter in ledger.recorded_budgets()
        if is_recorded:
            ledger.unset_budget(limit)
    name = limit.counter.name
    if is_recorded:
        click.echo(printable(f"{name}: removed; the budgets of the configurations apply"))
        return
    hint = Suggestions.of(settings).completed("`wan-assets ledger budgets` lists those set in the ledger")
    click.echo(printable(f"{name}: the ledger records no such budget; {hint}"), err=True)
    sys.exit(1)


def _limit_of(usd: float, *, per: str, scope: dict[str, str], time_zone: str) -> BudgetLimit:
    try:
        return BudgetLimit.model_validate({"usd": usd, "per": per, "scope": scope, "time_zone": time_zone})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        raise click.UsageError(f"{first['loc'][0]}: {message}") from None


def _present(state: BudgetState) -> str:
    if state.counter.per == "run":
        return "it applies to each run"
    committed = f"{in_cents(state.committed_microusd)} is spent or reserved"
    if state.committed_microusd < state.cap_microusd:
        return f"{committed}, {in_cents(state.room_microusd)} is left"
    reset = f" It resets at {state.resets_at:%Y-%m-%d %H:%M %Z}." if state.resets_at else ""
    what = "No row that counts in it" if state.counter.scope else "Nothing"
    return f"{committed}. {what} is submitted until it is raised or unset.{reset}"
