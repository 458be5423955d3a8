"""Assets derived from the videos: a manifest of all videos, and a report of the ledger's amounts."""

from datetime import UTC, date, datetime
from typing import Any, Unpack, cast, get_args

import dagster as dg

from wan_assets.dataset import COLUMNS, SCHEMA, Column, Manifest, Only, write_manifest
from wan_assets.errors import WanAssetsError
from wan_assets.models import usd
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
from wan_assets.orchestration.checks import (
    budget_check_result,
    budget_check_spec,
    estimates_check,
    estimates_check_spec,
)
from wan_assets.orchestration.metadata.budgets import budget_metadata
from wan_assets.orchestration.metadata.spend import spend_metadata
from wan_assets.orchestration.metadata.video import (
    decision_metadata,
    failure_to_start,
    left_out_metadata,
    refusal_of,
    table_of,
)
from wan_assets.orchestration.resources import LedgerResource, VideoStoreResource
from wan_assets.orchestration.tables.accepted import readable_prompts
from wan_assets.orchestration.tables.upstream import PromptsOrAsset
from wan_assets.prompts import PromptTable

_PROMPT_SHOWN = 80


class DatasetOptions(AssetOptions, total=False):
    """Options of the manifest's asset, and under `costs` those of the report's."""

    costs: AssetOptions


@known_keywords(DatasetOptions)
def build_dataset_assets(
    *,
    name: str | None = None,
    key: Key | None = None,
    key_prefix: KeyPrefix | None = None,
    prompts: PromptsOrAsset,
    dataset_name: str | None = None,
    costs_name: str | None = None,
    only: Only | None = None,
    **options: Unpack[DatasetOptions],
) -> list[dg.AssetsDefinition]:
    """Builds a manifest of an asset's videos and a report of its costs. Neither submits tasks nor costs money.

    Both are unpartitioned, and need the resources `store` and `ledger`.

    Args:
        name: Name of the videos' asset, by default `videos`.
        key: Key of the videos' asset, instead of `name` and `key_prefix`.
        key_prefix: Prefix of the keys of the videos and of both assets.
        prompts: The prompt table, as for `build_video_assets`.
        dataset_name: Name of the manifest's asset, by default `<name>_dataset`. It writes
            `datasets/<dataset_name>.parquet` in the store's root, with one row for each file. Its data version is the
            hash of that file.
        costs_name: Name of the report's asset, by default `<name>_costs`. Its metadata are the ledger's sums, in US
            dollars, which Dagster charts. Its checks fail as a warning: `budgets` while a budget is exhausted, and
            `estimates` if a kind of request does not cost its list price.
        only: "approved" limits the manifest to videos that are approved. None includes all videos.
        **options: Dagster's `deps`, `owners`, `tags`, `metadata`, `description`, `kinds`, `group_name`,
            `automation_condition` and `freshness_policy` of the manifest, as for `dagster.asset`. `owners`, `tags`,
            `group_name`, `automation_condition` and `freshness_policy` apply to both assets. `costs` is a dictionary of
            the same options for the report.

    Returns:
        The two assets.

    Raises:
        dagster.DagsterInvalidDefinitionError: A name is not a valid asset name.
        TypeError: A keyword does not exist.
        ValueError: `only` has another value.

    Example:
        >>> from wan_assets import build_dataset_assets
        >>> manifest, costs = build_dataset_assets(prompts="prompts.csv")
        >>> manifest.key.to_user_string(), costs.key.to_user_string()
        ('videos_dataset', 'videos_costs')
    """
    if only not in (None, *get_args(Only)):
        raise ValueError(f"build_dataset_assets(only={only!r}) is not supported; choose 'approved', or leave it out")
    options = cast(DatasetOptions, given_options(options))
    check_options("build_dataset_assets(costs=…)", options.get("costs", {}))
    names = AssetNames.of(name, key, key_prefix)
    shared = shared_options(options, "automation_condition", "freshness_policy")
    return [
        _dataset_asset(names, names.beside_or(dataset_name, "dataset"), prompts, options, only=only),
        _costs_asset(names.videos, names.beside_or(costs_name, "costs"), {**shared, **options.get("costs", {})}),
    ]


