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
_PARTITION = "dagster/partition"


def open_partitions(instance: dg.DagsterInstance, assets: Collection[str]) -> dict[str, set[str]]:
    """Returns the open partitions of some assets, given as the ledger names them, such as `marketing/trailers`.

    A partition that is materialized already is not open: what a run makes again of it is stored and costs nothing.
    Backfills of jobs count with the runs that they have launched.
    """
    keys = {asset: dg.AssetKey(asset.split("/")) for asset in assets}
    found = defaultdict(set, _of_backfills(instance, set(keys.values())))
    for key, partition in _of_runs(instance, set(keys.values())):
        found[key].add(partition)
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


def _of_runs(instance: dg.DagsterInstance, keys: set[dg.AssetKey]) -> Iterator[tuple[dg.AssetKey, str]]:
    """Yields the partitions that open runs plan to materialize."""
    for record in instance.get_run_records(dg.RunsFilter(statuses=_OPEN_RUNS)):
        run = record.dagster_run
        if run.asset_selection is not None and not keys & run.asset_selection:
            continue
        partition = run.tags.get(_PARTITION)
        if partition is not None and run.asset_selection is not None:
            yield from ((key, partition) for key in keys & run.asset_selection)
        else:
            yield from _planned(instance, run.run_id, keys)


def _planned(instance: dg.DagsterInstance, run_id: str, keys: set[dg.AssetKey]) -> Iterator[tuple[dg.AssetKey, str]]:
    """Yields the partitions of a run over several, or of a job, which Dagster records when it creates the run."""
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED):
        if entry.dagster_event is None:
            continue
        planned = entry.dagster_event.asset_materialization_planned_data
        if planned.asset_key in keys and planned.partition is not None:
            yield planned.asset_key, planned.partition
        elif planned.asset_key in keys and planned.partitions_subset is not None:
            yield from ((planned.asset_key, key) for key in planned.partitions_subset.get_partition_keys())
