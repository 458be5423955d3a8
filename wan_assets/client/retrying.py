"""Retries calls, and reports how many calls wait for a retry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential, wait_random

from wan_assets.client.http_config import HttpConfig
from wan_assets.errors import RunwareBusyError

T = TypeVar("T")
IsRetried: TypeAlias = Callable[[BaseException], bool]
"""Whether a call that raised this error is retried."""


def is_busy(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    return isinstance(error, RunwareBusyError)


@dataclass(frozen=True)
class RetryStatus:
    """The number of calls that wait to be retried, and `why`: the error of the last of them."""

    waiting: int = 0
    why: str = ""

    def __add__(self, other: RetryStatus) -> RetryStatus:
        return RetryStatus(self.waiting + other.waiting, self.why if self.waiting else other.why)


class RetryMonitor:
    """Counts the calls that wait to be retried."""

    def __init__(self) -> None:
        self._waiting, self._why = 0, ""

    @property
    def now(self) -> RetryStatus:
        return RetryStatus(self._waiting, self._why) if self._waiting else RetryStatus()

    async def wait(self, waiting: Awaitable[None]) -> None:
        """Counts a call while it waits."""
        self._waiting += 1
        try:
            await waiting
        finally:
            self._waiting -= 1

    async def sleep(self, wait_s: float) -> None:
        """Counts a call while it waits for some seconds."""
        await self.wait(asyncio.sleep(wait_s))

    def note(self, error: BaseException | None) -> None:
        """Records the error for which a call is retried."""
        self._why = str(error or "")


async def with_retries(
    call: Callable[[], Awaitable[T]],
    http_config: HttpConfig,
    tries: int,
    retries: RetryMonitor,
    is_retried: IsRetried = is_busy,
) -> T:
    """Calls a function until it succeeds, or until a retry would not help; then raises its error.

    A wait that the API requests is observed. If it is longer than `http_config.max_retry_after_s`, there is no further
    try.
    """
    try:
        return await call()
    except RunwareBusyError as error:
        if not is_retried(error):
            raise
        failed = [error]

    async def again() -> T:
        if failed:
            raise failed.pop()
        return await call()

    # Tenacity costs as much time as an exchange with the API, so it is used only after the first call has failed.
    return await _attempts(http_config, tries, retries, is_retried)(again)


def _attempts(http_config: HttpConfig, tries: int, retries: RetryMonitor, is_retried: IsRetried) -> AsyncRetrying:
    backoff = wait_exponential(http_config.initial_retry_delay_s, http_config.max_retry_delay_s)
    jitter = wait_random(0, http_config.retry_jitter_s)

    def wait_s(state: RetryCallState) -> float:
        retry_after_s = _retry_after_s(state)
        return max(
            http_config.initial_retry_delay_s, backoff(state) if retry_after_s is None else retry_after_s
        ) + jitter(state)

    def note(state: RetryCallState) -> None:
        retries.note(state.outcome.exception() if state.outcome else None)

    def is_last(state: RetryCallState) -> bool:
        return state.attempt_number >= tries or (_retry_after_s(state) or 0.0) > http_config.max_retry_after_s

    return AsyncRetrying(
        retry=retry_if_exception(is_retried),
        wait=wait_s,
        stop=is_last,
        before_sleep=note,
        sleep=retries.sleep,
        reraise=True,
    )


def _retry_after_s(state: RetryCallState) -> float | None:
    error = state.outcome.exception() if state.outcome else None
    return error.fault.retry_after_s if isinstance(error, RunwareBusyError) else None
