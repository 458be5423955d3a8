"""Formats of prompt tables: which reader reads a file, a DataFrame or a list of requests."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from wan_assets.models import VideoRequest
from wan_assets.prompts.columns import PROMPT
from wan_assets.prompts.compression import COMPRESSIONS
from wan_assets.prompts.delimited_files import comma_separated, tab_separated
from wan_assets.prompts.json_files import json_lines, json_rows
from wan_assets.prompts.lookalikes import WORKBOOKS, lookalike_of_bytes
from wan_assets.prompts.plain_values import plain_cell
from wan_assets.prompts.problems import printable
from wan_assets.prompts.prompt_lists import prompts_in
from wan_assets.prompts.records import MalformedRecord, Piece, Record, unavailable, unreadable
from wan_assets.prompts.table_file import TableFile, suffixes_of

_BATCH_ROWS = 10_000
_SIGNATURE_BYTES = 200
_PAGE = re.compile(rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body)\b")


@dataclass(frozen=True)
class Sheet:
    """An open file, DataFrame, query or list: its records, the folder of its local files, and its default values.

    `file` is its name if the table has several files. If `is_keyed`, the column `key` contains the keys of a JSON
    object.
    """

    label: str
    records: Generator[Piece]
    has_header: bool
    folder: Path | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""
    is_keyed: bool = False


def sheet_of_frame(frame: object, file: str = "") -> Sheet:
    """Opens a DataFrame. Reading its records raises `PromptTableError` if it is not a DataFrame."""
    records = import_module("wan_assets.prompts.dataframes").records_of_frame(frame, _BATCH_ROWS)
    return Sheet("the DataFrame", records, has_header=True, file=printable(file))


def sheet_of_list(items: Sequence[Any], file: str = "") -> Sheet:
    """Opens a list of requests, each a `VideoRequest` or a mapping with the columns of a row."""
    return Sheet(
        "the list of requests", (_record_of_item(item) for item in items), has_header=False, file=printable(file)
    )


def _record_of_item(item: Any) -> Record | MalformedRecord:
    if isinstance(item, VideoRequest):
        given = item.as_written()  # the original texts, because an older ledger may know their fingerprint only
        item = {name: value for name, value in given.items() if name not in ("taskType", "taskUUID")}
    if not isinstance(item, Mapping):
        fix = f'write a VideoRequest, or an object such as {{"{PROMPT}": "A red kite"}}'
        return MalformedRecord(None, item, "is neither a VideoRequest nor a mapping", fix)
    return Record(None, tuple(map(str, item)), tuple(map(plain_cell, item.values())))


@dataclass(frozen=True)
class _Format:
    """How files with one end of a name are read; the rows of some share one header. Texts may be compressed."""

    read: Callable[[TableFile], Iterator[Piece]]
    has_header: bool = False
    is_text: bool = True


def sheet_of_file(path: Path, file: str = "") -> Sheet:
    """Opens a file. Raises `PromptTableError`, here or when records are read, if the file cannot be read."""
    _refuse_missing(path)
    table = TableFile.of(path, printable(str(path)), path.name)
    format_ = _format_of(table)
    _refuse_other_files(table, format_)
    return replace(_sheet_of(table, format_, _guarded(table, format_)), folder=path.parent, file=printable(file))


def sheet_of_copy(copied: Callable[[], AbstractContextManager[Path]], label: str, name: str, file: str = "") -> Sheet:
    """Opens a file that is copied when its records are read. Raises `PromptTableError` for a name of no format."""
    table = TableFile.of(Path(), label, name)
    format_ = _format_of(table)
    return replace(_sheet_of(table, format_, _of_copy(copied, table, format_)), file=printable(file))


def _of_copy(
    copied: Callable[[], AbstractContextManager[Path]], table: TableFile, format_: _Format
) -> Generator[Piece]:
    with copied() as path:
        copy = table.copied_to(path)
        _refuse_other_files(copy, format_)
        yield from _guarded(copy, format_)


def _sheet_of(table: TableFile, format_: _Format, records: Generator[Piece]) -> Sheet:
    defaults = {"resolution": "720p"} if format_.read is prompts_in else {}
    return Sheet(table.label, records, format_.has_header, defaults=defaults, is_keyed=format_.read is json_rows)


def _format_of(table: TableFile) -> _Format:
    """Returns the format of a file; raises `PromptTableError` if its name has none."""
    format_ = _FORMATS.get(table.suffix)
    ends = f"{table.suffix}{table.compression}"
    if format_ is None:
        found = f"has the extension {ends}" if ends else "has no extension"
        raise unreadable(table, f"{found}; supported are {KNOWN_EXTENSIONS}")
    if table.compression and not format_.is_text:
        raise unreadable(table, f"has the extension {ends}; unpack it, because only text files may be compressed")
    return format_


def is_table(name: str) -> bool:
    """Whether a file has a name of a format."""
    suffix, compression = suffixes_of(name)
    return suffix in _FORMATS and (not compression or _FORMATS[suffix].is_text)


def _refuse_missing(path: Path) -> None:
    try:
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)) and not path.exists():
            raise unavailable(path, "is a URL with a single slash after its colon; write two, in a text and not a Path")
        if not path.exists():
            raise unavailable(path, f"does not exist; check the name and the folder {Path.cwd()}")
        if not path.is_file():
            raise unreadable(path, "is not a regular file; save the table as a file")
    except (OSError, ValueError) as error:
        raise unavailable(path, f"cannot be read: {error}") from error


def _refuse_other_files(table: TableFile, format_: _Format) -> None:
    """Refuses a file whose first bytes do not match its extension."""
    try:
        head = table.head(_SIGNATURE_BYTES)
    except OSError:
        return  # the reader of the format reports the error
    found = lookalike_of_bytes(head)
    if found and table.suffix not in found.suffixes:
        raise unreadable(table, f"is not a table: it looks like {found.description}; {found.fix}")
    if format_.is_text:
        _refuse_other_texts(table, head)


def _refuse_other_texts(table: TableFile, head: bytes) -> None:
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or head[:4] == b"\x00\x00\xfe\xff":
        raise unreadable(table, "is UTF-16 or UTF-32; save it as UTF-8 (in Excel: CSV UTF-8)")
    if b"\x00" in head[:4]:
        raise unreadable(table, "is not UTF-8 text: it begins with NUL bytes; save it as UTF-8")
    if table.suffix != ".txt" and _PAGE.match(head):
        fix = "check the address, and whether it needs a login"
        raise unreadable(table, f"is not a table: it looks like an HTML page; {fix}")


def _guarded(table: TableFile, format_: _Format) -> Generator[Piece]:
    try:
        before = table.path.stat()
        yield from format_.read(table)
        if _is_rewritten(before, table.path.stat()):
            raise unavailable(table, "changed while it was read, and a row may be incomplete; read it again")
    except UnicodeDecodeError as error:
        where = _first_bad_byte(table) or error
        raise unreadable(table, f"is not UTF-8: {where}; save it as UTF-8") from error
    except OSError as error:
        raise unavailable(table, f"cannot be read: {error.strerror or error}") from error


def _is_rewritten(before: os.stat_result, after: os.stat_result) -> bool:
    """Whether a file was written to. One that was replaced by another file was read as it was before."""
    is_same_file = (before.st_dev, before.st_ino) == (after.st_dev, after.st_ino)
    return is_same_file and (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)


def _first_bad_byte(table: TableFile) -> str | None:
    offset = 0
    with table.open() as file:
        for line, raw in enumerate(file, 1):
            try:
                raw.decode()
            except UnicodeDecodeError as error:
                where = f"line {line}, byte offset {offset + error.start}"
                return f"{where} holds 0x{raw[error.start]:02x}, {error.reason}"
            offset += len(raw)
    return None


def _parquet(table: TableFile) -> Iterator[Piece]:
    yield from import_module("wan_assets.prompts.dataframes").records_of_parquet(table, _BATCH_ROWS)


def _workbook(table: TableFile) -> Iterator[Piece]:
    yield from import_module("wan_assets.prompts.workbooks").records_of_workbook(table)


_FORMATS: Mapping[str, _Format] = {
    ".csv": _Format(comma_separated, has_header=True),
    ".tsv": _Format(tab_separated, has_header=True),
    ".jsonl": _Format(json_lines),
    ".ndjson": _Format(json_lines),
    ".json": _Format(json_rows),
    ".parquet": _Format(_parquet, has_header=True, is_text=False),
    ".txt": _Format(prompts_in, has_header=True),
    **dict.fromkeys(WORKBOOKS, _Format(_workbook, has_header=True, is_text=False)),
}
"""The format of each extension."""

KNOWN_EXTENSIONS = f"{', '.join(_FORMATS)}; and texts compressed as {', '.join(COMPRESSIONS)}"
