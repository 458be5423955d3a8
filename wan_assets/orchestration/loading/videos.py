"""Loads the videos of an asset's partitions from the store, in a step, a check, a sensor or a notebook."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from wan_assets.dataset import PartitionVideos, Video, videos_of
from wan_assets.errors import VideosMissingError
from wan_assets.orchestration.asset_names import AssetNames, Key, key_of
from wan_assets.orchestration.loading.opened_resources import Opened, job_of, opened
from wan_assets.orchestration.loading.recorded_rows import recorded_rows
from wan_assets.orchestration.resources import LedgerResource, VideoStoreResource

_LOG = logging.getLogger(__name__)
_SHOWN = 10


def load_videos(
    context_or_instance: Any,  # each kind of context is a class of its own, without a common one
    asset_key: Key | dg.AssetsDefinition,
    partition_keys: Iterable[str] | None = None,
    *,
    store: VideoStoreResource | None = None,
    ledger: LedgerResource | None = None,
) -> dict[str, list[Video]]:
    """Loads the videos of partitions. It reads the ledger and the sidecars in the store, and costs no money.

    A partition by prompt has one video, or several if `number_results` is above 1. A batch has the videos of all its
    rows in table order. A batch without rows has none.

    Args:
        context_or_instance: Context of an asset, a check, an op or a sensor; or an instance of Dagster, in a notebook.
        asset_key: Key of the videos asset, such as `marketing/trailers`, or the asset.
        partition_keys: Partitions to load. By default, in a step of a partitioned asset that depends on the videos:
            the partitions that Dagster maps to the partitions of the step. Otherwise all partitions that exist; videos
            that cannot be found are then left out, with a warning.
        store: Store of the videos. The default is the resource `store` of the run, or that of `WAN_ASSETS_STORE`.
        ledger: Ledger of the videos. The default is the resource `ledger` of the run, or that of `WAN_ASSETS_LEDGER`.

    Returns:
        The videos of each partition.

    Raises:
        VideosMissingError: A partition that was given, or that is mapped to the step, has no videos, or one of its
            videos is not in the store any more.
        StoreError: The store cannot be read.
        LedgerError: The ledger cannot be read.

    Example:
        >>> import dagster as dg
        >>> from wan_assets import LedgerResource, VideoStoreResource, load_videos
        >>> resources = {"store": VideoStoreResource(root="/srv/videos"), "ledger": LedgerResource(url="sqlite://")}
        >>> load_videos(dg.DagsterInstance.ephemeral(), "videos", **resources)
        {}
    """
    key = asset_key.key if isinstance(asset_key, dg.AssetsDefinition) else key_of(asset_key)
    context: Any = None if isinstance(context_or_instance, dg.DagsterInstance) else context_or_instance
    instance: dg.DagsterInstance = context_or_instance if context is None else context.instance
    with opened(context, store, ledger) as ready:
        if partition_keys is not None:
            return found_videos(instance, key, list(partition_keys), ready)
        mapped = _mapped(context, key)
        if mapped is not None and is_partitioned(context.assets_def):
            return found_videos(instance, key, ordered(instance, key, mapped), ready)
        definition = asset_key.partitions_def if isinstance(asset_key, dg.AssetsDefinition) else None
        if definition is not None:
            mapped = list(definition.get_partition_keys(dynamic_partitions_store=instance))
        return _existing_videos(instance, key, mapped, ready, log=getattr(context, "log", _LOG))


def found_videos(
    instance: dg.DagsterInstance,
    asset_key: dg.AssetKey,
    keys: Collection[str],
    ready: Opened,
    *,
    log: logging.Logger | None = None,
) -> dict[str, list[Video]]:
    """Returns the videos of partitions, in the order of the keys.

    Raises `VideosMissingError` if any is missing. With a `log`, missing videos are logged there and left out.
    """
    rows = recorded_rows(instance, ready.ledger, asset_key, list(dict.fromkeys(keys)))
    found = videos_of(rows.records, store=ready.store, ledger=ready.ledger)
    reasons = {**rows.never_materialized, **rows.not_recorded, **_reasons(found, ready)}
    reasons = {key: reasons[key] for key in keys if key in reasons}
    if reasons and (log is None or rows.not_recorded):
        raise VideosMissingError(asset_key.to_user_string(), reasons)
    if reasons and log:
        _without(log, asset_key, reasons)
    empty = {key for key in found.missing if not found.videos[key]}
    return {key: found.videos[key] for key in keys if key in found.videos and key not in empty}


def _reasons(found: PartitionVideos, ready: Opened) -> dict[str, str]:
    """Returns why videos are missing although their partition is recorded."""
    return {
        key: f"the store {ready.store.root} has no video of {_named('row', prompt_ids)}"
        for key, prompt_ids in found.missing.items()
    }


def _named(kind: str, names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{kind}{'' if len(names) == 1 else 's'} {', '.join(names[:_SHOWN])}{more}"


def _without(log: logging.Logger, asset_key: dg.AssetKey, reasons: Mapping[str, str]) -> None:
    shown = "; ".join(f"{key}: {reason}" for key, reason in list(reasons.items())[:_SHOWN])
    count = "1 partition" if len(reasons) == 1 else f"{len(reasons)} partitions"
    log.warning("%s: missing videos of %s are left out: %s", asset_key.to_user_string(), count, shown)


def _existing_videos(
    instance: dg.DagsterInstance,
    asset_key: dg.AssetKey,
    defined: Collection[str] | None,
    ready: Opened,
    *,
    log: logging.Logger,
) -> dict[str, list[Video]]:
    """Returns the videos of all materialized partitions that are `defined`.

    If the definition is not known, partitions of prompts that left the table are recognized by their names.
    """
    materialized = instance.get_materialized_partitions(asset_key)
    existing = materialized if defined is None else materialized & set(defined)
    found = found_videos(instance, asset_key, ordered(instance, asset_key, existing), ready, log=log)
    known = instance.get_dynamic_partitions(AssetNames(asset_key).partitions) if defined is None else []
    left = {key for key, videos in found.items() if _is_prompt(key, videos)} - set(known) if known else ()
    return {key: videos for key, videos in found.items() if key not in left}


def ordered(instance: dg.DagsterInstance, asset_key: dg.AssetKey, keys: Collection[str]) -> list[str]:
    """Returns partitions in a stable order: prompts as they were added, others by name."""
    wanted = set(keys)
    added = instance.get_dynamic_partitions(AssetNames(asset_key).partitions)
    return [key for key in dict.fromkeys([*added, *sorted(wanted)]) if key in wanted]


def _is_prompt(key: str, videos: Sequence[Video]) -> bool:
    """Whether a partition is that of one prompt."""
    return {video.prompt_id for video in videos} == {key}


def is_partitioned(asset: dg.AssetsDefinition | None) -> bool:
    """Whether the asset of a step has partitions."""
    return asset is not None and asset.partitions_def is not None


def _mapped(context: Any, key: dg.AssetKey) -> list[str] | None:
    """Returns the partitions that Dagster maps to a step; None if it does not depend on any."""
    job = job_of(context)
    if job is None or not isinstance(context, dg.AssetExecutionContext):
        return None
    names = [name for name, upstream in context.assets_def.keys_by_input_name.items() if upstream == key]
    if not names:
        return None
    if job.asset_layer.get(key).partitions_def is None:
        _refuse_partitioned(context, key)
        return None
    return list(context.asset_partition_keys_for_input(names[0]))


def _refuse_partitioned(context: dg.AssetExecutionContext, key: dg.AssetKey) -> None:
    """Refuses to load all videos for one partition, where another code location defines the videos."""
    if is_partitioned(context.assets_def):
        name = key.to_user_string()
        raise dg.DagsterInvalidDefinitionError(
            f"the partitions of {name} are not known in this code location: declare dg.AssetSpec({name!r}, "
            "partitions_def=…) here, or give load_videos the partition_keys"
        )
