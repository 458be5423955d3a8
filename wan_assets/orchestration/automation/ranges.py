"""Runs over ranges of adjacent partitions: a run costs seconds, a reused partition in a range milliseconds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import dagster as dg

from wan_assets.orchestration.partitions.data_versions import RecordedVersions
from wan_assets.orchestration.partitions.sync import range_tags


@dataclass(frozen=True)
class PartitionRange:
    """A range of adjacent partitions. Its first and last partition need a run; `keys` are all that do."""

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
    requested: Container[str],
    wanted: Collection[str],
    length: int,
    row_of: Callable[[str], str] | None = None,
) -> Iterator[PartitionRange]:
    """Yields ranges that cover all partitions in `wanted`, each of at most `length`, in the order of `existing`.

    A range contains only partitions in `requested`: the rows of the others are gone. With `row_of`, a range stays
    within one row and contains only partitions that need a run.

    >>> list(partition_ranges("abcdefgh", "abcdegh", set("bdeh"), 3))
    [PartitionRange(keys=('b', 'd')), PartitionRange(keys=('e',)), PartitionRange(keys=('h',))]
    """
    if row_of is None:
        parts = groupby(existing, key=lambda key: (key in requested, ""))
    else:
        parts = groupby(existing, key=lambda key: (key in wanted, row_of(key)))
    for (is_part, _), neighbours in parts:
        if is_part:
            yield from _ranges_of(neighbours, wanted, length)


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


def _ranges_of(neighbours: Iterable[str], wanted: Collection[str], length: int) -> Iterator[PartitionRange]:
    found: list[str] = []
    start = 0
    for place, key in enumerate(neighbours):
        if key not in wanted:
            continue
        if found and place >= start + length:
            yield PartitionRange(tuple(found))
            found = []
        if not found:
            start = place
        found.append(key)
    if found:
        yield PartitionRange(tuple(found))
