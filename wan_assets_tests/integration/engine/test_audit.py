"""What the books are asked afterwards: tasks that are still open, the account's own sums, and the commands for both."""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from api_double import NOTHING, Prepared
from bent_api import POLL, Bend, Call, bent, on
from cli_support import clean
from click.testing import CliRunner, Result
from crash_support import killed
from engine_support import KEY, PRICE, Studio, caps, errors_of, jobs_of, request_of, studio
from simulator_support import ManualClock

from wan_assets.cli import cli
from wan_assets.dataset.reconciliation import DayCompared, reconciled
from wan_assets.engine import Limits, Recovered, VideoJob, recover
from wan_assets.errors import ApiFault, NotSubmittedError
from wan_assets.ledger import Ledger, Origin
from wan_assets.ledger.processes import new_owner
from wan_assets.models.request import VideoRequest, task_uuid_of

# Recovery.


def recovered(made: Studio, *, limits: Limits | None = None, release_unsent: bool = False) -> list[Recovered]:
    """Recovers all that is open; what became of each, by partition."""

    async def read() -> list[Recovered]:
        async with made.client() as client:
            means: dict[str, Any] = {"client": client, "store": made.store, "ledger": made.ledger()}
            found = recover(**means, limits=limits or Limits(max_wait_s=20), release_unsent=release_unsent)
            return [one async for one in found]

    found = sorted(asyncio.run(read()), key=lambda one: one.task.origin.partition)
    assert_nothing_was_sent_for(made, found)
    return found


def assert_nothing_was_sent_for(made: Studio, found: list[Recovered]) -> None:
    """What was never sent has not been sent, and no other task a second time.

    They are not counted before: what a killed run has sent may come in a little later.
    """
    sent = [task_uuid for (task_uuid,) in made.journal.rows("SELECT task_uuid FROM submissions")]
    unsent = {one.task.task_uuid for one in found if isinstance(one.error, NotSubmittedError)}
    assert len(sent) == len(set(sent))
    assert unsent & set(sent) == set()


def names_of(found: list[Recovered]) -> list[str]:
    """The names of the errors' classes; an empty name where there is none."""
    return [type(one.error).__name__ if one.error else "" for one in found]


def assert_all_that_was_paid_is_kept(made: Studio) -> None:
    """Every task that the account was charged for lies in the store, and is booked to the cent."""
    stored = made.rows("SELECT task_uuid FROM wan_tasks WHERE state = 'stored'")
    charges = [charge for charge in made.journal.charges() if charge.amount_microusd]
    assert {task_uuid for (task_uuid,) in stored} == {charge.task_uuid for charge in charges}
    assert made.ledger().totals().simulated.cost_microusd == made.journal.spent_microusd()
    for charge in charges:
        kept = made.store.task(charge.fingerprint, charge.task_uuid, simulated=True)
        assert kept
        assert all(made.store.verifies(video) for video in kept.videos)


def claimed(made: Studio, prompt: str = "Kite 0", owner: str = "gone") -> str:
    """A task that a run has booked, and has not sent yet."""
    claim = made.ledger().claim(request_of(prompt), Origin("run-1", "videos", "p0"), owner, simulated=True)
    return claim.task.task_uuid


def abandoned(made: Studio) -> str:
    """A task that was booked by a run that ended before it was sent."""
    task_uuid = claimed(made)
    made.ledger().release_leases("gone")
    return task_uuid


@pytest.mark.slow
def test_what_a_closed_run_left_in_flight_comes_to_the_store_and_nothing_is_sent_for_it(tmp_path: Path) -> None:
    async def read_one(made: Studio) -> None:
        async with made.running(jobs_of(12), limits=Limits(max_in_flight=4, max_downloads=1)) as outcomes:
            await anext(outcomes)

    with studio(tmp_path, latency_s=0.3) as made:
        asyncio.run(read_one(made))
        left_open = len(made.ledger().open_tasks())
        found = recovered(made)

        assert 0 < left_open == len(found)
        assert set(names_of(found)) <= {"", "NotSubmittedError"}
        assert "" in names_of(found)
        assert_all_that_was_paid_is_kept(made)


@pytest.mark.slow
def test_what_a_killed_run_left_in_flight_comes_to_the_store_and_nothing_is_sent_for_it(tmp_path: Path) -> None:
    with studio(tmp_path, latency_s=0.5) as made:
        end = killed(made, 20, when=lambda: made.paid >= 6)
        found = recovered(made)

        assert end == -9
        assert set(names_of(found)) <= {"", "NotSubmittedError"}
        assert "" in names_of(found)
        assert_all_that_was_paid_is_kept(made)


def test_a_second_recovery_finds_nothing_to_do(tmp_path: Path) -> None:
    clock = ManualClock()
    with studio(tmp_path, clock=clock, latency_s=60) as made:
        made.run(jobs_of(2), limits=Limits(max_wait_s=0.1))
        clock.now += 60
        first, second = recovered(made), recovered(made)
        outcomes = made.run(jobs_of(2))

        assert made.paid == 2
    assert (names_of(first), second) == (["", ""], [])
    assert all(one.stored and one.stored.cost_microusd == PRICE for one in first)
    assert all(outcome.is_reused for outcome in outcomes)


