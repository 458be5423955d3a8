"""Streams the results of concurrent work to its consumer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
Running: TypeAlias = Coroutine[Any, Any, None]
BackgroundTask: TypeAlias = Callable[[], Running]


async def stream_results(
    work: Callable[[Callable[[T], None]], Running], *background_tasks: BackgroundTask
) -> AsyncGenerator[T, None]:
    """Yields each result that the work reports until it ends, and raises its error; closing the iterator cancels the
    work.

    `background_tasks` run beside the work until it ends. The failure of one ends all.
    """
    reported: asyncio.Queue[T | _End] = asyncio.Queue()
    running = asyncio.create_task(_with_background_tasks(work(reported.put_nowait), background_tasks))
    running.add_done_callback(lambda _: reported.put_nowait(_End()))
    try:
        while not isinstance(one := await reported.get(), _End):
            yield one
        await running
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def _with_background_tasks(work: Running, background_tasks: tuple[BackgroundTask, ...]) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(background_task()) for background_task in background_tasks]
        await work
        for task in tasks:
            task.cancel()


class _End:
    """Marks the end of the results."""
