"""A sensor that brings decisions about videos to Dagster, and requests runs for videos that were sent back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Self, Unpack

import dagster as dg
from pydantic import BaseModel, ConfigDict, ValidationError

from wan_assets.dataset import ApprovalPolicy, apply_policy, record_decisions, recorded_entries
from wan_assets.errors import WanAssetsError
from wan_assets.ledger import Decision, Ledger, PartitionRow, Takes
from wan_assets.orchestration.asset_names import AssetNames
from wan_assets.orchestration.asset_options import known_keywords
from wan_assets.orchestration.automation.sensor import VideoSensorOptions
from wan_assets.orchestration.checks import review_check, review_metadata
from wan_assets.orchestration.partitions.data_versions import quiet_migrations
from wan_assets.orchestration.resources import LedgerResource, VideoStoreResource
from wan_assets.store import VideoStore

_PARTITIONS_PER_TICK = 200
_DECISIONS_READ = 1_000
_WAITING = 500
"""The most partitions that a cursor has."""

_MATERIALIZATIONS_READ = 20


class _Cursor(BaseModel):
    """The numbers of the last decision that was reported, and of the last materialization that the policy has seen.

    `waiting` are the partitions that do not have the right takes yet, with the key of the run that was requested.
    """

    model_config = ConfigDict(frozen=True)

    decision: int = 0
    event: int = 0
    waiting: dict[str, str] = {}

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Reads the cursor of the previous tick; an unreadable one reports all decisions again, which is cheap."""
        try:
            return cls.model_validate_json(text or "{}")
        except ValidationError:
            return cls()


@known_keywords(VideoSensorOptions)
def build_review_sensor(
    *,
    name: str | None = None,
    policy: ApprovalPolicy | None = None,
    max_takes: int = 3,
    retake_rejected: bool = False,
    requests_runs: bool = True,
    run_tags: Mapping[str, str] | None = None,
    **options: Unpack[VideoSensorOptions],
) -> dg.SensorDefinition:
    """Builds a sensor that reports new decisions about the videos of an asset.

    For each partition with a new decision, the sensor evaluates the check `reviewed` and records an observation with
    the decisions. It requests a run for each partition whose video was sent back, and for each partition whose video is
    another take now. It needs the resource `ledger`, and `store` if there is a policy.

    Args:
        name: Name of the videos' asset, by default `videos`.
        policy: Rules that decide about new videos without a person, once the run that made them has ended.
        max_takes: The most takes of a row, as for `build_video_assets`.
        retake_rejected: Whether rejected videos are generated again too, as for `build_video_assets`.
        requests_runs: Whether runs are requested. Without it, decisions are only reported.
        run_tags: Tags of the runs, such as `{"dagster/priority": "5"}`.
        **options: `key` is the key of the videos' asset, instead of `name`; `key_prefix` is a prefix of `name`.
            `minimum_interval_seconds` (in seconds) and `default_status` are Dagster's.

    Returns:
        The sensor `<name>_review_sensor`.

    Raises:
        dagster.DagsterInvalidDefinitionError: The name is not valid.
        TypeError: A keyword does not exist.

    Example:
        >>> from wan_assets import build_review_sensor
        >>> build_review_sensor(name="drafts", max_takes=2).name
        'drafts_review_sensor'
    """
    names = AssetNames.of(name, options.get("key"), options.get("key_prefix"))
    review_sensor = ReviewSensor(names.videos, max_takes, retake_rejected, requests_runs, run_tags or {}, policy)

    def tick_with_store(
        context: dg.SensorEvaluationContext, ledger: LedgerResource, store: VideoStoreResource
    ) -> dg.SensorResult:
        return review_sensor.evaluate(context.instance, context.cursor, ledger, store, partitions_of(context))

    def tick(context: dg.SensorEvaluationContext, ledger: LedgerResource) -> dg.SensorResult:
        return review_sensor.evaluate(context.instance, context.cursor, ledger, partitions_def=partitions_of(context))

    def partitions_of(context: dg.SensorEvaluationContext) -> dg.PartitionsDefinition[str] | None:
        assets = context.repository_def.assets_defs_by_key if context.repository_def else {}
        return assets[names.videos].partitions_def if names.videos in assets else None

    decorated = dg.sensor(
        name=names.named("review_sensor"),
        asset_selection=dg.AssetSelection.assets(names.videos),
        description="Reports decisions about the videos, and requests runs for videos that were sent back.",
        minimum_interval_seconds=options.get("minimum_interval_seconds"),
        default_status=options.get("default_status", dg.DefaultSensorStatus.STOPPED),
    )
    return decorated(tick_with_store if policy else tick)


