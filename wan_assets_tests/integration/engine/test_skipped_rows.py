"""Rows that a budget or a pause leaves out are skipped; rows whose attempt failed, or after an overcharge, failed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from engine_support import PRICE, caps, jobs_of, studio

from wan_assets.engine import Limits, Outcome, Progress
from wan_assets.engine.telemetry import result_label
from wan_assets.errors import BudgetExceededError, PausedError, TaskFailedError
from wan_assets.ledger import skipped_rows_of


def skipped(outcomes: list[Outcome]) -> list[bool]:
    return [outcome.is_skipped for outcome in outcomes]


def errors(outcomes: list[Outcome]) -> list[Exception]:
    return [outcome.error for outcome in outcomes if outcome.error]


@pytest.mark.slow
def test_rows_beyond_a_budget_are_skipped_and_counted_apart(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        outcomes = made.run(jobs_of(5), budget=caps(total=2 * PRICE))

    progress = Progress(5)
    for outcome in outcomes:
        progress = progress.after(outcome)
    assert sum(skipped(outcomes)) == 3
    assert (progress.new, progress.failed, progress.skipped, progress.ended) == (2, 0, 3, 5)
    assert progress.counts()[:4] == ("2 new", "0 reused", "0 failed", "3 skipped")
    assert {result_label(outcome) for outcome in outcomes} == {"stored", "skipped BudgetExceededError"}
    (reason,) = skipped_rows_of(errors(outcomes))
    assert str(reason) == "3 rows skipped: the total budget lacks $1.4190 for them"


def test_rows_of_a_paused_ledger_are_skipped(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        with closing(made.ledger()) as ledger:
            ledger.pause("the invoice is checked")
        outcomes = made.run(jobs_of(3))

        assert made.journal.submissions() == 0
    assert skipped(outcomes) == [True] * 3
    (reason,) = skipped_rows_of(errors(outcomes))
    assert str(reason) == "3 rows skipped: the ledger is paused: the invoice is checked"
    assert (reason.shortfall_microusd, reason.resets_at, reason.hint) == (0, None, PausedError.hint)


def test_a_reason_says_when_the_budget_resets(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        outcomes = made.run(jobs_of(2), budget=caps(per_day=PRICE))

    (reason,) = skipped_rows_of(errors(outcomes))
    assert reason.resets_at
    assert reason.reason.endswith(f"lacks $0.4730 for it; it resets at {reason.resets_at:%Y-%m-%d} 00:00 UTC")


def test_a_row_whose_first_attempt_failed_and_whose_next_one_does_not_fit_has_failed(tmp_path: Path) -> None:
    with studio(tmp_path, faults={"verdict_error": 1.0}) as made:
        (outcome,) = made.run(jobs_of(1), budget=caps(total=2 * PRICE - 1), limits=Limits(max_attempts=2))

    assert isinstance(outcome.error, BudgetExceededError)
    assert (outcome.submitted, outcome.is_skipped) == (1, False)


def test_a_row_that_failed_for_another_reason_is_not_skipped(tmp_path: Path) -> None:
    with studio(tmp_path, faults={"verdict_error": 1.0}) as made:
        (outcome,) = made.run(jobs_of(1), limits=Limits(max_attempts=1))

    assert isinstance(outcome.error, TaskFailedError)
    assert not outcome.is_skipped
    assert skipped_rows_of([outcome.error]) == []


def test_rows_that_an_overcharge_stops_have_failed(tmp_path: Path) -> None:
    with studio(tmp_path, cost_factor=1.5) as made:
        outcomes = made.run(jobs_of(6), limits=Limits(max_in_flight=2))

    assert len(errors(outcomes)) == 4
    assert not any(skipped(outcomes))
