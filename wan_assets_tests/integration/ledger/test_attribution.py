"""Attribution: every grouping of any ledger sums to its totals, and each task counts in exactly one line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from attribution_support import Book, Decided, Entry, counts_of
from hypothesis import given, settings

from wan_assets.ledger import GROUPINGS, Grouping, Ledger

TAGS = ("campaign", "team", "x_team", 'a"b', "back\\slash", "it's", "ü.x", "[0]")
NAMES = (*GROUPINGS, *(f"tag:{name}" for name in TAGS), "tag:none has it", "run_tag:owner", "run_tag:dagster/job")
ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York")
MOMENTS = (
    "2026-10-31T22:59",
    "2026-10-31T23:00",
    "2026-11-01T03:59",
    "2026-11-30T18:14",
    "2026-11-30T18:15",
    "2026-11-30T22:59",
    "2026-11-30T23:00",
    "2026-12-01T00:00",
    "2026-03-29T00:59",
)
STATES = ("reserved", "submitted", "delivered", "stored", "stored", "stored", "failed", "lost", "rejected")

texts = st.sampled_from(["fall", "spring", "=1+1", "(none)"])
entries = st.builds(
    Entry,
    state=st.sampled_from(STATES),
    request=st.integers(0, 2),
    files=st.lists(st.sampled_from("abc"), min_size=1, max_size=2, unique=True).map(tuple),
    cost=st.integers(0, 3_000_000),
    reserved=st.sampled_from([0, 0, 473_000]),
    tags=st.dictionaries(st.sampled_from(TAGS), texts, max_size=4),
    run_id=st.sampled_from(["r1", "r2", "r3"]),
    partition=st.sampled_from(["p1", "p2"]),
    model=st.sampled_from(["", "alibaba:wan@2.6"]),
    created=st.sampled_from(MOMENTS),
    counted=st.sampled_from([None, None, *MOMENTS]),
    simulated=st.booleans(),
)
run_tags_ = st.dictionaries(
    st.sampled_from(["r1", "r2"]),
    st.dictionaries(st.sampled_from(["owner", "dagster/job"]), st.sampled_from(["", "ops"])),
)


@st.composite
def books(draw: Any) -> Book:
    """Any ledger of up to eight tasks."""
    made = tuple(draw(st.lists(entries, max_size=8)))
    decided = st.builds(
        Decided,
        task=st.integers(0, max(0, len(made) - 1)),
        value=st.sampled_from(["approved", "approved", "rejected", "retake", "undecided"]),
        reviewer=st.sampled_from(["ada", "bob"]),
        result=st.integers(1, 2),
    )
    return Book(made, tuple(draw(st.lists(decided, max_size=8))) if made else (), draw(run_tags_))


groupings = st.builds(
    Grouping, st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True).map(tuple), st.sampled_from(ZONES)
)
months = st.sampled_from(["2026-10", "2026-11", "2026-12", "2026-03"])


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a new ledger, of each kind in turn."""
    of_file = f"sqlite:///{tmp_path / 'ledger.db'}"
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else of_file


@pytest.mark.slow
def test_every_grouping_of_any_ledger_sums_to_its_totals(url: str) -> None:
    with Ledger(url) as ledger:

        @settings(max_examples=60 if url.startswith("sqlite") else 20, derandomize=True)
        @given(book=books(), some=st.lists(groupings, min_size=4, max_size=4), month=months)
        def of_any_ledger(book: Book, some: list[Grouping], month: str) -> None:
            book.write(url)
            for by in some:
                assert_attributed(ledger, book, by)
                assert_charged_back(ledger, book, by, month)

        of_any_ledger()


def assert_attributed(ledger: Ledger, book: Book, by: Grouping) -> None:
    """The lines are those of the model, and sum to the totals."""
    totals, found = ledger.totals(), ledger.spending(by)

    counts = counts_of(found)
    assert counts == book.lines(by)
    assert len(counts) == len(found)
    for total in (totals.real, totals.simulated):
        mine = [each for (_, is_simulated), each in counts.items() if is_simulated == total.is_simulated]
        assert added(mine) == counts_of([total])[("total",), total.is_simulated]


