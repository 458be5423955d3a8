"""The layout of a table: which column sets which parameter, which stay with the row, and which are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from wan_assets.errors import PromptTableError
from wan_assets.models import closest_name
from wan_assets.prompts.column_use import NAMES_KEPT, ColumnUse
from wan_assets.prompts.columns import (
    PROMPT,
    UNKNOWN,
    Column,
    column_of,
    is_probably,
    known_column,
    normalized_name,
    parameter_meant_by,
    suggestion_for,
)
from wan_assets.prompts.problems import Refusal, printable, shortened
from wan_assets.prompts.prompt_source import PromptSource, mapped_columns

KEY, KEY_TEXT = "key", "key_text"
"""The columns of the keys of a JSON object whose values are rows: for keys that are ids, and for texts."""

PROMPT_ID = "prompt_id"
COMMON_NAMES: Mapping[str, tuple[str, ...]] = {
    PROMPT: (
        "prompt_en",
        "prompt_text",
        "text_prompt",
        "prompts",
        "text",
        "caption",
        "description",
        "sentence",
        KEY_TEXT,
    ),
    PROMPT_ID: ("id", "row_id", "uid"),
}
"""Common names of the columns that contain prompts and ids. They are used if no column has the parameter's own name."""

_NAMES_SHOWN = 30
_TARGETS: Mapping[str, Column] = {PROMPT: Column(PROMPT, "text"), PROMPT_ID: Column(PROMPT_ID, "prompt_id")}
_MEANING: Mapping[str, str] = {
    normalized_name(name): target for target, names in COMMON_NAMES.items() for name in names
}


