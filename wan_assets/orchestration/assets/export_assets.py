"""An asset that keeps an export of all videos up to date."""

from typing import Any

import dagster as dg

from wan_assets.errors import WanAssetsError
from wan_assets.export import Exported, ExportOptions, export_dataset
from wan_assets.models import usd
from wan_assets.orchestration.metadata.video import failure_to_start, refusal_of
from wan_assets.orchestration.partitions.data_versions import prompts_key
from wan_assets.orchestration.resources import LedgerResource, VideoStoreResource
from wan_assets.prompts import Prompts, PromptTable


def build_export_asset(
    *,
    name: str = "videos",
    prompts: Prompts,
    target: str,
    options: ExportOptions,
    export_name: str = "video_export",
    group_name: str = "videos",
    freshness_policy: dg.FreshnessPolicy | None = None,
    automation_condition: dg.AutomationCondition[dg.AssetKey] | None = None,
) -> dg.AssetsDefinition:
    """Builds an unpartitioned asset that exports an asset's videos. It submits no tasks and costs no money.

    It needs the resources `store` and `ledger`. Each run writes only the changes. The data version changes only if the
    content of the export changes. The asset has a Dagster pool of its own, `wan_assets_<export_name>`: set its limit to
    1, because only one run at a time may write to a folder.

    Args:
        name: Name of the videos' asset.
        prompts: The prompt table, as for `build_video_assets`.
        target: Folder or URL of the export.
        options: Format and other options of the export.
        export_name: Name of the export's asset.
        group_name: Dagster's asset group.
        freshness_policy: Freshness policy of the asset.
        automation_condition: Automation condition of the asset.

    Returns:
        The asset.

    Raises:
        dagster.DagsterInvalidDefinitionError: A name is not a valid asset name.

    Example:
        >>> from wan_assets import ExportOptions, build_export_asset
        >>> export = build_export_asset(prompts="prompts.csv", target="out", options=ExportOptions(format="parquet"))
        >>> export.key.to_user_string()
        'video_export'
    """

    @dg.asset(
        name=export_name,
        description=f"All videos as a dataset, {options.format}.",
        deps=[dg.AssetKey(name), prompts_key(dg.AssetKey(name))],
        kinds={options.format},
        group_name=group_name,
        pool=f"wan_assets_{export_name}",
        freshness_policy=freshness_policy,
        automation_condition=automation_condition,
    )
    def video_export(store: VideoStoreResource, ledger: LedgerResource) -> dg.MaterializeResult:
        try:
            table = PromptTable.load(prompts)
            if table.problems:
                raise refusal_of(table, "Nothing was exported")
            with ledger.open() as open_ledger:
                exported = export_dataset(table, target, options, store=store.open(), ledger=open_ledger)
        except WanAssetsError as error:
            raise failure_to_start(error) from None
        return dg.MaterializeResult(metadata=_metadata(exported), data_version=dg.DataVersion(exported.version))

    return video_export


def _metadata(exported: Exported) -> dict[str, Any]:
    changes = exported.changes
    return {
        "dagster/uri": exported.uri,
        "dagster/row_count": sum(exported.rows.values()),
        **{f"wan_assets/{split}_rows": count for split, count in exported.rows.items()},
        "wan_assets/missing": exported.missing,
        "wan_assets/cost_usd": float(usd(exported.cost_microusd)),
        "wan_assets/unknown_cost_count": exported.unknown_cost_count,
        "wan_assets/simulated": exported.is_simulated,
        "wan_assets/written": changes.written,
        "wan_assets/written_bytes": changes.written_bytes,
        "wan_assets/unchanged": changes.unchanged,
        "wan_assets/removed": changes.removed,
        "wan_assets/card": dg.MetadataValue.md(exported.card.split("---\n", 2)[2]),
    }
