"""Readers of prompt tables: one for each file format, one for DataFrames, and one for lists of requests."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from wan_assets.models import VideoRequest
from wan_assets.prompts.columns import PROMPT
from wan_assets.prompts.keyed_objects import records_of_keyed
from wan_assets.prompts.lookalikes import HEAD_CHARACTERS, lookalike_of_bytes, lookalike_of_line, lookalike_of_text
from wan_assets.prompts.problems import printable
from wan_assets.prompts.records import MalformedRecord, Record, unavailable, unreadable

_CELL_CHARACTERS = 32 * 1024 * 1024  # the csv module's limit of 131,072 is less than one image in base64
_BATCH_ROWS = 10_000
_SIGNATURE_BYTES = 200


@dataclass(frozen=True)
class Sheet:
    """An open file, DataFrame, query or list: its records, the folder of its local files, and its default values.

    `file` is its name if the table has several files. If `is_keyed`, the column `key` contains the keys of a JSON
    object.
    """

    label: str
    records: Generator[Record | MalformedRecord]
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
    return Record(None, tuple(map(str, item)), tuple(item.values()))


def sheet_of_file(path: Path, file: str = "") -> Sheet:
    """Opens a file. Raises `PromptTableError`, here or when records are read, if the file cannot be read."""
    _refuse_missing(path)
    reader, has_header = _READERS.get(path.suffix.lower(), (None, False))
    if reader is None:
        found = f"has the extension {path.suffix}" if path.suffix else "has no extension"
        raise unreadable(path, f"{found}; supported are {KNOWN_EXTENSIONS}")
    _refuse_other_files(path)
    defaults = {"resolution": "720p"} if reader is _prompts else {}
    is_keyed = reader is _json_rows
    label = printable(str(path))
    return Sheet(label, _guarded(path, reader), has_header, path.parent, defaults, printable(file), is_keyed)


def _refuse_missing(path: Path) -> None:
    try:
        if not path.exists():
            raise unavailable(path, f"does not exist; check the name and the folder {Path.cwd()}")
        if not path.is_file():
            raise unreadable(path, "is not a regular file; save the table as a file")
    except (OSError, ValueError) as error:
        raise unavailable(path, f"cannot be read: {error}") from error


def _refuse_other_files(path: Path) -> None:
    """Refuses a file whose first bytes do not match its extension."""
    try:
        with path.open("rb") as file:
            found = lookalike_of_bytes(file.read(_SIGNATURE_BYTES))
    except OSError:
        return  # the reader of the format reports the error
    if found and not found.fix.endswith(f" {path.suffix.lower()}"):
        raise unreadable(path, f"is not a table: it looks like {found.description}; {found.fix}")


def _guarded(
    path: Path, reader: Callable[[Path], Iterator[Record | MalformedRecord]]
) -> Generator[Record | MalformedRecord]:
    try:
        yield from reader(path)
    except UnicodeDecodeError as error:
        where = _first_bad_byte(path) or error
        raise unreadable(path, f"is not UTF-8: {where}; save it as UTF-8") from error
    except OSError as error:
        raise unavailable(path, f"cannot be read: {error.strerror or error}") from error


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
        raise unreadable(path, "is not UTF-8 text: it begins with NUL bytes; save it as UTF-8")


def _comma_separated(path: Path) -> Iterator[Record | MalformedRecord]:
    return _delimited(path, ",")


def _tab_separated(path: Path) -> Iterator[Record | MalformedRecord]:
    return _delimited(path, "\t")


def _delimited(path: Path, delimiter: str) -> Iterator[Record | MalformedRecord]:
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


_QUOTES = "enclose a cell that contains quotes or newlines in quotes, and double the quotes inside it"


def _cells(rows: Any, names: tuple[str, ...]) -> Iterator[Record | MalformedRecord]:
    while True:
        line = rows.line_num + 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            reason = "a quote is never closed" if "end of data" in str(error) else error
            yield MalformedRecord(line, None, f"cannot be split into cells: {reason}", _QUOTES, names)
            continue
        if row is None:
            return
        if len(row) == len(names):
            yield Record(line, names, row)
        elif row:
            yield _ragged(line, names, row)


def _ragged(line: int, names: tuple[str, ...], row: list[str]) -> Record | MalformedRecord:
    surplus = [cell for cell in row[len(names) :] if cell.strip()]
    if len(row) > len(names) and not surplus:
        return Record(line, names, row[: len(names)])
    rule = f"has {len(row)} {'cell' if len(row) == 1 else 'cells'} where the header has {len(names)}"
    fix = "enclose a cell that contains separators, quotes or newlines in quotes"
    if surplus:
        return MalformedRecord(line, surplus[0], rule, fix, names)
    return MalformedRecord(line, row[-1], rule, f"write empty cells as well, and {fix}", names)


def _json_lines(path: Path) -> Iterator[Record | MalformedRecord]:
    _refuse_other_encodings(path)
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for line, text in enumerate(file, 1):
            if text.strip():
                yield _record_of_line(line, text)


def _record_of_line(line: int, text: str) -> Record | MalformedRecord:
    try:
        found = json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        return MalformedRecord(line, text.strip(), f"is not valid JSON: {error}", "write one JSON object per line")
    return _record_of_object(line, found)


def _record_of_object(line: int | None, found: Any) -> Record | MalformedRecord:
    if not isinstance(found, dict):
        fix = f'write an object such as {{"{PROMPT}": "A red kite"}}'
        return MalformedRecord(line, found, "is not a JSON object", fix)
    return Record(line, tuple(found), tuple(found.values()))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return found


def _json_rows(path: Path) -> Iterator[Record | MalformedRecord]:
    _refuse_other_encodings(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_object)
    except UnicodeDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        hint = "write an array of objects, or save one object per line as .jsonl"
        raise unreadable(path, f"is not valid JSON: {error}; {hint}") from error
    if isinstance(found, dict):
        yield from records_of_keyed(path, found)
        return
    if not isinstance(found, list):
        raise unreadable(path, "does not contain a JSON array; write an array of objects")
    yield from (_record_of_object(None, item) for item in found)


def _prompts(path: Path) -> Iterator[Record | MalformedRecord]:
    _refuse_other_encodings(path)
    with path.open(encoding="utf-8-sig") as file:
        if found := lookalike_of_text(file.read(HEAD_CHARACTERS)):
            raise unreadable(path, f"is not a list of prompts: it looks like {found.description}; {found.fix}")
        file.seek(0)
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            if look := lookalike_of_line(text):
                yield MalformedRecord(line, text.strip(), f"looks like {look.description}", look.fix, (PROMPT,))
            else:
                yield Record(line, (PROMPT,), (text.removesuffix("\n"),))


def _parquet(path: Path) -> Iterator[Record | MalformedRecord]:
    yield from import_module("wan_assets.prompts.dataframes").records_of_parquet(path, _BATCH_ROWS)


_READERS: Mapping[str, tuple[Callable[[Path], Iterator[Record | MalformedRecord]], bool]] = {
    ".csv": (_comma_separated, True),
    ".tsv": (_tab_separated, True),
    ".jsonl": (_json_lines, False),
    ".ndjson": (_json_lines, False),
    ".json": (_json_rows, False),
    ".parquet": (_parquet, True),
    ".txt": (_prompts, True),
}
"""The reader of each extension, and whether its rows share one header."""

EXTENSIONS = frozenset(_READERS)
KNOWN_EXTENSIONS = ", ".join(_READERS)
