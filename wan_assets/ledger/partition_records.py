"""Records which rows each partition of an asset consists of, and the task of each row's video."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field

import sqlalchemy as sa
from more_itertools import chunked

from wan_assets.ledger.schema import partitions, upsert_into

_PER_STATEMENT = 500
_FINGERPRINT = re.compile(r'"fingerprint":"([0-9a-f]{64})"')


@dataclass(frozen=True)
class PartitionRow:
    """One row with stored videos: its ID, the task and fingerprint of its videos, and its extra columns."""

    prompt_id: str
    task_uuid: str
    fingerprint: str
    is_simulated: bool
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PartitionRecord:
    """The rows of a partition in table order, and the data version of the event that recorded the partition."""

    version: str
    rows: tuple[PartitionRow, ...]


def recorded(connection: sa.Connection, asset: str, keys: Collection[str] | None = None) -> dict[str, PartitionRecord]:
    """Returns the records of an asset by partition; of all partitions if `keys` is None."""
    of_asset = partitions.select().where(partitions.c.asset == asset)
    found: dict[str, PartitionRecord] = {}
    for some in [None] if keys is None else chunked(keys, _PER_STATEMENT):
        statement = of_asset if some is None else of_asset.where(partitions.c.partition.in_(some))
        found |= {row["partition"]: _record_of(row) for row in connection.execute(statement).mappings()}
    return found


def fingerprints(connection: sa.Connection, asset: str) -> Iterator[tuple[str, list[str]]]:
    """Yields each partition of an asset with the fingerprints of its rows, without reading the rows as a whole."""
    query = sa.select(partitions.c.partition, partitions.c.rows).where(partitions.c.asset == asset)
    for partition, rows in connection.execute(query.execution_options(yield_per=_PER_STATEMENT)):
        yield partition, _FINGERPRINT.findall(rows)


def record(connection: sa.Connection, asset: str, records: Mapping[str, PartitionRecord]) -> None:
    """Replaces the records of some partitions.

    All processes write partitions in the same order, so that two transactions do not wait for each other.
    """
    written = [{"asset": asset, "partition": name, **_values_of(records[name])} for name in sorted(records)]
    connection.execute(upsert_into(connection.dialect.name, partitions), written)


def _values_of(recorded: PartitionRecord) -> dict[str, str]:
    rows = [asdict(row) for row in recorded.rows]
    return {"version": recorded.version, "rows": json.dumps(rows, separators=(",", ":"))}


def _record_of(row: sa.RowMapping) -> PartitionRecord:
    return PartitionRecord(row["version"], tuple(PartitionRow(**each) for each in json.loads(row["rows"])))
