"""Signals that end a command: INT, TERM and HUP. The first requests a stop, the second ends the command at once."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Generic, NoReturn, TypeVar

T = TypeVar("T")

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_S = 0.1
_WORK = "wan-assets work"


class Interrupted(KeyboardInterrupt):
    """A signal ends the command."""

    def __init__(self, number: signal.Signals = signal.SIGINT) -> None:
        super().__init__()
        self.signal = number


def exit_code_of(number: signal.Signals) -> int:
    """Returns the exit code after a signal, as in shells: 130 after INT, 143 after TERM."""
    return 128 + number


class Stop:
    """A request to stop. `signal` is the first signal received."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.count = 0

    def take(self, number: signal.Signals) -> None:
        """Records a signal."""
        self.signal = self.signal or number
        self.count += 1

    def check(self) -> None:
        """Raises `Interrupted` after a signal was received."""
        if self.signal:
            raise Interrupted(self.signal)


@dataclass(frozen=True)
class Ended(Generic[T]):
    """The result of a supervised function: a `result`, an `error`, or neither if it was abandoned."""

    result: T | None = None
    error: BaseException | None = None
    signal: signal.Signals | None = None
    is_left_behind: bool = False


@contextmanager
def raised() -> Iterator[None]:
    """Raises `Interrupted` in this thread if a signal arrives during the block."""

    def end(number: signal.Signals) -> NoReturn:
        raise Interrupted(number)

    with _handled(end):
        yield


def supervised(
    work: Callable[[Stop], T], *, on_signal: Callable[[signal.Signals], None], patience_s: float = 20.0
) -> Ended[T]:
    """Runs a function in a thread, requests a stop at the first signal, and then calls `on_signal`.

    The thread is abandoned at the second signal, or if it has not stopped after `patience_s` seconds: a thread that
    waits for a slow disk, a lock or a slot cannot be interrupted, and the command must report its state.
    """
    stop, ended = Stop(), list[Ended[T]]()

    def run() -> None:
        try:
            ended.append(Ended(work(stop)))
        except BaseException as error:
            ended.append(Ended(error=error))

    thread = threading.Thread(target=run, name=_WORK, daemon=True)
    with _handled(stop.take):
        thread.start()
        _wait_for(thread, stop, on_signal, patience_s)
    if not ended:
        return Ended(signal=stop.signal, is_left_behind=True)
    return Ended(ended[0].result, ended[0].error, stop.signal)


def is_work_left_behind() -> bool:
    """Whether an abandoned function still runs in this process."""
    return any(thread.name == _WORK for thread in threading.enumerate())


def _wait_for(
    thread: threading.Thread, stop: Stop, on_signal: Callable[[signal.Signals], None], patience_s: float
) -> None:
    deadline: float | None = None
    while thread.is_alive() and stop.count < 2:
        thread.join(_LOOK_S)
        if stop.signal and deadline is None:
            deadline = time.monotonic() + patience_s
            on_signal(stop.signal)
        if deadline is not None and time.monotonic() >= deadline:
            return


@contextmanager
def _handled(handle: Callable[[signal.Signals], object]) -> Iterator[None]:
    """Handles signals during the block; possible only in a process's main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def take(number: int, _: FrameType | None) -> None:
        handle(signal.Signals(number))

    before: dict[signal.Signals, Any] = {}
    for number in _ENDING:
        is_ignored = signal.getsignal(number) is signal.SIG_IGN
        if not (number is signal.SIGHUP and is_ignored):  # as nohup has it
            before[number] = signal.signal(number, take)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
