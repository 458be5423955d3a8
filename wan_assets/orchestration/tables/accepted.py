"""Accepted tables: the snapshots that the events of `<name>_prompts` record, and which of them a run reads."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar, cast

import dagster as dg
from more_itertools import chunked

from wan_assets.errors import NoSnapshotError, PromptTableError
from wan_assets.orchestration.asset_names import AssetNames
from wan_assets.orchestration.tables.upstream import PromptsOrAsset, upstream_of
from wan_assets.prompts import Prompts, Snapshot
from wan_assets.store import VideoStore

TABLE_VERSION = "wan_assets/table_version"
"""Metadata of materializations of `<name>_prompts`, and tag of the sensor's runs: the SHA-256 of the table's snapshot.
"""

_EVENTS_READ = 100
_EVENTS_PER_QUERY = 500
_SHOWN_CHARACTERS = 12
_SHA256 = re.compile(r"[0-9a-f]{64}")

T = TypeVar("T")


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
    key = AssetNames(videos).prompts
    upstream = upstream_of(prompts)
    if upstream and upstream.partitions:
        return _table_of_parts(instance, key)
    found = _last_accepted(instance, dg.AssetRecordsFilter(key))
    return AcceptedTable(key, {"": found[0]}, found[1]) if found else None


def readable_prompts(
    prompts: PromptsOrAsset, videos: dg.AssetKey, instance: dg.DagsterInstance, store: VideoStore
) -> Prompts:
    """Returns the source of a table; for a table from an upstream asset, the snapshot that was accepted last.

    Raises `NoSnapshotError` if no table was accepted.
    """
    upstream = upstream_of(prompts)
    if upstream is None:
        return cast("Prompts", prompts)
    snapshot = needed_table(instance, videos, prompts).snapshot(store)
    return upstream.source if upstream.source is not None and snapshot.has_secrets_left_out else snapshot


def needed_table(instance: dg.DagsterInstance, videos: dg.AssetKey, prompts: PromptsOrAsset) -> AcceptedTable:
    """Returns the table that was accepted last; raises `NoSnapshotError` if there is none."""
    accepted = accepted_table(instance, videos, prompts)
    if accepted is None:
        name = AssetNames(videos).prompts.to_user_string()
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

        A run of the sensor, and every run over a table from an upstream asset, reads a snapshot, unless secrets were
        left out of it and there is a source. Any other run reads the source, or the snapshot that was accepted last if
        the source is not available here.
        """
        upstream = upstream_of(self.prompts)
        source = upstream.source if upstream else cast("Prompts", self.prompts)
        if self.requested_version or upstream:
            accepted = self._accepted()
            snapshot = accepted.snapshot(self.store)
            if source is None or not snapshot.has_secrets_left_out:
                self.log.info("The prompt table is %s.", accepted)
                return load(snapshot)
            self.log.info("The prompt table is read from its source: secrets were left out of %s.", accepted)
        return self._from(cast("Prompts", source), load)

    def _from(self, source: Prompts, load: Callable[[Prompts], T]) -> T:
        try:
            return load(source)
        except (PromptTableError, OSError) as error:  # a function of the user may raise any OSError
            if isinstance(error, PromptTableError) and not error.is_unavailable:
                raise
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
        requested = self.requested_version or ""
        if accepted is None and _SHA256.fullmatch(requested) and upstream_of(self.prompts) is None:
            return AcceptedTable(AssetNames(self.videos).prompts, {"": requested})
        accepted = accepted or needed_table(self.instance, self.videos, self.prompts)
        if requested and accepted.version != requested:
            shown = requested[:_SHOWN_CHARACTERS]
            self.log.info("The run was requested for version %s, which was replaced since.", shown)
        return accepted


def _table_of_parts(instance: dg.DagsterInstance, key: dg.AssetKey) -> AcceptedTable | None:
    """Returns the latest valid table of each partition."""
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    latest = instance.event_log_storage.get_latest_storage_id_by_partition(key, kind)
    found: dict[str, tuple[str, float]] = {}
    for numbers in chunked(latest.values(), _EVENTS_PER_QUERY):
        events = instance.fetch_materializations(dg.AssetRecordsFilter(key, storage_ids=numbers), limit=len(numbers))
        found |= {record.partition_key or "": accepted for record in events.records if (accepted := _accepted(record))}
    for part in latest.keys() - found.keys():  # the last materialization had problems
        if earlier := _last_accepted(instance, dg.AssetRecordsFilter(key, asset_partitions=[part])):
            found[part] = earlier
    versions = {part: version for part, (version, _) in sorted(found.items())}
    return AcceptedTable(key, versions, max(time for _, time in found.values())) if found else None


def _last_accepted(instance: dg.DagsterInstance, among: dg.AssetRecordsFilter) -> tuple[str, float] | None:
    for limit in (1, _EVENTS_READ):  # an event has a schema and rows; usually the last table had no problems
        records = instance.fetch_materializations(among, limit=limit).records
        if found := next(filter(None, map(_accepted, records)), None):
            return found
    return None


def _accepted(record: dg.EventLogRecord) -> tuple[str, float] | None:
    """Returns the version and the time of a materialization whose table had no problems."""
    event = record.asset_materialization
    version = event.metadata.get(TABLE_VERSION) if event else None
    return (str(version.value), record.timestamp) if version else None
