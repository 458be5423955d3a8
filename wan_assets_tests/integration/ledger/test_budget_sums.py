"""Budgets of several processes on one ledger: nothing is reserved that does not fit, and what fits is not refused."""

import contextlib
import functools
from collections import Counter as Sums
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from engine_support import PRICE, request_of, rows_of
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from wan_assets.errors import ApiFault, BudgetExceededError
from wan_assets.ledger import BudgetLimit, Budgets, Counter, Ledger, Origin, Task, TaskState
from wan_assets.ledger.budget import STANDARD
from wan_assets.settings import sqlite_url

FAULT = ApiFault("someCode", "some message")
MARCH_28 = datetime(2026, 3, 28, 22, 59, 10, tzinfo=UTC).timestamp()
"""Less than a minute before midnight in Berlin, on the eve of daylight saving time."""

LIMITS = (
    {},
    {"per": "run"},
    {"per": "day"},
    {"per": "day", "time_zone": "Europe/Berlin"},
    {"per": "month", "time_zone": "Europe/Berlin", "scope": {"x_team": "ads"}},
    {"per": "week", "scope": {"asset": "trailers"}},
    {"per": "month", "scope": {"model": "wan2.6"}},
    {"per": "day", "scope": {"partition": "2026-*"}},
    {"per": "run", "scope": {"campaign": "fall"}},
    {"scope": {"run_tag:team": "*"}},
    {"scope": {"takes": "further"}},
    {"per": "month", "scope": {"takes": "further", "asset": "trailers"}},
)
ORIGINS = (
    Origin("r1", "trailers", "2026-03-28", tags={"x_team": "ads", "campaign": "fall"}),
    Origin("r1", "trailers", "all", tags={"x_team": "sales"}),
    Origin("r2", "clips", "2026-03-29", tags={"x_team": "ads"}, run_tags={"team": "video"}),
    Origin("r3", "clips", "2027-01-01"),
)
PARAMETERS: tuple[dict[str, Any], ...] = ({}, {"model": "wan2.6", "resolution": "720p"}, {"number_results": 2})


def limit_of(fields: dict[str, Any], usd: float) -> BudgetLimit:
    return BudgetLimit.model_validate({"usd": usd, **fields})


@dataclass
class Clock:
    """A clock that a test sets, and that differs from the others by some seconds."""

    base: Callable[[], float]
    ahead_s: float = 0.0

    def __call__(self) -> float:
        return self.base() + self.ahead_s


def counts(counter: Counter, task: Task, run_tags: dict[str, str]) -> bool:
    """Whether a task counts, written independently of the package for the scopes above."""
    known = {
        "asset": task.origin.asset,
        "partition": task.origin.partition,
        "model": task.request.get("model", "runware:201@1"),
        "takes": "first" if task.origin.take == 1 else "further",
        **task.origin.tags,
        **{f"run_tag:{name}": value for name, value in run_tags.items()},
    }
    return all(
        name in known and (known[name].startswith(value[:-1]) if value.endswith("*") else known[name] == value)
        for name, value in counter.scope
    )


def period(counter: Counter, run_id: str, counted_at: str) -> Any:
    """The period of a moment, written independently of the package."""
    day: date = datetime.fromisoformat(counted_at).astimezone(ZoneInfo(counter.time_zone)).date()
    return {
        "total": None,
        "run": run_id,
        "day": day,
        "week": day.isocalendar()[:2],
        "month": (day.year, day.month),
    }[counter.per]


