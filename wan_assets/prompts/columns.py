"""Column names of a prompt table, their accepted spellings, and the request parameters that they set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from pydantic.alias_generators import to_camel, to_snake

from wan_assets.models import COLUMN_ALIASES, LAST_FRAME, PARAMETERS, PRIORITY, catalog, closest_name
from wan_assets.prompts.problems import Refusal

PROMPT = "positive_prompt"
MODEL_COLUMN = "model"
FRAME_IMAGES = "inputs.frame_images"
INPUT_AUDIO = "inputs.audio"
GENERATE_AUDIO = "provider_settings.alibaba.audio"
SETTINGS_COLUMN = "provider_settings.alibaba"
REFERENCES = frozenset(
    {
        *("inputs.reference_images", "inputs.reference_videos", "inputs.reference_audios"),
        *("inputs.documents", "inputs.urls"),
    }
)
"""The columns of further inputs. A cell holds one of them or a list."""

GROUPS = frozenset({"inputs", "provider_settings", SETTINGS_COLUMN, "settings", "safety"})
"""Columns whose cells hold an object of several parameters."""

UNKNOWN = "is not a column of a prompt table"
"""The rule that a column of an unknown name breaks."""

CAMPAIGN = "campaign"
"""An extra column that dynamic partitions and prices are grouped by."""

EXPERIMENT, VARIANT = "experiment", "variant"
"""Extra columns of rows with variants: the id that the variants of one prompt share, and the values of the variant."""

SEEDS = "seeds"
"""A column that holds the number of seeds that a row is expanded to."""

EXTRA_COLUMNS = frozenset(
    {PRIORITY, "date", "campaign", "shard", "tags", "note", "category", "split", "source", "meta"}
)
"""Columns that are not part of a request. Their text is kept with the row, like that of `x_…` and `meta.…`."""

Kind = Literal["text", "word", "media", "url", "group", "extra", "carried", "priority", "prompt_id", "seeds"]

_KINDS: Mapping[str, Kind] = {
    "prompt_id": "prompt_id",
    PROMPT: "text",
    "negative_prompt": "text",
    FRAME_IMAGES: "media",
    f"{FRAME_IMAGES}.image": "media",
    f"{FRAME_IMAGES}.frame": "word",
    INPUT_AUDIO: "media",
    **dict.fromkeys(REFERENCES, "media"),
    "webhook_url": "url",
    "upload_endpoint": "url",
    **dict.fromkeys(GROUPS, "group"),
    **dict.fromkeys(EXTRA_COLUMNS, "extra"),
    PRIORITY: "priority",
    SEEDS: "seeds",
}

_ALIASES = {
    "prompt": PROMPT,
    "prompt_id": "prompt_id",
    SEEDS: SEEDS,
    "frame_image": FRAME_IMAGES,
    "input_image": FRAME_IMAGES,
    "input_audio": INPUT_AUDIO,
    "settings": "settings",
}

_SUGGESTIONS = {**COLUMN_ALIASES, **dict.fromkeys(("id", "key", "row_id", "video_id"), "prompt_id")}
"""Names that resemble no column but are often used for one. They appear in suggestions only."""

_NOT_MISSPELLED = frozenset(
    (
        *("size", "dimensions", "length", "format", "container", "n", "count", "samples", "quality"),
        *("sound", "music", "voice", "speech"),
        *("code", "node", "speed", "feed", "need", "seen", "weight", "weights", "frames", "prompts"),
    )
)
"""Names of ordinary columns that resemble a parameter, or that some tables use for one."""

_UNGUARDED = frozenset(("alibaba", "tasktype", "taskuuid"))
_SHORT_NAME, _LONG_NAME = 3, 10
_NAMES_CACHED = 4096
"""The records of a file may all have other names, and a name takes about a millisecond."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a prompt table: its canonical name and the kind of its values."""

    name: str
    kind: Kind


def column_of(name: str) -> Column | Refusal:
    """Returns the column for a name in camel case, in snake case, with dots, or shortened to a unique last part."""
    return known_column(name) or Refusal(UNKNOWN, suggestion_for(name.strip()))


def known_column(name: str) -> Column | Refusal | None:
    """Returns the column for a name as `column_of` does; None for an unknown name, without a slow suggestion."""
    return column_of_any_model(name) or _further_setting(name.strip())


@lru_cache(_NAMES_CACHED)
def column_of_any_model(name: str) -> Column | Refusal | None:
    """Returns the column of a parameter that this package knows, or of other data; None for any other name."""
    written = name.strip()
    if _is_extra(written):
        return Column(written, "extra")
    meant = _COLUMNS_BY_NAME.get(normalized_name(written), ())
    if len(meant) > 1:
        both = " or ".join(meant)
        return Refusal(f"may mean {both}", f"rename it to {both}")
    if not meant:
        return None
    if meant[0] == "task_uuid":
        return Refusal("task UUIDs are derived", "remove the column")
    return Column(meant[0], _KINDS.get(meant[0], "word"))


def _further_setting(name: str) -> Column | None:
    """Returns the column of a setting that only a model of the user's folder has, by its full name. The models of a
    process may change.
    """
    for head in (SETTINGS_COLUMN, "settings"):
        if name.startswith(f"{head}."):
            setting = to_snake(name.removeprefix(f"{head}."))
            if any(model.limits(f"settings.{to_camel(setting)}") for model in catalog().models.values()):
                return Column(f"{SETTINGS_COLUMN}.{setting}", "word")
    return None


