"""Formats of prompt tables: readers that yield raw records from files of each kind and from DataFrames."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wan_assets.errors import PromptTableError
from wan_assets.prompts.columns import PROMPT
from wan_assets.prompts.lookalikes import HEAD_CHARACTERS, lookalike_of_bytes, lookalike_of_line, lookalike_of_text
from wan_assets.prompts.problems import printable

if TYPE_CHECKING:
    import pandas as pd

_CELL_CHARACTERS = 32 * 1024 * 1024  # the csv module's 131,072 is less than one picture in base64
_BATCH_ROWS = 10_000
_MARK_BYTES = 200


class Record(NamedTuple):
    """One row as it was written: values beside the names of their columns."""

    line: int | None
    names: tuple[str, ...]
    values: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Flaw:
    """One row that cannot be taken apart into cells."""

    line: int | None
    value: Any
    rule: str
    fix: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sheet:
    """An open table: its records, the folder of its local files, and values for what rows leave open.

    `file` names it among several files of one table.
    """

    label: str
    records: Generator[Record | Flaw]
    has_header: bool
    folder: Path | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""


def sheet_of_frame(frame: pd.DataFrame) -> Sheet:
    """Opens a DataFrame; what is none raises `PromptTableError` when records are asked for."""
    records = import_module("wan_assets.prompts.dataframes").records_of_frame(frame, _BATCH_ROWS)
    return Sheet("the DataFrame", records, has_header=True)


def sheet_of_file(path: Path, file: str = "") -> Sheet:
    """Opens a file; raises `PromptTableError` if it cannot be read, here or when records are asked for."""
    _refuse_what_is_no_file(path)
    reader, has_header = _READERS.get(path.suffix.lower(), (None, False))
    if reader is None:
        found = f"has the extension {path.suffix}" if path.suffix else "has no extension"
        raise unreadable(path, f"{found}; known are {KNOWN}")
    _refuse_other_files(path)
    defaults = {"resolution": "720p"} if reader is _prompts else {}
    return Sheet(printable(str(path)), _guarded(path, reader), has_header, path.parent, defaults, printable(file))


def unreadable(path: Path, reason: str) -> PromptTableError:
    """The error of a file that is no table; what cannot be printed of its name is escaped."""
    return PromptTableError(f"{printable(str(path))} {reason}")


def _refuse_what_is_no_file(path: Path) -> None:
    try:
        if not path.exists():
            raise unreadable(path, f"does not exist; check the name, and the folder {Path.cwd()}")
        if not path.is_file():
            raise unreadable(path, "is not a regular file; save the table as a file")
    except (OSError, ValueError) as error:
        raise unreadable(path, f"cannot be read: {error}") from error


def _refuse_other_files(path: Path) -> None:
    """Refuses what the first bytes say to be something else than the name does."""
    try:
        with path.open("rb") as file:
            found = lookalike_of_bytes(file.read(_MARK_BYTES))
    except OSError:
        return  # Its reader says what is wrong.
    if found and not found.fix.endswith(f" {path.suffix.lower()}"):
        raise unreadable(path, f"is no table: it looks like {found.what}; {found.fix}")


def _guarded(path: Path, reader: Callable[[Path], Iterator[Record | Flaw]]) -> Generator[Record | Flaw]:
    try:
        yield from reader(path)
    except UnicodeDecodeError as error:
        where = _first_bad_byte(path) or error
        raise unreadable(path, f"is not UTF-8: {where}; save it as UTF-8") from error
    except OSError as error:
        raise unreadable(path, f"cannot be read: {error.strerror or error}") from error


def _first_bad_byte(path: Path) -> str | None:
    offset = 0
    with path.open("rb") as file:
        for line, raw in enumerate(file, 1):
            try:
                raw.decode()
            except UnicodeDecodeError as error:
                where = f"line {line}, byte offset {offset + error.start}"
                return f"{where} holds 0x{raw[error.start]:02x}, {error.reason}"
            offset += len(raw)
    return None


def _refuse_other_encodings(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(4)
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or head == b"\x00\x00\xfe\xff":
        raise unreadable(path, "is UTF-16 or UTF-32; save it as UTF-8 (in Excel: CSV UTF-8)")
    if b"\x00" in head:
        raise unreadable(path, "is no UTF-8 text: it begins with NUL bytes; save it as UTF-8")


def _comma_separated(path: Path) -> Iterator[Record | Flaw]:
    return _delimited(path, ",")


def _tab_separated(path: Path) -> Iterator[Record | Flaw]:
    return _delimited(path, "\t")


def _delimited(path: Path, delimiter: str) -> Iterator[Record | Flaw]:
    _refuse_other_encodings(path)
    csv.field_size_limit(max(csv.field_size_limit(), _CELL_CHARACTERS))
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = next((row for row in rows if row), [])
        except csv.Error as error:
            raise unreadable(path, f"has a header that cannot be read: {error}; {_QUOTES}") from error
        while header and not header[-1].strip():
            header.pop()
        yield from _cells(rows, tuple(header))


_QUOTES = "put a cell that holds quotes or newlines in quotes, and double the quotes in it"


def _cells(rows: Any, names: tuple[str, ...]) -> Iterator[Record | Flaw]:
    while True:
        line = rows.line_num + 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            reason = "a quote is never closed" if "end of data" in str(error) else error
            yield Flaw(line, None, f"cannot be taken apart: {reason}", _QUOTES, names)
            continue
        if row is None:
            return
        if len(row) == len(names):
            yield Record(line, names, row)
        elif row:
            yield _ragged(line, names, row)


def _ragged(line: int, names: tuple[str, ...], row: list[str]) -> Record | Flaw:
    surplus = [cell for cell in row[len(names) :] if cell.strip()]
    if len(row) > len(names) and not surplus:
        return Record(line, names, row[: len(names)])
    rule = f"has {len(row)} {'cell' if len(row) == 1 else 'cells'} where the header has {len(names)}"
    fix = "put a cell that holds separators, quotes or newlines in quotes"
    if surplus:
        return Flaw(line, surplus[0], rule, fix, names)
    return Flaw(line, row[-1], rule, f"write empty cells too, and {fix}", names)


def _json_lines(path: Path) -> Iterator[Record | Flaw]:
    _refuse_other_encodings(path)
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for line, text in enumerate(file, 1):
            if text.strip():
                yield _record_of_line(line, text)


def _record_of_line(line: int, text: str) -> Record | Flaw:
    try:
        found = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        return Flaw(line, text.strip(), f"is not valid JSON: {error}", "write one JSON object in one line")
    return _record_of_object(line, found)


def _record_of_object(line: int | None, found: Any) -> Record | Flaw:
    if not isinstance(found, dict):
        fix = f'write an object such as {{"{PROMPT}": "A red kite"}}'
        return Flaw(line, found, "is not a JSON object", fix)
    return Record(line, tuple(found), tuple(found.values()))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return found


def _json_array(path: Path) -> Iterator[Record | Flaw]:
    _refuse_other_encodings(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_object)
    except UnicodeDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        hint = "write an array of objects, or save one object a line as .jsonl"
        raise unreadable(path, f"is not valid JSON: {error}; {hint}") from error
    if not isinstance(found, list):
        raise unreadable(path, "holds no JSON array; write an array of objects")
    yield from (_record_of_object(None, item) for item in found)


def _prompts(path: Path) -> Iterator[Record | Flaw]:
    _refuse_other_encodings(path)
    with path.open(encoding="utf-8-sig") as file:
        if found := lookalike_of_text(file.read(HEAD_CHARACTERS)):
            raise unreadable(path, f"is no list of prompts: it looks like {found.what}; {found.fix}")
        file.seek(0)
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            if look := lookalike_of_line(text):
                yield Flaw(line, text.strip(), f"looks like {look.what}", look.fix, (PROMPT,))
            else:
                yield Record(line, (PROMPT,), (text.removesuffix("\n"),))


def _parquet(path: Path) -> Iterator[Record | Flaw]:
    yield from import_module("wan_assets.prompts.dataframes").records_of_parquet(path, _BATCH_ROWS)


_READERS: Mapping[str, tuple[Callable[[Path], Iterator[Record | Flaw]], bool]] = {
    ".csv": (_comma_separated, True),
    ".tsv": (_tab_separated, True),
    ".jsonl": (_json_lines, False),
    ".ndjson": (_json_lines, False),
    ".json": (_json_array, False),
    ".parquet": (_parquet, True),
    ".txt": (_prompts, True),
}
"""Per extension the reader, and whether its rows share one header."""

EXTENSIONS = frozenset(_READERS)
KNOWN = ", ".join(_READERS)
