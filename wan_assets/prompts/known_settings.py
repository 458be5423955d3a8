"""Records with the settings of an earlier record: only their texts, seeds and extra columns are checked, in columns.

The settings are all parameters but the prompts and the seed. A record that is not accepted here is checked in full,
which also finds its problems.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, TypeAlias

from wan_assets.models import RequestTemplate, are_texts, normal_values
from wan_assets.prompts.cells import Cells, is_absent, place
from wan_assets.prompts.columns import PROMPT, Column
from wan_assets.prompts.layout import PROMPT_ID, Layout
from wan_assets.prompts.records import RecordBatch
from wan_assets.prompts.refused_settings import MixedRows, RefusedSettings
from wan_assets.prompts.row_batch import RowBatch

NEGATIVE, SEED = "negative_prompt", "seed"

_KEPT = frozenset(("extra", "carried", "priority"))
_MOST_SETTINGS = 4096
"""A template takes about 5 kB. Rows with further settings are checked in full."""

TemplateOf: TypeAlias = Callable[[Sequence[Any]], RequestTemplate | RefusedSettings | None]
"""Returns the template for the values of a record, or settings that are not valid; None if records with these settings
must be checked in full.
"""

_Values: TypeAlias = tuple[Sequence[Any], Sequence[Any], Sequence[Any]]


class KnownSettings:
    """The settings in the records of one layout. `defaults` are the values of missing cells."""

    def __init__(
        self, layout: Layout, defaults: Mapping[str, Any], template_of: TemplateOf, *, is_usable: bool
    ) -> None:
        self.layout = layout
        self._at = {column.name: index for index, column in layout.columns}
        self._defaults = defaults
        self._kept = tuple((index, column) for index, column in layout.columns if column.kind in _KEPT)
        self._settings = tuple(i for i, column in layout.columns if column.kind == "word" and column.name != SEED)
        named = (self._at.get(name) for name in (PROMPT, NEGATIVE, SEED, PROMPT_ID))
        known = {*named, *self._settings, *(index for index, _ in self._kept)}
        self._others = tuple(index for index, _ in layout.columns if index not in known)
        self._template_of = template_of
        self._templates: dict[tuple[Any, ...] | None, RequestTemplate | RefusedSettings | None] = {}
        self._refused: set[Any] = set()
        self.is_usable = is_usable and PROMPT in self._at and not layout.fields
        """Whether records of the layout can be checked here: it has prompts, and no fields of nested values."""

    def check(self, numbers: Sequence[int], records: RecordBatch, file: str) -> Iterator[RowBatch | MixedRows | int]:
        """Yields records with the given numbers: in batches, whose ids are as written, and the positions of those that
        must be checked in full.
        """
        columns = list(zip(*records.values, strict=True))
        prompts, negatives, seeds = (self._given(columns, name, len(records)) for name in (PROMPT, NEGATIVE, SEED))
        own: _Values = prompts, negatives, seeds
        extra: dict[str, Sequence[Any]] = {column.name: _texts_of(column, columns[at]) for at, column in self._kept}
        ids: Sequence[Any] = columns[self._at[PROMPT_ID]] if PROMPT_ID in self._at else [None] * len(records)
        templates: Sequence[Any] = self._templates_of(columns, len(records))
        normal: Any = normal_values(templates, *own)  # None where a row is not accepted
        batch = RowBatch(numbers, records.lines, ids, templates, own, normal, extra, file)
        others = (at for index in self._others for at, value in enumerate(columns[index]) if not is_absent(value))
        return self._parts_of(batch, {*batch.incomplete(), *others})

    def _parts_of(self, batch: RowBatch, rejected: AbstractSet[int]) -> Iterator[RowBatch | MixedRows | int]:
        start = 0
        for part in batch.between(rejected):
            if not isinstance(part, RowBatch):
                yield part
            elif self._refused.isdisjoint(part.templates):
                yield part.fingerprinted()
            else:
                yield MixedRows(start, part)
            start += len(part) if isinstance(part, RowBatch) else 1

    def _given(self, columns: Sequence[Sequence[Any]], name: str, rows: int) -> Sequence[Any]:
        """Returns the values of a column, and the default value for its empty cells."""
        default = self._defaults.get(name)
        if name not in self._at:
            return [default] * rows
        column = columns[self._at[name]]
        if are_texts(column):
            is_full = all(map(str.strip, column))
            return column if is_full else [text if text and not text.isspace() else default for text in column]
        return [default if is_absent(value) else value for value in column]

    def _templates_of(
        self, columns: Sequence[Sequence[Any]], rows: int
    ) -> list[RequestTemplate | RefusedSettings | None]:
        """Returns the template of each record, or refused settings; None for records that must be checked in full."""
        given = [columns[at] for at in self._settings]
        settings: list[tuple[Any, ...] | None] = list(zip(*given, strict=True)) if given else [()] * rows
        if not all(map(are_texts, given)):
            settings = [_hashable(values) for values in zip(*given, strict=True)]  # 1, 1.0 and True are equal
        for new in set(settings) - self._templates.keys():
            if len(self._templates) < _MOST_SETTINGS:
                self._templates[new] = found = self._template_of(self._record_of(new)) if new is not None else None
                self._refused |= {found} if isinstance(found, RefusedSettings) else set()
        return list(map(self._templates.get, settings))

    def _record_of(self, settings: Sequence[Any]) -> list[Any]:
        """Returns the values of a record that has no others."""
        values: list[Any] = [None] * (1 + max(self._at.values()))
        for at, value in zip(self._settings, settings, strict=False):
            values[at] = value
        return values


def _hashable(values: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Returns a key of values and their types; None if a value cannot be hashed, such as a list.

    Each NaN differs from all others, also as a key; it is an empty cell, like None.
    """
    values = tuple(None if isinstance(value, float) and math.isnan(value) else value for value in values)
    key = (*values, *map(type, values))
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _texts_of(column: Column, values: Sequence[Any]) -> Sequence[str | None]:
    """Returns the texts of an extra column, empty for empty cells; None for cells that must be checked in full."""
    if column.kind != "priority" and are_texts(values) and "".join(values).isprintable():
        return values if not any(map(str.isspace, values)) else ["" if text.isspace() else text for text in values]
    return [_text_of(column, value) for value in values]


def _text_of(column: Column, value: Any) -> str | None:
    if is_absent(value):
        return ""
    cells = Cells()
    place(cells, column, value)
    return None if cells.findings else cells.extra.get(column.name) or None
