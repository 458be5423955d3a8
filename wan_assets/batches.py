"""Which partition of a batch each prompt row belongs to: its day, its shard, its campaign, or what it is told to be."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TypeAlias
from zoneinfo import ZoneInfo

import dagster as dg

from wan_assets.errors import PromptTableError
from wan_assets.prompts import PromptRow

PartitionOf: TypeAlias = Callable[[PromptRow], str]


def shard_of(prompt_id: str, shards: Sequence[str]) -> str:
    """The shard of a row, by its id alone: it stays where it is when other rows come and go.

    >>> shard_of("kite", ["a", "b", "c"]) in ("a", "b", "c")
    True
    """
    number = int.from_bytes(hashlib.sha256(prompt_id.encode()).digest()[:8])
    return shards[number % len(shards)]


def partition_of(partitions_def: dg.PartitionsDefinition[str]) -> PartitionOf:
    """How rows are told apart under a partitions definition.

    Time windows take the column `date`, static partitions `shard` or else `shard_of`, dynamic ones `campaign`, and
    multi-partitions each dimension's. Raises `ValueError` for a definition of another kind.
    """
    if isinstance(partitions_def, dg.MultiPartitionsDefinition):
        dimensions = {part.name: partition_of(part.partitions_def) for part in partitions_def.partitions_defs}
        return partial(_combined, dimensions)
    if isinstance(partitions_def, dg.TimeWindowPartitionsDefinition):
        return partial(_window_of, partitions_def)
    if isinstance(partitions_def, dg.StaticPartitionsDefinition):
        return partial(_static_of, tuple(partitions_def.get_partition_keys()))
    if isinstance(partitions_def, dg.DynamicPartitionsDefinition):
        return partial(_column, "campaign")
    kind = type(partitions_def).__name__
    raise ValueError(f"rows cannot be told apart under a {kind} by themselves: give `partition_key_of`")


def _combined(dimensions: dict[str, PartitionOf], row: PromptRow) -> str:
    return dg.MultiPartitionKey({name: part(row) for name, part in dimensions.items()})


def _window_of(partitions_def: dg.TimeWindowPartitionsDefinition, row: PromptRow) -> str:
    said = _column("date", row)
    try:
        moment = datetime.fromisoformat(said)
    except ValueError:
        fix = "write it as 2026-01-31, or with a time"
        raise PromptTableError(f"row {row.number} ({row.prompt_id}): {said[:40]!r} is no date; {fix}") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(partitions_def.timezone))
    return partitions_def.get_partition_key_for_timestamp(moment.timestamp())


def _static_of(keys: tuple[str, ...], row: PromptRow) -> str:
    said = row.extra.get("shard", "")
    if said and said not in keys:
        raise PromptTableError(f"row {row.number} ({row.prompt_id}): {said[:40]!r} is none of the partitions")
    return said or shard_of(row.prompt_id, keys)


def _column(name: str, row: PromptRow) -> str:
    said = row.extra.get(name, "").strip()
    if not said:
        raise PromptTableError(f"row {row.number} ({row.prompt_id}) has no {name}, which tells its partition")
    return said
