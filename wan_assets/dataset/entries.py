"""The entries of a dataset: every file of every row, with its cost and its reserved amount."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from wan_assets.dataset.cost_shares import costs_of
from wan_assets.dataset.rows import DatasetRow, dataset_rows_of, is_all_simulated
from wan_assets.ledger import CheckRecord, Decision, DecisionValue, Ledger, Origin, VideoKey
from wan_assets.models import VideoRequest
from wan_assets.prompts import PromptTable
from wan_assets.store import StoredTask, StoredVideo, VideoStore

Only: TypeAlias = Literal["approved"]
"""The videos that a dataset is limited to."""

WITHOUT_VIDEO = "without_video"

_LEFT_OUT = (DecisionValue.UNDECIDED.value, DecisionValue.REJECTED.value, DecisionValue.RETAKE.value, WITHOUT_VIDEO)


@dataclass(frozen=True)
class Entry:
    """One file: its row, its number among the results from 1, its cost in µ$ and the amount reserved for it in µ$."""

    dataset_row: DatasetRow
    stored: StoredTask
    video: StoredVideo
    number: int
    cost_microusd: int | None
    reserved_microusd: int

    @property
    def request(self) -> VideoRequest:
        """The request of the row."""
        return self.dataset_row.row.request

    @property
    def take(self) -> int:
        """The number of the row's take that the file is of."""
        return self.dataset_row.take

    @property
    def checks(self) -> list[CheckRecord]:
        """The results of checks that users define."""
        return [check for check in self.dataset_row.checks if check.number == self.number]

    @property
    def key(self) -> VideoKey:
        """The key under which decisions about the file are recorded."""
        return VideoKey(self.stored.fingerprint, self.video.sha256, self.number)

    @property
    def decisions(self) -> Sequence[Decision]:
        """All decisions about the file, oldest first."""
        return self.dataset_row.decisions.get(self.key, ())

    @property
    def decision(self) -> Decision | None:
        """The decision that applies; None if nobody has decided, or the decision was withdrawn."""
        last = self.decisions[-1] if self.decisions else None
        return None if last is None or last.value is DecisionValue.UNDECIDED else last

    @property
    def is_approved(self) -> bool:
        """Whether the decision that applies approves the file."""
        return self.decision is not None and self.decision.is_approved

    @property
    def origin(self) -> Origin | None:
        """The run, asset and partition of the task; None if the ledger does not contain the task."""
        return self.dataset_row.task.origin if self.dataset_row.task else None


@dataclass
class EntryTotals:
    """The totals of the entries read so far; `missing` counts rows without a video, and money is in µ$.

    `decisions` counts the rows with a video by the decision about it.

    If the entries are limited to approved videos, `left_out` counts the rows without one, by the decision about them or
    as `without_video`, and `missing` counts the rows whose approved video is not in the store.
    """

    rows: int = 0
    missing: int = 0
    cost_microusd: int = 0
    unknown_cost_count: int = 0
    extra_columns: set[str] = field(default_factory=set)
    left_out: dict[str, int] = field(default_factory=dict)
    decisions: Counter[DecisionValue] = field(default_factory=Counter)


class Entries:
    """The files of a table's rows in table order, read during iteration; `totals` counts the files read so far.

    By default, simulated videos are included only if no row has a real task. The data of 500 rows is in memory at a
    time. If several rows share a task, its cost is assigned to the first of them and is 0 for the others.

    A row has the files of its chosen take; with `all_takes`, those of all takes. With `only="approved"`, it has only
    its approved files.
    """

    def __init__(
        self,
        table: PromptTable,
        *,
        store: VideoStore,
        ledger: Ledger,
        simulated: bool | None = None,
        all_takes: bool = False,
        only: Only | None = None,
    ) -> None:
        self.only = only
        self.is_simulated = is_all_simulated(table.rows, ledger) if simulated is None else simulated
        self.totals = EntryTotals(left_out=dict.fromkeys(_LEFT_OUT, 0) if only else {})
        self._dataset_rows = dataset_rows_of(
            table.rows, store, ledger, simulated=self.is_simulated, all_takes=all_takes
        )
        self._reported: set[str] = set()

    def __iter__(self) -> Iterator[Entry]:
        """Yields the entries that have not been read yet."""
        for dataset_row in self._dataset_rows:
            self.totals.extra_columns.update(dataset_row.row.extra)
            if dataset_row.stored is not None:
                self.totals.decisions[dataset_row.value] += 1
            if self.only and dataset_row.value is not DecisionValue.APPROVED:
                self._leave_out(dataset_row)
                continue
            rows = self.totals.rows
            if dataset_row.stored is not None:
                yield from self._files_of(dataset_row, dataset_row.stored)
            self.totals.missing += self.totals.rows == rows

    def _leave_out(self, dataset_row: DatasetRow) -> None:
        """Counts a row without an approved video."""
        reason = dataset_row.value.value if dataset_row.stored else WITHOUT_VIDEO
        self.totals.left_out[reason] += 1

    def _files_of(self, dataset_row: DatasetRow, stored: StoredTask) -> Iterator[Entry]:
        costs, reserved = costs_of(dataset_row.task, stored)
        if stored.task_uuid in self._reported:
            costs, reserved = [0] * len(costs), 0
        self._reported.add(stored.task_uuid)
        for number, (video, cost) in enumerate(zip(stored.videos, costs, strict=True), 1):
            entry = Entry(dataset_row, stored, video, number, cost, reserved if number == 1 else 0)
            if self.only and not entry.is_approved:
                continue
            self.totals.rows += 1
            self.totals.cost_microusd += cost or 0
            self.totals.unknown_cost_count += cost is None
            yield entry