def _dataset_asset(
    names: AssetNames, key: dg.AssetKey, prompts: PromptsOrAsset, options: AssetOptions, *, only: Only | None
) -> dg.AssetsDefinition:
    arguments = asset_arguments(
        options,
        description=f"A Parquet manifest of all {'approved ' if only else ''}videos: one row for each file.",
        kinds={"parquet"},
        deps=[names.videos, names.prompts],
    )

    def video_dataset(
        context: dg.AssetExecutionContext, store: VideoStoreResource, ledger: LedgerResource
    ) -> dg.MaterializeResult:
        try:
            opened = store.open()
            table = PromptTable.load(readable_prompts(prompts, names.videos, context.instance, opened))
            if table.problems:
                raise refusal_of(table, "No manifest was written")
            with ledger.open() as open_ledger:
                manifest = write_manifest("/".join(key.path), table, store=opened, ledger=open_ledger, only=only)
        except WanAssetsError as error:
            raise failure_to_start(error) from None
        return dg.MaterializeResult(
            metadata=_manifest_metadata(manifest, names), data_version=dg.DataVersion(manifest.sha256)
        )

    return defined_asset(video_dataset, key=key, **arguments)


def _costs_asset(videos: dg.AssetKey, key: dg.AssetKey, options: AssetOptions) -> dg.AssetsDefinition:
    arguments = asset_arguments(
        options,
        description="Money spent and reserved in the ledger, with separate amounts for simulated money.",
        kinds={"sql"},
        deps=[videos],
    )

    def generation_costs(context: dg.AssetExecutionContext, ledger: LedgerResource) -> dg.MaterializeResult:
        try:
            with ledger.open() as open_ledger:
                kinds = open_ledger.kind_costs()
                budgets = budget_metadata(open_ledger, context.instance, ["/".join(videos.path)])
                metadata = {**spend_metadata(open_ledger, _today(), kinds), **budgets}
                checks = [budget_check_result(key, open_ledger), estimates_check(key, kinds)]
                return dg.MaterializeResult(metadata=metadata, check_results=checks)
        except WanAssetsError as error:
            raise failure_to_start(error) from None

    specs = [budget_check_spec(key, videos), estimates_check_spec(key)]
    return defined_asset(generation_costs, key=key, check_specs=specs, **arguments)


def _today() -> date:
    return datetime.now(UTC).date()


def _manifest_metadata(manifest: Manifest, names: AssetNames) -> dict[str, Any]:
    return {
        "dagster/uri": manifest.uri,
        "dagster/row_count": manifest.rows,
        "dagster/column_schema": _column_schema(),
        "dagster/column_lineage": _column_lineage(names, manifest.extra_columns),
        "wan_assets/bytes": manifest.bytes,
        "wan_assets/missing": manifest.missing,
        **left_out_metadata(manifest.left_out),
        **decision_metadata(manifest.decisions),
        "wan_assets/cost_usd": float(usd(manifest.cost_microusd)),
        "wan_assets/unknown_cost_count": manifest.unknown_cost_count,
        "wan_assets/simulated": manifest.is_simulated,
        "wan_assets/first_rows": _first_rows(manifest),
    }


def _column_schema() -> dg.TableSchema:
    described = {column.name: column.description for column in COLUMNS}
    return dg.TableSchema(columns=[dg.TableColumn(each.name, str(each.type), described[each.name]) for each in SCHEMA])


def _column_lineage(names: AssetNames, carried: tuple[str, ...]) -> dg.TableColumnLineage:
    return dg.TableColumnLineage({column.name: _sources(column, names, carried) for column in COLUMNS})


def _sources(column: Column, names: AssetNames, carried: tuple[str, ...]) -> list[dg.TableColumnDep]:
    """Returns the source columns of a column; `extra` contains all other columns of the table."""
    if column.requested_from is None:
        return [dg.TableColumnDep(names.videos, column.name)]
    requested = carried if column.name == "extra" else column.requested_from
    return [dg.TableColumnDep(names.prompts, each) for each in requested]


def _first_rows(manifest: Manifest) -> dg.TableMetadataValue:
    shown = ("prompt_id", "result", "positive_prompt", "resolution", "duration_s", "cost_usd", "uri")
    return table_of([{key: _shown(row[key]) for key in shown} for row in manifest.first])


def _shown(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"{text[: _PROMPT_SHOWN - 1]}…" if len(text) > _PROMPT_SHOWN else text
