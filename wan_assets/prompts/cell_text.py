"""Conversion of the values of cells to text."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from typing import Any


def text_of(value: Any) -> str:
    """Converts a value to text: 7.0 becomes "7", midnight becomes its date, lists and objects become JSON,
    and bytes base64.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        is_midnight = value.time() == time() and value.tzinfo is None
        return (value.date() if is_midnight else value).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (list, dict, tuple)):
        return json.dumps(_json_value(value), ensure_ascii=False)
    return b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _json_value(value: Any) -> Any:
    """Returns a nested value as JSON has it; NaN becomes null, and dates and other values become text."""
    if isinstance(value, Mapping):
        return {str(name): _json_value(part) for name, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)) or hasattr(value, "tolist"):
        items = value.tolist() if hasattr(value, "tolist") else value
        return [_json_value(item) for item in items] if isinstance(items, Iterable) else _json_value(items)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, int, float, bool)) else text_of(value)
