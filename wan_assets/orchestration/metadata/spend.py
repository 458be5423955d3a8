"""Dagster metadata of a ledger's amounts: numbers that Dagster charts, and tables by day, asset and state."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg

from wan_assets.ledger import Ledger, SpendLine
from wan_assets.models import usd
from wan_assets.orchestration.metadata.video import table_of

_DAYS_SHOWN = 31


def spend_metadata(ledger: Ledger, today: date) -> dict[str, Any]:
    """Returns numbers of real money, and under `simulated_…` of simulated money; days are UTC days."""
    totals, days = ledger.totals(), ledger.spending("day")
    first = (today - timedelta(days=_DAYS_SHOWN - 1)).isoformat()
    metadata: dict[str, Any] = {
        **_numbers(totals.real, days, today),
        **_numbers(totals.simulated, days, today),
        "wan_assets/by_day": _table([line for line in days if line.key >= first], "day"),
        "wan_assets/by_asset": _table(ledger.spending("asset"), "asset"),
        "wan_assets/by_state": _table(ledger.spending("state"), "state"),
    }
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
