"""How a simulator behaves: latency, prices, and faults by name and rate, repeatable by seed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from wan_assets.errors import WanAssetsError
from wan_assets.rules import nearest

FAULTS: Mapping[str, str] = {
    "rate_limit": "submission: 429 without Retry-After",
    "rate_limit_retry_after": "submission: 429 with Retry-After: 1",
    "error_500": "submission: 500, not accepted",
    "error_503": "submission: 503, not accepted",
    "drop": "submission: connection closed without a byte, not accepted",
    "html": "submission: 200 with HTML, not accepted",
    "error_500_after_accept": "submission: accepted, then 500",
    "error_503_after_accept": "submission: accepted, then 503",
    "drop_after_accept": "submission: accepted, then connection closed without a byte",
    "html_after_accept": "submission: accepted, then 200 with HTML",
    "truncated_json": "submission: accepted, then half of the answer",
    "empty_body": "submission: accepted, then 200 with nothing",
    "slow_body": "submission: accepted, then the answer byte by byte",
    "ack_empty": "submission: accepted, acknowledged with an empty list",
    "ack_bare": "submission: accepted, acknowledged with {}",
    "poll_429": "poll: 429",
    "poll_502": "poll: 502 with HTML",
    "verdict_error": "task fails: timeoutProvider in `errors`",
    "verdict_in_data": "task fails: providerError in `data` with status error",
    "verdict_504": "task fails: failedProviderTimeout in an HTTP 504",
    "verdict_safety": "task fails: invalidProviderContent",
    "partial": "task fails in its last result only, where several were asked for",
    "lost_task": "task is charged, and unknown to every poll",
    "no_url": "task succeeds and names no file",
    "nsfw": "result is flagged as NSFW where a check was asked for",
    "cost_missing": "result does not tell its cost",
    "cost_zero": "result tells a cost of 0",
    "cost_string": "result tells its cost as text",
    "cost_nan": "result tells a cost of NaN",
    "download_422": "file: 422 twice, as if not ready",
    "download_502": "file: 502 once",
    "download_cut": "file: cut in the middle, once",
    "download_broken": "file: whole by its length, but broken inside, once",
    "download_slow": "file: sent in small pieces with pauses",
}
"""Every fault by name; those of submissions fire at a task's first submission only, unless `repeats` is set."""


class SimulatorError(WanAssetsError):
    """The simulator cannot be started as asked."""

    advice = "See `wan-assets simulator --help`."


@dataclass(frozen=True)
class Behaviour:
    """All that a simulator can be told; `clock` gives seconds since 1970."""

    latency_s: float = 1.0
    faults: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    repeats: bool = False
    api_key: str | None = None
    balance_usd: float = 1_000_000.0
    is_balance_object: bool = True
    cost_factor: float = 1.0
    duplicates: Literal["conflict_400", "conflict_409", "conflict_200", "rerun"] = "conflict_400"
    unknown_task: Literal["nothing", "error"] = "nothing"
    polls_answered: int = 10_000
    has_empty_errors: bool = False
    is_upload_slow: bool = False
    is_webhook_wrapped: bool = False
    delivery_retry_s: float = 0.25
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        """Refuses unknown faults and rates that are none."""
        for name, rate in self.faults.items():
            if name not in FAULTS:
                hint = nearest(name, FAULTS)
                raise SimulatorError(f"there is no fault {name!r}" + (f"; did you mean {hint}?" if hint else ""))
            if not 0 <= rate <= 1:
                raise SimulatorError(f"the rate of {name} is {rate}, and must be between 0 and 1")

    def strikes(self, fault: str, task_uuid: str) -> bool:
        """Whether a fault is meant for a task; the same for every order of arrival."""
        rate = self.faults.get(fault, 0.0)
        return rate > 0 and self.chance(fault, task_uuid) < rate

    def chance(self, *parts: object) -> float:
        """A number from 0 to 1 that depends on the seed and the parts alone."""
        text = "\n".join(map(str, (self.seed, *parts)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64
