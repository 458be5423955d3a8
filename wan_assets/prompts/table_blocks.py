"""Blocks of a CSV file: whole records that are found again by their bytes, also if they moved.

A reader of CSV is in the same state before each record. The records of a block that starts after a record are
therefore the same wherever its bytes occur.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from typing import BinaryIO, NamedTuple, TypeAlias
from zlib import crc32

from wan_assets.prompts.delimited_files import rows_of

SMALLEST_BYTES = 1 << 20
"""A smaller file is read as a whole in less time than with an index."""

_ROWS_PER_BLOCK = 64
_MOST_CHANGED_BYTES = 32 << 20
"""More changes are read faster with the whole table."""


class IndexUnusableError(Exception):
    """The table must be read as a whole: an index cannot tell what its rows are."""


class Block(NamedTuple):
    """The size of consecutive records in bytes, rows and lines, their digest, and the checksum of their first line."""

    size: int
    rows: int
    lines: int
    digest: str
    first_line: int

    @classmethod
    def of(cls, lines: Sequence[bytes], rows: int) -> Block:
        """Returns the block with these lines; raises `IndexUnusableError` if they are not separated by line feeds."""
        content = b"".join(lines)
        if content.count(b"\r") != content.count(b"\r\n"):
            raise IndexUnusableError
        return cls(len(content), rows, len(lines), _digest_of(content), crc32(lines[0]))


class KnownBlocks(NamedTuple):
    """Consecutive blocks that an earlier file has too: the numbers of the first, and after the last."""

    first: int
    stop: int


class ChangedRecords(NamedTuple):
    """Consecutive records in which a file differs from an earlier one."""

    lines: list[bytes]


Part: TypeAlias = KnownBlocks | ChangedRecords


def blocks_of(lines: Iterable[bytes], starts: Sequence[int]) -> Iterator[Block]:
    """Yields the blocks of records that begin in the lines `starts`, which count from 1.

    Raises `IndexUnusableError` if the lines cannot be told apart.
    """
    if not starts:
        raise IndexUnusableError
    remaining = iter(lines)
    begin = 0
    for at in range(0, len(starts), _ROWS_PER_BLOCK):
        rows = len(starts[at : at + _ROWS_PER_BLOCK])
        is_last = at + rows == len(starts)
        end = None if is_last else starts[at + rows] - 1
        taken = list(remaining) if end is None else list(islice(remaining, end - begin))
        begin = begin if end is None else end
        if not taken:
            raise IndexUnusableError
        yield Block.of(taken, rows)


def parts_of(file: BinaryIO, known: Sequence[Block], delimiter: str, first_changed: int) -> Iterator[Part]:
    """Yields the parts of a file whose header was read. The first `first_changed` records count as changed.

    Raises `IndexUnusableError` if the file differs too much, or is not CSV.
    """
    numbers = {block.first_line: number for number, block in reversed(list(enumerate(known)))}
    finder = _Finder(file, known, numbers, delimiter)
    lines = finder.changed(first_changed)
    while finder.found is not None:
        if lines:
            yield ChangedRecords(lines)
        yield KnownBlocks(finder.found, finder.last_of(finder.found) + 1)
        lines = finder.changed(0)
    if lines:
        yield ChangedRecords(lines)


class _Finder:
    """Reads a file from one known block to the next."""

    def __init__(self, file: BinaryIO, known: Sequence[Block], numbers: dict[int, int], delimiter: str) -> None:
        self._file = file
        self._known = known
        self._numbers = numbers
        self._delimiter = delimiter
        self._changed_bytes = 0
        self.found: int | None = None
        """The known block at the end of the last changed records; None at the end of the file."""

    def last_of(self, first: int) -> int:
        """Reads the known blocks that follow the first one in both files; returns the last of them."""
        self._file.read(self._known[first].size)
        last = first
        while last + 1 < len(self._known) and self._is_next(last + 1):
            last += 1
        return last

    def changed(self, minimum: int) -> list[bytes]:
        """Reads at least `minimum` records, until a known block follows."""
        lines = _Lines(self._file)
        self.found = None if minimum else self._known_after(lines)
        if self.found is None:
            self._read_changed(lines, minimum)
        self._changed_bytes += lines.size
        return lines.read

    def _read_changed(self, lines: _Lines, minimum: int) -> None:
        try:
            for count, _ in enumerate(rows_of(lines, self._delimiter), 1):
                self.found = self._known_after(lines) if count >= minimum else None
                if self.found is not None:
                    return
                if self._changed_bytes + lines.size > _MOST_CHANGED_BYTES:
                    raise IndexUnusableError
        except (csv.Error, UnicodeDecodeError) as error:
            raise IndexUnusableError from error

    def _known_after(self, lines: _Lines) -> int | None:
        number = self._numbers.get(crc32(lines.following()))
        return number if number is not None and lines.is_followed_by(self._known[number]) else None

    def _is_next(self, number: int) -> bool:
        at = self._file.tell()
        block = self._known[number]
        if _is_content(self._file.read(block.size), block):
            return True
        self._file.seek(at)
        return False


class _Lines:
    """The lines of a file as text; the next one can be read in advance."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._at = file.tell()
        self._following: bytes | None = None
        self.read: list[bytes] = []
        self.size = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.following()
        self._following = None
        if not line:
            raise StopIteration
        self.read.append(line)
        self.size += len(line)
        return line.decode()

    def following(self) -> bytes:
        """Returns the next line, which remains to be read."""
        if self._following is None:
            self._following = self._file.readline()
        return self._following

    def is_followed_by(self, block: Block) -> bool:
        """Whether the next lines are those of a block; if so, the file is placed before them."""
        self._file.seek(self._at + self.size)
        is_found = _is_content(self._file.read(block.size), block)
        self._following = None
        self._file.seek(self._at + self.size)
        return is_found


def _is_content(content: bytes, block: Block) -> bool:
    return len(content) == block.size and content.endswith(b"\n") and _digest_of(content) == block.digest


def _digest_of(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()
