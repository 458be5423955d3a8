"""Lineage by data versions: the requests of each partition, and the requests from which its videos were generated.

The requests are the data version of the external asset `<name>_requests`. Dagster derives staleness from its
observations: a change is recorded as an observation of the partition, so that exactly its videos are stale. A partition
without videos needs no observation. Dagster's graph and automation conditions use its materializations: one is recorded
when a partition gets a request or another one, so that the graph shows which partitions have requests.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import dagster as dg
from more_itertools import chunked

from wan_assets.orchestration.asset_names import AssetNames

LogEvent: TypeAlias = Callable[[dg.AssetObservation], None]

CODE_VERSION = "runware:201@1"
"""Changes if the same request would be submitted differently; the request itself is in its data version."""

_VERSION_CHARACTERS = 16
_KEYS_PER_QUERY = 5_000
_BEFORE_ALL = 1
"""Represents the time before the first observation of a partition: no event has a smaller number."""

DATA_VERSION = "dagster/data_version"
"""Dagster's tag of an event."""

_NO_VERSION = "INITIAL"
"""Dagster's version of an asset without events."""


def video_version(requested: str, made: str) -> str:
    """Returns the data version of videos: the digest of the requests, and a digest of the videos."""
    return f"{requested[:_VERSION_CHARACTERS]}-{made[:_VERSION_CHARACTERS]}"


@dataclass(frozen=True)
class RecordedVersions:
    """The data versions in Dagster's events by partition, and the numbers of these events."""

    requested: Mapping[str, str]
    requested_at: Mapping[str, int]
    made_from: Mapping[str, str]
    made_at: Mapping[str, int]

    @classmethod
    def of(
        cls, instance: dg.DagsterInstance, videos: dg.AssetKey, keys: Collection[str] | None = None
    ) -> RecordedVersions:
        """Reads the latest event of each partition; of all partitions if `keys` is None."""
        observed, materialized = dg.DagsterEventType.ASSET_OBSERVATION, dg.DagsterEventType.ASSET_MATERIALIZATION
        requested, requested_at = _latest(instance, AssetNames(videos).requests, observed, keys)
        made, made_at = _latest(instance, videos, materialized, keys)
        made_from = {key: version.partition("-")[0] for key, version in made.items() if "-" in version}
        return cls(requested, requested_at, made_from, made_at)

    def has_changed(self, key: str, version: str) -> bool:
        """Whether a partition's requests differ from those last recorded."""
        last = self.requested.get(key) or self.made_from.get(key)
        return last is not None and last != version[:_VERSION_CHARACTERS]

    def is_outdated(self, key: str, version: str) -> bool:
        """Whether a partition has no videos, or videos of other requests, or is stale."""
        is_made = self.made_from.get(key) == version[:_VERSION_CHARACTERS]
        is_stale = self.has_changed(key, version) or self.requested_at.get(key, 0) > self.made_at.get(key, 0)
        return not is_made or is_stale


