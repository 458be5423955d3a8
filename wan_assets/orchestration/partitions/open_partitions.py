"""The partitions that open backfills and runs of a Dagster instance are still to materialize."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator

import dagster as dg

_OPEN_RUNS = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
_OPEN_BACKFILL = "REQUESTED"
_PAGE = 1_000


def open_partitions(instance: dg.DagsterInstance, assets: Collection[str]) -> dict[str, set[str]]:
    """Returns the open partitions of some assets, given as the ledger names them, such as `marketing/trailers`.

    A partition that is materialized already is not open: what a run makes again of it is stored and costs nothing.
    Backfills of jobs count with the runs that they have launched.
    """
    keys = {asset: dg.AssetKey(asset.split("/")) for asset in assets}
    found = defaultdict(set, _of_backfills(instance, set(keys.values())))
    since = _open_runs(instance)
    for key in keys.values() if since else ():
        found[key] |= set(_of_runs(instance, key, since))
    left = {asset: found[key] - instance.get_materialized_partitions(key) for asset, key in keys.items() if found[key]}
    return {asset: partitions for asset, partitions in left.items() if partitions}


def _of_backfills(instance: dg.DagsterInstance, keys: set[dg.AssetKey]) -> dict[dg.AssetKey, set[str]]:
    """Returns the partitions that open backfills of assets target and have neither made nor given up."""
    found: dict[dg.AssetKey, set[str]] = defaultdict(set)
    for backfill in instance.get_backfills():
        data = backfill.asset_backfill_data
        if backfill.status.value != _OPEN_BACKFILL or data is None:
            continue
        left = data.target_subset - data.materialized_subset - data.failed_and_downstream_subset
        for each in left.iterate_asset_partitions():
            if each.asset_key in keys and each.partition_key is not None:
                found[each.asset_key].add(each.partition_key)
    return found


def _open_runs(instance: dg.DagsterInstance) -> dict[str, float]:
    """Returns the time at which each open run was created, in seconds since 1970."""
    records = instance.get_run_records(dg.RunsFilter(statuses=_OPEN_RUNS))
    return {record.dagster_run.run_id: record.create_timestamp.timestamp() for record in records}


def _of_runs(instance: dg.DagsterInstance, key: dg.AssetKey, runs: dict[str, float]) -> Iterator[str]:
    """Yields the partitions that open runs plan to materialize."""
    wanted = dg.AssetRecordsFilter(asset_key=key, after_timestamp=min(runs.values()) - 1)
    cursor = None
    while True:
        page = instance.fetch_planned_materializations(wanted, _PAGE, cursor)
        for record in page.records:
            if record.event_log_entry.run_id in runs:
                yield from _planned_in(record)
        if not page.has_more:
            return
        cursor = page.cursor


def _planned_in(record: dg.EventLogRecord) -> Iterator[str]:
    if (partition := record.partition_key) is not None:
        yield partition
    event = record.event_log_entry.dagster_event
    planned = event.asset_materialization_planned_data if event else None
    if planned and planned.partitions_subset is not None:
        yield from planned.partitions_subset.get_partition_keys()
