"""A job that generates all missing partitions in one run, even if they are not adjacent."""

from collections.abc import Iterator, Sequence

import dagster as dg
from pydantic import Field

from wan_assets.engine import OnMismatch
from wan_assets.errors import PromptTableError
from wan_assets.orchestration.checks import VideoCheck, verified_checks
from wan_assets.orchestration.metadata.video import failure_to_start
from wan_assets.orchestration.partitions.assignment import PartitionOf
from wan_assets.orchestration.resources import LedgerResource, RunwareResource, VideoStoreResource
from wan_assets.orchestration.run_context import Event, RunContext
from wan_assets.orchestration.runs.partitioning import Partitioning, Partitions, partitioning_of
from wan_assets.orchestration.runs.run import POOL, GenerationConfig, run_events
from wan_assets.prompts import Prompts


class MissingConfig(GenerationConfig):
    """The config of a run of the job."""

    max_partitions: int = Field(
        default=1000, ge=1, description="Largest number of partitions to generate; the next run generates the rest."
    )


def build_missing_job(
    *,
    name: str = "videos",
    prompts: Prompts,
    partitions: Partitions = "prompt",
    partition_key_of: PartitionOf | None = None,
    on_mismatch: OnMismatch | None = None,
    video_checks: Sequence[VideoCheck] = (),
) -> dg.JobDefinition:
    """Builds a job that makes all partitions that have no videos or changed requests, including failed ones.

    The job reads the table and updates the partitions first. Launch it by hand or by a schedule.

    Args:
        name: Name of the videos' asset.
        prompts: The prompt table, as for `build_video_assets`.
        partitions: The partitions, as for `build_video_assets`.
        partition_key_of: Function that returns the partition key of a row, as for `build_video_assets`.
        on_mismatch: Handling of a playable video that deviates from its request, "keep" or "fail". None uses the
            resource's value.
        video_checks: Checks of each stored video, as for `build_video_assets`.

    Returns:
        The job `<name>_missing`.

    Raises:
        ValueError: The partitions definition does not determine the partition of a row, or two checks have one name.

    Example:
        >>> from wan_assets import build_missing_job
        >>> build_missing_job(prompts="prompts.csv").name
        'videos_missing'
    """
    partitioning = partitioning_of(name, prompts, partitions, partition_key_of)
    asset_key, checks = dg.AssetKey(name), verified_checks(video_checks)

    @dg.op(name=f"make_missing_{name}", out={}, pool=POOL, description="Generates missing and changed partitions.")
    def make_missing(
        context: dg.OpExecutionContext,
        config: MissingConfig,
        runware: RunwareResource,
        store: VideoStoreResource,
        ledger: LedgerResource,
    ) -> Iterator[Event]:
        keys = _keys_to_generate(partitioning, RunContext.of(context, asset_key))
        context.log.info(
            "missing or changed partitions: %d; in this run: %d", len(keys), min(len(keys), config.max_partitions)
        )
        wanted = keys[: config.max_partitions]
        run_context = RunContext.of(context, asset_key, wanted, on_mismatch=on_mismatch, video_checks=checks)
        yield from run_events(partitioning, run_context, config, runware=runware, store=store, ledger=ledger)

    @dg.job(name=f"{name}_missing", description="Generates partitions that have no videos or changed rows.")
    def missing() -> None:
        make_missing()

    return missing


def _keys_to_generate(partitioning: Partitioning, run_context: RunContext) -> list[str]:
    """Returns the partitions to generate; none if the table has problems, and the run then fails."""
    try:
        snapshot = partitioning.read()
    except PromptTableError as error:
        raise failure_to_start(error) from None
    if not snapshot.is_valid:
        return []
    status = partitioning.sync_and_record(run_context, snapshot)
    return list(filter(status.needs_run, partitioning.existing(run_context.instance)))
