"""Tables at their edges: forms of one text, files that are no prompts, rows and runs without a partition."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import dagster_support
import engine_support
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_support import wan_assets
from dagster_support import SMALL
from engine_support import Studio, errors_of, rows_of, studio
from folders import SHARED
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from simulator_support import ManualClock
from test_automation import Watched, missing
from test_partitions import SHARDS, run

from wan_assets.engine import Limits, VideoJob
from wan_assets.errors import PromptTableError
from wan_assets.models.prompt_text import is_visible, normalized
from wan_assets.models.request import VideoRequest
from wan_assets.orchestration.automation.ranges import partition_ranges, row_function_of
from wan_assets.orchestration.component import Batches
from wan_assets.orchestration.partitions.assignment import assign_partitions, partition_key_by, partition_of
from wan_assets.orchestration.partitions.keys import definition_by
from wan_assets.prompts import PromptRow, PromptTable, SqlQuery
from wan_assets.prompts.lookalikes import lookalike_of_bytes, lookalike_of_line, lookalike_of_text

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


def request_of(prompt: str = "A red kite", **parameters: Any) -> VideoRequest:
    """A request of the resolution whose fingerprints older releases computed."""
    return engine_support.request_of(prompt, resolution="480p", **parameters)


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
        first = made.run([VideoJob(request_of(form), name) for name, form in FORMS.items()])
        second = made.run([VideoJob(request_of(SEA), "again")])

        assert errors_of(first) == [""] * len(FORMS)
        assert second[0].is_reused
        assert made.paid == 1


# Ledgers and stores of older releases.


OLD = {"A kite\r\nover a beach": "A kite\nover a beach", "A cafe\u0301": "A caf\u00e9", "A red kite ": "A red kite"}
OLD_FINGERPRINTS = ["a8f368e65674ce2c", "b3c9b2767414cbed", "8c72bebc7ea81907"]
"""As the last release with schema version 4 computed them."""


def bought_before(made: Studio, **settings: Any) -> list[str]:
    """What an older release has bought and stored; the UUIDs of its tasks."""
    outcomes = made.run([VideoJob(as_before(text), text) for text in [*OLD, "Plain"]], **settings)
    assert [outcome.job.request.fingerprint()[:16] for outcome in outcomes if outcome.job.partition in OLD] == [
        as_before(text).fingerprint()[:16] for text in sorted(OLD)
    ]
    downgraded(made.url)
    return [row[0] for row in made.rows("SELECT task_uuid FROM wan_tasks ORDER BY task_uuid")]


def test_the_former_fingerprint_is_that_of_older_releases() -> None:
    assert [as_before(text).fingerprint()[:16] for text in OLD] == OLD_FINGERPRINTS
    assert [(request_of(text).former_fingerprint() or "")[:16] for text in OLD] == OLD_FINGERPRINTS
    assert request_of("Plain").former_fingerprint() is None
    assert request_of("Plain").fingerprint() == as_before("Plain").fingerprint()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_an_upgrade_buys_nothing_again_whatever_form_a_table_has_by_then(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    url = request.getfixturevalue("postgres_url") if kind == "postgres" else ""
    with studio(tmp_path, url) as made:
        uuids = bought_before(made)
        again = [*OLD, *OLD.values(), "Plain", "Plain \r\n"]

        outcomes = made.run([VideoJob(request_of(text), str(place)) for place, text in enumerate(again)])

        assert all(outcome.is_reused for outcome in outcomes)
        assert made.paid == made.journal.submissions() == 4
        assert [row[0] for row in made.rows("SELECT task_uuid FROM wan_tasks ORDER BY task_uuid")] == uuids
        assert all(made.store.verifies(video) for one in outcomes for video in one.stored.videos)
        assert {one.stored.fingerprint for one in outcomes} == {one.job.request.fingerprint() for one in outcomes}
        former = made.rows("SELECT former_fingerprint FROM wan_tasks WHERE former_fingerprint IS NOT NULL")
        assert sorted(row[0][:16] for row in former) == sorted(OLD_FINGERPRINTS)
        assert made.ledger().find_tasks(former[0][0]), "a former fingerprint can still be traced"


def test_a_store_whose_ledger_is_gone_is_reused_by_the_texts_as_they_were_written(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        bought_before(made)
        (tmp_path / "ledger.db").unlink()

        outcomes = made.run([VideoJob(request_of(text), text) for text in OLD])

        assert all(outcome.is_reused for outcome in outcomes)
        assert made.paid == 4


@pytest.mark.slow
def test_an_open_task_of_an_older_release_keeps_its_uuid_and_is_polled(tmp_path: Path) -> None:
    clock = ManualClock()
    with studio(tmp_path, clock=clock, latency_s=60) as made:
        uuids = bought_before(made, limits=Limits(max_wait_s=0.1))
        assert set(made.states()) == {"submitted"}
        clock.now += 60

        outcomes = made.run([VideoJob(request_of(text), text) for text in OLD.values()])

        assert errors_of(outcomes) == ["", "", ""]
        assert {outcome.stored.task_uuid for outcome in outcomes} < set(uuids)
        assert made.paid == made.journal.submissions() == 4


def test_of_two_tasks_that_become_one_request_the_stored_one_counts(tmp_path: Path) -> None:
    clock = ManualClock(step=60)
    with studio(tmp_path, clock=clock, latency_s=60) as made:
        crlf, plain, spaced = "A kite\r\nflies", "A kite\nflies", "A kite\nflies "
        made.run([VideoJob(as_before(crlf), "crlf")])
        clock.step = 0
        made.run(
            [VideoJob(as_before(plain), "plain"), VideoJob(as_before(spaced), "s")], limits=Limits(max_wait_s=0.05)
        )
        downgraded(made.url)

        outcomes = made.run([VideoJob(request_of(plain), "row")])

        assert outcomes[0].is_reused
        assert made.journal.submissions() == 3
        found = made.rows("SELECT attempt, state FROM wan_tasks ORDER BY attempt")
        assert [tuple(row) for row in found] == [(1, "submitted"), (2, "submitted"), (3, "stored")]


def test_an_open_task_whose_record_lacks_a_part_of_an_address_is_found_by_the_text_as_it_was_written(
    tmp_path: Path,
) -> None:
    inputs = {"frameImages": ["https://pictures.example.com/a.png?token=s3cret"]}
    clock = ManualClock()
    with studio(tmp_path, clock=clock, latency_s=60) as made:
        made.run([VideoJob(as_before("A kite \r\nflies", inputs=inputs), "old")], limits=Limits(max_wait_s=0.1))
        clock.now += 60
        downgraded(made.url)

        outcomes = made.run([VideoJob(request_of("A kite \r\nflies", inputs=inputs), "new")])

        assert errors_of(outcomes) == [""]
        assert made.paid == made.journal.submissions() == 1


def test_an_older_task_whose_text_would_be_refused_today_can_be_read() -> None:
    record = {"positivePrompt": "\u200b", "resolution": "480p"}

    assert VideoRequest.from_record(record).positive_prompt == "\u200b"
    with pytest.raises(ValidationError, match=r"no visible character, only U\+200B"):
        VideoRequest.model_validate(record)


# Runs over ranges of multi-partitions.

ZONES = dg.MultiPartitionsDefinition(
    {
        "date": dg.DailyPartitionsDefinition(start_date="2026-01-10", end_date="2026-01-14"),
        "zone": dg.StaticPartitionsDefinition(["z1", "z2", "z3"]),
    }
)


def zone_rows(*pairs: tuple[str, str], **columns: Any) -> list[dict[str, Any]]:
    return [
        {"prompt_id": f"{day}-{zone}", "positive_prompt": f"Kite {day} {zone}", **SMALL, "date": f"2026-01-{day}"}
        | {"shard": zone, **columns}
        for day, zone in pairs
    ]


PLACES = [(str(day), zone) for day in range(10, 14) for zone in ("z1", "z2", "z3")]


@given(st.sets(st.sampled_from(PLACES)), st.integers(1, 5))
def test_ranges_of_multi_partitions_cover_exactly_what_is_missing(missing: set[tuple[str, str]], length: int) -> None:
    present = ZONES.get_partition_keys()
    wanted = {f"2026-01-{day}|{zone}" for day, zone in missing}

    found = list(partition_ranges(present, wanted, length, row_function_of(ZONES)))

    ranges = [dg.PartitionKeyRange(found_range.keys[0], found_range.keys[-1]) for found_range in found]
    covered = [key for each in ranges for key in ZONES.get_partition_keys_in_range(each)]
    assert sorted(covered) == sorted(wanted)
    assert [key for key in present if key in wanted] == covered, "the cursor goes on behind the last one"
    assert all(len(found_range.keys) <= length for found_range in found)


@pytest.mark.slow
def test_every_run_that_the_sensor_requests_makes_exactly_its_missing_partitions(tmp_path: Path) -> None:
    rows = zone_rows(("10", "z3"), ("11", "z1"), ("11", "z2"), ("12", "z1"), ("12", "z3"))
    with dagster_support.studio(tmp_path) as made:
        watched = Watched(made, dagster_support.written(tmp_path, rows), ZONES, partitions_per_run=4)
        requests = watched.tick().run_requests or []

        results = [watched.launch(request) for request in requests]

        made_keys = [key for result in results for key in dagster_support.materialized(result)]
        assert sorted(made_keys) == sorted(f"{row['date']}|{row['shard']}" for row in rows)
        assert all(result.success and dagster_support.materialized(result) for result in results)
        assert len(requests) == 4
        assert not watched.tick().run_requests


@pytest.mark.parametrize(
    ("partitions", "first", "last"),
    [
        (ZONES, "2026-01-10|z3", "2026-01-11|z2"),
        (ZONES, "2026-01-12|z1", "2026-01-11|z2"),
        (SHARDS, "shard-3", "shard-1"),
    ],
)
def test_a_run_over_an_empty_range_fails_and_says_so(tmp_path: Path, partitions: Any, first: str, last: str) -> None:
    with dagster_support.studio(tmp_path) as made:
        result = run(made, dagster_support.written(tmp_path, zone_rows(("10", "shard-1"))), partitions, first, last)

        assert not result.success
        assert f"the range from {first} to {last} contains no partition" in dagster_support.failure_of(result)
        assert made.simulator.journal.submissions() == 0


# Rows that no run can ever make.

DAYS_OF_JANUARY = dg.DailyPartitionsDefinition(start_date="2026-01-10", end_date="2026-02-01")
WORKDAYS = dg.TimeWindowPartitionsDefinition(
    start="2026-01-01", fmt="%Y-%m-%d", cron_schedule="0 0 * * *", exclusions=["0 0 * * 6", "0 0 * * 0"]
)
BY_FUNCTION = dg.DynamicPartitionsDefinition(lambda _: ["spring"])
GOOD = {"date": "2026-01-12", "shard": "z1", "campaign": "spring"}

NEVER = {
    "before the start": (DAYS_OF_JANUARY, {"date": "2025-12-31"}, "date", "is before the partitions start"),
    "after the end": (DAYS_OF_JANUARY, {"date": "2026-02-01"}, "date", "is after the partitions end"),
    "year 1": (DAYS_OF_JANUARY, {"date": "0001-01-01"}, "date", "is before the partitions start"),
    "year 9999": (
        dg.DailyPartitionsDefinition("2026-01-01"),
        {"date": "9999-12-31"},
        "date",
        "no partition can contain",
    ),
    "no date": (DAYS_OF_JANUARY, {"date": ""}, "date", "has no date"),
    "a zone in words": (DAYS_OF_JANUARY, {"date": "2026-01-12T00:00 Mars/Phobos"}, "date", "is not a date"),
    "left out": (WORKDAYS, {"date": "2026-01-10"}, "date", "is in a time window that the partitions exclude"),
    "no such shard": (dg.StaticPartitionsDefinition(["z1"]), {"shard": "z9"}, "shard", "is not one of the partitions"),
    "a campaign that Dagster refuses": (
        dg.DynamicPartitionsDefinition(name="c"),
        {"campaign": "a...b"},
        "campaign",
        "contains '...'",
    ),
    "not given by the function": (BY_FUNCTION, {"campaign": "autumn"}, "campaign", "is not one of the partitions"),
    "a dimension's date": (ZONES, {"date": "2026-01-09"}, "date", "is before the partitions start"),
    "a dimension's shard": (ZONES, {"shard": "z4"}, "shard", "is not one of the partitions"),
    "a dimension's campaign": (
        dg.MultiPartitionsDefinition(
            {"c": dg.DynamicPartitionsDefinition(name="c"), "zone": ZONES.partitions_defs[1].partitions_def}
        ),
        {"campaign": "a|b"},
        "",
        "which is not allowed in a partition key",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("partitions", "extra", "column", "said"), NEVER.values(), ids=NEVER)
def test_a_row_that_no_run_can_ever_make_is_a_problem_in_the_table_the_sensor_and_every_run(
    tmp_path: Path, partitions: Any, extra: dict[str, str], column: str, said: str
) -> None:
    good, bad = ({"prompt_id": name, "positive_prompt": name, **SMALL, **GOOD} for name in ("good", "bad"))
    path = dagster_support.written(tmp_path, [good, {**bad, **extra}])
    with dagster_support.studio(tmp_path) as made:
        skipped = Watched(made, path, partitions).tick().skip_reason
        table = run(made, path, partitions, select="videos_prompts")
        tried = missing(made, path, partitions)

        assert said in str(skipped)
        assert "row 2" in str(skipped)
        assert "has 1 problem." in str(skipped)
        metadata = table.asset_materializations_for_node("videos_prompts")[0].metadata
        assert metadata["wan_assets/problems"].value == 1
        cells = metadata["wan_assets/problem_table"].records[0].data
        assert (cells["count"], cells["rows"], cells["prompt_id"], cells["column"]) == (1, "2", "bad", column)
        assert [check.passed for check in table.get_asset_check_evaluations()] == [False]
        assert said in dagster_support.failure_of(tried)
        assert made.simulator.journal.submissions() == 0


def test_a_run_of_good_partitions_is_refused_too_while_a_row_has_none(tmp_path: Path) -> None:
    path = dagster_support.written(tmp_path, zone_rows(("12", "z1"), ("31", "z1")))
    with dagster_support.studio(tmp_path) as made:
        result = run(made, path, ZONES, "2026-01-12|z1")

        assert "is after the partitions end, which is 2026-01-14" in dagster_support.failure_of(result)
        assert made.simulator.journal.submissions() == 0


def test_partitions_without_any_key_are_said_to_be_none() -> None:
    row = PromptRow(1, "a", request_of(), {})

    with pytest.raises(PromptTableError, match="add partitions: there are none"):
        partition_of(dg.StaticPartitionsDefinition([]))(row)


@pytest.mark.slow
def test_keys_of_dynamic_dimensions_are_added_and_their_rows_made(tmp_path: Path) -> None:
    both = dg.MultiPartitionsDefinition(
        {"campaign": dg.DynamicPartitionsDefinition(name="c"), "shard": dg.StaticPartitionsDefinition(["s1", "s2"])}
    )
    rows = [row | {"campaign": name} for row, name in zip(zone_rows(("1", "s1"), ("2", "s2")), "xy", strict=True)]
    with dagster_support.studio(tmp_path) as made:
        made.instance.add_dynamic_partitions("c", ["of another table"])
        watched = Watched(made, dagster_support.written(tmp_path, rows), both)

        requests = watched.tick().run_requests or []

        assert made.instance.get_dynamic_partitions("c") == ["of another table", "x", "y"]
        assert [request.partition_key for request in requests] == ["x|s1", "y|s2"]
        assert all(watched.launch(request).success for request in requests)
        assert len(made.simulator.journal.charges()) == 2


def test_two_dynamic_dimensions_get_their_keys_in_one_run_of_the_missing_job(tmp_path: Path) -> None:
    both = dg.MultiPartitionsDefinition(
        {"campaign": dg.DynamicPartitionsDefinition(name="c"), "other": dg.DynamicPartitionsDefinition(name="d")}
    )
    rows = [row | {"campaign": name} for row, name in zip(zone_rows(("1", "s"), ("2", "s")), "xy", strict=True)]
    with dagster_support.studio(tmp_path) as made:
        result = missing(made, dagster_support.written(tmp_path, rows), both)

        assert sorted(dagster_support.materialized(result)) == ["x|x", "y|y"]


def test_keys_of_a_function_are_checked_and_its_errors_are_problems(tmp_path: Path) -> None:
    path = dagster_support.written(tmp_path, zone_rows(("10", "z1"), ("11", "z2"), ("12", "z3")))
    reported: dict[str, Any] = {"10-z1": "z1", "11-z2": "z9"}
    checked = partition_key_by(lambda row: reported[row.prompt_id], dg.StaticPartitionsDefinition(["z1"]))

    chunk, _, keys = assign_partitions(PromptTable.load(path).chunk(), checked)

    assert keys == ["z1"]
    assert [problem.row for problem in chunk.problems] == [2, 3]
    assert [problem.rule for problem in chunk.problems] == [
        "is not one of the partitions",
        "has no partition: partition_key_of raises KeyError: '12-z3'",
    ]


def test_a_problem_names_the_file_and_the_line_of_its_row(tmp_path: Path) -> None:
    for name, day in (("a", "2026-01-12"), ("b", "2027-01-01")):
        (tmp_path / f"{name}.csv").write_text(f"positive_prompt,resolution,date\nA kite {name},480p,{day}\n")

    chunk, *_ = assign_partitions(PromptTable.load(tmp_path).chunk(), partition_of(DAYS_OF_JANUARY))

    assert chunk.problems[0].place == "b.csv, row 1 (line 2), column date"


def test_the_sensor_looks_again_when_its_partitions_are_defined_anew(tmp_path: Path) -> None:
    path = dagster_support.written(tmp_path, zone_rows(("12", "z1"), ("15", "z1")))
    with dagster_support.studio(tmp_path) as made:
        narrow = Watched(made, path, dg.DailyPartitionsDefinition("2026-01-14", end_date="2026-01-20"))
        wide = Watched(made, path, dg.DailyPartitionsDefinition("2026-01-10", end_date="2026-01-20"))
        assert "before the partitions start" in str(narrow.tick().skip_reason)
        wide.cursor = narrow.cursor

        assert [request.partition_key for request in wide.tick().run_requests or []] == ["2026-01-12", "2026-01-15"]


@pytest.mark.slow
def test_plan_reports_rows_without_a_partition_where_the_partitions_are_known(tmp_path: Path) -> None:
    path = dagster_support.written(tmp_path, zone_rows(("12", "z1"), ("31", "z1")))
    days = ("--by", "day", "--start-date", "2026-01-10", "--end-date", "2026-01-20")

    alone, known = wan_assets("plan", path, "--json"), wan_assets("plan", path, *days, "--json")
    unknown = wan_assets("plan", path, "--by", "day", "--start-date", "2026-01-10", "--timezone", "Mars/Phobos")

    assert (alone.returncode, known.returncode) == (0, 1)
    problem = json.loads(known.stdout)["problems"][0]
    assert (problem["row"], problem["column"], problem["value"]) == (2, "date", "2026-01-31")
    assert unknown.returncode == 2
    assert "the time zone 'Mars/Phobos' is unknown" in unknown.stderr
    assert "Traceback" not in unknown.stderr


@pytest.mark.parametrize("timezone", ["Mars/Phobos", "../etc/passwd", "", "America", "Europe/Paris\x00"])
def test_an_unknown_time_zone_is_one_line(timezone: str) -> None:
    with pytest.raises(ValueError, match="is unknown; use a name of the IANA database") as refused:
        definition_by("day", start_date="2026-01-01", timezone=timezone)

    assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match="videos: the time zone"):
        Batches(by="day", start_date="2026-01-01", timezone=timezone).definition("videos")


# Files that are no lists of prompts.

CASES = SHARED / "cases"

NO_LISTS: dict[str, tuple[str | bytes, str, str]] = {
    "tab-separated": ("prompt_id\tpositive_prompt\tresolution\r\nk\tA kite\t480p\r\n", "a tab-separated table", ".tsv"),
    "tab-separated, other names": ("id\tcaption\n1\tA kite\n", "a tab-separated table", ".tsv"),
    "tab-separated, no header": ("1\tA kite\n2\tA boat\n", "a tab-separated table without a header", ".tsv"),
    "csv": ("prompt_id,positive_prompt\nk,A kite\n", "a CSV table", ".csv"),
    "csv in quotes": ('"prompt","resolution"\n"A kite","480p"\n', "a CSV table", ".csv"),
    "csv with spaces": ("prompt_id, prompt, seed\nk, A kite, 7\n", "a CSV table", ".csv"),
    "csv, no header": ("A kite,480p\nA boat,720p\n", "a CSV table without a header", ".csv"),
    "csv of one column": ("positive_prompt\nA kite\n", "a table with one column", ".csv"),
    "csv of prompts": ("Prompts\nA kite\n", "a table with one column", "remove its first line"),
    "semicolons": ("prompt_id;prompt\nk;A kite\n", "a table with semicolons", "commas between cells"),
    "json lines": ('{"prompt": "A kite"}\n{"prompt": "A boat"}\n', "JSON Lines", ".jsonl"),
    "json lines with a mark": ('\ufeff\n{"prompt": "A kite"}\n', "JSON Lines", ".jsonl"),
    "json": ('[\n  {"prompt": "A kite"}\n]\n', "JSON", ".json"),
    "json of texts": ('["A kite", "A boat"]\n', "JSON", ".json"),
    "json, cut": ('{"rows": [{"prompt": "A ki', "JSON", ".json"),
    "python objects": ("{'prompt': 'A kite'}\n{'prompt': 'A boat'}\n", "JSON", ".json"),
    "html": ("\n\n<!DOCTYPE html>\n<html><body>404</body></html>", "an HTML or XML page", "one prompt per line"),
    "html fragment": ('<div class="a">\nNot found\n</div>\n', "an HTML or XML page", "one prompt per line"),
    "xml": ('<?xml version="1.0"?>\n<rows/>', "an HTML or XML page", "one prompt per line"),
    "git lfs": (
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n",
        "a Git LFS pointer",
        "git lfs pull",
    ),
    "git-annex": ("/annex/objects/SHA256E-s1--ab.txt\n", "a git-annex pointer", "git annex get"),
    "script": ("#!/bin/sh\necho kite\n", "a script", "one prompt per line"),
    "rtf": ("{\\rtf1\\ansi A kite}", "an RTF document", "plain text"),
    "yaml": ("---\nprompts:\n  - A kite\n", "YAML", "JSON Lines"),
    "yaml key": ("prompts:\n  - A kite\n", "YAML", "JSON Lines"),
    "yaml list": ("- prompt: A kite\n- prompt: A boat\n", "YAML", "JSON Lines"),
    "toml": ('[video]\nprompt = "A kite"\n', "settings in TOML or INI", "one prompt per line"),
    "license": ("MIT License\n\nCopyright (c) 2026 A\n", "a license", "one prompt per line"),
    "pdf": (b"%PDF-1.7\n\xe2\xe3\xcf\xd3", "a PDF document", "plain text"),
    "office": (b"PK\x03\x04\x14\x00\x06\x00", "an Excel", ".csv"),
    "parquet": (b"PAR1\x15\x04", "a Parquet file", ".parquet"),
    "gzip": (b"\x1f\x8b\x08\x00", "an archive", "unpack it"),
    "video": (b"\x00\x00\x00\x18ftypmp42", "an image, audio or video file", "one prompt per line"),
    "picture": (b"\x89PNG\r\n\x1a\n", "an image, audio or video file", "one prompt per line"),
    "sqlite": (b"SQLite format 3\x00", "an SQLite database", "SqlQuery"),
    "binary": ("A kite\nA b\x00at\n", "binary data", "one prompt per line"),
    "sql": ("INSERT INTO prompts VALUES ('A kite');\n", "SQL", "SqlQuery"),
    "python": ("import numpy as np\nx = 1\n", "a program", "one prompt per line"),
    "traceback": ("Traceback (most recent call last):\n  File\n", "a log", "one prompt per line"),
    "http": ("HTTP/1.1 404 Not Found\n", "an HTTP response", "one prompt per line"),
    "subtitles": ("WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n", "subtitles", "one prompt per line"),
}


@pytest.mark.parametrize(("content", "what", "how"), NO_LISTS.values(), ids=NO_LISTS)
def test_a_text_file_that_is_no_list_of_prompts_is_refused_with_what_it_looks_like_and_how_to_load_it(
    tmp_path: Path, content: str | bytes, what: str, how: str
) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(PromptTableError) as refused:
        PromptTable.load(path)

    said = str(refused.value)
    assert f"it looks like {what}" in said or (what in said and "it looks like" in said)
    assert how in said
    assert "\n" not in said


@pytest.mark.skipif(not CASES.is_dir(), reason="the sample files are beside the repository only")
@pytest.mark.parametrize(
    "name", ["excel_tab_delimited.txt", "git_lfs_pointer.txt", "html_error_page.txt", "json_lines_named.txt"]
)
def test_the_sample_files_that_are_no_lists_are_refused(name: str) -> None:
    with pytest.raises(PromptTableError, match="it looks like"):
        PromptTable.load(CASES / name)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("# My prompts", "a comment or a heading"),
        ("#nothing yet", "a comment or a heading"),
        ("  // later", "a comment or a heading"),
        ("<!-- draft -->", "a comment or a heading"),
        ("-- draft", "a comment or a heading"),
        ("; draft", "a comment or a heading"),
        ("=====", "Markdown"),
        ("```", "Markdown"),
        ("| prompt | seed |", "Markdown"),
        ("</body>", "an HTML or XML tag"),
        ('{"prompt": "A boat"}', "a JSON object"),
        ("2026-01-10 12:00:01,123 INFO started", "a log line"),
        ("INFO:root:started", "a log line"),
        ("Jan 10 12:00:01 host sshd[1]: closed", "a log line"),
        ('127.0.0.1 - - [10/Jan/2026:12:00:01 +0000] "GET / HTTP/1.1" 200', "a log line"),
        ("00:00:01,000 --> 00:00:02,000", "a subtitle line"),
        ("https://example.com/kite.mp4", "a URL"),
        ("videos/kite.mp4", "a file name"),
        ("5f0c1c9e-6a5e-4c53-9f5a-3b1d4c3b2a10", "a checksum or an identifier"),
        ("RUNWARE_API_KEY=abc", "an environment variable"),
        ("numpy>=1.26", "a package requirement"),
        ("Negative prompt: blurry", "a labelled value"),
        ("kite\tA red kite\t480p\t5", "a row of a tab-separated table"),
    ],
)
def test_a_line_that_is_no_prompt_is_a_problem_of_its_row(tmp_path: Path, line: str, what: str) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text(f"A red kite\n\n{line}\nA blue boat\n", encoding="utf-8")

    table = PromptTable.load(path)

    assert [row.request.positive_prompt for row in table.rows] == ["A red kite", "A blue boat"]
    assert [(problem.row, problem.line, problem.rule) for problem in table.problems] == [(2, 3, f"looks like {what}")]
    assert table.problems[0].fix


ORDINARY = [
    "A red kite #sunset #beach",
    "Kite, boat, 4k",
    "text, watermark, logo",
    "10,000 kites in the sky",
    '"OPEN", says the neon sign',
    "[wide shot] a kite; soft light",
    "{red|blue} kite | studio",
    "<lora:kite:0.8>, a kite",
    "Scene: a kite over a beach",
    "Scene 1: a kite",
    "Select fruits from the market",
    "Package delivery at noon",
    "ORC warriors march",
    "WARNING sign on a fence",
    "License plates in the rain",
    "A price of 50% off; 2 > 1 & 3 < 4",
    "kite = freedom, cinematic",
    "masterpiece,best quality,1080p",
    "\u98ce\u7b5d\u5728\u6d77\u6ee9\u4e0a, 1080p",
    "\U0001f30a\U0001f30a\U0001f30a",
    "...and then the kite falls",
    "https://example.com is painted on a wall",
    "text",
]


def test_ordinary_prompts_load_whatever_is_in_them(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join(ORDINARY), encoding="utf-8")

    table = PromptTable.load(path)

    assert [str(problem) for problem in table.problems] == []
    assert [row.request.positive_prompt for row in table.rows] == ORDINARY


@pytest.mark.parametrize("prompt", ORDINARY[:-1])
def test_an_ordinary_prompt_loads_by_itself_and_as_the_first_of_two(tmp_path: Path, prompt: str) -> None:
    for number, lines in enumerate(([prompt], [prompt, "A red kite"], [prompt, f"{prompt} again"])):
        path = tmp_path / f"{number}.txt"
        path.write_text("\n".join(lines), encoding="utf-8")

        assert [request.positive_prompt for request in PromptTable.load(path).requests] == lines


WORDS = st.text(
    st.characters(categories=("L", "N", "P", "S"), include_characters=" ", exclude_characters="|\xa6\u2502\u2503"),
    max_size=40,
)


@given(st.lists(WORDS, min_size=1, max_size=8))
def test_no_prose_is_taken_for_another_format(words: list[str]) -> None:
    lines = [f"A kite {word}." for word in words]

    assert lookalike_of_text("\n".join(lines)) is None
    assert [lookalike_of_line(line) for line in lines] == [None] * len(lines)


@given(st.text())
def test_any_text_is_looked_at_without_an_error(text: str) -> None:
    found = lookalike_of_text(text), lookalike_of_bytes(text.encode("utf-8", "replace"))

    assert all(look is None or look.description for look in (*found, *map(lookalike_of_line, text.splitlines())))


@pytest.mark.parametrize(
    "name",
    [
        *("NOTES.txt", "README.txt", "readme.en.txt", "Read me.txt", "LICENSE.txt", "LICENSE-MIT.txt"),
        *("notes-2026.TXT", "CHANGELOG.txt", "requirements.txt", "\u8bf4\u660e.txt"),
    ],
)
def test_notes_in_a_folder_of_tables_are_refused_and_none_of_it_is_bought(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").write_text("prompt,resolution\nA kite,480p\n")
    (tmp_path / name).write_text("These are for the autumn campaign.\n")

    for source in (tmp_path, tmp_path / "*.*"):
        with pytest.raises(PromptTableError, match=r"has a name that suggests notes .* move it out of the folder"):
            PromptTable.load(source)


@pytest.mark.parametrize("name", ["kites.txt", "license_plates.txt", "reading.txt", "noteworthy.txt", "history.txt"])
def test_other_text_files_are_lists_in_a_folder_and_by_themselves(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("A red kite\n")

    assert len(PromptTable.load(tmp_path)) == 1
    assert len(PromptTable.load(tmp_path / name)) == 1


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.parquet", "a.tsv"])
def test_a_pointer_is_named_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")

    with pytest.raises(PromptTableError, match="a Git LFS pointer instead of the file itself; run `git lfs pull`"):
        PromptTable.load(tmp_path / name)


# Prompts of which nothing is visible.

INVISIBLE = {
    "zero-width space": "\u200b",
    "byte order mark": "\ufeff\ufeff",
    "soft hyphens": "\u00ad\u00ad",
    "joiners": "\u200d\u2060",
    "marks of direction": "\u200e\u202e\u2066",
    "Hangul fillers": "\u3164\u115f\uffa0",
    "braille blank": "\u2800",
    "variation selectors": "\ufe0f\U000e0100",
    "tags": "\U000e0041\U000e0042",
    "Mongolian": "\u180e\u180b",
    "spaces between": "\u3164 \u00a0 \u200b",
    "object replacement": "\ufffc",
    "grapheme joiner": "\u034f",
    "C1 controls": "\x80\x9f",
}


@pytest.mark.parametrize("prompt", INVISIBLE.values(), ids=INVISIBLE)
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "json", "parquet", "txt", "frame"])
def test_a_prompt_of_which_nothing_is_visible_is_a_problem_in_every_format(
    tmp_path: Path, prompt: str, suffix: str
) -> None:
    path = tmp_path / f"prompts.{suffix}"
    frame = pd.DataFrame({"positive_prompt": ["A kite", prompt], "resolution": "480p"})
    writers: dict[str, Callable[[], Any]] = {
        "csv": lambda: frame.to_csv(path, index=False),
        "tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        "json": lambda: frame.to_json(path, orient="records"),
        "parquet": lambda: frame.to_parquet(path, index=False),
        "txt": lambda: path.write_text(f"A kite\n{prompt}\n", encoding="utf-8"),
        "frame": lambda: None,
    }
    writers[suffix]()

    table = PromptTable.load(frame if suffix == "frame" else path)

    assert [(problem.row, problem.column) for problem in table.problems] == [(2, "positive_prompt")]
    assert "contains no visible character, only U+" in table.problems[0].rule


# Dates and time zones that Python does not have.


def parquet_of(folder: Path, dates: pa.Array) -> Path:
    columns = {"positive_prompt": ["A kite", "A boat"], "resolution": ["480p"] * 2, "date": dates}
    pq.write_table(pa.table(columns), folder / "t.parquet")
    return folder / "t.parquet"


@pytest.mark.parametrize(
    "kind",
    [pa.date32(), pa.timestamp("ms"), pa.timestamp("us"), pa.timestamp("ms", "Europe/Paris"), pa.list_(pa.date32())],
    ids=str,
)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_date_out_of_range_in_parquet_is_a_problem_of_its_row(tmp_path: Path, kind: pa.DataType, sign: int) -> None:
    far = sign * {pa.date32(): 4_000_000, pa.timestamp("us"): 10**18}.get(kind, 10**15)
    dates = pa.array([[4_000_000 * sign], [1]], kind) if pa.types.is_list(kind) else None
    if dates is None:
        dates = pa.array([far, 0], pa.int32() if kind == pa.date32() else pa.int64()).cast(kind)

    table = PromptTable.load(parquet_of(tmp_path, dates))

    assert [row.number for row in table.rows] == [2]
    assert table.problems[0].rule == "column date contains a date or a number that is out of range"


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["Mars/Phobos", "+25:00", "Europe"])
def test_an_unknown_time_zone_in_parquet_is_one_line(tmp_path: Path, zone: str) -> None:
    path = parquet_of(tmp_path, pa.array([0, 1], pa.int64()).cast(pa.timestamp("us", zone)))

    with pytest.raises(
        PromptTableError, match=r"column date has the unknown time zone .*; write its times in UTC"
    ) as no:
        PromptTable.load(path)
    reported = wan_assets("plan", path)

    assert "\n" not in str(no.value)
    assert reported.returncode == 2
    assert "Traceback" not in reported.stderr


def test_a_date_out_of_range_in_a_frame_is_a_problem_of_its_row() -> None:
    far = np.array(["12000-01-01", "2026-01-01"], dtype="datetime64[s]")
    of_arrow = pd.Series(pd.arrays.ArrowExtensionArray(pa.array([4_000_000, 1], pa.int32()).cast(pa.date32())))
    for dates in (far, of_arrow):
        frame = pd.DataFrame({"positive_prompt": ["A kite", "A boat"], "resolution": "480p", "date": dates})

        table = PromptTable.load(frame)

        assert [problem.row for problem in table.problems] == [1]
        assert len(table) == 1


@pytest.mark.parametrize("value", ["DATE '12000-01-01'", "'infinity'::timestamp", "DATE '0044-03-15 BC'"])
def test_a_date_out_of_range_in_a_database_is_one_line(postgres_url: str, value: str) -> None:
    query = SqlQuery(postgres_url, f"SELECT 'A kite' AS positive_prompt, '480p' AS resolution, {value} AS date")

    with pytest.raises(PromptTableError, match="the query cannot be read") as refused:
        PromptTable.load(query)

    assert "\n" not in str(refused.value)
