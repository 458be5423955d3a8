"""Budgets and their forecasts as `wan-assets ledger budgets --json` prints them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from wan_assets.cli.budget_report import Account, BudgetReport
from wan_assets.ledger import Forecast, OpenPartitions
from wan_assets.models import usd

_SOURCES = {
    "spent_usd": "ledger: costs of the tasks that count in the present period",
    "reserved_usd": "ledger: reservations of these tasks whose cost is not known yet",
    "per_day_usd": "ledger: spent and reserved per day since the first of the last 7 days with tasks",
    "expected_usd": "computed: spent and reserved, plus per_day_usd until expected_at, as if there was no limit",
    "plan_usd": "`wan-assets plan`: reserved at most for the rows of the table that have no task",
    "open_partitions_usd": "Dagster: partitions that open backfills and runs still make, times the mean cost of those "
    "made, from the ledger",
    "account": "Runware: getUsageActivity; projected_usd is its projectedSpend",
}
"""Where the numbers come from."""


def budgets_json(report: BudgetReport) -> dict[str, Any]:
    """Returns the report as `--json` prints it."""
    month, account = report.found.month, report.account
    return {
        "simulated": report.is_simulated,
        "now": _iso(report.found.now),
        "budgets": [_budget(budget, report) for budget in report.found.budgets],
        "month": {
            "month": month.month,
            "time_zone": "UTC",
            "committed_usd": _float(month.committed_microusd),
            "per_day_usd": _float(month.rate.per_day_microusd),
            "expected_usd": _float(month.expected_microusd),
        },
        "plan": {"table": report.plan.table, "problem_count": report.plan.problems, "fits": report.fits}
        if report.plan
        else None,
        "open_partitions": None if report.open_partitions is None else [*map(_opened, report.open_partitions)],
        "account": _account(account) if account else None,
        "sources": _SOURCES,
    }


def _budget(budget: Forecast, report: BudgetReport) -> dict[str, Any]:
    state, is_of_runs = budget.state, budget.is_of_runs
    committed = {
        "spent_usd": _float(budget.spent_microusd),
        "reserved_usd": _float(budget.reserved_microusd),
        "left_usd": _float(state.room_microusd),
        "percent": budget.percent,
        "per_day_usd": _float(budget.rate.per_day_microusd),
        "days_with_tasks": budget.rate.days,
        "since": budget.rate.since.isoformat() if budget.rate.since else None,
        "is_exhausted": budget.is_exhausted,
        "exhausted_at": _iso(budget.exhausted_at),
        "expected_usd": _float(budget.expected_microusd),
        "expected_at": _iso(budget.expected_at),
    }
    return {
        "budget": budget.state.title,
        "per": state.counter.per,
        "scope": dict(state.counter.scope),
        "time_zone": state.counter.time_zone,
        "set_in": "ledger" if budget.is_recorded else "configuration",
        "limit_usd": _float(state.cap_microusd),
        "begins_at": _iso(budget.begins_at),
        "resets_at": _iso(state.resets_at),
        **(dict.fromkeys(committed) if is_of_runs else committed),
        "plan_usd": _float(report.planned(budget)),
        "open_partitions_usd": _float(report.opened(budget)),
    }


def _opened(found: OpenPartitions) -> dict[str, Any]:
    return {"asset": found.asset, "partitions": found.partitions, "partitions_made": found.made}


def _account(account: Account) -> dict[str, Any]:
    totals = account.totals
    return {
        "simulated": account.is_simulated,
        "first": account.first.isoformat(),
        "last": account.last.isoformat(),
        "spend_usd": _or_none(totals.spend_usd),
        "per_day_usd": _or_none(totals.per_day_usd),
        "projected_usd": _or_none(totals.projected_usd),
    }


def _float(microusd: int | None) -> float | None:
    return None if microusd is None else float(usd(microusd))


def _or_none(amount: Any) -> float | None:
    return None if amount is None else float(amount)


def _iso(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
