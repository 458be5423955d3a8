"""Reports the cost of each video in exactly one Dagster event, even after earlier runs were killed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

import dagster as dg

from wan_assets.engine import NO_PARTITION, Outcome
from wan_assets.errors import LedgerError
from wan_assets.ledger import Ledger
from wan_assets.store import StoredTask

_REPORTED_PER_WRITE = 50
_EVENTS_SEARCHED = 20


class CostReporter:
    """Ensures that the sum of charges over Dagster's events equals the ledger.

    A run may be killed after a video is stored and before its event is recorded: a later run then reports the cost. A
    run may also be killed after the event and before the ledger records it: the events are then searched. Without an
    `asset_key`, costs are reported to the caller and there are no events. `asset` is the asset's name in the ledger.
    """

    def __init__(
        self, ledger: Ledger, instance: dg.DagsterInstance | None, asset_key: dg.AssetKey | None, asset: str = ""
    ) -> None:
        self._ledger = ledger
        self._instance = instance
        self._asset_key = asset_key
        self._unreported = ledger.unreported(asset_key.to_user_string() if asset_key else asset)
        self._reported: list[str] = []
        self._events: dict[str, Sequence[dg.EventLogRecord]] = {}

    def charged_microusd(self, outcome: Outcome, stored: StoredTask) -> int | None:
        """Returns the amount that the event of an outcome charges: 0 if an earlier event reported it."""
        return stored.cost_microusd if self._is_first(outcome, stored) else 0

    def reported(self, outcome: Outcome, stored: StoredTask) -> None:
        """Marks the cost as reported, after the outcome's event is recorded."""
        if outcome.is_new or stored.task_uuid in self._unreported:
            self._reported.append(stored.task_uuid)
        if len(self._reported) >= _REPORTED_PER_WRITE:
            self.flush()

    def flush(self) -> None:
        """Writes the reported costs to the ledger; if that fails, the next run finds them in the events."""
        if not self._reported:
            return
        with suppress(LedgerError):
            self._ledger.mark_reported(self._reported)
            self._reported.clear()

    def _is_first(self, outcome: Outcome, stored: StoredTask) -> bool:
        if outcome.is_new:
            return self._ledger.is_unreported(stored.task_uuid)
        if self._unreported.get(stored.task_uuid) != outcome.job.partition:
            return False
        return not self._is_in_events(outcome.job.partition, stored)

    def _is_in_events(self, partition: str, stored: StoredTask) -> bool:
        if self._instance is None or self._asset_key is None:
            return False
        if partition not in self._events:
            partitions = None if partition == NO_PARTITION else [partition]
            records_filter = dg.AssetRecordsFilter(asset_key=self._asset_key, asset_partitions=partitions)
            found = self._instance.fetch_materializations(records_filter, limit=_EVENTS_SEARCHED)
            self._events[partition] = found.records
        return any(_is_reported_in(record, stored) for record in self._events[partition])


def _is_reported_in(record: dg.EventLogRecord, stored: StoredTask) -> bool:
    """Whether an event reports a task: by its UUID, or as a batch's event that is later than the stored task."""
    event = record.asset_materialization
    task_uuid = event.metadata.get("wan_assets/task_uuid") if event else None
    if task_uuid is not None:
        return task_uuid.value == stored.task_uuid
    return record.timestamp > datetime.fromisoformat(stored.stored_at).timestamp()
