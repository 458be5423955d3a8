"""Records from JSON and JSON Lines files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from wan_assets.prompts.columns import PROMPT
from wan_assets.prompts.keyed_objects import records_of_keyed
from wan_assets.prompts.records import MalformedRecord, Record, unreadable
from wan_assets.prompts.table_file import TableFile


def json_lines(table: TableFile) -> Iterator[Record | MalformedRecord]:
    """Yields the rows of a JSON Lines file."""
    with table.open_text(newline="\n") as file:
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


def json_rows(table: TableFile) -> Iterator[Record | MalformedRecord]:
    """Yields the rows of a JSON file: the objects of an array, or the values of an object."""
    try:
        with table.open_text(is_read_at_once=True) as file:
            found = json.loads(file.read(), object_pairs_hook=_object)
    except UnicodeDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        hint = "write an array of objects, or save one object per line as .jsonl"
        raise unreadable(table, f"is not valid JSON: {error}; {hint}") from error
    if isinstance(found, dict):
        yield from records_of_keyed(table, found)
        return
    if not isinstance(found, list):
        raise unreadable(table, "does not contain a JSON array; write an array of objects")
    yield from (_record_of_object(None, item) for item in found)
