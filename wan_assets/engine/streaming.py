"""Outcomes as they come: work that runs beside its reader, and ends with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
Running: TypeAlias = Coroutine[Any, Any, None]


async def streamed(
    work: Callable[[Callable[[T], None]], Running], *attendants: Callable[[], Running]
) -> AsyncGenerator[T, None]:
    """Yields what some work tells until it ends, and raises what it raises; closing the iterator cancels the work.

    `attendants` run beside it without end; the failure of one ends all.
    """
    reported: asyncio.Queue[T | _End] = asyncio.Queue()
    running = asyncio.create_task(_attended(work(reported.put_nowait), attendants))
    running.add_done_callback(lambda _: reported.put_nowait(_End()))
    try:
        while not isinstance(one := await reported.get(), _End):
            yield one
        await running
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def _attended(work: Running, attendants: tuple[Callable[[], Running], ...]) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(attendant()) for attendant in attendants]
        await work
        for task in tasks:
            task.cancel()


class _End:
    """Nothing more comes."""
