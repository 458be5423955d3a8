"""Partitions kept in step with a prompt table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg

_KEYS_PER_STATEMENT = 5_000
"""SQLite refuses tens of thousands of keys in one statement."""


@dataclass(frozen=True)
class PartitionChanges:
    """Keys that a sync added and retired, in order."""

    added: tuple[str, ...]
    retired: tuple[str, ...]


def sync_partitions(instance: dg.DagsterInstance, name: str, prompt_ids: Sequence[str]) -> PartitionChanges:
    """Makes the dynamic partitions `name` those of a table's rows; the videos of retired ones are kept."""
    present = instance.get_dynamic_partitions(name)
    wanted = set(prompt_ids)
    known = set(present)
    changes = PartitionChanges(
        added=tuple(key for key in prompt_ids if key not in known),
        retired=tuple(key for key in present if key not in wanted),
    )
    for start in range(0, len(changes.added), _KEYS_PER_STATEMENT):
        instance.add_dynamic_partitions(name, list(changes.added[start : start + _KEYS_PER_STATEMENT]))
    for key in changes.retired:
        instance.delete_dynamic_partition(name, key)
    return changes