@dataclass(frozen=True)
class ReviewSensor:
    """Reports the decisions about the videos of one asset."""

    asset_key: dg.AssetKey
    max_takes: int
    retake_rejected: bool
    requests_runs: bool
    tags: Mapping[str, str]
    policy: ApprovalPolicy | None = None

    def evaluate(
        self,
        instance: dg.DagsterInstance,
        cursor: str | None,
        ledger: LedgerResource,
        store: VideoStoreResource | None = None,
        partitions_def: dg.PartitionsDefinition[str] | None = None,
    ) -> dg.SensorResult:
        """Applies the policy to new videos, and reports new decisions; skips the tick if the ledger cannot be read.

        Runs are requested only for partitions that the definition has.
        """
        before = _Cursor.parse(cursor)
        try:
            with ledger.open() as opened:
                if self.policy and store:
                    event = self._apply(self.policy, instance, before.event, store.open(), opened)
                    before = before.model_copy(update={"event": event})
                return _of_existing(self._tick(instance, before, opened), partitions_def, instance)
        except WanAssetsError as error:
            return dg.SensorResult(skip_reason=f"{error}. {error.hint}", cursor=cursor)

    def _apply(
        self, policy: ApprovalPolicy, instance: dg.DagsterInstance, after: int, store: VideoStore, ledger: Ledger
    ) -> int:
        """Decides about the videos of new materializations by the policy; returns the number of the last one.

        A run records the results of its checks until it ends. Events of a run that has not ended wait for a later tick.
        """
        new = dg.AssetRecordsFilter(self.asset_key, after_storage_id=after)
        found = instance.fetch_materializations(new, limit=_PARTITIONS_PER_TICK, ascending=True).records
        ended = list(takewhile(lambda record: _has_ended(instance, record.run_id), found))
        keys = [record.partition_key for record in ended if record.partition_key]
        records = ledger.recorded_partitions(self.asset_key.to_user_string(), keys)
        result = apply_policy(recorded_entries(records, store=store, ledger=ledger), policy)
        record_decisions(ledger, result.decisions)
        return ended[-1].storage_id if ended else after

    def _tick(self, instance: dg.DagsterInstance, before: _Cursor, ledger: Ledger) -> dg.SensorResult:
        """Reports the next decisions, at most those of some partitions, and returns the new cursor."""
        decisions = ledger.decisions_after(before.decision, _DECISIONS_READ)
        partitions, last = self._partitions(decisions, ledger) if decisions else ([], before.decision)
        requests, waiting = self._requests(instance, partitions, before.waiting, ledger)
        cursor = before.model_copy(update={"decision": last, "waiting": waiting}).model_dump_json()
        if requests:
            return dg.SensorResult(run_requests=requests, cursor=cursor)
        noun = "partition" if len(partitions) == 1 else "partitions"
        reported = f"reported decisions about {len(partitions)} {noun}; no video is to be generated again"
        return dg.SensorResult(skip_reason=reported if decisions else "there is no new decision", cursor=cursor)

    def _partitions(self, decisions: Sequence[Decision], ledger: Ledger) -> tuple[list[str], int]:
        """Returns the partitions that decisions concern, and the number of the last decision that they include."""
        asset = self.asset_key.to_user_string()
        found: dict[str, None] = {}
        prints = {decision.video.fingerprint for decision in decisions}
        of_request = ledger.partitions_of(asset, prints)
        last = 0
        for decision in decisions:
            partitions = of_request.get(decision.video.fingerprint, ())
            if found and len(found) + len(partitions) > _PARTITIONS_PER_TICK:
                break
            found.update(dict.fromkeys(partitions))
            last = decision.number
        return list(found), last

    def _requests(
        self, instance: dg.DagsterInstance, partitions: Sequence[str], before: Mapping[str, str], ledger: Ledger
    ) -> tuple[list[dg.RunRequest], dict[str, str]]:
        """Reports the decisions about partitions; returns requests of runs, and the partitions that wait for a run.

        A partition is requested once for each state of its videos and decisions. It waits until it has the right takes:
        a decision may come before its videos are recorded, or while a run generates a take that is not wanted any more.
        """
        concerned = list(dict.fromkeys([*partitions, *before]))
        records = ledger.recorded_partitions(self.asset_key.to_user_string(), concerned)
        requests: list[dg.RunRequest] = []
        waiting: dict[str, str] = {}
        for partition in concerned:
            record = records.get(partition)
            rows = record.rows if record else ()
            takes = ledger.takes_of(rows)
            if rows and partition in partitions:
                _report(
                    instance,
                    self.asset_key,
                    partition,
                    [(row.prompt_id, each) for row, each in zip(rows, takes, strict=True)],
                )
            if not self.requests_runs or (rows and not any(map(self._needs_run, rows, takes))):
                continue
            key = f"{self.asset_key.to_user_string()}/{partition}/{_state_of(rows, takes)}"
            if rows and before.get(partition) != key:
                requests.append(dg.RunRequest(key, partition_key=partition, tags=self.tags))
            waiting[partition] = key
        return requests, dict(list(waiting.items())[-_WAITING:])

    def _needs_run(self, row: PartitionRow, takes: Takes) -> bool:
        """Whether a run would bring another take than the one that the partition has."""
        number = takes.next_number(self.max_takes, retakes_rejected=self.retake_rejected)
        recorded = {take.fingerprint: take.number for take in takes.takes}
        return recorded.get(row.fingerprint) != number


