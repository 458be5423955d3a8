"""Polls many tasks with few requests: tasks that are due at the same time share a poll."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from more_itertools import chunked

from wan_assets.client import HttpConfig, RetryStatus, RunwareClient, TaskReport, is_over_capacity
from wan_assets.errors import AccessDeniedError, RunwareError

_POLLS_IN_DOUBT = 4
"""The number of polls of a report that may change: a finished result may get its address later, and a duplicate result
its own name.
"""

_SHARE_OF_AGE = 0.02
"""A task is polled again after this share of its age, so that its result is found with a proportional delay."""

_MAX_POSTS_A_SECOND = 100
"""The most polls per second if all tasks are late. With more tasks, each task is polled less often."""

_SHARE_OF_FASTEST = 0.9
_DURATIONS_KEPT = 20
"""How many recent durations are used to estimate the shortest duration of a task."""

_MAX_SKIPPED_POLLS = 6
"""No task is left unpolled for longer than this many maximum intervals, because a slow API may become fast again."""

_INTERVALS_AFTER_HINT = 2
"""A hint may arrive before the API reports the result, so the task is polled again soon."""

_BATCH_SHARE = 0.25
"""The interval between polls that are not full, as a share of the first delay, so that many tasks share a poll."""

_TICK = 0.1
"""The share of the batch interval after which the poller checks again for a full poll."""

_MAX_DOUBLINGS = 30

_SHARE_OF_FAILED_POLL = 4
"""After a failed poll, its tasks are polled again in this many smaller polls."""

_REFUSALS_THAT_END_POLLING = 2

_UNKNOWN_POLLS_OF_LOST_TASK = 2
"""A single answer that omits a task may be an error of the API."""


@dataclass(eq=False)
class _Waiter:
    task_uuid: str
    due: float
    started_at: float
    number_results: int = 1
    deadline: float = math.inf
    polled_at: float = -math.inf
    is_single_poll: bool = False
    is_hinted: bool = False
    uncertain_polls: int = 0
    unknown_polls: int = 0
    failures: int = 0
    max_together: int = 0
    answer: asyncio.Future[TaskReport] = field(default_factory=asyncio.Future)
    last: TaskReport = field(init=False)

    def __post_init__(self) -> None:
        self.last = TaskReport(self.task_uuid)

    def has_all(self, now: float) -> bool:
        """Whether the last report is final: it is complete, or the deadline has passed."""
        if self.is_single_poll:
            return True
        if self.last.is_complete(self.number_results):
            return not self.last.may_change(self.number_results) or self.uncertain_polls >= _POLLS_IN_DOUBT
        return now >= self.deadline and (self.last.is_known or self.unknown_polls >= _UNKNOWN_POLLS_OF_LOST_TASK)

    @property
    def may_join(self) -> bool:
        """Whether the task may be polled a little early: it was polled before, and only its age determines its next
        poll.
        """
        return self.polled_at > -math.inf and not (self.failures or self.uncertain_polls)

    def poll_soon(self, now: float, interval_s: float) -> None:
        """Makes the task due as soon as the interval since its last poll has passed.

        A task after an error, or with a report that may change, keeps its time: more polls would not help and would use
        up its tries.
        """
        if not (self.is_single_poll or self.failures or self.uncertain_polls):
            self.due = min(self.due, max(now, self.polled_at + interval_s))
            self.started_at, self.is_hinted = now, True

    def set_answer(self, answer: TaskReport | RunwareError) -> None:
        if self.answer.done():
            return
        if isinstance(answer, RunwareError):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


class Poller:
    """Polls every task that a caller waits for, in shared polls at common times."""

    def __init__(self, client: RunwareClient) -> None:
        self._client = client
        self._http_config: HttpConfig = client.http_config
        self._waiters: set[_Waiter] = set()
        self._unknown: set[str] = set()
        self._changed = asyncio.Event()
        self._batch_interval_s = min(
            self._http_config.initial_poll_delay_s * _BATCH_SHARE, self._http_config.webhook_poll_interval_s / 2
        )
        self._paused_until = 0.0
        self._next_partial_poll_at = 0.0
        self._why = ""
        self._refused: set[str] = set()
        self._took_s: deque[float] = deque(maxlen=_DURATIONS_KEPT)

    async def look(self, task_uuid: str) -> TaskReport:
        """Returns the API's current report of a task, finished or not; raises a `RunwareError` if there is no readable
        answer.
        """
        return await self._answer(_Waiter(task_uuid, asyncio.get_running_loop().time(), 0.0, is_single_poll=True))

    async def finished(self, task_uuid: str, number_results: int, wait_s: float, *, since_s: float = 0.0) -> TaskReport:
        """Returns the report of a finished task, or the last report when the time `wait_s`, in seconds, is over.

        `since_s` is the time since the submission. Raises `AccessDeniedError` if polling itself is refused. Raises the
        `RunwareBusyError` of the last poll if the answers are not sufficient even after that time to decide whether the
        API knows the task: an error does not mean that the task is lost.
        """
        now = asyncio.get_running_loop().time()
        waiter = _Waiter(task_uuid, 0.0, now - since_s, number_results=number_results, deadline=now + wait_s)
        waiter.due = max(now + self._http_config.initial_poll_delay_s, self._earliest(waiter))
        report = await self._answer(waiter)
        if report.results:
            self._took_s.append(asyncio.get_running_loop().time() - waiter.started_at)
        return report

    def _earliest(self, waiter: _Waiter) -> float:
        """Returns the earliest time at which a task may have finished, estimated from the last tasks; at most its
        deadline.
        """
        if waiter.is_hinted or not self._took_s:
            return -math.inf
        quiet_s = min(_SHARE_OF_FASTEST * min(self._took_s), _MAX_SKIPPED_POLLS * self._http_config.max_poll_interval_s)
        return min(waiter.started_at + quiet_s, waiter.deadline)

    async def _answer(self, waiter: _Waiter) -> TaskReport:
        self._waiters.add(waiter)
        self._changed.set()
        try:
            return await waiter.answer
        finally:
            self._waiters.discard(waiter)
            self._unknown.discard(waiter.task_uuid)

    @property
    def awaited(self) -> set[str]:
        """The tasks that a caller waits for."""
        return {waiter.task_uuid for waiter in self._waiters}

    @property
    def unknown(self) -> set[str]:
        """Awaited tasks that the API did not know in its last answers."""
        return self._unknown

    @property
    def retries(self) -> RetryStatus:
        """The tasks whose last poll failed."""
        waiting = sum(waiter.failures > 0 for waiter in self._waiters)
        return RetryStatus(waiting, self._why) if waiting else RetryStatus()

    def poll_soon(self, task_uuids: Collection[str]) -> None:
        """Polls some tasks now if they are awaited; each task at most once per `HttpConfig.webhook_poll_interval_s`."""
        now = asyncio.get_running_loop().time()
        for waiter in self._waiters:
            if waiter.task_uuid in task_uuids:
                waiter.poll_soon(now, self._http_config.webhook_poll_interval_s)
        self._changed.set()

    async def refresh(self) -> None:
        """Polls all submitted tasks without errors now; returns once all polls are answered."""
        now = asyncio.get_running_loop().time()
        polled = [each for each in self._waiters if not (each.is_single_poll or each.failures or math.isinf(each.due))]
        if now < self._paused_until:
            return
        for waiter in polled:
            waiter.polled_at, waiter.due = now, math.inf
        try:
            for some in chunked(polled, self._client.polls_per_post):
                await self._poll(some)
        finally:
            for waiter in polled:
                waiter.due = now if math.isinf(waiter.due) else waiter.due

    async def run(self) -> None:
        """Polls until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                for some in self._ready():
                    group.create_task(self._poll(some))
                await self._sleep_until_due(self._batch_interval_s * _TICK)

    def _ready(self) -> Iterator[list[_Waiter]]:
        """Yields the tasks of each poll to send now. A full poll is sent at once, a partial one at most once per batch
        interval.
        """
        now = asyncio.get_running_loop().time()
        for some, maximum in self._polls_of(self._due(now)):
            if len(some) < maximum:
                if now < self._next_partial_poll_at:
                    continue
                self._next_partial_poll_at = now + self._interval_after(some, now)
            for waiter in some:
                waiter.polled_at, waiter.due = now, math.inf
            yield some

    def _polls_of(self, due: list[_Waiter]) -> Iterator[tuple[list[_Waiter], int]]:
        """Yields the tasks that share a poll, and the maximum. It is smaller after a failed poll, so that a single task
        fails alone.
        """
        for maximum in sorted({waiter.max_together for waiter in due}):
            together = min(maximum or self._client.polls_per_post, self._client.polls_per_post)
            alike = [waiter for waiter in due if waiter.max_together == maximum]
            yield from ((some, together) for some in chunked(alike, together))

    def _interval_after(self, polled: list[_Waiter], now: float) -> float:
        """Returns how long other due tasks wait for the next partial poll; little if the tasks themselves are short."""
        ages_s = (now - waiter.started_at for waiter in polled if not waiter.is_hinted)
        return min(self._batch_interval_s, _SHARE_OF_AGE * min(ages_s, default=math.inf))

    def _due(self, now: float) -> list[_Waiter]:
        """Returns the tasks that are due, and with them tasks that were polled before and are due within the batch
        interval.
        """
        due = [waiter for waiter in self._waiters if waiter.due <= now]
        soon = now + self._batch_interval_s
        return due and due + [waiter for waiter in self._waiters if now < waiter.due <= soon and waiter.may_join]

    async def _sleep_until_due(self, least_s: float) -> None:
        """Sleeps until a task is due and polls are permitted; a new task or a hint ends the sleep."""
        if self._waiters:
            await asyncio.sleep(least_s)
        while (wait_s := self._until_due_s()) > 0:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s if wait_s < math.inf else None):
                    await self._changed.wait()

    def _until_due_s(self) -> float:
        soonest = min((waiter.due for waiter in self._waiters), default=math.inf)
        return max(soonest, self._paused_until) - asyncio.get_running_loop().time()

    async def _poll(self, polled: list[_Waiter]) -> None:
        try:
            reports = await self._client.poll({waiter.task_uuid for waiter in polled})
        except AccessDeniedError as error:
            self._note_refusal(polled, error)
        except RunwareError as error:
            self._why = str(error)
            is_pace = is_over_capacity(error)
            self._pause_polls(
                max(self._http_config.initial_retry_delay_s if is_pace else 0.0, error.fault.retry_after_s or 0.0)
            )
            for waiter in polled:
                # A rate limit first makes polls rarer. Smaller polls are used only if that did not help.
                if waiter.failures or not is_pace:
                    waiter.max_together = _fewer_than(polled)
                self._note_failure(waiter, error)
        else:
            self._refused.clear()
            for waiter in polled:
                self._note_report(waiter, reports.get(waiter.task_uuid, waiter.last))
        self._changed.set()

    def _note_refusal(self, polled: list[_Waiter], error: AccessDeniedError) -> None:
        """Ends a task that was refused alone. Ends all tasks after two refused alone without an answer in between.

        Tasks of a shared poll are polled again in smaller polls, because the refusal may concern one of them.
        """
        if len(polled) > 1:
            for waiter in polled:
                waiter.max_together, waiter.due = _fewer_than(polled), 0.0
            return
        self._refused.add(polled[0].task_uuid)
        is_of_all = len(self._refused) >= _REFUSALS_THAT_END_POLLING
        for waiter in self._waiters if is_of_all else polled:
            waiter.set_answer(error)

    def _pause_polls(self, retry_after_s: float) -> None:
        """Pauses all polls for the time that the API requests, unless the time is not plausible."""
        plausible_s = retry_after_s if retry_after_s <= self._http_config.max_retry_after_s else 0.0
        self._paused_until = asyncio.get_running_loop().time() + plausible_s

    def _note_failure(self, waiter: _Waiter, error: RunwareError) -> None:
        """Delays only the tasks of the failed poll."""
        waiter.failures += 1
        doubled = 2 ** min(waiter.failures - 1, _MAX_DOUBLINGS)
        now = asyncio.get_running_loop().time()
        waiter.due = now + min(self._http_config.max_retry_delay_s, self._http_config.initial_retry_delay_s * doubled)
        if waiter.failures >= self._http_config.max_tries and (waiter.is_single_poll or now >= waiter.deadline):
            waiter.set_answer(error)

    def _note_report(self, waiter: _Waiter, report: TaskReport) -> None:
        now = asyncio.get_running_loop().time()
        waiter.last = report
        waiter.failures = waiter.max_together = 0
        waiter.unknown_polls += not report.is_known
        is_unknown = not report.is_known and waiter.unknown_polls >= _UNKNOWN_POLLS_OF_LOST_TASK
        (self._unknown.add if is_unknown and not waiter.is_single_poll else self._unknown.discard)(waiter.task_uuid)
        first_s = (
            self._http_config.webhook_poll_interval_s * _INTERVALS_AFTER_HINT
            if waiter.is_hinted
            else self._http_config.initial_poll_delay_s / 2
        )
        turn_s = len(self._waiters) / self._client.polls_per_post / _MAX_POSTS_A_SECOND
        interval_s = max(first_s, turn_s, _SHARE_OF_AGE * (now - waiter.started_at))
        waiter.due = max(now + min(self._http_config.max_poll_interval_s, interval_s), self._earliest(waiter))
        if now < waiter.deadline:
            waiter.due = min(waiter.due, waiter.deadline)
        if report.is_complete(waiter.number_results):
            waiter.uncertain_polls += report.may_change(waiter.number_results)
        if waiter.has_all(now):
            waiter.set_answer(report)


def _fewer_than(polled: list[_Waiter]) -> int:
    return max(1, len(polled) // _SHARE_OF_FAILED_POLL)
