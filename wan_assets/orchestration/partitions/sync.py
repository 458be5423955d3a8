"""Dynamic partitions kept in step with a prompt table, and runs over ranges of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import dagster as dg
from more_itertools import chunked

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
    kept: Collection[str] = (),
    most_added: int | None = None,
    most_retired: int | None = None,
) -> PartitionChanges:
    """Makes the dynamic partitions `name` those of a table's rows, or brings them some steps nearer.

    The videos of retired ones are stored on. Those that are `kept` belong to other tables. It may be called by several
    at once: each step is made once.
    """
    present = instance.get_dynamic_partitions(name)
    wanted, known = {*prompt_ids, *kept}, set(present)
    new = [key for key in prompt_ids if key not in known]
    old = [key for key in present if key not in wanted]
    changes = PartitionChanges(tuple(new[:most_added]), tuple(old[:most_retired]))
    _add(instance, name, changes.added)
    for key in changes.retired:
        instance.delete_dynamic_partition(name, key)
    return replace(changes, left=len(new) + len(old) - len(changes.added) - len(changes.retired))


def add_partitions(
    instance: dg.DagsterInstance, name: str, keys: Sequence[str], most_added: int | None = None
) -> PartitionChanges:
    """Adds keys that are not there yet; none is retired."""
    known = set(instance.get_dynamic_partitions(name))
    new = [key for key in keys if key not in known]
    for some in chunked(new[:most_added], _KEYS_PER_STATEMENT):
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


def sync_table(instance: dg.DagsterInstance, name: str, table_id: str, prompt_ids: Sequence[str]) -> PartitionChanges:
    """Adds the rows of one of several tables to the dynamic partitions `name`.

    It retires what this table has added and has no more, unless another table has it. What each table has added are
    dynamic partitions too, of a name of its own.
    """
    mine, wanted = _name_of(name, table_id), set(prompt_ids)
    before = instance.get_dynamic_partitions(mine)
    others = keys_of_tables(instance, name, but=table_id)
    present = set(instance.get_dynamic_partitions(name))
    added = [key for key in prompt_ids if key not in present]
    _add(instance, _tables_of(name), [table_id])
    _add(instance, mine, [key for key in prompt_ids if key not in present or key in others])
    _add(instance, name, added)
    retired = [key for key in before if key not in wanted]
    for key in retired:
        if key not in others:
            instance.delete_dynamic_partition(name, key)
        instance.delete_dynamic_partition(mine, key)
    return PartitionChanges(tuple(added), tuple(key for key in retired if key not in others))


def keys_of_tables(instance: dg.DagsterInstance, name: str, *, but: str | None) -> set[str]:
    """The dynamic partitions `name` that tables have added, but for one of them."""
    tables = [table for table in instance.get_dynamic_partitions(_tables_of(name)) if table != but]
    return {key for table in tables for key in instance.get_dynamic_partitions(_name_of(name, table))}


def table_id_of(prompts: object) -> str | None:
    """A table that is a file, by its place; None for any other."""
    if not isinstance(prompts, (str, os.PathLike)):
        return None
    return hashlib.sha256(os.fsencode(Path(prompts).absolute())).hexdigest()[:16]


def range_tags(first: str, last: str) -> dict[str, str]:
    """The tags of a run over all partitions from one to another, in Dagster's order."""
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}


def _add(instance: dg.DagsterInstance, name: str, keys: Sequence[str]) -> None:
    for some in chunked(keys, _KEYS_PER_STATEMENT):
        instance.add_dynamic_partitions(name, some)


def _tables_of(name: str) -> str:
    return f"wan_assets/{name}/tables"


def _name_of(name: str, table_id: str) -> str:
    return f"wan_assets/{name}/tables/{table_id}"