class BudgetMachine(RuleBasedStateMachine):
    """Two processes with clocks a minute apart and budgets of their own, against a model of a few lines."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url, self.now = url, MARCH_28
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            for table in sa.inspect(connection).get_table_names():
                connection.execute(sa.text(f"DELETE FROM {table}"))
        engine.dispose()
        every = [limit_of(each, (4 * PRICE + 1) / 1e6) for each in LIMITS]
        self.limits: list[tuple[BudgetLimit, ...]] = [tuple(every[3:8]), tuple(every[:6])]
        self.of_ledger: dict[Counter, int] = {}
        self.seen: set[Counter] = set()
        self.number = 0
        self.read: list[Task] | None = None
        self.boundary = 0.0
        self.ledgers = [self.opened(0), self.opened(1)]

    def opened(self, which: int) -> Ledger:
        clock = Clock(lambda: self.now, 60.0 * which)
        budgets = Budgets(self.limits[which], price_margin=Decimal(0))
        self.seen |= {limit.counter for limit in self.limits[which]}
        return Ledger(self.url, budgets, clock=clock, busy_s=5)

    def teardown(self) -> None:
        for ledger in self.ledgers:
            ledger.close()

    @property
    def tasks(self) -> list[Task]:
        """All tasks, which are read once after each event."""
        if self.read is None:
            self.read = self.ledgers[0].tasks_where()
        return self.read

    def run_tags(self, task: Task) -> dict[str, str]:
        return next((dict(each.run_tags) for each in ORIGINS if each.run_id == task.origin.run_id), {})

    def moment(self, which: int) -> str:
        """When a reservation of a process counts: never before a quarter of an hour that any process has seen."""
        now = self.now + 60.0 * which
        at = max(now, self.boundary) if self.boundary <= now + 900 else now
        self.boundary = max(self.boundary, at // 900 * 900) if self.boundary <= now + 900 else at // 900 * 900
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")

    def committed(self, counter: Counter, run_id: str, moment: str, without: str = "") -> int:
        wanted = period(counter, run_id, moment)
        return sum(
            task.committed_microusd
            for task in self.tasks
            if task.committed_microusd
            and task.task_uuid != without
            and counts(counter, task, self.run_tags(task))
            and period(counter, task.origin.run_id, task.counted_at) == wanted
        )

    def caps(self, which: int) -> dict[Counter, int]:
        caps: dict[Counter, int] = {}
        for limit in self.limits[which]:
            caps[limit.counter] = min(limit.microusd, caps.get(limit.counter, limit.microusd))
        return caps | self.of_ledger

    @rule(
        which=st.sampled_from((0, 1)),
        origin=st.sampled_from(ORIGINS),
        parameters=st.sampled_from(PARAMETERS),
        is_further=st.booleans(),
    )
    def claim(self, which: int, origin: Origin, parameters: dict[str, Any], is_further: bool) -> None:
        ledger, self.number = self.ledgers[which], self.number + 1
        request = request_of(f"Kite {self.number}", **parameters) if not parameters.get("model") else mixed(self.number)
        take = {"take": 2, "row_fingerprint": request.fingerprint()} if is_further else {}
        of_take = Origin(**{**vars(origin), **take})
        if origin.run_tags:
            ledger.record_run_tags(origin.run_id, origin.run_tags)
        needed = ledger.quoted_microusd([request], simulated=False)
        moment = self.moment(which)
        asked = Task(**{**vars(BLANK), "origin": of_take, "request": request.to_record(), "counted_at": moment})
        exceeded = {
            counter
            for counter, cap in self.caps(which).items()
            if counts(counter, asked, dict(origin.run_tags))
            and self.committed(counter, origin.run_id, moment) + needed > cap
        }
        if exceeded:
            with pytest.raises(BudgetExceededError):
                ledger.claim(request, of_take, "me", simulated=False)
            return
        claim = ledger.claim(request, of_take, "me", simulated=False)
        assert (claim.task.counted_at, claim.task.reserved_microusd) == (moment, needed)

    @precondition(lambda self: self.tasks)
    @rule(which=st.sampled_from((0, 1)), data=st.data(), event=st.sampled_from(["release", "settle", "fail"]))
    def end_one(self, which: int, data: Any, event: str) -> None:
        task = data.draw(st.sampled_from(self.tasks), "task")
        ledger = self.ledgers[which]
        if event == "release":
            ledger.release(task.task_uuid, FAULT)
            return
        ledger.mark_submitted(task.task_uuid)
        if event == "settle":
            cost = data.draw(st.sampled_from((None, 100_001, PRICE - 1, PRICE)), "cost")
            ledger.settle(task.task_uuid, [], [cost] * task.number_results)
        else:
            ledger.mark_failed(task.task_uuid, FAULT)

    @precondition(lambda self: self.tasks)
    @rule(which=st.sampled_from((0, 1)), data=st.data())
    def count_again(self, which: int, data: Any) -> None:
        task = data.draw(st.sampled_from(self.tasks), "task")
        moment = self.moment(which) if task.state == "reserved" else ""
        exceeded = {
            counter
            for counter, cap in self.caps(which).items()
            if moment
            and counts(counter, task, self.run_tags(task))
            and self.committed(counter, task.origin.run_id, moment, task.task_uuid) + task.reserved_microusd > cap
        }
        if exceeded:
            with pytest.raises(BudgetExceededError):
                self.ledgers[which].count_again(task.task_uuid)
            return
        self.ledgers[which].count_again(task.task_uuid)
        if moment:
            assert self.ledgers[which].tasks_of([task.task_uuid])[task.task_uuid].counted_at == moment

    @rule(seconds=st.sampled_from((20.0, 50.0, 900.0, 3_600.0, 86_400.0, 31 * 86_400.0)))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(
        which=st.sampled_from((0, 1)),
        fields=st.lists(st.sampled_from(LIMITS), min_size=2, max_size=6),
        prices=st.integers(0, 4),
        rest=st.sampled_from((-1, 0, 1)),
    )
    def open_with_other_budgets(self, which: int, fields: list[dict[str, Any]], prices: int, rest: int) -> None:
        self.ledgers[which].close()
        self.limits[which] = tuple(limit_of(each, max(0, prices * PRICE + rest) / 1e6) for each in fields)
        self.ledgers[which] = self.opened(which)

    @rule(which=st.sampled_from((0, 1)), fields=st.sampled_from(LIMITS), prices=st.sampled_from((None, 0, 1, 3, 9)))
    def change_in_the_ledger(self, which: int, fields: dict[str, Any], prices: int | None) -> None:
        limit = limit_of(fields, (prices or 0) * PRICE / 1e6)
        if prices is None:
            self.ledgers[which].unset_budget(limit)
            self.of_ledger.pop(limit.counter, None)
        else:
            self.ledgers[which].set_budget(limit)
            self.of_ledger[limit.counter] = limit.microusd
        self.seen.add(limit.counter)

    @invariant()
    def the_sums_are_those_of_the_tasks(self) -> None:
        self.read = None
        expected: Sums[str] = Sums()
        for task in self.tasks:
            for counter in {*STANDARD, *self.seen}:
                if counts(counter, task, self.run_tags(task)):
                    name = counter.sum_name(task.origin.run_id, task.counted_at[:16])
                    expected[f"real {name}"] += task.committed_microusd
        booked = dict(rows_of(self.url, "SELECT scope, committed_microusd FROM wan_spend"))
        kept = {name: amount for name, amount in booked.items() if amount or name in expected}
        assert kept == dict(expected) | dict.fromkeys(kept.keys() - expected.keys(), 0)
        assert not {name for name, amount in expected.items() if amount and name not in booked}

    @invariant()
    def the_states_are_what_is_left(self) -> None:
        self.read = None
        for which, ledger in enumerate(self.ledgers):
            moment = self.moment(which)
            for state in ledger.budget_states("r1", simulated=False):
                assert state.committed_microusd == self.committed(state.counter, "r1", moment)
                assert state.cap_microusd == self.caps(which)[state.counter]


def mixed(number: int) -> Any:
    return request_of(f"Boat {number}", model="wan2.6", resolution="720p", provider_settings=None)


BLANK = Task("", "", 1, False, TaskState.RESERVED, 1, 0, 0, {}, (), Origin(), "", None, None, None, None, "")


@pytest.mark.slow
def test_any_order_of_events_keeps_every_budget_and_refuses_nothing_that_fits(tmp_path: Path) -> None:
    run_state_machine_as_test(
        functools.partial(BudgetMachine, sqlite_url(tmp_path / "ledger.db")),
        settings=settings(max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=[*HealthCheck]),
    )


# Single rules, on both databases.


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a new ledger, of each kind in turn."""
    in_file = sqlite_url(tmp_path / "ledger.db")
    return str(request.getfixturevalue("postgres_url")) if request.param == "postgres" else in_file


