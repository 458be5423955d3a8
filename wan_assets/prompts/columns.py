"""Columns of a prompt table: which parameter a name means, in any of the spellings people use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from wan_assets.models import COLUMN_ALIASES, LAST_FRAME, PARAMETERS, closest_name
from wan_assets.prompts.problems import Refusal, shortened

PROMPT = "positive_prompt"
PICTURE = "inputs.frame_images"
SOUND = "inputs.audio"
MADE_SOUND = "provider_settings.alibaba.audio"
GROUPS = frozenset({"inputs", "provider_settings", "provider_settings.alibaba", "safety"})
"""Columns whose cell is an object of other parameters."""

PRIORITY = "priority"
"""A whole number; it is carried, and says which rows are sent first."""

CARRIED = frozenset({PRIORITY, "date", "campaign", "shard", "tags", "note", "category", "split", "source", "meta"})
"""Columns that no request needs; they are kept as text with the row, as are `x_…` and `meta.…`."""

Kind = Literal["text", "word", "media", "url", "group", "carried", "priority", "prompt_id"]

_KINDS: Mapping[str, Kind] = {
    "prompt_id": "prompt_id",
    PROMPT: "text",
    "negative_prompt": "text",
    PICTURE: "media",
    f"{PICTURE}.image": "media",
    f"{PICTURE}.frame": "word",
    SOUND: "media",
    "webhook_url": "url",
    "upload_endpoint": "url",
    **dict.fromkeys(GROUPS, "group"),
    **dict.fromkeys(CARRIED, "carried"),
    PRIORITY: "priority",
}

_ALIASES = {
    "prompt": PROMPT,
    "prompt_id": "prompt_id",
    "frame_image": PICTURE,
    "input_image": PICTURE,
    "input_audio": SOUND,
}

_MEANINGS = {**COLUMN_ALIASES, **dict.fromkeys(("id", "key", "row_id", "video_id"), "prompt_id")}
"""Names that look like no column but are often meant as one; suggested, never assumed."""


@dataclass(frozen=True, slots=True)
class Column:
    """What a name in a table means."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each column of a header stands, and which names are refused."""

    columns: tuple[tuple[int, Column], ...]
    refused: tuple[tuple[int, str, Refusal], ...]

    def has(self, column: str) -> bool:
        """Whether some name of the header means this column."""
        return any(found.name == column for _, found in self.columns)


def column_of(name: str) -> Column | Refusal:
    """What a name means; camel case, snake case, dots and unambiguous last parts are all understood."""
    written = name.strip()
    if _is_carried(written):
        return Column(written, "carried")
    meant = _MEANT.get(_key(written), ())
    if len(meant) > 1:
        both = " or ".join(meant)
        return Refusal(f"may mean {both}", f"rename it to {both}")
    if not meant:
        return Refusal("is no column of a prompt table", _suggestion(written))
    if meant[0] == "task_uuid":
        return Refusal("task UUIDs are derived", "remove the column")
    return Column(meant[0], _KINDS.get(meant[0], "word"))


def meaning_of(name: str) -> str | None:
    """The column that a name means or is often meant as; None for any other text."""
    meant = _MEANT.get(_key(name), ())
    if len(meant) == 1 and meant[0] != "task_uuid":
        return meant[0]
    return _MEANINGS_BY_KEY.get(_key(name)) or (name.strip() if _is_carried(name) else None)


def layout_of(names: Sequence[str]) -> Layout:
    """The layout of a header; the first of two names for the same column counts, the second is refused."""
    columns: dict[str, tuple[int, Column]] = {}
    refused: list[tuple[int, str, Refusal]] = []
    for index, name in enumerate(names):
        column = column_of(name)
        if isinstance(column, Refusal):
            refused.append((index, name.strip(), column))
        elif column.name in columns:
            first = names[columns[column.name][0]].strip()
            rule = f"means the same as column {shortened(first)}" if first != name.strip() else "occurs twice"
            refused.append((index, name.strip(), Refusal(rule, "remove one of the two columns")))
        else:
            columns[column.name] = (index, column)
    groups_last = sorted(columns.values(), key=lambda found: found[1].kind == "group")
    return Layout(tuple(groups_last), tuple(refused))


def missing_prompt(names: Sequence[str]) -> Refusal:
    """What to say of a header without prompts."""
    if len(names) == 1 and (separator := re.search(r"[;\t|,]", names[0])):
        fix = f"separate columns with the right character: this header has {separator[0]!r}"
        return Refusal("no column holds the prompts", fix)
    near = next((name.strip() for name in names if _nearest_columns(name.strip()) == (PROMPT,)), None)
    fix = f"rename the column {shortened(near)} to {PROMPT}" if near else f"add a column {PROMPT}"
    return Refusal("no column holds the prompts", fix)


def _is_carried(name: str) -> bool:
    return name.strip().lower().startswith(("x_", "meta."))


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


def _tails(column: str) -> Iterator[str]:
    parts = column.split(".")
    return (".".join(parts[start:]) for start in range(len(parts)))


def _meanings_of_names() -> dict[str, tuple[str, ...]]:
    meant: dict[str, tuple[str, ...]] = {}
    for column in PARAMETERS:
        for tail in _tails(column):
            meant[_key(tail)] = (*meant.get(_key(tail), ()), column)
    exact = [*((column, column) for column in (*PARAMETERS, *CARRIED)), *_ALIASES.items()]
    return meant | {_key(name): (column,) for name, column in exact}


_MEANT = _meanings_of_names()
_TAILS = {tail for column in PARAMETERS for tail in _tails(column)}
_SPELLINGS = sorted({*_TAILS, *_ALIASES, *CARRIED})
_MEANINGS_BY_KEY = {_key(name): meaning for name, meaning in _MEANINGS.items()}


def _nearest_columns(name: str) -> tuple[str, ...]:
    if LAST_FRAME.match(name):
        return ()
    last = name.rpartition(".")[2]
    if meaning := _MEANINGS_BY_KEY.get(_key(name)) or _MEANINGS_BY_KEY.get(_key(last)):
        return (meaning,)
    found = closest_name(name, (*_SPELLINGS, *_MEANINGS)) or closest_name(last, (*_SPELLINGS, *_MEANINGS))
    if found in _MEANINGS:
        return (_MEANINGS[found],)
    return _MEANT[_key(found)] if found else ()


def _suggestion(name: str) -> str:
    if not name:
        return "name the column or remove it (pandas writes its index so: to_csv(index=False) leaves it out)"
    found = _nearest_columns(name)
    if not found:
        return "remove it, or start its name with x_ to carry it along"
    return f"did you mean {' or '.join(found)}?"
