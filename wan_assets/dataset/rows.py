"""The rows of a table, each with its current task and its stored videos."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from more_itertools import chunked

from wan_assets.ledger import CheckRecord, Decision, DecisionValue, Ledger, Take, Takes, Task, VideoKey
from wan_assets.models import VideoRequest, request_of_take
from wan_assets.prompts import PromptRow, PromptTable
from wan_assets.store import StoredTask, VideoStore

ROWS_AT_ONCE = 500


@dataclass(frozen=True)
class DatasetRow:
    """One row with its current task and its stored videos.

    `row` has the request of the take that is the row's video, which is take number `take`; `row_fingerprint` is that of
    the row's own request. `checks` are the results of checks that users define. `decisions` are all decisions about
    each of the videos, oldest first, and `value` is the decision about the take.
    """

    row: PromptRow
    fingerprint: str
    task: Task | None
    stored: StoredTask | None
    checks: tuple[CheckRecord, ...] = ()
    decisions: Mapping[VideoKey, Sequence[Decision]] = field(default_factory=dict)
    take: int = 1
    is_chosen: bool = True
    value: DecisionValue = DecisionValue.UNDECIDED
    row_fingerprint: str = ""


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
    rows: Iterable[PromptRow], store: VideoStore, ledger: Ledger, *, simulated: bool, all_takes: bool = False
) -> Iterator[DatasetRow]:
    """Yields the rows in order with their tasks and videos, reading at most `ROWS_AT_ONCE` at a time.

    A row has its chosen take; with `all_takes`, it is repeated for each take that has videos.
    """
    for some in chunked(rows, ROWS_AT_ONCE):
        takes = list(_takes_of(some, ledger, simulated=simulated, all_takes=all_takes))
        tasks = ledger.latest(list(dict.fromkeys(take.fingerprint for take in takes)), simulated=simulated)
        stored = {
            take.fingerprint: _stored(
                store, take.fingerprint, tasks.get(take.fingerprint), take.row.request, simulated=simulated
            )
            for take in takes
        }
        checks = ledger.recorded_checks({task.task_uuid for task in stored.values() if task})
        decisions = ledger.decisions([key for task in stored.values() if task for key in keys_of(task)])
        for take in takes:
            found = stored[take.fingerprint]
            if found is None and not take.is_chosen:
                continue
            yield replace(
                take,
                task=tasks.get(take.fingerprint),
                stored=found,
                checks=tuple(checks.get(found.task_uuid, ())) if found else (),
                decisions={key: decisions[key] for key in keys_of(found) if key in decisions} if found else {},
            )


def keys_of(stored: StoredTask) -> list[VideoKey]:
    """Returns the keys under which decisions about the videos of a task are recorded."""
    return [VideoKey(stored.fingerprint, video.sha256, number) for number, video in enumerate(stored.videos, 1)]


def _takes_of(rows: Sequence[PromptRow], ledger: Ledger, *, simulated: bool, all_takes: bool) -> Iterator[DatasetRow]:
    """Yields each row with the request of its chosen take, or of each of its takes."""
    known = ledger.takes([row.fingerprint for row in rows], simulated=simulated)
    for row in rows:
        takes = known.get(row.fingerprint, Takes((Take(1, row.fingerprint),)))
        chosen = takes.chosen.number
        for take in takes.takes if all_takes else (takes.chosen,):
            taken = row._replace(requested=request_of_take(row.request, take.number)) if take.number > 1 else row
            yield DatasetRow(
                taken,
                taken.fingerprint,
                None,
                None,
                take=take.number,
                is_chosen=take.number == chosen,
                value=take.value,
                row_fingerprint=row.fingerprint,
            )


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