def ledger_at(url: str, *limits: BudgetLimit, **options: Any) -> Ledger:
    return Ledger(url, Budgets(limits, price_margin=Decimal(0)), **options)


def claimed(ledger: Ledger, prompt: str, origin: Origin = ORIGINS[0], **parameters: Any) -> Task:
    return ledger.claim(request_of(prompt, **parameters), origin, "me.1.x", simulated=False).task


def price_limit(prices: float, **fields: Any) -> BudgetLimit:
    return limit_of(fields, prices * PRICE / 1e6)


@pytest.mark.parametrize("fields", LIMITS)
def test_a_new_budget_counts_what_was_spent_before_it(url: str, fields: dict[str, Any]) -> None:
    tags = {"team": "video"}
    origin = Origin("r1", "trailers", "2026-1", tags=dict(ORIGINS[0].tags), run_tags=tags, take=2, row_fingerprint="f")
    parameters = {"model": "wan2.6", "resolution": "720p", "provider_settings": None}
    with ledger_at(url) as ledger:
        ledger.record_run_tags("r1", tags)
        price = claimed(ledger, "one", origin, **parameters).reserved_microusd
        ledger.claim(request_of("two"), Origin("r2", "others"), "me.1.x", simulated=False)

    limit = limit_of(fields, 2 * price / 1e6)
    with ledger_at(url, limit) as ledger:
        (state,) = ledger.budget_states("r1", simulated=False)
        before = state.committed_microusd
        claimed(ledger, "three", origin, **parameters) if before == price else None
        fits = before + price <= limit.microusd and before == 2 * price
        with contextlib.nullcontext() if fits else pytest.raises(BudgetExceededError):
            claimed(ledger, "four", origin, **parameters)

    everything = not fields.get("scope") and fields.get("per") != "run"
    assert before == (price + PRICE if everything else price)


