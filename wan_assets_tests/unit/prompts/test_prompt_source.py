"""Tables as they are: columns with other names, default values, columns that stay with their rows, nested values."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import SHARED

from wan_assets import PromptSource, PromptTable, VideoRequest
from wan_assets.errors import PromptTableError
from wan_assets.prompts import Summary, findings_of, scan, signature_of
from wan_assets.prompts.columns import column_of_any_model, parameter_meant_by

HD = {"resolution": "720p"}

CSV_WITH_TAGS = 'prompt,concept,motion_level\n"A cat, with a ""hat""",human - activity,low\nA dog,animals,high\n'
LIST = [
    {"prompt_en": "A stop sign in a still frame", "dimension": ["temporal_flickering"]},
    {
        "prompt_en": "Two cups on a table",
        "dimension": ["multiple_objects"],
        "auxiliary_info": {"multiple_objects": {"object": "cup and table"}},
    },
]
KEYED_BY_PROMPT = {
    "A wooden toy floats on water.": {"caption": "A wooden toy floats on water.", "dimension": ["Mechanics"]},
    "A river turns brown.": {"caption": "A river turns brown.", "dimension": ["Dynamic_Attribute"]},
}


def file_of(folder: Path, content: Any, name: str = "table.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def frame_of(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({name: [value] for name, value in columns.items()})


def prompts_in(table: PromptTable) -> list[str]:
    assert table.problems == ()
    return [row.request.positive_prompt for row in table.rows]


def refusal_of(source: Any, **options: Any) -> str:
    with pytest.raises(PromptTableError) as caught:
        PromptTable.load(PromptSource(source, **options))
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "prompts", "extra"),
    [
        (
            "tags.csv",
            CSV_WITH_TAGS,
            ['A cat, with a "hat"', "A dog"],
            {"concept": "human - activity", "motion_level": "low"},
        ),
        (
            "list.json",
            LIST,
            ["A stop sign in a still frame", "Two cups on a table"],
            {"dimension": '["temporal_flickering"]'},
        ),
        ("objects.json", KEYED_BY_PROMPT, list(KEYED_BY_PROMPT), {"dimension": '["Mechanics"]'}),
        ("lines.txt", "A cat runs\nA dog sleeps\n", ["A cat runs", "A dog sleeps"], {}),
    ],
)
def test_public_prompt_sets_load_as_downloaded_with_one_default(
    tmp_path: Path, name: str, content: Any, prompts: list[str], extra: dict[str, str]
) -> None:
    table = PromptTable.load(PromptSource(file_of(tmp_path, content, name), defaults=HD))

    assert prompts_in(table) == prompts
    assert table.rows[0].extra == extra


@pytest.mark.skipif(not (SHARED / "cases").is_dir(), reason="the examples are beside the repository only")
@pytest.mark.parametrize(
    "name",
    [
        *("benchmark_csv_with_tags.csv", "benchmark_list.json", "benchmark_objects.json", "decimal_columns.parquet"),
        *("uuid_column.parquet", "pandas_index_column.parquet"),
    ],
)
def test_the_examples_of_public_files_and_warehouse_tables_load(name: str) -> None:
    assert prompts_in(PromptTable.load(PromptSource(SHARED / "cases" / name, defaults=HD)))


def test_a_nested_value_is_kept_as_json_and_a_second_row_may_have_other_fields(tmp_path: Path) -> None:
    table = PromptTable.load(PromptSource(file_of(tmp_path, LIST), defaults=HD))

    kept = json.loads(table.rows[1].extra["auxiliary_info"])
    assert kept == {"multiple_objects": {"object": "cup and table"}}


def test_columns_name_the_source_of_each_parameter_and_paths_reach_into_nested_values() -> None:
    frame = frame_of(en="A kite", info={"seed": 7, "takes": [1, 2]}, tag="x")

    columns = {"prompt": "en", "seed": "info.seed", "number_results": "info.takes.1", "campaign": "tag"}
    (row,) = PromptTable.load(PromptSource(frame, columns, HD)).rows

    assert (row.request.positive_prompt, row.request.seed, row.request.number_results) == ("A kite", 7, 2)
    assert row.extra == {"campaign": "x", "info": '{"seed": 7, "takes": [1, 2]}'}


