"""An asset that keeps an export of all videos up to date."""

from contextlib import closing
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
    """An export of the asset `name`'s videos to the folder or URL `target`, unpartitioned; nothing is sent or paid.

    It needs the resources `store` and `ledger`. Each run writes only what changed. Its data version is the same while
    the export holds the same, and its runs share a Dagster pool of its own, since one at a time may write to a folder:
    give it the limit 1.
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
            with closing(ledger.open()) as open_ledger:
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
