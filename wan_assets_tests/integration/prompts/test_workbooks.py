"""Workbooks of Excel: their types, their sheets, and cells whose values are lost."""

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import xlsxwriter

from wan_assets import PromptTable
from wan_assets.errors import PromptTableError
from wan_assets.prompts.formats import sheet_of_file

HEADER = ["prompt", "resolution", "seed", "date", "flag", "score"]
ROW = ["A kite", "720p", 7, date(2026, 1, 2), True, 0.5]


def workbook(path: Path, fill: Callable[[Any, Any], None]) -> Path:
    """A workbook that `fill` writes, given the workbook and its first sheet."""
    with xlsxwriter.Workbook(path, {"default_date_format": "yyyy-mm-dd", "remove_timezone": True}) as made:
        fill(made, made.add_worksheet("prompts"))
    return path


def rows(sheet: Any, *given: list[Any], at: tuple[int, int] = (0, 0)) -> None:
    for number, row in enumerate(given):
        for column, cell in enumerate(row):
            sheet.write(at[0] + number, at[1] + column, cell)


def test_a_sheet_is_a_table_with_the_types_of_its_cells(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "t.xlsx", lambda _, sheet: rows(sheet, HEADER, ROW, [], ["A hill", "720p", None, None, False, 2.0])
    )

    table = PromptTable.load(path)

    assert table.problems == ()
    assert [(row.request.positive_prompt, row.request.seed, row.line) for row in table.rows] == [
        ("A kite", 7, 2),
        ("A hill", None, 4),
    ]
    assert dict(table.rows[0].extra) == {"date": "2026-01-02", "flag": "true", "score": "0.5"}
    assert dict(table.rows[1].extra) == {"flag": "false", "score": "2"}


def test_numbers_are_integers_where_they_are_whole_and_times_are_text(tmp_path: Path) -> None:
    def fill(made: Any, sheet: Any) -> None:
        rows(sheet, ["prompt", *"abcdef"], ["x", 1e15, 2.5, -3, 1e300])
        sheet.write_datetime(
            "F2", datetime.fromisoformat("2026-01-02T03:04:05"), made.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        )
        sheet.write_datetime("G2", time(6, 7), made.add_format({"num_format": "hh:mm"}))

    (record,) = sheet_of_file(workbook(tmp_path / "t.xlsx", fill)).records

    assert list(record[2]) == ["x", 10**15, 2.5, -3, 1e300, "2026-01-02T03:04:05", "06:07:00"]
    assert [type(value) for value in record[2][1:5]] == [int, float, int, float]


def test_a_table_may_begin_anywhere_and_hidden_sheets_are_not_read(tmp_path: Path) -> None:
    def fill(made: Any, sheet: Any) -> None:
        rows(sheet, ["prompt", "resolution", ""], ["A kite", "720p"], at=(3, 2))
        made.add_worksheet("empty")
        hidden = made.add_worksheet("lists")
        hidden.write(0, 0, "720p")
        hidden.hide()

    (row,) = PromptTable.load(workbook(tmp_path / "t.xlsx", fill)).rows

    assert (row.request.positive_prompt, row.line) == ("A kite", 5)


def test_several_sheets_with_rows_are_an_error_that_names_them(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "t.xlsx", lambda made, sheet: (rows(sheet, HEADER, ROW), rows(made.add_worksheet("notes"), ["x"]))
    )

    with pytest.raises(PromptTableError, match="has 2 sheets with rows: 'prompts', 'notes'; hide all but one"):
        PromptTable.load(path)


