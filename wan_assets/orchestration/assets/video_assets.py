"""Asset factories for the prompt table, the requests of its rows, and their videos, by prompt or by batch."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Unpack, cast

import dagster as dg

from wan_assets.engine import OnMismatch, ProgressCallback, ignore_progress
from wan_assets.errors import EmptyRangeError
from wan_assets.orchestration.asset_names import AssetNames, Key, KeyPrefix
from wan_assets.orchestration.asset_options import (
    AssetOptions,
    ReviewOptions,
    asset_arguments,
    check_options,
    given_options,
    known_keywords,
)
from wan_assets.orchestration.assets.table_asset import requests_asset, table_asset, table_options
from wan_assets.orchestration.checks import (
    Severities,
    VideoCheck,
    checks_after_failure,
    partition_check_spec,
    review_check_spec,
    severities_of,
    verified_checks,
    video_check_specs,
)
from wan_assets.orchestration.loading.io_manager import videos_io_manager
from wan_assets.orchestration.metadata import video
from wan_assets.orchestration.partitions.assignment import PartitionOf
from wan_assets.orchestration.partitions.data_versions import CODE_VERSION
from wan_assets.orchestration.resources import LedgerResource, RunwareResource, VideoStoreResource
from wan_assets.orchestration.run_context import (
    RECORDED_ALREADY,
    Event,
    OnBudgetAlert,
    OnOutcome,
    RunContext,
    RunContextOptions,
    ignore_outcome,
)
from wan_assets.orchestration.runs.budget_alerts import costs_of
from wan_assets.orchestration.runs.partitioning import Partitioning, Partitions, partitioning_of
from wan_assets.orchestration.runs.run import POOL, GenerationConfig, run_events
from wan_assets.orchestration.tables.upstream import PromptsOrAsset

_NOTHING: Any = dg.Nothing
"""Dagster takes this class as a type, although its annotation names only instances."""


class VideoOptions(AssetOptions, ReviewOptions, total=False):
    """Optional arguments of `build_video_assets`: options of the videos' asset, and of its runs."""

    table: AssetOptions
    backfill_policy: dg.BackfillPolicy
    retry_policy: dg.RetryPolicy
    severities: Severities
    on_mismatch: OnMismatch
    on_progress: ProgressCallback
    on_budget_alert: OnBudgetAlert
    video_checks: Sequence[VideoCheck]


@known_keywords(VideoOptions)
def build_video_assets(
    *,
    name: str | None = None,
    key: Key | None = None,
    key_prefix: KeyPrefix | None = None,
    prompts: PromptsOrAsset,
    partitions: Partitions = "prompt",
    partition_key_of: PartitionOf | None = None,
    partitions_per_run: int | None = None,
    on_outcome: OnOutcome = ignore_outcome,
    **options: Unpack[VideoOptions],
) -> dg.Definitions:
    """Builds the assets of one prompt table, to be merged with the resources `runware`, `store` and `ledger`.

    `<name>_prompts` is the table: it checks every row, updates dynamic partitions, and stores a snapshot.
    `<name>_requests` stands for the requests of each partition: a changed request makes only its partition of the
    videos stale. `<name>` are the videos.
    A run may cover any range of partitions.

    Args:
        name: Name of the videos' asset, by default `videos`.
        key: Key of the videos' asset, such as `marketing/trailers`, instead of `name` and `key_prefix`.
        key_prefix: Prefix of the keys of all three assets.
        prompts: A path, a DataFrame, a `SqlQuery`, a `PromptTable`, or a function that returns one. It is read when an
            asset runs. Or an upstream asset: an `AssetKey`, a definition, or `UpstreamPrompts`.
        partitions: "prompt" for one partition per `prompt_id`, or a partitions definition. Then a partition holds the
            rows of its key: time windows use the column `date`, static partitions `shard` or a hash of the `prompt_id`,
            dynamic partitions `campaign`.
        partition_key_of: Function that returns the partition key of a row, for other partitions definitions.
        partitions_per_run: Maximum number of partitions in each run of a backfill, by default 100 prompts or 1 batch.
        on_outcome: Function that is called as each row finishes, with its outcome.
        **options: Dagster's `deps`, `owners`, `tags`, `metadata`, `description`, `kinds`, `group_name`,
            `automation_condition` and `freshness_policy` of the videos, as for `dagster.asset`. `owners`, `tags` and
            `group_name` apply to all three assets. `table` is a dictionary of the same options for `<name>_prompts`,
            such as `{"deps": ["warehouse/scripts"]}`; a table from an upstream asset also gets the
            `automation_condition` of the videos, unless `table` contains another one. `backfill_policy` replaces
            `partitions_per_run`; ranges of the command `dg launch` need `BackfillPolicy.single_run()`. `retry_policy`
            repeats a step for the rows that have no video, unless a person must act first. `severities` enables the
            check `quality` of each partition, with severities by check name; `{}` uses the defaults. `on_mismatch`
            overrides the resource for a playable video that deviates from its request: "keep" stores it, and the check
            `matches_request` fails; "fail" fails the row. `video_checks` are functions decorated with `@video_check`,
            which check each stored video. `review` adds the check `reviewed` of each partition, which fails until its
            videos are approved. `max_takes` (by default 3) is the most takes of a row: a video with the decision
            `retake` is generated again with another seed; `retake_rejected` does the same for rejected videos.
            `on_progress` is called about once a second with the run's `Progress`. `on_budget_alert` is called with each
            `BudgetAlert` of the run; an error in it is logged, and the alert is sent again later.

    Returns:
        Definitions of the three assets.

    Raises:
        ValueError: The partitions definition does not determine the partition of a row, or two checks have one name.
        TypeError: A keyword does not exist.
        dagster.DagsterInvalidDefinitionError: A name or an option is not valid.

    Example:
        >>> import pandas as pd
        >>> from wan_assets import build_video_assets
        >>> prompts = pd.DataFrame({"positive_prompt": ["A red kite"], "resolution": ["480p"]})
        >>> definitions = build_video_assets(name="trailers", prompts=prompts, owners=["team:video"])
        >>> sorted(key.to_user_string() for asset in definitions.assets for key in asset.keys)
        ['trailers', 'trailers_prompts', 'trailers_requests']
    """
    names = AssetNames.of(name, key, key_prefix)
    partitioning = partitioning_of(names, prompts, partitions, partition_key_of, partitions_per_run)
    return assets_of(names, partitioning, partitioning.partitions_def, on_outcome=on_outcome, **options)


