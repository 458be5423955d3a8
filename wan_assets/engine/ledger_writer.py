"""Groups the ledger calls of one run: calls that arrive during a commit share the next transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from wan_assets.ledger import Ledger

T = TypeVar("T")

_MAX_TOGETHER = 50
"""The most calls per transaction. Other processes cannot write meanwhile, so it must take only milliseconds."""


@dataclass(frozen=True)
class _Call:
    write: Callable[[], Any]
    done: Future[Any] = field(default_factory=Future)

    def run(self) -> None:
        try:
            self.done.set_result(self.write())
        except BaseException as error:
            self.done.set_exception(error)
            if not isinstance(error, Exception):
                raise


class LedgerWriter:
    """Runs ledger calls in its own thread, in the order of submission. A call is done once it is committed."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="ledger", daemon=True)
        self._thread.start()

    def submit(self, write: Callable[[], T]) -> Future[T]:
        """Queues a call of the ledger; a call whose future is cancelled before its turn is skipped."""
        entry = _Call(write)
        self._waiting.put(entry)
        return entry.done

    def close(self) -> None:
        """Waits until all queued calls are done."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            entries = [entry for entry in (first, *self._more()) if entry.done.set_running_or_notify_cancel()]
            self._run_all(entries)

    def _more(self) -> Iterator[_Call]:
        """Yields the calls that wait now; the end marker stays in the queue."""
        with suppress(Empty):
            for _ in range(_MAX_TOGETHER - 1):
                if (entry := self._waiting.get_nowait()) is None:
                    self._waiting.put(None)
                    return
                yield entry

    def _run_all(self, entries: list[_Call]) -> None:
        """Runs all calls in one transaction or, if one of them fails, each in its own."""
        results = self._run_together(entries) if len(entries) > 1 else None
        if results is None:
            for entry in entries:
                entry.run()
        else:
            for entry, result in zip(entries, results, strict=True):
                entry.done.set_result(result)

    def _run_together(self, entries: list[_Call]) -> list[Any] | None:
        with suppress(Exception), self._ledger.one_transaction():
            return [entry.write() for entry in entries]
        return None
