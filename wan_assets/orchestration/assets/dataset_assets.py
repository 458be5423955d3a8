"""Assets derived from the videos: a manifest of all videos, and a report of the ledger's amounts."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import dagster as dg

from wan_assets.dataset import COLUMNS, SCHEMA, Column, Manifest, write_manifest
from wan_assets.errors import WanAssetsError
from wan_assets.models import usd
from wan_assets.orchestration.metadata.spend import spend_metadata
from wan_assets.orchestration.metadata.video import failure_to_start, refusal_of, table_of
from wan_assets.orchestration.partitions.data_versions import prompts_key
from wan_assets.orchestration.resources import LedgerResource, VideoStoreResource
from wan_assets.prompts import Prompts, PromptTable

_PROMPT_SHOWN = 80


@dataclass(frozen=True)
class _Shared:
    """Options that both assets share."""

    videos: dg.AssetKey
    group_name: str
    freshness_policy: dg.FreshnessPolicy | None
    automation_condition: dg.AutomationCondition[dg.AssetKey] | None


def build_dataset_assets(
    *,
    name: str = "videos",
    prompts: Prompts,
    dataset_name: str = "video_dataset",
    costs_name: str = "generation_costs",
    group_name: str = "videos",
    freshness_policy: dg.FreshnessPolicy | None = None,
    automation_condition: dg.AutomationCondition[dg.AssetKey] | None = None,
) -> list[dg.AssetsDefinition]:
    """Builds a manifest of an asset's videos and a report of its costs. Neither submits tasks nor costs money.

    Both are unpartitioned, and need the resources `store` and `ledger`.

    Args:
        name: Name of the videos' asset.
        prompts: The prompt table, as for `build_video_assets`.
        dataset_name: Name of the manifest's asset. It writes `datasets/<dataset_name>.parquet` in the store's root,
            with one row for each file. Its data version is the hash of that file.
        costs_name: Name of the report's asset. Its metadata are the ledger's sums, in US dollars, which Dagster charts.
        group_name: Dagster's asset group.
        freshness_policy: Freshness policy of both assets.
        automation_condition: Automation condition of both assets.

    Returns:
        The two assets.

    Raises:
        dagster.DagsterInvalidDefinitionError: A name is not a valid asset name.

    Example:
        >>> from wan_assets import build_dataset_assets
        >>> manifest, costs = build_dataset_assets(prompts="prompts.csv")
        >>> manifest.key.to_user_string(), costs.key.to_user_string()
        ('video_dataset', 'generation_costs')
    """
    shared = _Shared(dg.AssetKey(name), group_name, freshness_policy, automation_condition)
    return [_dataset_asset(prompts, dataset_name, shared), _costs_asset(costs_name, shared)]


def _dataset_asset(prompts: Prompts, dataset_name: str, shared: _Shared) -> dg.AssetsDefinition:
    @dg.asset(
        name=dataset_name,
        description="A Parquet manifest of all videos: one row for each file.",
        deps=[shared.videos, prompts_key(shared.videos)],
        kinds={"parquet"},
        group_name=shared.group_name,
        freshness_policy=shared.freshness_policy,
        automation_condition=shared.automation_condition,
    )
    def video_dataset(store: VideoStoreResource, ledger: LedgerResource) -> dg.MaterializeResult:
        try:
            table = PromptTable.load(prompts)
            if table.problems:
                raise refusal_of(table, "No manifest was written")
            with ledger.open() as open_ledger:
                manifest = write_manifest(dataset_name, table, store=store.open(), ledger=open_ledger)
        except WanAssetsError as error:
            raise failure_to_start(error) from None
        return dg.MaterializeResult(
            metadata=_manifest_metadata(manifest, shared.videos), data_version=dg.DataVersion(manifest.sha256)
        )

    return video_dataset


def _costs_asset(costs_name: str, shared: _Shared) -> dg.AssetsDefinition:
    @dg.asset(
        name=costs_name,
        description="Money spent and reserved in the ledger, with separate amounts for simulated money.",
        deps=[shared.videos],
        group_name=shared.group_name,
        freshness_policy=shared.freshness_policy,
        automation_condition=shared.automation_condition,
    )
    def generation_costs(ledger: LedgerResource) -> dg.MaterializeResult:
        try:
            with ledger.open() as open_ledger:
                return dg.MaterializeResult(metadata=spend_metadata(open_ledger, _today()))
        except WanAssetsError as error:
            raise failure_to_start(error) from None

    return generation_costs


def _today() -> date:
    return datetime.now(UTC).date()


def _manifest_metadata(manifest: Manifest, videos: dg.AssetKey) -> dict[str, Any]:
    return {
        "dagster/uri": manifest.uri,
        "dagster/row_count": manifest.rows,
        "dagster/column_schema": _column_schema(),
        "dagster/column_lineage": _column_lineage(videos, manifest.extra_columns),
        "wan_assets/bytes": manifest.bytes,
        "wan_assets/missing": manifest.missing,
        "wan_assets/cost_usd": float(usd(manifest.cost_microusd)),
        "wan_assets/unknown_cost_count": manifest.unknown_cost_count,
        "wan_assets/simulated": manifest.is_simulated,
        "wan_assets/first_rows": _first_rows(manifest),
    }


def _column_schema() -> dg.TableSchema:
    described = {column.name: column.description for column in COLUMNS}
    return dg.TableSchema(columns=[dg.TableColumn(each.name, str(each.type), described[each.name]) for each in SCHEMA])


def _column_lineage(videos: dg.AssetKey, carried: tuple[str, ...]) -> dg.TableColumnLineage:
    return dg.TableColumnLineage({column.name: _sources(column, videos, carried) for column in COLUMNS})


def _sources(column: Column, videos: dg.AssetKey, carried: tuple[str, ...]) -> list[dg.TableColumnDep]:
    """Returns the source columns of a column; `extra` contains all other columns of the table."""
    if column.requested_from is None:
        return [dg.TableColumnDep(videos, column.name)]
    requested = carried if column.name == "extra" else column.requested_from
    return [dg.TableColumnDep(prompts_key(videos), each) for each in requested]


def _first_rows(manifest: Manifest) -> dg.TableMetadataValue:
    shown = ("prompt_id", "result", "positive_prompt", "resolution", "duration_s", "cost_usd", "uri")
    return table_of([{key: _shown(row[key]) for key in shown} for row in manifest.first])


def _shown(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"{text[: _PROMPT_SHOWN - 1]}…" if len(text) > _PROMPT_SHOWN else text
