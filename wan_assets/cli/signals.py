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
_CHECK_INTERVAL_S = 0.1
_WORK = "wan-assets work"


class Interrupted(KeyboardInterrupt):
    """A signal ends the command."""

    def __init__(self, number: signal.Signals = signal.SIGINT) -> None:
        super().__init__()
        self.signal = number


def exit_code_of(number: signal.Signals) -> int:
    """Returns the exit code after a signal, as in shells: 130 after INT, 143 after TERM."""
    return 128 + number


class StopRequest:
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
class SupervisedResult(Generic[T]):
    """The result of a supervised function: a `result`, an `error`, or neither if it was abandoned."""

    result: T | None = None
    error: BaseException | None = None
    signal: signal.Signals | None = None
    is_abandoned: bool = False


@contextmanager
def raise_interrupted() -> Iterator[None]:
    """Raises `Interrupted` in this thread if a signal arrives during the block."""

    def end(number: signal.Signals) -> NoReturn:
        raise Interrupted(number)

    with _handled(end):
        yield


def run_supervised(
    work: Callable[[StopRequest], T], *, on_signal: Callable[[signal.Signals], None], stop_timeout_s: float = 20.0
) -> SupervisedResult[T]:
    """Runs a function in a thread, requests a stop at the first signal, and then calls `on_signal`.

    The thread is abandoned at the second signal, or if it has not stopped after `stop_timeout_s` seconds: a thread that
    waits for a slow disk, a lock or a slot cannot be interrupted, and the command must report its state.
    """
    stop, ended = StopRequest(), list[SupervisedResult[T]]()

    def run() -> None:
        try:
            ended.append(SupervisedResult(work(stop)))
        except BaseException as error:
            ended.append(SupervisedResult(error=error))

    thread = threading.Thread(target=run, name=_WORK, daemon=True)
    with _handled(stop.take):
        thread.start()
        _wait_for(thread, stop, on_signal, stop_timeout_s)
    if not ended:
        return SupervisedResult(signal=stop.signal, is_abandoned=True)
    return SupervisedResult(ended[0].result, ended[0].error, stop.signal)


def has_abandoned_work() -> bool:
    """Whether an abandoned function still runs in this process."""
    return any(thread.name == _WORK for thread in threading.enumerate())


def _wait_for(
    thread: threading.Thread, stop: StopRequest, on_signal: Callable[[signal.Signals], None], stop_timeout_s: float
) -> None:
    deadline: float | None = None
    while thread.is_alive() and stop.count < 2:
        thread.join(_CHECK_INTERVAL_S)
        if stop.signal and deadline is None:
            deadline = time.monotonic() + stop_timeout_s
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
        if not (number is signal.SIGHUP and is_ignored):  # nohup ignores HUP
            before[number] = signal.signal(number, take)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
