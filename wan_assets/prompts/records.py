"""Raw records, as readers yield them before validation, and the error for an unreadable table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from wan_assets.errors import PromptTableError
from wan_assets.prompts.problems import printable


class Record(NamedTuple):
    """One row before validation: its values and the names of their columns."""

    line: int | None
    names: tuple[str, ...]
    values: Sequence[Any]


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Consecutive records with the same names: the lines where they begin, and the values of each."""

    lines: Sequence[int | None]
    names: tuple[str, ...]
    values: Sequence[Sequence[Any]]

    def __len__(self) -> int:
        return len(self.values)

    def record(self, at: int) -> Record:
        """Returns one of the records."""
        return Record(self.lines[at], self.names, self.values[at])

    def taken(self, start: int, stop: int) -> RecordBatch:
        """Returns some of the records."""
        return RecordBatch(self.lines[start:stop], self.names, self.values[start:stop])


@dataclass(frozen=True, slots=True)
class MalformedRecord:
    """One row that cannot be split into cells."""

    line: int | None
    value: Any
    rule: str
    fix: str
    names: tuple[str, ...] = ()


Piece: TypeAlias = RecordBatch | Record | MalformedRecord
"""What readers yield: many records, or one."""


def records_in(pieces: Iterable[Piece]) -> Iterator[Record | MalformedRecord]:
    """Yields all records one by one."""
    for piece in pieces:
        if isinstance(piece, RecordBatch):
            yield from map(piece.record, range(len(piece)))
        else:
            yield piece


def count_of(pieces: Iterable[Piece]) -> int:
    """Returns the number of all records."""
    return sum(len(piece) if isinstance(piece, RecordBatch) else 1 for piece in pieces)


def in_chunks(pieces: Iterable[Piece], size: int) -> Iterator[list[Piece]]:
    """Yields the pieces in lists of `size` records, of which the last may have fewer."""
    chunk: list[Piece] = []
    room = size
    for piece in pieces:
        for part in _parts(piece, room, size):
            chunk.append(part)
            room -= count_of((part,))
            if not room:
                yield chunk
                chunk, room = [], size
    if chunk:
        yield chunk


def _parts(piece: Piece, room: int, size: int) -> Iterator[Piece]:
    """Yields a piece in parts: the first fits into the room, and each other one is a chunk of its own, or less."""
    if not isinstance(piece, RecordBatch) or len(piece) <= room:
        yield piece
        return
    yield piece.taken(0, room)
    for start in range(room, len(piece), size):
        yield piece.taken(start, start + size)


def unreadable(file: object, reason: str) -> PromptTableError:
    """Returns the error for a file that is not a table; characters of its name that are not printable are escaped."""
    return PromptTableError(f"{printable(str(file))} {reason}")


def unavailable(file: object, reason: str) -> PromptTableError:
    """Returns the error for a file that is missing or that this process may not read."""
    return PromptTableError(f"{printable(str(file))} {reason}", is_unavailable=True)
