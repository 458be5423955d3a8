"""Asset factories for the prompt table, the requests of its rows, and their videos, by prompt or by batch."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypedDict, Unpack

import dagster as dg

from wan_assets.engine import OnMismatch, ProgressCallback, ignore_progress
from wan_assets.errors import EmptyRangeError, PromptTableError
from wan_assets.orchestration.checks import (
    Severities,
    VideoCheck,
    partition_check_spec,
    severities_of,
    verified_checks,
    video_check_specs,
)
from wan_assets.orchestration.loading.io_manager import videos_io_manager
from wan_assets.orchestration.metadata import video
from wan_assets.orchestration.partitions.assignment import PartitionOf
from wan_assets.orchestration.partitions.data_versions import CODE_VERSION, prompts_key, requests_key
from wan_assets.orchestration.resources import LedgerResource, RunwareResource, VideoStoreResource
from wan_assets.orchestration.run_context import (
    RECORDED_ALREADY,
    Event,
    OnOutcome,
    RunContext,
    RunContextOptions,
    ignore_outcome,
)
from wan_assets.orchestration.runs.partitioning import Partitioning, Partitions, partitioning_of
from wan_assets.orchestration.runs.run import POOL, GenerationConfig, run_events
from wan_assets.prompts import Prompts

_NOTHING: Any = dg.Nothing
"""Dagster takes this class as a type, although its annotation names only instances."""


class VideoOptions(TypedDict, total=False):
    """Optional arguments of `build_video_assets`; the freshness policy applies to the table."""

    retry_policy: dg.RetryPolicy
    automation_condition: dg.AutomationCondition[dg.AssetKey]
    severities: Severities
    on_mismatch: OnMismatch
    freshness_policy: dg.FreshnessPolicy
    on_progress: ProgressCallback
    video_checks: Sequence[VideoCheck]


def build_video_assets(
    *,
    name: str = "videos",
    prompts: Prompts,
    partitions: Partitions = "prompt",
    partition_key_of: PartitionOf | None = None,
    group_name: str = "videos",
    partitions_per_run: int | None = None,
    on_outcome: OnOutcome = ignore_outcome,
    **options: Unpack[VideoOptions],
) -> dg.Definitions:
    """Builds the assets of one prompt table, to be merged with the resources `runware`, `store` and `ledger`.

    `<name>_prompts` is the table: it checks every row and updates dynamic partitions. `<name>_requests` stands for the
    requests of each partition: a changed request makes only its partition of the videos stale. `<name>` are the videos.
    A run may cover any range of partitions.

    Args:
        name: Name of the videos' asset.
        prompts: A path, a DataFrame, a `SqlQuery`, a `PromptTable`, or a function that returns one. It is read when an
            asset runs.
        partitions: "prompt" for one partition per `prompt_id`, or a partitions definition. Then a partition holds the
            rows of its key: time windows use the column `date`, static partitions `shard` or a hash of the `prompt_id`,
            dynamic partitions `campaign`.
        partition_key_of: Function that returns the partition key of a row, for other partitions definitions.
        group_name: Dagster's asset group.
        partitions_per_run: Maximum number of partitions in each run of a backfill, by default 100 prompts or 1 batch.
        on_outcome: Function that is called as each row finishes, with its outcome.
        **options: `retry_policy` repeats a step for the rows that have no video, unless a person must act first.
            `severities` enables the check `quality` of each partition, with severities by check name; `{}` uses the
            defaults. `on_mismatch` overrides the resource for a playable video that deviates from its request: "keep"
            stores it, and the check `matches_request` fails; "fail" fails the row. `video_checks` are functions
            decorated with `@video_check`, which check each stored video. `on_progress` is called about once a
            second with the run's `Progress`. `automation_condition` is Dagster's; `freshness_policy` is the table's.

    Returns:
        Definitions of the three assets.

    Raises:
        ValueError: The partitions definition does not determine the partition of a row, or two checks have one name.

    Example:
        >>> import pandas as pd
        >>> from wan_assets import build_video_assets
        >>> prompts = pd.DataFrame({"positive_prompt": ["A red kite"], "resolution": ["480p"]})
        >>> definitions = build_video_assets(name="trailers", prompts=prompts)
        >>> sorted(key.to_user_string() for asset in definitions.assets for key in asset.keys)
        ['trailers', 'trailers_prompts', 'trailers_requests']
    """
    partitioning = partitioning_of(name, prompts, partitions, partition_key_of, partitions_per_run)
    return assets_of(
        name, partitioning, partitioning.partitions_def, group_name=group_name, on_outcome=on_outcome, **options
    )


def assets_of(
    name: str,
    partitioning: Partitioning,
    partitions_def: dg.PartitionsDefinition[str],
    *,
    group_name: str = "videos",
    on_outcome: OnOutcome = ignore_outcome,
    **options: Unpack[VideoOptions],
) -> dg.Definitions:
    """Returns the three assets of a table.

    `partitions_def` contains all partitions of the partitioning, or some of them.
    """
    table = _table_asset(name, partitioning, group_name, options)
    partitioning = replace(partitioning, partitions_def=partitions_def)
    requests = _requests_asset(name, partitioning, group_name)
    return dg.Definitions(assets=[table, requests, _videos_asset(name, partitioning, group_name, on_outcome, options)])


def _table_asset(name: str, partitioning: Partitioning, group_name: str, options: VideoOptions) -> dg.AssetsDefinition:
    videos = dg.AssetKey(name)
    key = prompts_key(videos)

    @dg.asset(
        key=key,
        group_name=group_name,
        kinds={"table"},
        description="The prompt table: one row per requested video.",
        check_specs=[dg.AssetCheckSpec("rows_are_valid", asset=key, blocking=True)],
        freshness_policy=options.get("freshness_policy"),
    )
    def prompt_table(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        try:
            snapshot = partitioning.check(RunContext.of(context, videos))
        except PromptTableError as error:
            raise video.failure_to_start(error) from None
        metadata = video.table_metadata(snapshot.summary)
        check = dg.AssetCheckResult(check_name="rows_are_valid", passed=snapshot.is_valid, metadata=metadata)
        version = dg.DataVersion(snapshot.version)
        return dg.MaterializeResult(metadata=metadata, check_results=[check], data_version=version)

    return prompt_table


def _requests_asset(name: str, partitioning: Partitioning, group_name: str) -> dg.AssetsDefinition:
    videos = dg.AssetKey(name)
    spec = dg.AssetSpec(
        requests_key(videos),
        deps=[prompts_key(videos)],
        group_name=group_name,
        kinds={"table"},
        description="The requests of each partition's rows; never materialized, changes are recorded as observations.",
        partitions_def=partitioning.partitions_def,
    )

    def observe(context: dg.AssetExecutionContext) -> None:
        """Reads the table, synchronizes its partitions, and records changed requests."""
        try:
            partitioning.check(RunContext.of(context, videos))
        except PromptTableError as error:
            raise video.failure_to_start(error) from None

    observable = dg.multi_observable_source_asset(specs=[spec], name=f"{name}_requests_observed")
    requests: dg.AssetsDefinition = observable(observe)
    return requests


def _videos_asset(
    name: str, partitioning: Partitioning, group_name: str, on_outcome: OnOutcome, options: VideoOptions
) -> dg.AssetsDefinition:
    severities = severities_of(options["severities"]) if "severities" in options else None
    checks = verified_checks(options.get("video_checks", ()))
    of_partitions = [] if severities is None else [partition_check_spec(name)]
    run_options: RunContextOptions = {
        "on_outcome": on_outcome,
        "on_progress": options.get("on_progress", ignore_progress),
        "severities": severities,
        "on_mismatch": options.get("on_mismatch"),
        "video_checks": checks,
    }

    @dg.asset(
        name=name,
        group_name=group_name,
        kinds={"runware", "mp4"},
        description="Videos generated by Wan2.5-Preview, each paid for once.",
        deps=[requests_key(dg.AssetKey(name))],
        partitions_def=partitioning.partitions_def,
        backfill_policy=dg.BackfillPolicy.multi_run(partitioning.partitions_per_run),
        code_version=CODE_VERSION,
        pool=POOL,
        retry_policy=options.get("retry_policy"),
        automation_condition=options.get("automation_condition"),
        check_specs=[*of_partitions, *video_check_specs(dg.AssetKey(name), checks)],
        dagster_type=_NOTHING,
        io_manager_def=videos_io_manager,
    )
    def videos(
        context: dg.AssetExecutionContext,
        config: GenerationConfig,
        runware: RunwareResource,
        store: VideoStoreResource,
        ledger: LedgerResource,
    ) -> Iterator[Event | dg.Output[None]]:
        """Logs each partition when it is complete; raises a `Failure` that names the rows without a video."""
        run_context = RunContext.of(context, context.asset_key, _partition_keys(context), **run_options)
        yield from run_events(partitioning, run_context, config, runware=runware, store=store, ledger=ledger)
        for check in context.selected_asset_check_keys:
            yield dg.Output(None, context.assets_def.get_output_name_for_asset_check_key(check))
        yield dg.Output(None, metadata=RECORDED_ALREADY)

    return videos


def _partition_keys(context: dg.AssetExecutionContext) -> list[str]:
    """Returns the partitions of a run; raises a `Failure` for a range that holds none."""
    if keys := list(context.partition_keys):
        return keys
    requested = context.partition_key_range
    raise video.failure_to_start(EmptyRangeError(requested.start, requested.end))