def test_a_path_reaches_into_json_text_and_a_column_with_dots_is_itself(tmp_path: Path) -> None:
    text = 'en,info,a.b\nA kite,"{""seed"": 7}",10\n'

    source = PromptSource(
        file_of(tmp_path, text, "t.csv"), {"positive_prompt": "en", "seed": "info.seed", "duration": "a.b"}, HD
    )
    (row,) = PromptTable.load(source).rows

    assert (row.request.seed, row.request.duration) == (7, 10)


def test_the_same_table_has_the_same_ids_and_fingerprints_with_and_without_a_prompt_source() -> None:
    plain = PromptTable.load(frame_of(positive_prompt="A kite", resolution="720p", x_a="k"))
    other = PromptTable.load(PromptSource(frame_of(words="A kite", a="k"), {"prompt": "words", "x_a": "a"}, HD))

    assert [(row.prompt_id, row.request, row.extra) for row in plain.rows] == [
        (row.prompt_id, row.request, row.extra) for row in other.rows
    ]


def test_a_default_fills_only_cells_that_are_empty_and_no_size_that_a_row_has() -> None:
    frame = pd.DataFrame(
        {"prompt": ["a", "b", "c"], "resolution": ["480p", None, None], "width": [None, None, 640]}
    ).assign(height=[None, None, 640])

    table = PromptTable.load(PromptSource(frame, defaults={"resolution": "720p", "duration": 10}))

    assert [(each.resolution, each.width, each.duration) for each in table.requests] == [
        ("480p", None, 10),
        ("720p", None, 10),
        (None, 640, 10),
    ]


@pytest.mark.parametrize("name", ["prompt_en", "text", "Caption", "description", "prompts"])
def test_a_common_name_of_the_prompt_is_recognized_and_reported(name: str) -> None:
    summary = Summary.of(scan(PromptSource(pd.DataFrame({name: ["A kite"], "id": [7]}), defaults=HD)))

    assert summary.problem_count == 0
    assert summary.columns.sources == {"positive_prompt": (name,), "prompt_id": ("id",)}
    assert summary.columns.recognized == {"positive_prompt", "prompt_id"}


def test_a_parameters_own_name_comes_before_a_common_name() -> None:
    (row,) = PromptTable.load(PromptSource(frame_of(text="title", prompt="A kite", id=5, prompt_id="k"), {}, HD)).rows

    assert (row.prompt_id, row.request.positive_prompt) == ("k", "A kite")
    assert row.extra == {"text": "title", "id": "5"}


def test_two_common_names_are_one_clear_problem(tmp_path: Path) -> None:
    found = findings_of(PromptTable.load(PromptSource(frame_of(text="a", caption="b"), {}, HD)).problems)
    of_rows = findings_of(
        PromptTable.load(PromptSource(file_of(tmp_path, [{"text": "a", "caption": "b"}] * 9))).problems
    )

    assert [(each.first.column, each.count) for each in found] == [("positive_prompt", 1)]
    assert "text, caption" in str(found)
    assert "choose one of them" in str(found)
    assert [(each.first.column, each.count) for each in of_rows] == [("positive_prompt", 9), ("resolution", 9)]


def test_a_row_does_not_pay_for_a_column_that_was_no_prompt_in_the_rows_before(tmp_path: Path) -> None:
    table = PromptTable.load(PromptSource(file_of(tmp_path, [{"prompt": "A kite"}, {"text": "notes"}]), defaults=HD))

    assert [row.request.positive_prompt for row in table.rows] == ["A kite"]
    assert [(problem.row, problem.column) for problem in table.problems] == [(2, "positive_prompt")]


@pytest.mark.parametrize(
    "name", ["motion_level", "speed", "weight", "quality", "dimension", "prompt_zh", "frames", "label", "Motion Level"]
)
def test_a_column_that_is_no_parameter_is_kept(name: str) -> None:
    (row,) = PromptTable.load(PromptSource(pd.DataFrame({"prompt": ["a"], name: ["v"]}), defaults=HD)).rows

    assert row.extra == {name: "v"}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("resoluton", "resolution"),
        ("sead", "seed"),
        ("durations", "duration"),
        ("negativ_prompt", "negative_prompt"),
        ("image_path", "inputs.frame_images"),
        ("saftey", "safety"),
        ("safety.mod", "safety.mode"),
        ("priorty", "priority"),
        ("last_frame", "remove it"),
    ],
)
def test_a_likely_misspelling_of_a_parameter_is_an_error_that_says_how_to_keep_the_column(
    name: str, meant: str
) -> None:
    frame = pd.DataFrame({"prompt": ["a"], name: ["v"]})

    (problem,) = PromptTable.load(PromptSource(frame, defaults=HD)).problems
    (row,) = PromptTable.load(PromptSource(frame, {f"x_{name}": name}, HD)).rows

    assert (problem.row, problem.column) == (None, name)
    assert meant in problem.fix
    assert row.extra == {f"x_{name}": "v"}


