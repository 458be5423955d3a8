"""The files of recorded partitions as entries: the rows in the ledger with their chosen takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from wan_assets.dataset.cost_shares import costs_of
from wan_assets.dataset.entries import Entry
from wan_assets.dataset.rows import DatasetRow, keys_of
from wan_assets.ledger import Decision, Ledger, PartitionRecord, Take, VideoKey
from wan_assets.models import VideoRequest
from wan_assets.prompts import PromptRow
from wan_assets.store import StoredTask, VideoStore


def recorded_entries(records: Mapping[str, PartitionRecord], *, store: VideoStore, ledger: Ledger) -> Iterator[Entry]:
    """Yields the files of the chosen takes of recorded partitions; rows whose files are gone are left out."""
    rows = [row for record in records.values() for row in record.rows]
    takes = [each.chosen for each in ledger.takes_of(rows)]
    checks = ledger.recorded_checks({take.task.task_uuid for take in takes if take.task})
    decisions = ledger.decisions([video for take in takes if take.task for video in take.task.videos])
    for row, take in zip(rows, takes, strict=True):
        stored = _stored(take, store)
        if stored is None or take.task is None:
            continue
        found = tuple(checks.get(stored.task_uuid, ()))
        dataset_row = DatasetRow(
            PromptRow(0, row.prompt_id, VideoRequest.from_record(take.task.request), row.extra),
            take.fingerprint,
            take.task,
            stored,
            checks=found,
            decisions=_of(stored, decisions),
            take=take.number,
        )
        costs, reserved = costs_of(take.task, stored)
        for number, (video, cost) in enumerate(zip(stored.videos, costs, strict=True), 1):
            yield Entry(dataset_row, stored, video, number, cost, reserved if number == 1 else 0)


def _of(stored: StoredTask, decisions: Mapping[VideoKey, Sequence[Decision]]) -> Mapping[VideoKey, Sequence[Decision]]:
    return {key: decisions[key] for key in keys_of(stored) if key in decisions}


def _stored(take: Take, store: VideoStore) -> StoredTask | None:
    task = take.task
    if task is None or not take.is_stored:
        return None
    return store.task(take.fingerprint, task.task_uuid, simulated=task.is_simulated, former=task.former_fingerprint)
