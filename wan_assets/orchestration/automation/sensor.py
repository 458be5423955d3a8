"""The sensor of a prompt table: it synchronizes partitions with the rows and requests runs for changed rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypedDict, Unpack

import dagster as dg

from wan_assets.errors import WanAssetsError
from wan_assets.orchestration.asset_names import AssetNames, Key, KeyPrefix
from wan_assets.orchestration.asset_options import known_keywords
from wan_assets.orchestration.automation.cursor import Cursor
from wan_assets.orchestration.automation.ranges import partition_ranges, row_function_of
from wan_assets.orchestration.partitions.assignment import PartitionOf
from wan_assets.orchestration.partitions.data_versions import record_changes
from wan_assets.orchestration.resources import LedgerResource, VideoStoreResource
from wan_assets.orchestration.runs.partitioning import Partitioning, Partitions, partitioning_of
from wan_assets.orchestration.runs.table_snapshot import TableSnapshot
from wan_assets.orchestration.tables.acceptance import accept_in_tick
from wan_assets.orchestration.tables.accepted import TABLE_VERSION, AcceptedTable, needed_table
from wan_assets.orchestration.tables.approved import approved_videos_in, newer_approvals
from wan_assets.orchestration.tables.indexing import IndexedReader, accepted_snapshot
from wan_assets.orchestration.tables.upstream import PromptsOrAsset, UpstreamPrompts, newer_upstream, upstream_of
from wan_assets.prompts import ApprovedVideos, signature_of
from wan_assets.store import VideoStore

_WINDOWS = (dg.TimeWindowPartitionsDefinition,)
_ADDED_PER_TICK = 20_000
_RECORDED_PER_TICK = 300
_FEWEST_RECORDED = 20
_ROWS_PER_RECORD = 1_000
"""Recording a partition takes at most as long as reading 1,000 rows. A tick that reads many rows leaves most partitions
to the next tick.
"""

_RETIRED_PER_TICK = 1_000
"""Each retired partition takes one SQL statement."""


class SensorOptions(TypedDict, total=False):
    """Dagster's own settings of a sensor."""

    minimum_interval_seconds: int
    default_status: dg.DefaultSensorStatus


class VideoSensorOptions(SensorOptions, total=False):
    """The key of the videos' asset, and Dagster's own settings of a sensor."""

    key: Key
    key_prefix: KeyPrefix


