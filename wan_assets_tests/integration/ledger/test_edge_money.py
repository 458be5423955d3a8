"""Accidents that once cost money: old reservations, refusals, implausible costs, and prices above the list."""

import asyncio
import json
import tempfile
from collections import Counter
from contextlib import closing
from datetime import date
from pathlib import Path

import hypothesis.strategies as st
import pytest
import sqlalchemy as sa
from api_double import Prepared
from bent_api import POLL, Bend, Call, bent, on
from cli_support import wan_assets
from engine_support import KEY, PRICE, Studio, caps, errors_of, jobs_of, request_of, rows_of, studio, uuids_of
from hypothesis import given, settings

from wan_assets import LedgerResource
from wan_assets.client.error_codes import task_error_of
from wan_assets.dataset.reconciliation import DayCompared, days_without_unknown_charges
from wan_assets.engine import Limits, Recovered, VideoJob, recover
from wan_assets.errors import ApiFault, LedgerError
from wan_assets.ledger import Budgets, Ledger, Origin
from wan_assets.models import usd
from wan_assets.models.pricing import microusd_of, reservation_microusd

HOUR_S = 3600.0


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a new ledger, of each kind in turn."""
    of_file = f"sqlite:///{tmp_path / 'ledger.db'}"
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else of_file


def reserve(made: Studio, jobs: list[VideoJob], age_s: float = 0.0) -> None:
    """Leaves tasks as a run does that is killed right after it has posted them, and before that is booked."""
    with closing(made.ledger()) as ledger:
        for job in jobs:
            origin = Origin("killed", partition=job.partition)
            ledger.claim(job.request, origin, "killed.1.x", simulated=True)
        ledger.release_leases("killed.1.x")
    shift = f"strftime('%Y-%m-%dT%H:%M:%f+00:00', created_at, '-{age_s} seconds')"
    made.rows(f"UPDATE wan_tasks SET created_at = {shift}")


def recovered(made: Studio, **settings: object) -> list[Recovered]:
    async def read() -> list[Recovered]:
        with closing(made.ledger()) as ledger:
            async with made.client() as client:
                found = recover(client=client, store=made.store, ledger=ledger, **settings)
                return [one async for one in found]

    return asyncio.run(read())


def test_an_old_reservation_that_the_api_does_not_know_is_lost_and_not_submitted_again(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        reserve(made, jobs_of(2), age_s=HOUR_S + 60)
        outcomes = made.run(jobs_of(3))

        assert made.journal.submissions() == 1
    assert errors_of(outcomes) == ["TaskUnknownError", "TaskUnknownError", ""]
    assert "was reserved 1 h 1 min ago" in str(outcomes[0].error)
    assert Counter(made.states()) == {"lost": 2, "stored": 1}
    assert made.ledger().totals().simulated.reserved_microusd == 2 * PRICE


def test_a_young_reservation_is_submitted_again_under_its_uuid(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        reserve(made, jobs_of(1), age_s=HOUR_S - 60)
        outcomes = made.run(jobs_of(1))

        assert [charge.task_uuid for charge in made.journal.charges()] == uuids_of(jobs_of(1))
    assert errors_of(outcomes) == [""]


def test_the_age_from_which_a_task_is_lost_can_be_set(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        reserve(made, jobs_of(1), age_s=10.0)
        outcomes = made.run(jobs_of(1), limits=Limits(max_resubmit_age_s=5.0))

        assert made.journal.submissions() == 0
    assert errors_of(outcomes) == ["TaskUnknownError"]


def test_an_old_reservation_is_bought_anew_where_lost_tasks_are(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        reserve(made, jobs_of(1), age_s=2 * HOUR_S)
        outcomes = made.run(jobs_of(1), limits=Limits(on_lost="resubmit"))

        assert made.journal.submissions() == 1
    assert errors_of(outcomes) == [""]
    assert Counter(made.states()) == {"lost": 1, "stored": 1}


def test_an_old_lost_task_does_not_hold_up_the_next_run_until_a_new_deadline(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        reserve(made, jobs_of(1), age_s=2 * HOUR_S)
        first, second = (made.run(jobs_of(1), limits=Limits(max_wait_s=HOUR_S)) for _ in range(2))

        assert made.journal.submissions() == 0
    assert errors_of(first) == errors_of(second) == ["TaskUnknownError"]


def test_an_old_reservation_that_the_api_knows_is_stored(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        reserve(made, jobs_of(1))
        task = jobs_of(1)[0].request.to_task(uuids_of(jobs_of(1))[0])

        async def post() -> None:
            async with made.client() as client:
                await client.submit(task)

        asyncio.run(post())
        reserve(made, [], age_s=2 * HOUR_S)
        outcomes = made.run(jobs_of(1))

        assert made.paid == made.journal.submissions() == 1
    assert errors_of(outcomes) == [""]


def test_recovery_does_not_give_back_the_money_of_an_old_reservation(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        reserve(made, jobs_of(1), age_s=2 * HOUR_S)
        (found,) = recovered(made, release_unsent=True)

    assert type(found.error).__name__ == "TaskUnknownError"
    assert made.states() == ["lost"]
    assert made.ledger().totals().simulated.reserved_microusd == PRICE


def test_refused_content_is_bought_once_however_many_runs_ask_for_it(tmp_path: Path) -> None:
    with studio(tmp_path, faults={"verdict_safety": 1.0}) as made:
        runs = [made.run(jobs_of(3)) for _ in range(3)]
        assert made.journal.submissions() == 3
        again = made.run(jobs_of(3), limits=Limits(resend_refused=True))

        assert made.journal.submissions() == 6
    assert {name for run in (*runs, again) for name in errors_of(run)} == {"ContentBlockedError"}
    assert str(runs[2][0].error) == str(runs[0][0].error)
    assert runs[2][0].submitted == 0


@pytest.mark.parametrize(
    "fault",
    [
        {"code": "DataInspectionFailed", "message": "Input data may contain inappropriate content."},
        {"code": "providerError", "message": "Input or output data may contain inappropriate content."},
        {"code": "providerError", "message": "It failed.", "responseContent": {"code": "DataInspectionFailed"}},
        {"code": "unknownError", "message": "It failed.", "responseContent": "unsafe content in the prompt"},
    ],
)
def test_content_that_a_provider_refuses_in_its_own_words_is_bought_once(tmp_path: Path, fault: dict) -> None:
    def refused(call: Call) -> Prepared:
        return Prepared({"data": [], "errors": [{**fault, "status": "error", "taskUUID": call.task_uuid}]})

    with bent(tmp_path, on(POLL, refused)) as made:
        runs = [made.run(jobs_of(1)) for _ in range(3)]

        assert made.journal.submissions() == 1
    assert [errors_of(run) for run in runs] == [["ContentBlockedError"]] * 3


def test_a_provider_that_fails_for_another_reason_is_asked_again() -> None:
    fault = ApiFault("providerError", "The moderation service timed out.", detail={"responseContent": {"code": "x"}})

    assert type(task_error_of(fault)).__name__ == "TaskFailedError"


def test_a_row_whose_upload_the_api_has_deleted_is_submitted_again_by_the_next_run(tmp_path: Path) -> None:
    with studio(tmp_path) as made, closing(made.ledger()) as ledger:
        job = jobs_of(1)[0]
        task = ledger.claim(job.request, Origin(partition="p0"), "me", simulated=True).task
        ledger.release(task.task_uuid, ApiFault("mediaNotFound", "it was deleted"))
        outcomes = made.run([job])

    assert errors_of(outcomes) == [""]


def stating(*costs: float) -> Bend:
    """Lets results state other costs than they have, the first ones given first."""
    left = list(costs)

    def change(call: Call) -> Prepared | None:
        items = call.body["data"]
        finished = [item for item in items if "videoURL" in item]
        if not finished:
            return None
        for item in finished:
            stated = known.setdefault(item["taskUUID"], left.pop(0) if left else item["cost"])
            item["cost"] = stated
        return Prepared({"data": items})

    known: dict[str, float] = {}
    return on(POLL, change)


@pytest.mark.slow
@pytest.mark.parametrize("cost", [1e13, 9e12, 9.3e12, 1e18, 100.01, 1e300])
def test_a_cost_that_no_video_has_is_unknown_and_listed(tmp_path: Path, cost: float) -> None:
    with bent(tmp_path, stating(cost)) as made:
        first = made.run(jobs_of(1))
        second = made.run(jobs_of(3))

        shown = wan_assets("ledger", "--url", made.url, "--json")
    assert errors_of(first) == [""]
    assert errors_of(second) == [""] * 3
    (listed,) = json.loads(shown.stdout)["unknown_cost"]
    assert (listed["error"], listed["reserved_usd"]) == ("implausibleCost", PRICE / 1e6)
    assert made.money == (2 * PRICE, PRICE, 1)
    assert all(amount >= 0 for (amount,) in made.rows("SELECT committed_microusd FROM wan_spend"))


@pytest.mark.parametrize("column", ["cost_microusd", "reserved_microusd"])
@pytest.mark.parametrize("amount", [-1, 100_000_001, 2**62])
def test_the_database_itself_refuses_an_amount_that_cannot_be(url: str, column: str, amount: int) -> None:
    ledger = Ledger(url)
    ledger.claim(request_of(), Origin(), "me", simulated=False)

    with pytest.raises(sa.exc.IntegrityError):
        rows_of(url, f"UPDATE wan_tasks SET {column} = {amount}")
    with pytest.raises(sa.exc.IntegrityError):
        rows_of(url, "UPDATE wan_spend SET committed_microusd = -1")


def test_a_person_cannot_book_a_cost_that_no_video_has(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    task_uuid = ledger.claim(request_of(), Origin(), "me", simulated=False).task.task_uuid
    ledger.mark_lost(task_uuid, ApiFault("taskLost", "unknown"))

    with pytest.raises(LedgerError, match="the amount is implausible"):
        ledger.record_cost(task_uuid, 100_000_001)


def as_of_version_4(url: str) -> None:
    """Takes from a ledger what version 5 added, so that it holds what older releases let in."""
    metadata, engine = sa.MetaData(), sa.create_engine(url)
    with engine.begin() as connection:
        metadata.reflect(connection)
        rows = {
            table.name: [dict(row) for row in connection.execute(table.select()).mappings()]
            for table in metadata.sorted_tables
        }
        metadata.drop_all(connection)
        for table in metadata.sorted_tables:
            for constraint in list(table.constraints):
                if isinstance(constraint, sa.CheckConstraint):
                    table.constraints.remove(constraint)
        metadata.create_all(connection)
        for table in metadata.sorted_tables:
            if rows[table.name]:
                connection.execute(table.insert(), rows[table.name])
    for column in ("former_fingerprint", "submitted_by", "settled_by"):
        rows_of(url, f"ALTER TABLE wan_tasks DROP COLUMN {column}")
    rows_of(url, "UPDATE wan_ledger SET value = '4'")


def test_a_ledger_with_implausible_costs_is_repaired_by_the_upgrade(url: str) -> None:
    ledger = Ledger(url, caps())
    uuids = [ledger.claim(request_of(name), Origin("r"), "me", simulated=False).task.task_uuid for name in "ab"]
    for task_uuid in uuids:
        ledger.mark_submitted(task_uuid)
        ledger.settle(task_uuid, [], [PRICE])
        ledger.mark_stored(task_uuid, [])
    ledger.close()
    as_of_version_4(url)
    rows_of(url, f"UPDATE wan_tasks SET cost_microusd = 9000000000000000000 WHERE task_uuid = '{uuids[0]}'")
    rows_of(url, "UPDATE wan_spend SET committed_microusd = -9000000000000000000")
    rows_of(url, f"UPDATE wan_prices SET recent = '[{PRICE}, 9000000000000000000]'")

    upgraded = Ledger(url, caps())

    reserved = reservation_microusd(request_of())
    totals = upgraded.totals().real
    assert (totals.cost_microusd, totals.reserved_microusd, totals.unknown) == (PRICE, reserved, 1)
    assert {row[0] for row in rows_of(url, "SELECT committed_microusd FROM wan_spend")} == {PRICE + reserved}
    assert upgraded.quoted_microusd([request_of("c")], simulated=False) == PRICE
    with pytest.raises(sa.exc.IntegrityError):
        rows_of(url, "UPDATE wan_tasks SET cost_microusd = -1")


@pytest.mark.slow
@given(st.lists(st.floats() | st.integers(), max_size=8))
@settings(max_examples=30, deadline=None)
def test_sums_of_whatever_costs_are_stated_neither_overflow_nor_fall_below_zero(costs: list[float]) -> None:
    with tempfile.TemporaryDirectory() as folder, closing(Ledger(f"sqlite:///{folder}/ledger.db")) as ledger:
        for number, cost in enumerate(costs):
            task = ledger.claim(request_of(f"{number}"), Origin("r"), "me", simulated=False).task
            ledger.mark_submitted(task.task_uuid)
            ledger.settle(task.task_uuid, [], [microusd_of(cost)])
        totals = ledger.totals().real
        known = [microusd for cost in costs if (microusd := microusd_of(cost)) is not None]
        assert totals.cost_microusd == sum(known)
        assert totals.reserved_microusd >= 0


@pytest.mark.slow
def test_two_per_cent_more_than_the_list_price_are_reserved_until_real_prices_are_known(tmp_path: Path) -> None:
    with studio(tmp_path, cost_factor=1.013) as made:
        ledger = Ledger(made.url)
        before = ledger.quoted_microusd([request_of()], simulated=True)
        made.run(jobs_of(5), budget=Budgets.of(total=usd(6 * PRICE)))
        after = ledger.quoted_microusd([request_of()], simulated=True)

    assert (before, after) == (482_460, 479_100)
    assert ledger.overcharged() == []


def test_the_margin_can_be_set(tmp_path: Path) -> None:
    resource = LedgerResource(url=f"sqlite:///{tmp_path / 'ledger.db'}", price_margin=0.1)

    with closing(resource.open()) as ledger:
        assert ledger.quoted_microusd([request_of()], simulated=False) == 520_300


@pytest.mark.slow
def test_reconcile_releases_what_is_reserved_for_refused_content_on_a_day_without_a_charge(tmp_path: Path) -> None:
    with studio(tmp_path, faults={"verdict_safety": 1.0}) as made:
        made.run(jobs_of(3))
        environment = {"RUNWARE_API_KEY": KEY, "RUNWARE_BASE_URL": made.simulator.base_url}
        kept = wan_assets("ledger", "reconcile", "--url", made.url, **environment)
        released = wan_assets("ledger", "reconcile", "--release", "--url", made.url, **environment)
        again = wan_assets("ledger", "reconcile", "--release", "--json", "--url", made.url, **environment)

    totals = made.ledger().totals().simulated
    assert (kept.returncode, released.returncode, again.returncode) == (0, 0, 0)
    assert "Released $1.4190 that was reserved for 3 tasks of unknown cost." in released.stdout
    assert json.loads(again.stdout)["released"] == []
    assert (totals.tasks, totals.cost_microusd, totals.reserved_microusd) == (3, 0, 0)


@pytest.mark.slow
def test_reconcile_releases_nothing_on_a_day_when_the_account_charged_more(tmp_path: Path) -> None:
    with studio(tmp_path, faults={"lost_task": 1.0}) as made:
        made.run(jobs_of(1), limits=Limits(max_wait_s=0.3))
        with closing(made.ledger()) as ledger:
            task = ledger.claim(request_of("failed"), Origin(), "me", simulated=True).task
            ledger.mark_submitted(task.task_uuid)
            ledger.mark_failed(task.task_uuid, ApiFault("providerError", "failed"))
        environment = {"RUNWARE_API_KEY": KEY, "RUNWARE_BASE_URL": made.simulator.base_url}
        result = wan_assets("ledger", "reconcile", "--release", "--url", made.url, **environment)

    assert result.returncode == 1
    assert "Released $0.0000 that was reserved for 0 tasks of unknown cost." in result.stdout
    assert made.ledger().totals().simulated.reserved_microusd == 2 * PRICE


def compared_day(day: int, ledger: int, reserved: int, account: int) -> DayCompared:
    return DayCompared(date(2026, 3, day), 1, ledger, reserved, 1, account)


def test_a_charge_on_the_day_after_keeps_the_money_of_a_day_before_midnight() -> None:
    days = [compared_day(1, 5, 3, 5), compared_day(2, 0, 0, 3), compared_day(4, 5, 3, 5)]

    assert days_without_unknown_charges(days) == {date(2026, 3, 4)}


@pytest.fixture
def open_costs(tmp_path: Path) -> tuple[str, dict[str, str]]:
    """A ledger with two failed tasks and a lost one: its URL, and the UUID of each."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with closing(Ledger(url)) as ledger:
        uuids = {}
        for name, run in (("blocked", "one"), ("broken", "two"), ("lost", "two")):
            origin = Origin(run, "videos", f"p-{name}")
            uuids[name] = ledger.claim(request_of(name), origin, "me", simulated=False).task.task_uuid
            ledger.mark_submitted(uuids[name])
        ledger.mark_failed(uuids["blocked"], ApiFault("invalidProviderContent", "refused"))
        ledger.mark_failed(uuids["broken"], ApiFault("providerError", "failed"))
        ledger.mark_lost(uuids["lost"], ApiFault("taskLost", "unknown"))
    return url, uuids


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--state", "failed"], {"blocked", "broken"}),
        (["--error", "invalidProviderContent"], {"blocked"}),
        (["--run", "two"], {"broken"}),
        (["--run", "two", "--state", "lost"], {"lost"}),
        (["--state", "lost"], {"lost"}),
        (["--asset", "videos"], {"blocked", "broken"}),
        (["--partition", "p-broken"], {"broken"}),
        (["--day", "2001-01-01"], set()),
        (["--error", "providerError", "--run", "one"], set()),
    ],
)
def test_settle_takes_the_tasks_that_match_every_option(
    open_costs: tuple[str, dict[str, str]], options: list[str], names: set[str]
) -> None:
    url, uuids = open_costs

    result = wan_assets("ledger", "settle", *options, "--cost", "0", "--url", url, "--json")

    assert result.returncode == 0
    assert {task["task_uuid"] for task in json.loads(result.stdout)["tasks"]} == {uuids[name] for name in names}


def test_settle_without_tasks_or_options_says_how_to_choose(open_costs: tuple[str, dict[str, str]]) -> None:
    result = wan_assets("ledger", "settle", "--cost", "0", "--url", open_costs[0])

    assert result.returncode == 2
    assert "Give TASKS, or select them with --state" in result.stderr
