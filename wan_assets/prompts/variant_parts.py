"""The rows of a table with variants in parts: consecutive rows with the same layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from wan_assets.prompts.layout import Layout
from wan_assets.prompts.problems import Refusal
from wan_assets.prompts.records import RecordBatch

Finding: TypeAlias = tuple[str, Any, Refusal]
"""A column, a value and its refusal."""

_ROWS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Experiment:
    """One row of the source: the id that its variants share, and their number."""

    prompt_id: str
    variants: int


@dataclass(frozen=True)
class Part:
    """Consecutive rows with the same layout, and the numbers of their rows in the source.

    `experiments` are those of the rows by number; empty for rows without variants. `findings` are those of the only
    row, which cannot be expanded.
    """

    numbers: Sequence[int]
    records: RecordBatch
    layout: Layout
    experiments: Mapping[int, Experiment] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


class PendingPart:
    """The rows of a part that is not complete yet."""

    def __init__(self, layout: Layout, plain: Layout) -> None:
        self._layout, self._plain = layout, plain
        self._clear()

    def _clear(self) -> None:
        self._numbers: list[int] = []
        self._lines: list[int | None] = []
        self._names: tuple[str, ...] = ()
        self._values: list[Sequence[Any]] = []
        self._experiments: dict[int, Experiment] = {}

    def __bool__(self) -> bool:
        return bool(self._numbers)

    @property
    def is_full(self) -> bool:
        return len(self._numbers) >= _ROWS_AT_ONCE

    @property
    def is_plain(self) -> bool:
        """Whether the rows have no variants."""
        return not self._experiments

    def add_plain(self, number: int, line: int | None, names: tuple[str, ...], values: Sequence[Any]) -> None:
        self._names = names
        self._numbers.append(number)
        self._lines.append(line)
        self._values.append(values)

    def add(
        self, number: int, line: int | None, names: tuple[str, ...], rows: Sequence[Sequence[Any]], prompt_id: str
    ) -> None:
        self._names = names
        self._numbers += [number] * len(rows)
        self._lines += [line] * len(rows)
        self._values += rows
        self._experiments[number] = Experiment(prompt_id, len(rows))

    def taken(self) -> Part:
        """Returns the part, and starts the next one."""
        layout = self._layout if self._experiments else self._plain
        records = RecordBatch(self._lines, self._names, self._values)
        part = Part(self._numbers, records, layout, self._experiments)
        self._clear()
        return part