def test_a_task_of_another_process_that_lives_is_left_to_it(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        claimed(made, owner=(owner := new_owner()))
        found = recovered(made, release_unsent=True)

        assert made.rows("SELECT state, owner FROM wan_tasks") == [("reserved", owner)]
    assert names_of(found) == ["TaskLockedError"]


def test_a_task_that_was_never_sent_keeps_its_money_and_is_sent_by_the_next_run(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        task_uuid = abandoned(made)
        found = recovered(made)
        reserved = made.ledger().totals().simulated.reserved_microusd
        states = made.states()
        made.run(jobs_of(1))

        assert [charge.task_uuid for charge in made.journal.charges()] == [task_uuid]
    assert names_of(found) == ["NotSubmittedError"]
    assert (states, reserved) == (["reserved"], PRICE)


def test_a_task_that_was_never_sent_gives_its_money_back_where_that_is_asked_for(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        abandoned(made)
        found = recovered(made, release_unsent=True)
        task = made.ledger().task(found[0].task.task_uuid)
        spend = made.rows("SELECT committed_microusd FROM wan_spend")
        again = recovered(made)
        made.run(jobs_of(1))

        assert made.states() == ["rejected", "stored"]
        assert made.paid == 1
    assert (names_of(found), again) == (["NotSubmittedError"], [])
    assert task
    assert (task.state, task.error_code, task.reserved_microusd) == ("rejected", "notSent", 0)
    assert set(spend) == {(0,)}


def test_a_task_whose_acknowledgement_was_never_booked_is_not_taken_for_unsent(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        task_uuid = abandoned(made)

        async def send() -> None:
            async with made.client() as client:
                await client.submit(request_of("Kite 0").to_task(task_uuid))

        asyncio.run(send())
        found = recovered(made, release_unsent=True)

        assert_all_that_was_paid_is_kept(made)
    assert names_of(found) == [""]


def test_a_lost_task_that_the_api_knows_again_comes_to_the_store(tmp_path: Path) -> None:
    with bent(tmp_path, on(POLL, lambda _: NOTHING)) as made:
        made.run(jobs_of(1), limits=Limits(max_wait_s=1.5))
        states = made.states()
    with studio(tmp_path) as made:
        found = recovered(made)

        assert_all_that_was_paid_is_kept(made)
        assert made.ledger().totals().simulated.reserved_microusd == 0
    assert (states, names_of(found)) == (["lost"], [""])


def test_a_lost_task_that_stays_unknown_stays_lost_and_keeps_its_money(tmp_path: Path) -> None:
    with bent(tmp_path, on(POLL, lambda _: NOTHING)) as made:
        made.run(jobs_of(1), limits=Limits(max_wait_s=1.5))
        found = recovered(made, limits=Limits(max_wait_s=1.5))

        assert (made.states(), made.money) == (["lost"], (0, PRICE, 0))
    assert names_of(found) == ["TaskUnknownError"]


def blind_to(task_uuid: str) -> Bend:
    """An API that has forgotten a task, and no other."""
    return on(POLL, lambda call: NOTHING if {task["taskUUID"] for task in call.tasks} == {task_uuid} else None)


@pytest.mark.slow
def test_a_lost_task_that_was_bought_again_is_looked_for_all_the_same(tmp_path: Path) -> None:
    (job,) = jobs_of(1)
    first = task_uuid_of(job.request.fingerprint(), 1, "wan-assets simulated")

    with bent(tmp_path, blind_to(first)) as made:
        outcomes = made.run([job], limits=Limits(max_wait_s=1.5, max_attempts=2, on_lost="resubmit"))
        states, paid = made.states(), made.paid
    with studio(tmp_path) as made:
        found = recovered(made)

        assert_all_that_was_paid_is_kept(made)
        assert made.states() == ["stored", "stored"]
        assert made.ledger().totals().simulated.cost_microusd == 2 * PRICE
    assert (errors_of(outcomes), states, paid) == ([""], ["lost", "stored"], 2)
    assert [(one.task.task_uuid, one.stored is not None) for one in found] == [(first, True)]


def undelivered(folder: Path, rows: int = 1) -> None:
    """Leaves tasks that have finished and are paid for, and whose files could not be fetched."""
    with studio(folder, faults={"download_redirect": 1.0}) as made:
        outcomes = made.run(jobs_of(rows))

        assert made.states() == ["delivered"] * rows
    assert errors_of(outcomes) == ["OutputUnavailableError"] * rows


def test_a_video_that_was_paid_for_and_not_fetched_is_fetched(tmp_path: Path) -> None:
    undelivered(tmp_path)

    with studio(tmp_path) as made:
        (reported,) = made.ledger().open_tasks()[0].results
        found = recovered(made)

        assert_all_that_was_paid_is_kept(made)
    assert names_of(found) == [""]
    assert found[0].stored
    (video,) = found[0].stored.videos
    assert (reported["video_uuid"], reported["seed"], reported["cost"]) == (video.video_uuid, video.seed, 0.473)


def test_a_video_whose_file_has_expired_stays_delivered_and_paid(tmp_path: Path) -> None:
    undelivered(tmp_path)

    with studio(tmp_path, ttl_s=0.0) as made:
        found = recovered(made)

        assert made.states() == ["delivered"]
        assert made.ledger().totals().simulated.cost_microusd == made.journal.spent_microusd() == PRICE
    assert names_of(found) == ["OutputUnavailableError"]


def test_a_video_that_the_api_forgot_before_it_was_fetched_is_told_as_such_and_not_bought_again(tmp_path: Path) -> None:
    undelivered(tmp_path)

    with bent(tmp_path, on(POLL, lambda _: NOTHING)) as made:
        (outcome,) = made.run(jobs_of(1))

        assert (made.kinds, made.states()) == ([POLL], ["delivered"])
    assert errors_of([outcome]) == ["OutputUnavailableError"]
    assert "its file is not in the store, and the API no longer has it" in str(outcome.error)


def test_a_task_that_still_runs_when_its_time_is_up_stays_open(tmp_path: Path) -> None:
    with studio(tmp_path, latency_s=60) as made:
        made.run(jobs_of(1), limits=Limits(max_wait_s=0.1))
        found = recovered(made, limits=Limits(max_wait_s=0.1))

        assert made.states() == ["submitted"]
    assert names_of(found) == ["TaskTimeoutError"]


def test_a_task_that_failed_meanwhile_is_booked_as_failed_and_not_bought_anew(tmp_path: Path) -> None:
    clock = ManualClock()
    with studio(tmp_path, clock=clock, latency_s=60, faults={"verdict_error": 1.0}) as made:
        made.run(jobs_of(1), limits=Limits(max_wait_s=0.1))
        clock.now += 60
        found = recovered(made)

        assert made.states() == ["failed"]
    assert names_of(found) == ["TaskFailedError"]


@pytest.mark.slow
def test_one_task_that_cannot_be_had_does_not_keep_the_others_from_the_store(tmp_path: Path) -> None:
    clock = ManualClock()
    with studio(tmp_path, clock=clock, latency_s=60, faults={"verdict_safety": 0.4}, seed=3) as made:
        made.run(jobs_of(5), limits=Limits(max_wait_s=0.1))
        states = made.states()
        clock.now += 60
        found = recovered(made)

        assert states == ["submitted"] * 5
        assert_all_that_was_paid_is_kept(made)
    assert set(names_of(found)) == {"", "ContentBlockedError"}


def test_real_tasks_are_not_asked_of_the_simulator(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        made.ledger().claim(request_of("real"), Origin(), "gone", simulated=False)
        made.ledger().release_leases("gone")
        found = recovered(made, release_unsent=True)

        assert made.states() == ["reserved"]
    assert found == []


# Reconciliation.

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = NOON.date()
DAY_S = 24 * 3600


def clock_at(moment: datetime) -> ManualClock:
    """A clock that stands still at a moment."""
    return ManualClock(moment.timestamp())


@contextlib.contextmanager
def still(folder: Path, clock: ManualClock, **behaviour: Any) -> Iterator[Studio]:
    """A studio without latency, at a moment."""
    with studio(folder, latency_s=0.0, clock=clock, **behaviour) as made:
        yield made


def compared(made: Studio, first: date = DAY, last: date = DAY) -> list[DayCompared]:
    """The ledger held against the account."""

    async def read() -> list[DayCompared]:
        async with made.client() as client:
            return await reconciled(client, made.ledger(), first, last)

    return asyncio.run(read())


@pytest.mark.slow
def test_a_day_that_is_booked_as_it_was_charged_is_equal(tmp_path: Path) -> None:
    clock = clock_at(NOON)

    with still(tmp_path, clock) as made:
        made.run(jobs_of(3), clock=clock)
        made.run([VideoJob(request_of("several", number_results=2))], clock=clock)
        days = compared(made)

    assert days == [DayCompared(DAY, 4, 5 * PRICE, 0, 4, 5 * PRICE)]
    assert (days[0].difference_microusd, days[0].status) == (0, "equal")


def test_days_on_which_nothing_was_booked_or_charged_are_not_told(tmp_path: Path) -> None:
    with still(tmp_path, clock_at(NOON)) as made:
        days = compared(made, DAY - timedelta(days=3), DAY)

    assert days == []


def test_what_was_refused_is_on_neither_side(tmp_path: Path) -> None:
    clock = clock_at(NOON)
    bad = request_of("bad").model_copy(update={"duration": 7})

    with still(tmp_path, clock) as made:
        made.run([VideoJob(bad, "bad"), *jobs_of(1)], clock=clock)
        (day,) = compared(made)

    assert (day.ledger_tasks, day.account_tasks, day.status) == (1, 1, "equal")


@pytest.mark.parametrize(
    "behaviour",
    [
        {"faults": {"cost_missing": 1.0}},
        {"faults": {"partial": 1.0}, "is_failure_charged": True},
        {"faults": {"verdict_safety": 1.0}, "is_failure_charged": True},
    ],
    ids=["a cost that is not told", "a result that failed and is charged", "a task that failed and is charged"],
)
def test_a_charge_within_what_is_reserved_is_an_unknown_cost(tmp_path: Path, behaviour: dict[str, Any]) -> None:
    clock = clock_at(NOON)

    with still(tmp_path, clock, **behaviour) as made:
        made.run(jobs_of(2, number_results=3), clock=clock)
        (day,) = compared(made)

        assert day.account_microusd == made.journal.spent_microusd() == 6 * PRICE
    assert 0 < day.difference_microusd <= day.reserved_microusd
    assert day.status == "unknown costs"


@pytest.mark.slow
def test_what_another_user_of_the_account_spends_is_charged_more(tmp_path: Path) -> None:
    clock = clock_at(NOON)

    with still(tmp_path / "ours", clock) as made:
        made.run(jobs_of(2), clock=clock)
        (tmp_path / "theirs").mkdir()
        Studio(tmp_path / "theirs", made.simulator).run([VideoJob(request_of("Their kite"))], clock=clock)
        (day,) = compared(made)

    assert (day.ledger_tasks, day.account_tasks) == (2, 3)
    assert (day.difference_microusd, day.status) == (PRICE, "charged more")


def test_a_charge_beyond_what_is_reserved_is_charged_more_though_costs_are_unknown(tmp_path: Path) -> None:
    clock = clock_at(NOON)

    with still(tmp_path, clock, faults={"cost_missing": 1.0}, cost_factor=1.5) as made:
        made.run(jobs_of(1), clock=clock)
        (day,) = compared(made)

    assert (day.reserved_microusd, day.difference_microusd) == (PRICE, 709_500)
    assert day.status == "charged more"


def booked(ledger: Ledger, cost_microusd: int | None, prompt: str = "Kite 0", partition: str = "p0") -> str:
    """A task that has ended in the ledger and that no account knows."""
    origin = Origin("run-1", "videos", partition)
    task_uuid = ledger.claim(request_of(prompt), origin, "me", simulated=True).task.task_uuid
    ledger.mark_submitted(task_uuid)
    ledger.settle(task_uuid, [], [cost_microusd])
    ledger.mark_stored(task_uuid, [])
    return task_uuid


def test_what_the_account_did_not_charge_is_charged_less(tmp_path: Path) -> None:
    clock = clock_at(NOON)

    with still(tmp_path, clock) as made:
        made.run(jobs_of(1), clock=clock)
        booked(made.ledger(clock=clock), 100_000, "unknown to the account")
        (day,) = compared(made)

    assert (day.ledger_tasks, day.account_tasks) == (2, 1)
    assert (day.difference_microusd, day.status) == (-100_000, "charged less")


def test_real_and_simulated_money_are_not_compared_with_each_other(tmp_path: Path) -> None:
    clock = clock_at(NOON)

    with still(tmp_path, clock) as made:
        ledger = made.ledger(clock=clock)
        task_uuid = ledger.claim(request_of("real"), Origin(), "me", simulated=False).task.task_uuid
        ledger.mark_submitted(task_uuid)
        ledger.settle(task_uuid, [], [PRICE])
        made.run(jobs_of(1), clock=clock)
        (day,) = compared(made)

    assert (day.ledger_tasks, day.status) == (1, "equal")


@pytest.mark.slow
def test_any_number_of_days_is_asked_for_thirty_at_a_time_and_each_is_told_once(tmp_path: Path) -> None:
    clock = clock_at(NOON - timedelta(days=1))
    offsets = (-1, 0, 29, 30, 61, 62)

    with bent(tmp_path, clock=clock) as made:
        for offset in offsets:
            clock.now = NOON.timestamp() + offset * DAY_S
            made.run([VideoJob(request_of(f"Day {offset}"))], clock=clock)
        days = compared(made, DAY, DAY + timedelta(days=61))

        asked = [call.tasks[0] for call in made.calls("accountManagement")]
    assert [day.day for day in days] == [DAY + timedelta(days=offset) for offset in offsets[1:-1]]
    assert {(day.account_microusd, day.status) for day in days} == {(PRICE, "equal")}
    spans = [(task["startDate"], task["endDate"]) for task in asked]
    assert spans == [("2026-03-01", "2026-03-30"), ("2026-03-31", "2026-04-29"), ("2026-04-30", "2026-05-01")]


BEFORE_MIDNIGHT = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)
AFTER_MIDNIGHT = BEFORE_MIDNIGHT + timedelta(seconds=2)


def test_a_task_that_was_booked_before_midnight_and_taken_after_it_counts_on_the_day_it_was_taken(
    tmp_path: Path,
) -> None:
    clock = clock_at(BEFORE_MIDNIGHT)

    with still(tmp_path, clock) as made:
        ledger = made.ledger(clock=clock)
        task_uuid = ledger.claim(request_of("Kite 0"), Origin(), "gone", simulated=True).task.task_uuid
        ledger.release_leases("gone")
        clock.now = AFTER_MIDNIGHT.timestamp()
        made.run(jobs_of(1), clock=clock)
        days = compared(made, DAY, DAY + timedelta(days=1))

        assert [charge.task_uuid for charge in made.journal.charges()] == [task_uuid]
        assert made.rows("SELECT substr(created_at, 1, 10) FROM wan_tasks") == [("2026-03-01",)]
    assert days == [DayCompared(DAY + timedelta(days=1), 1, PRICE, 0, 1, PRICE)]


@pytest.mark.parametrize(("ours", "theirs"), [(BEFORE_MIDNIGHT, AFTER_MIDNIGHT), (AFTER_MIDNIGHT, BEFORE_MIDNIGHT)])
def test_a_task_on_either_side_of_midnight_is_missing_on_one_day_and_too_much_on_the_other(
    tmp_path: Path, ours: datetime, theirs: datetime
) -> None:
    with still(tmp_path, clock_at(theirs)) as made:
        made.run(jobs_of(1), clock=clock_at(ours))
        days = compared(made, DAY, DAY + timedelta(days=1))

    found = {day.day: (day.difference_microusd, day.status) for day in days}
    assert found == {ours.date(): (-PRICE, "charged less"), theirs.date(): (PRICE, "charged more")}


def usage_reporting(spend: Any, day: date = DAY) -> Bend:
    """An account that tells one day's sum in its own way."""

    def usage(call: Call) -> Prepared:
        row = {"date": f"{day.isoformat()}T00:00:00Z", "count": 1, "spend": spend}
        return Prepared({"data": [{**call.tasks[0], "usage": {"timeseries": {"data": [row]}}}]})

    return on("accountManagement", usage)


@pytest.mark.parametrize(
    ("spend", "costs", "difference"),
    [
        (0.1 + 0.2, [100_000, 200_000], 0),
        (sum([0.473] * 7), [PRICE] * 7, 0),
        (sum([0.1] * 10), [100_000] * 10, 0),
        (f"{0.1 + 0.2}", [300_000], 0),
        (98.789 + 0.1 + 0.2, [99_089_000], 0),
        (0.300001, [300_000], 1),
        (0.299999, [300_000], -1),
    ],
)
def test_sums_are_compared_to_the_micro_dollar_however_the_account_adds_them_up(
    tmp_path: Path, spend: Any, costs: list[int], difference: int
) -> None:
    with bent(tmp_path, usage_reporting(spend)) as made:
        ledger = made.ledger(clock=clock_at(NOON))
        for number, cost in enumerate(costs):
            booked(ledger, cost, f"Kite {number}")
        (day,) = compared(made)

    assert day.ledger_microusd == sum(costs)
    assert day.difference_microusd == difference
    assert (day.status == "equal") is (difference == 0)


# The commands.

MANY = 99_567_890
"""So many µ$ that the columns grow wide, and as many as one video may cost: $99.5679."""

SINCE = ("--since", "2026-03-01", "--until", "2026-03-01")


def wan_assets(*arguments: object, made: Studio | None = None, **environment: str | None) -> Result:
    """Runs the command in this process; with a studio, its simulator is the API of the environment."""
    api = {"RUNWARE_API_KEY": KEY, "RUNWARE_BASE_URL": made.simulator.base_url} if made else {"RUNWARE_API_KEY": None}
    unset = dict.fromkeys(("WAN_ASSETS_STORE", "WAN_ASSETS_LEDGER", "WAN_ASSETS_BUDGET_USD"))
    return CliRunner().invoke(cli, [*map(str, arguments)], env={"COLUMNS": "80", **unset, **api, **environment})


def full(url: str, partition: str = "p", cost_microusd: int = PRICE + 1) -> dict[str, str]:
    """A ledger that has one task of everything that is told apart: their UUIDs."""

    def request(name: str) -> VideoRequest:
        return request_of(name, duration=10 if name == "overcharged" else 5)

    with contextlib.closing(Ledger(url, caps(), clock=clock_at(NOON))) as ledger:
        names = ("open", "sent", "lost", "unknown", "overcharged")
        uuids = {
            name: ledger.claim(
                request(name), Origin(f"run {name}", "videos", f"{partition} {name}"), "me", simulated=False
            ).task.task_uuid
            for name in names
        }
        for name in names[1:]:
            ledger.mark_submitted(uuids[name])
        ledger.mark_lost(uuids["lost"], ApiFault("taskLost", "unknown"))
        ledger.mark_failed(uuids["unknown"], ApiFault("providerError", "failed"))
        ledger.settle(uuids["overcharged"], [], [cost_microusd])
        ledger.mark_stored(uuids["overcharged"], [])
    return uuids


def test_ledger_tells_programs_what_is_open_lost_unknown_overcharged_and_what_things_cost(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    uuids = full(url, cost_microusd=946_001)

    reported = json.loads(wan_assets("ledger", "--url", url, "--json").stdout)

    listed = {name: [task["task_uuid"] for task in reported[name]] for name in ("open", "lost", "unknown_cost")}
    assert listed == {
        "open": [uuids["open"], uuids["sent"]],
        "lost": [uuids["lost"]],
        "unknown_cost": [uuids["unknown"]],
    }
    assert reported["lost"][0]["error"] == "taskLost"
    assert {task["reserved_usd"] for name in listed for task in reported[name]} == {0.473}
    assert reported["overcharged"] == [
        {
            "task_uuid": uuids["overcharged"],
            "run_id": "run overcharged",
            "partition": "p overcharged",
            "reserved_usd": 0.946,
            "excess_usd": 0.000001,
            "simulated": False,
        }
    ]
    assert reported["prices"] == [
        {
            "kind": "1 x 720p 10 s from text, silent",
            "simulated": False,
            "tasks": 1,
            "cost_usd": 0.946001,
            "lowest_usd": 0.946001,
            "highest_usd": 0.946001,
            "median_usd": 0.946001,
        }
    ]
    assert set(reported["by"]) == {"state", "day", "asset"}
    assert (reported["real"]["cost_usd"], reported["real"]["reserved_usd"]) == (0.946001, 4 * 0.473)
    assert (reported["real"]["tasks"], reported["real"]["unknown_cost_count"], reported["simulated"]["tasks"]) == (
        5,
        1,
        0,
    )


def test_ledger_groups_by_what_it_is_asked_for_and_by_nothing_else(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    uuids = full(url)

    reported = json.loads(wan_assets("ledger", "--url", url, "--by", "run_id", "--by", "partition", "--json").stdout)
    shown = wan_assets("ledger", "--url", url, "--by", "run_id", "--by", "partition").stdout

    assert list(reported["by"]) == ["run_id", "partition"]
    assert [line["key"] for line in reported["by"]["run_id"]] == sorted(f"run {name}" for name in uuids)
    assert [line["key"] for line in reported["by"]["partition"]] == sorted(f"p {name}" for name in uuids)
    assert sum(line["reserved_usd"] for line in reported["by"]["run_id"]) == pytest.approx(4 * 0.473)
    assert "By run_id" in shown
    assert "By partition" in shown
    assert "By state" not in shown


def test_ledger_tells_people_each_trouble_under_its_own_heading(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    full(url, cost_microusd=946_100)

    shown = wan_assets("ledger", "--url", url)

    headings = ("Recent prices", "Open:", "Lost:", "Ended, cost unknown", "Charged more than was reserved")
    assert shown.exit_code == 0
    assert [heading for heading in headings if heading not in shown.stdout] == []
    assert "spent $0.9461, reserved $1.8920; simulated dollars, not charged: " in shown.stdout
    assert shown.stdout.endswith("not charged: spent $0.0000, reserved $0.0000\n")


def test_reconcile_ends_with_0_where_every_day_is_equal(tmp_path: Path) -> None:
    clock = clock_at(NOON)
    with still(tmp_path, clock) as made:
        made.run(jobs_of(2), clock=clock)

        programs = wan_assets("ledger", "reconcile", "--url", made.url, *SINCE, "--json", made=made)
        people = wan_assets("ledger", "reconcile", "--url", made.url, *SINCE, made=made)

    reported = json.loads(programs.stdout)
    assert (programs.exit_code, people.exit_code) == (0, 0)
    assert (reported["first"], reported["last"]) == ("2026-03-01", "2026-03-01")
    assert reported["days"] == [
        {
            "day": "2026-03-01",
            "ledger_tasks": 2,
            "ledger_usd": 0.946,
            "reserved_usd": 0.0,
            "account_tasks": 2,
            "account_usd": 0.946,
            "difference_usd": 0.0,
            "result": "equal",
        }
    ]
    assert "1 of 1 day from 2026-03-01 to 2026-03-01 (UTC) is equal." in people.stdout


@pytest.mark.parametrize(
    ("cost_microusd", "status", "difference"),
    [(None, "unknown costs", 0.3), (200_000, "charged more", 0.1), (400_000, "charged less", -0.1)],
)
def test_reconcile_ends_with_1_where_a_day_is_not_equal_and_says_why(
    tmp_path: Path, cost_microusd: int | None, status: str, difference: float
) -> None:
    with bent(tmp_path, usage_reporting(0.1 + 0.2)) as made:
        booked(made.ledger(clock=clock_at(NOON)), cost_microusd)

        programs = wan_assets("ledger", "reconcile", "--url", made.url, *SINCE, "--json", made=made)
        people = wan_assets("ledger", "reconcile", "--url", made.url, *SINCE, made=made)

    (day,) = json.loads(programs.stdout)["days"]
    assert (programs.exit_code, people.exit_code) == (1, 1)
    assert (day["result"], day["difference_usd"]) == (status, difference)
    assert status in people.stdout
    assert "ledger recover" in people.stdout


def test_reconcile_looks_at_the_thirty_days_up_to_today_by_default(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        made.ledger().close()

        reported = json.loads(wan_assets("ledger", "reconcile", "--url", made.url, "--json", made=made).stdout)

    assert date.fromisoformat(reported["last"]) - date.fromisoformat(reported["first"]) == timedelta(days=29)
    assert abs(date.fromisoformat(reported["last"]) - datetime.now(UTC).date()) <= timedelta(days=1)


@pytest.mark.parametrize("command", ["reconcile", "recover"])
def test_what_keeps_a_command_from_starting_ends_it_with_2_and_says_what_to_do(tmp_path: Path, command: str) -> None:
    with studio(tmp_path, api_key="another-key-altogether") as made:
        missing = wan_assets("ledger", command, "--url", f"sqlite:///{tmp_path / 'none.db'}", made=made)
        made.ledger().close()
        garbled = wan_assets("ledger", command, "--url", made.url, made=made, RUNWARE_BASE_URL="nowhere")
        (tmp_path / "garbage.db").write_bytes(b"garbage" * 1000)
        garbage = wan_assets("ledger", command, "--url", f"sqlite:///{tmp_path / 'garbage.db'}", made=made)

    assert [result.exit_code for result in (missing, garbled, garbage)] == [2, 2, 2]
    assert "there is no ledger" in missing.stderr
    assert not (tmp_path / "none.db").exists()
    assert "nowhere" in garbled.stderr
    assert "not a database" in garbage.stderr
    assert all("what to do" in result.stderr for result in (missing, garbled, garbage))


def test_reconcile_ends_with_2_where_the_key_is_refused(tmp_path: Path) -> None:
    with studio(tmp_path, api_key="another-key-altogether") as made:
        made.ledger().close()

        result = wan_assets("ledger", "reconcile", "--url", made.url, made=made)

    assert result.exit_code == 2
    assert "invalidApiKey" in result.stderr
    assert "RUNWARE_API_KEY" in result.stderr


def test_reconcile_refuses_a_first_day_after_the_last_rather_than_call_no_days_equal(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        made.ledger().close()

        result = wan_assets(
            "ledger", "reconcile", "--url", made.url, "--since", "2026-03-02", "--until", "2026-03-01", made=made
        )

    assert result.exit_code == 2


def test_recover_ends_with_0_where_nothing_is_open_any_more(tmp_path: Path) -> None:
    undelivered(tmp_path, rows=2)
    with studio(tmp_path) as made:
        asked = ("ledger", "recover", "--url", made.url, "--store", tmp_path / "store")

        first = wan_assets(*asked, "--json", made=made)
        second = wan_assets(*asked, made=made)

        assert_all_that_was_paid_is_kept(made)
    tasks = sorted(json.loads(first.stdout)["tasks"], key=lambda task: task["partition"])
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert [(task["partition"], task["is_stored"], task["cost_usd"]) for task in tasks] == [
        ("p0", True, 0.473),
        ("p1", True, 0.473),
    ]
    assert {(task["class"], task["code"], task["message"], task["hint"]) for task in tasks} == {("", "", "", "")}
    assert "0 of 0 open tasks are in the store now; nothing was submitted." in second.stdout


def test_recover_ends_with_1_while_something_is_open_and_says_what_to_do(tmp_path: Path) -> None:
    undelivered(tmp_path)
    with studio(tmp_path, ttl_s=0.0) as made:
        asked = ("ledger", "recover", "--url", made.url, "--store", tmp_path / "store")

        programs = wan_assets(*asked, "--json", made=made)
        people = wan_assets(*asked, made=made)

    (task,) = json.loads(programs.stdout)["tasks"]
    assert (programs.exit_code, people.exit_code) == (1, 1)
    assert (task["is_stored"], task["cost_usd"], task["class"]) == (False, None, "OutputUnavailableError")
    assert task["message"]
    assert task["hint"] in people.stdout
    assert "0 of 1 open task is in the store now; nothing was submitted." in people.stdout


def test_recover_keeps_what_was_never_sent_open_until_its_money_is_given_back(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        abandoned(made)
        asked = ("ledger", "recover", "--url", made.url, "--store", tmp_path / "store", "--json")

        kept = wan_assets(*asked, made=made)
        states = made.states()
        released = wan_assets(*asked, "--release-unsent", made=made)

        assert made.journal.submissions() == 0
        assert made.states() == ["rejected"]
    assert states == ["reserved"]
    assert (kept.exit_code, released.exit_code) == (1, 0)
    assert [task["class"] for task in json.loads(released.stdout)["tasks"]] == ["NotSubmittedError"]


def test_recover_ends_with_0_where_the_provider_gave_a_task_up_since_it_is_not_open_any_more(tmp_path: Path) -> None:
    clock = ManualClock()
    with studio(tmp_path, clock=clock, latency_s=60, faults={"verdict_safety": 1.0}) as made:
        made.run(jobs_of(1), limits=Limits(max_wait_s=0.1))
        asked = ("ledger", "recover", "--url", made.url, "--store", tmp_path / "store", "--json")

        clock.now += 60
        result = wan_assets(*asked, made=made)

        assert made.ledger().open_tasks() == []
    assert [task["class"] for task in json.loads(result.stdout)["tasks"]] == ["ContentBlockedError"]
    assert result.exit_code == 0


@pytest.mark.parametrize("command", ["recover", "reconcile"])
def test_without_a_key_no_command_calls_real_tasks_settled_that_it_could_not_ask_about(
    tmp_path: Path, command: str
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    full(url)

    with contextlib.chdir(tmp_path):
        result = wan_assets("ledger", command, "--url", url, *(SINCE if command == "reconcile" else ()))

    assert result.exit_code != 0


@pytest.mark.slow
def test_recover_brings_paid_videos_to_the_store_without_dagster(tmp_path: Path) -> None:
    undelivered(tmp_path)
    script = (
        "import sys\nfrom wan_assets.cli import cli\n"
        "try:\n    cli()\nexcept SystemExit as end:\n    sys.exit(9 if 'dagster' in sys.modules else end.code)"
    )
    with studio(tmp_path) as made:
        command = ["ledger", "recover", "--url", made.url, "--store", tmp_path / "store"]
        environment = clean(RUNWARE_API_KEY=KEY, RUNWARE_BASE_URL=made.simulator.base_url)

        result = subprocess.run([sys.executable, "-c", script, *command], check=False, env=environment)

        assert_all_that_was_paid_is_kept(made)
    assert result.returncode == 0


@pytest.mark.parametrize("command", ["reconcile", "recover"])
def test_the_ledger_may_be_named_before_or_after_the_subcommand_or_in_the_environment(
    tmp_path: Path, command: str
) -> None:
    with studio(tmp_path) as made:
        made.ledger().close()
        store = ("--store", tmp_path / "store") if command == "recover" else ()
        elsewhere = f"sqlite:///{tmp_path / 'none.db'}"

        results = [
            wan_assets("ledger", "--url", made.url, command, *store, made=made),
            wan_assets("ledger", command, "--url", made.url, *store, made=made),
            wan_assets("ledger", command, *store, made=made, WAN_ASSETS_LEDGER=made.url),
            wan_assets("ledger", "--url", elsewhere, command, "--url", made.url, *store, made=made),
            wan_assets("ledger", "--url", made.url, command, *store, made=made, WAN_ASSETS_LEDGER=elsewhere),
        ]

    assert [(result.exit_code, result.stderr) for result in results] == [(0, "")] * 5


# Amounts on a narrow terminal.


def amounts_in(shown: str) -> list[str]:
    """Every amount of a text; one that is cut is an error."""
    said = [amount.rstrip(",;.") for amount in re.findall(r"\$\S*", shown)]
    assert [amount for amount in said if not re.fullmatch(r"\$[\d,]+\.\d{4}", amount)] == []
    return said


LONG = "a partition whose name is longer than any column"


@pytest.mark.parametrize(
    ("cost_microusd", "cost", "excess"), [(946_100, "$0.9461", "$0.0001"), (MANY, "$99.5679", "$98.6219")]
)
def test_no_amount_in_the_ledgers_tables_is_cut_on_a_narrow_terminal(
    tmp_path: Path, cost_microusd: int, cost: str, excess: str
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    full(url, LONG, cost_microusd)
    groups = (each for group in ("state", "day", "asset", "partition", "run_id") for each in ("--by", group))

    result = wan_assets("ledger", "--url", url, *groups)

    amounts = amounts_in(result.stdout)
    # Five groups, a price with three amounts, and the sum.
    assert amounts.count(cost) == 5 + 3 + 1
    assert amounts.count(excess) == 1
    assert amounts.count("$0.9460") == 1


@pytest.mark.parametrize(
    ("cost_microusd", "amounts"),
    [
        (PRICE, ["$0.4730", "$0.0000", "$1.4460", "$0.9730"]),
        (MANY, ["$99.5679", "$0.0000", "$199.6358", "$100.0679"]),
    ],
)
def test_no_amount_of_a_reconciliation_is_cut_on_a_narrow_terminal_nor_its_verdict(
    tmp_path: Path, cost_microusd: int, amounts: list[str]
) -> None:
    with bent(tmp_path, usage_reporting(2 * cost_microusd / 1e6 + 0.5)) as made:
        booked(made.ledger(clock=clock_at(NOON)), cost_microusd)

        result = wan_assets("ledger", "reconcile", "--url", made.url, *SINCE, made=made)

    assert amounts_in(result.stdout) == amounts
    assert "charged more" in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("cost_factor", "cost"), [(1, "$1.8920"), (200, "$378.4000")])
def test_no_amount_of_a_recovery_is_cut_on_a_narrow_terminal(tmp_path: Path, cost_factor: float, cost: str) -> None:
    job = VideoJob(request_of("Kite 0", number_results=4), LONG)
    with studio(tmp_path, faults={"download_redirect": 1.0}, cost_factor=cost_factor) as made:
        made.run([job])
    with studio(tmp_path) as made:
        asked = ("ledger", "recover", "--url", made.url, "--store", tmp_path / "store")

        result = wan_assets(*asked, made=made)

    assert result.exit_code == 0
    assert amounts_in(result.stdout) == [cost]


def test_a_cost_that_a_person_found_out_is_booked_and_frees_the_rest(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    uuids = full(url)

    result = wan_assets("ledger", "settle", uuids["unknown"], uuids["lost"], "--cost", "0.4", "--url", url, "--json")

    assert result.exit_code == 0
    assert [(task["state"], task["cost_usd"]) for task in json.loads(result.stdout)["tasks"]] == [("failed", 0.4)] * 2
    account = json.loads(wan_assets("ledger", "--url", url, "--json").stdout)
    assert (account["lost"], account["unknown_cost"]) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "cost"), [("open", "0.4"), ("overcharged", "0.4"), ("unknown", "much"), ("lost", "-1")]
)
def test_no_cost_is_booked_where_none_is_open_or_none_is_said(tmp_path: Path, name: str, cost: str) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    uuids = full(url)
    before = wan_assets("ledger", "--url", url, "--json").stdout

    result = wan_assets("ledger", "settle", uuids[name], f"--cost={cost}", "--url", url)

    assert result.exit_code == 2
    assert wan_assets("ledger", "--url", url, "--json").stdout == before


def test_a_paused_ledger_says_so_until_it_is_resumed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    full(url)

    wan_assets("ledger", "pause", "--why", "the budget is reviewed", "--url", url)
    paused = wan_assets("ledger", "--url", url)
    wan_assets("ledger", "resume", "--url", url)
    resumed = wan_assets("ledger", "--url", url)

    assert "paused: the budget is reviewed" in paused.stdout
    assert "paused:" not in resumed.stdout


# From any name to all the others.


@pytest.fixture(scope="module")
def two_rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with studio(tmp_path_factory.mktemp("two_rows")) as made:
        jobs = [VideoJob(request_of(f"Kite {each}"), f"day-{each}", f"row-{each}") for each in range(2)]
        made.run(jobs, origin=Origin("run-7", "videos"))
        yield made


@pytest.mark.parametrize(
    "name", ["task_uuid", "fingerprint", "prompt_id", "partition", "video_uuid", "sha256", "uri"], ids=str
)
def test_a_video_is_found_by_each_of_its_names(two_rows: Studio, name: str) -> None:
    (task,) = [task for task in two_rows.ledger().find_tasks("run-7") if task.origin.prompt_id == "row-1"]
    (video,) = task.results
    known = {
        "task_uuid": task.task_uuid,
        "fingerprint": task.fingerprint,
        "prompt_id": "row-1",
        "partition": "day-1",
        **video,
    }

    result = CliRunner().invoke(cli, ["ledger", "--url", two_rows.url, "trace", known[name], "--json"])

    (found,) = json.loads(result.output)["tasks"]
    assert result.exit_code == 0
    assert (found["task_uuid"], found["run_id"], found["cost_usd"]) == (task.task_uuid, "run-7", PRICE / 1e6)
    assert found["request"]["positivePrompt"] == "Kite 1"
    assert Path(found["videos"][0]["uri"]).is_file()


def test_a_trace_is_told_in_words_and_a_stranger_as_such(two_rows: Studio) -> None:
    known = CliRunner().invoke(cli, ["ledger", "--url", two_rows.url, "trace", "run-7"])
    strange = CliRunner().invoke(cli, ["ledger", "--url", two_rows.url, "trace", "%"])

    assert "2 tasks found for run-7" in known.output
    assert "row      row-0, partition day-0 of videos" in known.output
    assert (strange.exit_code, "0 tasks found" in strange.output) == (1, True)
