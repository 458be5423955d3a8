"""When the client tries again, and how long it waits before it does."""

from __future__ import annotations

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from wan_assets.client.transport import Pace
from wan_assets.errors import RunwareBusyError


def retries(pace: Pace, tries: int) -> AsyncRetrying:
    """Attempts of a call that raises `RunwareBusyError` while another try may help; the last error is let through."""
    backoff = wait_exponential(pace.retry_first_s, pace.retry_most_s) + wait_random(0, pace.retry_jitter_s)

    def wait_s(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked_s = error.fault.retry_after_s if isinstance(error, RunwareBusyError) else None
        return max(pace.retry_first_s, backoff(state) if asked_s is None else asked_s)

    return AsyncRetrying(
        retry=retry_if_exception_type(RunwareBusyError),
        wait=wait_s,
        stop=stop_after_attempt(tries),
        reraise=True,
    )
