"""One run's hand in the ledger: what comes while one transaction is committed is booked together in the next."""

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
"""Nobody else writes meanwhile, which is to be a matter of milliseconds."""


@dataclass(frozen=True)
class _Entry:
    write: Callable[[], Any]
    done: Future[Any] = field(default_factory=Future)

    def book(self) -> None:
        try:
            self.done.set_result(self.write())
        except BaseException as error:
            self.done.set_exception(error)
            if not isinstance(error, Exception):
                raise


class LedgerWriter:
    """Journal in a thread of its own, in the order of asking. An entry is done once it is committed."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._waiting: SimpleQueue[_Entry | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="ledger", daemon=True)
        self._thread.start()

    def submit(self, write: Callable[[], T]) -> Future[T]:
        """Has a method of the ledger called; one whose future is cancelled before its turn is left out."""
        entry = _Entry(write)
        self._waiting.put(entry)
        return entry.done

    def close(self) -> None:
        """Ends once all that was asked for is booked."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            entries = [entry for entry in (first, *self._more()) if entry.done.set_running_or_notify_cancel()]
            self._book(entries)

    def _more(self) -> Iterator[_Entry]:
        """What waits by now; the word to end is left for later."""
        with suppress(Empty):
            for _ in range(_MAX_TOGETHER - 1):
                if (entry := self._waiting.get_nowait()) is None:
                    self._waiting.put(None)
                    return
                yield entry

    def _book(self, entries: list[_Entry]) -> None:
        """Journal all together or, where one is refused, each by itself."""
        results = self._booked(entries) if len(entries) > 1 else None
        if results is None:
            for entry in entries:
                entry.book()
        else:
            for entry, result in zip(entries, results, strict=True):
                entry.done.set_result(result)

    def _booked(self, entries: list[_Entry]) -> list[Any] | None:
        with suppress(Exception), self._ledger.one_transaction():
            return [entry.write() for entry in entries]
        return None
