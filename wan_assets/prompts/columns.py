"""Column names of a prompt table, their accepted spellings, and the request parameters that they set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from wan_assets.models import COLUMN_ALIASES, LAST_FRAME, PARAMETERS, closest_name
from wan_assets.prompts.problems import Refusal, shortened

PROMPT = "positive_prompt"
FRAME_IMAGES = "inputs.frame_images"
INPUT_AUDIO = "inputs.audio"
GENERATE_AUDIO = "provider_settings.alibaba.audio"
GROUPS = frozenset({"inputs", "provider_settings", "provider_settings.alibaba", "safety"})
"""Columns whose cells hold an object of several parameters."""

PRIORITY = "priority"
"""An extra column that holds a whole number: rows with a higher priority are submitted first."""

EXTRA_COLUMNS = frozenset(
    {PRIORITY, "date", "campaign", "shard", "tags", "note", "category", "split", "source", "meta"}
)
"""Columns that are not part of a request. Their text is kept with the row, like that of `x_…` and `meta.…`."""

Kind = Literal["text", "word", "media", "url", "group", "extra", "priority", "prompt_id"]

_KINDS: Mapping[str, Kind] = {
    "prompt_id": "prompt_id",
    PROMPT: "text",
    "negative_prompt": "text",
    FRAME_IMAGES: "media",
    f"{FRAME_IMAGES}.image": "media",
    f"{FRAME_IMAGES}.frame": "word",
    INPUT_AUDIO: "media",
    "webhook_url": "url",
    "upload_endpoint": "url",
    **dict.fromkeys(GROUPS, "group"),
    **dict.fromkeys(EXTRA_COLUMNS, "extra"),
    PRIORITY: "priority",
}

_ALIASES = {
    "prompt": PROMPT,
    "prompt_id": "prompt_id",
    "frame_image": FRAME_IMAGES,
    "input_image": FRAME_IMAGES,
    "input_audio": INPUT_AUDIO,
}

_SUGGESTIONS = {**COLUMN_ALIASES, **dict.fromkeys(("id", "key", "row_id", "video_id"), "prompt_id")}
"""Names that resemble no column but are often used for one. They appear in suggestions only."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a prompt table: its canonical name and the kind of its values."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a header by position, and the refused names."""

    columns: tuple[tuple[int, Column], ...]
    refused: tuple[tuple[int, str, Refusal], ...]

    def has(self, column: str) -> bool:
        """Returns whether the header contains this column under any of its names."""
        return any(found.name == column for _, found in self.columns)


def column_of(name: str) -> Column | Refusal:
    """Returns the column for a name in camel case, in snake case, with dots, or shortened to a unique last part."""
    written = name.strip()
    if _is_extra(written):
        return Column(written, "extra")
    meant = _COLUMNS_BY_NAME.get(_normalized_name(written), ())
    if len(meant) > 1:
        both = " or ".join(meant)
        return Refusal(f"may mean {both}", f"rename it to {both}")
    if not meant:
        return Refusal("is not a column of a prompt table", _suggestion(written))
    if meant[0] == "task_uuid":
        return Refusal("task UUIDs are derived", "remove the column")
    return Column(meant[0], _KINDS.get(meant[0], "word"))


def meaning_of(name: str) -> str | None:
    """Returns the column that a name denotes or probably denotes, or None."""
    meant = _COLUMNS_BY_NAME.get(_normalized_name(name), ())
    if len(meant) == 1 and meant[0] != "task_uuid":
        return meant[0]
    return _SUGGESTIONS_BY_NAME.get(_normalized_name(name)) or (name.strip() if _is_extra(name) else None)


def layout_of(names: Sequence[str]) -> Layout:
    """Returns the layout of a header. A second name for the same column is refused."""
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
    """Returns the refusal for a header without a prompt column."""
    if len(names) == 1 and (separator := re.search(r"[;\t|,]", names[0])):
        fix = f"use the right column separator: this header contains {separator[0]!r}"
        return Refusal("no column contains the prompts", fix)
    near = next((name.strip() for name in names if _nearest_columns(name.strip()) == (PROMPT,)), None)
    fix = f"rename the column {shortened(near)} to {PROMPT}" if near else f"add a column {PROMPT}"
    return Refusal("no column contains the prompts", fix)


def _is_extra(name: str) -> bool:
    return name.strip().lower().startswith(("x_", "meta."))


def _normalized_name(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


def _tails(column: str) -> Iterator[str]:
    parts = column.split(".")
    return (".".join(parts[start:]) for start in range(len(parts)))


def _columns_by_name() -> dict[str, tuple[str, ...]]:
    meant: dict[str, tuple[str, ...]] = {}
    for column in PARAMETERS:
        for tail in _tails(column):
            meant[_normalized_name(tail)] = (*meant.get(_normalized_name(tail), ()), column)
    exact = [*((column, column) for column in (*PARAMETERS, *EXTRA_COLUMNS)), *_ALIASES.items()]
    return meant | {_normalized_name(name): (column,) for name, column in exact}


_COLUMNS_BY_NAME = _columns_by_name()
_TAILS = {tail for column in PARAMETERS for tail in _tails(column)}
_SPELLINGS = sorted({*_TAILS, *_ALIASES, *EXTRA_COLUMNS})
_SUGGESTIONS_BY_NAME = {_normalized_name(name): meaning for name, meaning in _SUGGESTIONS.items()}


def _nearest_columns(name: str) -> tuple[str, ...]:
    if LAST_FRAME.match(name):
        return ()
    last = name.rpartition(".")[2]
    if meaning := _SUGGESTIONS_BY_NAME.get(_normalized_name(name)) or _SUGGESTIONS_BY_NAME.get(_normalized_name(last)):
        return (meaning,)
    found = closest_name(name, (*_SPELLINGS, *_SUGGESTIONS)) or closest_name(last, (*_SPELLINGS, *_SUGGESTIONS))
    if found in _SUGGESTIONS:
        return (_SUGGESTIONS[found],)
    return _COLUMNS_BY_NAME[_normalized_name(found)] if found else ()


def _suggestion(name: str) -> str:
    if not name:
        return "name the column or remove it (pandas writes its index this way; to_csv(index=False) omits it)"
    found = _nearest_columns(name)
    if not found:
        return "remove it, or start its name with x_ to keep it as an extra column"
    return f"did you mean {' or '.join(found)}?"