def test_an_error_and_a_formula_without_result_are_problems_of_their_row(tmp_path: Path) -> None:
    def fill(_: Any, sheet: Any) -> None:
        rows(sheet, ["prompt", "resolution", "seed"], *[["A kite", "720p"]] * 5)
        sheet.write_formula("C2", "=1/0", None, "#DIV/0!")
        sheet.write_formula("C3", "=A1&A2", None, "")
        sheet.write_formula("C4", "=1+1", None, 2)
        sheet.write_formula("D5", '=IF(1<2,"","x")', None, "")
        sheet.write(0, 3, "note")
        sheet.write(5, 5, "surplus")

    path = workbook(tmp_path / "t.xlsx", fill)
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(tmp_path / "u.xlsx", "w") as after:
        for name in before.namelist():
            content = before.read(name).replace(b"<f>A1&amp;A2</f><v></v>", b"<f>A1&amp;A2</f>")
            content = content.replace(b'<c r="D5">', b'<c r="D5" t="str">')
            after.writestr(name, content)

    table = PromptTable.load(tmp_path / "u.xlsx")

    assert [(problem.line, problem.rule) for problem in table.problems] == [
        (2, "cell C2 contains the error #DIV/0!"),
        (3, "cell C3 has a formula without a stored result"),
        (6, "has 6 cells where the header has 4"),
    ]
    assert [row.request.seed for row in table.rows] == [2, None]


def test_a_sheet_of_another_program_is_read_too(tmp_path: Path) -> None:
    ods = io.BytesIO()
    cells = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>' for cell in row
        )
        + "</table:table-row>"
        for row in (["prompt", "resolution"], ["A kite", "720p"])
    )
    names = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    sheet = f'<office:spreadsheet><table:table table:name="a">{cells}</table:table></office:spreadsheet>'
    with zipfile.ZipFile(ods, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("META-INF/manifest.xml", "<manifest/>")
        archive.writestr(
            "content.xml",
            f"<office:document-content {names}><office:body>{sheet}</office:body></office:document-content>",
        )
    (tmp_path / "t.ods").write_bytes(ods.getvalue())

    assert [row.request.positive_prompt for row in PromptTable.load(tmp_path / "t.ods").rows] == ["A kite"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.xlsx", b"", "is not a workbook that can be read"),
        ("t.xls", b"<html><table></table></html>", "is not a workbook that can be read"),
        ("t.xls", b"prompt,resolution\nA kite,720p\n", "save the table again as .xlsx, or as CSV UTF-8"),
        ("t.xlsx", b"PAR1", "looks like a Parquet file"),
        ("t.xlsx.gz", b"\x1f\x8b", "only text files may be compressed"),
    ],
)
def test_what_is_no_workbook_is_an_error_that_names_the_file(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(PromptTableError) as caught:
        PromptTable.load(tmp_path / name)

    assert str(tmp_path / name) in str(caught.value)
    assert said in str(caught.value)


def test_a_cut_workbook_and_one_without_rows_are_errors(tmp_path: Path) -> None:
    whole = workbook(tmp_path / "t.xlsx", lambda _, sheet: rows(sheet, HEADER, ROW)).read_bytes()
    (tmp_path / "t.xlsx").write_bytes(whole[:-100])
    with pytest.raises(PromptTableError, match="is not a workbook"):
        PromptTable.load(tmp_path / "t.xlsx")
    with pytest.raises(PromptTableError, match="has no rows"):
        PromptTable.load(workbook(tmp_path / "u.xlsx", lambda *_: None))


def test_a_workbook_without_its_name_says_how_to_rename_it(tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx", lambda _, sheet: rows(sheet, HEADER, ROW)).rename(tmp_path / "t.csv")

    with pytest.raises(PromptTableError, match=r"if it is a workbook, rename it to end in \.xlsx"):
        PromptTable.load(path)


def test_without_the_package_the_extra_is_named(tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx", lambda _, sheet: rows(sheet, HEADER, ROW))
    code = (
        "import sys; sys.modules['python_calamine'] = None; import wan_assets; wan_assets.PromptTable.load(sys.argv[1])"
    )

    ended = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=False)

    assert "it needs `pip install 'wan-assets[excel]'`" in ended.stderr


def test_pandas_and_the_reader_agree(tmp_path: Path) -> None:
    frame = pd.DataFrame({"prompt": [f"A kite {at}" for at in range(50)], "resolution": "720p", "seed": range(50)})
    frame.to_excel(tmp_path / "t.xlsx", engine="xlsxwriter", index=False)

    assert PromptTable.load(tmp_path / "t.xlsx").requests == PromptTable.load(frame).requests
