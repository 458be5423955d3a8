"""Limits the size and content of every value that is kept from an API response."""

from __future__ import annotations

import json
import re
from typing import Any

_MAX_DEPTH = 24
_MAX_TEXT = 10_000
_MAX_KEY = 200
_MAX_DIGITS = 40
_MAX_WHOLE = 2**63 - 1
"""The largest integer that databases and Parquet can hold."""

_MAX_COST_USD = 1_000_000
_MAX_WAIT_S = 366 * 24 * 3600.0
_MAX_NAME = 64
_MAX_URL = 8_192
_REPLACEMENT = "\ufffd"

_UNSAFE_CHARACTERS = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""Characters that databases, files or terminals reject: control characters, direction marks and half surrogates."""


def parse_json(text: str) -> Any:
    """Parses JSON into bounded values; raises `ValueError` or `RecursionError` if the text is not JSON.

    An integer of more than 64 bits becomes text, because Python and databases may not be able to hold it.
    """
    return bounded(json.loads(text, parse_int=_whole))


def bounded(value: Any, depth: int = 0) -> Any:
    """Returns a JSON value with printable texts and limited depth and length."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, (dict, list)) and depth >= _MAX_DEPTH:
        return "…"
    if isinstance(value, dict):
        return {clean_text(key, _MAX_KEY): bounded(part, depth + 1) for key, part in value.items()}
    return [bounded(part, depth + 1) for part in value] if isinstance(value, list) else value


def clean_text(text: str, maximum: int = _MAX_TEXT) -> str:
    """Returns a text without unsafe characters, cut to the maximum length."""
    clean = text if text.isascii() and text.isprintable() else _UNSAFE_CHARACTERS.sub(_REPLACEMENT, text)
    return clean if len(clean) <= maximum else f"{clean[: maximum - 1]}…"


def name_in(value: Any) -> str | None:
    """Returns a name that the API gives to an object, or None if the value is not a usable text or number."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value).strip()[:_MAX_NAME] or None


def url_in(value: Any) -> str | None:
    """Returns an address, or None if the value is not text, is empty, or is too long for an address."""
    return value.strip() or None if isinstance(value, str) and len(value) <= _MAX_URL else None


def seed_in(value: Any) -> int | None:
    """Returns a seed, or None if the value is not an integer, is negative, or is too large for a database."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and 0 <= value <= _MAX_WHOLE else None


def cost_in(value: Any) -> Any:
    """Returns a cost as it was written. A number that no video can cost becomes text, so that it is not used as a
    price.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not abs(value) <= _MAX_COST_USD:
        return clean_text(str(value), _MAX_DIGITS)
    if isinstance(value, str):
        return clean_text(value, _MAX_DIGITS)
    return value if value is None or isinstance(value, (bool, int, float)) else clean_text(repr(value), _MAX_DIGITS)


def wait_in(seconds: float) -> float | None:
    """Returns a requested wait in seconds, or None if it is negative, not a number, or longer than a year."""
    return seconds if 0 <= seconds <= _MAX_WAIT_S else None


def _whole(digits: str) -> int | str:
    if len(digits) > _MAX_DIGITS:
        return f"{digits[: _MAX_DIGITS - 1]}…"
    number = int(digits)
    return number if abs(number) <= _MAX_WHOLE else digits
