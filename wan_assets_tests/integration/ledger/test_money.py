"""Money: what is reserved, charged, learned and refused, in one run, in many at once and after every accident."""

import asyncio
import contextlib
import json
import os
import re
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster_support
import pytest
from accounts import assert_charged_once, assert_nothing_reserved
from api_double import Prepared
from bent_api import SUBMIT, bent, on
from click.testing import CliRunner
from dagster_support import failure_of, table_of, written
from engine_support import (
    PRICE,
    QUICK,
    Studio,
    caps,
    errors_of,
    jobs_of,
    mounted,
    request_of,
    seed_that,
    studio,
    uuids_of,
)
from patience import PATIENCE_S
from simulator_support import ManualClock

from wan_assets.cli import cli
from wan_assets.engine import Limits, Outcome, VideoJob
from wan_assets.errors import AccessDeniedError, LedgerError, RunwareBusyError, StoreError
from wan_assets.ledger import Ledger, Origin, skipped_rows_of
from wan_assets.models.pricing import worst_price_microusd

PICTURE = {"inputs": {"frame_images": ["https://example.com/kite.png"]}}
PICTURE_RESERVED = 738_000
"""What 5 s at 720p from a picture may cost; they are charged as `PRICE`."""


def run_in_time(made: Studio, jobs: list[VideoJob], **settings: Any) -> list[Outcome]:
    """A whole run of the engine, its outcomes as they came; one that hangs is an error."""

    async def read() -> list[Outcome]:
        async with asyncio.timeout(30), made.running(jobs, **settings) as outcomes:
            return [outcome async for outcome in outcomes]

    return asyncio.run(read())


# Charged more than was reserved.


def test_an_overcharge_stops_the_run_and_is_listed_to_the_last_micro_dollar(tmp_path: Path) -> None:
    with studio(tmp_path, cost_factor=1.5) as made:
        outcomes = made.run(jobs_of(12), limits=Limits(max_in_flight=2))
        overcharged = made.ledger().overcharged()

        assert made.journal.submissions() == made.paid == 2
        assert made.states() == ["stored", "stored"]
        assert made.ledger().totals().simulated.cost_microusd == made.journal.spent_microusd() == 1_419_000
    assert Counter(errors_of(outcomes)) == {"": 2, "OverchargedError": 10}
    bought = [outcome for outcome in outcomes if outcome.stored]
    assert {over.task_uuid for over in overcharged} == {outcome.stored.task_uuid for outcome in bought}
    assert {over.partition for over in overcharged} == {outcome.job.partition for outcome in bought}
    assert [(over.reserved_microusd, over.excess_microusd) for over in overcharged] == [(473_000, 236_500)] * 2
    reported = {
        (outcome.error.reserved_microusd, outcome.error.charged_microusd) for outcome in outcomes if outcome.error
    }
    assert reported == {(473_000, 709_500)}


@pytest.mark.slow
def test_the_run_after_an_overcharge_reserves_the_higher_price_and_finishes(tmp_path: Path) -> None:
    with studio(tmp_path, cost_factor=1.5) as made:
        made.run(jobs_of(12), limits=Limits(max_in_flight=2))
        (seen,) = made.ledger().recent_prices()
        quoted = made.ledger().quoted_microusd([request_of("another")], simulated=True)
        outcomes = made.run(jobs_of(12), limits=Limits(max_in_flight=2))

        assert_charged_once(made, 12)
        assert_nothing_reserved(made)
        assert len(made.ledger().overcharged()) == 2
    assert (seen.kind, seen.is_simulated, seen.tasks) == ("1 x 720p 5 s from text, silent", True, 2)
    assert (seen.cost_microusd, seen.lowest_microusd, seen.highest_microusd) == (1_419_000, 709_500, 709_500)
    assert quoted == 709_500
    assert errors_of(outcomes) == [""] * 12
    reserved = Counter(outcome.stored.reserved_microusd for outcome in outcomes if outcome.stored)
    assert reserved == {473_000: 2, 709_500: 10}