@known_keywords(VideoSensorOptions)
def build_video_sensor(
    *,
    name: str | None = None,
    prompts: PromptsOrAsset,
    partitions: Partitions = "prompt",
    partition_key_of: PartitionOf | None = None,
    partitions_per_run: int | None = None,
    requests_runs: bool = True,
    runs_per_tick: int = 10,
    run_tags: Mapping[str, str] | None = None,
    **options: Unpack[VideoSensorOptions],
) -> dg.SensorDefinition:
    """Builds a sensor that watches the table of a videos' asset.

    When the table changes, the sensor adds and retires partitions, records changed rows, and requests runs for
    partitions that have no videos or changed requests. It requests a partition once for each state of the table;
    retries handle failures. If the table cannot be read or has problems, the tick is skipped, and the skip reason names
    the problem.

    Args:
        name: Name of the videos' asset, by default `videos`.
        prompts: The prompt table, as for `build_video_assets`.
        partitions: The partitions, as for `build_video_assets`.
        partition_key_of: Function that returns the partition key of a row, as for `build_video_assets`.
        partitions_per_run: Maximum number of partitions in each run.
        requests_runs: Whether runs are requested. Without it the sensor only updates partitions and staleness, for
            automation conditions to act on.
        runs_per_tick: Maximum number of runs requested in each tick. The next ticks request the others.
        run_tags: Tags of the runs, such as `{"dagster/priority": "5"}`.
        **options: `key` is the key of the videos' asset, instead of `name`; `key_prefix` is a prefix of `name`.
            `minimum_interval_seconds` (in seconds) and `default_status` are Dagster's.

    Returns:
        The sensor `<name>_sensor`.

    Raises:
        ValueError: The partitions definition does not determine the partition of a row.
        TypeError: A keyword does not exist.

    Example:
        >>> from wan_assets import build_video_sensor
        >>> build_video_sensor(prompts="prompts.csv", runs_per_tick=5, minimum_interval_seconds=60).name
        'videos_sensor'
    """
    names = AssetNames.of(name, options.get("key"), options.get("key_prefix"))
    partitioning = partitioning_of(names, prompts, partitions, partition_key_of, partitions_per_run)
    table_sensor = TableSensor(names.videos, partitioning, requests_runs, runs_per_tick, run_tags or {})
    needs_store = requests_runs or upstream_of(prompts) is not None

    def tick_with_ledger(
        context: dg.SensorEvaluationContext, store: VideoStoreResource, ledger: LedgerResource
    ) -> dg.SensorResult:
        return table_sensor.tick(context.instance, Cursor.parse(context.cursor), store, ledger)

    def tick_with_store(context: dg.SensorEvaluationContext, store: VideoStoreResource) -> dg.SensorResult:
        return table_sensor.tick(context.instance, Cursor.parse(context.cursor), store)

    def tick(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        return table_sensor.tick(context.instance, Cursor.parse(context.cursor))

    decorated = dg.sensor(
        name=names.named("sensor"),
        asset_selection=dg.AssetSelection.assets(*table_sensor.targets),
        description="Synchronizes partitions with the prompt table and requests runs for new and changed rows.",
        minimum_interval_seconds=options.get("minimum_interval_seconds"),
        default_status=options.get("default_status", dg.DefaultSensorStatus.STOPPED),
    )
    if table_sensor.approved:
        return decorated(tick_with_ledger)
    return decorated(tick_with_store if needs_store else tick)


@dataclass(frozen=True)
class TableSensor:
    """Evaluates one table and its videos asset, with limits for each tick."""

    asset_key: dg.AssetKey
    partitioning: Partitioning
    requests_runs: bool
    runs_per_tick: int
    tags: Mapping[str, str]

    @property
    def targets(self) -> list[dg.AssetKey]:
        """The assets whose runs are requested: the videos, and a table that comes from an upstream asset."""
        return [self.asset_key, AssetNames(self.asset_key).prompts] if self._upstream else [self.asset_key]

    @property
    def _upstream(self) -> UpstreamPrompts | None:
        return upstream_of(self.partitioning.prompts)

    @property
    def approved(self) -> ApprovedVideos | None:
        """The approved drafts that are the source of the table, or None."""
        return approved_videos_in(self.partitioning.prompts)

    def tick(
        self,
        instance: dg.DagsterInstance,
        cursor: Cursor,
        store: VideoStoreResource | None = None,
        ledger: LedgerResource | None = None,
    ) -> dg.SensorResult:
        """Does a bounded amount of work, and returns the new cursor."""
        try:
            requests = self._runs_of_table(instance, ledger)
        except WanAssetsError as error:
            return _skipped(f"{error}. {error.hint}", cursor)
        result = self._tick(instance, cursor, store)
        if not requests:
            return result
        return dg.SensorResult(run_requests=[*requests, *(result.run_requests or ())], cursor=result.cursor)

    def _tick(self, instance: dg.DagsterInstance, cursor: Cursor, store: VideoStoreResource | None) -> dg.SensorResult:
        try:
            signature = self._signature(instance)
            is_changed = cursor.signature != signature
            if is_changed:
                cursor = Cursor(signature=signature)
            if cursor.error or cursor.is_done:
                return _skipped(cursor.error or "the prompt table has not changed", cursor)
            snapshot, version = self._read(instance, cursor.table, store.open() if store else None)
        except WanAssetsError as error:
            return _skipped(f"{error}. {error.hint}", cursor)
        if not snapshot.is_valid:
            problem = _problem_text(snapshot)
            return _skipped(problem, cursor.model_copy(update={"error": problem}))
        recorded = _recorded_after(snapshot.summary.rows) if is_changed else _RECORDED_PER_TICK
        return self._evaluate(instance, cursor.model_copy(update={"table": version}), snapshot, recorded)

    def _runs_of_table(self, instance: dg.DagsterInstance, ledger: LedgerResource | None) -> list[dg.RunRequest]:
        """Returns requests for runs of the table's asset, if the upstream asset has newer materializations, or if there
        are newer decisions about its videos.
        """
        if self._upstream is None or not self.requests_runs:
            return []
        table = AssetNames(self.asset_key).prompts
        if self.approved and ledger:
            with ledger.open() as opened:
                state = newer_approvals(instance, self.approved, table, opened)
            run_key = f"{table.to_user_string()}/{state}"
            return [dg.RunRequest(run_key, asset_selection=[table])] if state else []
        newer = newer_upstream(instance, self._upstream, table)
        return [
            dg.RunRequest(f"{table.to_user_string()}/{part}/{number}", partition_key=part, asset_selection=[table])
            for part, number in islice(newer.items(), self.runs_per_tick)
        ]

    def _read(self, instance: dg.DagsterInstance, version: str, store: VideoStore | None) -> tuple[TableSnapshot, str]:
        """Reads the table; accepts it if runs are requested, so that they read the same rows."""
        if store is None:
            return self.partitioning.read(self.partitioning.source), ""
        if self._upstream:
            table = needed_table(instance, self.asset_key, self.partitioning.prompts)
            return self.partitioning.read(table.snapshot(store)), table.version
        known = AcceptedTable(AssetNames(self.asset_key).prompts, {"": version})
        if version and all(file.exists() for file in known.snapshot(store).files.values()):
            versions = IndexedReader(self.partitioning, store, known.key.path).versions(
                self.partitioning.source, version
            )
            if versions is not None:
                return accepted_snapshot(versions), version
            return self.partitioning.read(known.snapshot(store)), version
        checked = accept_in_tick(self.partitioning, instance, self.asset_key, store)
        return checked.snapshot, checked.version

    def _table_signature(self, instance: dg.DagsterInstance) -> str:
        if self._upstream:
            return needed_table(instance, self.asset_key, self.partitioning.prompts).version
        return signature_of(self.partitioning.source)

    def _signature(self, instance: dg.DagsterInstance) -> str:
        """Changes with the table, with the partitions definition, and when a time window opens."""
        definitions = list(_dimensions_of(self.partitioning.partitions_def))
        opened = [
            definition.get_last_partition_key() or "" for definition in definitions if isinstance(definition, _WINDOWS)
        ]
        fixed = repr(
            [
                definition
                for definition in definitions
                if isinstance(definition, (dg.StaticPartitionsDefinition, *_WINDOWS))
            ]
        )
        defined = hashlib.sha256(fixed.encode()).hexdigest()[:16]
        return "/".join([self._table_signature(instance), defined, *opened])

    def _evaluate(
        self, instance: dg.DagsterInstance, cursor: Cursor, snapshot: TableSnapshot, recorded: int
    ) -> dg.SensorResult:
        changes = self.partitioning.sync(instance, snapshot, max_added=_ADDED_PER_TICK, max_retired=_RETIRED_PER_TICK)
        status = self.partitioning.status(instance, self.asset_key, snapshot)
        request_versions, reported = status.request_versions, status.reported
        existing = self.partitioning.existing(instance, changes)
        left = _after(existing, cursor.after)
        wanted = set(filter(status.needs_run, left))
        length, row_of = self.partitioning.partitions_per_run, row_function_of(self.partitioning.partitions_def)
        found = partition_ranges(left, wanted, length, row_of)
        portion = list(islice(found, self.runs_per_tick))
        keys = [key for partition_range in portion for key in partition_range.keys]
        record_changes(
            self.asset_key, reported, {key: request_versions[key] for key in keys}, instance.report_runless_asset_event
        )
        unrecorded = self.partitioning.record_requests(instance, self.asset_key, status, existing, recorded)
        tags = {**self.tags, TABLE_VERSION: cursor.table} if cursor.table else self.tags
        selection = [self.asset_key] if self._upstream else None
        requests = [
            partition_range.request(request_versions, reported, tags, selection)
            for partition_range in portion
            if self.requests_runs
        ]
        is_done = len(keys) == len(wanted) and not changes.left and not unrecorded
        cursor = cursor.model_copy(update={"after": keys[-1] if keys else cursor.after, "is_done": is_done})
        return dg.SensorResult(run_requests=requests, cursor=cursor.model_dump_json())


def _skipped(why: str, cursor: Cursor) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=why, cursor=cursor.model_dump_json())


def _problem_text(snapshot: TableSnapshot) -> str:
    return f"the prompt table has {snapshot.summary.findings}."


def _recorded_after(rows: int) -> int:
    """Returns the most partitions that a tick records after it has read so many rows."""
    return max(_FEWEST_RECORDED, _RECORDED_PER_TICK - rows // _ROWS_PER_RECORD)


def _after(existing: Sequence[str], last: str | None) -> Sequence[str]:
    """Returns the partitions after `last`; all if it no longer exists, because another evaluation is cheap."""
    return existing[existing.index(last) + 1 :] if last in existing else existing


def _dimensions_of(partitions_def: dg.PartitionsDefinition[str]) -> Iterator[dg.PartitionsDefinition[str]]:
    if isinstance(partitions_def, dg.MultiPartitionsDefinition):
        for dimension in partitions_def.partitions_defs:
            yield dimension.partitions_def
    else:
        yield partitions_def
