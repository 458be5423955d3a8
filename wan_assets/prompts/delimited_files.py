"""Records from CSV and TSV files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

from wan_assets.prompts.records import MalformedRecord, Piece, RecordBatch, unreadable
from wan_assets.prompts.table_file import TableFile

_CELL_CHARACTERS = 32 * 1024 * 1024  # the csv module's limit of 131,072 is less than one image in base64
_BATCH_ROWS = 1000
_QUOTES = "enclose a cell that contains quotes or newlines in quotes, and double the quotes inside it"


DELIMITERS: Mapping[str, str] = {".csv": ",", ".tsv": "\t"}


def comma_separated(file: TableFile) -> Iterator[Piece]:
    """Yields the rows of a CSV file."""
    return _delimited(file, DELIMITERS[".csv"])


def tab_separated(file: TableFile) -> Iterator[Piece]:
    """Yields the rows of a TSV file."""
    return _delimited(file, DELIMITERS[".tsv"])


def _delimited(table: TableFile, delimiter: str) -> Iterator[Piece]:
    with table.open_text(newline="") as file:
        rows = rows_of(file, delimiter)
        try:
            header = header_of(rows)
        except csv.Error as error:
            raise unreadable(table, f"has a header that cannot be read: {error}; {_QUOTES}") from error
        yield from pieces_of(rows, names_in(header), len(header))


def rows_of(lines: Iterable[str], delimiter: str) -> Any:
    """Returns a reader of the `csv` module."""
    csv.field_size_limit(max(csv.field_size_limit(), _CELL_CHARACTERS))
    return csv.reader(lines, delimiter=delimiter, strict=True)


def header_of(rows: Any) -> list[str]:
    """Reads the header, the first row that is not empty; raises `csv.Error` if it cannot be split into cells."""
    return next((row for row in rows if row), [])


def names_in(header: Sequence[str]) -> tuple[str, ...]:
    """Returns the names of a header without the empty ones at its end: spreadsheets export empty columns."""
    named = [number for number, name in enumerate(header, 1) if name.strip()]
    return tuple(header[: named[-1] if named else 0])


def pieces_of(rows: Any, names: tuple[str, ...], header_cells: int) -> Iterator[Piece]:
    """Yields the rows in batches, and those that cannot be split into cells; `header_cells` is the number of cells in
    the header with and without a name.
    """
    ends = iter(partial(getattr, rows, "line_num"), None)
    while True:
        before = rows.line_num
        read: list[tuple[list[str], int]] = []
        failed: csv.Error | None = None
        try:
            read.extend(islice(zip(rows, ends, strict=False), _BATCH_ROWS))
        except csv.Error as error:
            failed = error
        yield from _pieces_of([row for row, _ in read], [end for _, end in read], before, names, header_cells)
        if failed:
            reason = "a quote is never closed" if "end of data" in str(failed) else failed
            line = 1 + (read[-1][1] if read else before)
            yield MalformedRecord(line, None, f"cannot be split into cells: {reason}", _QUOTES, names)
        elif len(read) < _BATCH_ROWS:
            return


def _pieces_of(
    rows: list[list[str]], ends: list[int], before: int, names: tuple[str, ...], header_cells: int
) -> Iterator[Piece]:
    """Yields consecutive rows, of which each ends in one of the lines `ends`, and the first begins after `before`."""
    lines = [last + 1 for last in (before, *ends[:-1])]
    if set(map(len, rows)) == {len(names)}:
        yield RecordBatch(lines, names, rows)
        return
    width = len(names)
    pairs = zip(lines, rows, strict=False)
    found = [(line, row if len(row) <= width else _without_surplus(row, width)) for line, row in pairs if row]
    batch = RecordBatch([line for line, _ in found], names, [row for _, row in found])
    start = 0
    for at in [at for at, row in enumerate(batch.values) if len(row) != width]:
        if start < at:
            yield batch.taken(start, at)
        yield _ragged(*found[at], names, header_cells)
        start = at + 1
    if start < len(batch):
        yield batch.taken(start, len(batch))


def _without_surplus(row: list[str], count: int) -> list[str]:
    """Returns a row without the cells that the header does not have, if they are empty."""
    return row if any(map(str.strip, row[count:])) else row[:count]


def _ragged(line: int, row: list[str], names: tuple[str, ...], header_cells: int) -> MalformedRecord:
    """Returns a row whose number of cells differs from that of the header, or that has a cell without a name."""
    rule = f"has {len(row)} {'cell' if len(row) == 1 else 'cells'} where the header has {header_cells}"
    fix = "enclose a cell that contains separators, quotes or newlines in quotes"
    if len(row) <= len(names):
        return MalformedRecord(line, row[-1], rule, f"write empty cells as well, and {fix}", names)
    filled = [at for at in range(len(names), len(row)) if row[at].strip()]
    if filled[-1] >= header_cells:
        return MalformedRecord(line, row[filled[0]], rule, fix, names)
    number = filled[0] + 1
    rule = f"has a value in column {number}, which has no name in the header"
    return MalformedRecord(line, row[filled[0]], rule, f"name column {number}, remove the value, or {fix}", names)
