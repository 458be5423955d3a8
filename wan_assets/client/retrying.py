"""When the client tries again, and how long it waits before it does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, TypeVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    wait_exponential,
    wait_random,
)

from wan_assets.client.transport import Pace
from wan_assets.errors import RunwareBusyError

T = TypeVar("T")
Pause: TypeAlias = Callable[[float], Awaitable[None]]
"""Waits for some seconds."""


@dataclass(frozen=True)
class Trouble:
    """So many calls wait to be tried again; `why` is what stood in the way of the last of them."""

    waiting: int = 0
    why: str = ""

    def __add__(self, other: Trouble) -> Trouble:
        return Trouble(self.waiting + other.waiting, self.why if self.waiting else other.why)


class Troubles:
    """Keeps count of the calls that wait to be tried again."""

    def __init__(self) -> None:
        self._waiting, self._why = 0, ""

    @property
    def now(self) -> Trouble:
        return Trouble(self._waiting, self._why) if self._waiting else Trouble()

    async def wait(self, pause: Pause, wait_s: float) -> None:
        self._waiting += 1
        try:
            await pause(wait_s)
        finally:
            self._waiting -= 1

    def note(self, state: RetryCallState) -> None:
        """Takes note of what a call will be tried again for."""
        self._why = str(state.outcome.exception()) if state.outcome else ""


async def tried(
    call: Callable[[], Awaitable[T]], pace: Pace, tries: int, troubles: Troubles, pause: Pause = asyncio.sleep
) -> T:
    """Calls until `RunwareBusyError` is not raised, or another try would not help: then it is let through.

    A wait that the API asks for is kept, unless it is longer than `pace.asked_most_s`: then it was the last try.
    """
    try:
        return await call()
    except RunwareBusyError as error:
        failed = [error]

    async def again() -> T:
        if failed:
            raise failed.pop()
        return await call()

    # Attempts cost as much as an exchange, so that they are kept only where the first call has failed.
    return await _attempts(pace, tries, troubles, pause)(again)


def _attempts(pace: Pace, tries: int, troubles: Troubles, pause: Pause) -> AsyncRetrying:
    backoff = wait_exponential(pace.retry_first_s, pace.retry_most_s)
    jitter = wait_random(0, pace.retry_jitter_s)

    def wait_s(state: RetryCallState) -> float:
        asked_s = _asked_s(state)
        return max(pace.retry_first_s, backoff(state) if asked_s is None else asked_s) + jitter(state)

    def is_last(state: RetryCallState) -> bool:
        return state.attempt_number >= tries or (_asked_s(state) or 0.0) > pace.asked_most_s

    return AsyncRetrying(
        retry=retry_if_exception_type(RunwareBusyError),
        wait=wait_s,
        stop=is_last,
        before_sleep=troubles.note,
        sleep=partial(troubles.wait, pause),
        reraise=True,
    )


def _asked_s(state: RetryCallState) -> float | None:
    error = state.outcome.exception() if state.outcome else None
    return error.fault.retry_after_s if isinstance(error, RunwareBusyError) else None
