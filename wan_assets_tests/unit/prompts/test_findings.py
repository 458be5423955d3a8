"""Problems by kind: what is one finding, and how it reads."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from wan_assets import PromptTable
from wan_assets.prompts import Problem, Refusal, Summary, findings_of, scan


def problem(row: int, rule: str, column: str = "seed", value: str = "x") -> Problem:
    return Problem.of(Refusal(rule, "fix it"), row=row, line=None, prompt_id=None, column=column, value=value)


def test_a_missing_size_in_every_row_is_one_finding_with_one_fix() -> None:
    summary = Summary.of(scan(pd.DataFrame({"prompt": [f"a {number}" for number in range(1003)]})))

    (finding,) = summary.findings
    assert (finding.count, finding.first.column, finding.rows) == (1003, "resolution", ("1", "2", "3", "4", "5"))
    assert "set a default, such as resolution=720p" in finding.fix
    assert str(summary.findings).startswith(
        "1,003 problems of 1 kind. The first kind is in 1,003 rows (1, 2, 3, 4, 5, …)"
    )
    assert summary.problem_count == 1003


def test_rules_that_name_the_row_are_one_kind_and_different_rules_are_not() -> None:
    frame = pd.DataFrame(
        {"prompt_id": ["a", "b", "a", "b", "c/d"], "prompt": "p", "resolution": "480p", "duration": [5, 5, 5, 5, 7]}
    )

    found = findings_of(PromptTable.load(frame).problems)

    assert [(each.first.column, each.first.rule, each.count, each.places) for each in found] == [
        ("prompt_id", "is already the id of row 1", 2, "3, 4"),
        ("duration", "input should be 5 or 10", 1, "5"),
        ("prompt_id", "must not contain / \\ , | [ ] or two consecutive dots", 1, "5"),
    ]


def test_numbers_and_quoted_texts_of_a_rule_make_no_new_kind(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("prompt,resolution\na,480p,x\nb,480p,x,y\n")

    found = findings_of(PromptTable.load(tmp_path / "t.csv").problems)
    others = findings_of([problem(1, "contains 'a'"), problem(2, "contains 'b'"), problem(3, "lacks 'b'")])

    assert [each.count for each in found] == [2]
    assert [each.count for each in others] == [2, 1]


def test_rows_with_too_few_and_with_too_many_cells_are_two_findings_with_their_own_fixes(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("prompt_id,prompt,resolution,duration\nk,A red, big,480p,5\nb,B,480p\nc,C,480p\n")

    many, few = findings_of(PromptTable.load(tmp_path / "t.csv").problems)

    assert (many.places, many.first.rule) == ("1", "has 5 cells where the header has 4")
    assert (few.places, few.first.rule) == ("2, 3", "has 3 cells where the header has 4")
    assert few.fix == f"write empty cells as well, and {many.fix}"


def test_limits_of_different_models_are_two_findings_with_their_own_fixes() -> None:
    rows = [
        {"prompt": "p" * (3000 + number), "resolution": "720p", "duration": 5, "model": model}
        for model in ("wan2.5", "wan2.6")
        for number in range(2)
    ]

    found = findings_of(PromptTable.load(rows).problems)

    assert [(each.count, each.places) for each in found] == [(2, "1, 2"), (2, "3, 4")]
    assert [each.fix.partition(";")[0] for each in found] == [
        "shorten it to 2000 characters",
        "shorten it to 1500 characters",
    ]


def test_parts_of_a_fix_that_depend_on_the_row_make_no_new_kind(tmp_path: Path) -> None:
    for folder in ("my kites/campaign=a", "my kites/campaign=b"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "t.jsonl").write_text('{"prompt": "A kite", "frame_images": "missing.png"}\n')
    pairs = [{"prompt": "A kite", "width": width, "height": height} for width, height in ((1281, 720), (721, 1280))]

    files = findings_of(PromptTable.load(tmp_path / "my kites").problems)
    sizes = findings_of(PromptTable.load(pairs).problems)

    assert [(each.count, each.first.rule) for each in files] == [(2, "no such file")]
    assert [(each.count, each.fix) for each in sizes] == [(2, "try 1280x720")]


def test_a_single_problem_reads_as_before() -> None:
    (one,) = findings_of([problem(3, "is wrong")])

    assert str(one) == str(problem(3, "is wrong"))
    assert (one.cells()["count"], one.cells()["rows"]) == (1, "3")


def test_places_name_the_file_if_there_are_several(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text("prompt,resolution\nA kite,9p\n")

    (finding,) = findings_of(PromptTable.load(tmp_path).problems)

    assert finding.places == "a.csv: 1, b.csv: 1"


def test_the_number_of_kinds_is_bounded_and_all_problems_are_counted() -> None:
    found = findings_of(problem(row, "is wrong", column=f"column_{row}") for row in range(1, 1502))

    assert (len(found), found.count, found.others) == (1000, 1501, 501)
