"""Cells of an `.xlsx` file whose values the reader of workbooks leaves out: errors of formulas and missing results.

Such cells seem empty, and a row with an empty `seed` or `duration` would be paid for with other values.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from html import unescape
from pathlib import Path, PurePosixPath

_MAX_BYTES = 1 << 30
"""The most that a workbook may expand to; it is read as a whole."""

_SHEET = re.compile(rb"<(?:\w+:)?sheet\s[^>]*>")
_RELATIONSHIP = re.compile(rb"<(?:\w+:)?Relationship\s[^>]*>")
_FORMULA = rb"<(?:\w+:)?f(?:\s[^>]*)?(?:/>|>[^<]*</(?:\w+:)?f>)\s*"
_NO_VALUE = rb"(?:<(?:\w+:)?v\s*/>\s*|<(?:\w+:)?v>\s*</(?:\w+:)?v>\s*)?"
_ERROR = re.compile(rb"<(?:\w+:)?c\s([^>]*\bt=\"e\"[^>]*)>\s*(?:" + _FORMULA + rb")?<(?:\w+:)?v>([^<]*)")
_UNCALCULATED = re.compile(rb"<(?:\w+:)?c\s([^>]*)>\s*" + _FORMULA + _NO_VALUE + rb"</(?:\w+:)?c>")


class WorkbookTooLargeError(Exception):
    """A workbook expands to more than this process should hold; the message continues a sentence with its name."""


def lost_cells(path: Path, sheet: str) -> dict[int, tuple[str, str]]:
    """Returns the first such cell of each row, with the rule that it breaks; nothing for workbooks of other formats.

    Raises `WorkbookTooLargeError` for a workbook that expands to more than 1 GB.
    """
    if not zipfile.is_zipfile(path):
        return {}
    with zipfile.ZipFile(path) as archive:
        if sum(info.file_size for info in archive.infolist()) > _MAX_BYTES:
            raise WorkbookTooLargeError(f"expands to more than {_MAX_BYTES >> 30} GB")
        member = _member_of(archive, sheet)
        content = archive.read(member) if member else b""
    return {row: (cell, rule) for row, cell, rule in _lost_in(content)}


def _lost_in(content: bytes) -> Iterator[tuple[int, str, str]]:
    for found in _UNCALCULATED.finditer(content):
        if _attribute(found[1], rb"t") == "str":
            continue  # an empty text is a result
        cell = _attribute(found[1], rb"r")
        yield _row_of(cell), cell, f"cell {cell} has a formula without a stored result"
    for found in _ERROR.finditer(content):
        cell, error = _attribute(found[1], rb"r"), unescape(found[2].decode(errors="replace"))
        yield _row_of(cell), error, f"cell {cell} contains the error {error}"


def _row_of(cell: str) -> int:
    return int(re.sub(r"\D", "", cell) or 0)


def _member_of(archive: zipfile.ZipFile, sheet: str) -> str:
    names = set(archive.namelist())
    if not {"xl/workbook.xml", "xl/_rels/workbook.xml.rels"} <= names:
        return ""
    tags = _SHEET.findall(archive.read("xl/workbook.xml"))
    sheets = {_attribute(tag, rb"name"): _attribute(tag, rb"\w+:id") for tag in tags}
    relationships = _RELATIONSHIP.findall(archive.read("xl/_rels/workbook.xml.rels"))
    targets = {_attribute(tag, rb"Id"): _attribute(tag, rb"Target") for tag in relationships}
    target = targets.get(sheets.get(sheet, ""), "")
    member = target[1:] if target.startswith("/") else str(PurePosixPath("xl") / target)
    return member if member in names else ""


def _attribute(tag: bytes, name: bytes) -> str:
    found = re.search(rb"(?:^|\s)" + name + rb"\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", tag)
    return unescape((found[1] or found[2] or b"").decode(errors="replace")) if found else ""
