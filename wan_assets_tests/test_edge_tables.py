"""Tables at their edges: forms of one text, files that are no prompts, rows and runs without a partition."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from engine_support import Studio, errors_of, request_of, rows_of, studio
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from wan_assets.generation import Limits, Order
from wan_assets.prompt_text import is_visible, normalized
from wan_assets.request import VideoRequest

SEA = "A caf\u00e9 by the sea\nat noon"
FORMS = {
    "CRLF": SEA.replace("\n", "\r\n"),
    "CR": SEA.replace("\n", "\r"),
    "line separator": SEA.replace("\n", "\u2028"),
    "next line": SEA.replace("\n", "\x85"),
    "NFD": unicodedata.normalize("NFD", SEA),
    "trailing space": f"{SEA} ",
    "leading tab": f"\t{SEA}",
    "trailing newline": f"{SEA}\r\n",
    "space at the end of a line": SEA.replace("\n", " \t\n"),
    "no-break space at the end": f"{SEA}\u00a0",
    "no-break space inside": SEA.replace("by the", "by\u00a0the"),
    "narrow no-break space inside": SEA.replace("by the", "by\u202fthe"),
    "ideographic space": f"\u3000{SEA}\u3000",
    "byte order mark": f"\ufeff{SEA}",
    "zero-width space at the end": f"{SEA}\u200b",
    "mark of direction": f"\u200e{SEA}",
    "soft hyphen": SEA.replace("noon", "no\u00adon"),
    "all at once": unicodedata.normalize("NFD", f"\ufeff {SEA}\u00a0\r\n").replace("sea\n", "sea \r\n"),
}


def as_before(prompt: str, **parameters: Any) -> VideoRequest:
    """A request as releases with schema version 4 took it: its texts as they were written."""
    silent = {"alibaba": {"audio": False}}
    record = {"positivePrompt": prompt, "resolution": "480p", "providerSettings": silent, **parameters}
    return VideoRequest.from_record(record)


def downgraded(url: str) -> None:
    """Makes a ledger what a release with schema version 4 would have left."""
    rows_of(url, "ALTER TABLE wan_tasks DROP COLUMN former_fingerprint")
    rows_of(url, "UPDATE wan_ledger SET value = '4' WHERE name = 'schema_version'")


# Formatting is no request.


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_same_text_in_another_form_is_the_same_request_and_the_normal_form_is_submitted(form: str) -> None:
    plain, written = request_of(SEA, negative_prompt=SEA), request_of(form, negative_prompt=form)

    assert written == plain
    assert written.fingerprint() == plain.fingerprint()
    task = written.to_task("5f0c1c9e-6a5e-4c53-9f5a-3b1d4c3b2a10")
    assert (task["positivePrompt"], task["negativePrompt"]) == (SEA, SEA)


@pytest.mark.parametrize(
    "other", ["A cafe by the sea", "A caf\u00e9  by the sea", "a caf\u00e9 by the sea", "A caf\u00e9\n\nby the sea"]
)
def test_another_text_is_another_request(other: str) -> None:
    assert request_of(other).fingerprint() != request_of("A caf\u00e9 by the sea").fingerprint()


@pytest.mark.parametrize(
    "emoji", ["A heart \u2764\ufe0f", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u26a0\ufe0f"]
)
def test_an_emoji_keeps_what_belongs_to_it(emoji: str) -> None:
    assert request_of(emoji).positive_prompt == emoji


@given(st.text())
def test_the_normal_form_of_a_normal_form_is_itself_and_as_visible(text: str) -> None:
    normal = normalized(text)

    assert normalized(normal) == normal
    assert is_visible(normal) == is_visible(text)
    assert normalized(f"{text}\r\n") == normalized(unicodedata.normalize("NFD", text)) == normal


def test_limits_count_the_normal_form() -> None:
    assert len(request_of("x" * 2000 + " \r\n").positive_prompt) == 2000
    assert len(request_of("e\u0301" * 2000).positive_prompt) == 2000
    assert request_of("A kite", negative_prompt=f" {'y' * 500}\u00a0").negative_prompt == "y" * 500
    with pytest.raises(ValidationError, match="at most 2000"):
        request_of("x" * 2001)


def test_rows_that_differ_in_formatting_share_one_task_also_in_a_later_run(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        first = made.run([Order(request_of(form), name) for name, form in FORMS.items()])
        second = made.run([Order(request_of(SEA), "again")])

        assert errors_of(first) == [""] * len(FORMS)
        assert second[0].is_reused
        assert made.paid == 1


# Ledgers and stores of older releases.


OLD = {"A kite\r\nover a beach": "A kite\nover a beach", "A cafe\u0301": "A caf\u00e9", "A red kite ": "A red kite"}
OLD_FINGERPRINTS = ["a8f368e65674ce2c", "b3c9b2767414cbed", "8c72bebc7ea81907"]
"""As the last release with schema version 4 computed them."""


def bought_before(made: Studio, **settings: Any) -> list[str]:
    """What an older release has bought and stored; the UUIDs of its tasks."""
    outcomes = made.run([Order(as_before(text), text) for text in [*OLD, "Plain"]], **settings)
    assert [outcome.order.request.fingerprint()[:16] for outcome in outcomes if outcome.order.partition in OLD] == [
        as_before(text).fingerprint()[:16] for text in sorted(OLD)
    ]
    downgraded(made.url)
    return [row[0] for row in made.rows("SELECT task_uuid FROM wan_tasks ORDER BY task_uuid")]


def test_the_former_fingerprint_is_that_of_older_releases() -> None:
    assert [as_before(text).fingerprint()[:16] for text in OLD] == OLD_FINGERPRINTS
    assert [(request_of(text).former_fingerprint() or "")[:16] for text in OLD] == OLD_FINGERPRINTS
    assert request_of("Plain").former_fingerprint() is None
    assert request_of("Plain").fingerprint() == as_before("Plain").fingerprint()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_an_upgrade_buys_nothing_again_whatever_form_a_table_has_by_then(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    url = request.getfixturevalue("postgres_url") if kind == "postgres" else ""
    with studio(tmp_path, url) as made:
        uuids = bought_before(made)
        again = [*OLD, *OLD.values(), "Plain", "Plain \r\n"]

        outcomes = made.run([Order(request_of(text), str(place)) for place, text in enumerate(again)])

        assert all(outcome.is_reused for outcome in outcomes)
        assert made.paid == made.books.submissions() == 4
        assert [row[0] for row in made.rows("SELECT task_uuid FROM wan_tasks ORDER BY task_uuid")] == uuids
        assert all(made.store.verifies(video) for one in outcomes for video in one.stored.videos)
        assert {one.stored.fingerprint for one in outcomes} == {one.order.request.fingerprint() for one in outcomes}
        former = made.rows("SELECT former_fingerprint FROM wan_tasks WHERE former_fingerprint IS NOT NULL")
        assert sorted(row[0][:16] for row in former) == sorted(OLD_FINGERPRINTS)
        assert made.ledger().traced(former[0][0]), "a former fingerprint can still be traced"


def test_a_store_whose_ledger_is_gone_is_reused_by_the_texts_as_they_were_written(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        bought_before(made)
        (tmp_path / "ledger.db").unlink()

        outcomes = made.run([Order(request_of(text), text) for text in OLD])

        assert all(outcome.is_reused for outcome in outcomes)
        assert made.paid == 4


def test_an_open_task_of_an_older_release_keeps_its_uuid_and_is_polled(tmp_path: Path) -> None:
    with studio(tmp_path, latency_s=1.0) as made:
        uuids = bought_before(made, limits=Limits(max_wait_s=0.1))
        assert set(made.states()) == {"submitted"}

        outcomes = made.run([Order(request_of(text), text) for text in OLD.values()])

        assert errors_of(outcomes) == ["", "", ""]
        assert {outcome.stored.task_uuid for outcome in outcomes} < set(uuids)
        assert made.paid == made.books.submissions() == 4


def test_of_two_tasks_that_become_one_request_the_stored_one_counts(tmp_path: Path) -> None:
    with studio(tmp_path, latency_s=0.5) as made:
        crlf, plain, spaced = "A kite\r\nflies", "A kite\nflies", "A kite\nflies "
        made.run([Order(as_before(crlf), "crlf")])
        made.run([Order(as_before(plain), "plain"), Order(as_before(spaced), "s")], limits=Limits(max_wait_s=0.05))
        downgraded(made.url)

        outcomes = made.run([Order(request_of(plain), "row")])

        assert outcomes[0].is_reused
        assert made.books.submissions() == 3
        found = made.rows("SELECT attempt, state FROM wan_tasks ORDER BY attempt")
        assert [tuple(row) for row in found] == [(1, "submitted"), (2, "submitted"), (3, "stored")]


def test_an_open_task_whose_record_lacks_a_part_of_an_address_is_found_by_the_text_as_it_was_written(
    tmp_path: Path,
) -> None:
    inputs = {"frameImages": ["https://pictures.example.com/a.png?token=s3cret"]}
    with studio(tmp_path, latency_s=1.0) as made:
        made.run([Order(as_before("A kite \r\nflies", inputs=inputs), "old")], limits=Limits(max_wait_s=0.1))
        downgraded(made.url)

        outcomes = made.run([Order(request_of("A kite \r\nflies", inputs=inputs), "new")])

        assert errors_of(outcomes) == [""]
        assert made.paid == made.books.submissions() == 1


def test_an_older_task_whose_text_would_be_refused_today_can_be_read() -> None:
    record = {"positivePrompt": "\u200b", "resolution": "480p"}

    assert VideoRequest.from_record(record).positive_prompt == "\u200b"
    with pytest.raises(ValidationError, match=r"no visible character, but only U\+200B"):
        VideoRequest.model_validate(record)
