"""How a simulator behaves: latency, prices, variants of the undocumented, and faults by rate and seed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from wan_assets.simulator.faults import rates_of


@dataclass(frozen=True)
class Behaviour:
    """All that a simulator can be told; `clock` gives seconds since 1970.

    Money and time:
        latency_s: from acceptance to the first result; each further one takes a tenth of it longer.
        balance_usd: what was ever paid in; the balance is this less what the books say was spent.
        cost_factor: on the list price.
        is_failure_charged: whether results that fail are charged; `is_loss_charged` the same of lost tasks.
        ttl_s: how long files are kept where the request does not say; None for ever.
        expired_status: of a download after that time.

    Faults, by name and rate, see `FAULTS`:
        repeats: whether faults of submissions may strike again when a task is sent again.
        retry_after_s: what `rate_limit_retry_after` asks for.
        pause_s: between the pieces of slow bodies.

    Variants of what is not documented:
        duplicates: the answer to a known UUID. `rerun` accepts and charges again what has finished; `race`
            acknowledges and charges a copy that comes within `race_s` of the first.
        unknown_task: whether a poll about an unknown task is answered by nothing or by `taskNotFound`.
        polls_answered: how many getResponse tasks of one POST are answered.
        running_status, has_progress, has_one_placeholder: of results that have not finished.
        has_empty_errors, has_extra_fields: of every envelope, of every item.
        has_upper_case_uuids: whether items name their tasks in upper case.
        verdict_status: HTTP status of a poll whose every task has failed.
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
    verdict_status: int = 200
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
        """Refuses unknown faults and rates that are none."""
        object.__setattr__(self, "faults", rates_of(self.faults))

    def strikes(self, fault: str, key: str, occurrence: int = 1) -> bool:
        """Whether a fault is meant for a task's call of that number; the same for every order of arrival."""
        rate = self.faults.get(fault, 0.0)
        return rate > 0 and self.chance(fault, key, occurrence) < rate

    def struck(self, faults: Iterable[str], key: str, occurrence: int = 1) -> str:
        """The first of some faults that strikes, or nothing."""
        if not self.faults:
            return ""
        return next((fault for fault in faults if self.strikes(fault, key, occurrence)), "")

    def has_any(self, faults: Iterable[str]) -> bool:
        """Whether any of some faults can strike at all."""
        return any(self.faults.get(fault) for fault in faults)

    def chance(self, *parts: object) -> float:
        """A number from 0 to 1 that depends on the seed and the parts alone."""
        text = "\n".join(map(str, (self.seed, *parts)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64
