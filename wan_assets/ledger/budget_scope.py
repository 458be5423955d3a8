"""Decides which tasks count under a budget: by asset, partition, model, column of the row, or tag of the run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from wan_assets.models import description_of, unrecorded_column, unrecorded_run_tag, unrecorded_value

ASSET, PARTITION, MODEL, TAKES = "asset", "partition", "model", "takes"
RUN_TAG = "run_tag:"
"""The begin of a condition on a tag of the run."""

FIRST, FURTHER = "first", "further"
"""The values of `takes`: for the first take of a row, and for all takes after it."""

Scope: TypeAlias = tuple[tuple[str, str], ...]
"""Conditions that must all hold, each a name with a value, sorted by name; none means everything."""


@dataclass(frozen=True)
class Subject:
    """What a budget can know about a task. `tags` are the values of its row's columns by name."""

    run_id: str
    asset: str = "-"
    partition: str = "-"
    model: str = ""
    is_retake: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    run_tags: Mapping[str, str] = field(default_factory=dict)

    def matches(self, scope: Scope) -> bool:
        """Whether all conditions hold. A `*` in a value stands for any text."""
        return all(self._fulfils(name, wanted) for name, wanted in scope)

    def _fulfils(self, name: str, wanted: str) -> bool:
        if name == MODEL:
            return is_model(wanted, self.model)
        value = self._value(name)
        return value is not None and _pattern(wanted).fullmatch(value) is not None

    def _value(self, name: str) -> str | None:
        if name == ASSET:
            return self.asset
        if name == PARTITION:
            return self.partition
        if name == TAKES:
            return FURTHER if self.is_retake else FIRST
        if name.startswith(RUN_TAG):
            return self.run_tags.get(name.removeprefix(RUN_TAG))
        return self.tags.get(name)


def conditions_in(text: str) -> dict[str, str]:
    """Reads the short form of a scope; raises `ValueError`.

    >>> conditions_in("campaign=fall, model=wan2.6")
    {'campaign': 'fall', 'model': 'wan2.6'}
    """
    found: dict[str, str] = {}
    for part in filter(str.strip, text.split(",")):
        name, equals, value = map(str.strip, part.partition("="))
        if not equals:
            raise ValueError(f"write a condition as name=value, not {name!r}")
        if name in found:
            raise ValueError(f"{name} is named twice")
        found[name] = value
    return found


def is_model(wanted: str, model: str) -> bool:
    """Whether a model, given by its id, has a wanted id or short name, in any case."""
    names = (model, *description_of(model).short_names) if model else ()
    return any(_pattern(wanted.lower()).fullmatch(name.lower()) for name in names)


def is_of_row(name: str) -> bool:
    """Whether a condition concerns a column of the row."""
    return name not in (ASSET, PARTITION, MODEL, TAKES) and not name.startswith(RUN_TAG)


def is_of_run(name: str) -> bool:
    """Whether a condition concerns a tag of the run."""
    return name.startswith(RUN_TAG)


def unrecorded(name: str, value: str) -> str:
    """Returns why the ledger never records a value that fulfils a condition; an empty text if it may."""
    if not (is_of_row(name) or is_of_run(name)):
        return ""
    problem = unrecorded_run_tag(name.removeprefix(RUN_TAG)) if is_of_run(name) else unrecorded_column(name)
    return problem or unrecorded_value(value, len(value.replace("*", "")))


def scope_text(scope: Scope) -> str:
    """Returns the conditions as messages show them.

    >>> scope_text((("campaign", "fall"), ("model", "wan2.6")))
    'campaign=fall, model=wan2.6'
    """
    return ", ".join(_condition_texts(scope))


def _condition_texts(scope: Scope) -> Iterator[str]:
    for name, value in scope:
        yield f"{name}={value}"


@lru_cache(maxsize=1024)
def _pattern(value: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, value.split("*"))), re.DOTALL)