def test_a_budget_of_one_process_counts_the_tasks_of_all(url: str) -> None:
    with ledger_at(url, price_limit(2, scope={"x_team": "ads"})) as limited, ledger_at(url) as other:
        for number in range(2):
            claimed(other, f"other {number}")

        with pytest.raises(BudgetExceededError) as refused:
            claimed(limited, "mine")
        claimed(limited, "of another team", ORIGINS[1])
        claimed(other, "without a limit")

    assert refused.value.scope == "total for x_team=ads"
    assert refused.value.committed_microusd == 2 * PRICE


def test_the_first_tags_of_a_run_stay(url: str) -> None:
    limits = [price_limit(9, scope={"run_tag:team": team}) for team in ("a", "b")]
    with ledger_at(url, *limits) as ledger:
        ledger.record_run_tags("r9", {"team": "a"})
        task = claimed(ledger, "one", Origin("r9", "videos"))
        ledger.record_run_tags("r9", {"team": "b"})
        ledger.release(task.task_uuid, FAULT)

        assert [state.committed_microusd for state in ledger.budget_states("r9", simulated=False)] == [0, 0]


def test_a_budget_is_lowered_and_raised_without_a_restart(url: str) -> None:
    configured = price_limit(3, per="month", scope={"asset": "trailers"}, time_zone="Europe/Berlin")
    with ledger_at(url, configured) as running, ledger_at(url) as elsewhere:
        first = claimed(running, "one")
        elsewhere.set_budget(price_limit(0.5, per="month", scope={"asset": "trailers"}, time_zone="Europe/Berlin"))
        with pytest.raises(
            BudgetExceededError, match=r"of \$0\.24 is spent or reserved, \$0\.0000 is left; it resets at"
        ):
            claimed(running, "two")
        with pytest.raises(BudgetExceededError):
            running.count_again(first.task_uuid)
        elsewhere.set_budget(price_limit(2, per="month", scope={"asset": "trailers"}, time_zone="Europe/Berlin"))
        running.count_again(first.task_uuid)
        claimed(running, "two")
        with pytest.raises(BudgetExceededError):
            claimed(running, "three")
        elsewhere.unset_budget(configured)
        claimed(running, "three")
        with pytest.raises(BudgetExceededError):
            claimed(running, "four")


def test_the_tightest_budget_is_named(url: str) -> None:
    limits = (
        price_limit(5),
        price_limit(1.5, per="week"),
        price_limit(1.2, scope={"x_team": "*"}),
        price_limit(1.9, per="run"),
    )
    with ledger_at(url, *limits) as ledger:
        claimed(ledger, "one")
        with pytest.raises(BudgetExceededError) as refused:
            claimed(ledger, "two")

    assert refused.value.scope == "total for x_team=*"


