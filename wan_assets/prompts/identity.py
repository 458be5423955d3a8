"""Rules for a `prompt_id`, derivation of missing ids, and detection of duplicates."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from hashlib import blake2b, sha256
from typing import Any

from wan_assets.prompts.problems import Refusal

_ID_CHARACTERS = 128
_FORBIDDEN = re.compile(r"\.\.|[/\\,|\[\]]")
"""Dagster refuses `...` and control characters in partition keys, splits ranges and lists at `...` and `,`, and
splits dimensions at `|`. Brackets denote ranges in its selections. Slashes and `..` denote other folders."""

_FORBIDDEN_RULE = "must not contain / \\ , | [ ] or two consecutive dots"


def text_of_id(value: Any) -> str | None:
    """Converts a `prompt_id` to text (7 and 7.0 become "7"); returns None unless it is text or a whole number."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def violations_of_id(prompt_id: str) -> Iterator[Refusal]:
    """Yields each rule for partition keys that a `prompt_id` breaks."""
    if len(prompt_id) > _ID_CHARACTERS:
        rule = f"must have at most {_ID_CHARACTERS} characters"
        yield Refusal(rule, f"shorten it; it has {len(prompt_id)}")
    if not prompt_id.isprintable():
        yield Refusal("must not contain control or invisible characters", "remove them")
    if prompt_id != prompt_id.strip():
        yield Refusal("must not begin or end with a space", "remove the space")
    if found := _FORBIDDEN.search(prompt_id):
        yield Refusal(_FORBIDDEN_RULE, f"replace {found[0]} by another character")


class PromptIds:
    """The ids of all files of one table and their rows. Takes about 100 bytes of memory per id."""

    def __init__(self, part: str = "") -> None:
        self._part = part
        self._rows: dict[int, int] = {}  # digest of the id → row number over all files, negative if the id was derived
        self._repeats: dict[int, int] = {}
        self._files: list[str] = []
        self._starts: list[int] = []

    def begin(self, file: str, rows_before: int) -> None:
        """Starts the next file. Its rows count from 1; `file` is empty if the table is one file."""
        self._files.append(file)
        self._starts.append(rows_before)

    def claim(self, prompt_id: str, row: int) -> str | None:
        """Assigns an id to a row; returns the place of the row that already has it, if any."""
        row += self._starts[-1]
        return self._other(self._rows.setdefault(_digest(prompt_id), row), row)

    def derive(self, fingerprint: str, row: int) -> tuple[str, str | None]:
        """Derives the id of a row without one; also returns the place of a row with the same explicit id, if any.

        Equal content has the same derived id in every table. Repetitions get the suffixes 2, 3 and so on. In a part of
        a table, the id also depends on the name of the part, because the ids of all parts differ.
        """
        row += self._starts[-1]
        content = sha256(f"{self._part}\n{fingerprint}".encode()).hexdigest() if self._part else fingerprint
        prompt_id = f"p-{content[:12]}"
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
