"""A ledger that release 0.1.0 wrote, with real money in it: it is upgraded, and budgets count what it contains."""

import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from engine_support import PRICE, request_of, rows_of
from folders import SUPPORT

from wan_assets.errors import BudgetExceededError
from wan_assets.ledger import BudgetLimit, Budgets, Ledger, Origin, TaskState
from wan_assets.settings import sqlite_url

WRITTEN = (SUPPORT / "ledger_0_1_0.sql").read_text()
SPENT, RESERVED = 5 * PRICE, 5 * PRICE
"""Five stored videos of known cost; one of unknown cost, a failed task, and three that a killed run submitted."""

DAY, MINUTE = "2026-11-30", "2026-11-30T13:40"
"""When the ledger was written. Postgres has a clock of its own, so that periods of now are others."""


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of the ledger, as each database has it."""
    with sqlite3.connect(tmp_path / "ledger.db") as written:
        written.executescript(WRITTEN)
    written.close()
    in_file = sqlite_url(tmp_path / "ledger.db")
    return copied(in_file, request.getfixturevalue("postgres_url")) if request.param == "postgres" else in_file


def copied(source: str, target: str) -> str:
    """Copies a database with its old tables."""
    old, new = sa.MetaData(), sa.MetaData()
    with sa.create_engine(source).connect() as reader, sa.create_engine(target).begin() as writer:
        old.reflect(reader)
        for statement in WRITTEN.split(";\n"):
            if "CREATE" in statement:
                writer.exec_driver_sql(statement[statement.index("CREATE") :])
        new.reflect(writer)
        for table in old.sorted_tables:
            rows = [dict(row) for row in reader.execute(table.select()).mappings()]
            if rows:
                writer.execute(new.tables[table.name].insert(), rows)
    return target


def opened(url: str, *limits: BudgetLimit) -> Ledger:
    return Ledger(url, Budgets(limits, price_margin=Decimal(0)), clock=lambda: 1_796_046_000.0)


def limit(usd: float, **fields: Any) -> BudgetLimit:
    return BudgetLimit.model_validate({"usd": usd, **fields})


def sum_of(url: str, of: BudgetLimit) -> int:
    """What a budget has counted in the period in which the ledger was written."""
    name = f"real {of.counter.sum_name('run', MINUTE)}"
    return sum(amount for (amount,) in rows_of(url, f"SELECT committed_microusd FROM wan_spend WHERE scope = '{name}'"))


def test_its_money_is_the_same_after_the_upgrade(url: str) -> None:
    before = rows_of(url, "SELECT task_uuid, cost_microusd, reserved_microusd, state FROM wan_tasks ORDER BY 1")
    sums = rows_of(url, "SELECT scope, committed_microusd FROM wan_spend ORDER BY 1")

    with opened(url) as ledger:
        totals, tasks = ledger.totals(), ledger.tasks_where()

    assert (totals.real.cost_microusd, totals.real.reserved_microusd) == (SPENT, RESERVED)
    assert totals.simulated.cost_microusd == PRICE
    assert rows_of(url, "SELECT task_uuid, cost_microusd, reserved_microusd, state FROM wan_tasks ORDER BY 1") == before
    assert rows_of(url, "SELECT scope, committed_microusd FROM wan_spend ORDER BY 1") == sums
    assert {(task.counted_at, *task.origin.tags) for task in tasks} == {(task.created_at,) for task in tasks}


@pytest.mark.parametrize(
    ("fields", "counted"),
    [
        ({}, SPENT + RESERVED),
        ({"per": "day"}, SPENT + RESERVED),
        ({"per": "day", "time_zone": "Asia/Tokyo"}, SPENT + RESERVED),
        ({"per": "month", "time_zone": "Europe/Berlin"}, SPENT + RESERVED),
        ({"per": "week", "scope": {"asset": "videos"}}, SPENT + RESERVED),
        ({"per": "month", "scope": {"model": "wan2.5"}}, SPENT + RESERVED),
        ({"per": "month", "scope": {"partition": "late-*"}}, 3 * PRICE),
        ({"per": "month", "scope": {"model": "wan2.6"}}, 0),
        ({"scope": {"campaign": "fall"}}, 0),
    ],
)
def test_budgets_count_what_it_contains(url: str, fields: dict[str, Any], counted: int) -> None:
    new = limit(100, **fields)
    opened(url, new).close()

    assert sum_of(url, new) == counted


def test_a_budget_that_it_has_used_up_refuses_further_tasks(url: str) -> None:
    spent = limit((SPENT + RESERVED + PRICE) / 1e6, scope={"asset": "videos"})
    with opened(url, spent) as ledger:
        origin = Origin("run", "videos", "new")
        ledger.claim(request_of("A new kite"), origin, "me.1.x", simulated=False)
        with pytest.raises(BudgetExceededError, match="the total budget for asset=videos"):
            ledger.claim(request_of("Another kite"), origin, "me.1.x", simulated=False)
        ledger.claim(request_of("Another kite"), Origin("run", "others"), "me.1.x", simulated=False)


def test_what_its_tasks_cost_in_the_end_corrects_the_new_budgets(url: str) -> None:
    late = limit(100, per="month", scope={"partition": "late-*"})
    with opened(url, late) as ledger:
        open_tasks = [task for task in ledger.open_tasks() if task.state is TaskState.SUBMITTED]
        for task in open_tasks:
            ledger.settle(task.task_uuid, [{}], [400_000])

    assert len(open_tasks) == 3
    assert sum_of(url, late) == 3 * 400_000
    assert rows_of(url, f"SELECT committed_microusd FROM wan_spend WHERE scope = 'real day {DAY}'") == [
        (SPENT + RESERVED - 3 * (PRICE - 400_000),)
    ]
