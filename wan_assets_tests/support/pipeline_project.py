"""A project of somebody who uses the videos: a warehouse, prompts, videos, an asset that reads them, and a summary."""

from __future__ import annotations

DEFINITIONS = """
import json
import os
from pathlib import Path

import dagster as dg
import duckdb

from wan_assets import (
    LedgerResource, RunwareResource, UpstreamPrompts, Video, VideoStoreResource, build_video_assets,
    build_video_checks, build_video_sensor,
)
from wan_assets.prompts import SqlQuery

EAGER = dg.AutomationCondition.eager()
OFTEN = dg.AutomationConditionSensorDefinition(
    "default_automation_condition_sensor", target=dg.AssetSelection.all(), minimum_interval_seconds=5
)  # Dagster's own, which looks each 30 s


def pipeline(name, condition=None, partitions_per_run=100):
    # The assets of one table, and of everything that depends on it.
    source = Path(f"{name}.jsonl")

    @dg.asset(key=["warehouse", name], automation_condition=condition)
    def warehouse() -> None:
        with duckdb.connect(f"{name}.duckdb") as connection:
            connection.execute(f"CREATE OR REPLACE TABLE prompts AS SELECT * FROM read_json('{source}')")

    query = SqlQuery(f"duckdb:///{name}.duckdb?access_mode=read_only", "SELECT * FROM prompts ORDER BY prompt_id")
    table = {"name": name, "prompts": UpstreamPrompts(["warehouse", name], source=query)}
    partitions = dg.DynamicPartitionsDefinition(name=name)

    @dg.asset(
        name=f"{name}_bytes",
        ins={"videos": dg.AssetIn(name)},
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.multi_run(partitions_per_run),
        automation_condition=condition,
    )
    def bytes_of(context: dg.AssetExecutionContext, videos: dict[str, list[Video]]) -> None:
        Path("bytes").mkdir(exist_ok=True)
        for key, files in videos.items():
            (Path("bytes") / f"{key}.json").write_text(json.dumps([len(video.open().read()) for video in files]))

    @dg.asset(name=f"{name}_summary", deps=[bytes_of], automation_condition=condition)
    def summary(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"files": len(list(Path("bytes").glob(f"{name}-*.json")))})

    assets = build_video_assets(
        **table,
        partitions_per_run=partitions_per_run,
        automation_condition=condition,
        table={"automation_condition": condition},
    )
    return dg.Definitions.merge(
        assets,
        dg.Definitions(
            assets=[warehouse, bytes_of, summary],
            asset_checks=build_video_checks(**table),
            sensors=[build_video_sensor(**table, minimum_interval_seconds=1)],
        ),
    )


defs = dg.Definitions.merge(
    pipeline("one"),
    pipeline("ten", partitions_per_run=10),
    pipeline("watched"),
    pipeline("eager", EAGER),
    dg.Definitions(
        sensors=[OFTEN],
        executor=dg.in_process_executor,
        resources={
            "runware": RunwareResource(
                api_key="a-key", base_url=os.environ["API"], max_in_flight=50, initial_poll_delay_s=0.2
            ),
            "store": VideoStoreResource(root="store"),
            "ledger": LedgerResource(url="sqlite:///ledger.db"),
        },
    ),
)
"""

MATERIALIZED = """
import sys

import dagster as dg
from studio import defs

name = sys.argv[1]
with dg.DagsterInstance.get() as instance:
    job = defs.get_implicit_global_asset_job_def()
    for assets in (["warehouse/" + name, name + "_prompts"], [name, name + "_bytes"], [name + "_summary"]):
        keys = instance.get_dynamic_partitions(name) if name in assets else []
        ends = {"dagster/asset_partition_range_start": keys[:1], "dagster/asset_partition_range_end": keys[-1:]}
        tags = {tag: end for tag, ends in ends.items() for end in ends}
        selection = [dg.AssetKey(asset.split("/")) for asset in assets]
        assert job.execute_in_process(instance=instance, asset_selection=selection, tags=tags).success
"""
"""A program that materializes one pipeline of the project, whose arguments are its name."""
