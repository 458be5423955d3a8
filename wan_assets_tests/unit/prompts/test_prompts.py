"""Prompt tables: what is read, what is refused, and where each problem is said to be."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random as Shuffle
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import SHARED
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wan_assets.errors import PromptTableError
from wan_assets.models.prompt_text import is_visible, normalized
from wan_assets.prompts import Problem, PromptTable, scan
from wan_assets.prompts.lookalikes import lookalike_of_text

PNG = b"\x89PNG\r\n\x1a\n" + bytes(32)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(32)
REAL_TABLES = SHARED / "data"

quick = settings(deadline=None, max_examples=40)
prompts = st.text(
    st.one_of(
        st.sampled_from(" \",\n\r\t'\\;|[]{}#😀👩‍🚀世界مرحبا"),
        st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\r\t"),
    ),
    min_size=1,
    max_size=30,
).filter(is_visible)
words = st.sampled_from(["NA", "null", "None", "nan", "true", "007"])
prompt_lists = st.lists(prompts | words, min_size=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def csv_text(rows: Sequence[Sequence[str]], delimiter: str = ",") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue()


def table_of(folder: Path, content: str | bytes, name: str = "table.csv", **options: Any) -> PromptTable:
    return PromptTable.load(written(folder / name, content), **options)


def places(table: PromptTable) -> list[tuple[int | None, str]]:
    return [(problem.row, problem.column) for problem in table.problems]


def only_problem(table: PromptTable) -> Problem:
    assert len(table.problems) == 1, [*map(str, table.problems)]
    return table.problems[0]


def as_csv(path: Path, rows: list[str]) -> Path:
    table = csv_text([["positive_prompt", "resolution"], *([text, "720p"] for text in rows)])
    return written(path.with_suffix(".csv"), table)


def as_csv_with_bom(path: Path, rows: list[str]) -> Path:
    return written(path, b"\xef\xbb\xbf" + as_csv(path, rows).read_bytes()).rename(path.with_suffix(".csv"))


def as_tsv(path: Path, rows: list[str]) -> Path:
    table = csv_text([["positive_prompt", "resolution"], *([text, "720p"] for text in rows)], "\t")
    return written(path.with_suffix(".tsv"), table)


def as_jsonl(path: Path, rows: list[str]) -> Path:
    lines = (json.dumps({"positivePrompt": text, "resolution": "720p"}, ensure_ascii=False) for text in rows)
    return written(path.with_suffix(".jsonl"), "\n".join(lines))


def as_json(path: Path, rows: list[str]) -> Path:
    return written(path.with_suffix(".json"), json.dumps([{"prompt": t, "resolution": "720p"} for t in rows]))


def as_parquet(path: Path, rows: list[str]) -> Path:
    columns = {"prompt": rows, "resolution": ["720p"] * len(rows)}
    pq.write_table(pa.table(columns), path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def as_frame(_path: Path, rows: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"prompt": rows, "resolution": "720p"}, index=range(5, 5 + len(rows)))


WRITERS = [as_csv, as_csv_with_bom, as_tsv, as_jsonl, as_json, as_parquet, as_frame]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
@quick
@given(rows=prompt_lists)
def test_any_prompts_are_read_as_they_were_written_in_their_normal_form(
    folder: Path, write: Callable[[Path, list[str]], Any], rows: list[str]
) -> None:
    table = PromptTable.load(write(folder / write.__name__, rows))

    assert table.problems == ()
    assert [request.positive_prompt for request in table.requests] == [normalized(text) for text in rows]
    assert len(table.by_id) == len(table) == table.row_count == len(rows)


@quick
@given(rows=prompt_lists)
def test_each_line_of_plain_text_is_a_prompt_of_720p(folder: Path, rows: list[str]) -> None:
    lines = ["A kite " + text.replace("\n", " ").replace("\r", " ") + "." for text in rows]

    text = "\r\n\n".join(lines)
    assume(lookalike_of_text(text) is None)  # such as lines with one bar each, which are refused as a table
    table = table_of(folder, "\ufeff" + text, "lines.txt")

    assert [(r.positive_prompt, r.resolution) for r in table.requests] == [(normalized(text), "720p") for text in lines]


@quick
@given(
    rows=st.lists(prompts, min_size=1, unique_by=normalized),
    added=st.lists(prompts, max_size=5),
    shuffle=st.randoms(use_true_random=False),
)
def test_derived_ids_outlive_insertion_and_order(rows: list[str], added: list[str], shuffle: Shuffle) -> None:
    before = PromptTable.load(as_frame(Path(), rows))
    more = [*rows, *(text for text in added if normalized(text) not in map(normalized, rows))]
    shuffle.shuffle(more)

    after = PromptTable.load(as_frame(Path(), more))

    ids = {row.request.positive_prompt: row.prompt_id for row in after.rows}
    assert all(ids[row.request.positive_prompt] == row.prompt_id for row in before.rows)


names = st.sampled_from(["prompt", "inputs", "audio", "frame_images", "safety", "prompt_id", "x_a", "seed"])


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "json", "txt", "parquet"])
@quick
@given(
    content=st.one_of(
        st.binary(),
        st.text().map(lambda text: text.encode("utf-8", "replace")),
        st.text('"\n\r,\tx[]{}:0\0').map(lambda text: b"prompt,resolution,frame_images\n" + text.encode()),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
            lambda inner: st.lists(inner) | st.dictionaries(names, inner),
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_no_bytes_raise_anything_but_a_table_error(folder: Path, suffix: str, content: bytes) -> None:
    path = written(folder / f"bytes.{suffix}", content)

    try:
        table = PromptTable.load(path)
    except PromptTableError:
        return

    assert table.row_count == len(table) + len({problem.row for problem in table.problems} - {None})
    assert all(str(problem).isprintable() for problem in table.problems)


def test_every_kind_of_problem_is_reported_at_its_row_line_and_column(tmp_path: Path) -> None:
    header = "prompt_id,prompt,resolution,duration,seed,width,height,frame_images,safety,x_mark,promt_extend"
    rows = [
        'a,"two\nlines",720p,7,-1,,,,,kept,,',
        "a,again,720p,,,,,,,,,",
        "b/c,,1081p,x,,,,,,,,",
        "d,half,,,,1280,,,,,,",
        "e,odd,,,,1281,720,,,,,",
        "f,both,720p,,,1280,720,,,,,",
        "g,none,,,,,,,,,,",
        "h,far,,,,,,../out.png,,,,",
        'i,safe,720p,,,,,,"{""mode"":""fst"",""chek"":1}",,,',
        "j,long,720p",
        "k,fine,720p,5,1,,,,,kept,,",
    ]

    table = table_of(tmp_path, "\n".join([f"{header},audio", *rows]))

    assert places(table) == [
        (None, "promt_extend"),
        (None, "audio"),
        (1, "duration"),
        (1, "seed"),
        (2, "prompt_id"),
        (3, "positive_prompt"),
        (3, "resolution"),
        (3, "duration"),
        (3, "prompt_id"),
        (4, "height"),
        (5, "width"),
        (6, "resolution"),
        (7, "resolution"),
        (8, "inputs.frame_images"),
        (9, "safety.chek"),
        (9, "safety.mode"),
        (10, ""),
    ]
    assert [row.prompt_id for row in table.rows] == ["k"]
    assert table.rows[0].extra == {"x_mark": "kept"}
    assert table.row_count == 11
    assert [problem.line for problem in table.problems][2:5] == [2, 2, 4]
    assert (table.problems[2].prompt_id, table.problems[2].value) == ("a", "7")


def test_a_problem_reads_as_one_line_with_place_value_fix_and_rule(tmp_path: Path) -> None:
    table = table_of(tmp_path, 'prompt,resolution,duration\n"a\nb",720p,5\nc,720p,5\nd,720p,7\n')

    said = str(only_problem(table))

    assert said == "row 3 (line 5), column duration: 7 \N{EN DASH} use 5 or 10 (input should be 5 or 10)"


def test_a_value_in_a_problem_is_short_and_has_no_control_characters(tmp_path: Path) -> None:
    problem = only_problem(table_of(tmp_path, f"prompt,resolution\nx,\x1b[31m\u202e{'long' * 99}\n"))

    assert len(problem.value) == 80
    assert problem.value.startswith("'\\x1b[31m\\u202elong")


@pytest.mark.parametrize(
    "name",
    [
        "providerSettings.alibaba.audio",
        "provider_settings.alibaba.audio",
        "provider_settings_alibaba_audio",
        "provider_settings__alibaba__audio",
        " Provider Settings Alibaba Audio ",
        "alibaba.audio",
    ],
)
def test_a_column_may_be_spelled_in_many_ways(tmp_path: Path, name: str) -> None:
    table = table_of(tmp_path, csv_text([["Positive Prompt", "resolution", name], ["a", "720p", "FALSE"]]))

    assert not table.requests[0].has_audio


@pytest.mark.parametrize(
    ("name", "value", "path"),
    [
        ("prompt_extend", "false", ("provider_settings", "alibaba", "prompt_extend")),
        ("mode", "full", ("safety", "mode")),
        ("safety_mode", "full", ("safety", "mode")),
        ("checkContent", "true", ("safety", "check_content")),
        ("inputs_audio", "https://example.com/a.mp3", ("inputs", "audio")),
        ("input_audio", "https://example.com/a.mp3", ("inputs", "audio")),
        ("webhookURL", "https://example.com/hook", ("webhook_url",)),
        ("model", "runware:201@1", ("model",)),
    ],
)
def test_the_last_part_of_a_name_is_enough_where_it_is_clear(
    tmp_path: Path, name: str, value: str, path: tuple[str, ...]
) -> None:
    table = table_of(tmp_path, csv_text([["prompt", "resolution", name], ["a", "720p", value]]))

    found = table.requests[0].model_dump(mode="json")
    for part in path:
        found = found[part]
    assert str(found).lower() == value


@pytest.mark.parametrize(
    ("header", "column", "said"),
    [
        ("prompt,resolution,audio", "audio", "rename it to inputs.audio or provider_settings.alibaba.audio"),
        ("prompt,resolution,negativ_prompt", "negativ_prompt", "did you mean negative_prompt?"),
        ("prompt,resolution,durtion", "durtion", "did you mean duration?"),
        ("prompt,resolution,taskUUID", "taskUUID", "remove the column"),
        ("prompt,resolution,positivePrompt", "positivePrompt", "remove one of the two columns"),
        ("prompt,resolution,prompt", "prompt", "remove one of the two columns"),
        ("promt,resolution,seed", "positive_prompt", "rename the column promt to positive_prompt"),
        ("seed,ttl,resolution", "positive_prompt", "add a column positive_prompt"),
        ("prompt;resolution", "positive_prompt", "';'"),
    ],
)
def test_a_bad_column_is_said_once_with_its_fix(tmp_path: Path, header: str, column: str, said: str) -> None:
    row = ",".join(["1"] * len(header.split(",")))

    table = table_of(tmp_path, f"{header}\n{row}\n{row}\n")

    found = [problem for problem in table.problems if problem.row is None and problem.column == column]
    assert len(found) == 1
    assert said in str(found[0])


def test_where_the_header_has_no_prompts_the_rows_do_not_repeat_it(tmp_path: Path) -> None:
    table = table_of(tmp_path, "topic,resolution\na,720p\nb,720p\n")

    assert places(table) == [(None, "positive_prompt")]
    assert len(table) == 0


def test_an_unknown_name_in_json_is_a_problem_of_its_row(tmp_path: Path) -> None:
    good, bad = {"prompt": "a", "resolution": "720p"}, {"prompt": "a", "resolution": "720p", "durration": 3}

    table = table_of(tmp_path, f"{json.dumps(good)}\n\n{json.dumps(bad)}\n", "t.jsonl")

    assert (only_problem(table).row, only_problem(table).line, only_problem(table).value) == (2, 3, "3")
    assert "duration" in only_problem(table).fix
    assert [row.number for row in table.rows] == [1]


def test_broken_lines_of_json_do_not_hide_the_others(tmp_path: Path) -> None:
    good = '{"prompt":"a","resolution":"720p"}'

    lines = [good, "{bad", "[1]", '{"prompt":1,"prompt":2}', good, "[" * 9999]

    table = table_of(tmp_path, "\n".join(lines), "t.jsonl")

    assert places(table) == [(2, ""), (3, ""), (4, ""), (6, "")]
    assert [row.number for row in table.rows] == [1, 5]


def test_parameters_of_the_one_model_are_accepted_only_with_their_legal_value(tmp_path: Path) -> None:
    header = "prompt,resolution,model,taskType,outputType,deliveryMethod\n"
    rows = "a,720p,runware:201@1,videoInference,URL,async\nb,720p,runware:1@1,imageInference,base64,sync\n"

    table = table_of(tmp_path, header + rows)

    assert places(table) == [(2, "task_type"), (2, "model"), (2, "output_type"), (2, "delivery_method")]


def test_nested_objects_are_read_in_json_and_in_cells(tmp_path: Path) -> None:
    task = {
        "positivePrompt": "a",
        "width": 1280,
        "height": 720,
        "inputs": {"frameImages": [{"image": "aac49721-1964-481a-ae78-8a4e29b91402", "frame": "first"}]},
        "providerSettings": {"alibaba": {"audio": False, "prompt_extend": None}},
        "safety": {"checkContent": True},
    }
    cells = [json.dumps(value) if isinstance(value, dict) else str(value) for value in task.values()]

    lines = table_of(tmp_path, json.dumps(task), "t.jsonl")
    cell = table_of(tmp_path, csv_text([list(task), cells]))

    assert lines.problems == cell.problems == ()
    assert lines.requests[0].to_task("u") == cell.requests[0].to_task("u")
    assert lines.requests[0].to_task("u")["inputs"] == task["inputs"]


@pytest.mark.parametrize(
    ("cell", "column"),
    [
        ("{", "safety"),
        ("[1]", "safety"),
        ("yes", "safety"),
        ('{"mode":"fast"}', "safety.mode"),
        ('{"mod":"fast"}', "safety.mod"),
    ],
)
def test_a_bad_object_in_a_cell_is_a_problem(tmp_path: Path, cell: str, column: str) -> None:
    before, after = ["a", "720p", "full", cell], ["a", "720p", cell, "full"]

    table = table_of(tmp_path, csv_text([["prompt", "resolution", "mode", "safety"], before]))
    turned = table_of(tmp_path, csv_text([["prompt", "resolution", "safety", "mode"], after]))

    assert places(table) == places(turned) == [(1, column)]


@pytest.mark.parametrize("cell", ["{}", " ", '{"mode": null}'])
def test_an_empty_list_or_object_in_a_cell_is_absent(tmp_path: Path, cell: str) -> None:
    header = ["prompt", "resolution", "frame_images", "safety"]

    table = table_of(tmp_path, csv_text([header, ["a", "720p", "[]", cell]]))

    assert table.problems == ()
    assert (table.requests[0].safety, table.requests[0].image) == (None, None)


def test_absent_cells_are_absent_and_never_the_text_nan() -> None:
    frame = pd.DataFrame(
        {
            "prompt": ["nan", "b", "c", "d"],
            "resolution": "720p",
            "negative_prompt": [float("nan"), None, pd.NA, pd.NaT],
            "seed": pd.array([1, None, 3, None], dtype="Int64"),
            "prompt_id": [7.0, float("nan"), 9.0, float("nan")],
            "x_when": [pd.Timestamp("2025-01-31"), None, pd.Timestamp("2025-02-01"), pd.NaT],
            "frame_images": [None, [], float("nan"), ""],
            "ttl": [60.0, float("nan"), float("nan"), float("nan")],
        }
    )

    table = PromptTable.load(frame)

    assert table.problems == ()
    assert [request.seed for request in table.requests] == [1, None, 3, None]
    assert [request.ttl for request in table.requests] == [60, None, None, None]
    assert {request.negative_prompt for request in table.requests} == {None}
    assert [row.extra for row in table.rows] == [{"x_when": "2025-01-31"}, {}, {"x_when": "2025-02-01"}, {}]
    assert [row.prompt_id for row in table.rows if not row.prompt_id.startswith("p-")] == ["7", "9"]


def test_a_blank_prompt_is_missing(tmp_path: Path) -> None:
    table = table_of(tmp_path, 'prompt,resolution\n"  ",720p\n,720p\n')

    assert places(table) == [(1, "positive_prompt"), (2, "positive_prompt")]


def test_a_prompt_id_keeps_its_zeros_and_a_number_becomes_its_digits(tmp_path: Path) -> None:
    lines = [{"prompt": "a", "resolution": "720p", "prompt_id": found} for found in ("007", 7, 8.0)]

    cells = table_of(tmp_path, "prompt_id,prompt,resolution\n007,a,720p\n1e3,a,720p\n")
    table = table_of(tmp_path, "\n".join(map(json.dumps, lines)), "t.jsonl")

    assert [*cells.by_id] == ["007", "1e3"]
    assert [*table.by_id] == ["007", "7", "8"]


@pytest.mark.parametrize("prompt_id", ["a b", "été", "世界-1", "a.b:c@d+e_f", "x" * 128, "قطة", "#1"])
def test_an_id_may_be_of_any_script(tmp_path: Path, prompt_id: str) -> None:
    table = table_of(tmp_path, csv_text([["prompt_id", "prompt", "resolution"], [prompt_id, "a", "720p"]]))

    assert [*table.by_id] == [prompt_id]


@pytest.mark.parametrize(
    "prompt_id",
    ["a/b", "a\\b", "..", "a..b", "a...b", " a", "a ", "a\nb", "a\x07", "a,b", "[a]", "a|b", "x" * 129],
)
def test_an_id_that_no_partition_key_may_be_is_refused(tmp_path: Path, prompt_id: str) -> None:
    table = table_of(tmp_path, csv_text([["prompt_id", "prompt", "resolution"], [prompt_id, "a", "720p"]]))

    assert {problem.column for problem in table.problems} == {"prompt_id"}
    assert len(table) == 0


def test_every_accepted_id_is_a_partition_key_of_dagster(tmp_path: Path) -> None:
    dagster = pytest.importorskip("dagster")
    ids = [f"a{chr(character)}b" for character in range(32, 256)]
    text = csv_text([["prompt_id", "prompt", "resolution"], *([found, "x", "720p"] for found in ids)])

    keys = [*table_of(tmp_path, text).by_id]

    assert len(keys) > 150
    assert dagster.StaticPartitionsDefinition(keys).get_partition_keys() == keys


def test_repeated_rows_are_partitions_of_their_own_with_one_fingerprint(tmp_path: Path) -> None:
    table = table_of(tmp_path, "cat\ndog\ncat\ncat\n", "t.txt")

    first, dog, second, third = (row.prompt_id for row in table.rows)
    assert (second, third) == (f"{first}-2", f"{first}-3")
    assert first == f"p-{table.requests[0].fingerprint()[:12]}" != dog
    assert len({request.fingerprint() for request in table.requests}) == 2


def test_a_given_id_that_is_taken_is_a_problem_that_names_the_first_row(tmp_path: Path) -> None:
    derived = table_of(tmp_path, "cat\n", "t.txt").rows[0].prompt_id
    rows = f"a,x,720p\nb,y,720p\na,z,720p\n,cat,720p\n{derived},dog,720p\n{derived}-2,cow,720p\n,cat,720p\n"

    table = table_of(tmp_path, f"prompt_id,prompt,resolution\n{rows}")

    assert places(table) == [(3, "prompt_id"), (5, "prompt_id"), (7, "prompt_id")]
    assert ["row 1" in table.problems[0].rule, "row 4" in table.problems[1].rule] == [True, True]
    assert "row 6" in table.problems[2].fix


def test_duplicates_are_found_across_chunks(tmp_path: Path) -> None:
    rows = "".join(f"{number % 7},a,720p\n" for number in range(9))
    path = written(tmp_path / "t.csv", f"prompt_id,prompt,resolution\n{rows}")

    chunks = [*scan(path, 2)]

    assert [chunk.row_count for chunk in chunks] == [2, 2, 2, 2, 1]
    assert [(p.row, p.value) for chunk in chunks for p in chunk.problems] == [(8, "0"), (9, "1")]
    assert [row.number for chunk in chunks for row in chunk.rows] == [1, 2, 3, 4, 5, 6, 7]


def test_defaults_fill_what_a_row_leaves_open(tmp_path: Path) -> None:
    written(tmp_path / "a.png", PNG)
    rows = "prompt,resolution,frame_images,duration\na,,,\nb,1080p,,10\nc,,a.png,\n"

    table = table_of(tmp_path, rows, defaults={"width": 1280, "height": 720, "duration": 10})

    assert table.problems == ()
    assert [request.width for request in table.requests] == [1280, None, None]
    assert [request.duration for request in table.requests] == [10, 10, 10]


@pytest.fixture
def media(tmp_path: Path) -> Path:
    written(tmp_path / "secret.png", PNG)
    folder = tmp_path / "table"
    (folder / "sub").mkdir(parents=True)
    written(folder / "a.png", PNG)
    written(folder / "sub" / "copy.png", PNG)
    written(folder / "a.jpg", b"\xff\xd8\xff\xe0" + bytes(9))
    written(folder / "a.webp", b"RIFF\0\0\0\0WEBPVP8 ")
    written(folder / "a.wav", WAV)
    written(folder / "text.png", "no picture")
    written(folder / "empty.png", "")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "inner.png").symlink_to(folder / "a.png")
    return folder


def picture_table(folder: Path, *cells: str) -> PromptTable:
    return table_of(folder, csv_text([["prompt", "frame_image"], *(["a", cell] for cell in cells)]))


def test_local_files_become_references_to_their_content(media: Path) -> None:
    reference = f"sha256:{hashlib.sha256(PNG).hexdigest()}"

    cells = ["a.png", "sub/copy.png", "inner.png", '["a.png"]', '{"image":"a.png","frame":0}']

    table = picture_table(media, *cells)

    assert table.problems == ()
    assert {request.image for request in table.requests} == {reference}
    assert table.media == {reference: (media / "a.png").resolve()}
    assert table.requests[0].to_task("u", {reference: "uuid"})["inputs"] == {"frameImages": ["uuid"]}


@pytest.mark.parametrize("cell", ["a.jpg", "a.webp"])
def test_jpeg_and_webp_are_pictures_too(media: Path, cell: str) -> None:
    table = picture_table(media, cell)

    assert [*table.media.values()] == [media.resolve() / cell]


@pytest.mark.parametrize(
    "cell",
    [
        "../secret.png",
        "sub/../../secret.png",
        "link.png",
        "/etc/passwd",
        "file:///etc/passwd",
        "C:\\a.png",
        "\\\\host\\a.png",
        "text.png",
        "empty.png",
        "a.wav",
        "sub",
        "missing.png",
        "ftp://example.com/a.png",
        "a\0.png",
        "x" * 5000 + ".png",
        f"sha256:{'0' * 64}",
        '["a.png", "a.png"]',
        '{"image":"a.png","frame":"last"}',
        "[",
        '{"image":7}',
    ],
)
def test_no_other_file_is_read_or_sent(media: Path, cell: str) -> None:
    table = picture_table(media, cell)

    assert {problem.row for problem in table.problems} == {1}
    assert all(problem.column.startswith("inputs.frame_images") for problem in table.problems)
    assert table.media == {}
    assert len(table) == 0


@pytest.mark.parametrize(
    "cell",
    [
        "https://example.com/a.png",
        "aac49721-1964-481a-ae78-8a4e29b91402",
        "data:image/png;base64,AAAA",
        "A" * 200_000,
    ],
)
def test_what_the_api_reads_itself_is_left_as_it_is(media: Path, cell: str) -> None:
    table = picture_table(media, cell)

    assert table.problems == ()
    assert table.requests[0].image == cell
    assert table.media == {}


def test_a_local_sound_is_a_sound_and_no_picture(media: Path) -> None:
    table = table_of(media, "prompt,resolution,inputs.audio\na,720p,a.wav\nb,720p,a.png\n")

    assert table.requests[0].audio in table.media
    assert (only_problem(table).row, only_problem(table).column) == (2, "inputs.audio")


def test_a_frame_needs_a_folder_for_its_local_files(media: Path) -> None:
    frame = pd.DataFrame({"prompt": ["a"], "frame_images": ["a.png"]})

    homeless, housed = PromptTable.load(frame), PromptTable.load(frame, base_dir=media)

    assert "base_dir" in only_problem(homeless).fix
    assert len(housed.media) == 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"", "no rows"),
        ("t.csv", b"prompt,resolution\n", "no rows"),
        ("t.txt", b"\xef\xbb\xbf\n \n", "no rows"),
        ("t.jsonl", b"\n", "no rows"),
        ("t.json", b"[]", "no rows"),
        ("t.json", b'{"a":', "line 1"),
        ("t.json", b"{}", "array"),
        ("t.docx", b"PK", ".csv, .tsv, .jsonl, .ndjson, .json, .parquet, .txt"),
        ("t", b"PK", "no extension"),
        ("t.csv", b"prompt,resolution\na,720p\nb\xff,720p\n", "line 3, byte offset 26"),
        ("t.jsonl", b'{"prompt":"\xe9"}', "line 1, byte offset 11"),
        ("t.txt", b"ok\n\xe9t\xe9\n", "line 2, byte offset 3"),
        ("t.csv", "prompt\na\n".encode("utf-16"), "UTF-16"),
        ("t.csv", "prompt\na\n".encode("utf-16-le"), "NUL"),
        ("t.parquet", b"PAR1", "Parquet"),
        ("t.csv", b'"prompt"x,\n', "header"),
    ],
)
def test_what_is_no_table_is_an_error_that_names_the_file_and_the_cause(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = written(tmp_path / name, content)

    with pytest.raises(PromptTableError) as caught:
        PromptTable.load(path)

    assert str(path) in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(("name", "said"), [("no.csv", "exist"), (".", "folder"), ("\0.csv", "exist")])
def test_a_path_that_is_no_file_is_an_error(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(PromptTableError, match=said):
        PromptTable.load(tmp_path / name)


def test_a_cut_parquet_file_is_an_error(tmp_path: Path) -> None:
    whole = as_parquet(tmp_path / "whole", ["a"] * 1000).read_bytes()
    broken = bytearray(whole)
    broken[4:60] = bytes(56)

    for content in (whole[:-20], bytes(broken)):
        with pytest.raises(PromptTableError, match="Parquet"):
            table_of(tmp_path, content, "cut.parquet")


def test_parquet_keeps_types_and_nested_values(tmp_path: Path) -> None:
    table = pa.table(
        {
            "prompt": pa.array([b"bytes", "世界".encode()], pa.binary()),
            "prompt_id": [7, None],
            "width": pa.array([1280.0, 1280.0]),
            "height": [720, 720],
            "safety": [{"mode": "fast"}, None],
            "tags": [["a", "b"], None],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")

    found = PromptTable.load(tmp_path / "t.parquet")

    assert found.problems == ()
    assert [request.positive_prompt for request in found.requests] == ["bytes", "世界"]
    assert found.rows[0].prompt_id == "7"
    assert found.rows[0].extra == {"tags": '["a", "b"]'}
    assert [request.safety is None for request in found.requests] == [False, True]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a,720p,5,surplus", "has 4 cells where the header has 3"),
        ("a,720p", "has 2 cells where the header has 3"),
        ('"a"b,720p,5', "cannot be split into cells"),
    ],
)
def test_a_ragged_row_is_named_and_the_others_are_read(tmp_path: Path, line: str, said: str) -> None:
    table = table_of(tmp_path, f"prompt,resolution,duration\nx,720p,5\n\n{line}\ny,720p,5\nz,720p,5,,\n")

    assert (only_problem(table).row, only_problem(table).line) == (2, 4)
    assert said in only_problem(table).rule
    assert [row.number for row in table.rows] == [1, 3, 4]


@pytest.mark.parametrize(
    ("line", "value", "rule", "fix"),
    [
        ("b,720p,junk", "junk", "has a value in column 3, which has no name in the header", "name column 3, "),
        ("b,720p,,junk,", "junk", "has a value in column 4, which has no name in the header", "name column 4, "),
        ("b,720p,junk,,x", "junk", "has 5 cells where the header has 4", "enclose a cell"),
        ("b", "b", "has 1 cell where the header has 4", "write empty cells as well"),
    ],
)
def test_a_value_below_an_empty_name_at_the_end_of_the_header_is_a_problem_that_names_its_column(
    tmp_path: Path, line: str, value: str, rule: str, fix: str
) -> None:
    table = table_of(tmp_path, f"prompt,resolution,, \na,720p,,\n{line}\nc,720p\nd,720p, ,,,\n")

    problem = only_problem(table)
    assert (problem.row, problem.value, problem.rule) == (2, value, rule)
    assert problem.fix.startswith(fix)
    assert [(row.number, row.extra) for row in table.rows] == [(1, {}), (3, {}), (4, {})]


def test_an_open_quote_is_named_where_it_begins(tmp_path: Path) -> None:
    table = table_of(tmp_path, 'prompt,resolution\na,720p\n"b,720p\nc,720p\n')

    assert only_problem(table).line == 3
    assert "a quote is never closed" in only_problem(table).rule


def test_a_cell_may_be_larger_than_the_csv_module_allows_by_itself(tmp_path: Path) -> None:
    table = table_of(tmp_path, f"prompt,resolution\n{'x' * 200_000},720p\nb,720p\n")

    assert only_problem(table).row == 1
    assert "2000" in only_problem(table).fix
    assert len(table) == 1


@pytest.mark.parametrize(
    ("row", "size"),
    [
        ({}, {"width": 1280, "height": 720}),
        ({"resolution": "480p"}, {"resolution": "480p"}),
        ({"width": 640, "height": 640}, {"width": 640, "height": 640}),
        ({"frame_images": "https://example.com/a.png"}, {}),
        ({"inputs": {"frameImages": ["https://example.com/a.png"]}}, {}),
    ],
)
def test_a_default_size_gives_way_to_any_size_of_the_row(
    tmp_path: Path, row: dict[str, Any], size: dict[str, Any]
) -> None:
    defaults = {"width": 1280, "height": 720, "duration": 10}

    table = table_of(tmp_path, json.dumps({"prompt": "a"} | row), "t.jsonl", defaults=defaults)

    wanted = dict.fromkeys(("width", "height", "resolution")) | {"duration": 10} | size
    assert table.requests[0].model_dump(include=set(wanted)) == wanted


def test_defaults_replace_the_720p_of_plain_text(tmp_path: Path) -> None:
    small = table_of(tmp_path, "a\n", "t.txt", defaults={"resolution": "480p"})
    square = table_of(tmp_path, "a\n", "t.txt", defaults={"width": 640, "height": 640})

    assert small.requests[0].resolution == "480p"
    assert (square.requests[0].resolution, square.requests[0].width) == (None, 640)


def test_a_default_for_no_column_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PromptTableError, match="did you mean resolution"):
        table_of(tmp_path, "a\n", "t.txt", defaults={"resolutoin": "480p"})


def test_half_characters_are_refused_wherever_they_are(tmp_path: Path) -> None:
    names = ["prompt", "prompt_id", "x_a", "webhookURL", "inputs.audio", "frame_images", "seed"]
    lines = [{"prompt": "a", "resolution": "720p"} | {name: "https://x/\ud800"} for name in names]

    table = table_of(tmp_path, "\n".join(map(json.dumps, lines)), "t.jsonl")

    assert {problem.row for problem in table.problems} == {*range(1, 8)}
    assert len(table) == 0


def test_a_loaded_table_is_taken_as_it_is(tmp_path: Path) -> None:
    table = table_of(tmp_path, "a\n", "t.txt")

    assert PromptTable.load(table) is table


@pytest.mark.parametrize(
    ("name", "paid"),
    [
        ("vbench_prompts_en.txt", 944),
        ("vbench_prompts_zh.txt", 943),
        ("vbench_prompts_wan_extended.txt", 944),
    ],
)
def test_the_real_tables_give_946_partitions_and_pay_for_each_text_once(name: str, paid: int) -> None:
    if not REAL_TABLES.is_dir():
        pytest.skip(f"the real tables are not at {REAL_TABLES}")

    table = PromptTable.load(REAL_TABLES / name)

    assert table.problems == ()
    assert len(table.by_id) == 946
    assert len({request.fingerprint() for request in table.requests}) == paid
