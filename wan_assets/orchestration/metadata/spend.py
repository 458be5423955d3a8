"""Dagster metadata of a ledger's amounts: numbers that Dagster charts, and tables by day, asset and state."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg

from wan_assets.ledger import KindCosts, Ledger, SpendLine
from wan_assets.models import usd
from wan_assets.orchestration.metadata.video import table_of

_DAYS_SHOWN = 31
_KINDS_SHOWN = 100


def spend_metadata(ledger: Ledger, today: date, kinds: Sequence[KindCosts] = ()) -> dict[str, Any]:
    """Returns numbers of real money, and under `simulated_…` of simulated money; days are UTC days.

    `kinds` are the estimated and charged amounts of recent tasks, by kind of request.
    """
    totals, days = ledger.totals(), ledger.spending("day")
    first = (today - timedelta(days=_DAYS_SHOWN - 1)).isoformat()
    metadata: dict[str, Any] = {
        **_numbers(totals.real, days, today),
        **_numbers(totals.simulated, days, today),
        **_estimates(kinds, is_simulated=False),
        **_estimates(kinds, is_simulated=True),
        "wan_assets/by_day": _table([line for line in days if line.key >= first], "day"),
        "wan_assets/by_asset": _table(ledger.spending("asset"), "asset"),
        "wan_assets/by_state": _table(ledger.spending("state"), "state"),
    }
    if kinds:
        metadata["wan_assets/estimates"] = table_of([_kind_row(kind) for kind in kinds[:_KINDS_SHOWN]])
    if not totals.real.tasks + totals.simulated.tasks:
        metadata["wan_assets/note"] = "The ledger has no tasks: nothing has been submitted."
    return metadata


def _numbers(total: SpendLine, days: Sequence[SpendLine], today: date) -> dict[str, Any]:
    spent = {line.key: line.cost_microusd for line in days if line.is_simulated == total.is_simulated}
    prefix = "wan_assets/simulated_" if total.is_simulated else "wan_assets/"
    yesterday = today - timedelta(days=1)
    return {
        f"{prefix}spent_usd": float(usd(total.cost_microusd)),
        f"{prefix}spent_today_usd": float(usd(spent.get(today.isoformat(), 0))),
        f"{prefix}spent_yesterday_usd": float(usd(spent.get(yesterday.isoformat(), 0))),
        f"{prefix}reserved_usd": float(usd(total.reserved_microusd)),
        f"{prefix}unknown_cost_count": total.unknown,
        f"{prefix}tasks": total.tasks,
    }


def _estimates(kinds: Sequence[KindCosts], *, is_simulated: bool) -> dict[str, Any]:
    """Returns the sums over the compared tasks; nothing if there are none."""
    compared = [kind for kind in kinds if kind.compared and kind.is_simulated == is_simulated]
    if not compared:
        return {}
    prefix = "wan_assets/simulated_" if is_simulated else "wan_assets/"
    estimated, cost = sum(kind.estimated_microusd for kind in compared), sum(kind.cost_microusd for kind in compared)
    return {
        f"{prefix}compared_tasks": sum(kind.compared for kind in compared),
        f"{prefix}compared_estimate_usd": float(usd(estimated)),
        f"{prefix}compared_cost_usd": float(usd(cost)),
        f"{prefix}deviation_percent": round(100 * (cost - estimated) / estimated, 3),
    }


def _kind_row(kind: KindCosts) -> dict[str, str]:
    return {
        "request": kind.kind,
        "money": "simulated" if kind.is_simulated else "real",
        "tasks": str(kind.compared),
        "estimated_usd": f"{usd(kind.estimated_microusd):.6f}",
        "cost_usd": f"{usd(kind.cost_microusd):.6f}",
        "deviation_percent": "" if kind.deviation is None else f"{100 * kind.deviation:+.1f}",
        "margin_percent": f"{100 * kind.margin:.1f}",
    }


def _table(lines: Sequence[SpendLine], key: str) -> dg.TableMetadataValue:
    return table_of(
        [
            {
                key: line.key,
                "money": "simulated" if line.is_simulated else "real",
                "tasks": str(line.tasks),
                "spent_usd": f"{usd(line.cost_microusd):.6f}",
                "reserved_usd": f"{usd(line.reserved_microusd):.6f}",
                "unknown_cost_count": str(line.unknown),
            }
            for line in lines
        ]
    )
