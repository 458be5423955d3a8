"""The assets `<name>_prompts`, which checks the table, stores it and updates partitions, and `<name>_requests`."""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from wan_assets.errors import PromptTableError, WanAssetsError
from wan_assets.orchestration.asset_names import AssetNames
from wan_assets.orchestration.asset_options import AssetOptions, asset_arguments, defined_asset, shared_options
from wan_assets.orchestration.metadata import video
from wan_assets.orchestration.metadata.table import check_metadata, kinds_of, retirements_in
from wan_assets.orchestration.resources import LedgerResource, VideoStoreResource
from wan_assets.orchestration.run_context import RunContext
from wan_assets.orchestration.runs.partitioning import Partitioning
from wan_assets.orchestration.tables.acceptance import accept_in_run
from wan_assets.orchestration.tables.approved import approved_videos_in, state_of_approvals, with_approved_rows
from wan_assets.orchestration.tables.upstream import UpstreamPrompts, upstream_of, with_options_of
from wan_assets.prompts import Prompts, PromptTable

_VALID_CHECK = "rows_are_valid"
_FRAME = "prompts"

_MISSING_PARTITIONS = {"allow_missing_partitions": True}
"""Lets Dagster's IO managers load all partitions of an asset, some of which are not materialized yet."""


def table_options(partitioning: Partitioning, of_videos: AssetOptions, of_table: AssetOptions) -> AssetOptions:
    """Returns the options of the table: its own, and those of the videos that it shares.

    A table from an upstream asset shares the condition as well, because it follows that asset.
    """
    also = ("automation_condition",) if upstream_of(partitioning.prompts) else ()
    return {**shared_options(of_videos, *also), **of_table}


def table_asset(names: AssetNames, partitioning: Partitioning, options: AssetOptions) -> dg.AssetsDefinition:
    """Returns the asset of the table."""
    upstream, approved = upstream_of(partitioning.prompts), approved_videos_in(partitioning.prompts)
    of_drafts = f"The approved videos of {approved.asset_name}: one row per final video." if approved else ""
    arguments = asset_arguments(
        options,
        description=of_drafts or "The prompt table: one row per requested video.",
        kinds=kinds_of(partitioning.described),
        deps=[upstream.key] if upstream and upstream.source is not None else [],
    )
    return defined_asset(
        _compute_of(names.videos, partitioning),
        key=names.prompts,
        check_specs=[dg.AssetCheckSpec(_VALID_CHECK, asset=names.prompts, blocking=True)],
        required_resource_keys={"store", "ledger"} if approved else {"store"},
        **_value_arguments(upstream),
        **arguments,
    )


def requests_asset(names: AssetNames, partitioning: Partitioning, options: AssetOptions) -> dg.AssetsDefinition:
    """Returns an external asset: the checks of the table record its events."""
    spec = dg.AssetSpec(
        names.requests,
        partitions_def=partitioning.partitions_def,
        **asset_arguments(
            shared_options(options),
            deps=[_table_dep(names, partitioning)],
            description="The requests of each partition's rows, recorded when the table is checked. A changed request "
            "makes its partition of the videos stale.",
            kinds=kinds_of(partitioning.prompts),
        ),
    )
    return dg.AssetsDefinition(specs=[spec])


def _table_dep(names: AssetNames, partitioning: Partitioning) -> dg.AssetDep:
    """Returns the dependency on the table; each partition may have rows of all parts of a table."""
    upstream = upstream_of(partitioning.prompts)
    parts = upstream.partitions if upstream else None
    is_mapped = parts is not None and parts != partitioning.partitions_def
    return dg.AssetDep(names.prompts, partition_mapping=dg.AllPartitionMapping() if is_mapped else None)


def _value_arguments(upstream: UpstreamPrompts | None) -> dict[str, Any]:
    """Returns the arguments of an asset that takes the value of an upstream asset."""
    if upstream is None or upstream.source is not None:
        return {}
    partitions = upstream.partitions
    one_at_a_time = {"backfill_policy": dg.BackfillPolicy.multi_run(1)} if partitions else {}
    value = dg.AssetIn(key=upstream.key, metadata=_MISSING_PARTITIONS)
    return {"ins": {_FRAME: value}, "partitions_def": partitions, **one_at_a_time}


def _compute_of(videos: dg.AssetKey, partitioning: Partitioning) -> Callable[..., dg.MaterializeResult]:
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
    resource: VideoStoreResource = context.resources.store
    try:
        store, metadata = resource.open(), dict[str, Any]()
        if approved := approved_videos_in(partitioning.prompts):
            ledger: LedgerResource = context.resources.ledger
            with ledger.open() as opened:
                metadata |= state_of_approvals(context.instance, approved, opened)
                source = with_approved_rows(source, approved, context.instance, opened, store)
        checked = accept_in_run(partitioning, source, RunContext.of(context, videos), store, part)
    except WanAssetsError as error:
        raise video.failure_to_start(error) from None
    snapshot = checked.snapshot
    check = dg.AssetCheckResult(
        check_name=_VALID_CHECK, passed=snapshot.is_valid, metadata=check_metadata(snapshot.summary)
    )
    for message in retirements_in(snapshot.summary):
        context.log.warning(message)
    version = dg.DataVersion(snapshot.version)
    metadata |= checked.metadata
    return dg.MaterializeResult(metadata=metadata, check_results=[check], data_version=version)


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
    if isinstance(value, (PromptTable, list, tuple)):
        return value
    tables = list(value.values()) if isinstance(value, Mapping) else [value]
    if tables and all(isinstance(table, (list, tuple)) or hasattr(table, "__arrow_c_stream__") for table in tables):
        prompts: Prompts = value
        return prompts
    found = type(tables[0]).__name__ if tables else "an empty mapping"
    reason = f"the value of the asset {upstream.key.to_user_string()} is no table, but {found}"
    fix = (
        "return a DataFrame or a list of rows, or pass UpstreamPrompts(…, source=SqlQuery(…)) for a table in a database"
    )
    raise video.failure_to_start(PromptTableError(f"{reason}: {fix}"))
