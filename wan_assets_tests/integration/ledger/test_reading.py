"""Reading the ledger: on SQLite a report waits for no writer, and no writer waits for a report."""

import inspect
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from engine_support import request_of
from simulator_support import ManualClock

from wan_assets.ledger import BudgetLimit, Budgets, Grouping, Ledger, Origin, PartitionRow, VideoKey
from wan_assets.ledger.queries import LedgerReader
from wan_assets.settings import sqlite_url

REQUEST = request_of("A kite")
FINGERPRINT = REQUEST.fingerprint()
ARGUMENTS: dict[str, Any] = {
    "account": "an account",
    "asset": "videos",
    "base_url": "https://api.example.com",
    "by": Grouping.of("campaign,month"),
    "counters": [BudgetLimit(usd=10, per="month").counter],
    "fingerprints": [FINGERPRINT],
    "first": date(2026, 11, 1),
    "identifier": FINGERPRINT,
    "keys": ["a key"],
    "last": date(2026, 11, 30),
    "month": "2026-11",
    "number": 0,
    "reference": "image.png",
    "request": REQUEST,
    "requests": [REQUEST],
    "rows": [PartitionRow("kite", "a task", FINGERPRINT, is_simulated=False)],
    "run_id": "run",
    "simulated": False,
    "states": [],
    "task_uuid": "a task",
    "task_uuids": ["a task"],
    "videos": [VideoKey(FINGERPRINT, "0" * 64, 1)],
    "wanted": {"videos": ["kite"]},
}
"""A value for each parameter that the methods must be given."""

NO_QUERIES = {"close", "one_transaction", "refuse_if_in_memory"}
RECORD_PERIODS = {"budget_states", "forecasts", "recorded_budgets"}
"""The first of these in a new period records its begin, so that all processes agree on it."""

QUERIES = sorted(
    name
    for name, method in vars(LedgerReader).items()
    if inspect.isfunction(method) and not name.startswith("_") and name not in NO_QUERIES | RECORD_PERIODS
)


DAYS_S = 2 * 86_400.0


@contextmanager
def ledger_in(folder: Path) -> Iterator[tuple[Ledger, ManualClock]]:
    """A ledger with a task and a budget, which waits no longer than 50 ms for a lock; and its clock."""
    budgets = Budgets.of(limits=[BudgetLimit(usd=10, per="month")])
    clock = ManualClock()
    with closing(Ledger(sqlite_url(folder / "ledger.db"), budgets, busy_s=0.05, clock=clock)) as ledger:
        ledger.claim(REQUEST, Origin("run", "videos", "kite"), "owner", simulated=False)
        yield ledger, clock


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_does_not_wait_for_a_writer_not_even_the_first_one_of_a_new_day(tmp_path: Path, query: str) -> None:
    parameters = inspect.signature(getattr(LedgerReader, query)).parameters.values()
    needed = [each.name for each in parameters if each.default is each.empty and each.kind is not each.VAR_POSITIONAL]
    arguments = {name: ARGUMENTS[name] for name in needed if name != "self"}

    with ledger_in(tmp_path) as (ledger, clock):
        clock.now += DAYS_S
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as writer:
            writer.execute("BEGIN IMMEDIATE")
            during = getattr(ledger, query)(**arguments)
        after = getattr(ledger, query)(**arguments)

    assert during == after or query == "ahead_s"


def test_a_writer_does_not_wait_for_a_report(tmp_path: Path) -> None:
    def count_in(report: Any) -> int:
        return report.exec_driver_sql("SELECT count(*) FROM wan_tasks").scalar_one()

    with ledger_in(tmp_path) as (ledger, _):
        with ledger._reading() as report:
            before = count_in(report)
            ledger.claim(request_of("A boat"), Origin("run", "videos", "boat"), "owner", simulated=False)
            after = count_in(report)

        assert (before, after) == (1, 1), "the report has the state of its begin"
        assert len(ledger.open_tasks()) == 2
