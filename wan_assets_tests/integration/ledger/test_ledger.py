"""The ledger: money and tasks under any order of events, in many processes at once, and every broken database."""

import contextlib
import functools
import json
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from engine_support import PRICE, caps, request_of, rows_of
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from process_support import dead_owner
from python_process import PythonProcess

from wan_assets.errors import (
    ApiFault,
    BudgetExceededError,
    ConcurrencyLimitError,
    LeaseExpiredError,
    LedgerError,
    PausedError,
)
from wan_assets.ledger import Budgets, Ledger, Origin, TaskState
from wan_assets.ledger.processes import new_owner

FAULT = ApiFault("someCode", "some message")
DAY_S = 24 * 3600.0
CAP = 6 * PRICE
REQUESTS = [request_of("one"), request_of("two", number_results=2)]
ENDED = ("failed", "rejected")
ARROWS = {
    "reserved": {"submitted", "rejected", "lost"},
    "submitted": {"delivered", "failed", "lost"},
    "lost": {"delivered", "failed"},
    "delivered": {"stored"},
    "stored": set(),
    "failed": set(),
    "rejected": set(),
}


@dataclass
class Clock:
    now: float = 1_770_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Entry:
    """One task, as the model has it."""

    fingerprint: str
    purchase: str
    attempt: int
    results: int
    reserved: int
    owner: str | None
    lease: float
    state: str = "reserved"
    cost: int = 0


def assert_sums_agree(url: str, rows: Callable[[str], list[Any]] | None = None) -> None:
    """What is booked as committed in total, by day and by run is what the tasks cost and reserve together."""
    rows = rows or functools.partial(rows_of, url)
    scopes = {"total": "'total'", "day": "'day ' || substr(created_at, 1, 10)", "run": "'run ' || run_id"}
    for name, scope in scopes.items():
        summed = f"SELECT 'real ' || {scope}, sum(cost_microusd + reserved_microusd) FROM wan_tasks GROUP BY 1"
        booked = f"SELECT scope, committed_microusd FROM wan_spend WHERE scope LIKE 'real {name}%'"
        assert dict(rows(summed)) == dict(rows(booked))


