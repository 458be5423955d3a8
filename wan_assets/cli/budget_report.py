"""Budgets and their forecasts as `wan-assets ledger budgets` shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import click

from wan_assets.cli.display import counted, printable, show_table
from wan_assets.cli.suggestions import Suggestions
from wan_assets.client import UsageTotals
from wan_assets.ledger import Counter, Forecast, Forecasts, MonthForecast, OpenPartitions
from wan_assets.models import in_cents

_NOTHING = "-"


@dataclass(frozen=True)
class Account:
    """The account's own totals of some days; `is_simulated` if the simulator states them."""

    first: date
    last: date
    totals: UsageTotals
    is_simulated: bool


@dataclass(frozen=True)
class Plan:
    """What a table needs of each budget, in µ$; None if the table alone does not tell."""

    table: str
    problems: int
    needed: Mapping[Counter, int | None]


@dataclass(frozen=True)
class BudgetReport:
    """All that the command shows; what was not asked for is None."""

    found: Forecasts
    is_simulated: bool
    plan: Plan | None = None
    open_partitions: Sequence[OpenPartitions] | None = None
    account: Account | None = None

    def planned(self, budget: Forecast) -> int | None:
        """Returns what the table needs of a budget, in µ$."""
        return self.plan.needed.get(budget.state.counter) if self.plan else None

    def opened(self, budget: Forecast) -> int | None:
        """Returns what open partitions need of a budget, in µ$; None if it is not known of any."""
        if not self.has_open(budget) or self.open_partitions is None:
            return None
        known = [each.needed_microusd for each in self.open_partitions if each.needed_microusd is not None]
        is_unknown = self.open_partitions and not known
        return None if is_unknown else sum(needed[budget.state.counter] for needed in known)

    def left_after(self, budget: Forecast) -> int | None:
        """Returns what is left of a budget after the table and the open partitions; negative if they do not fit. None
        if one of them is not known.
        """
        planned, opened = self.planned(budget), self.opened(budget)
        is_unknown = (self.plan and planned is None) or (self.has_open(budget) and opened is None)
        return None if is_unknown else budget.state.balance_microusd - (planned or 0) - (opened or 0)

    def has_open(self, budget: Forecast) -> bool:
        """Whether open partitions were asked for and count in a budget; one of runs begins anew in each run."""
        return self.open_partitions is not None and not budget.is_of_runs

    @property
    def fits(self) -> bool:
        """Whether the table has no problems and fits in all budgets."""
        if self.plan is None:
            return True
        room = ((self.planned(budget) or 0, budget.state.room_microusd) for budget in self.found.budgets)
        return not self.plan.problems and all(needed <= left for needed, left in room)


def show_budgets(report: BudgetReport, suggestions: Suggestions) -> None:
    """Prints the budgets, their forecasts and where the numbers come from."""
    budgets, month = report.found.budgets, report.found.month
    if budgets:
        _show_amounts(budgets)
        _show_forecasts(budgets)
        _show_planned(report)
    else:
        hint = "`wan-assets ledger budgets set 500 --per month` sets one for all processes"
        click.echo(printable(f"No budget is set in the environment or in the ledger; {suggestions.completed(hint)}"))
    for line in _lines(report, month):
        click.echo(printable(line))


def _show_amounts(budgets: Sequence[Forecast]) -> None:
    rows = [
        (
            budget.state.title,
            in_cents(budget.state.cap_microusd),
            *([_NOTHING] * 4 if budget.is_of_runs else _amounts(budget)),
        )
        for budget in budgets
    ]
    columns = ("budget", "limit", "spent", "reserved", "left", "used")
    show_table("Budgets", columns, rows, right=columns[1:], flexible=columns[:1], folded=columns[:1])


def _amounts(budget: Forecast) -> list[str]:
    amounts = (budget.spent_microusd, budget.reserved_microusd, budget.state.room_microusd)
    return [*map(in_cents, amounts), f"{budget.percent:.1f}%"]


