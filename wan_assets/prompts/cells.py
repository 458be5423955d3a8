"""Conversion of one record's cells into values by column, with a finding for each refused cell."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic_core import PydanticCustomError

from wan_assets.models import PRIORITY, rules
from wan_assets.prompts.cell_text import text_of
from wan_assets.prompts.columns import FRAME_IMAGES, INPUT_AUDIO, REFERENCES, Column, column_of
from wan_assets.prompts.image_size import Medium
from wan_assets.prompts.layout import Layout, value_at
from wan_assets.prompts.local_media import PLACEHOLDER_REFERENCE, LocalMedia
from wan_assets.prompts.problems import Refusal


@dataclass(slots=True)
class Cells:
    """The cells of one row: `values` by column, `extra` text, the id, and findings (column, value, refusal).

    Parts of objects do not set the columns `fixed`.
    """

    values: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)
    prompt_id: Any = None
    findings: list[tuple[str, Any, Refusal]] = field(default_factory=list)
    fixed: frozenset[str] = frozenset()

    def refuse(self, column: str, value: Any, refusal: Refusal) -> None:
        """Adds a finding."""
        self.findings.append((column, value, refusal))


def cells_of(layout: Layout, values: Sequence[Any]) -> Cells:
    """Assigns the values of a record to its columns and omits empty cells."""
    cells = Cells(fixed=layout.fixed)
    for index, column in layout.columns:
        value = values[index]
        if value is not None and not is_absent(value):
            place(cells, column, value)
    for index, path, column in layout.fields:
        value = value_at(values[index], path)
        if value is not None and not is_absent(value):
            place(cells, column, value)
    return cells


def place(cells: Cells, column: Column, value: Any) -> None:
    """Adds a value that is not empty to the cells of a row."""
    if column.kind == "text":
        cells.values[column.name] = value
    elif column.kind == "word":
        cells.values[column.name] = value.strip() if isinstance(value, str) else plain_number(value)
    elif column.kind == "carried":
        text = _text_in(cells, column.name, value)
        if text:
            cells.extra[column.name] = _escaped(text)
    else:
        _read_cell(cells, column, value)


def plain_number(value: Any) -> Any:
    """Returns an integral decimal as an integer, because databases have no other type for large integers."""
    is_integral = isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value()
    return int(value) if is_integral else value


def _text_in(cells: Cells, column: str, value: Any) -> str | None:
    try:
        return text_of(value)
    except RecursionError:
        cells.refuse(column, None, Refusal("is nested too deeply", "remove it, or store it as text"))
        return None


def _escaped(text: str) -> str:
    """Returns a text with escapes for the characters that are not text, which columns of any content may have."""
    try:
        return rules.text(text)
    except PydanticCustomError:
        return "".join(char if char.isprintable() or char in "\n\r\t" else ascii(char)[1:-1] for char in text)


def is_absent(value: Any) -> bool:
    """Whether a cell is empty: blank text, NaN, an empty list or object."""
    if isinstance(value, str):
        return not value or value.isspace()
    if isinstance(value, float):
        return math.isnan(value)
    if isinstance(value, Decimal):
        return value.is_nan()
    return value is None or (isinstance(value, (list, dict, tuple)) and not value)


def resolve_media(cells: Cells, media: LocalMedia) -> None:
    """Replaces local files by references, and combines the columns `….image` and `….frame` into one image."""
    values = cells.values
    written = [part for part in ("image", "frame") if f"{FRAME_IMAGES}.{part}" in values]
    parts = {part: values.pop(f"{FRAME_IMAGES}.{part}") for part in written}
    if parts and FRAME_IMAGES in values:
        cells.refuse(FRAME_IMAGES, values[FRAME_IMAGES], Refusal("is given twice", f"use only {FRAME_IMAGES}"))
    elif "frame" in parts:
        values[FRAME_IMAGES] = parts
    elif parts:
        values[FRAME_IMAGES] = parts["image"]
    if FRAME_IMAGES in values:
        images = values[FRAME_IMAGES] if isinstance(values[FRAME_IMAGES], (list, tuple)) else [values[FRAME_IMAGES]]
        values[FRAME_IMAGES] = [_with_reference(cells, item, media) for item in images]
    if isinstance(values.get(INPUT_AUDIO), str):
        values[INPUT_AUDIO] = _reference(cells, INPUT_AUDIO, values[INPUT_AUDIO], media)
    for column in REFERENCES & values.keys():
        if isinstance(values[column], str) and _SEVERAL.search(values[column]):
            cells.refuse(column, values[column], Refusal("holds several addresses", 'write a list: ["https://…", "…"]'))
            values[column] = [PLACEHOLDER_REFERENCE]
            continue
        items = values[column] if isinstance(values[column], (list, tuple)) else [values[column]]
        values[column] = [_reference(cells, column, item, media) if isinstance(item, str) else item for item in items]


_SEVERAL = re.compile(r"[,;|\s]\s*https?://", re.IGNORECASE)


def _with_reference(cells: Cells, item: Any, media: LocalMedia) -> Any:
    if isinstance(item, str):
        return _reference(cells, FRAME_IMAGES, item, media)
    if isinstance(item, Mapping) and isinstance(item.get("image"), str):
        return {**item, "image": _reference(cells, FRAME_IMAGES, item["image"], media)}
    return item


def _reference(cells: Cells, column: str, value: str, media: LocalMedia) -> str:
    medium = _MEDIA[column]
    if medium is None:
        return value
    found = media.reference_of(value, medium)
    if isinstance(found, Refusal):
        cells.refuse(column, value, found)
        return PLACEHOLDER_REFERENCE
    return found


_MEDIA: Mapping[str, Medium | None] = {
    FRAME_IMAGES: "image",
    INPUT_AUDIO: "audio",
    "inputs.reference_images": "image",
    "inputs.reference_videos": "video",
    "inputs.reference_audios": "audio",
    "inputs.documents": "document",
    "inputs.urls": None,
}
"""The medium of the local files in each column of inputs; None if it holds addresses only."""


def _read_cell(cells: Cells, column: Column, value: Any) -> None:
    if column.kind == "prompt_id":
        cells.prompt_id = value
    elif column.kind == "group":
        _read_group(cells, column.name, value)
    elif column.kind == "extra":
        text = _text_in(cells, column.name, value)
        if text and _is_text(cells, column.name, text):
            cells.extra[column.name] = text
    elif column.kind == "priority":
        _read_priority(cells, value)
    elif column.kind == "media":
        value = str(value) if isinstance(value, UUID) else value
        found = _parsed_json(cells, column.name, value) if _looks_like_json(value) else _stripped(value)
        if not is_absent(found):
            cells.values[column.name] = found
    elif not isinstance(value, str) or _is_text(cells, column.name, value):
        cells.values[column.name] = _stripped(value)


def _read_priority(cells: Cells, value: Any) -> None:
    text = text_of(value).strip()
    if re.fullmatch(r"[+-]?[0-9]{1,18}(\.0+)?", text):
        cells.extra[PRIORITY] = str(int(text.partition(".")[0]))
    else:
        cells.refuse(PRIORITY, value, Refusal("must be a whole number", "write it in digits, such as 10 or -1"))


def _read_group(cells: Cells, group: str, value: Any) -> None:
    parts = _parsed_json(cells, group, value) if _looks_like_json(value) else value
    if parts == PLACEHOLDER_REFERENCE:
        return
    if not isinstance(parts, Mapping):
        other = f", or map x_{group}={group} if it is an extra column" if group == "settings" else ""
        cells.refuse(group, value, Refusal("must be an object", f"write its parts as columns {group}.…{other}"))
        return
    for name, part in parts.items():
        column = column_of(f"{group}.{name}")
        if isinstance(column, Refusal):
            cells.refuse(f"{group}.{name}", part, column)
        elif part is None or is_absent(part) or column.name in cells.fixed:
            continue
        elif column.name in cells.values:
            rule = f"is given twice, once in {group}"
            cells.refuse(column.name, part, Refusal(rule, "remove one of the two"))
        elif column.kind in ("text", "word"):
            cells.values[column.name] = plain_number(part)
        else:
            _read_cell(cells, column, part)


def _looks_like_json(value: Any) -> bool:
    return isinstance(value, str) and value.lstrip()[:1] in ("[", "{")


def _parsed_json(cells: Cells, column: str, value: str) -> Any:
    try:
        found = json.loads(value)
    except (ValueError, RecursionError) as error:
        cells.refuse(column, value, Refusal(f"is not valid JSON: {error}", "correct it"))
        return PLACEHOLDER_REFERENCE
    return found


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _is_text(cells: Cells, column: str, value: str) -> bool:
    try:
        rules.text(value)
    except PydanticCustomError as error:
        context = error.context or {}
        cells.refuse(column, value, Refusal(str(context.get("rule")), str(context.get("fix"))))
        return False
    return True
