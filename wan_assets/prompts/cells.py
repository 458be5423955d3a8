"""Cells of one row: what was written becomes values by column, or a finding for each that is refused."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from pydantic_core import PydanticCustomError

from wan_assets.models import rules
from wan_assets.prompts.columns import PICTURE, PRIORITY, SOUND, Column, Layout, column_of
from wan_assets.prompts.local_media import STAND_IN, LocalMedia, Medium
from wan_assets.prompts.problems import Refusal


@dataclass(slots=True)
class Cells:
    """What one row gives: `values` by column, `carried` text, its id, findings (column, value, refusal)."""

    values: dict[str, Any] = field(default_factory=dict)
    carried: dict[str, str] = field(default_factory=dict)
    prompt_id: Any = None
    findings: list[tuple[str, Any, Refusal]] = field(default_factory=list)

    def refuse(self, column: str, value: Any, refusal: Refusal) -> None:
        """Adds a finding."""
        self.findings.append((column, value, refusal))


def cells_of(layout: Layout, values: Sequence[Any]) -> Cells:
    """Sorts the values of a row by column; what is absent is left out."""
    cells = Cells()
    given = cells.values
    for index, column in layout.columns:
        value = values[index]
        if value is None or is_absent(value):
            continue
        if column.kind == "text":
            given[column.name] = value
        elif column.kind == "word":
            given[column.name] = value.strip() if isinstance(value, str) else value
        else:
            _place(cells, column, value)
    return cells


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
    """Puts references in the place of local files, and makes one picture of its image and frame columns."""
    values = cells.values
    written = [part for part in ("image", "frame") if f"{PICTURE}.{part}" in values]
    parts = {part: values.pop(f"{PICTURE}.{part}") for part in written}
    if parts and PICTURE in values:
        cells.refuse(PICTURE, values[PICTURE], Refusal("is given twice", f"use {PICTURE} alone"))
    elif "frame" in parts:
        values[PICTURE] = parts
    elif parts:
        values[PICTURE] = parts["image"]
    if PICTURE in values:
        pictures = values[PICTURE] if isinstance(values[PICTURE], (list, tuple)) else [values[PICTURE]]
        values[PICTURE] = [_picture(cells, item, media) for item in pictures]
    if isinstance(values.get(SOUND), str):
        values[SOUND] = _reference(cells, SOUND, values[SOUND], media)


def _picture(cells: Cells, item: Any, media: LocalMedia) -> Any:
    if isinstance(item, str):
        return _reference(cells, PICTURE, item, media)
    if isinstance(item, Mapping) and isinstance(item.get("image"), str):
        return {**item, "image": _reference(cells, PICTURE, item["image"], media)}
    return item


def _reference(cells: Cells, column: str, value: str, media: LocalMedia) -> str:
    medium: Medium = "picture" if column == PICTURE else "sound"
    found = media.reference_of(value, medium)
    if isinstance(found, Refusal):
        cells.refuse(column, value, found)
        return STAND_IN
    return found


def _place(cells: Cells, column: Column, value: Any) -> None:
    if column.kind == "prompt_id":
        cells.prompt_id = value
    elif column.kind == "group":
        _unfold(cells, column.name, value)
    elif column.kind == "carried":
        if _is_text(cells, column.name, text := text_of(value)):
            cells.carried[column.name] = text
    elif column.kind == "priority":
        _prioritise(cells, value)
    elif column.kind == "media":
        found = _parsed(cells, column.name, value) if _looks_like_json(value) else _stripped(value)
        if not is_absent(found):
            cells.values[column.name] = found
    elif not isinstance(value, str) or _is_text(cells, column.name, value):
        cells.values[column.name] = _stripped(value)


def _prioritise(cells: Cells, value: Any) -> None:
    text = text_of(value).strip()
    if re.fullmatch(r"[+-]?[0-9]{1,18}(\.0+)?", text):
        cells.carried[PRIORITY] = str(int(text.partition(".")[0]))
    else:
        cells.refuse(PRIORITY, value, Refusal("must be a whole number", "write it in digits, such as 10 or -1"))


def _unfold(cells: Cells, group: str, value: Any) -> None:
    parts = _parsed(cells, group, value) if _looks_like_json(value) else value
    if parts == STAND_IN:
        return
    if not isinstance(parts, Mapping):
        cells.refuse(group, value, Refusal("must be an object", f"write its parts as columns {group}.…"))
        return
    for name, part in parts.items():
        column = column_of(f"{group}.{name}")
        if isinstance(column, Refusal):
            cells.refuse(f"{group}.{name}", part, column)
        elif part is None or is_absent(part):
            continue
        elif column.name in cells.values:
            rule = f"is given twice, once in {group}"
            cells.refuse(column.name, part, Refusal(rule, "remove one of the two"))
        elif column.kind in ("text", "word"):
            cells.values[column.name] = part
        else:
            _place(cells, column, part)


def _looks_like_json(value: Any) -> bool:
    return isinstance(value, str) and value.lstrip()[:1] in ("[", "{")


def _parsed(cells: Cells, column: str, value: str) -> Any:
    try:
        found = json.loads(value)
    except (ValueError, RecursionError) as error:
        cells.refuse(column, value, Refusal(f"is not valid JSON: {error}", "correct it"))
        return STAND_IN
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


def text_of(value: Any) -> str:
    """A carried value as text: 7.0 is "7", a midnight is its date, lists and objects are JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        is_midnight = value.time() == time() and value.tzinfo is None
        return (value.date() if is_midnight else value).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