def test_a_name_is_no_misspelling_of_a_parameter_that_the_table_has() -> None:
    (row,) = PromptTable.load(frame_of(prompt="a", prompt2="b", resolution="480p", height=None, seed2=1, seed=2)).rows

    assert row.extra == {"prompt2": "b", "seed2": "1"}


def test_refused_extra_columns_are_problems_as_before() -> None:
    (problem,) = PromptTable.load(PromptSource(frame_of(prompt="a", zz=1, x_a=1, tags="t"), {}, HD, "refuse")).problems

    assert (problem.column, problem.rule) == ("zz", "is not a column of a prompt table")


def test_kept_values_are_text_even_if_they_are_not_numbers_or_have_control_characters() -> None:
    frame = frame_of(
        prompt="a",
        when=pd.Timestamp("2026-01-01"),
        empty=float("nan"),
        odd="\x1b[31m",
        nested={"x": float("nan"), "d": Decimal("1.5"), "u": uuid.UUID(int=1)},
    )

    (row,) = PromptTable.load(PromptSource(frame, defaults=HD)).rows

    assert row.extra["when"] == "2026-01-01"
    assert row.extra["odd"] == "\\x1b[31m"
    assert json.loads(row.extra["nested"]) == {"x": None, "d": "1.5", "u": str(uuid.UUID(int=1))}
    assert "empty" not in row.extra


