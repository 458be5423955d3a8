"""Slots for tasks: how many a run works on at once, and which of them may be submitted now."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field

from wan_assets.client import HttpConfig
from wan_assets.durations import duration_text
from wan_assets.engine.concurrency import AdaptiveLimit, LimitConfig, LimitStatus, fair_share
from wan_assets.engine.slot_states import Slot, SlotState
from wan_assets.engine.telemetry import instruments
from wan_assets.errors import ApiFault, RunwareBusyError, WanAssetsError
from wan_assets.ledger import LearnedLimit, RunNeeds, SharedLimit

_SETTLING_S = 0.05
"""Rows need a moment to take note of a poll."""

_MEASURED_S = 5.0
"""The polls after a refusal may take so long."""

_MIN_S = 0.005


_OCCUPYING = (SlotState.SENDING, SlotState.POSTED, SlotState.IN_FLIGHT)


@dataclass(eq=False)
class _Waiter:
    slot: Slot
    to: SlotState
    not_before: float = -math.inf
    done: asyncio.Future[None] = field(default_factory=asyncio.Future)


class Slots:
    """All slots of one run, as many as `maximum`; `refresh` polls every task that the run waits for.

    Tasks are submitted within the adaptive limit, which all runs of the account share: `needs` and `news` are for the
    other runs, and `hear` takes what they say. `not_begun` is the number of rows that do not ask for a slot yet.
    After `stall_s` seconds in which the API refused tasks and none was accepted or finished, rows that wait fail.
    """

    def __init__(
        self,
        maximum: int,
        http_config: HttpConfig,
        refresh: Callable[[], Awaitable[None]],
        *,
        unknown: Collection[str],
        stall_s: float,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._initial_retry_delay_s = http_config.initial_retry_delay_s
        config = LimitConfig(hold_s=http_config.initial_retry_delay_s, max_hold_s=http_config.max_retry_delay_s)
        self._asked_most_s = http_config.max_retry_after_s
        self._has_accepted = False
        self._has_waited = False
        self._limit = AdaptiveLimit(config, self._loop.time())
        self._most = maximum
        self._refresh = refresh
        self._unknown = unknown
        self._stall_s = stall_s
        self._counts: Counter[SlotState] = Counter()
        self._waiting: deque[_Waiter] = deque()
        self._posting: deque[_Waiter] = deque()
        self._others: tuple[RunNeeds, ...] = ()
        self._reported = self._heard = self._limit.learned(self._loop.time())
        self._moved_at = self._loop.time()
        self._refusal: ApiFault | None = None
        self._measuring: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed_by: WanAssetsError | None = None
        self.not_begun = 0

    def close(self) -> None:
        """Ends what still runs."""
        if self._timer:
            self._timer.cancel()
        if self._measuring:
            self._measuring.cancel()

    def refuse(self, error: WanAssetsError) -> None:
        """Raises an error for all rows that wait to submit a task, now and later."""
        self._closed_by = error
        self._fail(error)

    async def moved(self, slot: Slot, to: SlotState, *, is_first: bool = False, not_before: float = -math.inf) -> None:
        """Waits until a slot may have a state, and gives it; `is_first` lets it wait before all others."""
        if self._closed_by and to is not SlotState.HELD:
            raise self._closed_by
        waiter, queue = _Waiter(slot, to, not_before), self._posting if to is SlotState.POSTED else self._waiting
        (queue.appendleft if is_first else queue.append)(waiter)
        self.pump()
        try:
            await waiter.done
        finally:
            if waiter in queue:
                queue.remove(waiter)

    def move(self, slot: Slot, to: SlotState) -> None:
        """Gives a slot a state for which no row has to wait."""
        if slot.state is not to:
            self._set(slot, to)
            self.pump()

    def accepted(self, slot: Slot, latency_s: float) -> None:
        """Notes that the API has accepted a task."""
        now = self._moved_at = self._loop.time()
        self._has_accepted = True
        self._set(slot, SlotState.IN_FLIGHT)
        if self._limit.accepted(now, self._in_flight, latency_s) and not self._measuring:
            self._measuring = asyncio.create_task(self._measure(is_refusal=False))
        self.pump()

    def is_hopeless(self, fault: ApiFault) -> bool:
        """Whether the API accepts nothing, and asks to be left alone for longer than anybody waits."""
        is_too_long = (fault.retry_after_s or 0.0) > self._asked_most_s
        return is_too_long and not (self._has_accepted or self._in_flight)

    async def refused(self, slot: Slot, fault: ApiFault, *, times: int) -> None:
        """Waits after a refusal, the first or a later one of a task, until it may be submitted again.

        The first time it is the next one. Later, or where the API works on nothing, the others try before it: it may be
        this task alone that the API does not take. A long Retry-After is for this task alone.
        """
        self._note_refusal(slot, fault)
        is_first = times == 1 and self._in_flight > 0
        wait_s = max(self._initial_retry_delay_s, min(fault.retry_after_s or 0.0, self._asked_most_s))
        not_before = self._loop.time() + wait_s
        await self.moved(slot, SlotState.SENDING, is_first=is_first, not_before=not_before)

    def _note_refusal(self, slot: Slot, fault: ApiFault) -> None:
        self._refusal = fault
        self._set(slot, SlotState.REFUSED)
        instruments().refuse()
        if self._limit.refused(self._loop.time(), fault.retry_after_s, self._senders + self.not_begun + 1):
            if self._measuring:
                self._measuring.cancel()
            self._measuring = asyncio.create_task(self._measure(is_refusal=True))

    @property
    def is_quiet(self) -> bool:
        """Whether no row waits or has waited since the other runs were told, and no other run is known."""
        return not (self._senders or self._has_waited or self._others)

    def needs(self, owner: str) -> RunNeeds:
        """What this run needs of the limit."""
        waiting = self._senders and self._senders + min(self.not_begun, self._most)
        has_waited, self._has_waited = self._has_waited, waiting > 0
        moved_ago_s = self._loop.time() - self._moved_at
        return RunNeeds(owner, self._own_in_flight, waiting, moved_ago_s, has_waited=has_waited)

    def learned_changes(self) -> LearnedLimit | None:
        """What this run has learned since it was asked last; None where nothing has changed."""
        learned, reported = self._limit.learned(self._loop.time()), self._reported
        if (learned.limit, learned.ceiling) == (reported.limit, reported.ceiling):
            return None
        self._reported = learned
        return learned

    def apply_shared(self, shared: SharedLimit) -> None:
        """Takes what other runs need and have learned."""
        now, heard = self._loop.time(), self._heard
        self._others = shared.others
        self._moved_at = max(self._moved_at, *(now - run.moved_ago_s for run in shared.others), -math.inf)
        if (said := shared.learned) and (said.limit, said.ceiling) != (heard.limit, heard.ceiling):
            self._limit.adopt(now, said)
            self._heard, self._reported = said, self._limit.learned(now)
        self.pump()

    def describe(self) -> LimitStatus | None:
        """The limit and its reason, while it keeps rows waiting."""
        if not self._senders or self._held >= self._most:
            return None
        return self._limit.describe(self._loop.time(), self._allowance)

    def pump(self) -> None:
        """Lets rows go on whose turn has come."""
        now = self._loop.time()
        if self._senders:
            self._limit.tick(now, self._in_flight, self._senders + self.not_begun)
        while waiter := self._next_poster(now) or self._next_waiter(now):
            if not waiter.done.done():  # else its row was cancelled a moment ago
                self._set(waiter.slot, waiter.to)
                waiter.done.set_result(None)
        self._fail_if_stalled(now)
        self._wake_at(self._next_at(now))

    @property
    def _in_flight(self) -> int:
        """Tasks at the API, of all runs."""
        return self._own_in_flight + sum(run.in_flight for run in self._others)

    @property
    def _own_in_flight(self) -> int:
        """Tasks of this run that the API works on: one that it does not know takes up none of its capacity."""
        return max(0, self._counts[SlotState.IN_FLIGHT] - len(self._unknown))

    @property
    def _held(self) -> int:
        return sum(self._counts[state] for state in (SlotState.HELD, *_OCCUPYING))

    @property
    def _occupied(self) -> int:
        return self._counts[SlotState.SENDING] + self._counts[SlotState.POSTED] + self._own_in_flight

    @property
    def _senders(self) -> int:
        """Rows that wait to submit a task."""
        return len(self._posting) + sum(waiter.to is SlotState.SENDING for waiter in self._waiting)

    @property
    def _allowance(self) -> int:
        """Tasks that this run may have at the API."""
        limit, others = self._limit.limit, [run.in_flight + run.waiting for run in self._others]
        wanted = self._occupied + self._senders + self.not_begun
        return min(fair_share(limit, wanted, others), limit - sum(run.in_flight for run in self._others))

    def _is_closed(self, now: float) -> bool:
        return now < self._limit.hold_until or self._measuring is not None

    def _next_poster(self, now: float) -> _Waiter | None:
        unanswered = self._counts[SlotState.POSTED]
        if not self._posting or self._is_closed(now) or unanswered >= self._limit.max_unanswered(now):
            return None
        has_room = self._own_in_flight + unanswered < self._allowance
        return self._posting.popleft() if has_room else None

    def _next_waiter(self, now: float) -> _Waiter | None:
        has_room = not self._is_closed(now) and self._occupied < self._allowance
        has_slot = self._held < self._most
        for waiter in self._waiting:
            is_ready = has_room or waiter.to is not SlotState.SENDING
            needs_slot = waiter.slot.state in (SlotState.FREE, SlotState.REFUSED)
            # Each row that was refused keeps a reservation, so that there are few of them.
            is_one_too_many = waiter.slot.state is SlotState.FREE and self._counts[SlotState.REFUSED] > self._most
            if is_ready and (has_slot or not needs_slot) and not is_one_too_many and now >= waiter.not_before:
                self._waiting.remove(waiter)
                return waiter
        return None

    def _set(self, slot: Slot, to: SlotState) -> None:
        if slot.state is SlotState.IN_FLIGHT:
            self._moved_at = self._loop.time()
        self._counts[slot.state] -= 1
        self._counts[to] += 1
        slot.state = to

    async def _measure(self, *, is_refusal: bool) -> None:
        """Counts the tasks in flight once all have been polled: some may have finished unnoticed."""
        try:
            async with asyncio.timeout(_MEASURED_S):
                await self._refresh()
        except TimeoutError:
            pass  # then the number is taken as it is known
        await asyncio.sleep(_SETTLING_S)
        self._measuring = None
        if is_refusal:
            self._limit.measured_at_refusal(self._in_flight)
        else:
            self._limit.measured_above(self._loop.time(), self._in_flight)
        self.pump()

    def _fail_if_stalled(self, now: float) -> None:
        is_over = now >= self._moved_at + self._stall_s
        if not (is_over and self._refusal and self._limit.streak and self._senders and not self._in_flight):
            return
        waited = f"the API has accepted and finished no task for {duration_text(self._stall_s)}, and refuses more"
        fault = ApiFault(
            self._refusal.code, f"{waited}: {self._refusal.message}", http_status=self._refusal.http_status
        )
        self._fail(RunwareBusyError(fault))

    def _fail(self, error: WanAssetsError) -> None:
        for queue in (self._posting, self._waiting):
            for waiter in [waiter for waiter in queue if waiter.to is not SlotState.HELD]:
                queue.remove(waiter)
                if not waiter.done.done():
                    waiter.done.set_exception(error)

    def _next_at(self, now: float) -> float:
        """When the passage of time alone lets rows go on."""
        if not self._senders:
            return math.inf
        times = (self._moved_at + self._stall_s, *(waiter.not_before for waiter in self._waiting))
        return min(self._limit.next_at(now), *(at for at in times if at > now), math.inf)

    def _wake_at(self, when: float) -> None:
        if self._timer:
            self._timer.cancel()
        soonest = self._loop.time() + _MIN_S
        self._timer = None if math.isinf(when) else self._loop.call_at(max(when, soonest), self.pump)
