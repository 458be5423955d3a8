"""Runs over ranges of adjacent partitions that need a run: each run costs seconds, a partition in it milliseconds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import dagster as dg
from more_itertools import chunked

from wan_assets.orchestration.partitions.data_versions import RecordedVersions
from wan_assets.orchestration.partitions.sync import range_tags


@dataclass(frozen=True)
class PartitionRange:
    """Adjacent partitions that need a run."""

    keys: tuple[str, ...]

    def request(
        self,
        request_versions: Mapping[str, str],
        reported: RecordedVersions,
        tags: Mapping[str, str],
        asset_selection: Sequence[dg.AssetKey] | None = None,
    ) -> dg.RunRequest:
        """Returns the request for one run. The same state gives the same run key, which Dagster launches once.

        `asset_selection` are the assets of the run, if the sensor targets others too.
        """
        first, last = self.keys[0], self.keys[-1]
        wants = [(key, request_versions[key], reported.made_at.get(key, 0)) for key in self.keys]
        run_key = hashlib.sha256(repr(wants).encode()).hexdigest()
        if first == last:
            return dg.RunRequest(run_key, partition_key=first, tags=tags, asset_selection=asset_selection)
        return dg.RunRequest(run_key, tags={**tags, **range_tags(first, last)}, asset_selection=asset_selection)


def partition_ranges(
    existing: Sequence[str],
    wanted: Container[str],
    length: int,
    row_of: Callable[[str], str] | None = None,
) -> Iterator[PartitionRange]:
    """Yields ranges of adjacent partitions in `wanted`, each of at most `length`, in the order of `existing`.

    A range contains no other partition: its videos would be materialized again, although nothing changed. With
    `row_of`, a range stays within one row.

    >>> list(partition_ranges("abcdefgh", set("bcdeh"), 3))
    [PartitionRange(keys=('b', 'c', 'd')), PartitionRange(keys=('e',)), PartitionRange(keys=('h',))]
    """
    parts = groupby(existing, key=lambda key: (key in wanted, row_of(key) if row_of else ""))
    for (is_wanted, _), neighbours in parts:
        if is_wanted:
            yield from (PartitionRange(tuple(some)) for some in chunked(neighbours, length))


def row_function_of(partitions_def: dg.PartitionsDefinition[str]) -> Callable[[str], str] | None:
    """Returns a function that maps a multi-partition key to its row, or None for other partitions.

    Dagster expands a range of multi-partitions to the cross product of the ranges of both dimensions. Only a range
    within one row therefore contains exactly the partitions between its ends.
    """
    if not isinstance(partitions_def, dg.MultiPartitionsDefinition):
        return None
    first = partitions_def.partitions_defs[0].name

    def row_of(key: str) -> str:
        return partitions_def.get_partition_key_from_str(key).keys_by_dimension[first]

    return row_of
