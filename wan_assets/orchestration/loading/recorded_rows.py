"""The rows of partitions: as the ledger records them, or as the metadata of the latest event describes them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import dagster as dg
from more_itertools import chunked

from wan_assets.ledger import Ledger, PartitionRecord, PartitionRow
from wan_assets.orchestration.partitions.data_versions import DATA_VERSION

_KEYS_PER_QUERY = 5_000
_EVENTS_PER_QUERY = 500

_NEVER_MATERIALIZED = "it was never materialized"
_NOT_RECORDED = (
    "its rows are not recorded: wan-assets 0.1.0, an interrupted run or other code materialized it; run it again: "
    "stored videos are reused at no cost"
)


@dataclass(frozen=True)
class RecordedRows:
    """The rows of some partitions, and the reason for each partition without rows."""

    records: Mapping[str, PartitionRecord]
    never_materialized: Mapping[str, str]
    not_recorded: Mapping[str, str]


def recorded_rows(
    instance: dg.DagsterInstance, ledger: Ledger, asset_key: dg.AssetKey, keys: Collection[str]
) -> RecordedRows:
    """Reads the rows of partitions.

    A record counts only if its data version is that of the partition's latest event. Otherwise the event's metadata are
    used, which describe a partition of one prompt.
    """
    latest = _versions(instance, asset_key, keys)
    known = ledger.recorded_partitions(asset_key.to_user_string(), keys)
    records = {key: known[key] for key in keys if key in known and known[key].version == latest.get(key)}
    rest = [key for key in keys if key not in records]
    events = dict(_latest_events(instance, asset_key, rest))
    described = {key: _described_by(key, event) for key, event in events.items()}
    return RecordedRows(
        {**records, **{key: record for key, record in described.items() if record}},
        {key: _NEVER_MATERIALIZED for key in rest if key not in events},
        {key: _NOT_RECORDED for key, record in described.items() if record is None},
    )


def _versions(instance: dg.DagsterInstance, asset_key: dg.AssetKey, keys: Collection[str]) -> dict[str, str]:
    """Returns the data version of each partition's latest event."""
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    found: dict[str, str] = {}
    for some in chunked(keys, _KEYS_PER_QUERY):
        tags = instance.event_log_storage.get_latest_tags_by_partition(asset_key, kind, [DATA_VERSION], some)
        found |= {key: values[DATA_VERSION] for key, values in tags.items() if DATA_VERSION in values}
    return found


def _latest_events(
    instance: dg.DagsterInstance, asset_key: dg.AssetKey, keys: Collection[str]
) -> Iterator[tuple[str, dg.AssetMaterialization]]:
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    for some in chunked(keys, _EVENTS_PER_QUERY):
        numbers = instance.event_log_storage.get_latest_storage_id_by_partition(asset_key, kind, set(some))
        if not numbers:
            continue
        records_filter = dg.AssetRecordsFilter(asset_key, storage_ids=list(numbers.values()))
        for record in instance.fetch_materializations(records_filter, limit=len(numbers)).records:
            if record.asset_materialization and record.partition_key:
                yield record.partition_key, record.asset_materialization


def _described_by(key: str, event: dg.AssetMaterialization) -> PartitionRecord | None:
    """Returns the row of a partition by prompt, or no rows of an empty batch; None if the event does not tell."""
    values = {name: value.value for name, value in event.metadata.items()}
    task_uuid, fingerprint = values.get("wan_assets/task_uuid"), values.get("wan_assets/fingerprint")
    if isinstance(task_uuid, str) and isinstance(fingerprint, str):
        row = PartitionRow(key, task_uuid, fingerprint, is_simulated=bool(values.get("wan_assets/simulated")))
        return PartitionRecord("", (row,))
    return PartitionRecord("", ()) if values.get("dagster/partition_row_count") == 0 else None
