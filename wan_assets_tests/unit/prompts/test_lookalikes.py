"""Text files in which most lines have the shape of something else than a list of prompts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cli_support import wan_assets
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from wan_assets.errors import PromptTableError
from wan_assets.models.request import VideoRequest
from wan_assets.models.violations import violations_of
from wan_assets.orchestration.metadata.video import problem_table, refusal_of
from wan_assets.prompts import PromptTable
from wan_assets.prompts.columns import column_of
from wan_assets.prompts.lookalikes import lookalike_of_line, lookalike_of_text
from wan_assets.prompts.problems import Refusal

TABS = ("a tab-separated table without a header", "add a header, and rename it to end in .tsv")
BARS = ("a table with bars without a header", "a name that ends in .csv")
CSV = ("a CSV table without a header", "add a header, and rename it to end in .csv")
NUMBERS = ("numbers without text", "one prompt per line")
MAIL = ("an e-mail", "one prompt per line")
SUBTITLES = ("subtitles", "one prompt per line")
TRANSCRIPT = ("a transcript, a chat or a log", "one prompt per line")
BULLETS = ("a list with bullets", "remove the bullets")
NUMBERED = ("a numbered list", "remove the numbers")

SHAPES = {
    "tabs": ("fox\tA red fox\tforest\nowl\tA grey owl\tnight\n", TABS),
    "tabs, two cells": ("A red fox\tforest\nA grey owl\tnight\n", TABS),
    "tabs, uneven": ("fox\tA red fox\nowl\tA grey owl\tnight\nA boat\nhen\tA hen\n", TABS),
    "numbered with tabs": ("1\tA red fox\n2\tA grey owl\n", TABS),
    "bars": ("fox | A red fox | forest\nowl | A grey owl | night\n", BARS),
    "bars without spaces": ("fox|A red fox|forest\nowl|A grey owl|night\n", BARS),
    "bars and ids": ("kite_001 | A red kite\nkite_002 | A blue kite\n", BARS),
    "bars and numbers": ("A red kite | 5\nA blue kite | 10\n", BARS),
    "bars and one other line": ("Animals\na | b | c\nd | e | f\n", BARS),
    "psql": ("what | who\n-----+-----\nA kite | Ann\n", ("a table with bars", ".csv")),
    "Markdown without outer bars": ("what | who\n--- | ---\nA kite | Ann\n", ("a table with bars", ".csv")),
    "box": ("\u2502 a \u2502 b \u2502 c \u2502\n\u2502 d \u2502 e \u2502 f \u2502\n", BARS),
    "quoted cells": ('"A red fox, running","forest"\n"An owl","night"\n', CSV),
    "quoted cell after an id": ('fox,"A red fox, running"\nowl,"An owl, at night"\n', CSV),
    "CSV and one other line": ("Animals\n1,A red fox\n2,A grey owl\n3,A hen\n", CSV),
    "whole numbers": ("1\n2\n3\n", NUMBERS),
    "one number": ("42\n", NUMBERS),
    "decimals": ("0.5 1.25\n-3.5e-4 7\n", NUMBERS),
    "numbers with commas": ("1, 2, 3\n4, 5, 6\n", NUMBERS),
    "prices": ("$5.00\n\u20ac7.50\n12 %\n", NUMBERS),
    "dates": ("2026-01-10\n2026-01-11\n", NUMBERS),
    "mail": ("From: Ann <ann@example.com>\nSubject: Kites\n\nHello Bob\nSee the kites.\n", MAIL),
    "mail with all its fields": ("Return-Path: <a@b.c>\nTo: x\nSubject: y\nMIME-Version: 1.0\n\nHello\n", MAIL),
    "mail of Outlook": ("Von: Ann\nGesendet: Montag\nBetreff: Drachen\n\nHallo\n", MAIL),
    "mail in Chinese": ("\u53d1\u4ef6\u4eba\uff1aAnn\n\u4e3b\u9898\uff1a\u98ce\u7b5d\n\u4f60\u597d\n", MAIL),
    "mbox": ("From ann@example.com Mon Jan 10 12:00:01 2026\nHello\n", MAIL),
    "SRT": ("1\n00:00:01,000 --> 00:00:02,000\nHello\n\n2\n00:00:03,000 --> 00:00:04,000\nThere\n", SUBTITLES),
    "SRT of one": ("1\n00:00:01,000 --> 00:00:02,000\nHello\nThere\nAnd here\n", SUBTITLES),
    "SRT without numbers": ("00:00:01,000 --> 00:00:02,000\nHello\n", SUBTITLES),
    "VTT": ("WEBVTT - Kites\n\n00:01.000 --> 00:02.000 align:start\nHello\n", SUBTITLES),
    "VTT with a mark": ("\ufeffWEBVTT\n\n00:01.000 --> 00:02.000\nHello\n", SUBTITLES),
    "SBV": ("0:00:01.000,0:00:02.000\nHello\n\n0:00:03.000,0:00:04.000\nThere\n", SUBTITLES),
    "SSA": ("[Script Info]\nTitle: x\n", SUBTITLES),
    "MicroDVD": ("{0}{25}Hello\n{26}{50}There\n", SUBTITLES),
    "LRC": ("[00:12.00]Hello\n[00:14.50]There\n", TRANSCRIPT),
    "transcript": ("0:00\nhello\n0:05\nthere\n", TRANSCRIPT),
    "chat": ("10/01/2026, 12:30 - Ann: hi\n10/01/2026, 12:31 - Bob: hi\n", TRANSCRIPT),
    "hyphens": ("- a fox\n- an owl\n", BULLETS),
    "hyphens without spaces": ("-a fox\n-an owl\n", BULLETS),
    "one hyphen": ("- a fox\n", BULLETS),
    "stars": ("* a fox\n* an owl\n", BULLETS),
    "plus": ("+ a fox\n+ an owl\n", BULLETS),
    "dots": ("\u2022 a fox\n\u2022an owl\n", BULLETS),
    "dashes": ("\u2013 a fox\n\u2014 an owl\n", BULLETS),
    "quoted mail": ("> a fox\n> an owl\n", BULLETS),
    "tasks": ("- [ ] a fox\n- [x] an owl\n", BULLETS),
    "indented": ("- a fox\n  - red\n\t- grey\n", BULLETS),
    "bullets below a heading": ("Animals\n\n- a fox\n- an owl\n", BULLETS),
    "arrows": ("\u27a4 a fox\n\u2713 an owl\n", BULLETS),
    "numbers": ("1. a fox\n2. an owl\n", NUMBERED),
    "numbers apart": ("1. a fox\n\n\n2. an owl\n", NUMBERED),
    "numbers and parentheses": ("1) a fox\n(2) an owl\n[3] a hen\n", NUMBERED),
    "numbers and colons": ("1: a fox\n2: an owl\n", NUMBERED),
    "numbers and dashes": ("1 - a fox\n2 \u2013 an owl\n", NUMBERED),
    "zeros before": ("001. a fox\n0002. an owl\n", NUMBERED),
    "no spaces": ("1.a fox\n2.an owl\n", NUMBERED),
    "Chinese": ("1\u3001\u72d0\u72f8\n\u4e8c\u3001\u732b\u5934\u9e70\n", NUMBERED),
    "circles": ("\u2460 a fox\n\u2461 an owl\n", NUMBERED),
    "keycaps": ("1\ufe0f\u20e3 a fox\n2\ufe0f\u20e3 an owl\n", NUMBERED),
    "labels": ("Prompt 1: a fox\nprompt #2: an owl\n", NUMBERED),
    "letters": ("a) a fox\nb) an owl\n", NUMBERED),
    "Roman": ("I. a fox\nII. an owl\nIII. a hen\nIV. a cat\n", NUMBERED),
}


@pytest.mark.parametrize(("content", "reported"), SHAPES.values(), ids=SHAPES)
def test_a_file_is_refused_if_most_lines_have_another_shape(
    tmp_path: Path, content: str, reported: tuple[str, str]
) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(PromptTableError) as refused:
        PromptTable.load(path)

    what, fix = reported
    assert f"it looks like {what};" in str(refused.value)
    assert fix in str(refused.value)
    assert "\n" not in str(refused.value)


MINORITY = [
    *("- A kite in a list", "1. A kite in a list", "1917", "A kite\twith a tab\tinside", "A | B | C", "0:30"),
    *("From: a low angle", "(1) A kite", "\u2022 A kite", "\u2014 Hello, says the kite", "3 - 2 kites", "a) kite"),
]


@pytest.mark.parametrize("line", MINORITY)
def test_a_line_with_such_a_shape_is_a_prompt_among_others(tmp_path: Path, line: str) -> None:
    for number, lines in enumerate(([line, "A red kite"], ["A red kite", line], ["A", "B", line])):
        path = tmp_path / f"{number}.txt"
        path.write_text("\n".join(lines), encoding="utf-8")

        assert [request.positive_prompt for request in PromptTable.load(path).requests] == lines


@pytest.mark.parametrize(
    "lines",
    [
        ["3-legged dog on a beach", "16:9 frame of a kite", "1.5 litres of milk", "360\xb0 view of a city"],
        ["3 foxes", "4 owls", "5 hens"],
        ["1980s street, neon", "1990s street, rain"],
        ["2001: a space station", "1917: a trench"],
        ["12:30, a kite", "16:45, a boat"],
        ["Scene 1: a kite", "Scene 2: a boat"],
        ["DatasetRow: a kite", "DatasetRow: a boat"],
        ["A kite - wide shot", "A boat - close-up"],
        ["A kite | studio", "A boat | studio"],
        ["{red|blue|green} kite", "[cat|dog|fox] on a beach"],
        ["kite,beach,sunset", "boat,harbor,night"],
        ["A. Lincoln at his desk", "J. Verne at sea"],
        ["\u4e00\u4e2a\u5395\u6240", "\u4e09\u53ea\u732b\uff0c\u5728\u6d77\u8fb9"],
        ["I see a kite", "I see a boat"],
        ['"OPEN", says the neon sign', '"CLOSED", says the door'],
        ["(masterpiece:1.2), a kite", "(best quality), a boat"],
        ["--ar 16:9 kite", "--ar 16:9 boat"],
        ["\U0001f30a\U0001f30a", "3 \U0001f30a"],
    ],
)
def test_a_list_of_ordinary_prompts_loads(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join(lines), encoding="utf-8")

    table = PromptTable.load(path)

    assert [row.request.positive_prompt for row in table.rows] == lines


WORD = st.one_of(
    st.text(st.characters(categories=("L", "M", "N")), min_size=1, max_size=8),
    st.sampled_from(["-", "\u2014", "1.", "2)", "16:9", "4k,", "12:30", "|", "(a|b)", "e.g.", "fox;", "No. 5", "#1"]),
)
PROSE = st.builds(
    lambda opening, words, end: " ".join([opening, *words]) + end,
    st.sampled_from(
        ["A kite", "Two foxes", "In a still frame,", "Scene 1:", "3-legged dog", "1980s city", "\u98ce\u7b5d"]
    ),
    st.lists(WORD, max_size=8),
    st.sampled_from(["", ".", "!", ", 4k"]),
)


@pytest.mark.slow
@given(st.lists(PROSE.filter(lambda line: line.count("|") < 2), min_size=1, max_size=10))
def test_lines_of_prose_are_never_refused(lines: list[str]) -> None:
    assert lookalike_of_text("\n".join(lines)) is None
    assert [lookalike_of_line(line) for line in lines] == [None] * len(lines)


@given(st.lists(PROSE, min_size=1, max_size=9), st.data())
def test_a_marker_before_each_line_is_refused_and_before_a_minority_is_not(
    lines: list[str], data: st.DataObject
) -> None:
    marker = data.draw(st.sampled_from(["- ", "* ", "1. ", "2) ", "\u2022 ", "\u2014 "]))
    marked = [f"{marker}{line}" for line in lines]

    assert lookalike_of_text("\n".join(marked)) is not None
    assert lookalike_of_text("\n".join([*marked, *["A plain prompt"] * len(lines)])) is None


@pytest.mark.parametrize(
    "name", ["NOTES.txt", "README.txt", "LICENSE.txt", "readme.en.TXT", "Read me.txt", "requirements.txt", "TODO.txt"]
)
def test_notes_are_refused_also_when_they_are_named_directly(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("These are for the autumn campaign.\n")

    with pytest.raises(PromptTableError, match="has a name that suggests notes or a license"):
        PromptTable.load(tmp_path / name)


def test_notes_that_do_not_exist_are_reported_as_missing(tmp_path: Path) -> None:
    with pytest.raises(PromptTableError, match="does not exist"):
        PromptTable.load(tmp_path / "NOTES.txt")


@pytest.mark.parametrize("piece", ["-", "1", "|", "a|", '"', ',"', "{", "[", "(", "a,", "\t", "1.", "+-", "x1", "= "])
def test_a_line_of_any_length_is_looked_at_in_linear_time(piece: str) -> None:
    for end in ("", "!", " A kite\n"):
        text = piece * (60_000 // len(piece)) + end
        lookalike_of_text("\n".join([text] * 2))


@pytest.mark.parametrize(
    ("name", "column"),
    [
        *(
            (name, "inputs.frame_images")
            for name in (
                *("first_image", "first_frame", "firstFrame", "First Image", "start_image", "init_image", "image_url"),
                *("fist_frame", "inputs.first_frame", "image_path", "init_image", "photo", "input_images"),
            )
        ),
        *((name, "inputs.audio") for name in ("audio_url", "sound", "soundtrack", "audio_urls", "music")),
        *(("webhook", "webhook_url"), ("callback_url", "webhook_url"), ("random_seed", "seed")),
    ],
)
def test_a_near_name_of_a_column_is_suggested(name: str, column: str) -> None:
    found = column_of(name)

    assert isinstance(found, Refusal)
    assert found.fix == f"did you mean {column}?"


@pytest.mark.parametrize("name", ["last_frame", "end_image", "lastFrame", "inputs.final_frame"])
def test_a_last_frame_is_not_suggested_as_a_first_one(name: str) -> None:
    found = column_of(name)

    assert isinstance(found, Refusal)
    assert "did you mean" not in found.fix


def test_a_near_name_of_a_parameter_is_suggested_where_there_is_no_table() -> None:
    given = {"positivePrompt": "A kite", "resolution": "480p", "firstFrame": "a.png"}

    with pytest.raises(ValidationError) as refused:
        VideoRequest.model_validate(given)

    assert [violation.fix for violation in violations_of(refused.value, given)] == ["did you mean inputs.frame_images?"]


@pytest.mark.slow
def test_a_problem_of_the_whole_table_has_no_row_in_text_metadata_and_the_command(tmp_path: Path) -> None:
    path = tmp_path / "prompts.csv"
    path.write_text("prompt,resolution,first_frame\nA kite,480x,a.png\n")
    table = PromptTable.load(path)
    shown, json_text = wan_assets("plan", path), wan_assets("plan", path, "--json").stdout
    in_dagster = problem_table(table.problems)

    assert [problem.row for problem in table.problems] == [None, 1]
    assert str(table.problems[0]).startswith("header, column first_frame: ")
    assert [record.data["row"] for record in in_dagster.records] == ["", 1]
    assert [not problem["row"] for problem in json.loads(json_text)["problems"]] == [True, False]
    assert "first_frame" in shown.stdout
    for text in (str(table.problems[0]), str(refusal_of(table).description), shown.stdout, json_text):
        assert not re.search(r"\brow 0\b|\"row\": 0\b|\bNone\b|^\s*(row: )?0\s", text, re.MULTILINE)
