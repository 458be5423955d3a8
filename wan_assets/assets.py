"""Asset factories: the prompt table, and its videos, one partition per prompt."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Literal, TypeAlias

import dagster as dg
from pydantic import Field

from wan_assets import report
from wan_assets.automation import sync_partitions
from wan_assets.errors import PromptTableError
from wan_assets.generation import Outcome
from wan_assets.ledger import Origin
from wan_assets.prompts import PromptTable
from wan_assets.resources import LedgerResource, RunwareResource, VideoStoreResource
from wan_assets.row_run import RowRun
from wan_assets.telling import Telling

if TYPE_CHECKING:
    import pandas as pd

Prompts: TypeAlias = "str | os.PathLike[str] | pd.DataFrame | PromptTable | Callable[[], PromptTable]"

POOL = "runware"
CODE_VERSION = "runware:201@1"
"""Changes when the same request would be sent differently; what a row asks for is in its data version."""


class GenerationConfig(dg.Config):
    """What a single run may be told."""

    regenerate: str = Field(
        default="",
        description="The name of a purchase, such as 'new-look': every row is bought anew, once under each name.",
    )


def build_video_assets(
    *,
    name: str = "videos",
    prompts: Prompts,
    partitions: Literal["prompt"] = "prompt",
    group_name: str = "videos",
    partitions_per_run: int = 100,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
) -> dg.Definitions:
    """The assets of one prompt table, to be merged with resources `runware`, `store` and `ledger`.

    `<name>_prompts` is the table: it checks every row and keeps the dynamic partitions `<name>` in step with them.
    `<name>` is one video per partition, keyed by `prompt_id`; a run may cover any range, and a backfill takes
    `partitions_per_run` in each run. `prompts` is read when an asset runs: a path, a DataFrame, a `PromptTable`, or
    a function that gives one. `on_outcome` is called as each row finishes.
    """
    if partitions != "prompt":
        raise ValueError(f"partitions={partitions!r} is not supported: write 'prompt'")
    load = _loader(prompts)
    partitions_def = dg.DynamicPartitionsDefinition(name=name)
    table = _table_asset(name, load, group_name)
    videos = _videos_asset(name, load, group_name, partitions_def, partitions_per_run, on_outcome)
    return dg.Definitions(assets=[table, videos])


def _loader(prompts: Prompts) -> Callable[[], PromptTable]:
    return prompts if callable(prompts) else lambda: PromptTable.load(prompts)


def _table_asset(name: str, load: Callable[[], PromptTable], group_name: str) -> dg.AssetsDefinition:
    key = dg.AssetKey(f"{name}_prompts")

    @dg.asset(
        key=key,
        group_name=group_name,
        kinds={"table"},
        description="The prompt table: one row per video that is asked for.",
        check_specs=[dg.AssetCheckSpec("rows_are_valid", asset=key, blocking=True)],
    )
    def prompt_table(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        table = _loaded(load)
        if not table.problems:
            changes = sync_partitions(context.instance, name, [row.prompt_id for row in table.rows])
            context.log.info("%d partitions added, %d retired", len(changes.added), len(changes.retired))
        return dg.MaterializeResult(
            metadata=report.table_metadata(table),
            check_results=[
                dg.AssetCheckResult(
                    check_name="rows_are_valid", passed=not table.problems, metadata=report.table_metadata(table)
                )
            ],
        )

    return prompt_table


def _videos_asset(
    name: str,
    load: Callable[[], PromptTable],
    group_name: str,
    partitions_def: dg.PartitionsDefinition[str],
    partitions_per_run: int,
    on_outcome: Callable[[Outcome], None],
) -> dg.AssetsDefinition:
    @dg.asset(
        name=name,
        group_name=group_name,
        kinds={"runware", "mp4"},
        description="One video per prompt, made by Wan2.5-Preview, paid for once.",
        deps=[dg.AssetKey(f"{name}_prompts")],
        partitions_def=partitions_def,
        backfill_policy=dg.BackfillPolicy.multi_run(partitions_per_run),
        code_version=CODE_VERSION,
        pool=POOL,
        output_required=False,
    )
    def videos(
        context: dg.AssetExecutionContext,
        config: GenerationConfig,
        runware: RunwareResource,
        store: VideoStoreResource,
        ledger: LedgerResource,
    ) -> Iterator[dg.AssetMaterialization]:
        """Logs each partition as its video lands, and ends in a `Failure` that names the rows without one."""
        table = _loaded(load)
        if table.problems:
            raise report.refusal_of(table)
        run = RowRun(
            table=table,
            keys=tuple(context.partition_keys),
            asset_key=context.asset_key,
            origin=Origin(context.run.run_id, context.asset_key.to_user_string(), purchase=config.regenerate),
            log=context.log,
            on_outcome=on_outcome,
        )
        with closing(ledger.open()) as book, run.outcomes(runware, store.open(), book) as outcomes:
            yield from run.events(outcomes, Telling(book, context.instance, context.asset_key))

    return videos


def _loaded(load: Callable[[], PromptTable]) -> PromptTable:
    try:
        return load()
    except PromptTableError as error:
        raise dg.Failure(f"{error}. {error.advice}", allow_retries=False) from None
