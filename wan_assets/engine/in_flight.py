"""Counts what a run has in flight: tasks at the API, files being stored, and money."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from wan_assets.client import RetryStatus
from wan_assets.engine.concurrency import LimitStatus
from wan_assets.engine.telemetry import instruments
from wan_assets.ledger import Task

_PENDING_SHOWN = 5


@dataclass(frozen=True)
class Pending:
    """A task that a run waits for, from `since` until `until`, in seconds since 1970.

    `until` is None for a task that another process works on. `is_unknown` states that the API did not know the task in
    its last answers.
    """

    task_uuid: str
    partition: str
    prompt_id: str
    since: float
    until: float | None
    is_unknown: bool = False

    @property
    def row(self) -> str:
        """The name of the row for people."""
        is_named = self.prompt_id not in ("-", self.partition)
        return f"{self.partition}/{self.prompt_id}" if is_named else self.partition


@dataclass(frozen=True)
class RunSnapshot:
    """The state of a run at one moment; money in µ$.

    `in_flight` tasks are at the API. The files of `storing` tasks are downloaded, checked and stored. The tasks of the
    run have cost `spent_microusd`, and `reserved_microusd` is reserved for their remaining cost. `room_microusd` is the
    amount that the tightest cap still permits over all runs; None means no cap. `retries` counts the calls that wait
    for a retry. `pending` are the tasks in flight with the longest wait at the moment `at`, in seconds since 1970;
    tasks that the API does not know come first. `limit` is the concurrency limit while it makes rows wait. It contains
    relative times, so it is excluded from comparisons.
    """

    in_flight: int = 0
    storing: int = 0
    spent_microusd: int = 0
    reserved_microusd: int = 0
    room_microusd: int | None = None
    is_simulated: bool = False
    retries: RetryStatus = field(default_factory=RetryStatus)
    pending: tuple[Pending, ...] = field(default=(), compare=False)
    at: float = field(default=0.0, compare=False)
    limit: LimitStatus | None = field(default=None, compare=False)


OnProgress: TypeAlias = Callable[[RunSnapshot], None]


class Tally:
    """Counts the tasks and the money of one run; it keeps only tasks that are not stored."""

    def __init__(self, *, simulated: bool) -> None:
        self.now = RunSnapshot(is_simulated=simulated)
        self._open: dict[str, Task] = {}
        self._pending: dict[str, Pending] = {}

    @contextmanager
    def at_api(self, task: Task, *, since: float, until: float) -> Iterator[None]:
        """Encloses the time in which a task is at the API; it is polled until a moment in seconds since 1970."""
        origin = task.origin
        self._pending[task.task_uuid] = Pending(task.task_uuid, origin.partition, origin.prompt_id, since, until)
        self._change_in_flight(1)
        try:
            yield
        finally:
            self._change_in_flight(-1)
            del self._pending[task.task_uuid]

    def wait_elsewhere(self, task: Task) -> None:
        """Records that a row waits for a task of another process."""
        origin, now = task.origin, time.time()
        self._pending.setdefault(task.task_uuid, Pending(task.task_uuid, origin.partition, origin.prompt_id, now, None))

    def wait_no_longer(self, task: Task) -> None:
        """Records that the row does not wait any more."""
        self._pending.pop(task.task_uuid, None)

    def longest_pending(self, unknown: Collection[str]) -> tuple[Pending, ...]:
        """Returns some of the tasks at the API: first those `unknown` to it, then those with the longest wait."""
        pending = (replace(one, is_unknown=one.task_uuid in unknown) for one in self._pending.values())
        return tuple(heapq.nsmallest(_PENDING_SHOWN, pending, key=lambda one: (not one.is_unknown, one.since)))

    @contextmanager
    def storing(self) -> Iterator[None]:
        """Encloses the time in which a task's files are stored."""
        self.now = replace(self.now, storing=self.now.storing + 1)
        try:
            yield
        finally:
            self.now = replace(self.now, storing=self.now.storing - 1)

    def record(self, task: Task) -> None:
        """Counts the current amounts of a task, in place of its earlier amounts."""
        before = self._open.get(task.task_uuid)
        self._open[task.task_uuid] = task
        if before and task.cost_microusd > before.cost_microusd:
            cost_microusd = task.cost_microusd - before.cost_microusd
            instruments().spend(cost_microusd, simulated=self.now.is_simulated)
        self._add(
            spent=task.cost_microusd - (before.cost_microusd if before else 0),
            reserved=task.reserved_microusd - (before.reserved_microusd if before else 0),
        )

    def free(self, task_uuid: str) -> None:
        """Counts a task's reservation as released."""
        if before := self._open.pop(task_uuid, None):
            self._add(reserved=-before.reserved_microusd)

    def end(self, task_uuid: str) -> None:
        """Removes a task whose amounts will not change any more."""
        self._open.pop(task_uuid, None)

    def _change_in_flight(self, tasks: int) -> None:
        self.now = replace(self.now, in_flight=self.now.in_flight + tasks)
        instruments().change_in_flight(tasks, simulated=self.now.is_simulated)

    def _add(self, *, spent: int = 0, reserved: int = 0) -> None:
        spent, reserved = self.now.spent_microusd + spent, self.now.reserved_microusd + reserved
        self.now = replace(self.now, spent_microusd=spent, reserved_microusd=reserved)