def test_an_overcharge_of_one_kind_stops_the_rows_of_all_kinds_and_raises_the_price_of_its_own_alone(
    tmp_path: Path,
) -> None:
    other = request_of("long", duration=10)

    with studio(tmp_path, cost_factor=1.5) as made:
        outcomes = made.run([*jobs_of(1), VideoJob(other, "p1")], limits=Limits(max_in_flight=1))
        quoted = made.ledger().quoted_microusd([other], simulated=True)

    assert errors_of(outcomes) == ["", "OverchargedError"]
    assert quoted == worst_price_microusd(other)


def test_a_new_attempt_in_a_run_that_was_stopped_is_not_sent_and_gives_its_money_back(tmp_path: Path) -> None:
    clock = ManualClock()
    first_fails = seed_that(lambda struck: struck == [True, False], "verdict_error", 0.5, jobs_of(2))

    async def fail_after_one(made: Studio) -> list[Outcome]:
        async with made.running(jobs_of(2)) as outcomes:
            overcharged = await anext(outcomes)
            clock.now += 60
            return [overcharged, *[outcome async for outcome in outcomes]]

    with studio(tmp_path, clock=clock, latency_s=60, **first_fails) as made:
        made.run(jobs_of(1), limits=Limits(max_wait_s=0.1))
    with studio(tmp_path, clock=clock, latency_s=0.0, cost_factor=1.5, **first_fails) as made:
        outcomes = asyncio.run(fail_after_one(made))

        assert made.journal.submissions() == 2
        assert made.ledger().totals().simulated.reserved_microusd == PRICE
        ended = made.rows("SELECT state, error_code, owner FROM wan_tasks WHERE attempt = 2")
    assert errors_of(outcomes) == ["", "OverchargedError"]
    assert ended == [("rejected", "notSent", None)]


# Money that comes free.


@pytest.mark.slow
@pytest.mark.parametrize("in_flight", [1, 50])
def test_a_row_that_does_not_fit_waits_for_money_that_comes_free(tmp_path: Path, in_flight: int) -> None:
    budget = caps(total_microusd=3 * PICTURE_RESERVED)

    with studio(tmp_path) as made:
        outcomes = run_in_time(made, jobs_of(4, **PICTURE), budget=budget, limits=Limits(max_in_flight=in_flight))

        assert_charged_once(made, 4)
        assert_nothing_reserved(made)
        assert made.journal.spent_microusd() == 4 * PRICE
    assert {outcome.stored.reserved_microusd for outcome in outcomes if outcome.stored} == {PICTURE_RESERVED}
    assert errors_of(outcomes) == [""] * 4


@pytest.mark.slow
@pytest.mark.parametrize("in_flight", [1, 50])
def test_a_row_that_does_not_fit_even_then_is_refused_and_holds_nobody_up(tmp_path: Path, in_flight: int) -> None:
    budget = caps(total_microusd=3 * PICTURE_RESERVED)

    with studio(tmp_path) as made:
        outcomes = run_in_time(made, jobs_of(5, **PICTURE), budget=budget, limits=Limits(max_in_flight=in_flight))

        assert_charged_once(made, 4)
        assert made.journal.submissions() == 4
    assert Counter(errors_of(outcomes)) == {"": 4, "BudgetExceededError": 1}
    (refused,) = (outcome.error for outcome in outcomes if outcome.error)
    assert (refused.committed_microusd, refused.requested_microusd) == (4 * PRICE, PICTURE_RESERVED)


def test_rows_that_wait_for_money_are_refused_when_what_is_in_flight_keeps_it(tmp_path: Path) -> None:
    with studio(tmp_path, faults={"cost_missing": 1.0}) as made:
        outcomes = run_in_time(made, jobs_of(8, **PICTURE), budget=caps(total_microusd=3 * PICTURE_RESERVED))

        assert made.paid == 3
        assert made.ledger().totals().simulated.reserved_microusd == 3 * PICTURE_RESERVED
    assert Counter(errors_of(outcomes)) == {"": 3, "BudgetExceededError": 5}