class Lineage:
    """The data version tags for the partitions of a run."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        videos: dg.AssetKey,
        request_versions: Mapping[str, str],
        log_event: LogEvent,
        deps: Iterable[dg.AssetKey] = (),
    ) -> None:
        self._dependency_tags = dependency_tags(instance, deps)
        self._requests = AssetNames(videos).requests.to_user_string()
        self._request_versions = request_versions
        reported = RecordedVersions.of(instance, videos, request_versions)
        is_new = record_changes(videos, reported, request_versions, log_event) > 0
        self._requested_at = (
            RecordedVersions.of(instance, videos, request_versions) if is_new else reported
        ).requested_at

    def tags(self, key: str, made: str) -> dict[str, str]:
        """Returns the tags of a materialization; `made` is a digest of its videos."""
        requested = self._request_versions[key]
        return {
            DATA_VERSION: video_version(requested, made),
            "dagster/code_version": CODE_VERSION,
            f"dagster/input_data_version/{self._requests}": requested[:_VERSION_CHARACTERS],
            f"dagster/input_event_pointer/{self._requests}": str(self._requested_at.get(key, _BEFORE_ALL)),
            **self._dependency_tags,
        }


def record_requests(
    instance: dg.DagsterInstance,
    videos: dg.AssetKey,
    request_versions: Mapping[str, str],
    *,
    limit: int,
    made_from: Mapping[str, str] | None = None,
    keys: Collection[str] | None = None,
) -> int:
    """Records new and changed requests as materializations, at most `limit`; returns the number of the others.

    They belong to no run. With `made_from`, videos that were made before their request was recorded need no event: it
    would be later than theirs, and conditions such as `eager()` would request them again. With `keys`, only the events
    of these partitions are read.
    """
    shown, _ = _latest(instance, AssetNames(videos).requests, dg.DagsterEventType.ASSET_MATERIALIZATION, keys)
    before = {**(made_from or {}), **shown}
    versions = {key: version[:_VERSION_CHARACTERS] for key, version in request_versions.items()}
    new = [key for key, version in versions.items() if before.get(key) != version]
    with quiet_migrations():
        for key in new[:limit]:
            instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    asset_key=AssetNames(videos).requests,
                    partition=key,
                    metadata={"wan_assets/request_version": versions[key]},
                    tags={DATA_VERSION: versions[key]},
                )
            )
    return max(0, len(new) - limit)


@contextmanager
def quiet_migrations() -> Iterator[None]:
    """Keeps alembic from logging while Dagster creates the SQLite file of events that belong to no run.

    Dagster holds a lock then. If its setting `managed_python_loggers` includes alembic, the line would become an event,
    which waits for the same lock for ever.
    """
    logger = logging.getLogger("alembic")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def dependency_tags(instance: dg.DagsterInstance, deps: Iterable[dg.AssetKey]) -> dict[str, str]:
    """Returns the tags that record the current versions of upstream assets; without them, Dagster shows stale videos.

    Dagster compares the version of an unpartitioned asset, and events after the pointer of a partitioned one.
    """
    tags: dict[str, str] = {}
    for dep in deps:
        found = [instance.fetch_materializations(dep, limit=1), instance.fetch_observations(dep, limit=1)]
        records = [record for result in found for record in result.records if _has_version(record)]
        latest = max(records, key=lambda record: record.storage_id, default=None)
        event = latest and (latest.asset_materialization or latest.asset_observation)
        version = (event.tags or {}).get(DATA_VERSION) if event else None
        tags[f"dagster/input_data_version/{dep.to_user_string()}"] = version or _NO_VERSION
        tags[f"dagster/input_event_pointer/{dep.to_user_string()}"] = str(latest.storage_id if latest else _BEFORE_ALL)
    return tags


def _has_version(record: dg.EventLogRecord) -> bool:
    """Whether an event may change the version of its asset: observations without a version report other things."""
    observed = record.asset_observation
    return observed is None or DATA_VERSION in (observed.tags or {})


def record_changes(
    videos: dg.AssetKey, reported: RecordedVersions, request_versions: Mapping[str, str], log_event: LogEvent
) -> int:
    """Records an observation of each partition whose requests changed; returns their number."""
    changed = [(key, version) for key, version in request_versions.items() if reported.has_changed(key, version)]
    for key, version in changed:
        log_event(_observation(videos, reported, key, version[:_VERSION_CHARACTERS]))
    return len(changed)


def _observation(videos: dg.AssetKey, reported: RecordedVersions, key: str, version: str) -> dg.AssetObservation:
    before = reported.requested.get(key) or reported.made_from[key]
    return dg.AssetObservation(
        asset_key=AssetNames(videos).requests,
        partition=key,
        metadata={"wan_assets/request_version": version, "wan_assets/previous_request_version": before},
        tags={DATA_VERSION: version},
    )


def _latest(
    instance: dg.DagsterInstance, asset: dg.AssetKey, kind: dg.DagsterEventType, keys: Collection[str] | None
) -> tuple[dict[str, str], dict[str, int]]:
    """Returns the data version and the number of each partition's latest event."""
    events = instance.event_log_storage
    versions: dict[str, str] = {}
    numbers: dict[str, int] = {}
    for some in [None] if keys is None else chunked(keys, _KEYS_PER_QUERY):
        tags = events.get_latest_tags_by_partition(asset, kind, [DATA_VERSION], asset_partitions=some)
        versions |= {key: found[DATA_VERSION] for key, found in tags.items()}
        numbers |= events.get_latest_storage_id_by_partition(asset, kind, set(some) if some else None)
    return versions, numbers
