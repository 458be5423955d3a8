"""Expansion of records: one row of the source becomes a row for each variant, with its own id.

The values of a variant are appended to those of its record, and the layout of the variants reads them instead of the
row's own. Rows without variants keep their record and their layout.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import product
from typing import Any

from wan_assets.models import normal_prompts
from wan_assets.prompts.cell_text import text_of
from wan_assets.prompts.cells import is_absent
from wan_assets.prompts.columns import EXPERIMENT, SEEDS, VARIANT, Column
from wan_assets.prompts.identity import PromptIds, text_of_id, violations_of_id
from wan_assets.prompts.layout import PROMPT_ID, Layout, value_at
from wan_assets.prompts.problems import Refusal
from wan_assets.prompts.records import RecordBatch
from wan_assets.prompts.variant_options import MAX_VARIANTS, SEED, SEPARATOR, Variants
from wan_assets.prompts.variant_parts import Finding, Part, PendingPart

_SIZE = frozenset({"width", "height", "resolution"})
_NOT_CONTENT = frozenset({"extra", "carried", "priority", "prompt_id", "seeds"})
_FIRST_SEED = 1
"""Many generators take 0 for a random seed."""


@dataclass(frozen=True, slots=True)
class _Row:
    """What one row of the source gives: the number of its seeds, the first of them, its id, and its problems."""

    seeds: int | None
    first_seed: int
    prompt_id: Any
    findings: tuple[Finding, ...] = ()


class Expansion:
    """The expansion of the records with one header. `default_seed` is the first seed of rows without one."""

    def __init__(self, layout: Layout, names: tuple[str, ...], variants: Variants, default_seed: Any) -> None:
        self._variants = variants
        self._default_seed = default_seed
        self._places: dict[str, tuple[int, tuple[str, ...]]] = {
            column.name: (index, ()) for index, column in layout.columns
        }
        self._places |= {each.column.name: (each.at, each.path) for each in layout.fields}
        self.plain = _without(layout, frozenset({SEEDS}))
        """The layout of rows without variants."""
        self._axes = [axis.column for axis in variants.axes]
        self._has_seeds = variants.seeds is not None or SEEDS in self._places
        given = [Column(PROMPT_ID, "prompt_id"), Column(EXPERIMENT, "extra"), Column(VARIANT, "extra"), *self._axes]
        self._given = [*given, Column(SEED, "word")] if self._has_seeds else given
        self._names = (*names, *(column.name for column in self._given))
        self.layout = self._layout_of_variants(layout, names)
        self._content = tuple(
            (*place, column)
            for column, place in self._columns_of(layout)
            if column.kind not in _NOT_CONTENT and column not in self._axes
        )
        chosen = product(*(zip(axis.values, axis.words, strict=True) for axis in variants.axes))
        self._combinations = [self._combination(each) for each in chosen]

    @property
    def refused(self) -> tuple[tuple[int, str, Refusal], ...]:
        """The columns that no row may have."""
        return self.layout.refused

    @classmethod
    def of(
        cls, layout: Layout, names: tuple[str, ...], variants: Variants, defaults: Mapping[str, Any]
    ) -> Expansion | None:
        """Returns the expansion of records with a header; None if they have no variants."""
        if variants == Variants() and not layout.has(SEEDS):
            return None
        return cls(layout, names, variants, defaults.get(SEED))

    @staticmethod
    def _columns_of(layout: Layout) -> Iterator[tuple[Column, tuple[int, tuple[str, ...]]]]:
        yield from ((column, (index, ())) for index, column in layout.columns)
        yield from ((each.column, (each.at, each.path)) for each in layout.fields)

    def _layout_of_variants(self, layout: Layout, names: tuple[str, ...]) -> Layout:
        """Returns the layout that reads the given values instead of the row's own."""
        varied = frozenset(column.name for column in self._given)
        replaced = varied | (_SIZE if varied & _SIZE else frozenset()) | {SEEDS}
        own = _without(layout, replaced)
        given = tuple((len(names) + at, column) for at, column in enumerate(self._given))
        taken = tuple(
            (index, names[index], _TAKEN[column.name]) for index, column in layout.columns if column.name in _TAKEN
        )
        refused = (*layout.refused, *taken)
        return replace(own, columns=(*given, *own.columns), refused=refused, fixed=varied)

    def _combination(self, chosen: Sequence[tuple[Any, str]]) -> tuple[str, tuple[Any, ...]]:
        names = (axis.name for axis in self._variants.axes)
        words = (f"{name}={word}" for name, (_, word) in zip(names, chosen, strict=True))
        return SEPARATOR.join(words), tuple(value for value, _ in chosen)

    def parts(self, first: int, records: RecordBatch, ids: PromptIds) -> Iterator[Part]:
        """Yields the rows of consecutive records, of which the first has the number `first`, in parts."""
        pending = PendingPart(self.layout, self.plain)
        for at, values in enumerate(records.values):
            findings: list[Finding] = []
            seeds = self._seeds(values, findings)
            is_plain = seeds is None and not self._axes and not findings
            if pending and pending.is_plain is not is_plain:
                yield pending.taken()
            if is_plain:
                pending.add_plain(first + at, records.lines[at], records.names, values)
            else:
                row = self._row(first + at, values, ids, seeds, findings)
                if row.findings and pending:
                    yield pending.taken()
                if row.findings:
                    yield self._refused(first + at, records.taken(at, at + 1), row)
                else:
                    pending.add(first + at, records.lines[at], self._names, self._expanded(values, row), row.prompt_id)
            if pending.is_full:
                yield pending.taken()
        if pending:
            yield pending.taken()

    def _refused(self, number: int, record: RecordBatch, row: _Row) -> Part:
        """Returns a row that cannot be expanded as its first variant, so that its other problems are found too."""
        _, chosen = self._combinations[0]
        is_seed_refused = any(column == SEED for column, _, _ in row.findings)
        seed = () if not self._has_seeds else (None if is_seed_refused else self._cell(record.values[0], SEED),)
        values = (*record.values[0], row.prompt_id, None, None, *chosen, *seed)
        batch = RecordBatch(record.lines, self._names, [values])
        return Part((number,), batch, self.layout, findings=row.findings)

    def _expanded(self, values: Sequence[Any], row: _Row) -> list[tuple[Any, ...]]:
        base = row.prompt_id
        if row.seeds is None:
            last = (self._cell(values, SEED),) if self._has_seeds else ()
            return [
                (*values, f"{base}{SEPARATOR}{words}", base, words, *chosen, *last)
                for words, chosen in self._combinations
            ]
        suffixes = [(f"{SEED}={seed}", seed) for seed in range(row.first_seed, row.first_seed + row.seeds)]
        return [
            (*values, f"{base}{SEPARATOR}{variant}", base, variant, *chosen, seed)
            for words, chosen in self._combinations
            for suffix, seed in suffixes
            for variant in (f"{words}{SEPARATOR}{suffix}" if words else suffix,)
        ]

    def _seeds(self, values: Sequence[Any], findings: list[Finding]) -> int | None:
        """Returns the number of seeds of a row, or None; adds a finding if it is not valid."""
        given = self._cell(values, SEEDS)
        if is_absent(given):
            return self._variants.seeds
        seeds = _whole(given)
        if seeds is None or not 0 < seeds <= MAX_VARIANTS:
            rule, fix = f"must be a whole number from 1 to {MAX_VARIANTS:,}", "write it in digits, such as 4"
        elif (count := seeds * len(self._combinations)) > MAX_VARIANTS:
            rule, fix = f"gives the row {count:,} variants, more than {MAX_VARIANTS:,}", "write a smaller number"
        elif SEED in {column.name for column in self._axes}:
            rule, fix = "cannot be used with variants of seed", "remove one of the two"
        else:
            return seeds
        findings.append((SEEDS, given, Refusal(rule, fix)))
        return None

    def _row(
        self, number: int, values: Sequence[Any], ids: PromptIds, seeds: int | None, findings: list[Finding]
    ) -> _Row:
        first_seed = self._first_seed(values, findings) if seeds is not None else 0
        return _Row(seeds, first_seed, self._base(number, values, ids, findings), tuple(findings))

    def _first_seed(self, values: Sequence[Any], findings: list[Finding]) -> int:
        written = self._cell(values, SEED)
        written = self._default_seed if is_absent(written) else written
        if is_absent(written):
            return _FIRST_SEED
        seed = _whole(written)
        if seed is None:
            refusal = Refusal("must be a whole number, the first of the row's seeds", "write it in digits, such as 7")
            findings.append((SEED, written, refusal))
        return seed or 0

    def _base(self, number: int, values: Sequence[Any], ids: PromptIds, findings: list[Finding]) -> Any:
        """Returns the id that the variants share; adds a finding if it is not valid."""
        written = self._cell(values, PROMPT_ID)
        if is_absent(written):
            prompt_id, holder = ids.derive(self._digest(values), number)
        else:
            text = text_of_id(written)
            refusals = [_NO_TEXT] if text is None else [*violations_of_id(text)]
            if text is not None and SEPARATOR in text:
                refusals.append(_RESERVED)
            findings += ((PROMPT_ID, written, refusal) for refusal in refusals)
            if text is None or refusals:
                return None
            prompt_id, holder = text, ids.claim(text, number)
        if holder:
            refusal = Refusal(f"is already the id of {holder}", "give each row its own id")
            findings.append((PROMPT_ID, prompt_id, refusal))
            return None
        return prompt_id

    def _digest(self, values: Sequence[Any]) -> str:
        """Returns a digest of the parameters that the row gives and that do not vary."""
        found: dict[str, str] = {}
        for index, path, column in self._content:
            value = value_at(values[index], path)
            if not is_absent(value):
                found[column.name] = _normal_text(column, value)
        return sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()

    def _cell(self, values: Sequence[Any], name: str) -> Any:
        place = self._places.get(name)
        return None if place is None else value_at(values[place[0]], place[1])


