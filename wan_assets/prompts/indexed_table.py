"""A CSV file that changed since its index was written: only the records that differ are read again."""

from __future__ import annotations

import io
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, islice
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from upath import UPath

from wan_assets.errors import PromptTableError
from wan_assets.prompts.delimited_files import pieces_of, rows_of
from wan_assets.prompts.index_builder import IndexBuilder
from wan_assets.prompts.indexed_file import IndexedFile
from wan_assets.prompts.prompt_row import PromptRow
from wan_assets.prompts.records import Piece, RecordBatch
from wan_assets.prompts.row_batch import RowBatch, Rows
from wan_assets.prompts.rows import RowReader
from wan_assets.prompts.snapshot import SnapshotWriter
from wan_assets.prompts.snapshot_rows import StoredRows, stored_rows
from wan_assets.prompts.table import Chunk
from wan_assets.prompts.table_blocks import (
    Block,
    ChangedRecords,
    IndexUnusableError,
    KnownBlocks,
    blocks_of,
    parts_of,
)
from wan_assets.prompts.table_index import DIGEST_BYTES, RowColumns, TableIndex
from wan_assets.prompts.table_summary import FIRST_ROWS, Summary

KeysOf: TypeAlias = Callable[[Chunk], Sequence[str]]
"""Returns the partitions of the rows of a chunk, or nothing if each row is one; raises `IndexUnusableError` for rows
without one.
"""


class IndexedReading:
    """Collects the index of a file during a full reading."""

    def __init__(self, file: IndexedFile) -> None:
        self._file = file
        self._builder: IndexBuilder | None = IndexBuilder()
        self._ids: list[pa.Array] = []
        self._fingerprints = bytearray()
        self._groups, self._partitions, self._lines = array("i"), array("i"), array("q")

    def add(self, chunk: Chunk, keys: Sequence[str]) -> None:
        """Adds the rows of the next chunk."""
        if self._builder is None:
            return
        try:
            columns = self._builder.columns(chunk, keys)
            self._ids.append(columns.ids)
            self._fingerprints += columns.fingerprints.tobytes()
            self._groups.frombytes(columns.groups.tobytes())
            self._partitions.frombytes(columns.partitions.tobytes())
            self._lines.extend(_lines_of(chunk))
        except IndexUnusableError:
            self._builder = None

    def index(self) -> TableIndex | None:
        """Returns the index; None if the rows cannot be indexed, or if the file changed since."""
        if self._builder is None or not self._ids:
            return None
        before = self._file.header_lines
        try:
            with self._file.records() as file:
                blocks = list(blocks_of(file, [line - before for line in self._lines]))
        except (OSError, IndexUnusableError):
            return None
        fingerprints = np.frombuffer(self._fingerprints, np.uint8).reshape(-1, DIGEST_BYTES)
        groups, partitions = (np.frombuffer(numbers, np.int32) for numbers in (self._groups, self._partitions))
        rows = RowColumns(pa.concat_arrays(self._ids), fingerprints, groups, partitions)
        return TableIndex(self._file.key, before, blocks, self._builder.groups, rows, self._builder.partitions)


def _lines_of(chunk: Chunk) -> Iterator[int]:
    for part in chunk.rows.parts if isinstance(chunk.rows, Rows) else (chunk.rows,):
        lines = part.lines if isinstance(part, RowBatch) else [row.line for row in part]
        yield from (line or 0 for line in lines)


@dataclass(frozen=True)
class ChangedTable:
    """A changed table: its index, its summary, and the rows that an earlier table does not have, or no longer."""

    index: TableIndex
    summary: Summary
    added: Sequence[RowColumns]
    removed: Sequence[RowColumns]


def changed_table(
    file: IndexedFile, known: TableIndex, snapshot: UPath, writer: SnapshotWriter, keys_of: KeysOf
) -> ChangedTable:
    """Reads the changed records of a file, and writes all rows to a new snapshot.

    Raises `IndexUnusableError` if the whole table must be read, for example because it has problems.
    """
    if file.key != known.key:
        raise IndexUnusableError
    try:
        with file.records() as records, stored_rows(snapshot) as stored:
            if stored.count != len(known.rows):
                raise IndexUnusableError
            return _Changes(file, known, stored, writer, keys_of).read(records)
    except (OSError, PromptTableError) as error:
        raise IndexUnusableError from error


