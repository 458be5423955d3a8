"""The asset `<name>_prompts`: it checks the prompt table, stores a snapshot, and updates partitions."""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from wan_assets.errors import PromptTableError, WanAssetsError
from wan_assets.orchestration.metadata import video
from wan_assets.orchestration.resources import VideoStoreResource
from wan_assets.orchestration.run_context import RunContext
from wan_assets.orchestration.runs.partitioning import Partitioning
from wan_assets.orchestration.tables.acceptance import accept_in_run
from wan_assets.orchestration.tables.upstream import UpstreamPrompts, upstream_of, with_options_of
from wan_assets.prompts import Prompts, PromptTable

VALID_CHECK = "rows_are_valid"

_FRAME = "prompts"

_MISSING_PARTITIONS = {"allow_missing_partitions": True}
"""Lets Dagster's IO managers load all partitions of an asset, some of which are not materialized yet."""


def upstream_options(partitioning: Partitioning) -> dict[str, Any]:
    """Returns the options of the asset that depend on the upstream asset of its table."""
    upstream = upstream_of(partitioning.prompts)
    if upstream is None:
        return {}
    if upstream.source is not None:
        return {"deps": [upstream.key]}
    partitions = upstream.partitions
    one_at_a_time = {"backfill_policy": dg.BackfillPolicy.multi_run(1)} if partitions else {}
    value = dg.AssetIn(key=upstream.key, metadata=_MISSING_PARTITIONS)
    return {"ins": {_FRAME: value}, "partitions_def": partitions, **one_at_a_time}


def compute_of(videos: dg.AssetKey, partitioning: Partitioning) -> Callable[..., dg.MaterializeResult]:
    """Returns the function of the asset, which takes the value of the upstream asset if there is one."""
    upstream = upstream_of(partitioning.prompts)
    if upstream is None or upstream.source is not None:
        source = upstream.source if upstream and upstream.source is not None else partitioning.source

        def prompt_table(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            return _materialized(context, videos, partitioning, source)

        return prompt_table

    def prompt_table_of_asset(context: dg.AssetExecutionContext, prompts: Any) -> dg.MaterializeResult:
        table = with_options_of(partitioning.prompts, _table_in(upstream, prompts))
        return _materialized(context, videos, partitioning, table, _part_of(context))

    return prompt_table_of_asset


def _materialized(
    context: dg.AssetExecutionContext, videos: dg.AssetKey, partitioning: Partitioning, source: Prompts, part: str = ""
) -> dg.MaterializeResult:
    store: VideoStoreResource = context.resources.store
    try:
        checked = accept_in_run(partitioning, source, RunContext.of(context, videos), store.open(), part)
    except WanAssetsError as error:
        raise video.failure_to_start(error) from None
    snapshot = checked.snapshot
    check = dg.AssetCheckResult(check_name=VALID_CHECK, passed=snapshot.is_valid, metadata=checked.metadata)
    version = dg.DataVersion(snapshot.version)
    return dg.MaterializeResult(metadata=checked.metadata, check_results=[check], data_version=version)


def _part_of(context: dg.AssetExecutionContext) -> str:
    """Returns the partition of a run, or empty text; raises a `Failure` for several."""
    if not context.has_partition_key and not context.has_partition_key_range:
        return ""
    keys = list(context.partition_keys)
    if len(keys) == 1:
        return str(keys[0])
    name, fix = context.asset_key.to_user_string(), "launch a backfill with one run for each partition"
    raise video.failure_to_start(PromptTableError(f"a run of {name} reads one partition, not {len(keys)}: {fix}"))


def _table_in(upstream: UpstreamPrompts, value: Any) -> Prompts:
    """Returns the value of an upstream asset; raises a `Failure` if it is not a table."""
    if isinstance(value, PromptTable):
        return value
    tables = list(value.values()) if isinstance(value, Mapping) else [value]
    if tables and all(hasattr(table, "__arrow_c_stream__") for table in tables):
        prompts: Prompts = value
        return prompts
    found = type(tables[0]).__name__ if tables else "an empty mapping"
    reason = f"the value of the asset {upstream.key.to_user_string()} is no table, but {found}"
    fix = "return a DataFrame from it, or pass UpstreamPrompts(…, source=SqlQuery(…)) for a table in a database"
    raise video.failure_to_start(PromptTableError(f"{reason}: {fix}"))