class Placed(NamedTuple):
    """The place of a column: its position in a record, and the path of a field inside its values."""

    at: int
    path: tuple[str, ...]
    column: Column


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a header, the refused names, the fields of nested values, and columns that objects do not set."""

    columns: tuple[tuple[int, Column], ...]
    refused: tuple[tuple[int, str, Refusal], ...]
    fields: tuple[Placed, ...] = ()
    fixed: frozenset[str] = frozenset()

    def has(self, column: str) -> bool:
        """Returns whether the header contains this column under any of its names."""
        names = (*(found.name for _, found in self.columns), *(found.column.name for found in self.fields))
        return column in names

    @property
    def is_ambiguous(self) -> bool:
        """Whether several columns may contain the prompt, which is one of the refusals."""
        return any(name == PROMPT for _, name, _ in self.refused)


class Layouts:
    """The layouts of the records of one file.

    The first record with a common name for the prompt or the id decides which column it is in the whole file.
    """

    def __init__(self, source: PromptSource, *, label: str = "", is_keyed: bool = False) -> None:
        self._mapped = mapped_columns(source.columns)
        self._keeps_extra = source.extra == "keep"
        self._label = label
        self._is_keyed = is_keyed
        self._names: dict[str, str] = {}  # target → the name that is used for it, from the first record that has one
        self._layouts: dict[tuple[str, ...], Layout] = {}
        self._sources: dict[str, dict[str, None]] = {}
        self._kept: dict[str, None] = {}
        self._recognized: set[str] = set()

    def of(self, names: tuple[str, ...]) -> Layout:
        """Returns the layout of a record with these names."""
        layout = self._layouts.get(names)
        if layout is None:
            if len(self._layouts) >= NAMES_KEPT:
                self._layouts.clear()
            layout = self._layouts[names] = self._layout(names)
        return layout

    @property
    def common_name_of_id(self) -> str | None:
        """The column of the ids, if it was found by a common name or contains the keys of an object."""
        name = self._names.get(PROMPT_ID)
        return None if name == PROMPT_ID else name

    def use(self, defaults: Mapping[str, Any]) -> ColumnUse:
        """Returns the columns of all records so far."""
        sources = {target: tuple(names) for target, names in self._sources.items()}
        return ColumnUse(sources, frozenset(self._recognized), tuple(self._kept), defaults)

    def check_sources(self, records: Sequence[tuple[tuple[str, ...], Sequence[Any]]]) -> None:
        """Raises `PromptTableError` if a mapped column is in none of the records, or hides a column that is in one."""
        if not self._mapped:
            return
        headers = dict.fromkeys(names for names, _ in records)
        known = list(dict.fromkeys(name.strip() for names in headers for name in names))
        for column, source in self._mapped.values():
            if not any(_may_have(names, values, source) for names, values in records):
                raise PromptTableError(self._missing_source(column, source, known))
        for names in headers:
            for name in names:
                if refusal := self._hidden(name.strip()):
                    raise PromptTableError(f"{self._label}: column {printable(name)} {refusal.rule}; {refusal.fix}")

    def _missing_source(self, column: Column, source: str, known: Sequence[str]) -> str:
        near = closest_name(source, known)
        more = f" and {len(known) - _NAMES_SHOWN:,} more" if len(known) > _NAMES_SHOWN else ""
        listed = ", ".join(shortened(name) for name in known[:_NAMES_SHOWN]) + more
        meant = f"did you mean {near}? Its" if near else "its"
        return printable(f"{self._label} has no column {source} for {column.name}; {meant} columns are {listed}")

    def _layout(self, names: tuple[str, ...]) -> Layout:
        given = [name.strip() for name in names]
        mapped = [_place_of(given, source, column) for column, source in self._mapped.values()]
        placed = {found.column.name: found for found in mapped if found is not None}
        used = {found.at for found in placed.values() if not found.path}
        exact = {index: known_column(name) for index, name in enumerate(given) if index not in used}
        refused = [*self._ambiguous(given, exact, used)]
        self._bind(given, exact, used)
        taken = {*placed, *(column.name for column in exact.values() if isinstance(column, Column))}
        for index, name in enumerate(given):
            if index in used:
                continue
            column = self._column(index, name, exact[index], taken)
            if isinstance(column, Refusal):
                refused.append((index, name, column))
            elif column.name in placed:
                refused.append((index, name, _repeated(given[placed[column.name].at], name)))
            else:
                placed[column.name] = Placed(index, (), column)
                taken.add(column.name)
        self._note(placed, given)
        return _layout_of(placed.values(), refused)

    def _column(self, index: int, name: str, own: Column | Refusal | None, others: Collection[str]) -> Column | Refusal:
        """Returns what the column of a record at `index` is; `others` are the parameters that the record has."""
        for target, chosen in self._names.items():
            if name == chosen and target not in self._mapped:
                return _TARGETS[target]
        if isinstance(own, Column):
            return self._hidden(name) or own
        if own is not None or not self._keeps_extra:
            return own or column_of(name)
        if not name:
            return Column(f"column_{index + 1}", "carried")
        meant = parameter_meant_by(name)
        if meant is None or meant in others:
            return Column(name, "carried")
        refused = Refusal(UNKNOWN, suggestion_for(name))
        kept = f" To keep it as an extra column, map x_{name}={name}" if refused.fix.endswith("?") else ""
        return Refusal(refused.rule, f"{refused.fix}{kept}")

    def _hidden(self, name: str) -> Refusal | None:
        """Refuses a column that sets a parameter which another column is mapped to."""
        own = known_column(name)
        if not isinstance(own, Column) or own.name not in self._mapped:
            return None
        source = self._mapped[own.name][1]
        if name in (found for _, found in self._mapped.values()):
            return None
        return Refusal(
            f"is hidden, because {own.name} is mapped to the column {source}",
            f"map it too, for example x_{name}={name}, or remove the mapping",
        )

    def _bind(self, given: Sequence[str], exact: Mapping[int, Column | Refusal | None], used: set[int]) -> None:
        """Chooses the columns with common names, unless an earlier record or a mapping decides."""
        for target in COMMON_NAMES:
            if target in self._names or target in self._mapped:
                continue
            if any(isinstance(column, Column) and column.name == target for column in exact.values()):
                self._names[target] = target
            elif len(found := _common_names(given, used, target)) == 1 or (found and target == PROMPT_ID):
                self._names[target] = found[0]
                self._recognized.add(target)
        if self._is_keyed and KEY in given and given.index(KEY) not in used and PROMPT_ID not in self._mapped:
            self._names.setdefault(PROMPT_ID, KEY)

    def _ambiguous(
        self, given: Sequence[str], exact: Mapping[int, Column | Refusal | None], used: set[int]
    ) -> Iterator[tuple[int, str, Refusal]]:
        if PROMPT in self._names or PROMPT in self._mapped:
            return
        if any(isinstance(column, Column) and column.name == PROMPT for column in exact.values()):
            return
        found = _common_names(given, used, PROMPT)
        if len(found) > 1:
            rule = f"may be in any of the columns {', '.join(map(shortened, found))}"
            fix = f"choose one of them, for example {PROMPT}={found[0]}, with --column or columns"
            yield given.index(found[0]), PROMPT, Refusal(rule, fix)

    def _note(self, placed: Mapping[str, Placed], given: Sequence[str]) -> None:
        for index, path, column in placed.values():
            name = ".".join((given[index], *path))
            if column.kind in ("extra", "carried"):
                if len(self._kept) < NAMES_KEPT:
                    self._kept[column.name] = None
            elif len(names := self._sources.setdefault(column.name, {})) < _NAMES_SHOWN:
                names[name] = None


def _repeated(first: str, name: str) -> Refusal:
    rule = f"means the same as column {shortened(first)}" if first != name else "occurs twice"
    return Refusal(rule, "remove one of the two columns")


def missing_prompt(names: Sequence[str]) -> Refusal:
    """Returns the refusal for a header without a prompt column."""
    if len(names) == 1 and (separator := re.search(r"[;\t|,]", names[0])):
        fix = f"use the right column separator: this header contains {separator[0]!r}"
        return Refusal("no column contains the prompts", fix)
    near = next((name.strip() for name in names if is_probably(name.strip(), PROMPT)), None)
    fix = f"rename the column {shortened(near)} to {PROMPT}" if near else f"add a column {PROMPT}"
    return Refusal("no column contains the prompts", f"{fix}, or map one: {PROMPT}={shortened(near or 'COLUMN')}")


def value_at(value: Any, path: Sequence[str]) -> Any:
    """Returns a field of a nested value; objects may be JSON text. None if it is missing."""
    for part in path:
        found = _parsed(value)
        if isinstance(found, Mapping):
            value = found.get(part)
        elif isinstance(found, (list, tuple)) and part.isdecimal() and int(part) < len(found):
            value = found[int(part)]
        else:
            return None
    return value


def _parsed(value: Any) -> Any:
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        with suppress(ValueError, RecursionError):
            return json.loads(value)
    return value


def _may_have(names: tuple[str, ...], values: Sequence[Any], source: str) -> bool:
    """Returns whether a record has a column or a field; also if it cannot be known, because its object is missing."""
    found = _place_of([name.strip() for name in names], source, _TARGETS[PROMPT])
    if found is None:
        return False
    index, path, _ = found
    *parents, last = path or ("",)
    value = _parsed(value_at(values[index], parents)) if path and len(values) > index else None
    if not path or value is None:
        return True
    return last in value if isinstance(value, Mapping) else value_at(value, (last,)) is not None


def _place_of(names: Sequence[str], source: str, column: Column) -> Placed | None:
    """Returns the position of a source column, and the path inside its values."""
    parts = source.strip().split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in names:
            return Placed(names.index(name), tuple(parts[length:]), column)
    return None


def _common_names(given: Sequence[str], used: set[int], target: str) -> list[str]:
    """Returns the columns with a common name for a target, in the order of the names."""
    names = [name for index, name in enumerate(given) if index not in used]
    found = {normalized_name(name): name for name in names if _MEANING.get(normalized_name(name)) == target}
    return [found[normalized_name(name)] for name in COMMON_NAMES[target] if normalized_name(name) in found]


def _layout_of(placed: Iterable[Placed], refused: Sequence[tuple[int, str, Refusal]]) -> Layout:
    groups_last = sorted(placed, key=lambda found: found.column.kind == "group")
    columns = tuple((found.at, found.column) for found in groups_last if not found.path)
    return Layout(columns, tuple(refused), tuple(found for found in groups_last if found.path))
