"""Whether a run may send more: closed by trouble of the whole run, and narrow while money is reserved."""

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
    """What is in flight is let finish, whatever the gate says; the first error that closes it is the one told."""

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
        """The time in which a task is sent: few at once until the API has taken one, and knows the key."""
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
        """Lets in as many as come: the API knows the key, or has said nothing of it."""
        self._is_key_confirmed = True
        self._turn = _set_and_replaced(self._turn)

    def close(self, error: WanAssetsError) -> None:
        """Stops the run from sending more.

        One refusal of the key or the address may be about one task where the API has taken another one, or where the
        refusal is not in its own words: then only the second one in a row stops the run. That no credit is left is
        about all.
        """
        if not self._was_refused_once and _may_be_of_one(error, has_taken=self._has_taken):
            self._was_refused_once = True
        elif self._closed_by is None:
            self._closed_by = error
            for reported in self._when_closed:
                reported(error)

    def when_closed(self, reported: Callable[[WanAssetsError], None]) -> None:
        """Has a function called with what closes the gate."""
        self._when_closed.append(reported)

    def is_closed_by(self, error: WanAssetsError) -> bool:
        """Whether an error is the one that closed the gate."""
        return error is self._closed_by

    def refuse_if_closed(self) -> None:
        """Raises what closed the gate."""
        if self._closed_by:
            raise self._closed_by

    @property
    def freed(self) -> asyncio.Event:
        """Set when money has come free since it was asked for, or no more can."""
        return self._freed

    async def wait_for_budget(self, freed: asyncio.Event, refused: BudgetExceededError) -> None:
        """Waits until a refused reservation may be tried again; raises `refused` where this run can free no more.

        `freed` was asked for before the reservation was tried.
        """
        if not self._unsettled and not freed.is_set():
            raise refused
        await freed.wait()

    @contextmanager
    def holding_reservation(self) -> Iterator[None]:
        """The time in which a task of this run holds a reservation that may turn out too large."""
        self._unsettled += 1
        try:
            yield
        finally:
            self._unsettled -= 1
            if not self._unsettled:
                self._freed = _set_and_replaced(self._freed)

    def settled(self, before: Task, after: Task) -> None:
        """Closes the gate where a task was charged more than was reserved, and lets others try where it was less."""
        if after.committed_microusd > before.committed_microusd:
            self.close(OverchargedError(after.task_uuid, before.committed_microusd, after.committed_microusd))
        elif after.committed_microusd < before.committed_microusd:
            self._freed = _set_and_replaced(self._freed)


def _may_be_of_one(error: WanAssetsError, *, has_taken: bool) -> bool:
    if not isinstance(error, (AccessDeniedError, WrongAddressError)) or is_out_of_credit(error.fault):
        return False
    return has_taken or not is_api_refusal(error.fault)


def _set_and_replaced(event: asyncio.Event) -> asyncio.Event:
    """Wakes all who wait for an event, and gives a new one for those who come later."""
    event.set()
    return asyncio.Event()
