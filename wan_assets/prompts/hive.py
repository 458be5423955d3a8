"""Hive partitions: folders such as `date=2026-01-01`, whose names are cells of the tables below them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from wan_assets.prompts.cell_text import text_of
from wan_assets.prompts.cells import is_absent
from wan_assets.prompts.problems import printable
from wan_assets.prompts.records import MalformedRecord, Piece, Record, records_in, unreadable

_MISSING = "__HIVE_DEFAULT_PARTITION__"

_VERSIONED = (
    ("_delta_log", "Delta", "with DeltaTable(…).to_pyarrow_dataset() of deltalake"),
    (".hoodie", "Hudi", "as a DataFrame or as Arrow"),
)

Columns = Mapping[str, str | None]


def is_partition(folder: str) -> bool:
    """Whether the name of a folder is that of a partition, such as `date=2026-01-01`."""
    return not folder.startswith((".", "=")) and "=" in folder


def refuse_versions(label: object, has: Callable[[str], bool]) -> None:
    """Raises `PromptTableError` for a folder that also contains former versions of its table; `has` tells whether it
    contains an entry.
    """
    for entry, kind, fix in _VERSIONED:
        if has(entry):
            reason = f"is a {kind} table, whose files also contain rows that were changed or deleted"
            raise unreadable(label, f"{reason}; pass its current rows {fix}")


def partition_columns(folders: Sequence[str]) -> Columns:
    """Returns the columns of nested folders; other folders have none. Raises `PromptTableError` if two have the same.

    >>> partition_columns(["tables", "date=2026-01-01", "place=S%C3%A3o", "shard=__HIVE_DEFAULT_PARTITION__"])
    {'date': '2026-01-01', 'place': 'São', 'shard': None}
    """
    found: dict[str, str | None] = {}
    for folder in filter(is_partition, folders):
        name, _, value = folder.partition("=")
        if unquote(name) in found:
            raise unreadable(
                "/".join(folders), f"has two folders for the column {printable(unquote(name))}; rename one"
            )
        found[unquote(name)] = None if value == _MISSING else unquote(value)
    return found


def with_columns(records: Generator[Piece], columns: Columns) -> Generator[Piece]:
    """Yields the rows of a file with the columns of its folders; a row with another value in its cell is malformed."""
    own: tuple[str, ...] | None = None
    added: dict[str, str | None] = {}
    names: tuple[str, ...] = ()
    with closing(records):
        for record in records_in(records):
            if record.names is not own:
                own = record.names
                added = {name: value for name, value in columns.items() if name not in own}
                names = (*own, *added)
            if isinstance(record, MalformedRecord):
                yield replace(record, names=names) if own else record
            elif len(added) == len(columns):
                yield Record(record.line, names, (*record.values, *added.values()))
            else:
                yield _merged(record, names, added, columns)


def _merged(record: Record, names: tuple[str, ...], added: Columns, columns: Columns) -> Record | MalformedRecord:
    """Returns a row that has cells for columns of its folders: empty ones get the value, and others must equal it."""
    values: list[Any] = [*record.values, *added.values()]
    for index, name in enumerate(record.names):
        if name not in columns or values[index] == columns[name]:
            continue
        if is_absent(values[index]):
            values[index] = columns[name]
        elif text_of(values[index]) != columns[name]:
            folder = f"{name}={columns[name] or _MISSING}"
            rule = f"column {name} differs from the folder {folder!r}"  # quoted: all folders are one finding
            return MalformedRecord(record.line, values[index], rule, "correct one of them", names)
    return Record(record.line, names, values)
