"""Outcomes as they come: work that runs beside its reader, and ends with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeAlias

from wan_assets.generation.values import Outcome

Tell: TypeAlias = Callable[[Outcome], None]


async def streamed(work: Callable[[Tell], Coroutine[Any, Any, None]]) -> AsyncGenerator[Outcome, None]:
    """Yields what the work tells until it ends, and raises what it raises; closing the iterator cancels the work."""
    outcomes: asyncio.Queue[Outcome | None] = asyncio.Queue()
    running = asyncio.create_task(work(outcomes.put_nowait))
    running.add_done_callback(lambda _: outcomes.put_nowait(None))
    try:
        while (outcome := await outcomes.get()) is not None:
            yield outcome
        await running
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def attended(work: Awaitable[None], *attendants: Coroutine[Any, Any, None]) -> None:
    """Runs endless attendants beside some work, for as long as it lasts; the failure of one ends all."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(attendant) for attendant in attendants]
        await work
        for task in tasks:
            task.cancel()
