"""An asset that keeps an export of all videos up to date."""

from typing import Any, Unpack

import dagster as dg

from wan_assets.errors import WanAssetsError
from wan_assets.export import Exported, ExportOptions, export_dataset
from wan_assets.models import usd
from wan_assets.orchestration.asset_names import AssetNames, Key, KeyPrefix
from wan_assets.orchestration.asset_options import AssetOptions, asset_arguments, defined_asset, known_keywords
from wan_assets.orchestration.metadata.video import failure_to_start, left_out_metadata, refusal_of
from wan_assets.orchestration.resources import LedgerResource, VideoStoreResource
from wan_assets.orchestration.tables.accepted import readable_prompts
from wan_assets.orchestration.tables.upstream import PromptsOrAsset
from wan_assets.prompts import PromptTable


@known_keywords(AssetOptions)
def build_export_asset(
    *,
    name: str | None = None,
    key: Key | None = None,
    key_prefix: KeyPrefix | None = None,
    prompts: PromptsOrAsset,
    target: str,
    options: ExportOptions,
    export_name: str | None = None,
    **asset_options: Unpack[AssetOptions],
) -> dg.AssetsDefinition:
    """Builds an unpartitioned asset that exports an asset's videos. It submits no tasks and costs no money.

    It needs the resources `store` and `ledger`. Each run writes only the changes. The data version changes only if the
    content of the export changes. The asset has a Dagster pool of its own, `wan_assets_<name>_export`: set its limit to
    1, because only one run at a time may write to a folder.

    Args:
        name: Name of the videos' asset, by default `videos`.
        key: Key of the videos' asset, instead of `name` and `key_prefix`.
        key_prefix: Prefix of the keys of the videos and of the export.
        prompts: The prompt table, as for `build_video_assets`.
        target: Folder or URL of the export.
        options: Format and other options of the export.
        export_name: Name of the export's asset, by default `<name>_export`.
        **asset_options: Dagster's `deps`, `owners`, `tags`, `metadata`, `description`, `kinds`, `group_name`,
            `automation_condition` and `freshness_policy`, as for `dagster.asset`.

    Returns:
        The asset.

    Raises:
        dagster.DagsterInvalidDefinitionError: A name is not a valid asset name.
        TypeError: A keyword does not exist.

    Example:
        >>> from wan_assets import ExportOptions, build_export_asset
        >>> export = build_export_asset(prompts="prompts.csv", target="out", options=ExportOptions(format="parquet"))
        >>> export.key.to_user_string()
        'videos_export'
    """
    names = AssetNames.of(name, key, key_prefix)
    export = AssetNames(names.beside_or(export_name, "export"))
    arguments = asset_arguments(
        asset_options,
        description=f"All {'approved ' if options.only else ''}videos as a dataset, {options.format}.",
        kinds={options.format},
        deps=[names.videos, names.prompts],
    )

    def video_export(
        context: dg.AssetExecutionContext, store: VideoStoreResource, ledger: LedgerResource
    ) -> dg.MaterializeResult:
        try:
            opened = store.open()
            table = PromptTable.load(readable_prompts(prompts, names.videos, context.instance, opened))
            if table.problems:
                raise refusal_of(table, "Nothing was exported")
            with ledger.open() as open_ledger:
                exported = export_dataset(table, target, options, store=opened, ledger=open_ledger)
        except WanAssetsError as error:
            raise failure_to_start(error) from None
        return dg.MaterializeResult(metadata=_metadata(exported), data_version=dg.DataVersion(exported.version))

    return defined_asset(video_export, key=export.videos, pool=f"wan_assets_{export.identifier}", **arguments)


def _metadata(exported: Exported) -> dict[str, Any]:
    changes = exported.changes
    return {
        "dagster/uri": exported.uri,
        "dagster/row_count": sum(exported.rows.values()),
        **{f"wan_assets/{split}_rows": count for split, count in exported.rows.items()},
        "wan_assets/missing": exported.missing,
        **left_out_metadata(exported.left_out),
        "wan_assets/cost_usd": float(usd(exported.cost_microusd)),
        "wan_assets/unknown_cost_count": exported.unknown_cost_count,
        "wan_assets/simulated": exported.is_simulated,
        "wan_assets/written": changes.written,
        "wan_assets/written_bytes": changes.written_bytes,
        "wan_assets/unchanged": changes.unchanged,
        "wan_assets/removed": changes.removed,
        "wan_assets/card": dg.MetadataValue.md(exported.card.split("---\n", 2)[2]),
    }