_NO_TEXT = Refusal("must be text or a whole number", "write it as text")
_RESERVED = Refusal(f"must not contain {SEPARATOR} in a row with variants", f"replace {SEPARATOR} by another character")
_TAKEN = {
    name: Refusal("is set for rows with variants", f"rename the column, or map x_{name}={name}")
    for name in (EXPERIMENT, VARIANT)
}


def _without(layout: Layout, names: frozenset[str]) -> Layout:
    """Returns a layout without some columns and without columns of their parts."""
    heads = tuple(f"{name}." for name in names)

    def is_kept(column: Column) -> bool:
        return column.name not in names and not column.name.startswith(heads)

    columns = tuple((index, column) for index, column in layout.columns if is_kept(column))
    fields = tuple(each for each in layout.fields if is_kept(each.column))
    return Layout(columns, layout.refused, fields)


def _whole(value: Any) -> int | None:
    """Returns a whole number, also if it is written in digits."""
    found = re.fullmatch(r"\s*([0-9]{1,18})(\.0*)?\s*", _text(value), re.ASCII)
    return int(found[1]) if found else None


def _text(value: Any) -> str:
    try:
        return text_of(value)
    except RecursionError:
        return ""  # the cell is reported when the row is read


def _normal_text(column: Column, value: Any) -> str:
    text = _text(value)
    if column.kind == "text":
        return normal_prompts([text])[0] or text
    return text.strip()
