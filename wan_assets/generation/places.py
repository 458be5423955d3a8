"""Places among the tasks in flight: held while the API works, and left while a row only waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Self


class Place:
    """One of a number of places, used as `async with`."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._is_held = False

    async def __aenter__(self) -> Self:
        await self._take()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Lets another row have the place, before the block ends."""
        if self._is_held:
            self._is_held = False
            self._places.release()

    async def aside(self, wait: Awaitable[None]) -> None:
        """Waits without the place, and takes one again afterwards."""
        self.leave()
        await wait
        await self._take()

    async def _take(self) -> None:
        await self._places.acquire()
        self._is_held = True