def test_a_reservation_that_waits_over_midnight_counts_on_the_next_day(tmp_path: Path) -> None:
    clock = Clock(lambda: MARCH_28)
    day = price_limit(1, per="day", time_zone="Europe/Berlin")
    with ledger_at(sqlite_url(tmp_path / "ledger.db"), day, clock=clock) as ledger:
        first = claimed(ledger, "one")
        clock.ahead_s = 60.0
        second = claimed(ledger, "two")
        with pytest.raises(BudgetExceededError, match="the budget of day 2026-03-29"):
            ledger.count_again(first.task_uuid)
        ledger.release(second.task_uuid, FAULT)
        ledger.count_again(first.task_uuid)
        (state,) = ledger.budget_states("r1", simulated=False)
        days = [row.counted_at[:16] for row in ledger.tasks_of([first.task_uuid]).values()]

    assert (state.label, state.committed_microusd) == ("day 2026-03-29 (Europe/Berlin)", PRICE)
    assert days == ["2026-03-28T23:00"]


def test_a_submitted_task_keeps_the_period_in_which_it_was_submitted(tmp_path: Path) -> None:
    clock = Clock(lambda: MARCH_28)
    day = price_limit(1, per="day", time_zone="Europe/Berlin")
    with ledger_at(sqlite_url(tmp_path / "ledger.db"), day, clock=clock) as ledger:
        first = claimed(ledger, "one")
        ledger.mark_submitted(first.task_uuid)
        clock.ahead_s = 60.0
        ledger.count_again(first.task_uuid)
        ledger.settle(first.task_uuid, [], [100_000])
        (state,) = ledger.budget_states("r1", simulated=False)

    assert state.committed_microusd == 0
    assert dict(
        rows_of(ledger.url, "SELECT scope, committed_microusd FROM wan_spend WHERE scope LIKE '%2026-03-28'")
    ) == {
        "real day 2026-03-28": 100_000,
        f"real {day.counter.id} 2026-03-28": 100_000,
    }


def test_a_day_begins_for_all_processes_when_it_begins_for_the_first(tmp_path: Path) -> None:
    url, day = sqlite_url(tmp_path / "ledger.db"), price_limit(1, per="day", time_zone="Europe/Berlin")
    with (
        ledger_at(url, day, clock=lambda: MARCH_28 + 60) as ahead,
        ledger_at(url, day, clock=lambda: MARCH_28) as behind,
    ):
        claimed(behind, "yesterday")
        claimed(ahead, "today")
        with pytest.raises(BudgetExceededError, match="the budget of day 2026-03-29"):
            claimed(behind, "today too")


def test_a_reservation_of_the_rest_fits_and_one_of_a_micro_dollar_more_does_not(url: str) -> None:
    exact, less = (
        limit_of({"scope": {"asset": "*"}}, PRICE / 1e6),
        limit_of({"scope": {"asset": "*"}}, (PRICE - 1) / 1e6),
    )
    with ledger_at(url, less) as tight, ledger_at(url, exact) as fits:
        with pytest.raises(BudgetExceededError):
            claimed(tight, "one")
        claimed(fits, "one")
        tight.set_budget(limit_of({"scope": {"asset": "*"}}, (2 * PRICE - 1) / 1e6))
        with pytest.raises(BudgetExceededError):
            claimed(tight, "two")
        tight.set_budget(limit_of({"scope": {"asset": "*"}}, 2 * PRICE / 1e6))
        claimed(tight, "two")


def test_a_process_whose_clock_is_far_ahead_does_not_move_the_periods_of_others(tmp_path: Path) -> None:
    url, day = sqlite_url(tmp_path / "ledger.db"), price_limit(1, per="day")
    with (
        ledger_at(url, day, clock=lambda: MARCH_28 + 400 * 86_400) as wrong,
        ledger_at(url, day, clock=lambda: MARCH_28) as right,
    ):
        claimed(wrong, "in a year")
        task = claimed(right, "today")
        with pytest.raises(BudgetExceededError):
            claimed(right, "today too")

    assert task.counted_at == "2026-03-28T22:59:10.000+00:00"


def test_simulated_money_has_sums_of_its_own(url: str) -> None:
    with ledger_at(url, price_limit(1, scope={"x_team": "ads"})) as ledger:
        claimed(ledger, "real")
        ledger.claim(request_of("simulated"), ORIGINS[0], "me.1.x", simulated=True)
        with pytest.raises(BudgetExceededError):
            ledger.claim(request_of("one too many"), ORIGINS[0], "me.1.x", simulated=True)
        states = [ledger.budget_states("r1", simulated=simulated)[0] for simulated in (False, True)]

    assert [state.committed_microusd for state in states] == [PRICE, PRICE]
