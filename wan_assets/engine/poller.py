"""Waiting for many tasks with few polls: those that are due at the same time share one."""

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
"""A result that has finished may get its address a little later, and one that is listed twice may get its own name."""

_SHARE_OF_AGE = 0.02
"""A task is asked for again after this share of the time it has taken so far, so that it is found about as soon."""

_MAX_POSTS_A_SECOND = 100
"""So often it would ask if all tasks were running late: the more there are, the longer each is left alone."""

_SHARE_OF_QUICKEST = 0.9
_QUICKEST_OF = 20
"""So many of the last tasks tell how long the next one takes at least."""

_QUIET_POLLS = 6
"""An API that was slow may be quick again: no task is left alone for longer than so many of the longest waits."""

_BEATS_AFTER_WAKE = 2
"""A wake may come before the API tells of the result, which is then asked for again soon."""

_BEAT = 0.25
"""Polls that are not full are at most this share of the first wait apart, so that many tasks share one."""

_TICK = 0.1
"""How often within a beat it looks whether a poll is full."""

_MAX_DOUBLINGS = 30

_SHARE_OF_FAILED_POLL = 4
"""Tasks whose poll has failed are asked for again in so many smaller polls."""

_REFUSALS_OF_ALL = 2

_SILENCES_OF_A_LOST_TASK = 2
"""One answer that leaves a task out may be a slip."""


@dataclass(eq=False)
class _Waiter:
    task_uuid: str
    due: float
    begun: float
    number_results: int = 1
    deadline: float = math.inf
    polled_at: float = -math.inf
    is_single_poll: bool = False
    is_hinted: bool = False
    uncertain_polls: int = 0
    silences: int = 0
    failures: int = 0
    max_together: int = 0
    answer: asyncio.Future[TaskReport] = field(default_factory=asyncio.Future)
    last: TaskReport = field(init=False)

    def __post_init__(self) -> None:
        self.last = TaskReport(self.task_uuid)

    def has_all(self, now: float) -> bool:
        """Whether the last report is what was waited for: all there is, or all that there will be in time."""
        if self.is_single_poll:
            return True
        if self.last.is_complete(self.number_results):
            return not self.last.may_change(self.number_results) or self.uncertain_polls >= _POLLS_IN_DOUBT
        return now >= self.deadline and (self.last.is_known or self.silences >= _SILENCES_OF_A_LOST_TASK)

    @property
    def may_join(self) -> bool:
        """Whether it may be asked for a little early: it was asked before, and nothing but its age sets its time."""
        return self.polled_at > -math.inf and not (self.failures or self.uncertain_polls)

    def poll_soon(self, now: float, beat_s: float) -> None:
        """Makes it due as soon as it was not polled for a beat.

        Not where trouble or a missing address set its time: more polls would not help, and use up its patience.
        """
        if not (self.is_single_poll or self.failures or self.uncertain_polls):
            self.due = min(self.due, max(now, self.polled_at + beat_s))
            self.begun, self.is_hinted = now, True

    def give(self, answer: TaskReport | RunwareError) -> None:
        if self.answer.done():
            return
        if isinstance(answer, RunwareError):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


