"""The end of a model: a warning 30 days before, and a refusal with the successor after it."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from wan_assets.models import MODEL, description_of, retirement_of

END = date(2027, 3, 1)
ENDING = description_of(MODEL).model_copy(update={"ends": END})


@pytest.mark.parametrize(
    ("days", "when", "is_ended"),
    [(30, "in 30 days", False), (1, "in 1 day;", False), (0, "today", False), (-1, "ended on 2027-03-01", True)],
)
def test_a_model_is_warned_of_from_30_days_before_its_end_and_refused_after_it(
    days: int, when: str, is_ended: bool
) -> None:
    found = retirement_of(ENDING, END - timedelta(days=days))

    assert found is not None
    assert found.is_ended is is_ended
    assert when in found.message
    assert "use its successor wan2.6" in found.message


def test_nothing_is_said_earlier_or_without_a_date() -> None:
    assert retirement_of(ENDING, END - timedelta(days=31)) is None
    assert retirement_of(description_of(MODEL), END) is None


def test_a_model_with_the_status_ended_has_ended_also_without_a_date() -> None:
    found = retirement_of(description_of(MODEL).model_copy(update={"status": "ended"}), END)

    assert found is not None
    assert found.is_ended
    assert found.message.startswith("Wan2.5-Preview has ended; use its successor wan2.6")


def test_a_successor_that_is_not_described_is_not_named() -> None:
    found = retirement_of(ENDING.model_copy(update={"successor": "alibaba:wan@9"}), END)

    assert found is not None
    assert found.message == "Wan2.5-Preview ends on 2027-03-01, today"
