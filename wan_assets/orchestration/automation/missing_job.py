"""A job that generates all missing partitions in one run, even if they are not adjacent."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Unpack

import dagster as dg
from pydantic import Field

from wan_assets.engine import OnMismatch
from wan_assets.errors import WanAssetsError
from wan_assets.orchestration.asset_names import AssetNames, Key, KeyPrefix
from wan_assets.orchestration.asset_options import Deps, ReviewOptions, dependency_keys, known_keywords
from wan_assets.orchestration.checks import VideoCheck, verified_checks
from wan_assets.orchestration.metadata.video import failure_to_start
from wan_assets.orchestration.partitions.assignment import PartitionOf
from wan_assets.orchestration.resources import LedgerResource, RunwareResource, VideoStoreResource
from wan_assets.orchestration.run_context import Event, OnBudgetAlert, RunContext, RunContextOptions
from wan_assets.orchestration.runs.budget_alerts import costs_of
from wan_assets.orchestration.runs.partitioning import Partitioning, Partitions, partitioning_of
from wan_assets.orchestration.runs.run import POOL, GenerationConfig, run_events
from wan_assets.orchestration.tables.upstream import PromptsOrAsset


class MissingConfig(GenerationConfig):
    """The config of a run of the job."""

    max_partitions: int = Field(
        default=1000, ge=1, description="Largest number of partitions to generate; the next run generates the rest."
    )


class MissingJobOptions(ReviewOptions, total=False):
    """Options of the videos' asset that its job needs as well."""

    on_mismatch: OnMismatch | None
    deps: Deps
    video_checks: Sequence[VideoCheck]
    on_budget_alert: OnBudgetAlert | None


@known_keywords(MissingJobOptions)
def build_missing_job(
    *,
    name: str | None = None,
    key: Key | None = None,
    key_prefix: KeyPrefix | None = None,
    prompts: PromptsOrAsset,
    partitions: Partitions = "prompt",
    partition_key_of: PartitionOf | None = None,
    **options: Unpack[MissingJobOptions],
) -> dg.JobDefinition:
    """Builds a job that makes all partitions that have no videos or changed requests, including failed ones.

    The job reads the table and updates the partitions first. Launch it by hand or by a schedule.

    Args:
        name: Name of the videos' asset, by default `videos`.
        key: Key of the videos' asset, instead of `name` and `key_prefix`.
        key_prefix: Prefix of its key.
        prompts: The prompt table, as for `build_video_assets`.
        partitions: The partitions, as for `build_video_assets`.
        partition_key_of: Function that returns the partition key of a row, as for `build_video_assets`.
        **options: `on_mismatch` is the handling of a playable video that deviates from its request, "keep" or "fail".
            None uses the resource's value. `deps` are the further upstream assets of the videos, if
            `build_video_assets` has `deps`: the job records their data versions, so that its videos are not stale.
            `video_checks`, `review`, `max_takes`, `retake_rejected` and `on_budget_alert` are those of
            `build_video_assets`.

    Returns:
        The job `<name>_missing`.

    Raises:
        ValueError: The partitions definition does not determine the partition of a row, or two checks have one name.
        TypeError: A keyword does not exist.

    Example:
        >>> from wan_assets import build_missing_job
        >>> build_missing_job(prompts="prompts.csv").name
        'videos_missing'
    """
    names = AssetNames.of(name, key, key_prefix)
    partitioning = partitioning_of(names, prompts, partitions, partition_key_of)
    run_options: RunContextOptions = {
        "on_mismatch": options.get("on_mismatch"),
        "deps": dependency_keys(options.get("deps") or ()),
        "video_checks": verified_checks(options.get("video_checks") or ()),
        "is_reviewed": options.get("review", False),
        "max_takes": options.get("max_takes"),
        "retake_rejected": options.get("retake_rejected"),
        "on_budget_alert": options.get("on_budget_alert"),
    }
    make_missing = _make_missing_op(names, partitioning, run_options)

    @dg.job(name=names.named("missing"), description="Generates partitions that have no videos or changed rows.")
    def missing() -> None:
        make_missing()

    return missing


def _make_missing_op(names: AssetNames, partitioning: Partitioning, options: RunContextOptions) -> dg.OpDefinition:
    @dg.op(
        name=f"make_missing_{names.identifier}",
        out={},
        pool=POOL,
        description="Generates missing and changed partitions.",
    )
    def make_missing(
        context: dg.OpExecutionContext,
        config: MissingConfig,
        runware: RunwareResource,
        store: VideoStoreResource,
        ledger: LedgerResource,
    ) -> Iterator[Event]:
        keys = _keys_to_generate(partitioning, RunContext.of(context, names.videos), store)
        context.log.info(
            "missing or changed partitions: %d; in this run: %d", len(keys), min(len(keys), config.max_partitions)
        )
        chosen = keys[: config.max_partitions]
        run_context = replace(
            RunContext.of(context, names.videos, chosen, **options), costs=costs_of(names.videos, context)
        )
        yield from run_events(partitioning, run_context, config, runware=runware, store=store, ledger=ledger)

    return make_missing


def _keys_to_generate(partitioning: Partitioning, run_context: RunContext, store: VideoStoreResource) -> list[str]:
    """Returns the partitions to generate; none if the table has problems, and the run then fails."""
    try:
        snapshot = partitioning.read_latest(run_context.instance, run_context.asset_key, store.open())
    except WanAssetsError as error:
        raise failure_to_start(error) from None
    if not snapshot.is_valid:
        return []
    status = partitioning.sync_and_record(run_context, snapshot)
    return list(filter(status.needs_run, partitioning.existing(run_context.instance)))
