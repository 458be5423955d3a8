"""Forecasts on Postgres: the same tasks have the same history and open partitions as on SQLite."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from engine_support import request_of, rows_of
from postgres_support import cluster

from wan_assets.ledger import BudgetLimit, Budgets, Ledger, Origin
from wan_assets.settings import sqlite_url

LIMITS = [
    BudgetLimit(usd=90, per="month", scope={"campaign": "fall*"}, time_zone="Asia/Kathmandu"),
    BudgetLimit(usd=90, per="week", scope={"run_tag:team": "ads", "model": "wan2.5-preview"}),
    BudgetLimit(usd=90, per="day", scope={"asset": "videos", "partition": "p1*"}, time_zone="America/St_Johns"),
    BudgetLimit(usd=90, per="total", scope={"x_größe": "7", 'a "name"': "8"}),
    BudgetLimit(usd=90, scope={"takes": "further"}),
]


def bought(url: str, now: datetime) -> list[Any]:
    """Thirty tasks of all kinds, whose times are then spread over the last days; gives what is forecast from them."""
    with Ledger(url, Budgets.of(limits=LIMITS, total=500, price_margin=0)) as ledger:
        ledger.record_run_tags("run-1", {"team": "ads"})
        for number in range(30):
            tags = {
                "campaign": f"fall-{number}" if number % 2 else "spring",
                "x_größe": "7",
                'a "name"': str(number % 9),
            }
            known = {"take": 1 + number % 2, "row_fingerprint": f"row-{number}"}
            origin = Origin(f"run-{number % 3}", "videos", f"p{number}", tags=tags, **known)
            task = ledger.claim(request_of(f"Kite {number}"), origin, "me", simulated=False).task
            if number % 3:
                ledger.mark_submitted(task.task_uuid)
                ledger.settle(task.task_uuid, [], [100_000 * number])
        shift = rows_of(url, "SELECT task_uuid FROM wan_tasks ORDER BY partition")
        for number, (task_uuid,) in enumerate(shift):
            moment = (now - number * timedelta(days=1, minutes=67)).isoformat(timespec="milliseconds")
            rows_of(url, f"UPDATE wan_tasks SET counted_at = '{moment}' WHERE task_uuid = '{task_uuid}'")
        found = ledger.forecasts(simulated=False).budgets
        counters = [each.state.counter for each in found]
        opened = ledger.open_partitions(counters, {"videos": ["p7", "new"]}, simulated=False)
        return [[(each.name, dict(each.history.quarters), dict(each.history.by_day())) for each in found], opened]


def test_the_history_of_each_budget_is_the_same_on_postgres(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    with cluster() as server, server.database() as url:
        on_postgres = bought(url, now)
    on_sqlite = bought(sqlite_url(tmp_path / "ledger.db"), now)

    assert on_postgres == on_sqlite
    assert len(on_sqlite[0]) == len(LIMITS) + 1
    assert all(quarters for _, quarters, _ in on_sqlite[0])
