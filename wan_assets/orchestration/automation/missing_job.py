"""A job that makes whatever is missing: one run, however scattered the partitions are."""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from wan_assets.engine import OnMismatch
from wan_assets.errors import PromptTableError
from wan_assets.orchestration.metadata.video import failure_to_start
from wan_assets.orchestration.partitions.assignment import PartitionOf
from wan_assets.orchestration.resources import LedgerResource, RunwareResource, VideoStoreResource
from wan_assets.orchestration.run_context import Event, RunContext
from wan_assets.orchestration.runs.partitioning import Partitioning, Partitions, partitioning_of
from wan_assets.orchestration.runs.run import POOL, GenerationConfig, videos_of
from wan_assets.prompts import Prompts


class MissingConfig(GenerationConfig):
    """What a run of the job may be told."""

    maximum: int = Field(default=1000, ge=1, description="Partitions to make at most; the next run takes the others.")


def build_missing_job(
    *,
    name: str = "videos",
    prompts: Prompts,
    partitions: Partitions = "prompt",
    partition_key_of: PartitionOf | None = None,
    on_mismatch: OnMismatch | None = None,
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

    Returns:
        The job `<name>_missing`.

    Raises:
        ValueError: The partitions definition does not determine the partition of a row.

    Example:
        >>> from wan_assets import build_missing_job
        >>> build_missing_job(prompts="prompts.csv").name
        'videos_missing'
    """
    partitioning = partitioning_of(name, prompts, partitions, partition_key_of)
    asset_key = dg.AssetKey(name)

    @dg.op(name=f"make_missing_{name}", out={}, pool=POOL, description="Makes partitions that are missing or changed.")
    def make_missing(
        context: dg.OpExecutionContext,
        config: MissingConfig,
        runware: RunwareResource,
        store: VideoStoreResource,
        ledger: LedgerResource,
    ) -> Iterator[Event]:
        keys = _wanting(partitioning, RunContext.of(context, asset_key))
        context.log.info(
            "%d partitions are missing or changed; this run takes %d", len(keys), min(len(keys), config.maximum)
        )
        run_context = RunContext.of(context, asset_key, keys[: config.maximum], on_mismatch=on_mismatch)
        yield from videos_of(partitioning, run_context, config, runware=runware, store=store, ledger=ledger)

    @dg.job(name=f"{name}_missing", description="Makes whatever has no videos, or others than its rows ask for.")
    def missing() -> None:
        make_missing()

    return missing


def _wanting(partitioning: Partitioning, run_context: RunContext) -> list[str]:
    """The partitions to make; none of a table that has problems, which the run then refuses."""
    try:
        reading = partitioning.read()
    except PromptTableError as error:
        raise failure_to_start(error) from None
    if not reading.is_sound:
        return []
    standing = partitioning.keep_in_step(run_context, reading)
    return list(filter(standing.wants_run, partitioning.present(run_context.instance)))
