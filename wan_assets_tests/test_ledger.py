"""The ledger: money and tasks under any order of events, caps under many processes, and every broken database."""

import contextlib
import functools
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from engine_support import PRICE, request_of
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wan_assets.errors import ApiFault, BudgetExceededError, LedgerError
from wan_assets.ledger import Budget, Ledger, Origin, TaskState
from wan_assets.ledger.owner import new_owner

FAULT = ApiFault("someCode", "some message")
DAY_S = 24 * 3600.0
CAP = 6 * PRICE
REQUESTS = [request_of("one"), request_of("two", number_results=2)]
ENDED = ("failed", "rejected")
ARROWS = {
    "reserved": {"submitted", "rejected"},
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


class LedgerMachine(RuleBasedStateMachine):
    """Any order of events, on a real file, against a model of a few lines."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.tasks: dict[str, Entry] = {}
        self.ledger = self.opened()
        self.reader = sqlite3.connect(self.folder / "l.db")

    def opened(self) -> Ledger:
        budget = Budget(total_microusd=CAP)
        return Ledger(f"sqlite:///{self.folder}/l.db", budget, clock=self.clock, busy_s=5)

    def teardown(self) -> None:
        self.ledger.close()
        self.reader.close()
        shutil.rmtree(self.folder)

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
        reserved = PRICE * request.number_results
        try:
            origin = Origin(run, purchase=purchase)
            claim = self.ledger.claim(request, origin, owner, simulated=False, instead_of=instead_of)
        except BudgetExceededError:
            assert is_new
            assert self.committed() + reserved > CAP
            return
        assert (claim.standing == "new") == is_new
        if task is None or is_new:
            assert self.committed() + reserved <= CAP
            self.tasks[claim.task.task_uuid] = Entry(
                request.fingerprint(), purchase, len(mine) + 1, request.number_results, reserved, owner, self.lease()
            )
        else:
            assert claim.task.task_uuid == uuid
            assert claim.standing == self.expected_standing(task, owner)
            if claim.standing == "resumed":
                task.owner, task.lease = owner, self.lease()

    def expected_standing(self, task: Entry, owner: str) -> str:
        if task.state == "stored":
            return "stored"
        is_free = task.owner in (None, owner) or task.lease < self.clock()
        return "resumed" if is_free else "foreign"

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), event=st.sampled_from(["submitted", "rejected", "failed", "lost", "stored"]))
    def end_or_go_on(self, data: Any, event: str) -> None:
        uuid, task = self.any_task(data)
        {
            "submitted": lambda: self.ledger.mark_submitted(uuid),
            "rejected": lambda: self.ledger.release(uuid, FAULT),
            "failed": lambda: self.ledger.mark_failed(uuid, FAULT),
            "lost": lambda: self.ledger.mark_lost(uuid, FAULT),
            "stored": lambda: self.ledger.mark_stored(uuid, []),
        }[event]()
        if event in ARROWS[task.state]:
            task.state = event
            task.reserved = 0 if event == "rejected" else task.reserved
            task.owner = task.owner if event == "submitted" else None
        elif event == task.state:
            task.owner = None if event in ("lost", "stored") else task.owner

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), price=st.sampled_from([None, 0.5, 1.0, 2.5]))
    def settle(self, data: Any, price: float | None) -> None:
        uuid, task = self.any_task(data)
        share = task.reserved // task.results
        costs = [None if price is None else int(price * PRICE)] + [PRICE] * (task.results - 1)
        self.ledger.settle(uuid, [], costs)
        if "delivered" in ARROWS[task.state]:
            task.state = "delivered"
            task.cost = sum(cost or 0 for cost in costs)
            task.reserved = share if price is None else 0

    @rule(owner=st.sampled_from("ab"))
    def let_go(self, owner: str) -> None:
        self.ledger.let_go(owner)
        for task in self.tasks.values():
            task.owner = None if task.owner == owner else task.owner

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), owner=st.sampled_from("ab"))
    def let_one_go(self, data: Any, owner: str) -> None:
        uuid, task = self.any_task(data)
        self.ledger.let_go(owner, uuid)
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

    @invariant()
    def the_committed_sums_are_those_of_the_tasks(self) -> None:
        scopes = {"total": "'total'", "day": "'day ' || substr(created_at, 1, 10)", "run": "'run ' || run_id"}
        for name, scope in scopes.items():
            summed = f"SELECT 'real ' || {scope}, sum(cost_microusd + reserved_microusd) FROM wan_tasks GROUP BY 1"
            booked = f"SELECT scope, committed_microusd FROM wan_spend WHERE scope LIKE 'real {name}%'"
            assert dict(self.rows(summed)) == dict(self.rows(booked))

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

    def any_task(self, data: Any) -> tuple[str, Entry]:
        return data.draw(st.sampled_from(list(self.tasks.items())))

    def committed(self) -> int:
        return sum(task.cost + task.reserved for task in self.tasks.values())

    def lease(self) -> float:
        return self.clock() + 60.0

    def rows(self, query: str) -> list[Any]:
        return self.reader.execute(query).fetchall()


LedgerMachine.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestAnyOrderOfEvents = LedgerMachine.TestCase


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.db'}"


def claimed(ledger: Ledger, prompt: str = "one", *, run: str = "r", owner: str = "me", **request: Any) -> str:
    """The UUID of a task that is new."""
    claim = ledger.claim(request_of(prompt, **request), Origin(run, "videos", prompt), owner, simulated=False)
    assert claim.standing == "new"
    return claim.task.task_uuid


def submitted(ledger: Ledger, prompt: str = "one", **request: Any) -> str:
    """The UUID of a task that is new and was sent."""
    task_uuid = claimed(ledger, prompt, **request)
    ledger.mark_submitted(task_uuid)
    return task_uuid


def committed(ledger: Ledger) -> int:
    line = ledger.totals().real
    return line.cost_microusd + line.reserved_microusd


@functools.cache
def dead_owner() -> str:
    """An owner whose process has ended."""
    command = "from wan_assets.ledger.owner import new_owner; print(new_owner())"
    return subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    ("budget", "scope"),
    [
        (Budget(per_run_microusd=2 * PRICE), "run r"),
        (Budget(per_day_microusd=2 * PRICE), "day 2026-02-02"),
        (Budget(total_microusd=2 * PRICE), "total"),
    ],
)
def test_a_cap_lets_in_what_fits_to_the_cent_and_nothing_more(url: str, budget: Budget, scope: str) -> None:
    ledger = Ledger(url, budget, clock=Clock())
    claimed(ledger, "one")
    claimed(ledger, "two")

    with pytest.raises(BudgetExceededError) as refused:
        claimed(ledger, "three")

    assert (refused.value.scope, refused.value.committed_microusd) == (scope, 2 * PRICE)
    assert len(ledger.open_tasks()) == 2


def test_a_day_begins_at_midnight_utc_and_a_run_with_its_name(url: str) -> None:
    clock = Clock()
    ledger = Ledger(url, Budget(per_day_microusd=PRICE), clock=clock)
    claimed(ledger, "one")
    clock.now += DAY_S - clock.now % DAY_S - 1

    with pytest.raises(BudgetExceededError):
        claimed(ledger, "two", run="another")
    clock.now += 1
    claimed(ledger, "two")

    assert [line.key for line in ledger.spending("day")] == ["2026-02-02", "2026-02-03"]


def test_a_cap_per_run_does_not_concern_other_runs(url: str) -> None:
    ledger = Ledger(url, Budget(per_run_microusd=PRICE))
    claimed(ledger, "one", run="r1")

    claimed(ledger, "two", run="r2")

    assert len(ledger.open_tasks()) == 2


def test_simulated_money_does_not_count_against_the_cap_on_real_money(url: str) -> None:
    ledger = Ledger(url, Budget(total_microusd=PRICE))
    ledger.claim(request_of(), Origin(), "me", simulated=True)

    claim = ledger.claim(request_of(), Origin(), "me", simulated=False)

    assert claim.standing == "new"
    assert ledger.totals().simulated.reserved_microusd == ledger.totals().real.reserved_microusd == PRICE


def test_an_unknown_cost_keeps_its_share_reserved_and_is_listed(url: str) -> None:
    ledger = Ledger(url)
    task_uuid = submitted(ledger, number_results=3)

    ledger.settle(task_uuid, [], [PRICE - 1000, None, PRICE])
    ledger.mark_stored(task_uuid, [])

    (task,) = ledger.unknown_costs()
    assert (task.cost_microusd, task.reserved_microusd) == (2 * PRICE - 1000, PRICE)
    assert committed(ledger) == 3 * PRICE - 1000


def test_what_costs_more_than_reserved_is_booked_and_closes_the_cap(url: str) -> None:
    ledger = Ledger(url, Budget(total_microusd=2 * PRICE))
    task_uuid = submitted(ledger)

    ledger.settle(task_uuid, [], [3 * PRICE])

    assert committed(ledger) == 3 * PRICE
    with pytest.raises(BudgetExceededError):
        claimed(ledger, "two")


def test_what_was_never_accepted_frees_its_reservation(url: str) -> None:
    ledger = Ledger(url, Budget(total_microusd=PRICE))
    ledger.release(claimed(ledger, "one"), FAULT)

    claimed(ledger, "two")

    assert committed(ledger) == PRICE


def test_what_was_accepted_is_not_released_by_a_late_refusal(url: str) -> None:
    ledger = Ledger(url)
    task_uuid = submitted(ledger)

    ledger.release(task_uuid, FAULT)

    assert committed(ledger) == PRICE
    assert [task.state for task in ledger.open_tasks()] == [TaskState.SUBMITTED]


def test_a_task_is_settled_once(url: str) -> None:
    ledger = Ledger(url)
    task_uuid = submitted(ledger)

    ledger.settle(task_uuid, [], [PRICE])
    ledger.settle(task_uuid, [], [9 * PRICE])

    assert committed(ledger) == PRICE


def test_a_purchase_buys_once_under_each_name_also_after_another(url: str) -> None:
    ledger = Ledger(url)
    bought = []
    for purchase in ("", "spring", "autumn", "spring", ""):
        claim = ledger.claim(request_of(), Origin(purchase=purchase), "me", simulated=False)
        bought.append((claim.standing, claim.task.attempt))

    assert bought == [("new", 1), ("new", 2), ("new", 3), ("resumed", 2), ("resumed", 3)]


def test_a_stored_video_counts_although_a_later_purchase_failed(url: str) -> None:
    ledger = Ledger(url)
    task_uuid = submitted(ledger)
    ledger.settle(task_uuid, [], [PRICE])
    ledger.mark_stored(task_uuid, [])
    again = ledger.claim(request_of("one"), Origin(purchase="again"), "me", simulated=False)
    ledger.release(again.task.task_uuid, FAULT)

    claim = ledger.claim(request_of("one"), Origin(), "me", simulated=False)

    assert (claim.standing, claim.task.task_uuid) == ("stored", task_uuid)


def test_a_lost_task_is_bought_again_once_by_however_many_gave_it_up(url: str) -> None:
    ledger = Ledger(url)
    lost = submitted(ledger)
    ledger.mark_lost(lost, FAULT)

    claims = [
        ledger.claim(request_of("one"), Origin(), owner, simulated=False, instead_of=lost) for owner in ("a", "b")
    ]

    assert [claim.standing for claim in claims] == ["new", "foreign"]
    assert {claim.task.attempt for claim in claims} == {2}


def test_tasks_of_different_namespaces_have_different_uuids(tmp_path: Path) -> None:
    ledgers = [Ledger(f"sqlite:///{tmp_path}/{name}.db", namespace=name) for name in ("one", "two")]

    uuids = {claimed(ledger) for ledger in ledgers}

    assert len(uuids) == 2


def test_a_task_is_foreign_until_its_lease_runs_out(url: str) -> None:
    clock = Clock()
    ledger = Ledger(url, clock=clock, lease_s=60)
    claimed(ledger, owner="elsewhere/ns/1/x")
    standings = []

    for passed_s in (59, 2):
        clock.now += passed_s
        standings.append(ledger.claim(request_of("one"), Origin(), "me", simulated=False).standing)

    assert standings == ["foreign", "resumed"]


def test_a_renewed_lease_keeps_a_task_foreign(url: str) -> None:
    clock = Clock()
    ledger = Ledger(url, clock=clock, lease_s=60)
    claimed(ledger, owner="elsewhere/ns/1/x")
    clock.now += 59
    ledger.renew("elsewhere/ns/1/x")
    clock.now += 59

    claim = ledger.claim(request_of("one"), Origin(), "me", simulated=False)

    assert claim.standing == "foreign"


def test_a_dead_process_loses_its_tasks_at_once(url: str) -> None:
    ledger = Ledger(url)
    claimed(ledger, owner=dead_owner())

    claim = ledger.claim(request_of("one"), Origin(), "me", simulated=False)

    assert claim.standing == "resumed"


def test_a_live_process_keeps_its_tasks(url: str) -> None:
    ledger = Ledger(url)
    claimed(ledger, owner=new_owner())

    claim = ledger.claim(request_of("one"), Origin(), new_owner(), simulated=False)

    assert claim.standing == "foreign"


def test_a_process_of_another_machine_is_not_taken_for_dead(url: str) -> None:
    ledger = Ledger(url)
    claimed(ledger, owner=f"elsewhere/{dead_owner().partition('/')[2]}")

    claim = ledger.claim(request_of("one"), Origin(), "me", simulated=False)

    assert claim.standing == "foreign"


CLAIMS_UNTIL_THE_CAP = """
import sys
from engine_support import PRICE, request_of
from wan_assets.errors import BudgetExceededError
from wan_assets.ledger import Budget, Ledger, Origin
ledger = Ledger(sys.argv[1], Budget(total_microusd=50 * PRICE))
for number in range(20):
    try:
        ledger.claim(request_of(f"{sys.argv[2]} {number}"), Origin(), sys.argv[2], simulated=False)
    except BudgetExceededError:
        print(number)
"""


def processes(code: str, *arguments: tuple[str, ...]) -> list[subprocess.Popen[str]]:
    """One process for each tuple of arguments, all at once."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    start = [sys.executable, "-c", code]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return [subprocess.Popen([*start, *given], env=environment, **pipes) for given in arguments]


def test_four_processes_together_never_exceed_a_cap_for_fifty(url: str) -> None:
    claimants = processes(CLAIMS_UNTIL_THE_CAP, *((url, name) for name in "abcd"))
    answers = [claimant.communicate(timeout=60) for claimant in claimants]

    refused = sum(len(said.split()) for said, _ in answers)

    assert not any(trouble for _, trouble in answers)
    assert refused == 4 * 20 - 50
    assert committed(Ledger(url)) == 50 * PRICE


def test_many_processes_may_make_one_new_ledger_at_once(url: str) -> None:
    makers = processes("import sys; from wan_assets.ledger import Ledger; Ledger(sys.argv[1])", *[(url,)] * 3)

    troubles = [maker.communicate(timeout=60)[1] for maker in makers]

    assert troubles == [""] * 3


def test_spending_is_told_by_state_day_asset_partition_and_run(url: str) -> None:
    clock = Clock()
    ledger = Ledger(url, clock=clock)
    first = submitted(ledger, "one")
    ledger.settle(first, [], [PRICE])
    ledger.mark_stored(first, [])
    clock.now += DAY_S
    ledger.mark_failed(submitted(ledger, "two"), FAULT)

    groups = {by: ledger.spending(by) for by in ("state", "day", "asset", "partition", "run_id")}

    told = {by: [(line.key, line.cost_microusd, line.reserved_microusd) for line in groups[by]] for by in groups}
    assert told == {
        "state": [("failed", 0, PRICE), ("stored", PRICE, 0)],
        "day": [("2026-02-02", PRICE, 0), ("2026-02-03", 0, PRICE)],
        "asset": [("videos", PRICE, PRICE)],
        "partition": [("one", PRICE, 0), ("two", 0, PRICE)],
        "run_id": [("r", PRICE, PRICE)],
    }
    assert [line.unknown for line in groups["state"]] == [1, 0]


def test_an_upload_is_remembered_for_its_host_until_the_api_may_have_deleted_it(url: str) -> None:
    clock = Clock()
    ledger = Ledger(url, clock=clock)
    ledger.remember_upload("sha256:1", "https://one", "m-0")
    ledger.remember_upload("sha256:1", "https://one", "m-1")

    known = [ledger.uploaded("sha256:1", host) for host in ("https://one", "https://two")]
    clock.now += 26 * DAY_S

    assert known == ["m-1", None]
    assert ledger.uploaded("sha256:1", "https://one") is None


def test_a_locked_ledger_is_a_clear_error_and_works_again_afterwards(url: str, tmp_path: Path) -> None:
    ledger = Ledger(url, busy_s=0.1)
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(LedgerError, match=r"ledger\.db: database is locked"):
            claimed(ledger)
        with pytest.raises(LedgerError, match="database is locked"):
            Ledger(url, busy_s=0.1)

    assert claimed(ledger)


def broken_file(folder: Path) -> str:
    (folder / "junk.db").write_bytes(b"no database at all" * 1000)
    return f"sqlite:///{folder}/junk.db"


def damaged_file(folder: Path) -> str:
    path = folder / "damaged.db"
    ledger = Ledger(f"sqlite:///{path}")
    claimed(ledger)
    ledger.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    return f"sqlite:///{path}"


def newer_file(folder: Path) -> str:
    Ledger(f"sqlite:///{folder}/newer.db").close()
    with contextlib.closing(sqlite3.connect(folder / "newer.db")) as db, db:
        db.execute("UPDATE wan_ledger SET value = '99'")
    return f"sqlite:///{folder}/newer.db"


@pytest.mark.parametrize(
    ("make_url", "said"),
    [
        (broken_file, "not a database"),
        (damaged_file, "malformed"),
        (newer_file, "schema version 99, this package knows 1"),
        (lambda folder: f"sqlite:///{folder}", "unable to open database file"),
        (lambda _: "sqlite:////proc/ledger.db", "unable to open database file"),
        (lambda _: f"sqlite:///{Path(__file__)}/ledger.db", "File exists"),
    ],
    ids=["junk", "damaged", "newer", "a folder", "unwritable folder", "under a file"],
)
def test_a_ledger_that_cannot_be_used_says_why(tmp_path: Path, make_url: Any, said: str) -> None:
    with pytest.raises(LedgerError, match=said) as refused:
        claimed(Ledger(make_url(tmp_path)))

    assert "\n" not in str(refused.value)


def test_a_ledger_that_must_exist_is_not_made(tmp_path: Path) -> None:
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
    ledger = Ledger(url)

    with pytest.raises(LedgerError, match="was its file replaced"):
        ledger.settle("no-such-task", [], [PRICE])

    assert ledger.task("no-such-task") is None
