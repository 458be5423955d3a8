"""When the client tries again, and how long it waits before it does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    wait_exponential,
    wait_random,
)

from wan_assets.client.transport import Pace
from wan_assets.errors import RunwareBusyError

Pause: TypeAlias = Callable[[float], Awaitable[None]]
"""Waits for some seconds."""


def retries(pace: Pace, tries: int, pause: Pause = asyncio.sleep) -> AsyncRetrying:
    """Attempts of a call that raises `RunwareBusyError` while another try may help; the last error is let through.

    A wait that the API asks for is kept, unless it is longer than `pace.asked_most_s`: then it was the last try.
    """
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
        sleep=pause,
        reraise=True,
    )


def _asked_s(state: RetryCallState) -> float | None:
    error = state.outcome.exception() if state.outcome else None
    return error.fault.retry_after_s if isinstance(error, RunwareBusyError) else None
