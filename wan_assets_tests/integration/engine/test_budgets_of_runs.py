"""Budgets that change, and periods that begin, while a run has reservations."""

import asyncio
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from api_double import Prepared
from bent_api import POLL, SUBMIT, Call, bent
from engine_support import PRICE, Studio, errors_of, jobs_of, request_of, studio
from limited_api import LimitedApi

from wan_assets.engine import Limits, Outcome, VideoJob
from wan_assets.ledger import BudgetLimit, Budgets, Origin

DAY_S = 86_400.0


def limit(prices: float, **fields: Any) -> BudgetLimit:
    return BudgetLimit.model_validate({"usd": prices * PRICE / 1e6, **fields})


def budgets(*limits: BudgetLimit) -> Budgets:
    return Budgets(limits, price_margin=Decimal(0))


def change(made: Studio, prices: float, **fields: Any) -> None:
    with made.ledger() as ledger:
        ledger.set_budget(limit(prices, **fields))


def test_a_budget_that_is_lowered_while_the_api_is_busy_stops_the_task_and_frees_its_reservation(
    tmp_path: Path,
) -> None:
    with studio(tmp_path, faults={"rate_limit": 1.0}, repeats=True) as made:
        outcomes = made.run_while_busy(jobs_of(1), lambda: change(made, 0, per="month"))

        assert errors_of(outcomes) == ["BudgetExceededError"]
        assert made.paid == 0
    assert made.states() == ["rejected"]
    assert made.rows("SELECT sum(reserved_microusd) FROM wan_tasks") == [(0,)]
    assert made.rows("SELECT sum(committed_microusd) FROM wan_spend") == [(0,)]


def test_a_budget_that_is_lowered_after_an_unconfirmed_submission_keeps_the_reservation(tmp_path: Path) -> None:
    is_lowered = []

    def bend(call: Call) -> Prepared | None:
        if call.kind == SUBMIT and not is_lowered:
            change(made, 0.5, per="month")
            is_lowered.append(call.task_uuid)
            return Prepared(b"<html>Gateway Timeout</html>", 504, {"Content-Type": "text/html"})
        return Prepared({"data": []}) if call.kind == POLL else None

    with bent(tmp_path, bend) as made:
        (first,) = made.run(jobs_of(1))
        reserved = made.ledger().totals().simulated.reserved_microusd
        submitted = len(made.calls(SUBMIT))

    with studio(tmp_path) as again:
        (refused,) = again.run(jobs_of(1))
        change(again, 1, per="month")
        (second,) = again.run(jobs_of(1))

        assert again.paid == 1
    assert errors_of([first]) == ["SubmissionUnconfirmedError"]
    assert first.error is not None
    assert "does not fit in the budget of month" in str(first.error)
    assert (reserved, submitted) == (PRICE, 1)
    assert errors_of([refused, second])[-1] == ""


def test_a_row_that_waited_for_its_turn_is_not_posted_after_a_budget_was_lowered(tmp_path: Path, video: bytes) -> None:
    jobs = jobs_of(4)
    with LimitedApi(lambda _: 1, 1.5, video) as api:
        made = Studio(tmp_path, api)  # one task at a time: the others wait with their reservations

        def later() -> None:
            end = time.monotonic() + 30
            while not api.done_at and time.monotonic() < end:
                time.sleep(0.02)
            time.sleep(1.1)
            change(made, 0)

        async def outcomes() -> list[Outcome]:
            async with asyncio.TaskGroup() as group, made.running(jobs) as running:
                group.create_task(asyncio.to_thread(later))
                return [outcome async for outcome in running]

        errors = errors_of(asyncio.run(outcomes()))
        accepted = len(api.done_at)

    assert accepted == 1
    assert sorted(errors) == ["", *["BudgetExceededError"] * 3]


def test_a_row_is_bought_although_an_equal_one_of_another_scope_does_not_fit(tmp_path: Path) -> None:
    fall, winter = (VideoJob(request_of("Kite"), name, tags={"campaign": name}) for name in ("fall", "winter"))
    nothing = budgets(limit(0, scope={"campaign": "fall"}))
    with studio(tmp_path) as made:
        refused, bought = made.run([fall, winter], budget=nothing)

        assert errors_of([refused, bought]) == ["BudgetExceededError", ""]
        assert made.paid == 1


@pytest.mark.slow
def test_the_tasks_of_a_crashed_run_count_on_the_day_on_which_they_are_submitted(tmp_path: Path) -> None:
    yesterday = time.time() - DAY_S
    day = budgets(limit(1, per="day"))
    with studio(tmp_path) as made:
        with made.ledger(day, clock=lambda: yesterday) as ledger:
            ledger.claim(request_of("Kite 0"), Origin("crashed"), "gone.1.x", simulated=True)
            ledger.release_leases("gone.1.x")
        patient = Limits(max_wait_s=20, max_resubmit_age_s=2 * DAY_S)
        (today,) = made.run([VideoJob(request_of("Of today"))], budget=day)
        (refused,) = made.run(jobs_of(1), budget=day, limits=patient)
        paid_before = made.paid
        (resumed,) = made.run(jobs_of(1), budget=budgets(limit(2, per="day")), limits=patient)

        assert errors_of([today, refused, resumed]) == ["", "BudgetExceededError", ""]
        assert (paid_before, made.paid) == (1, 2)
    with made.ledger(budgets(limit(2, per="day"))) as ledger:
        (state,) = ledger.budget_states("run", simulated=True)
    assert state.committed_microusd == 2 * PRICE


@pytest.mark.slow
def test_rows_of_other_scopes_are_bought_when_a_budget_is_used_up(tmp_path: Path) -> None:
    jobs = [
        VideoJob(request_of(f"Kite {number}"), f"p{number}", tags={"x_team": "ads" if number % 2 else "sales"})
        for number in range(6)
    ]
    ads = budgets(limit(1, per="week", scope={"x_team": "ads"}), limit(4))
    with studio(tmp_path) as made:
        errors = errors_of(made.run(jobs, budget=ads))

        assert errors[::2] == ["", "", ""]
        assert sorted(errors[1::2]) == ["", "BudgetExceededError", "BudgetExceededError"]
        assert made.paid == 4
