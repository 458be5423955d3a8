"""Rows with variants: their ids, their values, their problems, and that a table without variants stays as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wan_assets.errors import PromptTableError
from wan_assets.prompts import (
    PromptRow,
    PromptSource,
    PromptTable,
    RowSelection,
    Summary,
    findings_of,
    prompt_source_from,
    scan,
    signature_of,
    snapshot_writer,
)

KITE = {"prompt_id": "kite", "prompt": "A red kite", "resolution": "480p"}
BOTH = {"resolution": ["480p", "720p"], "prompt_extend": [True, False]}


def read(*rows: dict[str, Any], **options: Any) -> PromptTable:
    return PromptTable.load(PromptSource([*rows], **options))


def ids(table: PromptTable) -> list[str]:
    assert table.problems == ()
    return [row.prompt_id for row in table.rows]


def seeds(table: PromptTable) -> list[int | None]:
    return [row.request.seed for row in table.rows]


def identity(row: PromptRow) -> tuple[str, str]:
    return row.prompt_id, row.fingerprint


def problems(table: PromptTable) -> list[tuple[int | None, str | None, str, str, str]]:
    return [(each.row, each.prompt_id, each.variant, each.column, each.rule) for each in table.problems]


def test_each_seed_is_a_row_with_its_own_id_and_the_columns_that_group_it() -> None:
    table = read(KITE, seeds=3)

    assert ids(table) == ["kite~seed=1", "kite~seed=2", "kite~seed=3"]
    assert seeds(table) == [1, 2, 3]
    assert [row.number for row in table.rows] == [1, 1, 1]
    assert dict(table.rows[1].extra) == {"experiment": "kite", "variant": "seed=2"}
    assert len({row.fingerprint for row in table.rows}) == 3
    assert list(map(identity, read(KITE, seeds=3).rows)) == list(map(identity, table.rows))


def test_a_row_without_variants_has_the_id_and_the_request_it_had() -> None:
    plain = {"prompt": "A dog", "resolution": "480p"}
    rows = [KITE, plain, {**plain, "prompt": "A cat", "seed": 7}]

    before = read(*rows)
    after = read(*({**row, "seeds": ""} for row in rows), {**KITE, "prompt_id": "k", "seeds": 2})

    assert list(map(identity, after.rows[:3])) == list(map(identity, before.rows))
    assert [dict(row.extra) for row in after.rows[:3]] == [{}, {}, {}]
    assert [row.prompt_id for row in after.rows[3:]] == ["k~seed=1", "k~seed=2"]


def test_a_column_decides_for_its_row_and_the_option_for_the_others() -> None:
    rows = [{**KITE, "prompt_id": f"k{at}", "seeds": given} for at, given in enumerate(("", "1", 2, 2.0, None, " 3 "))]

    table = read(*rows, seeds=4)

    counts = [sum(row.number == number for row in table.rows) for number in range(1, 7)]
    assert (counts, table.problems) == ([4, 1, 2, 2, 4, 3], ())


@pytest.mark.parametrize(
    ("given", "options", "expected"),
    [
        ({"seed": 7}, {"seeds": 2}, [7, 8]),
        ({"seed": "07"}, {"seeds": 2}, [7, 8]),
        ({}, {"seeds": 2, "defaults": {"seed": 40}}, [40, 41]),
        ({"meta": {"seed": 5}}, {"seeds": 2, "columns": {"seed": "meta.seed"}}, [5, 6]),
        ({"n": 2}, {"columns": {"seeds": "n"}}, [1, 2]),
        ({"seed": 9}, {"variants": {"duration": [5, 10]}}, [9, 9]),
        ({"seed": 9, "seeds": ""}, {"variants": {"duration": [5, 10]}}, [9, 9]),
        ({"seed": 9}, {"variants": {"seed": [3, "4"]}}, [3, 4]),
    ],
)
def test_seeds_begin_with_the_rows_own(given: dict[str, Any], options: dict[str, Any], expected: list[int]) -> None:
    assert seeds(read({**KITE, **given}, **options)) == expected


def test_variants_are_all_combinations_and_replace_the_values_of_the_row() -> None:
    table = read({**KITE, "resolution": None, "width": 854, "height": 480}, seeds=2, variants=BOTH)

    assert ids(table)[:3] == [
        "kite~resolution=480p~prompt_extend=true~seed=1",
        "kite~resolution=480p~prompt_extend=true~seed=2",
        "kite~resolution=480p~prompt_extend=false~seed=1",
    ]
    assert [row.request.resolution for row in table.rows] == ["480p"] * 4 + ["720p"] * 4
    extended = [row.request.provider_settings.alibaba.prompt_extend for row in table.rows]
    assert extended == [True, True, False, False] * 2
    assert {row.extra["experiment"] for row in table.rows} == {"kite"}


def test_variants_replace_parts_of_objects_and_columns_of_parts() -> None:
    nested = {"provider_settings": {"alibaba": {"prompt_extend": True, "audio": False}}}
    image = {"inputs.frame_images.image": "https://example.com/old.png"}
    images = ["https://example.com/a.png", "https://example.com/b.png"]

    extended = read({**KITE, **nested}, variants={"prompt_extend": [True, False]})
    shown = read({**KITE, **image}, variants={"inputs.frame_images": images})

    settings = [row.request.provider_settings.alibaba for row in extended.rows]
    assert [(each.prompt_extend, each.audio) for each in settings] == [(True, False), (False, False)]
    assert [row.request.image for row in shown.rows] == images


def test_values_that_are_no_short_words_are_shortened_in_ids_and_stay_apart() -> None:
    texts = ["blurry, low quality / noise | [grain]", "blurry, low quality / noise | [dust]", "a..b"]

    table = read(KITE, variants={"negative_prompt": texts})

    assert [row.request.negative_prompt for row in table.rows] == texts
    assert len(set(ids(table))) == 3
    assert all(row.prompt_id.startswith("kite~negative_prompt=") for row in table.rows)


def test_the_same_value_has_the_same_id_in_every_spelling() -> None:
    in_python, on_the_command_line = BOTH, {"resolution": ("480p", "720p"), "prompt_extend": ("true", "false")}
    as_json = prompt_source_from([KITE], json.dumps({"seeds": 2, "variants": BOTH}))

    first, second = (
        list(map(identity, read(KITE, seeds=2, variants=v).rows)) for v in (in_python, on_the_command_line)
    )

    assert first == second == list(map(identity, PromptTable.load(as_json).rows))


def test_derived_ids_do_not_depend_on_the_values_that_vary_and_repetitions_are_numbered() -> None:
    dog = {"prompt": "A dog", "resolution": "480p"}

    few = read(dog, variants={"resolution": ["480p", "720p"]})
    more = read({**dog, "resolution": "720p"}, dog, variants={"resolution": ["1080p", "480p", "720p"]}, seeds=2)

    base = few.rows[0].extra["experiment"]
    assert ids(few) == [f"{base}~resolution=480p", f"{base}~resolution=720p"]
    assert list(dict.fromkeys(row.extra["experiment"] for row in more.rows)) == [base, f"{base}-2"]
    assert len(set(ids(more))) == 12


def test_ids_that_meet_those_of_other_rows_are_problems() -> None:
    written = {**KITE, "prompt_id": "kite~seed=2", "seeds": ""}
    same = {**KITE, "prompt": "A blue kite"}

    before = read(written, {**KITE, "seeds": 2})
    after = read({**KITE, "seeds": 2}, written)
    twice = read({**KITE, "seeds": 2}, {**same, "seeds": 3})
    plain = read({**KITE, "seeds": ""}, {**same, "seeds": 3})
    reserved = read(written, seeds=2)

    assert problems(before) == [(2, "kite~seed=2", "seed=2", "prompt_id", "is already the id of row 1")]
    assert problems(after) == [(2, "kite~seed=2", "", "prompt_id", "is already the id of row 1")]
    for table in (twice, plain):
        assert problems(table) == [(2, None, "", "prompt_id", "is already the id of row 1")]
    assert problems(reserved) == [(1, None, "", "prompt_id", "must not contain ~ in a row with variants")]


def test_a_problem_of_one_variant_names_row_and_variant_and_a_problem_of_all_is_one() -> None:
    image = {"inputs.audio": "https://example.com/a.mp3"}
    table = read(
        {**KITE, "seed": 2147483646},
        {**KITE, "prompt_id": "empty", "prompt": "\u200b"},
        {**KITE, "prompt_id": "sound", **image},
        variants={"provider_settings.alibaba.audio": [True, False]},
        seeds=3,
    )

    variants = [f"provider_settings.alibaba.audio={audio}~seed=2147483648" for audio in ("true", "false")]
    assert [each[:3] for each in problems(table) if each[0] == 1] == [(1, f"kite~{each}", each) for each in variants]
    assert [each[:3] for each in problems(table) if each[0] == 2] == [(2, "empty", "")]
    assert [each[:3] for each in problems(table) if each[0] == 3] == [(3, "sound", "")]
    assert str(table.problems[0]).startswith(f"row 1, variant {variants[0]}, column seed: 2147483648")
    assert (table.row_count, len(table.rows)) == (18, 4)
    assert next(iter(findings_of(table.problems))).places == ", ".join(f"1 {each}" for each in variants)


@pytest.mark.parametrize(
    ("row", "options", "column", "rule"),
    [
        ({"seeds": "x"}, {}, "seeds", "must be a whole number from 1 to 1,000"),
        ({"seeds": 0}, {}, "seeds", "must be a whole number from 1 to 1,000"),
        ({"seeds": True}, {}, "seeds", "must be a whole number from 1 to 1,000"),
        ({"seeds": 1001}, {}, "seeds", "must be a whole number from 1 to 1,000"),
        ({"seeds": 600}, {"variants": BOTH}, "seeds", "gives the row 2,400 variants, more than 1,000"),
        ({"seeds": 2}, {"variants": {"seed": [1, 2]}}, "seeds", "cannot be used with variants of seed"),
        ({"seed": "x"}, {"seeds": 2}, "seed", "must be a whole number, the first of the row's seeds"),
        ({"prompt_id": "a/b"}, {"seeds": 2}, "prompt_id", "must not contain / \\ , | [ ] or two consecutive dots"),
        ({"prompt_id": ["a"]}, {"seeds": 2}, "prompt_id", "must be text or a whole number"),
        ({"prompt_id": "x" * 122}, {"seeds": 1}, "prompt_id", "must have at most 128 characters"),
        ({"experiment": "mine"}, {"seeds": 2}, "experiment", "is set for rows with variants"),
    ],
)
def test_a_row_that_cannot_be_expanded_is_one_problem(
    row: dict[str, Any], options: dict[str, Any], column: str, rule: str
) -> None:
    table = read({**KITE, **row}, **options)

    assert [(each.row, each.column, each.rule) for each in table.problems] == [(1, column, rule)]


def test_other_problems_of_a_row_that_cannot_be_expanded_are_found_too() -> None:
    table = read({"prompt": "", "seeds": "many"}, variants={"resolution": ["480p"]})

    assert sorted(each.column for each in table.problems) == ["positive_prompt", "seeds"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": 0}, "seeds=0 is not a whole number from 1 to 1,000"),
        ({"seeds": True}, "seeds=True is not"),
        ({"seeds": "4"}, "seeds=4 is not"),
        ({"variants": ["480p"]}, "variants is a list, not a mapping"),
        ({"variants": {"resolution": "480p"}}, "resolution needs a list of values"),
        ({"variants": {"resolution": {"480p", "720p"}}}, "resolution needs a list of values"),
        ({"variants": {"resolution": []}}, "resolution needs a list of values"),
        ({"variants": {"resolution": ["480p", "481p"]}}, "resolution=481p: "),
        ({"variants": {"duration": [5, "5"]}}, "duration has the value 5 twice"),
        ({"variants": {"duration": [5], "Duration": [10]}}, "duration is given twice"),
        ({"variants": {"resoluton": ["480p"]}}, "did you mean resolution?"),
        ({"variants": {"prompt": ["A kite"]}}, "positive_prompt cannot vary"),
        ({"variants": {"x_style": ["a"]}}, "x_style cannot vary"),
        ({"variants": {"prompt_id": ["a"]}}, "prompt_id cannot vary"),
        ({"variants": {"seeds": [1, 2]}}, "write seeds=4 instead"),
        ({"variants": {"seed": [1, 2]}, "seeds": 2}, "exclude each other"),
        ({"variants": {"negative_prompt": [None]}}, "nothing is not a text"),
        ({"variants": {"seed": range(1001)}}, "1,001 variants; at most 1,000"),
        ({"variants": BOTH, "seeds": 251}, "1,004 variants; at most 1,000"),
        ({"defaults": {"seeds": 4}}, "write seeds=4 instead"),
    ],
)
def test_options_that_no_row_can_have_are_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(PromptTableError) as refused:
        PromptSource([KITE], **options)

    assert message in str(refused.value)


def test_a_table_that_was_read_before_takes_no_variants() -> None:
    with pytest.raises(PromptTableError, match="seeds and variants have no effect on a PromptTable"):
        PromptTable.load(PromptSource(read(KITE), seeds=2))


def test_chunks_stay_bounded_and_count_the_rows_of_the_source(tmp_path: Path) -> None:
    path = tmp_path / "prompts.csv"
    lines = "".join(f"row-{n},A kite {n},480p\n" for n in range(30))
    path.write_text(f"prompt_id,prompt,resolution\n{lines}")
    source = PromptSource(path, seeds=1000)

    chunks = list(scan(source))

    assert max(chunk.row_count for chunk in chunks) < 20_000
    summary = Summary.of(chunks)
    assert (summary.rows, summary.source_rows, summary.valid) == (30_000, 30, 30_000)
    assert len(summary.fingerprints) == 30_000


def test_rows_and_lines_of_several_files_are_those_of_the_source(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text(f"prompt_id,prompt,resolution\n{name},A kite,480p\nkite,A kite,480p\n")

    table = PromptTable.load(PromptSource(tmp_path, seeds=2))

    assert [(row.prompt_id, row.number, row.line, row.file) for row in table.rows[:3]] == [
        ("a~seed=1", 1, 2, "a.csv"),
        ("a~seed=2", 1, 2, "a.csv"),
        ("kite~seed=1", 2, 3, "a.csv"),
    ]
    assert [(each.row, each.file, each.rule) for each in table.problems] == [
        (2, "b.csv", "is already the id of row 2 of a.csv")
    ]


def test_snapshots_selections_and_signatures_are_of_the_expanded_rows(tmp_path: Path) -> None:
    source = PromptSource([KITE, {**KITE, "prompt_id": "dog", "prompt": "A dog"}], seeds=3, variants=BOTH)
    table = PromptTable.load(source)
    path = tmp_path / "snapshot.parquet"
    with snapshot_writer(path) as writer:
        for chunk in scan(source):
            writer.add(chunk)

    stored = PromptTable.load(path)
    some = RowSelection.of(select=["experiment=kite", "resolution=720p"], limit=4).of_table(table.rows)

    assert list(map(identity, stored.rows)) == list(map(identity, table.rows))
    assert [dict(row.extra) for row in stored.rows] == [dict(row.extra) for row in table.rows]
    assert [row.prompt_id.partition("~")[0] for row in some] == ["kite"] * 4
    assert {row.request.resolution for row in some} == {"720p"}
    kinds = [{}, {"seeds": 2}, {"seeds": 3}, {"variants": BOTH}]
    assert len({signature_of(PromptSource([KITE], **options)) for options in kinds}) == 4
