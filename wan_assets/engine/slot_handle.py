"""Moves one row's slot through its states."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Self

from wan_assets.engine.slot_states import Slot, SlotState
from wan_assets.engine.slots import Slots
from wan_assets.errors import RunwareError

_UNANSWERED_S = 2.0
"""A submission without an answer for this time does not delay other submissions any more."""


class SlotHandle:
    """One row's slot, used with `async with`. A row that `sends` a task waits until the API may accept one more."""

    def __init__(self, slots: Slots, *, sends: bool) -> None:
        self._slots = slots
        self._slot = Slot()
        self._sends = sends
        self._refusals = 0
        self._posted_at = 0.0
        self.has_posted = False
        self._late: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        await self._take()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Gives the slot to another row before the block ends."""
        self._answered()
        self._slots.move(self._slot, SlotState.FREE)

    @property
    def was_refused(self) -> bool:
        """Whether the API has refused the task for lack of capacity."""
        return self._refusals > 0

    async def wait_without_slot(self, wait: Awaitable[None]) -> None:
        """Waits without the slot, and takes one again afterwards."""
        self.leave()
        await wait
        await self._take()

    async def post(self) -> None:
        """Waits until the task may be submitted."""
        if self._slot.state is SlotState.HELD:
            await self._moved(SlotState.SENDING)
        await self._moved(SlotState.POSTED)
        self.has_posted = True
        loop = asyncio.get_running_loop()
        self._posted_at = loop.time()
        self._late = loop.call_later(_UNANSWERED_S, self._slots.move, self._slot, SlotState.SENDING)

    def accepted(self) -> None:
        """Records that the API has accepted the task."""
        self._answered()
        self._slots.accepted(self._slot, asyncio.get_running_loop().time() - self._posted_at)

    def in_flight(self) -> None:
        """Records that the API already had the task."""
        self._slots.move(self._slot, SlotState.IN_FLIGHT)

    async def refused(self, error: RunwareError) -> None:
        """Waits after a refusal until the task may be submitted again; raises the refusal if waiting would not help."""
        self._answered()
        if self._slots.is_hopeless(error.fault):
            raise error
        self._refusals += 1
        try:
            await self._slots.refused(self._slot, error.fault, times=self._refusals)
        except BaseException:
            self.leave()
            raise
        await self.post()

    async def _take(self) -> None:
        await self._moved(SlotState.SENDING if self._sends else SlotState.HELD)

    async def _moved(self, to: SlotState) -> None:
        try:
            await self._slots.moved(self._slot, to)
        except BaseException:
            self.leave()
            raise

    def _answered(self) -> None:
        if self._late:
            self._late.cancel()
        self._late = None
