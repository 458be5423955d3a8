"""Raw records, as readers yield them before validation, and the error for an unreadable table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from wan_assets.errors import PromptTableError
from wan_assets.prompts.problems import printable


class Record(NamedTuple):
    """One row before validation: its values and the names of their columns."""

    line: int | None
    names: tuple[str, ...]
    values: Sequence[Any]


@dataclass(frozen=True, slots=True)
class MalformedRecord:
    """One row that cannot be split into cells."""

    line: int | None
    value: Any
    rule: str
    fix: str
    names: tuple[str, ...] = ()


def unreadable(file: object, reason: str) -> PromptTableError:
    """Returns the error for a file that is not a table; characters of its name that are not printable are escaped."""
    return PromptTableError(f"{printable(str(file))} {reason}")


def unavailable(file: object, reason: str) -> PromptTableError:
    """Returns the error for a file that is missing or that this process may not read."""
    return PromptTableError(f"{printable(str(file))} {reason}", is_unavailable=True)
