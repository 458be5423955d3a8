"""Runs an asynchronous iterator in its own thread, for consumers without an event loop."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Generic, TypeVar

T = TypeVar("T")


@contextmanager
def iterate_in_thread(source: Callable[[Callable[[T], None]], AsyncGenerator[T, None]]) -> Iterator[Iterator[T]]:
    """Yields an iterator over the items of `source`, and over the items that `source` passes to its argument.

    Leaving the block stops the source and waits for its clean-up. The iterator raises the error of the source. Items
    that the source yields while it stops can be read afterwards.
    """
    reading = _Reading(source)
    reading.thread.start()
    try:
        yield reading.items()
    finally:
        reading.stop()


class _Reading(Generic[T]):
    def __init__(self, source: Callable[[Callable[[T], None]], AsyncGenerator[T, None]]) -> None:
        self._source = source
        self._items: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._is_stopped = False
        self.thread = threading.Thread(target=self._run, name="generation", daemon=True)

    def items(self) -> Iterator[T]:
        while not isinstance(item := self._items.get(), _End):
            yield item
        if item.error:
            raise item.error

    def stop(self) -> None:
        with suppress(RuntimeError):  # the loop is already closed
            self._loop.call_soon_threadsafe(self._cancel)
        self.thread.join()

    def _cancel(self) -> None:
        self._is_stopped = True
        if self._task:
            self._task.cancel()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._read_to_its_end())
        finally:
            has_ended = self._task is not None and self._task.done() and not self._task.cancelled()
            self._items.put(_End(self._task.exception() if self._task and has_ended else None))

    async def _read_to_its_end(self) -> None:
        """Waits for the reading without raising its error, which is raised from the iterator."""
        self._task = asyncio.create_task(self._read())
        if self._is_stopped:
            self._task.cancel()
        await asyncio.wait([self._task])

    async def _read(self) -> None:
        async with aclosing(self._source(self._items.put)) as items:
            async for item in items:
                self._items.put(item)


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error
