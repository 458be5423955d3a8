"""A process that is suspended for longer than its lease submits nothing that another run has taken over."""

import time
from collections import Counter
from pathlib import Path

import pytest
from engine_support import CHARGES_EVERY_COPY, Studio, errors_of, jobs_of, studio
from suspension_support import AFTER_THE_CLAIM, BEFORE_THE_BOOKING, BEFORE_THE_CONNECTION, LEASE_S, suspended

ROWS = 12


def lease_has_run_out(made: Studio) -> None:
    """Waits until every lease in the ledger has run out."""
    asked = "SELECT coalesce(max(lease_until), 0) FROM wan_tasks WHERE owner IS NOT NULL"
    until = made.rows(asked)[0][0]
    time.sleep(max(0.0, until - time.time()) + 0.1)


@pytest.mark.parametrize("duplicates", [CHARGES_EVERY_COPY, {"duplicates": "conflict_400"}], ids=["charged", "refused"])
@pytest.mark.parametrize(
    ("point", "passes"),
    [(AFTER_THE_CLAIM, 1), (AFTER_THE_CLAIM, ROWS), (BEFORE_THE_CONNECTION, 1), (BEFORE_THE_CONNECTION, 6)],
)
def test_a_suspended_run_posts_nothing_that_another_run_has_finished(
    tmp_path: Path, point: str, passes: int, duplicates: dict
) -> None:
    with studio(tmp_path, **duplicates) as made:
        with suspended(made, ROWS, point, passes) as process:
            lease_has_run_out(made)
            outcomes = made.run(jobs_of(ROWS), lease_s=LEASE_S)
            submissions = made.journal.submissions()

        charges = Counter(charge.fingerprint for charge in made.journal.charges())
        totals = made.ledger().totals().simulated
        assert made.journal.submissions() == submissions
    assert process.returncode == 0
    assert errors_of(outcomes) == [""] * ROWS
    assert charges == {job.request.fingerprint(): 1 for job in jobs_of(ROWS)}
    assert totals.cost_microusd == made.journal.spent_microusd()
    assert (totals.tasks, totals.reserved_microusd) == (ROWS, 0)


def test_a_task_that_was_posted_before_the_suspension_is_polled_by_whoever_comes_next(tmp_path: Path) -> None:
    with studio(tmp_path, **CHARGES_EVERY_COPY) as made:
        with suspended(made, ROWS, BEFORE_THE_BOOKING) as process:
            lease_has_run_out(made)
            outcomes = made.run(jobs_of(ROWS), lease_s=LEASE_S)

        charges = made.journal.charges()
    assert process.returncode == 0
    assert errors_of(outcomes) == [""] * ROWS
    assert len({charge.fingerprint for charge in charges}) == len(charges) == ROWS
