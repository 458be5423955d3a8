"""Asset factories: the prompt table, and its videos, by prompt or by batch."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Literal

import dagster as dg
from pydantic import Field

from wan_assets import report
from wan_assets.batches import PartitionOf, partition_of
from wan_assets.errors import PromptTableError
from wan_assets.generation import Outcome
from wan_assets.grains import Grain, OnOutcome, by_batch, by_prompt, told_as_failure
from wan_assets.ledger import Origin
from wan_assets.outcomes import outcomes_of
from wan_assets.prompts import Prompts
from wan_assets.resources import LedgerResource, RunwareResource, VideoStoreResource
from wan_assets.telling import Telling

POOL = "runware"
CODE_VERSION = "runware:201@1"
"""Changes when the same request would be sent differently; what a row asks for is in its data version."""


class GenerationConfig(dg.Config):
    """What a single run may be told."""

    regenerate: str = Field(
        default="",
        description="The name of a purchase, such as 'new-look': every row is bought anew, once under each name.",
    )


def _ignore(_: Outcome) -> None:
    """Nobody watches."""


def build_video_assets(
    *,
    name: str = "videos",
    prompts: Prompts,
    partitions: Literal["prompt"] | dg.PartitionsDefinition[str] = "prompt",
    partition_key_of: PartitionOf | None = None,
    group_name: str = "videos",
    partitions_per_run: int | None = None,
    retry_policy: dg.RetryPolicy | None = None,
    on_outcome: OnOutcome = _ignore,
) -> dg.Definitions:
    """The assets of one prompt table, to be merged with resources `runware`, `store` and `ledger`.

    `<name>_prompts` is the table: it checks every row and keeps dynamic partitions in step with them. `<name>` are the
    videos. With `partitions="prompt"` each has a partition of its own, keyed by `prompt_id`; with any partitions
    definition a partition holds the rows whose key it is: time windows go by the column `date`, static partitions by
    `shard` or else by a hash of the `prompt_id`, dynamic ones by `campaign`, others by `partition_key_of(row)`.

    A run may cover any range; a backfill takes `partitions_per_run` in each run, by default 100 prompts or one batch.
    `prompts` is read when an asset runs: a path, a DataFrame, a `SqlQuery`, a `PromptTable`, or a function that gives
    one.
    `retry_policy` repeats a run's step for the rows that have no video, unless a person has to do something first.
    `on_outcome` is called as each row finishes.
    """
    if partitions == "prompt":
        grain = by_prompt(name, prompts)
    elif isinstance(partitions, dg.PartitionsDefinition):
        grain = by_batch(partitions, prompts, partition_key_of or partition_of(partitions))
    else:
        raise ValueError(f"partitions={partitions!r} is neither 'prompt' nor a partitions definition")
    grain = replace(grain, partitions_per_run=partitions_per_run or grain.partitions_per_run)
    table = _table_asset(name, grain, group_name)
    return dg.Definitions(assets=[table, _videos_asset(name, grain, group_name, retry_policy, on_outcome)])


def _table_asset(name: str, grain: Grain, group_name: str) -> dg.AssetsDefinition:
    key = dg.AssetKey(f"{name}_prompts")

    @dg.asset(
        key=key,
        group_name=group_name,
        kinds={"table"},
        description="The prompt table: one row per video that is asked for.",
        check_specs=[dg.AssetCheckSpec("rows_are_valid", asset=key, blocking=True)],
    )
    def prompt_table(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        try:
            metadata = report.table_metadata(grain.check(context))
        except PromptTableError as error:
            raise told_as_failure(error) from None
        is_sound = metadata["wan_assets/problems"] == 0
        check = dg.AssetCheckResult(check_name="rows_are_valid", passed=is_sound, metadata=metadata)
        return dg.MaterializeResult(metadata=metadata, check_results=[check])

    return prompt_table


def _videos_asset(
    name: str, grain: Grain, group_name: str, retry_policy: dg.RetryPolicy | None, on_outcome: OnOutcome
) -> dg.AssetsDefinition:
    @dg.asset(
        name=name,
        group_name=group_name,
        kinds={"runware", "mp4"},
        description="Videos made by Wan2.5-Preview, each paid for once.",
        deps=[dg.AssetKey(f"{name}_prompts")],
        partitions_def=grain.partitions_def,
        backfill_policy=dg.BackfillPolicy.multi_run(grain.partitions_per_run),
        code_version=CODE_VERSION,
        pool=POOL,
        retry_policy=retry_policy,
        output_required=False,
    )
    def videos(
        context: dg.AssetExecutionContext,
        config: GenerationConfig,
        runware: RunwareResource,
        store: VideoStoreResource,
        ledger: LedgerResource,
    ) -> Iterator[dg.AssetMaterialization]:
        """Logs each partition as it is complete, and ends in a `Failure` that names the rows without a video."""
        try:
            run, media = grain.begin(context, on_outcome)
        except PromptTableError as error:
            raise told_as_failure(error) from None
        origin = Origin(context.run.run_id, context.asset_key.to_user_string(), purchase=config.regenerate)
        with (
            closing(ledger.open()) as book,
            outcomes_of(
                run.orders(),
                runware=runware,
                store=store.open(),
                ledger=book,
                limits=replace(runware.limits(), resends_refused=grain.resends_refused),
                origin=origin,
                media=media,
            ) as outcomes,
        ):
            yield from run.events(outcomes, Telling(book, context.instance, context.asset_key))

    return videos
