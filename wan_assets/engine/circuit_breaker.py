"""Decides whether a run may submit further tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from wan_assets.client import is_api_refusal, is_out_of_credit
from wan_assets.errors import (
    AccessDeniedError,
    BudgetExceededError,
    OverchargedError,
    WanAssetsError,
    WrongAddressError,
)
from wan_assets.ledger import Task

_FIRST_AT_ONCE = 4


class CircuitBreaker:
    """Stops the submissions of a run after an error that concerns all rows; the first such error is reported.

    Tasks in flight always complete.
    """

    def __init__(self) -> None:
        self._closed_by: WanAssetsError | None = None
        self._unsettled = 0
        self._freed = asyncio.Event()
        self._turn = asyncio.Event()
        self._entering = 0
        self._is_key_confirmed = False
        self._has_taken = False
        self._was_refused_once = False
        self._when_closed: list[Callable[[WanAssetsError], None]] = []

    @asynccontextmanager
    async def submitting(self) -> AsyncIterator[None]:
        """Encloses the submission of a task. Few submissions run at once until the API has accepted one and the key is
        confirmed.
        """
        while not self._is_key_confirmed and self._entering >= _FIRST_AT_ONCE:
            await self._turn.wait()
        self._entering += 1
        try:
            yield
            self.confirm_key()
            self._has_taken, self._was_refused_once = True, False
        finally:
            self._entering -= 1
            self._turn = _set_and_replaced(self._turn)

    def confirm_key(self) -> None:
        """Lifts the limit on submissions: the API accepts the key, or has not refused it."""
        self._is_key_confirmed = True
        self._turn = _set_and_replaced(self._turn)

    def close(self, error: WanAssetsError) -> None:
        """Stops further submissions of the run.

        A refusal of the key or the address may concern a single task, if the API has accepted another task or if the
        refusal does not come from the API itself. In these cases, only the second refusal in a row stops the run. A
        lack of credit always concerns all tasks.
        """
        if not self._was_refused_once and _may_be_of_one(error, has_taken=self._has_taken):
            self._was_refused_once = True
        elif self._closed_by is None:
            self._closed_by = error
            for callback in self._when_closed:
                callback(error)

    def when_closed(self, callback: Callable[[WanAssetsError], None]) -> None:
        """Registers a function that is called with the error that stops the run."""
        self._when_closed.append(callback)

    def is_closed_by(self, error: WanAssetsError) -> bool:
        """Whether an error is the one that stopped the run."""
        return error is self._closed_by

    def refuse_if_closed(self) -> None:
        """Raises the error that stopped the run."""
        if self._closed_by:
            raise self._closed_by

    @property
    def freed(self) -> asyncio.Event:
        """Is set when reserved money was released, or when no more can be released."""
        return self._freed

    async def wait_for_budget(self, freed: asyncio.Event, refused: BudgetExceededError) -> None:
        """Waits until a refused reservation may be retried; raises `refused` if this run can release no more money.

        The caller gets `freed` before it tries the reservation.
        """
        if not self._unsettled and not freed.is_set():
            raise refused
        await freed.wait()

    @contextmanager
    def holding_reservation(self) -> Iterator[None]:
        """Encloses the time in which a task holds a reservation that may be larger than its cost."""
        self._unsettled += 1
        try:
            yield
        finally:
            self._unsettled -= 1
            if not self._unsettled:
                self._freed = _set_and_replaced(self._freed)

    def settled(self, before: Task, after: Task) -> None:
        """Stops the run if a task was charged more than reserved; resumes waiting rows if it was charged less."""
        if after.committed_microusd > before.committed_microusd:
            self.close(OverchargedError(after.task_uuid, before.committed_microusd, after.committed_microusd))
        elif after.committed_microusd < before.committed_microusd:
            self._freed = _set_and_replaced(self._freed)


def _may_be_of_one(error: WanAssetsError, *, has_taken: bool) -> bool:
    if not isinstance(error, (AccessDeniedError, WrongAddressError)) or is_out_of_credit(error.fault):
        return False
    return has_taken or not is_api_refusal(error.fault)


def _set_and_replaced(event: asyncio.Event) -> asyncio.Event:
    """Sets an event, which resumes all waiting rows, and returns a new one for later rows."""
    event.set()
    return asyncio.Event()