def test_the_unnamed_index_of_a_csv_is_kept_and_no_error(tmp_path: Path) -> None:
    (first, _) = PromptTable.load(file_of(tmp_path, ",prompt,resolution\n0,a,480p\n1,b,480p\n", "t.csv")).rows

    assert first.extra == {"column_1": "0"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"columns": {"sed": "a"}}, "columns: sed is not a column of a prompt table; did you mean seed?"),
        ({"columns": {"positive_prompt": "a", "prompt": "b"}}, "positive_prompt has two sources, a and b"),
        ({"columns": {"prompt_id": "seed"}}, "prompt_id=seed hides the parameter seed"),
        ({"columns": {"seed": " "}}, "seed needs the name of a column"),
        ({"defaults": {"resoluton": "720p"}}, "defaults: resoluton is not a column"),
        ({"defaults": {"resolution": "721p"}}, "defaults: resolution=721p: use '480p', '720p' or '1080p'"),
        ({"defaults": {"duration": 31}}, "defaults: duration=31: use 5 or 10"),
        ({"defaults": {"prompt_id": "a"}}, "prompt_id has no default value"),
        ({"defaults": {"seed": ""}}, "seed has no value"),
        ({"defaults": {"seed": 1, "Seed": 2}}, "seed has two values"),
        ({"columns": ["a"]}, "columns is a list, not a mapping"),
        ({"defaults": ["a"]}, "defaults is a list, not a mapping"),
        ({"extra": "drop"}, "neither 'keep' nor 'refuse'"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_before_the_table_is_read(options: dict[str, Any], said: str) -> None:
    with pytest.raises(PromptTableError) as caught:
        PromptSource("missing.csv", **options)

    assert said in str(caught.value)


def test_a_source_column_that_does_not_exist_is_one_error_with_the_columns_that_do(tmp_path: Path) -> None:
    table = file_of(tmp_path, CSV_WITH_TAGS, "t.csv")

    said = refusal_of(table, columns={"seed": "motion_levle"}, defaults=HD)
    nested = refusal_of(file_of(tmp_path, LIST), columns={"positive_prompt": "auxiliary_info.prompt"})

    columns = "Its columns are prompt, concept, motion_level"
    assert said == f"{table} has no column motion_levle for seed; did you mean motion_level? {columns}"
    assert "has no column auxiliary_info.prompt for positive_prompt" in nested


def test_a_mapping_that_hides_a_parameters_column_is_an_error_and_mapping_it_too_is_none() -> None:
    frame = frame_of(prompt="short", long="A long text")

    said = refusal_of(frame, columns={"positive_prompt": "long"})
    (row,) = PromptTable.load(PromptSource(frame, {"positive_prompt": "long", "x_short": "prompt"}, HD)).rows

    assert "column prompt is hidden, because positive_prompt is mapped to the column long" in said
    assert (row.request.positive_prompt, row.extra) == ("A long text", {"x_short": "short"})


def test_a_hidden_column_in_a_later_row_is_a_problem_of_that_row(tmp_path: Path) -> None:
    path = file_of(tmp_path, [{"long": "A long text"}, {"long": "Another", "prompt": "short"}])

    chunks = [*scan(PromptSource(path, {"positive_prompt": "long"}, HD), chunk_rows=1)]

    assert [len(chunk.rows) for chunk in chunks] == [1, 0]
    assert [(each.row, each.column) for each in chunks[1].problems] == [(2, "prompt")]
    assert "is hidden" in chunks[1].problems[0].rule


def test_options_for_a_table_that_was_read_before_are_refused() -> None:
    table = PromptTable.load(frame_of(prompt="a", resolution="480p"))

    assert "have no effect on a PromptTable" in refusal_of(table, defaults=HD)
    assert PromptTable.load(PromptSource(table)).rows == table.rows


def test_a_function_may_return_the_source_or_a_source_with_options() -> None:
    frame = frame_of(words="a")

    inner = PromptTable.load(PromptSource(lambda: frame, {"prompt": "words"}, HD))
    outer = PromptTable.load(lambda: PromptSource(frame, {"prompt": "words"}, HD))

    assert prompts_in(inner) == prompts_in(outer) == ["a"]


def test_a_signature_changes_with_the_options_and_a_plain_source_keeps_its_own(tmp_path: Path) -> None:
    path = file_of(tmp_path, CSV_WITH_TAGS, "t.csv")

    options: list[dict[str, Any]] = [
        {},
        {"defaults": HD},
        {"defaults": {"resolution": "480p"}},
        {"columns": {"x_a": "concept"}},
        {"extra": "refuse"},
    ]
    found = [signature_of(PromptSource(path, **each)) for each in options]

    assert found[0] == signature_of(path)
    assert len({*found}) == len(options)
    assert found == [signature_of(PromptSource(path, **each)) for each in options]


@pytest.mark.parametrize(
    ("content", "ids", "prompts"),
    [
        ({"a1": {"prompt": "x y"}, "a2": {"prompt": "x z"}}, ["a1", "a2"], ["x y", "x z"]),
        ({"A cat runs": {"topic": 1}, "A dog": {"topic": 2}}, None, ["A cat runs", "A dog"]),
        ({"k": {"prompt": "x y", "prompt_id": "mine"}}, ["mine"], ["x y"]),
        ({"k1": {"positive_prompt": "Sunset"}, "k2": {"positive_prompt": "Rain"}}, ["k1", "k2"], ["Sunset", "Rain"]),
        ({"küche": {"prompt": "x"}, "straße": {"prompt": "y"}}, ["küche", "straße"], ["x", "y"]),
        ({"кухня": {"prompt": "x"}, "κήπος": {"prompt": "y"}}, ["кухня", "κήπος"], ["x", "y"]),
        (
            {"مطبخ": {"prompt": "x"}, "מטבח": {"prompt": "y"}, "부엌": {"prompt": "z"}},
            ["مطبخ", "מטבח", "부엌"],
            list("xyz"),
        ),
        ({"厨房": {"a": 1}, "キッチン": {"a": 1}, "ห้องครัว": {"a": 1}}, None, ["厨房", "キッチン", "ห้องครัว"]),
        ({"부엌 안의 고양이": {"a": 1}, "Eine Küche": {"a": 1}}, None, ["부엌 안의 고양이", "Eine Küche"]),
    ],
)
def test_the_keys_of_a_json_object_are_its_ids_or_its_prompts(
    tmp_path: Path, content: Any, ids: list[str] | None, prompts: list[str]
) -> None:
    table = PromptTable.load(PromptSource(file_of(tmp_path, content), defaults=HD))

    assert prompts_in(table) == prompts
    assert ids is None or [row.prompt_id for row in table.rows] == ids


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"prompt": {"0": "a b", "1": "c d"}, "resolution": {"0": "480p"}}, "one object for each column"),
        ({"train": {"x": 1}, "val": {"x": 2}}, "contains no prompts"),
        ({"positive_prompt": "a b", "resolution": "480p"}, "does not contain a JSON array"),
        ({}, "does not contain a JSON array"),
    ],
)
def test_a_json_object_that_is_no_table_is_refused_and_its_keys_are_not_paid_for(
    tmp_path: Path, content: Any, said: str
) -> None:
    assert said in refusal_of(file_of(tmp_path, content), defaults=HD)


