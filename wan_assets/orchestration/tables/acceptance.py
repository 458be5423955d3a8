"""Acceptance of a table: every row is checked, and a table without problems is stored as a snapshot."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg

from wan_assets.errors import PromptTableError
from wan_assets.orchestration.asset_names import AssetNames
from wan_assets.orchestration.metadata.table import table_metadata
from wan_assets.orchestration.partitions.data_versions import DATA_VERSION
from wan_assets.orchestration.run_context import RunContext
from wan_assets.orchestration.runs.partitioning import Partitioning
from wan_assets.orchestration.runs.table_snapshot import TableSnapshot
from wan_assets.orchestration.tables.accepted import TABLE_VERSION, AcceptedTable, accepted_table
from wan_assets.orchestration.tables.approved import approved_videos_in
from wan_assets.orchestration.tables.indexing import IndexedReader
from wan_assets.orchestration.tables.upstream import PromptsOrAsset, upstream_of
from wan_assets.prompts import Prompts, Snapshot
from wan_assets.store import VideoStore


@dataclass(frozen=True)
class CheckedTable:
    """A table that was checked; `uri` and `version` are those of its snapshot, and empty if it has problems.

    `prompts` is the source that Dagster shows.
    """

    snapshot: TableSnapshot
    prompts: PromptsOrAsset
    uri: str = ""
    version: str = ""

    @property
    def metadata(self) -> dict[str, Any]:
        """Dagster's metadata of the table."""
        stored = {"dagster/uri": self.uri, TABLE_VERSION: self.version} if self.uri else {}
        return {**table_metadata(self.snapshot.summary, self.prompts), **stored}


def checked_table(
    partitioning: Partitioning, source: Prompts, videos: dg.AssetKey, store: VideoStore, part: str = ""
) -> CheckedTable:
    """Reads a table, and stores its snapshot unless it has problems; of a table with an index only what changed."""
    reader = IndexedReader(partitioning, store, AssetNames(videos).prompts.path)
    with store.incoming(".parquet") as path:
        read = reader.read(source, path, part)
        if not read.snapshot.is_valid:
            return CheckedTable(read.snapshot, partitioning.described)
        _refuse_secrets(partitioning, read.first_secret)
        file = store.put_table(path, reader.asset)
    if read.index is not None and not read.first_secret:
        reader.save(read.index, file.stem)
    return CheckedTable(read.snapshot, partitioning.described, str(file), file.stem)


def _refuse_secrets(partitioning: Partitioning, first_secret: str) -> None:
    """Raises `PromptTableError` for a value of an upstream asset with secrets: runs read it from its snapshot only."""
    upstream = upstream_of(partitioning.prompts)
    is_read_once = upstream is not None and (upstream.source is None or approved_videos_in(partitioning.prompts))
    if first_secret and upstream and is_read_once:
        name = upstream.key.to_user_string()
        fix = "set a webhook on the resource runware, use addresses without secrets, or pass UpstreamPrompts(source=…)"
        if upstream.source is not None:
            fix = "use addresses without secrets in the drafts, or generate these finals outside of Dagster"
        raise PromptTableError(
            f"{first_secret} of the table from {name} has a secret in an address, and the table would be stored; {fix}"
        )


def accept_in_run(
    partitioning: Partitioning, source: Prompts, run_context: RunContext, store: VideoStore, part: str = ""
) -> CheckedTable:
    """Checks and stores a table, synchronizes partitions, and records changed requests.

    For a part of a table, the other parts are read from their snapshots.
    """
    checked = checked_table(partitioning, source, run_context.asset_key, store, part)
    if not checked.snapshot.is_valid:
        return checked
    if not part:
        partitioning.sync_and_record(run_context, checked.snapshot)
        return checked
    before = accepted_table(run_context.instance, run_context.asset_key, partitioning.prompts)
    files = before.snapshot(store).files if before else {}
    own = AssetNames(run_context.asset_key).prompts.path
    whole = partitioning.read(Snapshot({**files, part: store.table(own, checked.version)}))
    if not whole.is_valid:
        return CheckedTable(whole, partitioning.described)
    kept = _keys_of_others(partitioning, run_context.instance, before, store, part)
    partitioning.sync_and_record(run_context, whole, kept=kept)
    return checked


def accept_in_tick(
    partitioning: Partitioning, instance: dg.DagsterInstance, videos: dg.AssetKey, store: VideoStore
) -> CheckedTable:
    """Checks and stores a table outside of a run, and records it as materialized if it differs from the last one."""
    checked = checked_table(partitioning, partitioning.source, videos, store)
    last = accepted_table(instance, videos, partitioning.prompts)
    if checked.snapshot.is_valid and (last is None or last.version != checked.version):
        tags = {DATA_VERSION: checked.snapshot.version}
        instance.report_runless_asset_event(
            dg.AssetMaterialization(AssetNames(videos).prompts, metadata=checked.metadata, tags=tags)
        )
    return checked


def _keys_of_others(
    partitioning: Partitioning,
    instance: dg.DagsterInstance,
    before: AcceptedTable | None,
    store: VideoStore,
    part: str,
) -> Collection[str]:
    """Returns the partitions that this part of the table does not retire.

    It retires only keys of its own former rows, because runs of other parts may add keys at the same time.
    """
    if partitioning.dynamic_name is None:
        return ()
    own: Collection[str] = ()
    if before and part in before.versions:
        former = replace(before, versions={part: before.versions[part]}).snapshot(store)
        own = partitioning.read(former).request_versions
    return set(partitioning.existing(instance)) - set(own)
