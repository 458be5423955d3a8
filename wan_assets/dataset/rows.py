"""The rows of a table, each with the task that counts for it and what the store has of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from more_itertools import chunked

from wan_assets.ledger import Ledger, Task
from wan_assets.models import VideoRequest
from wan_assets.prompts import PromptRow, PromptTable
from wan_assets.store import StoredTask, VideoStore

ROWS_AT_ONCE = 500


@dataclass(frozen=True)
class DatasetRow:
    """One row, the task that counts for it, and what the store has of it."""

    row: PromptRow
    fingerprint: str
    task: Task | None
    stored: StoredTask | None


@dataclass(frozen=True)
class Dataset:
    """All rows of a table, and what ledger and store have for the asset `name`, all real or all simulated."""

    name: str
    table: PromptTable
    dataset_rows: tuple[DatasetRow, ...]
    is_simulated: bool
    store: VideoStore
    ledger: Ledger

    @classmethod
    def read(cls, name: str, table: PromptTable, store: VideoStore, ledger: Ledger) -> Dataset:
        """Reads the ledger and the sidecars of all rows."""
        is_simulated = is_all_simulated(table.rows, ledger)
        dataset_rows = tuple(dataset_rows_of(table.rows, store, ledger, simulated=is_simulated))
        return cls(name, table, dataset_rows, is_simulated, store, ledger)


def is_all_simulated(rows: Sequence[PromptRow], ledger: Ledger) -> bool:
    """Whether the simulator's videos count: where some row has a task of its, and none has a real one."""
    return not _any_task(rows, ledger, simulated=False) and _any_task(rows, ledger, simulated=True)


def dataset_rows_of(
    rows: Iterable[PromptRow], store: VideoStore, ledger: Ledger, *, simulated: bool
) -> Iterator[DatasetRow]:
    """Yields what is known of each row, in their order; no more than `ROWS_AT_ONCE` are held."""
    for some in chunked(rows, ROWS_AT_ONCE):
        prints = [row.request.fingerprint() for row in some]
        tasks = ledger.latest(list(dict.fromkeys(prints)), simulated=simulated)
        requests = {print_: row.request for print_, row in zip(prints, some, strict=True)}
        stored = {
            print_: _stored(store, print_, tasks.get(print_), request, simulated=simulated)
            for print_, request in requests.items()
        }
        for row, print_ in zip(some, prints, strict=True):
            yield DatasetRow(row, print_, tasks.get(print_), stored[print_])


def _any_task(rows: Sequence[PromptRow], ledger: Ledger, *, simulated: bool) -> bool:
    prints = ({row.request.fingerprint() for row in some} for some in chunked(rows, ROWS_AT_ONCE))
    return any(ledger.latest(sorted(some), simulated=simulated) for some in prints)


def _stored(
    store: VideoStore, fingerprint: str, task: Task | None, request: VideoRequest, *, simulated: bool
) -> StoredTask | None:
    """What the store has of the task that counts; of a row without one, what an older ledger may have bought."""
    if task is None:
        return store.find(fingerprint, simulated=simulated, former=request.former_fingerprint())
    return store.task(fingerprint, task.task_uuid, simulated=simulated, former=task.former_fingerprint)