def test_keys_that_are_ids_stay_ids_whether_or_not_each_row_repeats_its_key(tmp_path: Path) -> None:
    kite, boat = {"name": "kite", "prompt": "A red kite"}, {"name": "The boat", "prompt": "A blue boat"}

    one = PromptTable.load(PromptSource(file_of(tmp_path, {"kite": kite}), defaults=HD))
    two = PromptTable.load(PromptSource(file_of(tmp_path, {"kite": kite, "boat": boat}), defaults=HD))
    prompt = PromptTable.load(PromptSource(file_of(tmp_path, {"Sunset": {"prompt": "Sunset"}}), defaults=HD))
    derived = PromptTable.load(PromptSource(file_of(tmp_path, {"kite": kite}), {"x_key": "key"}, HD))

    assert [(row.prompt_id, row.extra) for row in one.rows] == [("kite", {"name": "kite"})]
    assert [row.prompt_id for row in two.rows] == ["kite", "boat"]
    assert [row.prompt_id for row in prompt.rows] == ["Sunset"]
    assert derived.rows[0].prompt_id.startswith("p-")


@pytest.mark.parametrize("column", ["id", "promptId", "uid"])
def test_keys_that_each_row_repeats_as_its_own_id_are_no_further_column(tmp_path: Path, column: str) -> None:
    path = file_of(tmp_path, {"kite": {column: "kite", "prompt": "A red kite"}})

    (row,) = PromptTable.load(PromptSource(path, {}, HD, "refuse")).rows

    assert (row.prompt_id, row.extra) == ("kite", {})


@pytest.mark.parametrize("keys", [("küche", "straße"), ("kuche", "strasse")])
def test_words_that_are_keys_are_not_paid_for_if_no_column_contains_the_prompts(
    tmp_path: Path, keys: tuple[str, str]
) -> None:
    path = file_of(tmp_path, {key: {"beschreibung": "Eine rote Küche"} for key in keys})

    found = PromptTable.load(PromptSource(path, defaults=HD))

    assert found.rows == ()
    assert {each.rule for each in found.problems} == {"no column contains the prompts"}


@pytest.mark.parametrize("row", [{"meta": {"p": "Sunset"}}, {"meta": [{"p": "Sunset"}]}, {"label": "Sunset"}])
def test_any_field_of_a_keyed_row_may_be_mapped_to_the_prompt(tmp_path: Path, row: dict[str, Any]) -> None:
    source = {"list": "meta.0.p", "dict": "meta.p", "str": "label"}[type(next(iter(row.values()))).__name__]

    table = PromptTable.load(PromptSource(file_of(tmp_path, {"k1": row}), {"positive_prompt": source}, HD))

    assert [(each.prompt_id, each.request.positive_prompt) for each in table.rows] == [("k1", "Sunset")]


def test_a_keyed_row_whose_prompt_is_missing_is_a_problem_of_the_row(tmp_path: Path) -> None:
    (problem,) = PromptTable.load(PromptSource(file_of(tmp_path, {"k1": {"prompt": None}}), defaults=HD)).problems

    assert (problem.row, problem.prompt_id, problem.column) == (1, "k1", "positive_prompt")


def test_keys_that_are_texts_beside_another_text_are_not_chosen_silently(tmp_path: Path) -> None:
    path = file_of(tmp_path, {"A cat runs": {"caption": "A long cat"}, "A dog": {"caption": "A long dog"}})

    found = findings_of(PromptTable.load(PromptSource(path, defaults=HD)).problems)
    chosen = PromptTable.load(PromptSource(path, {"positive_prompt": "key_text"}, HD))

    assert "caption, key_text" in str(found)
    assert prompts_in(chosen) == ["A cat runs", "A dog"]