# Prices that were seen.


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A new ledger."""
    with contextlib.closing(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", caps())) as book:
        yield book


def settled(ledger: Ledger, *costs: int | None, simulated: bool = True, **parameters: Any) -> None:
    """Tasks of one kind that came to some costs; None where the API did not tell all of it."""
    for cost in costs:
        request = request_of(os.urandom(8).hex(), **parameters)
        task = ledger.claim(request, Origin(), "me", simulated=simulated).task
        ledger.mark_submitted(task.task_uuid)
        ledger.settle(task.task_uuid, [], [cost, *[0] * (request.number_results - 1)])


def quote(ledger: Ledger, *, simulated: bool = True, **parameters: Any) -> int:
    """What would be reserved for one more request."""
    return ledger.quoted_microusd([request_of("one more", **parameters)], simulated=simulated)


def test_the_worst_plausible_price_is_reserved_until_five_costs_are_known_and_then_the_highest(ledger: Ledger) -> None:
    quotes = [quote(ledger)]

    for cost in (300_000, 300_001, 310_000, 299_000, 300_000):
        settled(ledger, cost)
        quotes.append(quote(ledger))

    assert quotes == [PRICE] * 5 + [310_000]
    claim = ledger.claim(request_of("one more"), Origin(), "me", simulated=True)
    assert claim.task.reserved_microusd == 310_000


@pytest.mark.parametrize("before", [0, 1, 7])
def test_a_higher_cost_is_reserved_at_once(ledger: Ledger, before: int) -> None:
    settled(ledger, *[300_000] * before)

    settled(ledger, 600_001)

    assert quote(ledger) == 600_001


def test_an_odd_cost_is_forgotten_after_twenty_more(ledger: Ledger) -> None:
    settled(ledger, 300_000, 600_000, *[300_000] * 19)
    before = quote(ledger)

    settled(ledger, 300_000)

    assert (before, quote(ledger)) == (600_000, 300_000)
    (seen,) = ledger.recent_prices()
    assert (seen.tasks, seen.cost_microusd) == (22, 22 * 300_000 + 300_000)
    assert (seen.lowest_microusd, seen.highest_microusd) == (300_000, 300_000)


def test_a_cost_that_is_not_told_teaches_nothing(ledger: Ledger) -> None:
    settled(ledger, *[None] * 6)
    settled(ledger, *[None] * 6, number_results=2)

    assert ledger.recent_prices() == []
    assert quote(ledger) == PRICE
    assert quote(ledger, number_results=2) == 2 * PRICE


@pytest.mark.parametrize("simulated", [True, False])
def test_what_the_simulator_charges_says_nothing_of_real_prices_nor_they_of_it(ledger: Ledger, simulated: bool) -> None:
    settled(ledger, *[600_000] * 6, simulated=simulated)

    assert quote(ledger, simulated=simulated) == 600_000
    assert quote(ledger, simulated=not simulated) == PRICE
    assert [seen.is_simulated for seen in ledger.recent_prices()] == [simulated]


BY_SIZE = {"resolution": None, "width": 1280, "height": 720}
LOUD = {"provider_settings": None}
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "from text and from a picture": ({}, PICTURE),
    "a picture with a size and with a preset": (PICTURE, {**PICTURE, **BY_SIZE}),
    "a picture with a preset and by itself": (PICTURE, {**PICTURE, "resolution": None}),
    "two sizes of a picture": (
        {**PICTURE, **BY_SIZE},
        {**PICTURE, "resolution": None, "width": 720, "height": 1280},
    ),
    "two presets": ({}, {"resolution": "1080p"}),
    "two lengths": ({}, {"duration": 10}),
    "with sound and without": ({}, LOUD),
    "one result and two": ({}, {"number_results": 2}),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_one_kind_costs_says_nothing_of_another(ledger: Ledger, name: str) -> None:
    one, other = KINDS[name]
    settled(ledger, *[111_000] * 5, **one)
    settled(ledger, *[222_000] * 4, **other)

    assert quote(ledger, **one) == 111_000
    assert quote(ledger, **other) == worst_price_microusd(request_of("one more", **other))
    assert len({seen.kind for seen in ledger.recent_prices()}) == 2


def test_what_cannot_change_the_price_does_not_make_another_kind(ledger: Ledger) -> None:
    settled(ledger, *[111_000] * 5)

    same = {"seed": 7, "output_format": "WEBM", "output_quality": 50, "negative_prompt": "rain", **BY_SIZE}

    assert quote(ledger, **same) == 111_000


# The account's balance.


def test_a_balance_that_does_not_cover_what_would_be_bought_refuses_all_of_it_and_names_both_sums(
    tmp_path: Path,
) -> None:
    with studio(tmp_path, balance_usd=3 * PRICE / 1e6 - 0.0001) as made:
        with pytest.raises(AccessDeniedError) as refused:
            made.run(jobs_of(3), limits=Limits(check_balance=True))

        assert made.journal.submissions() == 0
        assert made.states() == []
    assert refused.value.code == "insufficientCredits"
    assert "3 rows may cost $1.4190" in str(refused.value)
    assert "the balance is $1.4189" in str(refused.value)


@pytest.mark.slow
def test_rows_that_are_stored_or_in_flight_or_twins_do_not_count_against_the_balance(tmp_path: Path) -> None:
    jobs = [*jobs_of(3), VideoJob(request_of("Kite 2"), "twin")]
    clock = ManualClock()

    with studio(tmp_path, clock=clock, balance_usd=3 * PRICE / 1e6, latency_s=0.0) as made:
        made.run(jobs[:1])
    with studio(tmp_path, clock=clock, balance_usd=3 * PRICE / 1e6, latency_s=60) as made:
        made.run(jobs[1:2], limits=Limits(max_wait_s=0.1))
        states = made.states()
        clock.now += 60
    with studio(tmp_path, clock=clock, balance_usd=3 * PRICE / 1e6, latency_s=0.0) as made:
        outcomes = made.run(jobs, limits=Limits(check_balance=True))

        assert_charged_once(made, 3)
    assert states == ["stored", "submitted"]
    assert errors_of(outcomes) == [""] * 4
    assert sum(outcome.submitted for outcome in outcomes) == 1


def test_twins_that_stand_far_apart_count_once_against_the_balance(tmp_path: Path) -> None:
    there, asked = request_of("there"), request_of("asked for twice")
    jobs = [
        VideoJob(asked, "first"),
        *(VideoJob(there, f"t{number}") for number in range(200)),
        VideoJob(asked, "last"),
    ]

    with studio(tmp_path, balance_usd=2 * PRICE / 1e6) as made:
        made.run([VideoJob(there, "there")])
        outcomes = made.run(jobs, limits=Limits(check_balance=True))

        assert_charged_once(made, 2)
    assert errors_of(outcomes) == [""] * 202


def test_the_balance_is_held_against_the_price_that_was_seen(tmp_path: Path) -> None:
    with studio(tmp_path, cost_factor=1.5, balance_usd=2.5 * PRICE / 1e6) as made:
        made.run(jobs_of(1))

        with pytest.raises(AccessDeniedError, match=r"1 row may cost \$0\.7095, and the balance is \$0\.4730"):
            made.run(jobs_of(2), limits=Limits(check_balance=True))


def test_an_account_that_does_not_tell_its_balance_is_not_refused(tmp_path: Path) -> None:
    silent = on("accountManagement", lambda call: Prepared({"data": [{**call.tasks[0], "team": []}]}))

    with bent(tmp_path, silent) as made:
        outcomes = made.run(jobs_of(2), limits=Limits(check_balance=True))

        assert len(made.calls("accountManagement")) == 1
        made.assert_paid_once(2)
    assert errors_of(outcomes) == ["", ""]


# A key that is refused.


def test_a_wrong_key_with_thirty_rows_in_flight_gives_back_all_that_was_claimed(tmp_path: Path) -> None:
    with studio(tmp_path, api_key="another-key-altogether") as made:
        outcomes = made.run(jobs_of(30), limits=Limits(max_in_flight=30))

        ended = set(made.rows("SELECT state, reserved_microusd, owner FROM wan_tasks"))
        codes = {code for (code,) in made.rows("SELECT error_code FROM wan_tasks")}
        assert (made.paid, made.journal.submissions()) == (0, 0)
        assert_nothing_reserved(made)
    assert errors_of(outcomes) == ["AccessDeniedError"] * 30
    assert ended == {("rejected", 0, None)}
    assert codes <= {"invalidApiKey", "notSent"}


def test_a_wrong_key_is_tried_a_few_times_and_not_once_for_each_row_in_flight(tmp_path: Path) -> None:
    """The answer takes as long as one from far away does."""
    far = on(SUBMIT, lambda call: Prepared(call.body, call.status, pause_s=0.2))

    with bent(tmp_path, far, api_key="another-key-altogether") as made:
        outcomes = made.run(jobs_of(30), limits=Limits(max_in_flight=30))

        sent = len(made.calls(SUBMIT))
    assert errors_of(outcomes) == ["AccessDeniedError"] * 30
    assert sum(outcome.submitted for outcome in outcomes) == sent <= 8


@pytest.mark.slow
def test_a_key_that_is_corrected_buys_every_row_that_a_wrong_one_gave_back(tmp_path: Path) -> None:
    with studio(tmp_path, api_key="another-key-altogether") as made:
        made.run(jobs_of(6), limits=Limits(max_in_flight=6))
    with studio(tmp_path) as made:
        outcomes = made.run(jobs_of(6))

        assert_charged_once(made, 6)
        assert_nothing_reserved(made)
    assert errors_of(outcomes) == [""] * 6


# What a cap lacks.


def refusals_in(outcomes: list[Outcome]) -> list[Exception]:
    """Errors in the order in which they came."""
    return [outcome.error for outcome in outcomes if outcome.error]


@pytest.mark.slow
@pytest.mark.parametrize("lacks_microusd", [0, 1])
def test_the_money_that_a_cap_lacks_is_just_enough_for_all_rows(tmp_path: Path, lacks_microusd: int) -> None:
    cap = 4 * PRICE + 100_000

    with studio(tmp_path) as made:
        first = run_in_time(made, jobs_of(7), budget=caps(total_microusd=cap))
        (shortfall,) = skipped_rows_of(refusals_in(first))
        raised = cap + shortfall.shortfall_microusd - lacks_microusd
        second = run_in_time(made, jobs_of(7), budget=caps(total_microusd=raised))

        assert_charged_once(made, 7 - lacks_microusd)
    assert (shortfall.scope, shortfall.rows) == ("total", 3)
    assert shortfall.shortfall_microusd == 3 * PRICE - 100_000
    assert errors_of(second).count("BudgetExceededError") == lacks_microusd


def test_what_is_lacking_takes_account_of_cheaper_rows_that_still_went_through(tmp_path: Path) -> None:
    jobs = [VideoJob(request_of("long", duration=10), "long"), *jobs_of(2)]

    with studio(tmp_path) as made:
        outcomes = run_in_time(
            made, jobs, budget=caps(total_microusd=700_000), limits=Limits(max_in_flight=1, max_downloads=1)
        )

    (shortfall,) = skipped_rows_of(refusals_in(outcomes))
    assert errors_of(outcomes).count("") == 1
    assert (shortfall.rows, shortfall.shortfall_microusd) == (2, 4 * PRICE - 700_000)


@pytest.mark.slow
def test_each_cap_is_told_by_itself(tmp_path: Path) -> None:
    day = caps(per_day_microusd=3 * PRICE + 3)
    run = caps(per_run_microusd=PRICE + 2)

    with studio(tmp_path) as made:
        first = run_in_time(made, jobs_of(3), budget=run, origin=Origin("run-1"))
        second = run_in_time(made, jobs_of(4), budget=day, origin=Origin("run-2"))
        shortfalls = skipped_rows_of([*refusals_in(first), *refusals_in(second)])

    reported = [
        (shortfall.scope.partition(" ")[0], shortfall.rows, shortfall.shortfall_microusd) for shortfall in shortfalls
    ]
    assert reported == [("run", 2, 2 * PRICE - 2), ("day", 1, PRICE - 3)]
    assert str(shortfalls[0]) == "2 rows skipped: the budget of run run-1 lacks $0.9460 for them"


def test_errors_that_no_cap_caused_lack_no_money() -> None:
    assert skipped_rows_of([LedgerError("locked"), StoreError("full")]) == []


@pytest.mark.slow
def test_a_failed_dagster_run_tells_how_many_rows_a_cap_refused_and_what_it_lacks(tmp_path: Path) -> None:
    path = written(tmp_path, table_of("A", "B", "C", "D", resolution="720p"))

    with dagster_support.studio(tmp_path) as made:
        result = made.run(path, budget_usd_per_run=1.0)

        (failed,) = (event for event in result.all_events if event.event_type_value == "STEP_FAILURE")
    metadata = failed.step_failure_data.user_failure_data.metadata
    assert "2 rows skipped: the budget of run " in failure_of(result)
    assert "lacks $0.9109 for them" in failure_of(result)
    assert metadata["wan_assets/skipped"].value == 2
    assert {record.data["state"] for record in metadata["wan_assets/skipped_rows"].records} == {"skipped"}
    assert metadata["wan_assets/shortfall_usd"].value == 0.91092
    assert metadata["wan_assets/failed"].value == 0
    assert "wan_assets/failures" not in metadata


@pytest.mark.slow
def test_materialize_tells_programs_and_people_what_the_budget_lacks(tmp_path: Path) -> None:
    table = tmp_path / "prompts.txt"
    table.write_text("A kite\nA boat\nA tree\nA house")
    command = ["materialize", str(table), "--data-dir", str(tmp_path / "out")]
    environment = {"RUNWARE_API_KEY": "", "WAN_ASSETS_BUDGET_USD": "1.0"}

    programs = CliRunner().invoke(cli, [*command, "--json"], env=environment)
    people = CliRunner().invoke(cli, command, env=environment)

    reported = json.loads(programs.stdout)
    assert (programs.exit_code, people.exit_code) == (1, 1)
    counts = {name: reported[name] for name in ("rows", "succeeded", "failed", "skipped", "submitted")}
    assert counts == {"rows": 4, "succeeded": 2, "failed": 0, "skipped": 2, "submitted": 2}
    assert (reported["shortfall_usd"], reported["failures"]) == (0.91092, [])
    assert {row["class"] for row in reported["skipped_rows"]} == {"BudgetExceededError"}
    reason = "the total budget lacks $0.9109 for them"
    assert reported["skip_reasons"] == [{"rows": 2, "reason": reason, "shortfall_usd": 0.91092, "resets_at": None}]
    assert [alert["percent"] for alert in reported["budget_alerts"]] == [50, 80, 100]
    assert "2 rows skipped: the total budget lacks $0.9109 for them." in people.stdout
    assert "2 skipped: BudgetExceededError" in people.stdout
    assert "2 of 4 rows have their video, 2 of them reused; 2 rows skipped." in people.stdout


# An API that is busy.


def test_a_row_that_was_told_to_wait_leaves_its_place_to_others(tmp_path: Path) -> None:
    jobs = jobs_of(2)
    first_alone = seed_that(lambda struck: struck == [True, False], "rate_limit_retry_after", 0.5, jobs)

    with studio(tmp_path, retry_after_s=1, **first_alone) as made:
        outcomes = run_in_time(made, jobs, limits=Limits(max_in_flight=1))

        query = "SELECT at FROM submissions WHERE task_uuid = ? ORDER BY at"
        (refused,), (accepted,) = made.journal.rows(query, uuids_of(jobs)[0])
        assert_charged_once(made, 2)
    assert [outcome.job.partition for outcome in outcomes] == ["p1", "p0"]
    assert errors_of(outcomes) == ["", ""]
    assert accepted - refused >= 0.9


def test_a_wait_that_is_longer_than_anybody_waits_ends_the_row_and_the_next_run_takes_it_up(tmp_path: Path) -> None:
    faults = {"rate_limit_retry_after": 1.0}

    with studio(tmp_path, faults=faults, retry_after_s=3600) as made:
        first = run_in_time(made, jobs_of(2), http_config=replace(QUICK, max_retry_after_s=600.0))
        states, sent = made.states(), made.journal.submissions()
        assert_nothing_reserved(made)
    with studio(tmp_path) as made:
        second = run_in_time(made, jobs_of(2))

        assert_charged_once(made, 2)
        assert made.states() == ["rejected", "rejected", "stored", "stored"]
    assert errors_of(first) == ["RunwareBusyError"] * 2
    assert all(isinstance(outcome.error, RunwareBusyError) for outcome in first)
    assert {outcome.error.fault.retry_after_s > 600 for outcome in first} == {True}
    assert (states, sent) == (["rejected", "rejected"], 2)
    assert errors_of(second) == ["", ""]


# Means that break.


@pytest.fixture
def read_only_store(tmp_path: Path) -> Iterator[Path]:
    """A store with the video of `Kite 0` that even root cannot write to."""
    with mounted(tmp_path / "store", "10m") as store:
        with studio(tmp_path) as made:
            made.run(jobs_of(1))
        subprocess.run(["mount", "-o", "remount,ro", store], check=True)
        yield store


@pytest.mark.usefixtures("read_only_store")
def test_a_store_that_cannot_be_written_is_told_before_money_is_spent(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        with pytest.raises(StoreError, match=r"cannot write to the store .*: Read-only file system"):
            made.run(jobs_of(2))

        assert made.journal.submissions() == 1
        assert made.states() == ["stored"]


def ledger_files(made: Studio) -> list[Path]:
    """The ledger's file, and the write-ahead log beside it where there is one; the log's index is the last.

    While the index is intact, a connection may work on with the pages that it has in memory.
    """
    return sorted(made.folder.glob("ledger.db*"), key=lambda path: (path.name.endswith("-shm"), path))


@contextlib.contextmanager
def between_transactions(made: Studio) -> Iterator[None]:
    """Excludes writers of the ledger: a transaction that ends afterwards would restore the index of the log."""
    ledger = sqlite3.connect(made.folder / "ledger.db", timeout=PATIENCE_S, isolation_level=None)
    with contextlib.closing(ledger) as own:
        own.execute("BEGIN IMMEDIATE")
        yield


def overwritten(path: Path, start: int = 0) -> None:
    """Puts noise in the place of a file's bytes."""
    size = path.stat().st_size - start
    with path.open("r+b") as file:
        file.seek(start)
        file.write(os.urandom(max(0, size)))


