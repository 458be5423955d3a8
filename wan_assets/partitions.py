"""Dynamic partitions kept in step with a prompt table, and runs over ranges of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import dagster as dg

from wan_assets.slices import slices_of

_KEYS_PER_STATEMENT = 5_000
"""SQLite refuses tens of thousands of keys in one statement."""


@dataclass(frozen=True)
class PartitionChanges:
    """Keys that a sync added and retired, in order, and how many are left to do."""

    added: tuple[str, ...] = ()
    retired: tuple[str, ...] = ()
    left: int = 0


def sync_partitions(
    instance: dg.DagsterInstance,
    name: str,
    prompt_ids: Sequence[str],
    *,
    most_added: int | None = None,
    most_retired: int | None = None,
) -> PartitionChanges:
    """Makes the dynamic partitions `name` those of a table's rows, or brings them some steps nearer.

    The videos of retired ones are kept. It may be called by several at once: each step is made once.
    """
    present = instance.get_dynamic_partitions(name)
    wanted, known = set(prompt_ids), set(present)
    new = [key for key in prompt_ids if key not in known]
    old = [key for key in present if key not in wanted]
    changes = PartitionChanges(tuple(new[:most_added]), tuple(old[:most_retired]))
    for some in slices_of(changes.added, _KEYS_PER_STATEMENT):
        instance.add_dynamic_partitions(name, some)
    for key in changes.retired:
        instance.delete_dynamic_partition(name, key)
    return replace(changes, left=len(new) + len(old) - len(changes.added) - len(changes.retired))


def add_partitions(
    instance: dg.DagsterInstance, name: str, keys: Sequence[str], most_added: int | None = None
) -> PartitionChanges:
    """Adds keys that are not there yet; none is retired."""
    known = set(instance.get_dynamic_partitions(name))
    new = [key for key in keys if key not in known]
    for some in slices_of(new[:most_added], _KEYS_PER_STATEMENT):
        instance.add_dynamic_partitions(name, some)
    added = tuple(new[:most_added])
    return PartitionChanges(added, left=len(new) - len(added))


def dynamic_dimensions(
    partitions_def: dg.PartitionsDefinition[str], keys: Iterable[str]
) -> Iterator[tuple[str, list[str]]]:
    """Yields the dynamic dimensions of multi-partitions by their names, and what each is to hold for some keys."""
    if not isinstance(partitions_def, dg.MultiPartitionsDefinition):
        return
    parts = [partitions_def.get_partition_key_from_str(key).keys_by_dimension for key in keys]
    for dimension in partitions_def.partitions_defs:
        cut = dimension.partitions_def
        if isinstance(cut, dg.DynamicPartitionsDefinition) and cut.name is not None:
            yield cut.name, list(dict.fromkeys(part[dimension.name] for part in parts))


def range_tags(first: str, last: str) -> dict[str, str]:
    """The tags of a run over all partitions from one to another, in Dagster's order."""
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
