"""Default values of parameters: which exist, whether they are valid, and the rows that they apply to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from wan_assets.errors import PromptTableError
from wan_assets.models import MODEL, VideoRequest, catalog, violations_of
from wan_assets.prompts.columns import (
    FRAME_IMAGES,
    GENERATE_AUDIO,
    INPUT_AUDIO,
    MODEL_COLUMN,
    PROMPT,
    Column,
    column_of,
)
from wan_assets.prompts.problems import Refusal, printable, shown

_SIZE = frozenset({"width", "height", "resolution", FRAME_IMAGES, f"{FRAME_IMAGES}.image", "inputs"})
CONFLICTING_COLUMNS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(_SIZE, _SIZE),
    INPUT_AUDIO: frozenset({GENERATE_AUDIO}),
    GENERATE_AUDIO: frozenset({INPUT_AUDIO}),
}
"""A default value is not applied to a row that sets one of these columns, except for sizes that an image does not
replace.
"""

_REQUIRES = "requires"
"""The rule that a parameter needs another one, which rows may have."""


def merged_defaults(of_format: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the default values by column; a size in `given` replaces the size of the format."""
    found = {_column_of(name).name: value for name, value in given.items()}
    return {**{name: value for name, value in of_format.items() if not _SIZE & found.keys()}, **found}


def checked_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns default values by column; raises `PromptTableError` for an unknown parameter or a value that is not
    valid in any row. Images and audio files are checked when rows are read.
    """
    if not isinstance(given, Mapping):
        raise PromptTableError(f"defaults is a {type(given).__name__}, not a mapping of parameters to values")
    found: dict[str, Any] = {}
    for name, value in given.items():
        column = _column_of(name)
        if column.name in found:
            raise PromptTableError(f"defaults: {column.name} has two values; remove one of them")
        if value is None or (isinstance(value, str) and not value.strip()):
            raise PromptTableError(f"defaults: {column.name} has no value; give one, or remove it")
        found[column.name] = value
    values = {name: value for name, value in found.items() if _column_of(name).kind in ("text", "word")}
    for column_name, value, refusal in violations_in(values):
        raise PromptTableError(f"defaults: {column_name}={shown(value)}: {refusal.fix} ({refusal.rule})")
    return found


def _column_of(name: str) -> Column:
    column = column_of(name) if isinstance(name, str) else Refusal("is not text", "write the name of a parameter")
    if isinstance(column, Refusal):
        raise PromptTableError(f"defaults: {printable(str(name))} {column.rule}; {column.fix}")
    if column.kind == "seeds":
        raise PromptTableError("defaults: seeds is an option of its own; write seeds=4 instead")
    if column.kind not in ("text", "word", "media", "url"):
        raise PromptTableError(f"defaults: {column.name} has no default value; only single parameters have one")
    return column


def violations_in(values: Mapping[str, Any]) -> list[tuple[str, Any, Refusal]]:
    """Returns the column, the value and the refusal of each of some values that is not valid in any row, which may be
    of any model unless the values name one.
    """
    usable = (model.id for model in catalog().models.values() if model.price)
    models = [MODEL] if MODEL_COLUMN in values else [MODEL, *usable]
    found = [_violations_with({MODEL_COLUMN: model, **values}) for model in models]
    everywhere = set.intersection(*({column for column, _, _ in each} for each in found))
    return [each for each in found[0] if each[0] in everywhere and each[0] in values]


def _violations_with(values: Mapping[str, Any]) -> list[tuple[str, Any, Refusal]]:
    given = nested({PROMPT: "A red kite", **values})
    try:
        VideoRequest.model_validate(given)
    except ValidationError as error:
        found = zip(error.errors(include_url=False), violations_of(error, given), strict=True)
        return [
            (each.column, each.value, Refusal(printable(each.rule), printable(each.fix)))
            for details, each in found
            if details["type"] != _REQUIRES
        ]
    return []


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns values by column as nested objects."""
    given: dict[str, Any] = {}
    for column, value in values.items():
        if "." not in column:
            given[column] = value
            continue
        *groups, name = column.split(".")
        part = given
        for group in groups:
            part = part.setdefault(group, {})
        part[name] = value
    return given
