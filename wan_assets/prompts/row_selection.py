"""The selection of a table's rows for a pilot run: conditions on columns, ids, and a number of rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest
from operator import itemgetter
from typing import Self

from wan_assets.errors import SelectionError
from wan_assets.models import PARAMETERS, closest_name
from wan_assets.prompts.columns import normalized_name
from wan_assets.prompts.layout import COMMON_NAMES, PROMPT_ID
from wan_assets.prompts.problems import shortened, shown
from wan_assets.prompts.prompt_row import PromptRow
from wan_assets.prompts.row_conditions import Condition
from wan_assets.prompts.table import Chunk


@dataclass(frozen=True)
class RowSelection:
    """The rows of a table that a pilot run requests: all of them if nothing is given.

    A row is selected if it fulfils all conditions of `select` and, if `ids` are given, has one of them. Of these rows,
    `limit` takes the first in the order of the table. `sample` takes those with the smallest hashes of their ids: a
    smaller sample is a part of a larger one, and a row that is added to the table replaces at most one row of a sample.
    """

    limit: int | None = None
    sample: int | None = None
    select: tuple[Condition, ...] = ()
    ids: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, *, limit: int | None = None, sample: int | None = None, select: Iterable[str] = (), ids: Iterable[str] = ()
    ) -> Self:
        """Reads a selection from its texts; raises `SelectionError` if one is not valid."""
        for name, count in (("limit", limit), ("sample", sample)):
            if count is not None and count < 1:
                raise SelectionError(f"{name} is {count}, but must be 1 or more")
        if limit is not None and sample is not None:
            raise SelectionError("limit and sample are both given: limit takes the first rows, sample a sample of them")
        named = list(ids)
        given = tuple(dict.fromkeys(stripped for each in named if (stripped := each.strip())))
        if named and not given:
            raise SelectionError("ids are given, but all of them are empty; remove them to select all rows")
        return cls(limit, sample, tuple(map(Condition.of, select)), given)

    @property
    def is_whole(self) -> bool:
        """Whether all rows are selected."""
        return self == RowSelection()

    def filter(self) -> Callable[[PromptRow], bool]:
        """Returns a function that tells whether a row fulfils the conditions and has one of the ids."""
        ids = frozenset(self.ids)
        return lambda row: (not ids or row.prompt_id in ids) and all(each.matches(row) for each in self.select)

    def taken(self, rows: Iterable[PromptRow]) -> list[PromptRow]:
        """Returns the selected ones of some rows, in their order."""
        found = list(filter(self.filter(), rows))
        if self.sample is None:
            return found[: self.limit]
        chosen = {row.prompt_id for row in nsmallest(self.sample, found, key=_rank)}
        return [row for row in found if row.prompt_id in chosen]

    def of_table(self, rows: Sequence[PromptRow]) -> list[PromptRow]:
        """Returns the selected rows of a whole table.

        Raises `SelectionError` for ids, columns and values that no row has, and if no row is selected.
        """
        if self.is_whole:
            return list(rows)
        found = RowsSeen(self)
        for row in rows:
            found.add(row)
        taken = self.taken(rows)
        found.verify(len(taken))
        return taken

    def __str__(self) -> str:
        """Returns the selection in one line, as the options of the command name it."""
        ids = f"ids={','.join(self.ids)}" if len(self.ids) <= _IDS_SHOWN else f"{len(self.ids):,} ids"
        parts = [f"select {each}" for each in self.select] + ([ids] if self.ids else [])
        parts += [f"limit {self.limit}"] if self.limit is not None else []
        parts += [f"sample {self.sample}"] if self.sample is not None else []
        return ", ".join(map(shortened, parts))


_IDS_SHOWN = 5
_KEPT = 1000
_VALUES_SHOWN = 5


class RowsSeen:
    """What the rows of a table have of a selection: its ids, its columns, and their values."""

    def __init__(self, selection: RowSelection) -> None:
        self._missing = dict.fromkeys(selection.ids)
        self._halves = _halves_of(selection.ids[:_VALUES_SHOWN])
        self._similar_ids: dict[str, None] = {}
        self._first_ids: list[str] = []
        self._columns: dict[str, None] = {}
        self._values: dict[Condition, dict[str, None]] = {each: {} for each in selection.select}
        self._unseen = {each: set(each.values) for each in selection.select}
        self._selection = selection

    def add(self, row: PromptRow) -> None:
        """Adds a row, selected or not."""
        if self._selection.ids:
            self._add_id(row.prompt_id)
        for condition, values in self._values.items():
            value = condition.value_in(row)
            self._unseen[condition].discard(value)
            if len(values) < _KEPT:
                values[value] = None
            if len(self._columns) < _KEPT:
                self._columns.update(dict.fromkeys(row.extra))

    def verify(self, selected: int) -> None:
        """Raises `SelectionError` for an id, a column or a value that no row has, and if no row is `selected`."""
        for condition in self._selection.select:
            self._verify_column(condition)
            if unseen := sorted(self._unseen[condition]):
                raise SelectionError(self._unknown_value(condition, unseen[0]))
        if self._missing:
            raise SelectionError(self._unknown_ids())
        if not selected:
            raise SelectionError(f"no row of the table is selected by {self._selection}")

    def _add_id(self, prompt_id: str) -> None:
        self._missing.pop(prompt_id, None)
        if len(self._first_ids) < _VALUES_SHOWN:
            self._first_ids.append(prompt_id)
        starts, ends = self._halves
        if len(self._similar_ids) < _KEPT and (prompt_id.startswith(starts) or prompt_id.endswith(ends)):
            self._similar_ids[prompt_id] = None

    def _verify_column(self, condition: Condition) -> None:
        column = condition.column
        if column in self._columns or column == PROMPT_ID or column in PARAMETERS:
            return
        near = _common_name(column) or _near(column, (*self._columns, *PARAMETERS, PROMPT_ID))
        known = f"the columns that stay with the rows are {_listed(self._columns)}" if self._columns else ""
        reason = f"no row has a value in the column {shortened(column)}"
        raise SelectionError(f"{reason}{near}" if near or not known else f"{reason}; {known}")

    def _unknown_value(self, condition: Condition, value: str) -> str:
        values = [each for each in self._values[condition] if each]
        near = _near(value, values) or (f"; its values are {_listed(map(shown, values))}" if values else "")
        wanted = shown(value) if value else "an empty cell"
        return f"no row has {wanted} in the column {condition.column}{near}"

    def _unknown_ids(self) -> str:
        missing = list(self._missing)
        noun = "prompt_id" if len(missing) == 1 else "prompt_ids"
        found = closest_name(missing[0], self._similar_ids)
        instead = f" instead of {shortened(missing[0])}" if len(missing) > 1 else ""
        near = f"did you mean {found}{instead}?" if found else f"its first ids are {_listed(self._first_ids)}"
        return f"no row of the table has the {noun} {_listed(missing)}; {near}"


class ChosenRows:
    """The selected rows of a table that is read in chunks: counts all rows, and keeps the ids of the selected ones."""

    def __init__(self, selection: RowSelection) -> None:
        self._selection = selection
        self._matches = selection.filter()
        self._seen = RowsSeen(selection)
        self._sample: list[tuple[int, PromptRow]] = []
        self.valid = 0
        self.ids: list[str] = []

    @property
    def left_out(self) -> int:
        """The number of valid rows that are not selected."""
        return self.valid - len(self.ids)

    def of(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """Yields the chunks with the selected rows only; a sample is complete, and in the last chunk, at the end."""
        for chunk in chunks:
            yield replace(chunk, rows=tuple(self._next(chunk.rows)))
            self.valid += len(chunk.rows)
        if self._sample:
            rows = tuple(row for _, row in sorted(self._sample, key=itemgetter(0)))
            self.ids += [row.prompt_id for row in rows]
            yield Chunk(rows, (), 0)

    def verify(self) -> None:
        """Raises `SelectionError` as `RowSelection.of_table` does."""
        self._seen.verify(len(self.ids))

    def _next(self, rows: Iterable[PromptRow]) -> Iterator[PromptRow]:
        found = []
        for at, row in enumerate(rows, self.valid):
            self._seen.add(row)
            if self._matches(row):
                found.append((at, row))
        if self._selection.sample is not None:
            self._sample = nsmallest(self._selection.sample, (*self._sample, *found), key=lambda each: _rank(each[1]))
            return
        room = None if self._selection.limit is None else self._selection.limit - len(self.ids)
        taken = [row for _, row in found[:room]]
        self.ids += [row.prompt_id for row in taken]
        yield from taken


def _common_name(name: str) -> str:
    """Returns the hint for a name under which a table may have its prompts or ids."""
    names = ((meant, map(normalized_name, common)) for meant, common in COMMON_NAMES.items())
    found = next((meant for meant, common in names if normalized_name(name) in common), None)
    return f"; did you mean {found}?" if found else ""


def _rank(row: PromptRow) -> bytes:
    """Returns the rank of a row in every sample. Shards depend on another hash, so that a sample contains all of
    them.
    """
    return hashlib.sha256(f"sample\n{row.prompt_id}".encode()).digest()


def _halves_of(ids: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the first and the last halves of ids: an id with one typing error has one of them."""
    named = [prompt_id for prompt_id in ids if len(prompt_id) > 1]
    return tuple(each[: len(each) // 2] for each in named), tuple(each[-(len(each) // 2) :] for each in named)


def _listed(names: Iterable[str]) -> str:
    found = [shortened(name) for name in names]
    more = f" and {len(found) - _VALUES_SHOWN:,} more" if len(found) > _VALUES_SHOWN else ""
    return f"{', '.join(found[:_VALUES_SHOWN])}{more}"


def _near(name: str, known: Iterable[str]) -> str:
    found = closest_name(name, known)
    return f"; did you mean {shown(found)}?" if found else ""