@pytest.mark.slow
@pytest.mark.parametrize("noise_from", [0, 4096])
def test_a_ledger_of_garbage_is_told_before_money_is_spent_and_without_it_nothing_is_paid_twice(
    tmp_path: Path, noise_from: int
) -> None:
    clock = ManualClock()
    with studio(tmp_path, clock=clock, latency_s=60) as made:
        made.run(jobs_of(4), limits=Limits(max_wait_s=0.1))
        in_flight = made.states()
        overwritten(tmp_path / "ledger.db", noise_from)

        with pytest.raises(LedgerError, match=r"ledger\.db: (file is not a database|.*malformed)"):
            made.run(jobs_of(4))
        sent_with_garbage = made.journal.submissions()
        for file in ledger_files(made):
            file.unlink()
        clock.now += 60
        outcomes = made.run(jobs_of(4))

        assert made.paid == 4
        assert_charged_once(made, 4)
    assert in_flight == ["submitted"] * 4
    assert sent_with_garbage == 4
    assert errors_of(outcomes) == [""] * 4


async def spoiled_after_one(made: Studio, clock: ManualClock, rows: int, spoil: Callable[[], None]) -> list[Outcome]:
    """A run of two tasks at once whose ledger is spoiled after its first outcome; no other task can end before that."""
    limits = Limits(max_in_flight=2, max_downloads=1, max_wait_s=20)
    async with made.running(jobs_of(rows), limits=limits) as outcomes:
        first = asyncio.ensure_future(anext(outcomes))
        assert await asyncio.to_thread(made.wait_for_submissions, 2, PATIENCE_S)
        clock.now += 60
        outcome = await first
        spoil()
        clock.step = 60
        return [outcome, *[outcome async for outcome in outcomes]]


