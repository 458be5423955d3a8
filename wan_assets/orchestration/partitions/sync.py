"""Synchronizes dynamic partitions with prompt tables, and creates the tags of runs over ranges."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import dagster as dg
from more_itertools import chunked

from wan_assets.prompts import PromptSource, identity_of

_KEYS_PER_STATEMENT = 5_000
"""SQLite refuses tens of thousands of keys in one statement."""


@dataclass(frozen=True)
class PartitionChanges:
    """Keys that a sync added and retired, in order, and the number of remaining changes.

    `existing` are all keys in Dagster's order, if none was added or retired: reading a million takes 2 s.
    """

    added: tuple[str, ...] = ()
    retired: tuple[str, ...] = ()
    left: int = 0
    existing: Sequence[str] | None = field(default=None, compare=False, repr=False)


def sync_partitions(
    instance: dg.DagsterInstance,
    name: str,
    prompt_ids: Sequence[str],
    *,
    kept: Collection[str] = (),
    max_added: int | None = None,
    max_retired: int | None = None,
) -> PartitionChanges:
    """Synchronizes the dynamic partitions `name` with a table's rows, completely or up to the given limits.

    The videos of retired partitions stay in the store. The partitions in `kept` belong to other tables. Concurrent
    calls are safe: each change is made once.
    """
    existing = instance.get_dynamic_partitions(name)
    wanted, known = {*prompt_ids, *kept}, set(existing)
    new = [key for key in prompt_ids if key not in known]
    old = [key for key in existing if key not in wanted]
    changes = PartitionChanges(tuple(new[:max_added]), tuple(old[:max_retired]))
    _add(instance, name, changes.added)
    for key in changes.retired:
        instance.delete_dynamic_partition(name, key)
    is_same = not changes.added and not changes.retired
    left = len(new) + len(old) - len(changes.added) - len(changes.retired)
    return replace(changes, left=left, existing=existing if is_same else None)


def add_partitions(
    instance: dg.DagsterInstance, name: str, keys: Sequence[str], max_added: int | None = None
) -> PartitionChanges:
    """Adds keys that do not exist yet; retires none."""
    known = set(instance.get_dynamic_partitions(name))
    new = [key for key in keys if key not in known]
    for some in chunked(new[:max_added], _KEYS_PER_STATEMENT):
        instance.add_dynamic_partitions(name, some)
    added = tuple(new[:max_added])
    return PartitionChanges(added, left=len(new) - len(added))


def dynamic_dimensions(
    partitions_def: dg.PartitionsDefinition[str], keys: Iterable[str]
) -> Iterator[tuple[str, list[str]]]:
    """Yields the name of each dynamic dimension of multi-partitions, and the keys that it needs."""
    if not isinstance(partitions_def, dg.MultiPartitionsDefinition):
        return
    parts = [partitions_def.get_partition_key_from_str(key).keys_by_dimension for key in keys]
    for dimension in partitions_def.partitions_defs:
        definition = dimension.partitions_def
        if isinstance(definition, dg.DynamicPartitionsDefinition) and definition.name is not None:
            yield definition.name, list(dict.fromkeys(part[dimension.name] for part in parts))


def sync_table(
    instance: dg.DagsterInstance, name: str, table_id: str, prompt_ids: Sequence[str], *, retires: bool = True
) -> PartitionChanges:
    """Synchronizes the rows of one of several tables with the dynamic partitions `name`.

    It retires the partitions that this table added and no longer contains, unless another table contains them; without
    `retires`, it retires none. The partitions that each table added are recorded as dynamic partitions under a separate
    name.
    """
    mine, wanted = _name_of(name, table_id), set(prompt_ids)
    before = instance.get_dynamic_partitions(mine)
    others = keys_of_tables(instance, name, but=table_id)
    existing = set(instance.get_dynamic_partitions(name))
    added = [key for key in prompt_ids if key not in existing]
    _add(instance, _tables_of(name), [table_id])
    _add(instance, mine, [key for key in prompt_ids if key not in existing or key in others])
    _add(instance, name, added)
    retired = [key for key in before if retires and key not in wanted]
    for key in retired:
        if key not in others:
            instance.delete_dynamic_partition(name, key)
        instance.delete_dynamic_partition(mine, key)
    return PartitionChanges(tuple(added), tuple(key for key in retired if key not in others))


def keys_of_tables(instance: dg.DagsterInstance, name: str, *, but: str | None) -> set[str]:
    """Returns the dynamic partitions `name` that tables have added, except those of table `but`."""
    tables = [table for table in instance.get_dynamic_partitions(_tables_of(name)) if table != but]
    return {key for table in tables for key in instance.get_dynamic_partitions(_name_of(name, table))}


def table_id_of(prompts: object) -> str | None:
    """Returns an ID derived from the path or the URL of a table; None for other sources."""
    if isinstance(prompts, PromptSource):
        return table_id_of(prompts.source)
    identity = identity_of(prompts)
    return hashlib.sha256(os.fsencode(identity)).hexdigest()[:16] if identity else None


def range_tags(first: str, last: str) -> dict[str, str]:
    """Returns the tags of a run over all partitions from `first` to `last`, in Dagster's order."""
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}


def _add(instance: dg.DagsterInstance, name: str, keys: Sequence[str]) -> None:
    for some in chunked(keys, _KEYS_PER_STATEMENT):
        instance.add_dynamic_partitions(name, some)


def _tables_of(name: str) -> str:
    return f"wan_assets/{name}/tables"


def _name_of(name: str, table_id: str) -> str:
    return f"wan_assets/{name}/tables/{table_id}"
