"""What goes into the engine and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from wan_assets.errors import WanAssetsError
from wan_assets.models import VideoRequest
from wan_assets.store import StoredTask

OnMismatch: TypeAlias = Literal["keep", "fail"]
"""What becomes of a playable video that deviates from its request: the row's video, or a file that is set aside."""

LOOKED_UP_AT_ONCE = 200
"""So many requests are asked about in one query of ledger and store."""

_MAX_LANDING = 200
"""Rows that may be on their way from the API to the store while others take their places in flight."""


@dataclass(frozen=True)
class Limits:
    """How much at once, how often and how long.

    Up to `max_in_flight` tasks are at the API, as far as it accepts them. Rows that it refuses for lack of capacity
    wait. They fail when it has accepted and finished no task for `max_stall_s` seconds.
    `max_wait_s` is the time a task may take from its acknowledgement. `on_lost="resubmit"` buys a task again that the API
    no longer knows; the default keeps it booked as lost and asks again in the next run. A task whose submission was
    not confirmed, and that the API does not know, is submitted again under its UUID until it is `max_resubmit_age_s`
    old; after that it counts as lost, since the API may have accepted, charged and forgotten it. With `check_balance`
    nothing is sent unless the account's balance covers all that would have to be bought. A request that was refused
    for good before, by its content or its parameters, is sent again only with `resend_refused`. A playable video that
    deviates from its request is stored with its differences; `on_mismatch="fail"` sets it aside and fails the row.
    """

    max_in_flight: int = 50
    max_attempts: int = 3
    max_wait_s: float = 1200.0
    max_stall_s: float = 300.0
    max_downloads: int = 8
    on_lost: Literal["keep", "resubmit"] = "keep"
    max_resubmit_age_s: float = 3600.0
    check_balance: bool = False
    resend_refused: bool = False
    on_mismatch: OnMismatch = "keep"

    @property
    def max_begun(self) -> int:
        """How many rows are worked on at once: a slow store holds back what is sent only where so many wait for it."""
        return self.max_in_flight + max(self.max_downloads, min(self.max_in_flight, _MAX_LANDING))


@dataclass(frozen=True)
class VideoJob:
    """One row's wish: a request, and the partition and row that it is booked under."""

    request: VideoRequest
    partition: str = "-"
    prompt_id: str = "-"


@dataclass(frozen=True)
class Outcome:
    """What became of one order: either `stored` or `error` is set.

    `is_new` tells that this run was the first to store the video; one that was stored before is reused, also where
    its file had to be fetched again. `submitted` counts the tasks that this run sent for it.
    """

    job: VideoJob
    stored: StoredTask | None = None
    error: WanAssetsError | None = None
    is_new: bool = False
    submitted: int = 0

    @property
    def is_reused(self) -> bool:
        """Whether the video was there before this run."""
        return self.stored is not None and not self.is_new

    @property
    def cost_microusd(self) -> int | None:
        """What the video cost if it landed in this run, else 0, so that sums over runs count it once; None: unknown."""
        if self.stored is None or not self.is_new:
            return 0
        return self.stored.cost_microusd
