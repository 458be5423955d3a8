"""The parameters that vary, their values and the number of seeds: what a row is expanded by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import prod
from typing import Any

from wan_assets.errors import PromptTableError
from wan_assets.prompts.cell_text import text_of
from wan_assets.prompts.columns import PROMPT, SEEDS, Column, column_of
from wan_assets.prompts.defaults import violations_in
from wan_assets.prompts.problems import Refusal, printable, shown

SEED = "seed"
MAX_VARIANTS = 1000
"""The most variants of one row: a typing error in a number of seeds must not request a million videos."""

SEPARATOR = "~"

_WORD = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_LONGEST_WORD, _SHORTENED, _DIGITS = 32, 20, 8


@dataclass(frozen=True, slots=True)
class Axis:
    """One parameter that varies: its column, its name and its values in ids, and its values."""

    column: Column
    name: str
    values: tuple[Any, ...]
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variants:
    """How rows are expanded; `seeds` is the number of seeds of rows without an own number, or None."""

    seeds: int | None = None
    axes: tuple[Axis, ...] = ()

    @property
    def combinations(self) -> int:
        """The number of combinations of all values, without seeds."""
        return prod(len(axis.values) for axis in self.axes)

    def listed(self) -> dict[str, tuple[str, ...]]:
        """Returns the values by column as text."""
        return {axis.column.name: tuple(shown(text_of(value)) for value in axis.values) for axis in self.axes}


def checked_variants(seeds: object, variants: object) -> Variants:
    """Returns the checked options of a source; raises `PromptTableError` for options that no row can have."""
    if seeds is not None and (isinstance(seeds, bool) or not isinstance(seeds, int) or not 0 < seeds <= MAX_VARIANTS):
        raise PromptTableError(f"seeds={shown(seeds)} is not a whole number from 1 to {MAX_VARIANTS:,}")
    if not isinstance(variants, Mapping):
        raise PromptTableError(f"variants is a {type(variants).__name__}, not a mapping of parameters to their values")
    axes = tuple(_axis(name, values) for name, values in variants.items())
    names = [axis.column.name for axis in axes]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise _error(f"{twice} is given twice; give all its values together")
    if seeds is not None and SEED in names:
        raise _error(f"seeds={seeds} and the values of seed exclude each other; remove one of them")
    found = Variants(seeds, axes)
    if (count := found.combinations * (seeds or 1)) > MAX_VARIANTS:
        raise _error(f"each row would have {count:,} variants; at most {MAX_VARIANTS:,} are possible")
    return found


def _axis(name: object, values: object) -> Axis:
    column = column_of(name) if isinstance(name, str) else Refusal("is not text", "write the name of a parameter")
    if isinstance(column, Refusal):
        raise _error(f"{name} {column.rule}; {column.fix}")
    if column.name == SEEDS:
        raise _error("seeds is an option of its own: write seeds=4 instead")
    if column.name == PROMPT:
        raise _error(f"{PROMPT} cannot vary: variants belong to one prompt; write a row for each prompt")
    if column.kind not in ("text", "word", "media"):
        raise _error(f"{column.name} cannot vary; only single parameters of a request can")
    if (
        isinstance(values, (str, bytes, Mapping, set, frozenset))
        or not isinstance(values, Iterable)
        or not (found := tuple(values))
    ):
        raise _error(f"{column.name} needs a list of values, such as {_EXAMPLE}, not {shown(values)}")
    return _axis_of(column, found)


_EXAMPLE = '{"resolution": ["480p", "720p"]}'


def _axis_of(column: Column, values: tuple[Any, ...]) -> Axis:
    for value in values:
        if not isinstance(value, (str, int, float)) or not text_of(value).strip():
            raise _error(f"{column.name}: {shown(value) or 'nothing'} is not a text, a number, true or false")
        for _, _, refusal in violations_in({column.name: value} if column.kind != "media" else {}):
            raise _error(f"{column.name}={shown(value)}: {refusal.fix} ({refusal.rule})")
    words = tuple(word_of(text_of(value).strip()) for value in values)
    folded = [word.casefold() for word in words]
    if twice := next((at for at, word in enumerate(folded) if word in folded[:at]), None):
        raise _error(f"{column.name} has the value {shown(values[twice])} twice; remove one of them")
    last = column.name.rpartition(".")[2]
    return Axis(column, last if column_of(last) == column else column.name, values, words)


def word_of(text: str) -> str:
    """Returns a value as it occurs in ids: short words as they are, and others shortened and with a digest."""
    if len(text) <= _LONGEST_WORD and _WORD.fullmatch(text):
        return text
    digest = sha256(text.encode(errors="surrogatepass")).hexdigest()[:_DIGITS]
    words = "-".join(re.findall("[A-Za-z0-9]+", text))[:_SHORTENED].strip("-")
    return f"{words}-{digest}" if words else digest


def _error(message: str) -> PromptTableError:
    return PromptTableError(f"variants: {printable(message)}")