@pytest.mark.slow
def test_a_ledger_that_turns_to_garbage_on_the_way_stops_sending_and_without_it_nothing_is_paid_twice(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    with studio(tmp_path, clock=clock, latency_s=60) as made:

        def spoil() -> None:
            with between_transactions(made):
                for file in ledger_files(made):
                    overwritten(file)

        first = asyncio.run(spoiled_after_one(made, clock, 48, spoil))
        sent = made.journal.submissions()
        for file in ledger_files(made):
            file.unlink()
        outcomes = made.run(jobs_of(48))

        assert Counter(made.journal.charges_by_fingerprint().values()) == {1: 48}
    assert sent < 48
    assert Counter(errors_of(first))["LedgerError"] >= 48 - sent
    assert set(errors_of(first)) == {"", "LedgerError"}
    assert re.search("not a database|malformed", str(first[-1].error))
    assert errors_of(outcomes) == [""] * 48


@pytest.mark.slow
def test_a_ledger_whose_pages_turn_to_garbage_on_the_way_costs_nothing_twice_either(tmp_path: Path) -> None:
    def spoil() -> None:
        for name in ("ledger.db", "ledger.db-wal"):
            overwritten(tmp_path / name, 4096)

    clock = ManualClock()
    with studio(tmp_path, clock=clock, latency_s=60) as made:
        first = asyncio.run(spoiled_after_one(made, clock, 12, spoil))
        sent = made.journal.submissions()
        with pytest.raises(LedgerError, match=r"ledger\.db: .*(malformed|not a database)"):
            made.run(jobs_of(12))
        sent_with_garbage = made.journal.submissions()
        for file in ledger_files(made):
            file.unlink()
        outcomes = made.run(jobs_of(12))

        assert Counter(made.journal.charges_by_fingerprint().values()) == {1: 12}
    assert set(errors_of(first)) <= {"", "LedgerError"}
    assert sent_with_garbage == sent
    assert errors_of(outcomes) == [""] * 12


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE wan_tasks SET state = 'st0red'",
        "UPDATE wan_tasks SET request = '{'",
        "UPDATE wan_prices SET recent = ''",
    ],
    ids=["a state", "a request", "a price"],
)
def test_a_ledger_that_can_be_read_and_makes_no_sense_is_told_as_such(tmp_path: Path, change: str) -> None:
    with studio(tmp_path) as made:
        made.run(jobs_of(1))
        made.rows(change)

        try:
            reported = errors_of(made.run(jobs_of(2)))[1:]
        except LedgerError:
            reported = ["LedgerError"]

        assert made.journal.submissions() == 1
    assert reported == ["LedgerError"]