def test_integral_decimals_uuids_and_the_index_of_pandas_are_read(tmp_path: Path) -> None:
    ids = [uuid.UUID(int=5), uuid.UUID(int=6)]
    table = pa.table(
        {
            "prompt_id": pa.array([value.bytes for value in ids], pa.binary(16)).cast(pa.binary(16)),
            "prompt": ["a", "b"],
            "seed": pa.array([Decimal(7), None], pa.decimal128(38, 0)),
            "duration": pa.array([Decimal(5), Decimal(10)], pa.decimal128(10, 2)),
        }
    )
    table = table.set_column(0, "prompt_id", pa.ExtensionArray.from_storage(pa.uuid(), table["prompt_id"].chunk(0)))
    pq.write_table(table, tmp_path / "t.parquet")
    frame = pd.DataFrame({"prompt": ["b", "a"], "prompt_id": [Decimal(2), Decimal(1)]}, index=[1, 0])
    frame.to_parquet(tmp_path / "index.parquet")

    read = PromptTable.load(PromptSource(tmp_path / "t.parquet", defaults=HD))
    indexed = PromptTable.load(PromptSource(tmp_path / "index.parquet", defaults=HD))
    arrow = PromptTable.load(PromptSource(pa.Table.from_pandas(frame), defaults=HD))

    assert [row.prompt_id for row in read.rows] == list(map(str, ids))
    assert [(each.seed, each.duration) for each in read.requests] == [(7, 5), (None, 10)]
    assert [(row.prompt_id, row.extra) for row in indexed.rows] == [("2", {}), ("1", {})]
    assert [row.extra for row in arrow.rows] == [{}, {}]


def test_a_decimal_that_is_no_whole_number_is_still_a_problem() -> None:
    (problem,) = PromptTable.load(frame_of(prompt="a", resolution="480p", seed=Decimal("7.5"))).problems

    assert problem.column == "seed"


@pytest.mark.slow
def test_the_columns_of_many_different_rows_are_bounded(tmp_path: Path) -> None:
    rows = [{"prompt": "a", f"note_{number}": number} for number in range(1500)]

    summary = Summary.of(scan(PromptSource(file_of(tmp_path, rows), defaults=HD)))

    assert (summary.problem_count, len(summary.columns.kept)) == (0, 1000)


@pytest.mark.parametrize("ids", [["a", "a"], ["a/b", "c/d"], [1.5, 2.5]])
def test_a_column_that_was_taken_for_the_id_can_be_kept_as_it_is(ids: list[Any]) -> None:
    frame = pd.DataFrame({"id": ids, "text": ["A kite", "A boat"]})

    found = findings_of(PromptTable.load(PromptSource(frame, defaults=HD)).problems)
    table = PromptTable.load(PromptSource(frame, {"x_id": "id"}, HD))

    assert "map x_id=id, and ids are derived" in str(found)
    assert prompts_in(table) == ["A kite", "A boat"]


def test_bytes_and_deeply_nested_values_do_not_stop_the_table(tmp_path: Path) -> None:
    binary = pa.table({"prompt": ["a"], "image_bytes": pa.array([b"\xff\xfe"])})
    pq.write_table(binary, tmp_path / "t.parquet")
    deep = file_of(tmp_path, json.dumps({"prompt": "a", "tree": 1}).replace("1", "[" * 600 + "]" * 600), "t.jsonl")

    for source in (binary, tmp_path / "t.parquet"):
        (row,) = PromptTable.load(PromptSource(source, defaults=HD)).rows
        assert row.extra == {"image_bytes": "//4="}
    (problem,) = PromptTable.load(PromptSource(deep, defaults=HD)).problems
    assert (problem.column, problem.rule) == ("tree", "is nested too deeply")


def test_each_unknown_name_is_compared_with_the_parameters_once_however_the_records_combine_them() -> None:
    names = [f"attribute_{number}" for number in range(12)]
    records = [{"prompt": "A kite", "resolution": "480p", one: 1, other: 2} for one, other in combinations(names, 2)]
    column_of_any_model.cache_clear()
    parameter_meant_by.cache_clear()

    table = PromptTable.load(records)

    assert table.problems == ()
    assert column_of_any_model.cache_info().misses <= len(names) + 6
    assert parameter_meant_by.cache_info().misses <= len(names) + 6


def test_a_request_in_a_list_keeps_the_text_by_which_an_older_ledger_knows_its_video() -> None:
    request = VideoRequest.model_validate({"positive_prompt": "A  red\r\nkite ", "resolution": "480p"})

    (row,) = PromptTable.load([request]).rows

    assert request.former_fingerprint()
    assert row.fingerprint == request.fingerprint()
    assert row.request.former_fingerprint() == request.former_fingerprint()
