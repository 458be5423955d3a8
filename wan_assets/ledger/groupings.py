"""Names what reports group tasks by: columns of the ledger, periods, columns of the row, tags of the run, reviewers."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from wan_assets.ledger.budget_period import zone_named
from wan_assets.ledger.budget_scope import RUN_TAG
from wan_assets.models import closest_name

ROW_TAG = "tag:"
"""The begin of a grouping by a column of the row."""

_OWN_COLUMN = "x_"
"""The begin of a column that is never a parameter, so that it needs no `tag:`."""

WITHOUT_VALUE = "(none)"
"""The key of tasks that have no value."""

MODEL, REVIEWER = "model", "reviewer"
TASK_COLUMNS = ("state", "asset", "partition", "run_id")
PERIODS = ("day", "month")
COLUMNS_OF: Mapping[str, tuple[str, ...]] = {"campaign": ("campaign",), "team": ("team", "x_team")}
"""Columns of the row that a grouping stands for; the first one that has a value counts."""

GROUPINGS = ("state", *PERIODS, "asset", "partition", "run_id", MODEL, *COLUMNS_OF, REVIEWER)
"""All groupings with fixed names, in the order in which help lists them."""

_MAX_KEYS = 2


@dataclass(frozen=True)
class Grouping:
    """One or two names of what tasks are grouped by. `time_zone` is that of days and months."""

    names: tuple[str, ...]
    time_zone: str = "UTC"

    @classmethod
    def of(cls, text: str, time_zone: str = "UTC") -> Self:
        """Reads one name, or two separated by a comma; raises `ValueError` with the reason.

        >>> Grouping.of("campaign,x_region").names, Grouping.of('"tag:a,b"').names
        (('campaign', 'tag:x_region'), ('tag:a,b',))
        """
        names = tuple(_names_in(text))
        if len(names) > _MAX_KEYS:
            raise ValueError(f"{text!r} has {len(names)} names: at most {_MAX_KEYS} can be combined")
        if len(set(names)) < len(names):
            raise ValueError(f"{text!r} has the same name twice")
        return cls(names, zone_named(time_zone))

    @property
    def has_no_period(self) -> bool:
        """Whether no name is a day or a month, so that the time zone does not matter."""
        return not any(name in PERIODS for name in self.names)

    def __str__(self) -> str:
        """Returns the names as commands accept them."""
        return ",".join(f'"{name}"' if "," in name else name for name in self.names)


def tag_named(name: str) -> str:
    """Returns the grouping by a tag: a column of the row, unless the name is that of another grouping by tags.

    >>> tag_named("x_team"), tag_named("run_tag:owner"), tag_named("team")
    ('tag:x_team', 'run_tag:owner', 'team')
    """
    return name if name in COLUMNS_OF or _is_tag(name) else f"{ROW_TAG}{name}"


def _names_in(text: str) -> Iterator[str]:
    try:
        parts = next(csv.reader([text], skipinitialspace=True, strict=True), [])
    except csv.Error as error:
        raise ValueError(f"{text!r}: {error}") from None
    if not parts:
        raise ValueError("the name is empty")
    for name in map(str.strip, parts):
        if name in GROUPINGS:
            yield name
        elif _is_tag(name) or name.startswith(_OWN_COLUMN):
            yield tag_named(name)
        else:
            raise ValueError(f"{name!r} is not one of {', '.join(GROUPINGS)}, tag:NAME, run_tag:NAME{_meant(name)}")


def _is_tag(name: str) -> bool:
    return any(name.startswith(begin) and name != begin for begin in (ROW_TAG, RUN_TAG))


def _meant(name: str) -> str:
    close = closest_name(name, GROUPINGS)
    return f"; did you mean {close}?" if close else f"; a column of the row is {ROW_TAG}{name}" if name else ""