def meaning_of(name: str) -> str | None:
    """Returns the column that a name denotes or probably denotes, or None."""
    meant = _COLUMNS_BY_NAME.get(normalized_name(name), ())
    if len(meant) == 1 and meant[0] != "task_uuid":
        return meant[0]
    return _SUGGESTIONS_BY_NAME.get(normalized_name(name)) or (name.strip() if _is_extra(name) else None)


def input_named(name: str) -> str | None:
    """Returns the input that a column has the name of, although the column is kept as an extra column."""
    column = f"inputs.{normalized_name(name)}"
    return column if column in _IN_FULL else None


@lru_cache(_NAMES_CACHED)
def parameter_meant_by(name: str) -> str | None:
    """Returns the parameter that a column of an unknown name probably sets: its name is misspelled, or a synonym.
    For a last frame, which no parameter is named after, it returns "last_frame".

    Names that tables often use for other things, such as `quality`, and ordinary words, such as `speed`, mean none.
    """
    written = normalized_name(name)
    if LAST_FRAME.match(name):
        return "last_frame"
    if written in _OTHER_MEANINGS:
        return None
    if written in _SYNONYMS:
        return _SYNONYMS[written]
    if normalized_name(name.partition(".")[0]) in _GROUP_HEADS:
        return (_nearest_columns(name) or ("inputs",))[0]
    found = closest_name(written, _GUARDED, 2 if len(written) >= _LONG_NAME else 1)
    return None if found is None else _COLUMNS_BY_NAME[found][0]


def is_probably(name: str, column: str) -> bool:
    """Returns whether a name that is not known is near the name of a column, or a synonym of it."""
    return column in _nearest_columns(name)


def suggestion_for(name: str) -> str:
    """Returns what to do about a column whose name is not known."""
    if LAST_FRAME.match(name):
        return f"remove it, or give both images in {FRAME_IMAGES}, with a model that has a last frame"
    if not name:
        return "name the column or remove it (pandas writes its index this way; to_csv(index=False) omits it)"
    found = _nearest_columns(name)
    if not found:
        return "remove it, or start its name with x_ to keep it as an extra column"
    return f"did you mean {' or '.join((*found, *_ALSO.get(normalized_name(name), ())))}?"


def normalized_name(name: str) -> str:
    """Returns the letters and digits of a name in lower case; names that differ in other ways only are the same."""
    return re.sub(r"[\W_]+", "", name.lower())


def _tails(column: str) -> Iterator[str]:
    parts = column.split(".")
    return (".".join(parts[start:]) for start in range(len(parts)))


def _columns_by_name() -> dict[str, tuple[str, ...]]:
    meant: dict[str, tuple[str, ...]] = {}
    for column in PARAMETERS:
        for tail in _tails(column) if column not in _IN_FULL else (column,):
            meant[normalized_name(tail)] = (*meant.get(normalized_name(tail), ()), column)
    exact = [*((column, column) for column in (*PARAMETERS, *EXTRA_COLUMNS)), *_ALIASES.items()]
    settings = (column for column in PARAMETERS if column.startswith(f"{SETTINGS_COLUMN}."))
    elsewhere = {normalized_name(f"settings{column.removeprefix(SETTINGS_COLUMN)}"): (column,) for column in settings}
    return meant | elsewhere | {normalized_name(name): (column,) for name, column in exact}


_ALSO = {
    **dict.fromkeys(("referenceimage", "refimage"), ("inputs.reference_images",)),
    "referenceaudio": ("inputs.reference_audios",),
}
"""What else a name may mean: tables for a model without references name its only image or sound this way."""

_IN_FULL = frozenset({"inputs.documents", "inputs.urls"})
"""Their last parts are names of ordinary columns."""

_COLUMNS_BY_NAME = _columns_by_name()
_TAILS = {tail for column in PARAMETERS if column not in _IN_FULL for tail in _tails(column)}
_SPELLINGS = sorted({*_TAILS, *_ALIASES, *EXTRA_COLUMNS})
_SUGGESTIONS_BY_NAME = {normalized_name(name): meaning for name, meaning in _SUGGESTIONS.items()}
_OTHER_MEANINGS = frozenset(map(normalized_name, _NOT_MISSPELLED))
_SYNONYMS = {normalized_name(name): meaning for name, meaning in COLUMN_ALIASES.items() if meaning != PROMPT}
_GROUP_HEADS = frozenset(normalized_name(group) for group in GROUPS if "." not in group)
_GUARDED = sorted(
    name
    for name in {normalized_name(spelling) for spelling in (*_TAILS, *_ALIASES, PRIORITY, "campaign", "shard")}
    if len(name) > _SHORT_NAME and name not in _UNGUARDED
)
"""Names whose misspellings are refused, because a column that is ignored would change what is paid for."""


def _nearest_columns(name: str) -> tuple[str, ...]:
    if LAST_FRAME.match(name):
        return ()
    last = name.rpartition(".")[2]
    if meaning := _SUGGESTIONS_BY_NAME.get(normalized_name(name)) or _SUGGESTIONS_BY_NAME.get(normalized_name(last)):
        return (meaning,)
    found = closest_name(name, (*_SPELLINGS, *_SUGGESTIONS)) or closest_name(last, (*_SPELLINGS, *_SUGGESTIONS))
    if found in _SUGGESTIONS:
        return (_SUGGESTIONS[found],)
    return _COLUMNS_BY_NAME[normalized_name(found)] if found else ()


def _is_extra(name: str) -> bool:
    return name.strip().lower().startswith(("x_", "meta."))
