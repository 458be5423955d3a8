"""Validation of partition keys: the keys that a definition can never contain, and the time window of a date."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache, partial
from typing import TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dagster as dg

from wan_assets.prompts import Refusal, shortened

CheckKey: TypeAlias = Callable[[str], Refusal | None]
"""Returns why a partition can never be materialized, or None."""

_REFUSED_BY_DAGSTER = ("...", *map(chr, range(32)))
_REFUSED_IN_DIMENSIONS = ("|", ",", "[", "]")
_KEYS_KEPT = 10_000

_WINDOWS = {
    "hour": dg.HourlyPartitionsDefinition,
    "day": dg.DailyPartitionsDefinition,
    "week": dg.WeeklyPartitionsDefinition,
    "month": dg.MonthlyPartitionsDefinition,
}


def definition_by(
    by: str,
    *,
    start_date: str | None = None,
    end_date: str | None = None,
    timezone: str = "UTC",
    shards: int | None = None,
    campaigns: str = "campaigns",
) -> dg.PartitionsDefinition[str]:
    """Returns partitions by hour, day, week, month, shard or campaign; raises `ValueError` for invalid arguments."""
    if by == "campaign":
        return dg.DynamicPartitionsDefinition(name=campaigns)
    if by == "shard":
        if shards is None:
            raise ValueError("partitions by shard need `shards`, their number")
        digits = len(str(shards - 1))
        return dg.StaticPartitionsDefinition([f"shard-{each:0{digits}}" for each in range(shards)])
    if start_date is None:
        raise ValueError(f"partitions by {by} need `start_date`, such as 2026-01-01")
    zone_of(timezone)
    try:
        windows: dg.PartitionsDefinition[str] = _WINDOWS[by](start_date, end_date, timezone=timezone)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"the dates of partitions by {by} cannot be read: {error}") from None
    return windows


def check_of(partitions_def: dg.PartitionsDefinition[str], *, in_dimension: bool = False) -> CheckKey:
    """Returns a check of keys; future time windows and new dynamic partitions are valid."""
    if isinstance(partitions_def, dg.MultiPartitionsDefinition):
        dimensions = {
            part.name: check_of(part.partitions_def, in_dimension=True) for part in partitions_def.partitions_defs
        }
        return partial(_refusal_of_dimensions, dimensions)
    if isinstance(partitions_def, dg.TimeWindowPartitionsDefinition):
        return lru_cache(_KEYS_KEPT)(partial(_refusal_of_window, partitions_def))
    if isinstance(partitions_def, dg.StaticPartitionsDefinition):
        return partial(_refusal_of_choice, dict.fromkeys(partitions_def.get_partition_keys()))
    if isinstance(partitions_def, dg.DynamicPartitionsDefinition):
        if partitions_def.name is None:
            return partial(_refusal_of_function, partitions_def)
        return partial(_refusal_of_name, _REFUSED_BY_DAGSTER + (_REFUSED_IN_DIMENSIONS if in_dimension else ()))
    return lambda _: None


def window_of(partitions_def: dg.TimeWindowPartitionsDefinition, zone: ZoneInfo, text: str) -> str | Refusal:
    """Returns the key of the time window that contains a date."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return Refusal("is not a date", "write it as 2026-01-31, or with a time")
    try:
        stamp = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
        if stamp < partitions_def.start.timestamp():
            return _too_early(partitions_def)
        key = partitions_def.get_partition_key_for_timestamp(stamp)
        if stamp >= partitions_def.time_window_for_partition_key(key).end.timestamp():
            return Refusal("is in a time window that the partitions exclude", "change the date, or remove the row")
    except (ValueError, OverflowError, OSError):
        return Refusal("is a date that no partition can contain", "write a year from 1 to 9998")
    return key


def zone_of(timezone: str) -> ZoneInfo:
    """Returns a time zone by its name; raises `ValueError` if it is unknown."""
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = "use a name of the IANA database, such as Europe/Paris or UTC"
        raise ValueError(f"the time zone {shortened(repr(timezone))} is unknown; {known}") from None


def _refusal_of_dimensions(dimensions: Mapping[str, CheckKey], key: str) -> Refusal | None:
    parts = dict(key.keys_by_dimension) if isinstance(key, dg.MultiPartitionKey) else _parts_of(dimensions, key)
    if parts.keys() != dimensions.keys():
        names = " and ".join(dimensions)
        return Refusal("is not a key of these partitions", f"give a dg.MultiPartitionKey of {names}")
    refused = (check(parts[name]) for name, check in dimensions.items())
    return next(filter(None, refused), None)


def _parts_of(dimensions: Mapping[str, CheckKey], key: str) -> dict[str, str]:
    return dict(zip(dimensions, key.split("|"), strict=False)) if key.count("|") == len(dimensions) - 1 else {}


def _refusal_of_window(partitions_def: dg.TimeWindowPartitionsDefinition, key: str) -> Refusal | None:
    try:
        window = partitions_def.time_window_for_partition_key(key)
        is_known = partitions_def.get_partition_key_for_timestamp(window.start.timestamp()) == key
    except (ValueError, OverflowError, OSError):
        is_known = False
    if not is_known:
        return Refusal("is not a key of these partitions", f"write it in the form {partitions_def.fmt}")
    if window.start.timestamp() < partitions_def.start.timestamp():
        return _too_early(partitions_def)
    if partitions_def.end and window.end.timestamp() > partitions_def.end.timestamp():
        end = partitions_def.end.strftime(partitions_def.fmt)
        fix = "change the date, move the end of the partitions, or remove the row"
        return Refusal(f"is after the partitions end, which is {end}", fix)
    return None


def _too_early(partitions_def: dg.TimeWindowPartitionsDefinition) -> Refusal:
    start = partitions_def.start.strftime(partitions_def.fmt)
    fix = "change the date, move the start of the partitions, or remove the row"
    return Refusal(f"is before the partitions start, which is {start}", fix)


def _refusal_of_choice(keys: Mapping[str, None], key: str) -> Refusal | None:
    if key in keys:
        return None
    fix = f"use one of {shortened(', '.join(keys))}" if keys else "add partitions: there are none"
    return Refusal("is not one of the partitions", fix)


def _refusal_of_function(partitions_def: dg.DynamicPartitionsDefinition, key: str) -> Refusal | None:
    return _refusal_of_choice(dict.fromkeys(map(str, partitions_def.get_partition_keys())), key)


def _refusal_of_name(refused: Sequence[str], key: str) -> Refusal | None:
    found = next((text for text in refused if text in key), None)
    if found is None:
        return None
    return Refusal(f"contains {found!r}, which is not allowed in a partition key", "use another character")
