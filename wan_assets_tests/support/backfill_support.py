"""Open backfills and runs of Dagster, as its daemon and its launcher record them."""

from __future__ import annotations

import time

import dagster as dg
from dagster._core.execution.backfill import PartitionBackfill

LETTERS = dg.StaticPartitionsDefinition(list("abcdefgh"))


@dg.asset(partitions_def=LETTERS, backfill_policy=dg.BackfillPolicy.single_run())
def videos() -> None: ...


@dg.asset(partitions_def=LETTERS)
def others() -> None: ...


@dg.asset
def whole() -> None: ...


DEFINITIONS = dg.Definitions([videos, others, whole])


def backfill(instance: dg.DagsterInstance, keys: str, *assets: dg.AssetsDefinition, name: str = "backfill") -> None:
    """An open backfill of partitions."""
    instance.add_backfill(
        PartitionBackfill.from_asset_partitions(
            asset_graph=DEFINITIONS.resolve_asset_graph(),
            backfill_id=name,
            tags={},
            backfill_timestamp=time.time(),
            asset_selection=[asset.key for asset in assets],
            partition_names=list(keys),
            dynamic_partitions_store=instance,
            all_partitions=False,
            title=None,
            description=None,
            run_config=None,
        )
    )


def run(
    instance: dg.DagsterInstance, *assets: dg.AssetsDefinition, status: dg.DagsterRunStatus, **tags: str
) -> dg.DagsterRun:
    """A run with tags of Dagster."""
    job = DEFINITIONS.resolve_implicit_global_asset_job_def()
    named = {f"dagster/{name}": value for name, value in tags.items()}
    selection = frozenset(asset.key for asset in assets)
    return instance.create_run_for_job(job, tags=named, status=status, asset_selection=selection)


def materialized(instance: dg.DagsterInstance, asset: dg.AssetsDefinition, *keys: str) -> None:
    """Partitions that have been made."""
    for key in keys:
        instance.report_runless_asset_event(dg.AssetMaterialization(asset.key, partition=key))