def _show_forecasts(budgets: Sequence[Forecast]) -> None:
    rows = [
        (budget.state.title, *_forecast(budget), "ledger" if budget.is_recorded else "config") for budget in budgets
    ]
    columns = ("budget", "per day", "exhausted", "expected", "until", "set in")
    show_table("Forecast", columns, rows, right=("per day", "expected"), flexible=columns[:1], folded=columns[:1])


def _forecast(budget: Forecast) -> tuple[str, ...]:
    if budget.is_of_runs:
        return (_NOTHING,) * 4
    return (
        in_cents(budget.rate.per_day_microusd),
        exhausted_text(budget),
        in_cents(budget.expected_microusd),
        f"{budget.expected_at:%Y-%m-%d}",
    )


def _show_planned(report: BudgetReport) -> None:
    if report.plan is None and report.open_partitions is None:
        return
    has_plan, has_open = report.plan is not None, report.open_partitions is not None
    rows = [
        (
            budget.state.title,
            in_cents(budget.state.balance_microusd),
            *([_known(report.planned(budget))] if has_plan else []),
            *([_NOTHING if budget.is_of_runs else _known(report.opened(budget))] if has_open else []),
            _known(report.left_after(budget)),
        )
        for budget in report.found.budgets
    ]
    columns = ("budget", "left", *["plan"] * has_plan, *["open partitions"] * has_open, "left after")
    show_table("Planned", columns, rows, right=columns[1:], flexible=columns[:1], folded=columns[:1])


def _lines(report: BudgetReport, month: MonthForecast) -> Iterator[str]:
    yield f"{month.month} (UTC), all tasks: {in_cents(month.committed_microusd)} spent or reserved"
    expected = f"{in_cents(month.expected_microusd)} expected until its end"
    yield f"  {in_cents(month.rate.per_day_microusd)} per day, {expected}"
    if report.account:
        yield from _account_texts(report.account)
    if report.plan:
        problems = f", {counted(report.plan.problems, 'problem')}" if report.plan.problems else ""
        fit = "does not fit in all budgets" if not report.fits and not report.plan.problems else "as `plan` reserves it"
        yield f"plan: {report.plan.table}{problems}: {fit}"
    yield from map(_open_text, report.open_partitions or ())
    if report.open_partitions is not None and not report.open_partitions:
        yield "open partitions: no backfill or run in the Dagster home has any"
    yield "per day: spent and reserved since the first of the last 7 days with tasks"
    yield "expected: spent, reserved, and this rate until the end, as if there was no limit"
    if report.is_simulated:
        yield "simulated dollars: nothing was paid"


def _account_texts(account: Account) -> Iterator[str]:
    totals, who = account.totals, "simulator" if account.is_simulated else "account"
    yield f"{who}, all models, {account.first} to {account.last}: {_usd(totals.spend_usd)} spent"
    projected = f"{_usd(totals.projected_usd)} by its own projection (projectedSpend)"
    yield f"  {_usd(totals.per_day_usd)} per day, {projected}"


def _open_text(found: OpenPartitions) -> str:
    basis = (
        f"the mean of {counted(found.made, 'partition')}" if found.made else "unknown cost: no partition is made yet"
    )
    return f"open partitions of {found.asset}: {found.partitions:,}; {basis}"


def exhausted_text(budget: Forecast) -> str:
    """Returns when a budget is exhausted: a day, the time for a budget of days, or a dash if that is not foreseen."""
    if budget.is_exhausted:
        return "now"
    at = budget.exhausted_at
    if at is None:
        return _NOTHING
    local = at.astimezone(budget.expected_at.tzinfo)
    return f"{local:%H:%M}" if budget.state.counter.per == "day" else f"{local:%Y-%m-%d}"


def _known(microusd: int | None) -> str:
    return "unknown" if microusd is None else in_cents(microusd)


def _usd(amount: Any) -> str:
    return "not stated" if amount is None else f"${amount:,.2f}"
