"""Findings: the problems of a table grouped by kind, with a count, the first rows and one fix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Any

from wan_assets.prompts.problems import Problem, shortened

_KINDS_KEPT = 1000
_KINDS_LISTED = 5
_ROWS_SHOWN = 5
_VARIABLE = re.compile(r"'[^']*'|\"[^\"]*\"|U\+[0-9A-F]{4,6}|[\w.:-]*\d[\w.:-]*")
_PER_FILE = re.compile(r" of .*$")
_OWN_PART_OF_FIX = re.compile(r"\bit has \d+|\btry \d.*|\brow \d+|\S*/\S+")
"""The parts of a fix that depend on the row: its length, the nearest size, another row, and its folder."""


@dataclass(frozen=True, slots=True)
class Finding:
    """All problems of a table that break the same rule in the same column and have the same fix.

    `first` is the first of them. `rows` are the places of the first rows.
    """

    first: Problem
    count: int
    rows: tuple[str, ...]

    @property
    def fix(self) -> str:
        """What to do about all of them."""
        if self.count > 1 and not self.first.value and self.first.column in ("resolution", "duration"):
            return f"{self.first.fix}; for all rows without one, set a default, such as {_DEFAULTS[self.first.column]}"
        return self.first.fix

    @property
    def places(self) -> str:
        """The first rows, or the header."""
        return ", ".join(self.rows) + (", …" if self.count > len(self.rows) else "")

    def __str__(self) -> str:
        """Returns the finding as one line: the problem itself if there is one row, and the rows otherwise."""
        if self.count == 1:
            return str(self.first)
        column = f", column {self.first.column}" if self.first.column else ""
        example = f"such as {self.first.value}: " if self.first.value else ""
        return f"{self.count:,} rows ({self.places}){column}: {example}{self.fix} ({self.first.rule})"

    def cells(self) -> dict[str, Any]:
        """Returns the finding as a table row."""
        first = self.first
        return {
            "count": self.count,
            "rows": self.places,
            "prompt_id": first.prompt_id or "" if self.count == 1 else "",
            "column": first.column,
            "value": first.value,
            "rule": first.rule,
            "fix": self.fix,
        }


_DEFAULTS = {"resolution": "resolution=720p", "duration": "duration=5"}


class Findings:
    """The findings of the problems added so far, in the order of the first of each; at most 1,000 kinds are kept.

    `count` is the number of all problems, and `others` the number of those whose kind is not kept.
    """

    def __init__(self) -> None:
        self.count = 0
        self.others = 0
        self._found: dict[tuple[str, str, str], Finding] = {}

    def add(self, problems: Iterable[Problem]) -> None:
        """Adds the next problems."""
        for problem in problems:
            self.count += 1
            key = (problem.column, _kind_of(problem.rule), _kind_of_fix(problem.fix))
            finding = self._found.get(key)
            if finding is None:
                self._add_kind(key, problem)
            else:
                rows = finding.rows
                if len(rows) < _ROWS_SHOWN:
                    rows = (*rows, _place_of(problem))
                self._found[key] = replace(finding, count=finding.count + 1, rows=rows)

    def _add_kind(self, key: tuple[str, str, str], problem: Problem) -> None:
        if len(self._found) < _KINDS_KEPT:
            self._found[key] = Finding(problem, 1, (_place_of(problem),))
        else:
            self.others += 1

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)

    @property
    def _counted(self) -> str:
        return "1 problem" if self.count == 1 else f"{self.count:,} problems"

    def listed(self) -> str:
        """Returns the number of problems, and the first kinds of them with one line each."""
        shown = "".join(f"\n  {finding}" for finding in islice(self, _KINDS_LISTED))
        left = len(self) - _KINDS_LISTED
        return f"{self._counted}:{shown}" + (f"\n  … and {left:,} more kinds" if left > 0 else "")

    def __str__(self) -> str:
        """Returns the number of problems, and the finding with the first of them."""
        first = next(iter(self))
        if first.count == 1:
            return f"{self._counted}. The first is {first}"
        kinds = "1 kind" if len(self) == 1 else f"{len(self):,} kinds"
        return f"{self._counted} of {kinds}. The first kind is in {first}"


def findings_of(problems: Iterable[Problem]) -> Findings:
    """Groups problems by kind."""
    findings = Findings()
    findings.add(problems)
    return findings


@lru_cache(_KINDS_KEPT)
def _kind_of(rule: str) -> str:
    """Returns the rule without the parts that depend on the row: numbers, quoted texts and the place of another row."""
    kind = _VARIABLE.sub("#", rule)
    return _PER_FILE.sub("", kind) if kind.startswith("is already the id of row") else kind


@lru_cache(_KINDS_KEPT)
def _kind_of_fix(fix: str) -> str:
    """Returns the fix without the parts that depend on the row. Numbers remain: the limits of models differ."""
    return _OWN_PART_OF_FIX.sub("#", fix)


def _place_of(problem: Problem) -> str:
    place = f"{problem.row} {problem.variant}".rstrip() if problem.row else "header"
    return shortened(f"{problem.file}: {place}") if problem.file else place
