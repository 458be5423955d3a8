"""What a draft could not take from a schema, and texts of a schema that can be shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_TEXT = 300
LARGEST = 2**53
"""Numbers above it are not exact in JSON."""


@dataclass(frozen=True)
class Note:
    """A place in the schema, and what was not understood there or has to be completed."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass
class Notes:
    """The notes of one draft, in the order of the schema."""

    found: list[Note] = field(default_factory=list)

    def add(self, where: str, message: str) -> None:
        """Adds a note once."""
        note = Note(plain(where), plain(message))
        if note not in self.found:
            self.found.append(note)


def plain(text: Any) -> str:
    """Returns a text in one line, without characters that are not printed, and of limited length."""
    shown = "".join(letter if letter.isprintable() else " " for letter in str(text)[: 2 * MAX_TEXT])
    shown = " ".join(shown.split())
    return shown if len(shown) <= MAX_TEXT else f"{shown[:MAX_TEXT]} …"


def is_plain(value: Any) -> bool:
    """Whether a value can be a limit or a default: a printable text, a whole number or a boolean."""
    if isinstance(value, str):
        return value.isprintable() and 0 < len(value) <= MAX_TEXT
    return isinstance(value, bool) or (isinstance(value, int) and abs(value) <= LARGEST)


def excerpt(node: Any) -> str:
    """Returns the beginning of a part of a schema, as JSON in one line."""
    return plain(json.dumps(node, ensure_ascii=False))


def mapping(value: Any) -> Mapping[str, Any]:
    """Returns a mapping as it is, and an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def listed(value: Any) -> list[Any]:
    """Returns a list as it is, and an empty one for anything else."""
    return value if isinstance(value, list) else []
