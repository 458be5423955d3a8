"""Asset factories for the prompt table, the requests of its rows, and their videos, by prompt or by batch."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Unpack, cast

import dagster as dg

from wan_assets.engine import OnMismatch, ProgressCallback, ignore_progress
from wan_assets.errors import EmptyRangeError, PromptTableError
from wan_assets.orchestration.asset_names import AssetNames, Key, KeyPrefix
from wan_assets.orchestration.asset_options import (
    AssetOptions,
    asset_arguments,
    check_options,
    defined_asset,
    given_options,
    known_keywords,
    shared_options,
)
from wan_assets.orchestration.checks import Severities, checks_after_failure, partition_check_spec, severities_of
from wan_assets.orchestration.metadata import video
from wan_assets.orchestration.metadata.table import check_metadata, kinds_of, table_metadata
from wan_assets.orchestration.partitions.assignment import PartitionOf
from wan_assets.orchestration.partitions.data_versions import CODE_VERSION
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


class VideoOptions(AssetOptions, total=False):
    """Optional arguments of `build_video_assets`: options of the videos' asset, and of its runs."""

    table: AssetOptions
    retry_policy: dg.RetryPolicy
    severities: Severities
    on_mismatch: OnMismatch
    on_progress: ProgressCallback


@known_keywords(VideoOptions)
def build_video_assets(
    *,
    name: str | None = None,
    key: Key | None = None,
    key_prefix: KeyPrefix | None = None,
    prompts: Prompts,
    partitions: Partitions = "prompt",
    partition_key_of: PartitionOf | None = None,
    partitions_per_run: int | None = None,
    on_outcome: OnOutcome = ignore_outcome,
    **options: Unpack[VideoOptions],
) -> dg.Definitions:
    """Builds the assets of one prompt table, to be merged with the resources `runware`, `store` and `ledger`.

    `<name>_prompts` is the table: it checks every row and updates dynamic partitions. `<name>_requests` stands for the
    requests of each partition: a changed request makes only its partition of the videos stale. `<name>` are the videos.
    A run may cover any range of partitions.

    Args:
        name: Name of the videos' asset, by default `videos`.
        key: Key of the videos' asset, such as `marketing/trailers`, instead of `name` and `key_prefix`.
        key_prefix: Prefix of the keys of all three assets.
        prompts: A path, a DataFrame, a `SqlQuery`, a `PromptTable`, or a function that returns one. It is read when an
            asset runs.
        partitions: "prompt" for one partition per `prompt_id`, or a partitions definition. Then a partition holds the
            rows of its key: time windows use the column `date`, static partitions `shard` or a hash of the `prompt_id`,
            dynamic partitions `campaign`.
        partition_key_of: Function that returns the partition key of a row, for other partitions definitions.
        partitions_per_run: Maximum number of partitions in each run of a backfill, by default 100 prompts or 1 batch.
        on_outcome: Function that is called as each row finishes, with its outcome.
        **options: Dagster's `deps`, `owners`, `tags`, `metadata`, `description`, `kinds`, `group_name`,
            `automation_condition` and `freshness_policy` of the videos, as for `dagster.asset`. `owners`, `tags` and
            `group_name` apply to all three assets. `table` is a dictionary of the same options for `<name>_prompts`,
            such as `{"deps": ["warehouse/scripts"]}`. `retry_policy` repeats a step for the rows that have no video,
            unless a person must act first. `severities` enables the check `quality` of each partition, with severities
            by check name; `{}` uses the defaults. `on_mismatch` overrides the resource for a playable video that
            deviates from its request: "keep" stores it, and the check `matches_request` fails; "fail" fails the row.
            `on_progress` is called about once a second with the run's `Progress`.

    Returns:
        Definitions of the three assets.

    Raises:
        ValueError: The partitions definition does not determine the partition of a row.
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
    of_table: AssetOptions = {**shared_options(options), **options.get("table", {})}
    table = _table_asset(names, partitioning, of_table)
    partitioning = replace(partitioning, partitions_def=partitions_def)
    requests = _requests_asset(names, partitioning, of_table)
    return dg.Definitions(assets=[table, requests, _videos_asset(names, partitioning, on_outcome, options)])


def _table_asset(names: AssetNames, partitioning: Partitioning, options: AssetOptions) -> dg.AssetsDefinition:
    description = "The prompt table: one row per requested video."
    source = partitioning.prompts if partitioning.source is None else partitioning.source

    def prompt_table(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        try:
            snapshot = partitioning.check(RunContext.of(context, names.videos))
        except PromptTableError as error:
            raise video.failure_to_start(error) from None
        metadata = table_metadata(snapshot.summary, source)
        check = dg.AssetCheckResult(
            check_name="rows_are_valid", passed=snapshot.is_valid, metadata=check_metadata(snapshot.summary)
        )
        version = dg.DataVersion(snapshot.version)
        return dg.MaterializeResult(metadata=metadata, check_results=[check], data_version=version)

    return defined_asset(
        prompt_table,
        key=names.prompts,
        check_specs=[dg.AssetCheckSpec("rows_are_valid", asset=names.prompts, blocking=True)],
        **asset_arguments(options, description=description, kinds=kinds_of(source)),
    )


def _requests_asset(names: AssetNames, partitioning: Partitioning, options: AssetOptions) -> dg.AssetsDefinition:
    """Returns an external asset: the checks of the table record its events."""
    spec = dg.AssetSpec(
        names.requests,
        partitions_def=partitioning.partitions_def,
        **asset_arguments(
            shared_options(options),
            deps=[names.prompts],
            description="The requests of each partition's rows, recorded when the table is checked. A changed request "
            "makes its partition of the videos stale.",
            kinds=kinds_of(partitioning.prompts),
        ),
    )
    return dg.AssetsDefinition(specs=[spec])


def _videos_asset(
    names: AssetNames, partitioning: Partitioning, on_outcome: OnOutcome, options: VideoOptions
) -> dg.AssetsDefinition:
    run_options = _run_options(on_outcome, options)
    arguments = asset_arguments(
        options,
        description="Videos generated by Wan2.5-Preview, each paid for once.",
        kinds={"runware", "mp4"},
        deps=[names.requests],
    )
    deps = arguments.pop("deps")

    @dg.multi_asset(
        name=names.identifier,
        outs={"result": dg.AssetOut(key=names.videos, code_version=CODE_VERSION, dagster_type=_NOTHING, **arguments)},
        deps=deps,
        partitions_def=partitioning.partitions_def,
        backfill_policy=dg.BackfillPolicy.multi_run(partitioning.partitions_per_run),
        pool=POOL,
        retry_policy=options.get("retry_policy"),
        check_specs=None if run_options["severities"] is None else [partition_check_spec(names.videos)],
    )
    def videos(
        context: dg.AssetExecutionContext,
        config: GenerationConfig,
        runware: RunwareResource,
        store: VideoStoreResource,
        ledger: LedgerResource,
    ) -> Iterator[Event | dg.Output[None]]:
        """Logs each partition when it is complete; raises a `Failure` that names the rows without a video."""
        others = context.assets_def.asset_deps[names.videos] - {names.requests}
        run_context = replace(
            RunContext.of(context, names.videos, _partition_keys(context), **run_options), deps=others
        )
        try:
            yield from run_events(partitioning, run_context, config, runware=runware, store=store, ledger=ledger)
        except dg.Failure:
            yield from checks_after_failure(context, names.videos, partitioning.prompts, store=store, ledger=ledger)
            raise
        yield from _outputs(context)

    return videos


def _run_options(on_outcome: OnOutcome, options: VideoOptions) -> RunContextOptions:
    return {
        "on_outcome": on_outcome,
        "on_progress": options.get("on_progress", ignore_progress),
        "severities": severities_of(options["severities"]) if "severities" in options else None,
        "on_mismatch": options.get("on_mismatch"),
    }


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
