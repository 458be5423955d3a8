"""The configuration of a simulator: latency, prices, variants of undocumented behavior, and faults."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from wan_assets.simulator.faults import rates_of


@dataclass(frozen=True)
class Behaviour:
    """The configuration of a simulator; `clock` returns seconds since 1970.

    Money and time:
        latency_s: Seconds from acceptance to the first result. Each further result takes a tenth of it longer.
        balance_usd: The initial balance in dollars. The current balance is this minus the recorded charges.
        cost_factor: A factor for the list price.
        is_failure_charged: Whether failed results are charged. `is_loss_charged`: whether lost tasks are charged.
        ttl_s: Seconds until files expire if the request does not set `ttl`; None means never.
        expired_status: The HTTP status of a download after the expiration.

    Faults, by name and rate (see `FAULTS`):
        repeats: Whether submission faults can occur again when a task is submitted again.
        retry_after_s: The value of the Retry-After header of `rate_limit_retry_after`.
        pause_s: Seconds between the pieces of slow bodies.

    Variants of undocumented behavior:
        duplicates: The response to a known UUID. `rerun` accepts and charges a finished task again. `race` acknowledges
            and charges a copy that arrives within `race_s` seconds of the first.
        unknown_task: Whether the response to a poll for an unknown task is empty or `taskNotFound`.
        polls_answered: The number of getResponse tasks that are answered per POST.
        running_status, has_progress, has_one_placeholder: The items of unfinished results.
        has_empty_errors, has_extra_fields: Whether envelopes have empty `errors`, and items have extra fields.
        has_upper_case_uuids: Whether items contain task UUIDs in upper case.
        failed_poll_status: The HTTP status of a poll whose tasks have all failed.
    """

    latency_s: float = 1.0
    faults: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    repeats: bool = False
    api_key: str | None = None
    balance_usd: float = 1_000_000.0
    is_balance_object: bool = True
    cost_factor: float = 1.0
    is_failure_charged: bool = False
    is_loss_charged: bool = True
    duplicates: Literal["conflict_400", "conflict_409", "conflict_200", "rerun", "race"] = "conflict_400"
    race_s: float = 1.0
    unknown_task: Literal["nothing", "error"] = "nothing"
    polls_answered: int = 10_000
    running_status: str = "processing"
    has_progress: bool = False
    has_one_placeholder: bool = False
    has_empty_errors: bool = False
    has_extra_fields: bool = False
    has_upper_case_uuids: bool = False
    failed_poll_status: int = 200
    is_upload_slow: bool = False
    is_webhook_wrapped: bool = False
    webhook_copies: int = 1
    delivery_retry_s: float = 0.25
    delivery_tries: int = 6
    ttl_s: float | None = None
    expired_status: int = 410
    retry_after_s: int = 1
    pause_s: float = 0.005
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        """Refuses unknown faults and invalid rates."""
        object.__setattr__(self, "faults", rates_of(self.faults))

    def has_fault(self, fault: str, key: str, occurrence: int = 1) -> bool:
        """Returns whether a fault occurs in a task's call with this number, independent of the order of calls."""
        rate = self.faults.get(fault, 0.0)
        return rate > 0 and self.chance(fault, key, occurrence) < rate

    def fault_among(self, faults: Iterable[str], key: str, occurrence: int = 1) -> str:
        """Returns the first of several faults that occurs, or empty text."""
        if not self.faults:
            return ""
        return next((fault for fault in faults if self.has_fault(fault, key, occurrence)), "")

    def has_any(self, faults: Iterable[str]) -> bool:
        """Returns whether any of several faults has a rate above 0."""
        return any(self.faults.get(fault) for fault in faults)

    def chance(self, *parts: object) -> float:
        """Returns a number from 0 to 1 that depends only on the seed and the parts."""
        text = "\n".join(map(str, (self.seed, *parts)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64