def _of_existing(
    result: dg.SensorResult, partitions_def: dg.PartitionsDefinition[str] | None, instance: dg.DagsterInstance
) -> dg.SensorResult:
    """Leaves out requests for partitions that do not exist any more, which would fail this tick and all later ones."""
    if partitions_def is None or not result.run_requests:
        return result
    existing = set(partitions_def.get_partition_keys(dynamic_partitions_store=instance))
    requests = [request for request in result.run_requests if request.partition_key in existing]
    if requests:
        return dg.SensorResult(run_requests=requests, cursor=result.cursor)
    return dg.SensorResult(
        skip_reason="the rows that were sent back are not in the table any more", cursor=result.cursor
    )


def _state_of(rows: Sequence[PartitionRow], takes: Sequence[Takes]) -> str:
    """Returns a text that changes with the videos of rows, and with the decisions about any of their takes."""
    decided = max((take.decided for each in takes for take in each.takes), default=0)
    videos = hashlib.sha256("\n".join(row.task_uuid for row in rows).encode()).hexdigest()
    return f"{decided}/{videos[:16]}"


def _report(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partition: str, named: Sequence[tuple[str, Takes]]
) -> None:
    """Records the check of a partition, and an observation with the decisions."""
    with quiet_migrations():
        _report_check(instance, review_check(asset, partition, named))
        instance.report_runless_asset_event(
            dg.AssetObservation(asset, partition=partition, metadata=review_metadata(named))
        )


def _has_ended(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id) if run_id else None
    return run is None or run.is_finished


def _report_check(instance: dg.DagsterInstance, evaluation: dg.AssetCheckEvaluation) -> None:
    """Records the evaluation of a partition as one of the last run that materialized it.

    Dagster stores only one evaluation of a partition that belongs to no run, and refuses the next one. A person may
    have reported the latest materialization, which then belongs to no run.
    """
    here = dg.AssetRecordsFilter(evaluation.asset_key, asset_partitions=[evaluation.partition or ""])
    records = instance.fetch_materializations(here, limit=_MATERIALIZATIONS_READ).records
    event = dg.DagsterEvent(
        dg.DagsterEventType.ASSET_CHECK_EVALUATION.value, job_name="review", event_specific_data=evaluation
    )
    for run_id in islice((record.run_id for record in records if record.run_id), 1):
        instance.report_dagster_event(event, run_id=run_id)