def assets_of(
    names: AssetNames,
    partitioning: Partitioning,
    partitions_def: dg.PartitionsDefinition[str],
    *,
    on_outcome: OnOutcome = ignore_outcome,
    **options: Unpack[VideoOptions],
) -> dg.Definitions:
    """Returns the three assets of a table.

    `partitions_def` contains all partitions of the partitioning, or some of them.
    """
    options = cast(VideoOptions, given_options(options))
    check_options("build_video_assets(table=…)", options.get("table", {}))
    of_table = table_options(partitioning, options, options.get("table", {}))
    table = table_asset(names, partitioning, of_table)
    partitioning = replace(partitioning, partitions_def=partitions_def)
    requests = requests_asset(names, partitioning, of_table)
    return dg.Definitions(assets=[table, requests, _videos_asset(names, partitioning, on_outcome, options)])


def _videos_asset(
    names: AssetNames, partitioning: Partitioning, on_outcome: OnOutcome, options: VideoOptions
) -> dg.AssetsDefinition:
    run_options, io_manager = _run_options(on_outcome, options), names.named("io_manager")
    per_run = dg.BackfillPolicy.multi_run(partitioning.partitions_per_run)
    arguments = asset_arguments(
        options,
        description="Videos generated from the prompts, each paid for once.",
        kinds={"runware", "mp4"},
        deps=[names.requests],
    )
    deps = arguments.pop("deps")
    out = dg.AssetOut(
        key=names.videos, code_version=CODE_VERSION, dagster_type=_NOTHING, io_manager_key=io_manager, **arguments
    )
    with warnings.catch_warnings(action="ignore", category=dg.BetaWarning):  # `resource_defs` is in beta
        decorate = dg.multi_asset(
            name=names.identifier,
            outs={"result": out},
            resource_defs={io_manager: videos_io_manager},
            required_resource_keys={"runware", "store", "ledger"},
            deps=deps,
            partitions_def=partitioning.partitions_def,
            backfill_policy=options.get("backfill_policy") or per_run,
            pool=POOL,
            retry_policy=options.get("retry_policy"),
            check_specs=_check_specs(names.videos, run_options),
        )
        return decorate(_compute_of(names, partitioning, run_options))


def _compute_of(
    names: AssetNames, partitioning: Partitioning, run_options: RunContextOptions
) -> Callable[..., Iterator[Event | dg.Output[None]]]:
    of_videos = [check.name for check in run_options["video_checks"]]

    def videos(context: dg.AssetExecutionContext, config: GenerationConfig) -> Iterator[Event | dg.Output[None]]:
        """Logs each partition when it is complete; raises a `Failure` that names the rows without a video."""
        runware: RunwareResource = context.resources.runware
        store: VideoStoreResource = context.resources.store
        ledger: LedgerResource = context.resources.ledger
        others = context.assets_def.asset_deps[names.videos] - {names.requests}
        run_context = replace(
            RunContext.of(context, names.videos, _partition_keys(context), **run_options),
            deps=others,
            costs=costs_of(names.videos, context),
        )
        try:
            yield from run_events(partitioning, run_context, config, runware=runware, store=store, ledger=ledger)
        except dg.Failure:
            yield from checks_after_failure(
                context, names.videos, partitioning.prompts, of_videos, store=store, ledger=ledger
            )
            raise
        yield from _outputs(context)

    return videos


def _run_options(on_outcome: OnOutcome, options: VideoOptions) -> RunContextOptions:
    return {
        "on_outcome": on_outcome,
        "on_progress": options.get("on_progress", ignore_progress),
        "severities": severities_of(options["severities"]) if "severities" in options else None,
        "on_mismatch": options.get("on_mismatch"),
        "video_checks": verified_checks(options.get("video_checks", ())),
        "is_reviewed": options.get("review", False),
        "max_takes": options.get("max_takes"),
        "retake_rejected": options.get("retake_rejected"),
        "on_budget_alert": options.get("on_budget_alert"),
    }


def _check_specs(videos: dg.AssetKey, run_options: RunContextOptions) -> list[dg.AssetCheckSpec]:
    quality = [] if run_options["severities"] is None else [partition_check_spec(videos)]
    review = [review_check_spec(videos)] if run_options["is_reviewed"] else []
    return [*quality, *review, *video_check_specs(videos, run_options["video_checks"])]


def _outputs(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
    """Yields the outputs that Dagster requires before it starts downstream steps."""
    for check in context.selected_asset_check_keys:
        yield dg.Output(None, context.assets_def.get_output_name_for_asset_check_key(check))
    yield dg.Output(None, metadata=RECORDED_ALREADY)


def _partition_keys(context: dg.AssetExecutionContext) -> list[str]:
    """Returns the partitions of a run; raises a `Failure` for a range that holds none."""
    if keys := list(context.partition_keys):
        return keys
    requested = context.partition_key_range
    raise video.failure_to_start(EmptyRangeError(requested.start, requested.end))