class Poller:
    """Asks for every task that somebody waits for, in shared polls on a common beat."""

    def __init__(self, client: RunwareClient) -> None:
        self._client = client
        self._http_config: HttpConfig = client.http_config
        self._waiters: set[_Waiter] = set()
        self._unknown: set[str] = set()
        self._changed = asyncio.Event()
        self._beat_s = min(
            self._http_config.initial_poll_delay_s * _BEAT, self._http_config.webhook_poll_interval_s / 2
        )
        self._silent_until = 0.0
        self._spaced_until = 0.0
        self._why = ""
        self._refused: set[str] = set()
        self._took_s: deque[float] = deque(maxlen=_QUICKEST_OF)

    async def look(self, task_uuid: str) -> TaskReport:
        """What the API says of a task now, finished or not; raises a `RunwareError` when it says nothing readable."""
        return await self._answer(_Waiter(task_uuid, asyncio.get_running_loop().time(), 0.0, is_single_poll=True))

    async def finished(self, task_uuid: str, number_results: int, wait_s: float, *, since_s: float = 0.0) -> TaskReport:
        """The report of a finished task, or the last one there was when the time is up, in seconds.

        `since_s` is how long ago it was sent. Raises `AccessDeniedError` when polling itself is refused, and the
        `RunwareBusyError` of the last poll when even after that time the API answers too little to tell whether it
        knows the task: trouble is no sign of its loss.
        """
        now = asyncio.get_running_loop().time()
        waiter = _Waiter(task_uuid, 0.0, now - since_s, number_results=number_results, deadline=now + wait_s)
        waiter.due = max(now + self._http_config.initial_poll_delay_s, self._earliest(waiter))
        report = await self._answer(waiter)
        if report.results:
            self._took_s.append(asyncio.get_running_loop().time() - waiter.begun)
        return report

    def _earliest(self, waiter: _Waiter) -> float:
        """When a task may have finished, as far as the last ones tell; its deadline at the latest."""
        if waiter.is_hinted or not self._took_s:
            return -math.inf
        quiet_s = min(_SHARE_OF_QUICKEST * min(self._took_s), _QUIET_POLLS * self._http_config.max_poll_interval_s)
        return min(waiter.begun + quiet_s, waiter.deadline)

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
        """All tasks that somebody waits for."""
        return {waiter.task_uuid for waiter in self._waiters}

    @property
    def unknown(self) -> set[str]:
        """Tasks that are waited for, and that the API has not known in its last answers."""
        return self._unknown

    @property
    def retries(self) -> RetryStatus:
        """Tasks whose last poll was in vain."""
        waiting = sum(waiter.failures > 0 for waiter in self._waiters)
        return RetryStatus(waiting, self._why) if waiting else RetryStatus()

    def poll_soon(self, task_uuids: Collection[str]) -> None:
        """Polls some tasks now, as far as they are waited for; each at most once in `HttpConfig.wake_s`."""
        now = asyncio.get_running_loop().time()
        for waiter in self._waiters:
            if waiter.task_uuid in task_uuids:
                waiter.poll_soon(now, self._http_config.webhook_poll_interval_s)
        self._changed.set()

    async def refresh(self) -> None:
        """Polls all tasks that were sent and that nothing is wrong with, now; returns once all were answered."""
        now = asyncio.get_running_loop().time()
        asked = [each for each in self._waiters if not (each.is_single_poll or each.failures or math.isinf(each.due))]
        if now < self._silent_until:
            return
        for waiter in asked:
            waiter.polled_at, waiter.due = now, math.inf
        try:
            for some in chunked(asked, self._client.polls_per_post):
                await self._poll(some)
        finally:
            for waiter in asked:
                waiter.due = now if math.isinf(waiter.due) else waiter.due

    async def run(self) -> None:
        """Polls until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                for some in self._ready():
                    group.create_task(self._poll(some))
                await self._sleep_until_due(self._beat_s * _TICK)

    def _ready(self) -> Iterator[list[_Waiter]]:
        """Those to ask for now, by poll: what fills one goes at once, the rest when the last such was a beat ago."""
        now = asyncio.get_running_loop().time()
        for some, maximum in self._polls_of(self._due(now)):
            if len(some) < maximum:
                if now < self._spaced_until:
                    continue
                self._spaced_until = now + self._beat_after(some, now)
            for waiter in some:
                waiter.polled_at, waiter.due = now, math.inf
            yield some

    def _polls_of(self, due: list[_Waiter]) -> Iterator[tuple[list[_Waiter], int]]:
        """Those that share a poll, and how many may: fewer where the last poll failed, so that one task fails alone."""
        for maximum in sorted({waiter.max_together for waiter in due}):
            together = min(maximum or self._client.polls_per_post, self._client.polls_per_post)
            alike = [waiter for waiter in due if waiter.max_together == maximum]
            yield from ((some, together) for some in chunked(alike, together))

    def _beat_after(self, asked: list[_Waiter], now: float) -> float:
        """How long others that are due wait for the next poll: little where the tasks themselves take little."""
        ages_s = (now - waiter.begun for waiter in asked if not waiter.is_hinted)
        return min(self._beat_s, _SHARE_OF_AGE * min(ages_s, default=math.inf))

    def _due(self, now: float) -> list[_Waiter]:
        """Those whose time has come, and with them those that were asked for before and are due within a beat."""
        due = [waiter for waiter in self._waiters if waiter.due <= now]
        soon = now + self._beat_s
        return due and due + [waiter for waiter in self._waiters if now < waiter.due <= soon and waiter.may_join]

    async def _sleep_until_due(self, least_s: float) -> None:
        """Sleeps until somebody is due and polls are wanted; who is due may come or be woken meanwhile."""
        if self._waiters:
            await asyncio.sleep(least_s)
        while (wait_s := self._until_due_s()) > 0:
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s if wait_s < math.inf else None):
                    await self._changed.wait()

    def _until_due_s(self) -> float:
        soonest = min((waiter.due for waiter in self._waiters), default=math.inf)
        return max(soonest, self._silent_until) - asyncio.get_running_loop().time()

    async def _poll(self, asked: list[_Waiter]) -> None:
        try:
            reports = await self._client.poll({waiter.task_uuid for waiter in asked})
        except AccessDeniedError as error:
            self._note_refusal(asked, error)
        except RunwareError as error:
            self._why = str(error)
            is_pace = is_over_capacity(error)
            self._be_silent(
                max(self._http_config.initial_retry_delay_s if is_pace else 0.0, error.fault.retry_after_s or 0.0)
            )
            for waiter in asked:
                # Too many polls are asked for less often, and in smaller ones only where that did not help.
                if waiter.failures or not is_pace:
                    waiter.max_together = _fewer_than(asked)
                self._note_failure(waiter, error)
        else:
            self._refused.clear()
            for waiter in asked:
                self._note_report(waiter, reports.get(waiter.task_uuid, waiter.last))
        self._changed.set()

    def _note_refusal(self, asked: list[_Waiter], error: AccessDeniedError) -> None:
        """Ends a task that was asked for alone, and all when two have been refused alone and none was answered since.

        Tasks that were asked for together are asked for again in smaller polls: the refusal may be about one of them.
        """
        if len(asked) > 1:
            for waiter in asked:
                waiter.max_together, waiter.due = _fewer_than(asked), 0.0
            return
        self._refused.add(asked[0].task_uuid)
        is_of_all = len(self._refused) >= _REFUSALS_OF_ALL
        for waiter in self._waiters if is_of_all else asked:
            waiter.give(error)

    def _be_silent(self, asked_s: float) -> None:
        """Asks nothing for as long as the API wants to be left alone, unless that is longer than any wait."""
        plausible_s = asked_s if asked_s <= self._http_config.max_retry_after_s else 0.0
        self._silent_until = asyncio.get_running_loop().time() + plausible_s

    def _note_failure(self, waiter: _Waiter, error: RunwareError) -> None:
        """Puts off those that were asked for, and no others."""
        waiter.failures += 1
        doubled = 2 ** min(waiter.failures - 1, _MAX_DOUBLINGS)
        now = asyncio.get_running_loop().time()
        waiter.due = now + min(self._http_config.max_retry_delay_s, self._http_config.initial_retry_delay_s * doubled)
        if waiter.failures >= self._http_config.max_tries and (waiter.is_single_poll or now >= waiter.deadline):
            waiter.give(error)

    def _note_report(self, waiter: _Waiter, report: TaskReport) -> None:
        now = asyncio.get_running_loop().time()
        waiter.last = report
        waiter.failures = waiter.max_together = 0
        waiter.silences += not report.is_known
        is_unknown = not report.is_known and waiter.silences >= _SILENCES_OF_A_LOST_TASK
        (self._unknown.add if is_unknown and not waiter.is_single_poll else self._unknown.discard)(waiter.task_uuid)
        first_s = (
            self._http_config.webhook_poll_interval_s * _BEATS_AFTER_WAKE
            if waiter.is_hinted
            else self._http_config.initial_poll_delay_s / 2
        )
        turn_s = len(self._waiters) / self._client.polls_per_post / _MAX_POSTS_A_SECOND
        interval_s = max(first_s, turn_s, _SHARE_OF_AGE * (now - waiter.begun))
        waiter.due = max(now + min(self._http_config.max_poll_interval_s, interval_s), self._earliest(waiter))
        if now < waiter.deadline:
            waiter.due = min(waiter.due, waiter.deadline)
        if report.is_complete(waiter.number_results):
            waiter.uncertain_polls += report.may_change(waiter.number_results)
        if waiter.has_all(now):
            waiter.give(report)


def _fewer_than(asked: list[_Waiter]) -> int:
    return max(1, len(asked) // _SHARE_OF_FAILED_POLL)
