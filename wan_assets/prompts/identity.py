"""Identity of rows: what a `prompt_id` may be, how one is derived, and which row has it already."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from wan_assets.prompts.problems import Refusal

_ID_CHARACTERS = 128
_FORBIDDEN = re.compile(r"\.\.|[/\\,|\[\]]")
"""Dagster refuses `...` and control characters in partition keys, splits ranges and lists at `...` and `,`,
and dimensions at `|`; brackets stand for ranges in its selections, and slashes and `..` for other folders."""

_FORBIDDEN_IN_WORDS = "must not hold / \\ , | [ ] or two dots in a row"


def text_of_id(value: Any) -> str | None:
    """A `prompt_id` as text: 7 and 7.0 become "7"; None for what is neither text nor a whole number."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def violations_of_id(prompt_id: str) -> Iterator[Refusal]:
    """Yields each rule of partition keys that a `prompt_id` breaks."""
    if len(prompt_id) > _ID_CHARACTERS:
        rule = f"must have at most {_ID_CHARACTERS} characters"
        yield Refusal(rule, f"shorten it; it has {len(prompt_id)}")
    if not prompt_id.isprintable():
        yield Refusal("must not hold control or invisible characters", "remove them")
    if prompt_id != prompt_id.strip():
        yield Refusal("must not begin or end with a space", "remove the space")
    if found := _FORBIDDEN.search(prompt_id):
        yield Refusal(_FORBIDDEN_IN_WORDS, f"write another character for {found[0]}")


class PromptIds:
    """The ids of one table, over all its files, and the rows that have them, in some 100 bytes each."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}  # digest of the id → row of all, below zero where the id was derived
        self._repeats: dict[int, int] = {}
        self._files: list[str] = []
        self._starts: list[int] = []

    def begin(self, file: str, rows_before: int) -> None:
        """Comes before the rows of each file, which count from 1; a table of one file has no name here."""
        self._files.append(file)
        self._starts.append(rows_before)

    def claim(self, prompt_id: str, row: int) -> str | None:
        """Gives the id to a row, or returns the place of the row that has it."""
        row += self._starts[-1]
        return self._other(self._rows.setdefault(_digest(prompt_id), row), row)

    def derive(self, fingerprint: str, row: int) -> tuple[str, str | None]:
        """The id of a row that was given none, and the place of the row that was given that very id, if there is one.

        The same content has the same id wherever it stands; its repetitions are counted from 2.
        """
        row += self._starts[-1]
        prompt_id = f"p-{fingerprint[:12]}"
        digest = _digest(prompt_id)
        holder = self._rows.setdefault(digest, -row)
        if holder < 0 and holder != -row:
            self._repeats[digest] = count = self._repeats.get(digest, 1) + 1
            prompt_id = f"{prompt_id}-{count}"
            holder = self._rows.setdefault(_digest(prompt_id), -row)
        return prompt_id, self._other(holder, row)

    def _other(self, holder: int, row: int) -> str | None:
        if abs(holder) == row:
            return None
        at = bisect_left(self._starts, abs(holder)) - 1
        place = f"row {abs(holder) - self._starts[at]}"
        return place if self._starts[at] == self._starts[-1] else f"{place} of {self._files[at]}"


def _digest(prompt_id: str) -> int:
    return int.from_bytes(blake2b(prompt_id.encode(), digest_size=8).digest(), "big")
