"""Steps of Dagster that generate videos in a user's own asset or op, on a studio's simulator."""

from __future__ import annotations

from typing import Any

import dagster as dg
from dagster_support import SMALL, Studio
from engine_support import seed_that

from wan_assets import VideoGenerator, VideoRequest
from wan_assets.engine import VideoJob

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def requests_of(*prompts: str, **parameters: Any) -> list[dict[str, Any]]:
    """Requests `a`, `b`, … as a list of mappings."""
    return [
        {"prompt_id": chr(ord("a") + number), "positive_prompt": prompt, **SMALL, **parameters}
        for number, prompt in enumerate(prompts)
    ]


def one_refused(which: int, requests: list[dict[str, Any]]) -> dict[str, Any]:
    """A behaviour in which the API refuses the content of one of some requests."""
    columns = [{name: value for name, value in row.items() if name not in ("prompt_id", "shard")} for row in requests]
    jobs = [VideoJob(VideoRequest.model_validate(row)) for row in columns]
    expected = [number == which for number in range(len(requests))]
    return seed_that(lambda struck: struck == expected, "verdict_safety", 0.3, jobs)


def generator_of(made: Studio, **ledger: Any) -> VideoGenerator:
    """A generator that speaks to a studio's simulator."""
    return VideoGenerator(**made.resources(**ledger))


def materialize(made: Studio, *assets: Any, keys: tuple[str, ...] = (), **options: Any) -> dg.ExecuteInProcessResult:
    """One run over some assets, and over a range of partitions if keys are given."""
    tags = {RANGE_START: keys[0], RANGE_END: keys[-1]} if keys else {}
    resources = {"generator": generator_of(made)}
    return dg.materialize(
        list(assets), instance=made.instance, resources=resources, tags=tags, raise_on_error=False, **options
    )