@dataclass
class _Changes:
    """The rows of a changed file so far."""

    file: IndexedFile
    known: TableIndex
    stored: StoredRows
    writer: SnapshotWriter
    keys_of: KeysOf
    blocks: list[Block] = field(default_factory=list)
    columns: list[RowColumns] = field(default_factory=list)
    added: list[RowColumns] = field(default_factory=list)
    first: list[PromptRow] = field(default_factory=list)
    row: int = 0
    line: int = field(init=False)
    builder: IndexBuilder = field(init=False)
    reader: RowReader = field(init=False)
    row_starts: Sequence[int] = field(init=False)
    line_starts: Sequence[int] = field(init=False)

    def __post_init__(self) -> None:
        known = self.known
        self.line = known.header_lines
        self.builder = IndexBuilder(known.groups, known.partitions)
        self.reader = self.file.reader()
        self.row_starts = list(accumulate((block.rows for block in known.blocks), initial=0))
        self.line_starts = list(accumulate((block.lines for block in known.blocks), initial=known.header_lines))

    def read(self, records: BinaryIO) -> ChangedTable:
        """Reads all parts of the file."""
        kept: list[KnownBlocks] = []
        for part in parts_of(records, self.known.blocks, self.file.delimiter, FIRST_ROWS):
            if isinstance(part, KnownBlocks):
                self._keep(part)
                kept.append(part)
            else:
                self._read_again(part)
        index = self._index()
        summary = index.summary(self.reader.use, self.first)
        return ChangedTable(index, summary, self.added, list(self._removed(kept)))

    def _index(self) -> TableIndex:
        if not self.row or len(self.first) < min(FIRST_ROWS, self.row):
            raise IndexUnusableError
        rows = RowColumns.joined(self.columns)
        added = pa.concat_arrays([columns.ids for columns in self.added]) if self.added else pa.array([], pa.string())
        if pc.sum(pc.is_in(rows.ids, value_set=added)).as_py() != len(added):
            raise IndexUnusableError  # the reader compared the added ids with each other only
        groups, partitions = self.builder.groups, self.builder.partitions
        return TableIndex(self.known.key, self.known.header_lines, self.blocks, groups, rows, partitions)

    def _keep(self, part: KnownBlocks) -> None:
        start, stop = self.row_starts[part.first], self.row_starts[part.stop]
        line = self.line_starts[part.first]
        for rows in self.stored.taken(start, stop):
            self.writer.add_stored(rows, self.row - start, self.line - line)
        self.blocks += self.known.blocks[part.first : part.stop]
        self.columns.append(self.known.rows.taken(start, stop))
        self.row += stop - start
        self.line += self.line_starts[part.stop] - line

    def _read_again(self, part: ChangedRecords) -> None:
        rows, lines = self._rows_of(part), len(part.lines)
        chunk = Chunk(rows, (), len(rows))
        columns = self.builder.columns(chunk, self.keys_of(chunk))
        self.blocks += blocks_of(part.lines, [line - self.line for line in _lines_of(chunk)])
        self.columns.append(columns)
        self.added.append(columns)
        if not self.row:
            self.first += islice(rows, FIRST_ROWS)
        self.writer.add(chunk)
        self.row += len(rows)
        self.line += lines

    def _rows_of(self, part: ChangedRecords) -> Rows:
        text = io.StringIO(b"".join(part.lines).decode(), newline="")
        names = self.file.names
        # With a malformed row, the whole table is read, so that the number of cells in its header is not needed here.
        pieces = list(map(self._placed, pieces_of(rows_of(text, self.file.delimiter), names, len(names))))
        rows: list[RowBatch | list[PromptRow]] = []
        for found in self.reader.read(self.row + 1, pieces):
            if isinstance(found, list) or (isinstance(found, PromptRow) and found.request.uploads):
                raise IndexUnusableError
            rows.append([found] if isinstance(found, PromptRow) else found)
        return Rows(rows)

    def _placed(self, piece: Piece) -> Piece:
        """Returns records with their lines in the file."""
        if not isinstance(piece, RecordBatch):
            raise IndexUnusableError
        lines: list[Any] = [line + self.line for line in piece.lines if line is not None]
        return replace(piece, lines=lines)

    def _removed(self, kept: Sequence[KnownBlocks]) -> Iterator[RowColumns]:
        """Yields the rows of blocks that the file no longer has; raises `IndexUnusableError` if one occurs twice."""
        is_kept = np.zeros(len(self.known.blocks), np.bool_)
        for part in kept:
            if is_kept[part.first : part.stop].any():
                raise IndexUnusableError
            is_kept[part.first : part.stop] = True
        for number in np.flatnonzero(~is_kept).tolist():
            yield self.known.rows.taken(self.row_starts[number], self.row_starts[number + 1])
