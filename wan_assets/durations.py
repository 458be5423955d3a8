"""Formats durations as text."""

from __future__ import annotations

import math

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_MINUTE_S = 60


def duration_text(seconds: float) -> str:
    """Returns a duration in its two largest units, rounded.

    >>> [duration_text(seconds) for seconds in (1.5, 300, 3_660, 90_000)]
    ['1.5 s', '5 min', '1 h 1 min', '1 d 1 h']
    """
    if not math.isfinite(seconds):
        return "an unknown time" if math.isnan(seconds) else "an unlimited time"
    whole = round(abs(seconds))
    if whole < _MINUTE_S:
        return f"{round(seconds, 1):g} s"
    sign = "-" if seconds < 0 else ""
    first = next(at for at, (_, length) in enumerate(_UNITS) if whole >= length)
    (unit, length), (finer, short) = _UNITS[first : first + 2]
    whole = round(whole / short) * short
    if first and whole >= _UNITS[first - 1][1]:
        return f"{sign}1 {_UNITS[first - 1][0]}"
    rest = whole % length // short
    return f"{sign}{whole // length:,} {unit}{f' {rest} {finer}' if rest else ''}"
