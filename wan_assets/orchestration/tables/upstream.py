"""Prompts from an upstream asset: its value, or a table that it builds and that is read from another source."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

import dagster as dg

from wan_assets.prompts import ApprovedVideos, Prompts, PromptSource, PromptTable, Snapshot

Upstream: TypeAlias = dg.AssetKey | dg.AssetSpec | dg.AssetsDefinition | str | Sequence[str]


@dataclass(frozen=True, eq=False)
class UpstreamPrompts:
    """Names the upstream asset that contains the prompts, and how they are read.

    Without `source`, `<name>_prompts` takes the value of the asset from its IO manager: a DataFrame, or another table
    with Arrow's C stream. With `source`, it depends on the asset and reads the source, for example a table in a
    database that dbt builds.

    Args:
        asset: Key or definition of the asset. A text is a key such as "warehouse/prompts".
        source: A `SqlQuery`, a path, or a function that returns a `PromptTable`, if the asset has no value in Python.
        partitions_def: Partitions of the asset. The default is that of the definition; give it together with a key.
            `<name>_prompts` then has the same partitions, and its table consists of the latest rows of each. Not used
            with `source`, which is read as a whole.
        base_dir: Folder of the local files that rows name.

    Raises:
        ValueError: The definition contains several assets.

    Example:
        >>> from wan_assets import UpstreamPrompts
        >>> UpstreamPrompts("warehouse/prompts").key
        AssetKey(['warehouse', 'prompts'])
    """

    asset: Upstream
    source: Prompts | None = None
    partitions_def: dg.PartitionsDefinition[str] | None = None
    base_dir: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.asset, dg.AssetsDefinition) and len(list(self.asset.keys)) != 1:
            names = ", ".join(sorted(key.to_user_string() for key in self.asset.keys))
            raise ValueError(f"the definition contains several assets ({names}): pass the key of one of them")

    @property
    def key(self) -> dg.AssetKey:
        """The key of the asset."""
        if isinstance(self.asset, str):
            return dg.AssetKey.from_user_string(self.asset)
        if isinstance(self.asset, (dg.AssetKey, dg.AssetSpec, dg.AssetsDefinition)):
            return self.asset if isinstance(self.asset, dg.AssetKey) else self.asset.key
        return dg.AssetKey(list(self.asset))

    @property
    def partitions(self) -> dg.PartitionsDefinition[str] | None:
        """The partitions of the table, or None if it is read as a whole."""
        if self.source is not None:
            return None
        defined = isinstance(self.asset, (dg.AssetSpec, dg.AssetsDefinition))
        known = cast("dg.AssetSpec", self.asset).partitions_def if defined else None
        return self.partitions_def or known


PromptsOrAsset: TypeAlias = "Prompts | dg.AssetKey | dg.AssetSpec | dg.AssetsDefinition | UpstreamPrompts"
"""A source of prompts, or the upstream asset that contains them."""


def upstream_of(prompts: PromptsOrAsset) -> UpstreamPrompts | None:
    """Returns the upstream asset of a table, or None if its prompts have another source."""
    if isinstance(prompts, PromptSource):
        return _upstream_with_options(prompts)
    if isinstance(prompts, UpstreamPrompts):
        return _with_folder(prompts)
    if isinstance(prompts, ApprovedVideos):
        return UpstreamPrompts(dg.AssetKey.from_user_string(prompts.asset_name), prompts)
    is_asset = isinstance(prompts, (dg.AssetKey, dg.AssetSpec, dg.AssetsDefinition))
    return UpstreamPrompts(cast("Upstream", prompts)) if is_asset else None


def _with_folder(upstream: UpstreamPrompts) -> UpstreamPrompts:
    """Returns the upstream asset with the folder of local files in its source, which several readers read.

    A function returns a table whose files were found already.
    """
    source = upstream.source
    if upstream.base_dir is None or source is None or callable(source) or isinstance(source, (PromptTable, Snapshot)):
        return upstream
    given = source if isinstance(source, PromptSource) else PromptSource(source)
    return replace(upstream, source=replace(given, base_dir=given.base_dir or upstream.base_dir))


def _upstream_with_options(prompts: PromptSource) -> UpstreamPrompts | None:
    """Returns the upstream asset in a source with options; a table that the asset builds is read with them."""
    upstream = upstream_of(prompts.source)
    if upstream is None or upstream.source is None:
        return upstream
    source, folder = upstream.source, prompts.base_dir or upstream.base_dir
    plain = source.source if isinstance(source, PromptSource) and not source.has_options else source
    return replace(upstream, source=replace(prompts, source=plain, base_dir=folder))


def with_options_of(prompts: PromptsOrAsset, value: Prompts) -> Prompts:
    """Returns the value of an upstream asset, to be read with the columns and defaults that are given for it."""
    is_read = isinstance(value, (PromptSource, Snapshot))
    return replace(prompts, source=value) if isinstance(prompts, PromptSource) and not is_read else value


def newer_upstream(
    instance: dg.DagsterInstance, upstream: UpstreamPrompts, table: dg.AssetKey
) -> dict[str | None, int]:
    """Returns the partitions of an upstream asset that were materialized after those of the table, with the numbers of
    these events; None stands for the whole asset.
    """
    if upstream.partitions is None:
        made, read = last_event(instance, upstream.key), last_event(instance, table)
        return {None: made} if made > read else {}
    kind, events = dg.DagsterEventType.ASSET_MATERIALIZATION, instance.event_log_storage
    of_parts = events.get_latest_storage_id_by_partition(upstream.key, kind)
    of_table = events.get_latest_storage_id_by_partition(table, kind)
    return {part: number for part, number in sorted(of_parts.items()) if number > of_table.get(part, 0)}


def last_event(instance: dg.DagsterInstance, key: dg.AssetKey) -> int:
    """Returns the number of the latest materialization of an asset; 0 if there is none."""
    records = instance.fetch_materializations(key, limit=1).records
    return records[0].storage_id if records else 0
