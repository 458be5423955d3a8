"""Costs are told once: which of a run's videos no event has told the cost of, whatever became of earlier runs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

import dagster as dg

from wan_assets.engine import Outcome
from wan_assets.errors import LedgerError
from wan_assets.ledger import Ledger
from wan_assets.store import StoredTask

_TOLD_AT_ONCE = 50
_EVENTS_SEARCHED = 20


class CostReporter:
    """Makes sums of costs over Dagster's events those of the ledger.

    A run may be killed after a video is stored and before its event is: a later run then tells the cost. It may also be
    killed after the event and before the ledger knows of it: then the events are searched.
    """

    def __init__(self, ledger: Ledger, instance: dg.DagsterInstance, asset_key: dg.AssetKey) -> None:
        self._ledger = ledger
        self._instance = instance
        self._asset_key = asset_key
        self._untold = ledger.unreported(asset_key.to_user_string())
        self._reported: list[str] = []
        self._events: dict[str, Sequence[dg.EventLogRecord]] = {}

    def cost_microusd(self, outcome: Outcome, stored: StoredTask) -> int | None:
        """What the event of an outcome has to tell: the cost where it is the first to tell it, else 0."""
        return stored.cost_microusd if self._is_first(outcome, stored) else 0

    def reported(self, outcome: Outcome, stored: StoredTask) -> None:
        """Counts the cost as told, now that the outcome's event is recorded."""
        if outcome.is_new or stored.task_uuid in self._untold:
            self._reported.append(stored.task_uuid)
        if len(self._reported) >= _TOLD_AT_ONCE:
            self.book()

    def book(self) -> None:
        """Journal what was told; where that fails, the next run finds it in the events."""
        if not self._reported:
            return
        with suppress(LedgerError):
            self._ledger.mark_reported(self._reported)
            self._reported.clear()

    def _is_first(self, outcome: Outcome, stored: StoredTask) -> bool:
        if outcome.is_new:
            return self._ledger.is_unreported(stored.task_uuid)
        if self._untold.get(stored.task_uuid) != outcome.job.partition:
            return False
        return not self._is_in_events(outcome.job.partition, stored)

    def _is_in_events(self, partition: str, stored: StoredTask) -> bool:
        if partition not in self._events:
            asked = dg.AssetRecordsFilter(asset_key=self._asset_key, asset_partitions=[partition])
            found = self._instance.fetch_materializations(asked, limit=_EVENTS_SEARCHED)
            self._events[partition] = found.records
        return any(_tells(record, stored) for record in self._events[partition])


def _tells(record: dg.EventLogRecord, stored: StoredTask) -> bool:
    """Whether an event tells of a task: by its UUID, or as a batch's that came after the task was stored."""
    event = record.asset_materialization
    said = event.metadata.get("wan_assets/task_uuid") if event else None
    if said is not None:
        return said.value == stored.task_uuid
    return record.timestamp > datetime.fromisoformat(stored.stored_at).timestamp()
