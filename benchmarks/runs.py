"""Runs through Dagster, each in an instance of its own on SQLite: ours, Dagster's floor, and what one would write."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from benchmarks import loops
from wan_assets import LedgerResource, RunwareResource, VideoStoreResource, build_video_assets
from wan_assets.orchestration.partitions.sync import sync_partitions
from wan_assets.settings import sqlite_url

SHARDS = 20
_PART = dg.DynamicPartitionsDefinition(name="videos")
_LIKE_OURS: dict[str, Any] = {
    "partitions_def": _PART,
    "backfill_policy": dg.BackfillPolicy.single_run(),
    "output_required": False,
}
_ENTRIES = 19
_PICTURE = "." * 720
_TAGS = {
    "dagster/code_version": "runware:201@1",
    "dagster/data_version": "0123456789abcdef-0123456789abcdef",
    "dagster/input_data_version/videos_requests": "0123456789abcdef",
    "dagster/input_event_pointer/videos_requests": "1",
}
"""What one of our materializations has: so many entries of metadata, one of them a picture, and tags of its lineage."""

Timed = dict[str, float]


def _rows(count: int) -> list[dict[str, Any]]:
    asked = {"resolution": "480p", "provider_settings.alibaba.audio": False}
    return [{"prompt_id": f"p{number:05}", "positive_prompt": f"Kite {number}", **asked} for number in range(count)]


@contextmanager
def _instance(folder: Path, keys: list[str]) -> Iterator[dg.DagsterInstance]:
    home = folder / "dagster"
    home.mkdir(exist_ok=True)
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        sync_partitions(instance, "videos", keys)
        yield instance


def _ran(assets: list[Any], instance: dg.DagsterInstance, first: str, last: str, resources: dict[str, Any]) -> Timed:
    """One run over a range, timed from its start to its end."""
    ranged = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    begun_s = time.perf_counter()
    result = dg.materialize(assets, instance=instance, tags=ranged, resources=resources, selection="videos")
    if not result.success:
        raise RuntimeError("the run failed")
    return {"wall_s": time.perf_counter() - begun_s}


def floor(_: str, rows: int, __: int, folder: Path) -> Timed:
    """Dagster's events alone: as many materializations as there are rows, each with what one of ours has."""

    @dg.asset(name="videos", **_LIKE_OURS)
    def videos(context: dg.AssetExecutionContext) -> Iterator[dg.AssetMaterialization]:
        for key in context.partition_keys:
            entries = {f"wan_assets/entry_{number}": f"{key} {number}" for number in range(_ENTRIES)}
            metadata = {**entries, "wan_assets/entry_0": dg.MetadataValue.md(_PICTURE)}
            yield dg.AssetMaterialization("videos", partition=key, metadata=metadata, tags=_TAGS)

    return _plain(videos, rows, folder)


def plain(base_url: str, rows: int, in_flight: int, folder: Path) -> Timed:
    """What one would write: the bare aiohttp loop in an asset, and a materialization for each file."""

    @dg.asset(name="videos", **_LIKE_OURS)
    def videos(context: dg.AssetExecutionContext) -> Iterator[dg.AssetMaterialization]:
        asyncio.run(loops.with_aiohttp(base_url, rows, in_flight, folder, batched=False))
        for number, key in enumerate(context.partition_keys):
            size = (folder / f"{number}.mp4").stat().st_size
            yield dg.AssetMaterialization("videos", partition=key, metadata={"bytes": size})

    return _plain(videos, rows, folder)


def _plain(videos: Any, rows: int, folder: Path) -> Timed:
    keys = [row["prompt_id"] for row in _rows(rows)]
    with _instance(folder, keys) as instance:
        return _ran([videos], instance, keys[0], keys[-1], {})


def ranged(base_url: str, rows: int, in_flight: int, folder: Path) -> Timed:
    """Our videos, a partition per prompt, all in one run."""
    return _ours(base_url, rows, in_flight, folder, times=1)


def again(base_url: str, rows: int, in_flight: int, folder: Path) -> Timed:
    """The same once more, when every video is there; the first run is not timed."""
    return _ours(base_url, rows, in_flight, folder, times=2)


def _ours(base_url: str, rows: int, in_flight: int, folder: Path, *, times: int) -> Timed:
    table = _rows(rows)
    assets = list(build_video_assets(prompts=pd.DataFrame(table)).assets or ())
    with _instance(folder, [row["prompt_id"] for row in table]) as instance:
        ends = table[0]["prompt_id"], table[-1]["prompt_id"]
        for _ in range(times):
            timed = _ran(assets, instance, *ends, _resources(base_url, in_flight, folder))
        return timed


def by_batch(base_url: str, rows: int, in_flight: int, folder: Path) -> Timed:
    """Our videos in a partition per shard, all in one run."""
    shards = [f"s{number:02}" for number in range(SHARDS)]
    table = [{**row, "shard": shards[number % SHARDS]} for number, row in enumerate(_rows(rows))]
    cut = dg.StaticPartitionsDefinition(shards)
    assets = list(build_video_assets(prompts=pd.DataFrame(table), partitions=cut).assets or ())
    with _instance(folder, []) as instance:
        return _ran(assets, instance, shards[0], shards[-1], _resources(base_url, in_flight, folder))


def _resources(base_url: str, in_flight: int, folder: Path) -> dict[str, Any]:
    return {
        "runware": RunwareResource(api_key="key", base_url=base_url, max_in_flight=in_flight),
        "store": VideoStoreResource(root=str(folder / "store")),
        "ledger": LedgerResource(url=sqlite_url(folder / "ledger.db")),
    }


CASES: dict[str, Callable[[str, int, int, Path], Timed]] = {
    "Dagster's events alone": floor,
    "plain Dagster, aiohttp": plain,
    "ranged run": ranged,
    "ranged run, again": again,
    "run by batch": by_batch,
}
