"""Values of NumPy and pandas as Python has them; neither is imported, because a list of requests may need none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

_PLAIN = frozenset((str, int, float, bool, type(None), Decimal, date, datetime))
_MISSING = frozenset(("NaTType", "NAType"))
"""The types of the missing values of pandas. They compare and print unlike None."""


def plain_cell(value: Any) -> Any:
    """Returns the value of a cell without types of NumPy and pandas. Bytes are text if they can be; those of an image
    cannot.

    Other rows do not matter: a row would differ if it were read in another batch.
    """
    if type(value) in _PLAIN:
        return value
    if not isinstance(value, bytes):
        return _plain_value(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _plain_value(value: Any) -> Any:
    """Returns scalars and arrays of NumPy as numbers and lists, and missing values of pandas as None, also inside of
    lists and objects.
    """
    try:
        return _plain(value)
    except RecursionError:
        return value  # whoever converts it to text reports it


def _plain(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    if type(value).__name__ in _MISSING:
        return None
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_plain, value)) if type(value) in (list, tuple) else list(map(_plain, value))
    if hasattr(value, "tolist"):
        found = value.tolist()
        return list(map(_plain, found)) if isinstance(found, list) else found
    return value
