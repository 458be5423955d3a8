"""The rows of a table, each with its current task and its stored videos."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from more_itertools import chunked

from wan_assets.ledger import CheckRecord, Ledger, Task
from wan_assets.models import VideoRequest
from wan_assets.prompts import PromptRow, PromptTable
from wan_assets.store import StoredTask, VideoStore

ROWS_AT_ONCE = 500


@dataclass(frozen=True)
class DatasetRow:
    """One row with its current task and its stored videos."""

    row: PromptRow
    fingerprint: str
    task: Task | None
    stored: StoredTask | None
    checks: tuple[CheckRecord, ...] = ()
    """The results of checks that users define."""


@dataclass(frozen=True)
class Dataset:
    """All rows of a table with the tasks and videos of the asset `name`; either all real or all simulated."""

    name: str
    table: PromptTable
    dataset_rows: tuple[DatasetRow, ...]
    is_simulated: bool
    store: VideoStore
    ledger: Ledger

    @classmethod
    def read(cls, name: str, table: PromptTable, store: VideoStore, ledger: Ledger) -> Dataset:
        """Reads the tasks and sidecars of all rows."""
        is_simulated = is_all_simulated(table.rows, ledger)
        dataset_rows = tuple(dataset_rows_of(table.rows, store, ledger, simulated=is_simulated))
        return cls(name, table, dataset_rows, is_simulated, store, ledger)


def is_all_simulated(rows: Sequence[PromptRow], ledger: Ledger) -> bool:
    """Returns whether at least one row has a simulated task and no row has a real task."""
    return not _any_task(rows, ledger, simulated=False) and _any_task(rows, ledger, simulated=True)


def dataset_rows_of(
    rows: Iterable[PromptRow], store: VideoStore, ledger: Ledger, *, simulated: bool
) -> Iterator[DatasetRow]:
    """Yields the rows in order with their tasks and videos, reading at most `ROWS_AT_ONCE` at a time."""
    for some in chunked(rows, ROWS_AT_ONCE):
        fingerprints = [row.fingerprint for row in some]
        tasks = ledger.latest(list(dict.fromkeys(fingerprints)), simulated=simulated)
        requests = {fingerprint: row.request for fingerprint, row in zip(fingerprints, some, strict=True)}
        stored = {
            fingerprint: _stored(store, fingerprint, tasks.get(fingerprint), request, simulated=simulated)
            for fingerprint, request in requests.items()
        }
        checks = ledger.recorded_checks({task.task_uuid for task in stored.values() if task})
        for row, fingerprint in zip(some, fingerprints, strict=True):
            found = stored[fingerprint]
            of_row = tuple(checks.get(found.task_uuid, ())) if found else ()
            yield DatasetRow(row, fingerprint, tasks.get(fingerprint), found, of_row)


def _any_task(rows: Sequence[PromptRow], ledger: Ledger, *, simulated: bool) -> bool:
    fingerprints = ({row.fingerprint for row in some} for some in chunked(rows, ROWS_AT_ONCE))
    return any(ledger.latest(sorted(some), simulated=simulated) for some in fingerprints)


def _stored(
    store: VideoStore, fingerprint: str, task: Task | None, request: VideoRequest, *, simulated: bool
) -> StoredTask | None:
    """Returns the stored videos of the task; without a task, the newest stored videos of the request."""
    if task is None:
        return store.find(fingerprint, simulated=simulated, former=request.former_fingerprint())
    return store.task(fingerprint, task.task_uuid, simulated=simulated, former=task.former_fingerprint)
