"""The files of a table's rows, each with the money that is told with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wan_assets.dataset.costs import costs_of
from wan_assets.dataset.subjects import Subject
from wan_assets.ledger import Origin
from wan_assets.request import VideoRequest
from wan_assets.store import StoredTask, StoredVideo


@dataclass(frozen=True)
class Entry:
    """One file: the row it was made for, its number among the results, and the money that is told with it."""

    subject: Subject
    stored: StoredTask
    video: StoredVideo
    number: int
    cost_microusd: int | None
    reserved_microusd: int

    @property
    def request(self) -> VideoRequest:
        return self.subject.row.request

    @property
    def origin(self) -> Origin | None:
        return self.subject.task.origin if self.subject.task else None


def entries_of(subjects: Iterable[Subject]) -> Iterator[Entry]:
    """Yields the files of all rows; the money of a task that several rows share is told with the first."""
    told: set[str] = set()
    for subject in subjects:
        if subject.stored is None:
            continue
        costs, reserved = costs_of(subject.task, subject.stored)
        if subject.stored.task_uuid in told:
            costs, reserved = [0] * len(costs), 0
        told.add(subject.stored.task_uuid)
        for number, (video, cost) in enumerate(zip(subject.stored.videos, costs, strict=True), 1):
            yield Entry(subject, subject.stored, video, number, cost, reserved if number == 1 else 0)
