"""Rules for a `prompt_id`, derivation of missing ids, and detection of duplicates."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID

from wan_assets.models import are_texts
from wan_assets.prompts.problems import Refusal

_ID_CHARACTERS = 128
_FORBIDDEN = re.compile(r"\.\.|[/\\,|\[\]]")
"""Dagster refuses `...` and control characters in partition keys, splits ranges and lists at `...` and `,`, and
splits dimensions at `|`. Brackets denote ranges in its selections. Slashes and `..` denote other folders."""

_FORBIDDEN_RULE = "must not contain / \\ , | [ ] or two consecutive dots"


def text_of_id(value: Any) -> str | None:
    """Converts a `prompt_id` to text (7 and 7.0 become "7"); returns None unless it is text, a whole number
    or a UUID.
    """
    is_integral = isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value()
    if is_integral or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    if isinstance(value, (str, UUID)):
        return str(value)
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def are_plain_ids(values: Sequence[Any]) -> bool:
    """Whether all of at least one ids are texts that break no rule of `violations_of_id`."""
    if not are_texts(values) or not all(values) or max(map(len, values)) > _ID_CHARACTERS:
        return False
    has_spaces = list(map(str.strip, values)) != list(values)
    return "".join(values).isprintable() and not has_spaces and not _FORBIDDEN.search("\n".join(values))


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


def derived_id(content: str) -> str:
    """Returns the id that is derived from a digest."""
    return f"p-{content[:12]}"


class PromptIds:
    """The ids of all files of one table and their rows. Takes about 100 bytes of memory per id."""

    def __init__(self, part: str = "") -> None:
        self._part = part
        self._rows: dict[int, int] = {}  # hash of the id → row number over all files, negative if the id was derived
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
        return self._other(self._rows.setdefault(hash(prompt_id), row), row)

    def claim_all(self, prompt_ids: Sequence[str], rows: Sequence[int]) -> bool:
        """Assigns ids to rows, unless one of them occurs twice or is already assigned."""
        return self._assigned(prompt_ids, map(self._starts[-1].__add__, rows))

    def derive_all(self, fingerprints: Sequence[bytes], rows: Sequence[int]) -> list[str] | None:
        """Derives the ids of rows without one, unless one of them occurs twice or is already assigned."""
        prompt_ids = [self._derived(fingerprint.hex()) for fingerprint in fingerprints]
        return prompt_ids if self._assigned(prompt_ids, map((-self._starts[-1]).__sub__, rows)) else None

    def _assigned(self, prompt_ids: Sequence[str], rows: Iterator[int]) -> bool:
        codes = list(map(hash, prompt_ids))
        if len(set(codes)) < len(codes) or not self._rows.keys().isdisjoint(codes):
            return False
        self._rows.update(zip(codes, rows, strict=True))
        return True

    def _derived(self, fingerprint: str) -> str:
        content = sha256(f"{self._part}\n{fingerprint}".encode()).hexdigest() if self._part else fingerprint
        return derived_id(content)

    def derive(self, fingerprint: str, row: int) -> tuple[str, str | None]:
        """Derives the id of a row without one; also returns the place of a row with the same explicit id, if any.

        Equal content has the same derived id in every table. Repetitions get the suffixes 2, 3 and so on. In a part of
        a table, the id also depends on the name of the part, because the ids of all parts differ.
        """
        row += self._starts[-1]
        prompt_id = self._derived(fingerprint)
        code = hash(prompt_id)
        holder = self._rows.setdefault(code, -row)
        if holder < 0 and holder != -row:
            self._repeats[code] = count = self._repeats.get(code, 1) + 1
            prompt_id = f"{prompt_id}-{count}"
            holder = self._rows.setdefault(hash(prompt_id), -row)
        return prompt_id, self._other(holder, row)

    def _other(self, holder: int, row: int) -> str | None:
        if abs(holder) == row:
            return None
        at = bisect_left(self._starts, abs(holder)) - 1
        place = f"row {abs(holder) - self._starts[at]}"
        return place if self._starts[at] == self._starts[-1] else f"{place} of {self._files[at]}"