class LedgerMachine(RuleBasedStateMachine):
    """Any order of events, in a real database, against a model of a few lines."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.clock = Clock()
        self.tasks: dict[str, Entry] = {}
        self.prices: dict[int, list[int]] = {1: [], 2: []}
        self.excess: dict[str, int] = {}
        self.unreported: set[str] = set()
        self.ledger = self.opened()
        self.reader = sa.create_engine(url)
        with self.reader.begin() as connection:
            for table in sa.inspect(connection).get_table_names():
                if table != "wan_ledger":
                    connection.execute(sa.text(f"DELETE FROM {table}"))

    def opened(self) -> Ledger:
        return Ledger(self.url, caps(total_microusd=CAP), clock=self.clock, busy_s=5)

    def teardown(self) -> None:
        self.ledger.close()
        self.reader.dispose()

    @rule(
        request=st.sampled_from(REQUESTS),
        owner=st.sampled_from("ab"),
        purchase=st.sampled_from(["", "", "new look"]),
        run=st.sampled_from(["r1", "r2"]),
        rebuys=st.booleans(),
    )
    def claim(self, request: Any, owner: str, purchase: str, run: str, rebuys: bool) -> None:
        mine = [(uuid, task) for uuid, task in self.tasks.items() if task.fingerprint == request.fingerprint()]
        alive = [pair for pair in mine if pair[1].state not in ENDED and purchase in ("", pair[1].purchase)]
        uuid, task = max(alive, key=lambda pair: (pair[1].state != "lost", pair[1].attempt), default=("", None))
        instead_of = uuid if rebuys and task and task.state == "lost" else ""
        is_new = task is None or bool(instead_of)
        reserved = self.quoted(request.number_results)
        try:
            origin = Origin(run, purchase=purchase)
            claim = self.ledger.claim(request, origin, owner, simulated=False, instead_of=instead_of)
        except BudgetExceededError:
            assert is_new
            assert self.committed() + reserved > CAP
            return
        assert (claim.status == "new") == is_new
        if task is None or is_new:
            assert self.committed() + reserved <= CAP
            self.tasks[claim.task.task_uuid] = Entry(
                request.fingerprint(), purchase, len(mine) + 1, request.number_results, reserved, owner, self.lease()
            )
        else:
            assert claim.task.task_uuid == uuid
            assert claim.status == self.expected_standing(task, owner)
            if claim.status == "resumed":
                task.owner, task.lease = owner, self.lease()

    def quoted(self, results: int) -> int:
        seen = self.prices[results]
        return max(seen[-20:]) if len(seen) >= 5 else max([PRICE * results, *seen])

    def expected_standing(self, task: Entry, owner: str) -> str:
        if task.state == "stored":
            return "stored"
        is_free = task.owner in (None, owner) or task.lease < self.clock()
        return "resumed" if is_free else "locked"

    @precondition(lambda self: self.tasks)
    @rule(
        data=st.data(),
        event=st.sampled_from(["submitted", "rejected", "failed", "lost", "stored"]),
        owner=st.sampled_from([None, "a", "b"]),
    )
    def end_or_go_on(self, data: Any, event: str, owner: str | None) -> None:
        uuid, task = self.any_task(data)
        book: Callable[[], Any] = {
            "submitted": lambda: self.ledger.mark_submitted(uuid),
            "rejected": lambda: self.ledger.release(uuid, FAULT, owner=owner),
            "failed": lambda: self.ledger.mark_failed(uuid, FAULT, owner=owner),
            "lost": lambda: self.ledger.mark_lost(uuid, FAULT, owner=owner),
            "stored": lambda: self.ledger.mark_stored(uuid, [], owner=owner),
        }[event]
        if event != "submitted" and self.is_of_another(task, owner):
            with pytest.raises(LeaseExpiredError):
                book()
            return
        book()
        if event in ARROWS[task.state]:
            self.unreported |= {uuid} if event == "stored" else set()
            task.state = event
            task.reserved = 0 if event == "rejected" else task.reserved
            task.owner = task.owner if event == "submitted" else None
        elif event == task.state:
            task.owner = None if event in ("lost", "stored") else task.owner

    @staticmethod
    def is_of_another(task: Entry, owner: str | None) -> bool:
        """Whether an owner may not write what it says of a task."""
        return owner is not None and task.state not in (*ENDED, "stored") and task.owner != owner

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), price=st.sampled_from([None, 0.5, 1.0, 2.5]), owner=st.sampled_from([None, "a", "b"]))
    def settle(self, data: Any, price: float | None, owner: str | None) -> None:
        uuid, task = self.any_task(data)
        share = task.reserved // task.results
        costs = [None if price is None else int(price * PRICE)] + [PRICE] * (task.results - 1)
        if self.is_of_another(task, owner):
            with pytest.raises(LeaseExpiredError):
                self.ledger.settle(uuid, [], costs, owner=owner)
            return
        self.ledger.settle(uuid, [], costs, owner=owner)
        if "delivered" in ARROWS[task.state]:
            task.state = "delivered"
            task.cost = sum(cost or 0 for cost in costs)
            excess = task.cost + (share if price is None else 0) - task.reserved
            self.excess |= {uuid: excess} if excess > 0 else {}
            self.prices[task.results] += [task.cost] if price else []
            task.reserved = share if price is None else 0

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), price=st.sampled_from([0, PRICE, 3 * PRICE]))
    def record_cost(self, data: Any, price: int) -> None:
        uuid, task = self.any_task(data)
        if task.state == "lost" or (task.state in ("stored", "failed") and task.reserved):
            self.ledger.record_cost(uuid, price)
            task.state = "failed" if task.state == "lost" else task.state
            task.cost, task.reserved = price, 0
        else:
            with pytest.raises(LedgerError, match="its cost cannot be settled"):
                self.ledger.record_cost(uuid, price)

    @precondition(lambda self: self.unreported)
    @rule()
    def tell(self) -> None:
        self.ledger.mark_reported([self.unreported.pop()])

    @rule(owner=st.sampled_from("ab"))
    def release_leases(self, owner: str) -> None:
        self.ledger.release_leases(owner)
        for task in self.tasks.values():
            task.owner = None if task.owner == owner else task.owner

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), owner=st.sampled_from("ab"))
    def let_one_go(self, data: Any, owner: str) -> None:
        uuid, task = self.any_task(data)
        self.ledger.release_leases(owner, uuid)
        task.owner = None if task.owner == owner else task.owner

    @rule(owner=st.sampled_from("ab"))
    def renew(self, owner: str) -> None:
        self.ledger.renew(owner)
        for task in self.tasks.values():
            task.lease = self.lease() if task.owner == owner else task.lease

    @rule()
    def restart(self) -> None:
        self.ledger.close()
        self.ledger = self.opened()

    @rule(passed_s=st.sampled_from([1.0, 59.0, 61.0, DAY_S]))
    def wait(self, passed_s: float) -> None:
        self.clock.now += passed_s
        if self.url.startswith("postgresql"):  # whose own clock cannot be set
            with self.reader.begin() as connection:
                aged = sa.text("UPDATE wan_tasks SET lease_until = lease_until - :passed_s")
                connection.execute(aged, {"passed_s": passed_s})

    @invariant()
    def the_committed_sums_are_those_of_the_tasks(self) -> None:
        assert_sums_agree(self.url, self.rows)

    @invariant()
    def the_tasks_are_where_the_arrows_lead(self) -> None:
        found = self.rows("SELECT task_uuid, state, reserved_microusd, cost_microusd, owner, attempt FROM wan_tasks")
        expected = {
            (uuid, task.state, task.reserved, task.cost, task.owner, task.attempt) for uuid, task in self.tasks.items()
        }
        assert set(found) == expected

    @invariant()
    def no_request_is_on_its_way_twice_under_one_purchase(self) -> None:
        on_the_way = "SELECT count(*) FROM wan_tasks WHERE state IN ('reserved', 'submitted') "
        assert all(count == 1 for (count,) in self.rows(f"{on_the_way} GROUP BY fingerprint, purchase"))

    @invariant()
    def the_reports_agree_with_the_tasks(self) -> None:
        totals = self.ledger.totals().real
        tasks = self.tasks.values()
        assert totals.tasks == len(tasks)
        assert totals.cost_microusd == sum(task.cost for task in tasks)
        assert totals.reserved_microusd == sum(task.reserved for task in tasks)
        ended = [task for task in tasks if task.state in ("stored", "failed", "rejected")]
        assert totals.unknown == sum(task.reserved > 0 for task in ended) == len(self.ledger.unknown_costs())
        assert len(self.ledger.open_tasks()) == len(tasks) - len(ended)
        assert {over.task_uuid: over.excess_microusd for over in self.ledger.overcharged()} == self.excess
        assert self.ledger.unreported("-").keys() == self.unreported

    def any_task(self, data: Any) -> tuple[str, Entry]:
        return data.draw(st.sampled_from(list(self.tasks.items())))

    def committed(self) -> int:
        return sum(task.cost + task.reserved for task in self.tasks.values())

    def lease(self) -> float:
        return self.clock() + 60.0

    def rows(self, query: str) -> list[Any]:
        with self.reader.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(query))]


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a new ledger, of each kind in turn."""
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else sqlite_in(tmp_path)


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    """The address of a new ledger in a file, to whose clock a test may set the time; Postgres has one of its own."""
    return sqlite_in(tmp_path)