def assert_charged_back(ledger: Ledger, book: Book, by: Grouping, month: str) -> None:
    """The lines are those of the model, and their total is the ledger's line of the month."""
    charge, months_ = ledger.chargeback(month, by), ledger.spending(Grouping(("month",), by.time_zone))

    assert counts_of(charge.lines) == book.lines(by, month)
    for simulated in (False, True):
        whole = counts_of(months_).get(((month,), simulated), added([]))
        assert counts_of([charge.total(simulated=simulated)])[("total",), simulated] == whole


def added(counts: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """The sums of each place."""
    return tuple(map(sum, zip((0,) * 6, *counts, strict=True)))


def line_of(url: str, book: Book, by: str) -> dict[tuple[str, ...], Any]:
    """The lines of real money by their keys."""
    with Ledger(url) as ledger:
        book.write(url)
        return {line.keys: line for line in ledger.spending(by)}


def test_a_task_with_videos_approved_by_two_people_counts_once_under_the_later_one(url: str) -> None:
    two = Entry(files=("a", "b"), cost=900)
    book = Book((two,), (Decided(0, "approved", "ada"), Decided(0, "approved", "bob", result=2)))

    lines = line_of(url, book, "reviewer")

    assert list(lines) == [("bob",)]
    assert (lines["bob",].tasks, lines["bob",].videos, lines["bob",].approved, lines["bob",].cost_microusd) == (
        1,
        2,
        2,
        900,
    )


def test_who_approves_a_video_counts_before_who_rejects_another_one_of_the_task(url: str) -> None:
    two, other, open_ = Entry(files=("a", "b")), Entry(request=1), Entry(request=2)
    book = Book(
        (two, other, open_),
        (
            Decided(0, "approved", "ada"),
            Decided(0, "rejected", "bob", result=2),
            Decided(1, "approved", "ada"),
            Decided(1, "rejected", "bob"),
            Decided(2, "approved", "ada"),
            Decided(2, "undecided", "bob"),
        ),
    )

    lines = line_of(url, book, "reviewer")

    assert {key: (line.tasks, line.approved) for key, line in lines.items()} == {
        ("ada",): (1, 1),
        ("bob",): (1, 0),
        ("(none)",): (1, 0),
    }


def test_retakes_failures_and_rejected_videos_count_in_the_cost_for_each_approved_video(url: str) -> None:
    fall = {"campaign": "fall"}
    book = Book(
        (
            Entry(request=0, tags=fall, cost=473_000),
            Entry(request=1, tags=fall, cost=473_000),
            Entry(request=2, tags=fall, cost=100_001, state="failed"),
            Entry(request=3, tags=fall, cost=473_000),
            Entry(request=4, tags={"campaign": "spring"}, cost=473_000),
        ),
        (Decided(0, "retake"), Decided(1, "approved"), Decided(3, "approved"), Decided(4, "rejected")),
    )

    lines = line_of(url, book, "campaign")

    assert lines["fall",].per_approved_microusd == 759_501  # (3 * 473,000 + 100,001) / 2, rounded
    assert lines["spring",].per_approved_microusd is None


def test_the_approval_of_a_replaced_video_is_not_counted(url: str) -> None:
    book = Book((Entry(files=("a",)), Entry(files=("b",))), (Decided(0, "approved"),))

    lines = line_of(url, book, "asset")

    assert (lines["videos",].videos, lines["videos",].approved) == (2, 0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("campain", "did you mean campaign?"),
        ("experiment", "a column of the row is tag:experiment"),
        ("day,day", "the same name twice"),
        ("day,model,team", "has 3 names"),
        ("", "is empty"),
        ("tag:", "'tag:' is not one of"),
        ('"day', "unexpected end of data"),
    ],
)
def test_an_unknown_grouping_is_an_error_that_says_what_is_meant(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason.replace("?", r"\?")):
        Grouping.of(text)


def test_a_month_of_a_time_zone_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with (
        Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger,
        pytest.raises(ValueError, match="'2026-13' is not a month"),
    ):
        ledger.chargeback("2026-13", Grouping.of("campaign"))
    with pytest.raises(ValueError, match="'Mars/Base' is not a time zone"):
        Grouping.of("day", "Mars/Base")
