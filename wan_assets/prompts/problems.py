"""Problems of a prompt table: where each is, what was found there, the rule it breaks and the fix."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Self

from wan_assets.models import public_part_of

_SHOWN_CHARACTERS = 80
_DASH = "\N{EN DASH}"
_READ_CHARACTERS = 2000
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"]+")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rule that something breaks, and the fix, before it is known where."""

    rule: str
    fix: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One broken rule of one cell, row or column.

    `row` counts data rows from 1; it is None for a problem of the whole table, such as of its header. `line` is the
    physical line where the row begins, in formats that have lines. `value` is short and printable; it is empty where
    nothing was given. `file` is the one of several files that it is in, and empty where the table is one file.
    """

    row: int | None
    line: int | None
    prompt_id: str | None
    column: str
    value: str
    rule: str
    fix: str
    file: str = ""

    def __str__(self) -> str:
        found = f"{self.value or 'nothing'} {_DASH} " if self.row else ""
        return f"{self.place}: {found}{self.fix} ({self.rule})"

    @classmethod
    def of(
        cls,
        refusal: Refusal,
        *,
        row: int | None,
        line: int | None,
        prompt_id: str | None,
        column: str,
        value: Any,
        file: str = "",
    ) -> Self:
        """A refusal with its place; whatever the table wrote is made short and printable."""
        rule, fix = printable(refusal.rule), printable(refusal.fix)
        return cls(row, line, prompt_id, shortened(printable(column)), shown(value), rule, fix, file)

    @property
    def place(self) -> str:
        """File, row, line and column in words."""
        row = f"row {self.row}" if self.row else "header"
        line = f" (line {self.line})" if self.line and self.row else ""
        file = f"{self.file}, " if self.file else ""
        return f"{file}{row}{line}" + (f", column {self.column}" if self.column else "")

    def cells(self) -> dict[str, Any]:
        """Itself as a row of a table; with its file where there are several, and `row` empty where there is none."""
        row = {
            "row": self.row or "",
            "prompt_id": self.prompt_id or "",
            "column": self.column,
            "value": self.value,
            "rule": self.rule,
            "fix": self.fix,
        }
        return {"file": self.file, **row} if self.file else row


def shown(value: Any) -> str:
    """A value in at most 80 printable characters; empty for None, plain for words and numbers, without secrets."""
    if value is None:
        return ""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.+-]{1,79}", value):
        return value
    text = repr_of(value[:_READ_CHARACTERS] if isinstance(value, (str, bytes)) else value)[:_READ_CHARACTERS]
    text = _ADDRESS.sub(lambda found: public_part_of(found[0]), text)
    return shortened(printable(text[: _SHOWN_CHARACTERS + 1]))


def printable(text: str) -> str:
    """The text with escapes for all that a terminal would obey or not show."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def shortened(text: str) -> str:
    """The text, or its first 79 characters and an ellipsis."""
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


def repr_of(value: Any) -> str:
    """Python's way to write a value, or its type where that cannot be written."""
    try:
        return repr(value)
    except (ValueError, RecursionError):
        return f"<{type(value).__name__}>"
