"""What goes into the engine and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from wan_assets.errors import WanAssetsError
from wan_assets.models import VideoRequest
from wan_assets.store import StoredTask

OnMismatch: TypeAlias = Literal["keep", "fail"]
"""What becomes of a playable video that deviates from its request: the row's video, or a file that is set aside."""

LOOKUP_BATCH_SIZE = 200
"""So many requests are asked about in one query of ledger and store."""

_MAX_STORING = 200
"""Rows that may be on their way from the API to the store while others take their places in flight."""


@dataclass(frozen=True)
class Limits:
    """Limits on concurrency, retries and time.

    Args:
        max_in_flight: The most tasks that are at the API at once. Rows that the API refuses for lack of capacity wait.
        max_stall_s: A waiting row fails when the API has accepted and finished no task for so many seconds.
        max_wait_s: The time in seconds that a task may take after its acknowledgement.
        on_lost: `"resubmit"` buys a task again that the API no longer knows; `"keep"` leaves it recorded as lost and
            polls it again in the next run.
        max_resubmit_age_s: An unconfirmed task that the API does not know is submitted again, under the same UUID,
            until it has this age in seconds. After that it counts as lost: the API may have charged and forgotten it.
        check_balance: Submits nothing unless the account's balance covers all rows that have to be bought.
        resend_refused: Submits a request again that was refused permanently for its content or its parameters.
        on_mismatch: `"keep"` stores a playable video that deviates from its request, with the differences; `"fail"`
            sets the file aside and fails the row.
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
        return self.max_in_flight + max(self.max_downloads, min(self.max_in_flight, _MAX_STORING))


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
