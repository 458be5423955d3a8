"""Assigns slots to rows: limits how many tasks a run works on, and when each may be submitted."""

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
"""Rows need this time to process the result of a poll."""

_MEASURED_S = 5.0
"""The time limit of the polls after a refusal."""

_MIN_S = 0.005


_OCCUPYING = (SlotState.SENDING, SlotState.POSTED, SlotState.IN_FLIGHT)


@dataclass(eq=False)
class _Waiter:
    slot: Slot
    to: SlotState
    not_before: float = -math.inf
    done: asyncio.Future[None] = field(default_factory=asyncio.Future)


class Slots:
    """All slots of one run, at most `maximum`; `refresh` polls every task that the run waits for.

    Tasks are submitted within the adaptive limit, which all runs of the account share: `needs` and `learned_changes`
    are for the other runs, and `apply_shared` takes their data. `not_begun` is the number of rows that do not need a
    slot yet. If the API refuses tasks, and accepts and finishes none for `stall_s` seconds, waiting rows fail.
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
        self._max_retry_after_s = http_config.max_retry_after_s
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
        self._reported = self._applied = self._limit.learned(self._loop.time())
        self._progress_at = self._loop.time()
        self._refusal: ApiFault | None = None
        self._measuring: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed_by: WanAssetsError | None = None
        self.not_begun = 0

    def close(self) -> None:
        """Cancels timers and background work."""
        if self._timer:
            self._timer.cancel()
        if self._measuring:
            self._measuring.cancel()

    def refuse(self, error: WanAssetsError) -> None:
        """Raises an error for all rows that wait to submit a task, now and later."""
        self._closed_by = error
        self._fail(error)

    async def moved(self, slot: Slot, to: SlotState, *, is_first: bool = False, not_before: float = -math.inf) -> None:
        """Waits until a slot may get a state, and sets it; `is_first` puts the slot before all others."""
        if self._closed_by and to is not SlotState.HELD:
            raise self._closed_by
        waiter, queue = _Waiter(slot, to, not_before), self._posting if to is SlotState.POSTED else self._waiting
        (queue.appendleft if is_first else queue.append)(waiter)
        self.admit_waiting()
        try:
            await waiter.done
        finally:
            if waiter in queue:
                queue.remove(waiter)

    def move(self, slot: Slot, to: SlotState) -> None:
        """Sets a state for which no row has to wait."""
        if slot.state is not to:
            self._set(slot, to)
            self.admit_waiting()

    def accepted(self, slot: Slot, latency_s: float) -> None:
        """Records that the API has accepted a task."""
        now = self._progress_at = self._loop.time()
        self._has_accepted = True
        self._set(slot, SlotState.IN_FLIGHT)
        if self._limit.accepted(now, self._in_flight, latency_s) and not self._measuring:
            self._measuring = asyncio.create_task(self._measure(is_refusal=False))
        self.admit_waiting()

    def is_hopeless(self, fault: ApiFault) -> bool:
        """Whether the API accepts nothing, and requests a longer wait than the client permits."""
        is_too_long = (fault.retry_after_s or 0.0) > self._max_retry_after_s
        return is_too_long and not (self._has_accepted or self._in_flight)

    async def refused(self, slot: Slot, fault: ApiFault, *, times: int) -> None:
        """Waits after a refusal until the task may be submitted again; `times` counts the refusals of this task.

        After its first refusal, the task is the next one to be submitted. After later refusals, or if the API works on
        nothing, the other tasks go first, because the API may refuse only this task. A long Retry-After applies only to
        this task.
        """
        self._note_refusal(slot, fault)
        is_first = times == 1 and self._in_flight > 0
        wait_s = max(self._initial_retry_delay_s, min(fault.retry_after_s or 0.0, self._max_retry_after_s))
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
        """Whether no row waits or has waited since the last exchange, and no other run is known."""
        return not (self._senders or self._has_waited or self._others)

    def needs(self, owner: str) -> RunNeeds:
        """Returns what this run needs of the limit."""
        waiting = self._senders and self._senders + min(self.not_begun, self._most)
        has_waited, self._has_waited = self._has_waited, waiting > 0
        moved_ago_s = self._loop.time() - self._progress_at
        return RunNeeds(owner, self._own_in_flight, waiting, moved_ago_s, has_waited=has_waited)

    def learned_changes(self) -> LearnedLimit | None:
        """Returns what this run has learned since the last call; None if nothing has changed."""
        learned, reported = self._limit.learned(self._loop.time()), self._reported
        if (learned.limit, learned.ceiling) == (reported.limit, reported.ceiling):
            return None
        self._reported = learned
        return learned

    def apply_shared(self, shared: SharedLimit) -> None:
        """Applies the needs and the learned limit of other runs."""
        now, applied = self._loop.time(), self._applied
        self._others = shared.others
        self._progress_at = max(self._progress_at, *(now - run.moved_ago_s for run in shared.others), -math.inf)
        if (learned := shared.learned) and (learned.limit, learned.ceiling) != (applied.limit, applied.ceiling):
            self._limit.adopt(now, learned)
            self._applied, self._reported = learned, self._limit.learned(now)
        self.admit_waiting()

    def describe(self) -> LimitStatus | None:
        """Returns the limit and its reason while it makes rows wait."""
        if not self._senders or self._held >= self._most:
            return None
        return self._limit.describe(self._loop.time(), self._allowance)

    def admit_waiting(self) -> None:
        """Admits the waiting rows whose turn has come."""
        now = self._loop.time()
        if self._senders:
            self._limit.tick(now, self._in_flight, self._senders + self.not_begun)
        while waiter := self._next_poster(now) or self._next_waiter(now):
            if not waiter.done.done():  # otherwise its row was just cancelled
                self._set(waiter.slot, waiter.to)
                waiter.done.set_result(None)
        self._fail_if_stalled(now)
        self._wake_at(self._next_at(now))

    @property
    def _in_flight(self) -> int:
        """The tasks of all runs at the API."""
        return self._own_in_flight + sum(run.in_flight for run in self._others)

    @property
    def _own_in_flight(self) -> int:
        """The tasks of this run that the API works on. An unknown task uses none of the API's capacity."""
        return max(0, self._counts[SlotState.IN_FLIGHT] - len(self._unknown))

    @property
    def _held(self) -> int:
        return sum(self._counts[state] for state in (SlotState.HELD, *_OCCUPYING))

    @property
    def _occupied(self) -> int:
        return self._counts[SlotState.SENDING] + self._counts[SlotState.POSTED] + self._own_in_flight

    @property
    def _senders(self) -> int:
        """The number of rows that wait to submit a task."""
        return len(self._posting) + sum(waiter.to is SlotState.SENDING for waiter in self._waiting)

    @property
    def _allowance(self) -> int:
        """The number of tasks that this run may have at the API."""
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
            # Each refused row keeps a reservation, so their number is limited.
            is_one_too_many = waiter.slot.state is SlotState.FREE and self._counts[SlotState.REFUSED] > self._most
            if is_ready and (has_slot or not needs_slot) and not is_one_too_many and now >= waiter.not_before:
                self._waiting.remove(waiter)
                return waiter
        return None

    def _set(self, slot: Slot, to: SlotState) -> None:
        if slot.state is SlotState.IN_FLIGHT:
            self._progress_at = self._loop.time()
        self._counts[slot.state] -= 1
        self._counts[to] += 1
        slot.state = to

    async def _measure(self, *, is_refusal: bool) -> None:
        """Counts the tasks in flight after polling all of them, because some may have finished unnoticed."""
        try:
            async with asyncio.timeout(_MEASURED_S):
                await self._refresh()
        except TimeoutError:
            pass  # the number without new polls is used
        await asyncio.sleep(_SETTLING_S)
        self._measuring = None
        if is_refusal:
            self._limit.measured_at_refusal(self._in_flight)
        else:
            self._limit.measured_above(self._loop.time(), self._in_flight)
        self.admit_waiting()

    def _fail_if_stalled(self, now: float) -> None:
        is_over = now >= self._progress_at + self._stall_s
        if not (is_over and self._refusal and self._limit.streak and self._senders and not self._in_flight):
            return
        waited = f"the API has accepted and finished no task for {duration_text(self._stall_s)}, and refuses new ones"
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
        """Returns the next time at which rows may be admitted without another event."""
        if not self._senders:
            return math.inf
        times = (self._progress_at + self._stall_s, *(waiter.not_before for waiter in self._waiting))
        return min(self._limit.next_at(now), *(at for at in times if at > now), math.inf)

    def _wake_at(self, when: float) -> None:
        if self._timer:
            self._timer.cancel()
        soonest = self._loop.time() + _MIN_S
        self._timer = None if math.isinf(when) else self._loop.call_at(max(when, soonest), self.admit_waiting)
