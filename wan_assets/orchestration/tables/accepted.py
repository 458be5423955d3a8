"""Accepted tables: the snapshots that the events of `<name>_prompts` record, and which of them a run reads."""

from __future__ import annotations

import hashlib
import logging
from base64 import b32decode, b32encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar, cast

import dagster as dg

from wan_assets.errors import NoSnapshotError, SourceUnavailableError
from wan_assets.orchestration.partitions.data_versions import prompts_key
from wan_assets.orchestration.tables.upstream import PromptsOrAsset, upstream_of
from wan_assets.prompts import Prompts, Snapshot
from wan_assets.store import VideoStore

TABLE_VERSION = "wan_assets/table_version"
"""Metadata of materializations of `<name>_prompts`, and tag of the sensor's runs: the SHA-256 of the table's snapshot.
"""

_SNAPSHOT_TAG = "wan_assets/snapshot"
"""Tag of materializations of `<name>_prompts`: the same SHA-256 in base 32, because Dagster limits the tags of events
to 63 characters. The tags of all partitions are read with one query.
"""

_EVENTS_READ = 100
_SHOWN_CHARACTERS = 12

T = TypeVar("T")


def snapshot_tags(version: str) -> dict[str, str]:
    """Returns the tags of the materialization of a table with this version."""
    return {_SNAPSHOT_TAG: b32encode(bytes.fromhex(version)).decode().rstrip("=").lower()}


def _version_in(tags: Mapping[str, str]) -> str | None:
    """Returns the version in the tags of a materialization, if there is one."""
    encoded = tags.get(_SNAPSHOT_TAG, "").upper()
    return b32decode(encoded + "=" * (-len(encoded) % 8)).hex() if encoded else None


@dataclass(frozen=True)
class AcceptedTable:
    """The table that the asset `key` accepted last: the version of each part, and the time of the last event.

    A table of an unpartitioned asset has one part, with an empty name.
    """

    key: dg.AssetKey
    versions: Mapping[str, str]
    accepted_at: float | None = None

    @property
    def version(self) -> str:
        """The version of the whole table."""
        if self.versions.keys() == {""}:
            return self.versions[""]
        return hashlib.sha256(repr(sorted(self.versions.items())).encode()).hexdigest()

    def snapshot(self, store: VideoStore) -> Snapshot:
        """Returns the snapshot of the table."""
        return Snapshot({part: store.table(self.key.path, version) for part, version in self.versions.items()})

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.accepted_at, UTC).isoformat(" ", "seconds") if self.accepted_at else ""
        when = f", accepted at {since}" if since else ""
        return f"version {self.version[:_SHOWN_CHARACTERS]} of {self.key.to_user_string()}{when}"


def accepted_table(instance: dg.DagsterInstance, videos: dg.AssetKey, prompts: PromptsOrAsset) -> AcceptedTable | None:
    """Returns the table of a videos asset that was accepted last, or None."""
    key = prompts_key(videos)
    upstream = upstream_of(prompts)
    if upstream and upstream.partitions:
        return _table_of_parts(instance, key)
    for record in instance.fetch_materializations(key, limit=_EVENTS_READ).records:
        event = record.asset_materialization
        if event and (version := _version_in(event.tags or {})):
            return AcceptedTable(key, {"": version}, record.timestamp)
    return None


def readable_prompts(
    prompts: PromptsOrAsset, videos: dg.AssetKey, instance: dg.DagsterInstance, store: VideoStore
) -> Prompts:
    """Returns the source of a table; for a table from an upstream asset, the snapshot that was accepted last.

    Raises `NoSnapshotError` if no table was accepted.
    """
    if upstream_of(prompts) is None:
        return cast("Prompts", prompts)
    return needed_table(instance, videos, prompts).snapshot(store)


def needed_table(instance: dg.DagsterInstance, videos: dg.AssetKey, prompts: PromptsOrAsset) -> AcceptedTable:
    """Returns the table that was accepted last; raises `NoSnapshotError` if there is none."""
    accepted = accepted_table(instance, videos, prompts)
    if accepted is None:
        name = prompts_key(videos).to_user_string()
        raise NoSnapshotError(f"{name} has not stored a table yet: materialize {name} first")
    return accepted


@dataclass(frozen=True)
class TableOfRun:
    """The table that one run reads: its source, or an accepted snapshot.

    `requested_version` is the version for which the sensor requested the run.
    """

    prompts: PromptsOrAsset
    videos: dg.AssetKey
    instance: dg.DagsterInstance
    store: VideoStore
    log: logging.Logger
    requested_version: str | None = None

    def read(self, load: Callable[[Prompts], T]) -> T:
        """Loads the table by the rules of the package's documentation.

        A run of the sensor, and every run over a table from an upstream asset, reads a snapshot. Any other run reads
        the source, or the snapshot that was accepted last if the source is not available here.
        """
        if self.requested_version or upstream_of(self.prompts):
            accepted = self._accepted()
            self.log.info("The prompt table is %s.", accepted)
            return load(accepted.snapshot(self.store))
        try:
            return load(cast("Prompts", self.prompts))
        except SourceUnavailableError as error:
            stored = accepted_table(self.instance, self.videos, self.prompts)
            if stored is None:
                raise
            self.log.warning("%s. The run reads the last accepted table instead: %s.", error, stored)
            return load(stored.snapshot(self.store))

    def _accepted(self) -> AcceptedTable:
        """Returns the table that was accepted last.

        It is the requested one, or a later one: rows of a table that was replaced since are not paid for.
        """
        accepted = accepted_table(self.instance, self.videos, self.prompts)
        if accepted is None and self.requested_version and upstream_of(self.prompts) is None:
            return AcceptedTable(prompts_key(self.videos), {"": self.requested_version})
        accepted = accepted or needed_table(self.instance, self.videos, self.prompts)
        if self.requested_version and accepted.version != self.requested_version:
            requested = self.requested_version[:_SHOWN_CHARACTERS]
            self.log.info("The run was requested for version %s, which was replaced since.", requested)
        return accepted


def _table_of_parts(instance: dg.DagsterInstance, key: dg.AssetKey) -> AcceptedTable | None:
    events, kind = instance.event_log_storage, dg.DagsterEventType.ASSET_MATERIALIZATION
    tags = events.get_latest_tags_by_partition(key, kind, [_SNAPSHOT_TAG])
    versions = {part: version for part, found in sorted(tags.items()) if (version := _version_in(found))}
    if not versions:
        return None
    latest = instance.get_latest_materialization_event(key)
    return AcceptedTable(key, versions, latest.timestamp if latest else None)
