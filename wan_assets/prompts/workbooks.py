"""Records from workbooks of Excel and OpenDocument; the only module that imports python-calamine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from importlib import import_module
from typing import Any

from wan_assets.prompts.records import MalformedRecord, Record, unavailable, unreadable
from wan_assets.prompts.table_file import TableFile
from wan_assets.prompts.workbook_cells import WorkbookTooLargeError, lost_cells

_FIX = "save the table again as .xlsx, or as CSV UTF-8"
_EXACT = 2**53
"""Larger numbers are not exact in a workbook, which stores all numbers as floats."""


def records_of_workbook(table: TableFile) -> Iterator[Record | MalformedRecord]:
    """Yields the rows of the only visible sheet that has any. The first row with cells is the header."""
    calamine = _calamine_for(table)
    try:
        with calamine.load_workbook(str(table.path)) as workbook:
            found = _sheet_of(table, workbook, calamine)
            lost = lost_cells(table.path, found.name) if found else {}
            rows = list(_rows_of(found)) if found else []
    except calamine.PasswordError as error:
        raise unreadable(table, "has a password; save it without one") from error
    except WorkbookTooLargeError as error:
        raise unreadable(table, f"{error}; save the table as CSV UTF-8") from error
    except (calamine.CalamineError, ValueError) as error:
        raise unreadable(table, f"is not a workbook that can be read: {error}; {_FIX}") from error
    yield from _records(rows, lost)


def _calamine_for(table: TableFile) -> Any:
    try:
        return import_module("python_calamine")
    except ImportError:
        raise unavailable(table, "cannot be read: it needs `pip install 'wan-assets[excel]'`") from None


def _sheet_of(table: TableFile, workbook: Any, calamine: Any) -> Any:
    """Returns the sheet with rows, or None; raises `PromptTableError` if several visible sheets have rows."""
    visible, worksheet = calamine.SheetVisibleEnum.Visible, calamine.SheetTypeEnum.WorkSheet
    names = [sheet.name for sheet in workbook.sheets_metadata if (sheet.visible, sheet.typ) == (visible, worksheet)]
    sheets = [sheet for sheet in map(workbook.get_sheet_by_name, names) if any(row for _, row in _rows_of(sheet))]
    if len(sheets) > 1:
        found = ", ".join(repr(sheet.name) for sheet in sheets)
        fix = "hide all but one of them, because hidden sheets are not read, or save one as CSV UTF-8"
        raise unreadable(table, f"has {len(sheets)} sheets with rows: {found}; {fix}")
    return sheets[0] if sheets else None


def _rows_of(sheet: Any) -> Iterator[tuple[int, list[Any]]]:
    """Yields the number and the cells of each row that has any, up to its last cell."""
    if not sheet.height:
        return  # older releases of python-calamine panic at the rows of an empty sheet
    before = [None] * sheet.start[1] if sheet.start else []
    for number, cells in enumerate(sheet.iter_rows(), 1):
        values = [*before, *map(_value_of, cells)]
        while values and values[-1] is None:
            values.pop()
        if values:
            yield number, values


def _value_of(cell: Any) -> Any:
    if cell == "":
        return None
    if isinstance(cell, float):
        return int(cell) if cell.is_integer() and abs(cell) <= _EXACT else cell
    if isinstance(cell, (date, datetime, time)):
        return cell.isoformat()
    return str(cell) if isinstance(cell, timedelta) else cell


def _records(
    rows: Sequence[tuple[int, list[Any]]], lost: dict[int, tuple[str, str]]
) -> Iterator[Record | MalformedRecord]:
    """Yields the rows below the header; a row with a lost value is a problem, because its cell seems empty."""
    if not rows:
        return
    names = tuple("" if name is None else str(name) for name in rows[0][1])
    numbers = dict(rows[1:])
    for number in sorted({*numbers, *(row for row in lost if row > rows[0][0])}):
        values = numbers.get(number, [])
        if number in lost:
            cell, rule = lost[number]
            yield MalformedRecord(number, cell, rule, "correct the formula, or write its value", names)
        elif len(values) > len(names):
            rule = f"has {len(values)} cells where the header has {len(names)}"
            yield MalformedRecord(number, values[-1], rule, "name all columns in the header, or remove the cell", names)
        else:
            yield Record(number, names, (*values, *[None] * (len(names) - len(values))))