def sqlite_in(folder: Path) -> str:
    return f"sqlite:///{folder / 'ledger.db'}"


@pytest.mark.slow
def test_any_order_of_events_leaves_tasks_and_money_as_the_model_has_them(url: str) -> None:
    run_state_machine_as_test(
        lambda: LedgerMachine(url),
        settings=settings(
            max_examples=20 if url.startswith("sqlite") else 12,
            stateful_step_count=20,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )


def claimed(ledger: Ledger, prompt: str = "one", *, run: str = "r", owner: str = "me", **request: Any) -> str:
    """The UUID of a task that is new."""
    claim = ledger.claim(request_of(prompt, **request), Origin(run, "videos", prompt), owner, simulated=False)
    assert claim.status == "new"
    return claim.task.task_uuid


def submitted(ledger: Ledger, prompt: str = "one", **request: Any) -> str:
    """The UUID of a task that is new and was sent."""
    task_uuid = claimed(ledger, prompt, **request)
    ledger.mark_submitted(task_uuid)
    return task_uuid


def committed(ledger: Ledger) -> int:
    line = ledger.totals().real
    return line.cost_microusd + line.reserved_microusd


@pytest.mark.parametrize(
    ("budget", "scope"),
    [
        (caps(per_run_microusd=2 * PRICE), "run r"),
        (caps(per_day_microusd=2 * PRICE), "day 2026-02-02"),
        (caps(total_microusd=2 * PRICE), "total"),
    ],
)
def test_a_cap_lets_in_what_fits_to_the_cent_and_nothing_more(file_url: str, budget: Budgets, scope: str) -> None:
    ledger = Ledger(file_url, budget, clock=Clock())
    claimed(ledger, "one")
    claimed(ledger, "two")

    with pytest.raises(BudgetExceededError) as refused:
        claimed(ledger, "three")

    assert (refused.value.scope, refused.value.committed_microusd) == (scope, 2 * PRICE)
    assert len(ledger.open_tasks()) == 2


def test_a_day_begins_at_midnight_utc_and_a_run_with_its_name(file_url: str) -> None:
    clock = Clock()
    ledger = Ledger(file_url, caps(per_day_microusd=PRICE), clock=clock)
    claimed(ledger, "one")
    clock.now += DAY_S - clock.now % DAY_S - 1

    with pytest.raises(BudgetExceededError):
        claimed(ledger, "two", run="another")
    clock.now += 1
    claimed(ledger, "two")

    assert [line.key for line in ledger.spending("day")] == ["2026-02-02", "2026-02-03"]


def test_a_cap_per_run_does_not_concern_other_runs(url: str) -> None:
    ledger = Ledger(url, caps(per_run_microusd=PRICE))
    claimed(ledger, "one", run="r1")

    claimed(ledger, "two", run="r2")

    assert len(ledger.open_tasks()) == 2


def test_simulated_money_does_not_count_against_the_cap_on_real_money(url: str) -> None:
    ledger = Ledger(url, caps(total_microusd=PRICE))
    ledger.claim(request_of(), Origin(), "me", simulated=True)

    claim = ledger.claim(request_of(), Origin(), "me", simulated=False)

    assert claim.status == "new"
    assert ledger.totals().simulated.reserved_microusd == ledger.totals().real.reserved_microusd == PRICE
    assert ledger.totals().simulated.key == ledger.totals().real.key == "total"


def test_the_room_is_what_the_tightest_cap_still_lets_in(file_url: str) -> None:
    clock = Clock()
    claimed(Ledger(file_url, caps(), clock=clock), "one", run="r1")
    day, run, total = 4 * PRICE, 3 * PRICE, 5 * PRICE

    def room(run_id: str, budget: Budgets) -> int | None:
        return Ledger(file_url, budget, clock=clock).room_microusd(Origin(run_id), simulated=False)

    assert room("r1", caps()) is None
    assert room("r1", caps(per_day_microusd=day, per_run_microusd=run, total_microusd=total)) == 2 * PRICE
    assert room("r2", caps(per_day_microusd=day, per_run_microusd=run, total_microusd=total)) == 3 * PRICE
    assert room("r2", caps(per_day_microusd=day, total_microusd=total)) == 3 * PRICE
    assert room("r2", caps(total_microusd=total)) == 4 * PRICE
    assert room("r1", caps(per_run_microusd=PRICE - 1)) == 0


def test_the_last_trouble_of_a_task_is_kept_and_changes_nothing_else(url: str) -> None:
    ledger = Ledger(url, caps())
    task_uuid = submitted(ledger)

    ledger.note_error(task_uuid, FAULT)

    (task,) = ledger.open_tasks()
    assert (task.state, task.error_code, task.error_message) == (TaskState.SUBMITTED, "someCode", "some message")
    assert task.reserved_microusd == PRICE


def test_a_task_is_traced_by_each_of_its_names_and_by_no_part_of_one(url: str) -> None:
    ledger = Ledger(url, caps())
    origin = Origin("run-7", "videos", "kite", prompt_id="row-1")
    task = ledger.claim(request_of(), origin, "me", simulated=False).task
    claimed(ledger, "another")
    ledger.mark_submitted(task.task_uuid)
    ledger.settle(task.task_uuid, [{"video_uuid": "video-9", "seed": 7, "cost": 0.473, "url": None}], [PRICE])
    names = (task.task_uuid, task.fingerprint, "row-1", "kite", "run-7", "video-9")

    find_tasks = {name: [found.task_uuid for found in ledger.find_tasks(name)] for name in names}

    assert find_tasks == {name: [task.task_uuid] for name in names}
    assert [name for name in names if ledger.find_tasks(name[:-1])] == []
    (found,) = ledger.find_tasks("kite")
    assert [dict(result) for result in found.results] == [
        {"video_uuid": "video-9", "seed": 7, "cost": 0.473, "url": None}
    ]


def test_an_unknown_cost_keeps_its_share_reserved_and_is_listed(url: str) -> None:
    ledger = Ledger(url, caps())
    task_uuid = submitted(ledger, number_results=3)

    ledger.settle(task_uuid, [], [PRICE - 1000, None, PRICE])
    ledger.mark_stored(task_uuid, [])

    (task,) = ledger.unknown_costs()
    assert (task.cost_microusd, task.reserved_microusd) == (2 * PRICE - 1000, PRICE)
    assert committed(ledger) == 3 * PRICE - 1000


def test_what_costs_more_than_reserved_is_booked_and_closes_the_cap(url: str) -> None:
    ledger = Ledger(url, caps(total_microusd=2 * PRICE))
    task_uuid = submitted(ledger)

    ledger.settle(task_uuid, [], [3 * PRICE])

    assert committed(ledger) == 3 * PRICE
    with pytest.raises(BudgetExceededError):
        claimed(ledger, "two")


def test_what_was_never_accepted_frees_its_reservation(url: str) -> None:
    ledger = Ledger(url, caps(total_microusd=PRICE))
    ledger.release(claimed(ledger, "one"), FAULT)

    claimed(ledger, "two")

    assert committed(ledger) == PRICE


def test_what_was_accepted_is_not_released_by_a_late_refusal(url: str) -> None:
    ledger = Ledger(url, caps())
    task_uuid = submitted(ledger)

    ledger.release(task_uuid, FAULT)

    assert committed(ledger) == PRICE
    assert [task.state for task in ledger.open_tasks()] == [TaskState.SUBMITTED]


def test_a_task_is_settled_once(url: str) -> None:
    ledger = Ledger(url, caps())
    task_uuid = submitted(ledger)

    ledger.settle(task_uuid, [], [PRICE])
    ledger.settle(task_uuid, [], [9 * PRICE])

    assert committed(ledger) == PRICE


def test_what_came_further_is_not_booked_as_only_sent(url: str) -> None:
    ledger = Ledger(url, caps())
    task_uuid = submitted(ledger)
    ledger.settle(task_uuid, [], [PRICE])
    before = ledger.task(task_uuid)

    ledger.mark_submitted(task_uuid)

    assert ledger.task(task_uuid) == before


def test_a_task_that_the_ledger_does_not_have_is_not_booked_in_silence(url: str) -> None:
    ledger = Ledger(url, caps())

    with pytest.raises(LedgerError, match="task of-another is not in the ledger"):
        ledger.settle("of-another", [], [None])
    with pytest.raises(LedgerError, match="task of-another is not in the ledger"):
        ledger.mark_stored("of-another", [])


def test_a_purchase_buys_once_under_each_name_also_after_another(url: str) -> None:
    ledger = Ledger(url, caps())
    bought = []
    for purchase in ("", "spring", "autumn", "spring", ""):
        claim = ledger.claim(request_of(), Origin(purchase=purchase), "me", simulated=False)
        bought.append((claim.status, claim.task.attempt))

    assert bought == [("new", 1), ("new", 2), ("new", 3), ("resumed", 2), ("resumed", 3)]


def test_a_stored_video_counts_although_a_later_purchase_failed(url: str) -> None:
    ledger = Ledger(url, caps())
    task_uuid = submitted(ledger)
    ledger.settle(task_uuid, [], [PRICE])
    ledger.mark_stored(task_uuid, [])
    again = ledger.claim(request_of("one"), Origin(purchase="again"), "me", simulated=False)
    ledger.release(again.task.task_uuid, FAULT)

    claim = ledger.claim(request_of("one"), Origin(), "me", simulated=False)

    assert (claim.status, claim.task.task_uuid) == ("stored", task_uuid)


def test_a_lost_task_is_bought_again_once_by_however_many_gave_it_up(url: str) -> None:
    ledger = Ledger(url, caps())
    lost = submitted(ledger)
    ledger.mark_lost(lost, FAULT)

    claims = [
        ledger.claim(request_of("one"), Origin(), owner, simulated=False, instead_of=lost) for owner in ("a", "b")
    ]

    assert [claim.status for claim in claims] == ["new", "locked"]
    assert {claim.task.attempt for claim in claims} == {2}


def test_tasks_of_different_namespaces_have_different_uuids(tmp_path: Path) -> None:
    ledgers = [Ledger(f"sqlite:///{tmp_path}/{name}.db", namespace=name) for name in ("one", "two")]

    uuids = {claimed(ledger) for ledger in ledgers}

    assert len(uuids) == 2


def test_a_task_is_foreign_until_its_lease_runs_out(file_url: str) -> None:
    clock = Clock()
    ledger = Ledger(file_url, caps(), clock=clock, lease_s=60)
    claimed(ledger, owner="elsewhere.1.x")
    standings = []

    for passed_s in (59, 2):
        clock.now += passed_s
        standings.append(ledger.claim(request_of("one"), Origin(), "me", simulated=False).status)

    assert standings == ["locked", "resumed"]


def test_a_renewed_lease_keeps_a_task_foreign(file_url: str) -> None:
    clock = Clock()
    ledger = Ledger(file_url, caps(), clock=clock, lease_s=60)
    claimed(ledger, owner="elsewhere.1.x")
    clock.now += 59
    ledger.renew("elsewhere.1.x")
    clock.now += 59

    claim = ledger.claim(request_of("one"), Origin(), "me", simulated=False)

    assert claim.status == "locked"


def test_a_dead_process_loses_its_tasks_at_once(url: str) -> None:
    ledger = Ledger(url, caps())
    claimed(ledger, owner=dead_owner())

    claim = ledger.claim(request_of("one"), Origin(), "me", simulated=False)

    assert claim.status == "resumed"


def test_a_live_process_keeps_its_tasks(url: str) -> None:
    ledger = Ledger(url, caps())
    claimed(ledger, owner=new_owner())

    claim = ledger.claim(request_of("one"), Origin(), new_owner(), simulated=False)

    assert claim.status == "locked"


def test_a_process_of_another_machine_is_not_taken_for_dead(url: str) -> None:
    ledger = Ledger(url, caps())
    claimed(ledger, owner=f"elsewhere.{dead_owner().split('.', 1)[1]}")

    claim = ledger.claim(request_of("one"), Origin(), "me", simulated=False)

    assert claim.status == "locked"


# Many processes at once.

ONE_OF_MANY = """
import faulthandler, json, sys, traceback
from decimal import Decimal
from wan_assets.errors import ApiFault, BudgetExceededError
from wan_assets.ledger import Budgets, Ledger, Origin
from wan_assets.models.request import VideoRequest

def claimed(row, purchase="", instead_of=""):
    request = VideoRequest.model_validate(row)
    try:
        claim = ledger.claim(request, Origin(purchase=purchase), name, simulated=False, instead_of=instead_of)
    except BudgetExceededError:
        return "refused", "", 0
    return claim.status, claim.task.task_uuid, claim.task.attempt

def done(entry, work):
    try:
        return [entry(*arguments) for arguments in work]
    except Exception:
        return traceback.format_exc()

name, fault = sys.argv[1], ApiFault("someCode", "some message")
for job in sys.stdin:
    faulthandler.dump_traceback_later(60, exit=True)
    url, entry, cap = json.loads(job)
    ledger = Ledger(url, Budgets.of(total=None if cap is None else cap / 1e6, price_margin=Decimal(0)))
    print("ready", flush=True)
    work = json.loads(sys.stdin.readline())
    print(json.dumps(done(eval(entry), work), default=str), flush=True)
    ledger.close()
    faulthandler.cancel_dump_traceback_later()
"""
"""A process that opens a ledger, says so, and calls an entry for each of the arguments that it is then given."""


@dataclass(frozen=True)
class Crowd:
    """Processes that wait for work, and do it at once."""

    processes: Sequence[Any]

    def do(self, url: str, entry: str, *works: Sequence[Sequence[Any]], cap: int | None = None) -> list[list[Any]]:
        """What an entry returns for each of its arguments: each process has a list of them, and all start together."""
        self._tell([(url, entry, cap)] * len(works))
        assert self._heard() == ["ready\n"] * len(works)
        self._tell(works)
        answers = [json.loads(line) for line in self._heard()]
        for trouble in answers:
            assert not isinstance(trouble, str), trouble
        return answers

    def _tell(self, messages: Sequence[Any]) -> None:
        for process, line in zip(self.processes, [json.dumps(message) for message in messages], strict=True):
            print(line, file=process.stdin, flush=True)

    def _heard(self) -> list[str]:
        return [process.stdout.readline() for process in self.processes]


@pytest.fixture(scope="module")
def four() -> Iterator[Crowd]:
    """Four processes, which start once since that takes much longer than what they are asked."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with contextlib.ExitStack() as ending:
        commands = [["-c", ONE_OF_MANY, f"p{number}"] for number in range(4)]
        yield Crowd([ending.enter_context(PythonProcess(command, **pipes)) for command in commands])


def row_of(prompt: str) -> dict[str, Any]:
    return request_of(prompt).model_dump(mode="json", exclude_unset=True)


def assert_each_has_one_task(answers: list[list[Any]], others: str, attempt: int = 1) -> None:
    """Of all who asked for a request one was told that the task is new, and the others that it is that very one."""
    for reported in zip(*answers, strict=True):
        assert Counter(standing for standing, _, _ in reported) == {"new": 1, others: len(reported) - 1}
        assert {told_attempt for _, _, told_attempt in reported} == {attempt}
        assert len({task_uuid for _, task_uuid, _ in reported}) == 1


@pytest.mark.slow
def test_processes_that_claim_the_same_requests_at_once_share_one_task_for_each(url: str, four: Crowd) -> None:
    ledger = Ledger(url, caps())
    same = [[row_of(f"Kite {number}")] for number in range(40)]

    answers = four.do(url, "claimed", *[same] * 4)

    assert_each_has_one_task(answers, "locked")
    assert len(ledger.open_tasks()) == 40
    assert committed(ledger) == 40 * PRICE
    assert_sums_agree(url)


def test_processes_together_never_exceed_a_cap_for_fifty(url: str, four: Crowd) -> None:
    ledger = Ledger(url, caps())
    different = [[[row_of(f"Kite {process} {number}")] for number in range(25)] for process in range(4)]

    answers = four.do(url, "claimed", *different, cap=50 * PRICE)

    assert Counter(standing for reported in answers for standing, _, _ in reported) == {"new": 50, "refused": 50}
    assert committed(ledger) == 50 * PRICE
    assert_sums_agree(url)


def test_purchases_of_different_names_at_once_each_get_a_task_of_their_own(url: str, four: Crowd) -> None:
    ledger = Ledger(url, caps())
    different = [[[row_of(f"Kite {number}"), name] for number in range(20)] for name in ("a", "b", "c", "d")]

    answers = four.do(url, "claimed", *different)

    assert {standing for reported in answers for standing, _, _ in reported} == {"new"}
    attempts = [sorted(attempt for _, _, attempt in reported) for reported in zip(*answers, strict=True)]
    assert attempts == [[1, 2, 3, 4]] * 20
    assert committed(ledger) == 80 * PRICE
    assert_sums_agree(url)


def test_a_lost_task_is_bought_again_once_by_processes_that_give_it_up_at_once(url: str, four: Crowd) -> None:
    ledger = Ledger(url, caps())
    lost = {f"Kite {number}": submitted(ledger, f"Kite {number}") for number in range(20)}
    for task_uuid in lost.values():
        ledger.mark_lost(task_uuid, FAULT)

    answers = four.do(url, "claimed", *[[(row_of(prompt), "", lost[prompt]) for prompt in lost]] * 4)

    assert_each_has_one_task(answers, "locked", attempt=2)
    assert committed(ledger) == 40 * PRICE
    assert_sums_agree(url)


def test_the_tasks_of_a_dead_process_are_taken_over_by_one_of_many(url: str, four: Crowd) -> None:
    ledger = Ledger(url, caps())
    for number in range(40):
        claimed(ledger, f"Kite {number}", owner=dead_owner())

    answers = four.do(url, "claimed", *[[[row_of(f"Kite {number}")] for number in range(40)]] * 4)

    for reported in zip(*answers, strict=True):
        assert Counter(standing for standing, _, _ in reported) == {"resumed": 1, "locked": 3}


@pytest.mark.parametrize(
    ("entry", "each_costs"),
    [
        (f"lambda task_uuid: ledger.settle(task_uuid, [], [{PRICE // 2}])", PRICE // 2),
        ("lambda task_uuid: ledger.release(task_uuid, fault)", 0),
    ],
    ids=["settled", "released"],
)
def test_a_task_that_many_processes_end_at_once_corrects_the_sums_once(
    url: str, four: Crowd, entry: str, each_costs: int
) -> None:
    ledger = Ledger(url, caps())
    begin = submitted if each_costs else claimed
    begun = [[begin(ledger, f"Kite {number}")] for number in range(20)]

    four.do(url, entry, *[begun] * 4)

    assert committed(ledger) == 20 * each_costs
    assert_sums_agree(url)


def test_an_upload_may_be_remembered_by_many_processes_at_once(url: str, four: Crowd) -> None:
    ledger = Ledger(url, caps())
    uploads = [(f"sha256:{number}", "https://one", f"m-{number}") for number in range(20)]

    four.do(url, "ledger.remember_upload", *[uploads] * 4)

    assert [ledger.uploaded(reference, host) for reference, host, _ in uploads] == [uuid for _, _, uuid in uploads]


@pytest.mark.slow
def test_many_processes_may_make_one_new_ledger_at_once(url: str, four: Crowd) -> None:
    four.do("sqlite://", "Ledger", *[[[url]]] * 4)

    assert claimed(Ledger(url, caps()))


def test_spending_is_told_by_state_day_asset_partition_and_run(file_url: str) -> None:
    clock = Clock()
    ledger = Ledger(file_url, caps(), clock=clock)
    first = submitted(ledger, "one")
    ledger.settle(first, [], [PRICE])
    ledger.mark_stored(first, [])
    clock.now += DAY_S
    ledger.mark_failed(submitted(ledger, "two"), FAULT)

    groups = {by: ledger.spending(by) for by in ("state", "day", "asset", "partition", "run_id")}

    reported = {by: [(line.key, line.cost_microusd, line.reserved_microusd) for line in groups[by]] for by in groups}
    assert reported == {
        "state": [("failed", 0, PRICE), ("stored", PRICE, 0)],
        "day": [("2026-02-02", PRICE, 0), ("2026-02-03", 0, PRICE)],
        "asset": [("videos", PRICE, PRICE)],
        "partition": [("one", PRICE, 0), ("two", 0, PRICE)],
        "run_id": [("r", PRICE, PRICE)],
    }
    assert [line.unknown for line in groups["state"]] == [1, 0]


def test_an_upload_is_remembered_for_its_host_until_the_api_may_have_deleted_it(url: str) -> None:
    clock = Clock()
    ledger = Ledger(url, caps(), clock=clock)
    ledger.remember_upload("sha256:1", "https://one", "m-0")
    ledger.remember_upload("sha256:1", "https://one", "m-1")

    known = [ledger.uploaded("sha256:1", host) for host in ("https://one", "https://two")]
    clock.now += 26 * DAY_S

    assert known == ["m-1", None]
    assert ledger.uploaded("sha256:1", "https://one") is None


def test_a_locked_file_is_a_clear_error_and_works_again_afterwards(tmp_path: Path) -> None:
    url = sqlite_in(tmp_path)
    ledger = Ledger(url, caps(), busy_s=0.1)
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(LedgerError, match=r"ledger\.db: database is locked"):
            claimed(ledger)
        with pytest.raises(LedgerError, match="database is locked"):
            Ledger(url, caps(), busy_s=0.1)

    assert claimed(ledger)


def broken_file(folder: Path) -> str:
    (folder / "junk.db").write_bytes(b"no database at all" * 1000)
    return f"sqlite:///{folder}/junk.db"


def damaged_file(folder: Path) -> str:
    path = folder / "damaged.db"
    ledger = Ledger(f"sqlite:///{path}", caps())
    claimed(ledger)
    ledger.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    return f"sqlite:///{path}"


@pytest.mark.parametrize(
    ("make_url", "said"),
    [
        (broken_file, "not a database"),
        (damaged_file, "malformed"),
        (lambda folder: f"sqlite:///{folder}", "unable to open database file"),
        (lambda _: "sqlite:////proc/ledger.db", "unable to open database file"),
        (lambda _: f"sqlite:///{Path(__file__)}/ledger.db", "File exists"),
    ],
    ids=["junk", "damaged", "a folder", "unwritable folder", "under a file"],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, make_url: Any, said: str) -> None:
    with pytest.raises(LedgerError, match=said) as refused:
        claimed(Ledger(make_url(tmp_path)))

    assert "\n" not in str(refused.value)


def test_a_ledger_of_a_later_package_is_left_alone(url: str) -> None:
    Ledger(url, caps()).close()
    rows_of(url, "UPDATE wan_ledger SET value = '99'")

    with pytest.raises(LedgerError, match="schema version 99, this package knows 7"):
        Ledger(url, caps())


def test_a_file_that_must_exist_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"there is no ledger at sqlite:///.*none\.db"):
        Ledger(f"sqlite:///{tmp_path}/none.db", must_exist=True)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg://me:s3cret@127.0.0.1:1/db",
        "postgresql+psycopg://me:s3cret@127.0.0.1:port/db",
        "nosuch://me:s3cret@host/db",
        "me:s3cret@host/db",
        "sqlite+nosuch://me:s3cret@host/db",
    ],
)
def test_passwords_are_never_told(address: str) -> None:
    with pytest.raises(LedgerError) as refused:
        Ledger(address)

    assert "s3cret" not in str(refused.value)


def test_a_task_that_is_not_there_is_a_clear_error(url: str) -> None:
    ledger = Ledger(url, caps())

    with pytest.raises(LedgerError, match="was its file replaced"):
        ledger.settle("no-such-task", [], [PRICE])

    assert ledger.task("no-such-task") is None


def test_an_older_ledger_is_brought_up_to_date_and_keeps_its_tasks(url: str) -> None:
    task_uuid = claimed(Ledger(url, caps()))
    for column in (
        "prompt_id",
        "former_fingerprint",
        "submitted_by",
        "settled_by",
        "take",
        "approval",
        "tags",
        "counted_at",
        "estimated_microusd",
    ):
        rows_of(url, f"ALTER TABLE wan_tasks DROP COLUMN {column}")
    rows_of(url, "UPDATE wan_ledger SET value = '1' WHERE name = 'schema_version'")

    task = Ledger(url, caps()).task(task_uuid)

    assert task
    assert (task.state, task.origin.prompt_id) == ("reserved", "-")
    assert rows_of(url, "SELECT value FROM wan_ledger WHERE name = 'schema_version'") == [("7",)]


def test_no_more_tasks_are_let_in_flight_than_the_ledger_allows_in_all_runs_together(file_url: str) -> None:
    clock = Clock()
    ledger, other = (Ledger(file_url, caps(), max_in_flight=2, clock=clock) for _ in range(2))
    first = claimed(ledger, "one", owner="a")
    claimed(other, "two", owner="b")

    with pytest.raises(ConcurrencyLimitError, match="2 tasks are in flight"):
        claimed(ledger, "three")

    assert committed(ledger) == 2 * PRICE
    ledger.release(first, FAULT)
    claimed(other, "three", owner="b")
    clock.now += 61.0
    assert claimed(ledger, "four"), "the leases of the others have ended"


@pytest.mark.slow
def test_a_paused_ledger_lets_nothing_new_in_and_what_is_in_flight_go_on(url: str) -> None:
    ledger = Ledger(url, caps())
    task_uuid = submitted(ledger, "one")
    Ledger(url, caps()).pause("the budget is reviewed")

    with pytest.raises(PausedError, match="the budget is reviewed"):
        claimed(ledger, "two")

    assert ledger.settle(task_uuid, [], [PRICE]).state == "delivered"
    assert ledger.paused() == "the budget is reviewed"
    ledger.pause(None)
    assert (ledger.paused(), committed(ledger)) == (None, PRICE)
    claimed(ledger, "two")
