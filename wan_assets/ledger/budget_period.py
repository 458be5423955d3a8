"""Divides time into the periods of budgets: days, weeks and months of a time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

Per: TypeAlias = Literal["run", "day", "week", "month", "total"]
"""What a budget applies to: each run, each period of a time zone, or all time."""

_BOUNDARY_MINUTES = 15
"""Every local midnight is a multiple of this in UTC, because offsets of time zones are."""


@lru_cache(maxsize=4096)
def period_of(per: Per, time_zone: str, minute: str) -> str:
    """Returns the name of the period that contains a minute, given in UTC as `2026-11-30T12:25`.

    A day is `2026-11-30`, a week `2026-W49` as in ISO 8601, a month `2026-11`. Other budgets have no periods: the name
    is empty.

    >>> period_of("day", "Europe/Berlin", "2026-11-30T23:05"), period_of("week", "UTC", "2026-11-30T23:05")
    ('2026-12-01', '2026-W49')
    """
    day = _local_day(time_zone, minute)
    if per == "day":
        return day.isoformat()
    if per == "week":
        year, week, _ = day.isocalendar()
        return f"{year}-W{week:02}"
    return day.isoformat()[:7] if per == "month" else ""


@lru_cache(maxsize=4096)
def resets_at(per: Per, time_zone: str, minute: str) -> datetime | None:
    """Returns the begin of the next period in its time zone; None if a budget has no periods."""
    first = _first_day(per, _local_day(time_zone, minute))
    if first is None:
        return None
    following = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=32)}[per]
    next_first = _first_day(per, first + following)
    return None if next_first is None else _midnight(next_first, time_zone)


@lru_cache(maxsize=4096)
def begins_at(per: Per, time_zone: str, minute: str) -> datetime | None:
    """Returns the begin of the period in its time zone; None if a budget has no periods."""
    first = _first_day(per, _local_day(time_zone, minute))
    return None if first is None else _midnight(first, time_zone)


def minute_of(moment: str) -> str:
    """Returns the minute of a moment, both as ISO 8601 in UTC."""
    return moment[:16]


def boundary_before(moment: str) -> str:
    """Returns the last moment at which any period may have begun, as ISO 8601 in UTC to the millisecond.

    >>> boundary_before("2026-11-30T12:25:04.123+00:00")
    '2026-11-30T12:15:00.000+00:00'
    """
    minutes = int(moment[14:16]) // _BOUNDARY_MINUTES * _BOUNDARY_MINUTES
    return f"{moment[:14]}{minutes:02}:00.000+00:00"


def zone_named(name: str) -> str:
    """Returns the name of a time zone; raises `ValueError` if there is none."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ValueError(f"{name!r} is not a time zone: write a name such as Europe/Berlin") from None
    return name


def _local_day(time_zone: str, minute: str) -> date:
    return datetime.fromisoformat(minute).replace(tzinfo=UTC).astimezone(ZoneInfo(time_zone)).date()


def _first_day(per: Per, day: date) -> date | None:
    if per == "day":
        return day
    if per == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if per == "month" else None


def _midnight(day: date, time_zone: str) -> datetime:
    """Returns the first moment of a day; one that the clock skips at midnight begins when the clock has skipped."""
    zone = ZoneInfo(time_zone)
    return datetime.combine(day, time(), zone).astimezone(UTC).astimezone(zone)
