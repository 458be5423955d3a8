"""Rows in batches are the rows that are checked one by one: the same ids, requests, texts and problems."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from call_counts import counted_calls
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from wan_assets.models import VideoRequest, normal_prompts, violations_of
from wan_assets.prompts import (
    Chunk,
    Prompts,
    PromptSource,
    PromptTable,
    Snapshot,
    Summary,
    scan,
    snapshot_writer,
)
from wan_assets.prompts.records import count_of
from wan_assets.prompts.row_batch import RowBatch, parts_of
from wan_assets.prompts.sources import sheets_of

_LARGE = 100_000

PROMPTS = (
    *("A red kite", " A red kite ", "A red kite\nover the sea", "A red kite\r\nover the sea ", "Un cerf-volant é"),
    *(
        "e\u0301t\u00e9",
        "\u200bkite",
        "\u200b",
        "\u3164",
        "",
        "   ",
        "A\x07kite",
        "A\ud800kite",
        "k",
        "k" * 1501,
        "k" * 2000,
        "k" * 2001,
    ),
    *("A\u00a0kite", "\ufeffkite", "🪁", "k\u00ad", "[]", "{", '"kite"', "None", "5"),
)
CELLS: dict[str, Sequence[Any]] = {
    "prompt_id": ("", "a", "a/b", "a..b", " a", "x" * 128, "x" * 129, "a|b", "a\tb", "é", "a,b"),
    "positive_prompt": PROMPTS,
    "negative_prompt": ("", "blurry", " blurry", "b" * 500, "b" * 501, "\u200b", "n\u0303", "x\x00"),
    "resolution": ("480p", "720p", "1080p", " 720p", "720", "481p", "", "1080P"),
    "width": ("", "1280", "854", "832", "1281", "x"),
    "height": ("", "720", "480", "7.5"),
    "duration": ("5", "10", "5.0", "6", "", "five", "05", "\u0665", "auto", "15", "31"),
    "model": ("", "wan2.5", "wan2.6", "Wan3.0", "wan2.7", "wan2.9", "alibaba:wan@2.6"),
    "settings.shot_type": ("", "", "single", "triple"),
    "seed": ("", "0", "7", "2147483647", "2147483648", "-1", "7.0", "7.5", "\u0667", "007", " 7", "x", "99999999999"),
    "number_results": ("", "1", "4", "5"),
    "output_format": ("", "mp4", "WEBM", "gif"),
    "prompt_extend": ("", "true", "false", "maybe"),
    "inputs.audio": ("", "", "https://example.com/a.mp3", "https://localhost/a.mp3", "missing.mp3"),
    "webhook_url": ("", "", "https://example.com/hook", "ftp://example.com"),
    "priority": ("", "1", "-2", "1.0", "high"),
    "campaign": ("", "spring", "a\x07b", " spring ", "spring\nsummer"),
    "motion_level": ("", "low", "high", "a\x00b", "  "),
    "resoluton": ("", "720p"),
}
"""Values of each column: valid ones, and some that break every rule."""

OBJECTS: dict[str, Sequence[Any]] = {
    "prompt_id": (*CELLS["prompt_id"], 7, 7.0, 7.5, True, None, ["a"], Decimal(7)),
    "positive_prompt": (*PROMPTS, None, 5, ["A kite"], float("nan")),
    "negative_prompt": (*CELLS["negative_prompt"], None, 5),
    "resolution": (*CELLS["resolution"], None, 720, ["720p"], True),
    "model": (None, "wan2.5", "wan2.6", "wan3.0", "wan2.9", 5, ["wan2.5"]),
    "settings": (None, {}, {"audio": True}, {"shotType": "multi"}, {"shot_type": "single", "fps": 1}, "x"),
    "duration": (5, 10, "auto", 5.0, 5.5, True, None, "5", Decimal(5), float("nan"), {"s": 5}),
    "seed": (0, 7, 7.0, True, False, -1, 2**31, None, "7", float("nan"), [7]),
    "number_results": (1, 1.0, True, None, 4, 9),
    "audio": (True, False, None, "true", 1),
    "provider_settings": (None, {}, {"alibaba": {"audio": False}}, {"alibaba": {"sound": 1}}, "x"),
    "priority": (None, 1, 1.0, 1.5, "2", True),
    "tags": (None, [], ["a", "b"], "a", {"b": 1}, 7.0, b"", b"a"),
    "motion_level": (None, "low", 3, 3.5, float("nan"), ["x"]),
}


def same(source: Prompts) -> Summary:
    """Compares a table in batches with the same table whose rows are read one by one; returns its summary."""
    in_batches, one_by_one = list(scan(source)), list(scan(source, 1))
    rows = [[row for chunk in chunks for row in chunk.rows] for chunks in (in_batches, one_by_one)]
    described = [list(map(_described, each)) for each in rows]

    assert [row.fingerprint for row in rows[0]] == [row.request.fingerprint() for row in rows[1]]
    assert described[0] == described[1]
    problems = [[problem for chunk in chunks for problem in chunk.problems] for chunks in (in_batches, one_by_one)]
    assert problems[0] == problems[1]
    summaries = [Summary.of(chunks) for chunks in (in_batches, one_by_one)]
    assert _summarized(summaries[0]) == _summarized(summaries[1])
    _same_snapshots(in_batches, one_by_one, dict(zip([row.number for row in rows[1]], described[1], strict=True)))
    return summaries[0]


def _same_snapshots(in_batches: list[Chunk], one_by_one: list[Chunk], described: dict[int, Any]) -> None:
    """Compares the snapshots of both, and the rows that are read from them in batches and one by one."""
    with TemporaryDirectory() as folder:
        files = [UPath(folder) / "batches.parquet", UPath(folder) / "single.parquet"]
        for file, chunks in zip(files, (in_batches, one_by_one), strict=True):
            with snapshot_writer(Path(str(file))) as writer:
                for chunk in chunks:
                    writer.add(chunk)
        assert pq.read_table(str(files[0])).equals(pq.read_table(str(files[1])))
        read = list(scan(Snapshot({"": files[0]})))
    found = {row.number: row for chunk in read for row in chunk.rows}
    left_out = {problem.row for chunk in read for problem in chunk.problems}
    assert found.keys() | left_out == described.keys()
    assert {at: _described(row) for at, row in found.items()} == {
        at: row for at, row in described.items() if at not in left_out
    }
    by_row = {row.number: row for chunk in one_by_one for row in chunk.rows}
    assert all(row.fingerprint == by_row[at].fingerprint for at, row in found.items())


def _described(row: Any) -> tuple[Any, ...]:
    request = row.request
    written = request.as_written(), request.model_fields_set, request.former_fingerprint()
    return (row.number, row.prompt_id, request, written, dict(row.extra), row.line, row.file)


def _summarized(summary: Summary) -> tuple[Any, ...]:
    money = summary.prices.by_kind, summary.prices.by_campaign, summary.prices.new, summary.fingerprints
    first = [(row.number, row.prompt_id) for row in summary.first]
    return (summary.rows, summary.valid, list(summary.findings), money, summary.types, first)


_ALWAYS = ("positive_prompt", "resolution")
_ONE_IN_TEN = (True, *(False,) * 9)


def table_of(draw: Callable[[Sequence[Any]], Any], cells: dict[str, Sequence[Any]], rows: int) -> list[dict[str, Any]]:
    """Returns rows with some of the columns; most of their values are valid."""
    names = [name for name in cells if name in _ALWAYS or draw((True, False))]
    usual = {name: values[0] for name, values in cells.items()}
    table = []
    for number in range(rows):
        row = {name: draw(cells[name]) if draw(_ONE_IN_TEN) else usual[name] for name in names}
        if "prompt_id" in row and not draw(_ONE_IN_TEN):
            row["prompt_id"] = f"row-{number}"
        table.append(row)
    return table


def write(path: Path, table: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8", errors="surrogatepass") as file:
        rows = csv.DictWriter(file, list(table[0]))
        rows.writeheader()
        rows.writerows(table)
    return path


@pytest.mark.slow
@given(st.data())
@settings(max_examples=30, deadline=None)
def test_every_list_of_objects_is_read_alike(data: st.DataObject) -> None:
    draw = st.randoms(use_true_random=False)
    random_of = data.draw(draw)
    same(table_of(random_of.choice, OBJECTS, random_of.randrange(8, 40)))


@pytest.mark.slow
@given(st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_default_values_are_applied_alike(random_of: random.Random) -> None:
    defaults = {name: random_of.choice(values) for name, values in _DEFAULTS.items() if random_of.random() < 0.4}
    same(PromptSource(table_of(random_of.choice, OBJECTS, random_of.randrange(8, 40)), defaults=defaults))


@pytest.mark.slow
@given(st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_variants_are_read_alike(random_of: random.Random) -> None:
    names = random_of.sample(list(_VARIANTS), random_of.randrange(3))
    options: dict[str, Any] = {
        "variants": {name: _VARIANTS[name] for name in names},
        "seeds": random_of.choice((None, 1, 3)) if "seed" not in names else None,
        "defaults": {"seed": 7} if random_of.random() < 0.3 else {},
    }
    cells = {**OBJECTS, "seeds": _SEEDS} if random_of.random() < 0.7 else OBJECTS
    same(PromptSource(table_of(random_of.choice, cells, random_of.randrange(8, 20)), **options))


_SEEDS: Sequence[Any] = (None, 1, 2, "3", 3.0, 0, -1, "many", True, 1001, [2], float("nan"))
_VARIANTS: dict[str, Sequence[Any]] = {
    "model": ("wan2.5", "wan2.6"),
    "resolution": ("480p", "720p"),
    "duration": (5, "10"),
    "seed": (1, 2),
    "negative_prompt": ("blurry", "a, b / c"),
    "prompt_extend": (True, False),
    "inputs.audio": ("https://example.com/a.mp3", "missing.mp3"),
}
_DEFAULTS: dict[str, Sequence[Any]] = {
    "model": ("wan2.5", "wan2.6"),
    "resolution": ("720p", "1080p"),
    "duration": (5, "10"),
    "seed": (7, "7"),
    "negative_prompt": ("blurry", " blurry "),
    "positive_prompt": ("A kite",),
    "webhook_url": ("https://example.com/hook",),
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_large_file_with_every_kind_of_problem_is_read_alike(tmp_path: Path, seed: int) -> None:
    choice = random.Random(seed).choice
    cells = {name: values for name, values in CELLS.items() if name != "resoluton"}
    table = table_of(choice, cells, _LARGE // 4)
    table = [{name: text.replace("\ud800", "") for name, text in row.items()} for row in table]

    path = write(tmp_path / "prompts.csv", table)

    found = same(path)

    assert found.valid > _LARGE // 40
    assert found.problem_count > _LARGE // 40


_SETTINGS = (
    "resolution",
    "width",
    "height",
    "duration",
    "model",
    "settings.shot_type",
    "number_results",
    "output_format",
)
_OTHERS = ("prompt_id", "positive_prompt", "negative_prompt", "seed", "priority", "campaign", "webhook_url")


@pytest.mark.slow
@given(st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_rows_that_share_wrong_settings_are_read_alike(random_of: random.Random) -> None:
    chosen = [*random_of.sample(_SETTINGS, 2), *random_of.sample(_OTHERS, 2)]
    cells = {name: random_of.sample(CELLS[name], 2) for name in chosen}
    repeats = random_of.choice((0.0, 0.0, 0.05))

    def row_of(number: int) -> dict[str, str]:
        varied = {name: values[random_of.random() < 0.2] for name, values in cells.items()}
        at = random_of.randrange(number + 1) if random_of.random() < repeats else number
        return {"prompt_id": f"row-{at}", "positive_prompt": f"Kite {at}", "resolution": "720p", **varied}

    rows = list(map(row_of, range(random_of.randrange(10, 60))))
    if random_of.random() < 0.3:
        rows = [{**row, "prompt_id": ""} for row in rows]
    variants = {"variants": {"number_results": (1, 2)}} if random_of.random() < 0.1 else {}
    defaults = {name: random_of.choice(values) for name, values in _DEFAULTS.items() if random_of.random() < 0.1}

    same(PromptSource(rows, defaults=defaults, **variants))


@pytest.mark.slow
@pytest.mark.parametrize("has_id", [True, False])
def test_problems_of_rows_that_share_settings_are_found_once(tmp_path: Path, has_id: bool) -> None:
    wrong = {7: {"resolution": "999p"}, 13: {"duration": "five"}, 17: {"resolution": "999p", "duration": "five"}}
    rows = [
        {"prompt_id": f"row-{n}", "prompt": f"Kite {n}", "resolution": "480p", "duration": "5"} for n in range(2000)
    ]
    rows = [{**row, **wrong.get(n % 20, {})} for n, row in enumerate(rows)]
    rows = rows if has_id else [{**row, "prompt_id": ""} for row in rows]
    few, path = write(tmp_path / "few.csv", rows[:20]), write(tmp_path / "prompts.csv", rows)

    with counted_calls(violations_of) as of_few:
        list(scan(few))
    with counted_calls(violations_of) as of_all:
        chunks = list(scan(path))

    problems = [problem for chunk in chunks for problem in chunk.problems]
    assert [problem.row for problem in problems[:4]] == [8, 14, 18, 18]
    assert len(problems) == 400
    assert of_all == of_few
    assert sum(len(parts_of(chunk.rows)) for chunk in chunks) <= 3, "the valid rows are not divided"
    same(path)


def test_equal_values_of_other_types_are_checked_separately() -> None:
    rows = [
        {"prompt": f"Kite {n}", "resolution": "480p", "duration": (5, 5.0, "5", True, 10)[n % 5]} for n in range(20)
    ]

    same(rows)
    assert len(PromptTable.load(rows).problems) == 4


def test_ids_of_other_rows_are_found_across_batches(tmp_path: Path) -> None:
    lines = [{"prompt_id": f"row-{n % 15}", "prompt": f"Kite {n}", "resolution": "480p"} for n in range(30)]
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    same(path)
    assert [problem.row for problem in PromptTable.load(path).problems] == list(range(16, 31))


def test_ids_of_variants_meet_those_of_other_rows_across_batches() -> None:
    usual = {"prompt": "A kite", "resolution": "480p"}
    plain = [{**usual, "prompt_id": f"k{n}~seed={n % 3 + 1}", "seeds": None} for n in range(10)]
    expanded = [{**usual, "prompt_id": f"k{n}", "seeds": 3} for n in range(5, 20)]

    for rows in ([*plain, *expanded], [*expanded, *plain]):
        same(rows)
        assert [problem.row for problem in PromptTable.load(rows).problems] == (
            list(range(11, 16)) if rows[0] is plain[0] else list(range(21, 26))
        )


def test_rows_between_malformed_ones_are_read_in_batches(tmp_path: Path) -> None:
    path = tmp_path / "prompts.csv"
    lines = [f"{n},A red kite {n},480p{',,' if n % 7 == 0 else ''}" for n in range(90)]
    lines[30], lines[60] = "30,A red kite", '60,"A "red" kite",480p'
    path.write_text("\n\n".join(["prompt_id,prompt,resolution", *lines]))

    same(path)
    found = PromptTable.load(path)
    assert (len(found.rows), [problem.line for problem in found.problems]) == (88, [63, 123])
    assert [count_of([piece]) for piece in sheets_of(path)[0].records] == [30, 1, 29, 1, 29]


def test_valid_prompts_between_empty_ones_keep_their_texts() -> None:
    rows = [{"prompt": f"Kite {n}" if n % 5 else (None, "", "  ")[n % 3], "resolution": "480p"} for n in range(40)]

    same(rows)
    same(PromptSource(rows, defaults={"positive_prompt": "A red kite"}))
    assert [problem.row for problem in PromptTable.load(rows).problems] == list(range(1, 41, 5))


@given(st.lists(st.one_of(st.sampled_from((*PROMPTS, None, 5)), st.text(max_size=4)), min_size=1, max_size=250))
def test_texts_that_are_normalized_together_have_the_normal_forms_of_each(texts: list[Any]) -> None:
    assert normal_prompts(texts) == [normal for text in texts for normal in normal_prompts([text])]
    for text, normal in zip(texts, normal_prompts(texts, 2000), strict=True):
        assert normal is None or VideoRequest(positive_prompt=text, resolution="480p").positive_prompt == normal


def test_missing_numbers_of_a_frame_are_one_setting() -> None:
    durations = [float("nan") if n % 2 else 10.0 for n in range(60)]
    frame = pd.DataFrame({"prompt": [f"Kite {n}" for n in range(60)], "resolution": "480p", "duration": durations})

    same(frame)
    (batch,) = (part for chunk in scan(frame) for part in parts_of(chunk.rows) if isinstance(part, RowBatch))
    assert (len(batch), len(set(batch.templates))) == (60, 2)
