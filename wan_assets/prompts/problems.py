"""Problems of a prompt table: each has a place, a value, a broken rule and a fix."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Self

from wan_assets.models import public_text

_SHOWN_CHARACTERS = 80
_DASH = "\N{EN DASH}"
_READ_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Refusal:
    """A broken rule and its fix, without a place in the table."""

    rule: str
    fix: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One broken rule in one cell, row or column.

    `row` counts data rows from 1 and is None for a problem of the whole table, such as its header. `line` is the
    physical line where the row begins, in formats that have lines. `value` is short and printable, and empty if the
    cell is empty. `file` is the file's name if the table has several files, and empty otherwise. `variant` is the
    variant of the row if only some of its variants have the problem.
    """

    row: int | None
    line: int | None
    prompt_id: str | None
    column: str
    value: str
    rule: str
    fix: str
    file: str = ""
    variant: str = ""

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
        """Creates a problem from a refusal and a place; text from the table is made short and printable."""
        rule, fix = printable(refusal.rule), printable(refusal.fix)
        return cls(row, line, prompt_id, shortened(printable(column)), shown(value), rule, fix, file)

    @property
    def place(self) -> str:
        """File, row, line, variant and column as text."""
        row = f"row {self.row}" if self.row else "header"
        line = f" (line {self.line})" if self.line and self.row else ""
        file = f"{self.file}, " if self.file else ""
        variant = f", variant {self.variant}" if self.variant else ""
        return f"{file}{row}{line}{variant}" + (f", column {self.column}" if self.column else "")

    def cells(self) -> dict[str, Any]:
        """Returns the problem as a table row; `file` is included only if the table has several files."""
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
    """Returns a value in at most 80 printable characters without secrets; empty for None, unquoted for words."""
    if value is None:
        return ""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.+-]{1,79}", value):
        return value
    text = repr_of(value[:_READ_CHARACTERS] if isinstance(value, (str, bytes)) else value)[:_READ_CHARACTERS]
    text = public_text(text)
    return shortened(printable(text[: _SHOWN_CHARACTERS + 1]))


def printable(text: str) -> str:
    """Returns the text with escapes for all characters that are not printable."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def shortened(text: str) -> str:
    """Returns the text, or its first 79 characters and an ellipsis."""
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


def repr_of(value: Any) -> str:
    """Returns `repr(value)`, or the name of its type if that fails."""
    try:
        return repr(value)
    except (ValueError, RecursionError):
        return f"<{type(value).__name__}>"
