"""What a value from the API may be at most: everything that is kept of an answer passes through here first."""

from __future__ import annotations

import json
import re
from typing import Any

_MAX_DEPTH = 24
_MAX_TEXT = 10_000
_MAX_KEY = 200
_MAX_DIGITS = 40
_MAX_WHOLE = 2**63 - 1
"""The largest whole number that databases and Parquet can hold."""

_MAX_COST_USD = 1_000_000
_MAX_WAIT_S = 366 * 24 * 3600.0
_MAX_NAME = 64
_MAX_URL = 8_192
_REPLACEMENT = "\ufffd"

_UNSAFE_CHARACTERS = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""What no database, file or terminal takes for text: control characters, marks that turn a line, half surrogates."""


def parse_json(text: str) -> Any:
    """Reads JSON into bounded values; raises `ValueError` or `RecursionError` for what is none.

    A whole number of more than 64 bits becomes text, since neither Python nor a database has to be able to hold it.
    """
    return bounded(json.loads(text, parse_int=_whole))


def bounded(value: Any, depth: int = 0) -> Any:
    """A JSON value whose texts can be written anywhere, and that is not deeper or longer than anybody can use."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, (dict, list)) and depth >= _MAX_DEPTH:
        return "…"
    if isinstance(value, dict):
        return {clean_text(key, _MAX_KEY): bounded(part, depth + 1) for key, part in value.items()}
    return [bounded(part, depth + 1) for part in value] if isinstance(value, list) else value


def clean_text(text: str, maximum: int = _MAX_TEXT) -> str:
    """A text without what no text holds, cut where it is too long."""
    clean = text if text.isascii() and text.isprintable() else _UNSAFE_CHARACTERS.sub(_REPLACEMENT, text)
    return clean if len(clean) <= maximum else f"{clean[: maximum - 1]}…"


def name_in(value: Any) -> str | None:
    """A name that the API gives to something; None where it is no text, or no number, that can be one."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value).strip()[:_MAX_NAME] or None


def url_in(value: Any) -> str | None:
    """An address; None where it is no text, empty, or longer than any address."""
    return value.strip() or None if isinstance(value, str) and len(value) <= _MAX_URL else None


def seed_in(value: Any) -> int | None:
    """A seed; None where it is no whole number that a database can hold, or below zero."""
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and 0 <= value <= _MAX_WHOLE else None


def cost_in(value: Any) -> Any:
    """A cost as it was written; as text where no video can cost so much, so that nobody takes it for a price."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not abs(value) <= _MAX_COST_USD:
        return clean_text(str(value), _MAX_DIGITS)
    if isinstance(value, str):
        return clean_text(value, _MAX_DIGITS)
    return value if value is None or isinstance(value, (bool, int, float)) else clean_text(repr(value), _MAX_DIGITS)


def wait_in(seconds: float) -> float | None:
    """A wait that is asked for, in seconds; None for one that is no wait, or longer than a year."""
    return seconds if 0 <= seconds <= _MAX_WAIT_S else None


def _whole(digits: str) -> int | str:
    if len(digits) > _MAX_DIGITS:
        return f"{digits[: _MAX_DIGITS - 1]}…"
    number = int(digits)
    return number if abs(number) <= _MAX_WHOLE else digits
