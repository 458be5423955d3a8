"""Defines the input and the output of the engine: limits, jobs, outcomes and recovered tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from wan_assets.errors import WanAssetsError
from wan_assets.ledger import Approval, Task
from wan_assets.models import VideoRequest
from wan_assets.prompts import PromptRow, approval_of, tags_of
from wan_assets.settings import MAX_IN_FLIGHT
from wan_assets.store import StoredTask

OnMismatch: TypeAlias = Literal["keep", "fail"]
"""Handling of a playable video that deviates from its request: keep it as the row's video, or quarantine it and fail
the row.
"""

NO_PARTITION = "-"
"""The partition of a row whose asset or caller has no partitions."""

LOOKUP_BATCH_SIZE = 200
"""The number of requests per query of ledger and store."""

_MAX_STORING = 200
"""The most rows whose results may be stored while other rows take their slots at the API."""


@dataclass(frozen=True)
class Limits:
    """Limits on concurrency, retries and time.

    Args:
        max_in_flight: The most tasks at the API at once. Rows that the API refuses for lack of capacity wait.
        max_stall_s: A waiting row fails when the API has accepted and finished no task for this number of seconds.
        max_wait_s: The time in seconds that a task may take after its acknowledgement.
        on_lost: `"resubmit"` pays again for a task that the API no longer knows; `"keep"` leaves it recorded as lost
            and polls it again in the next run.
        max_resubmit_age_s: An unconfirmed task that the API does not know is submitted again, under the same UUID,
            until it has this age in seconds. After that it counts as lost: the API may have charged and forgotten it.
        check_balance: Submits nothing unless the account's balance covers all rows that must be paid.
        resend_refused: Submits a request again that was refused permanently for its content or its parameters.
        max_takes: The most takes of a row. A video with the decision `retake` is generated again, with another seed, up
            to this number.
        retake_rejected: Generates rejected videos again too, within `max_takes`.
        on_mismatch: `"keep"` stores a playable video that deviates from its request, with the differences; `"fail"`
            quarantines the file and fails the row.
    """

    max_in_flight: int = MAX_IN_FLIGHT
    max_attempts: int = 3
    max_wait_s: float = 1200.0
    max_stall_s: float = 300.0
    max_downloads: int = 8
    on_lost: Literal["keep", "resubmit"] = "keep"
    max_resubmit_age_s: float = 3600.0
    check_balance: bool = False
    resend_refused: bool = False
    max_takes: int = 3
    retake_rejected: bool = False
    on_mismatch: OnMismatch = "keep"

    @property
    def max_active_rows(self) -> int:
        """The number of rows that are processed at once. It exceeds `max_in_flight`, so that a slow store delays
        submissions only if many rows wait for it.
        """
        return self.max_in_flight + max(self.max_downloads, min(self.max_in_flight, _MAX_STORING))


@dataclass(frozen=True)
class VideoJob:
    """A request for a row's video, with the partition and row that it is recorded under.

    With `approval`, the request is submitted only while that draft is approved. `take` is the number of the take that
    the request is, of the row whose own request has the fingerprint `row_fingerprint`. `tags` are values of the row's
    columns, which budgets and reports use.
    """

    request: VideoRequest
    partition: str = NO_PARTITION
    prompt_id: str = "-"
    approval: Approval | None = None
    take: int = 1
    row_fingerprint: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


def job_of(row: PromptRow, partition: str) -> VideoJob:
    """Returns the job for a row of a table, with the approved draft that the row needs."""
    return VideoJob(row.request, partition, row.prompt_id, approval_of(row), tags=tags_of(row))


@dataclass(frozen=True)
class Outcome:
    """The result of one job: either `stored` or `error` is set.

    `is_new` states that this run was the first to store the video. A video that was stored earlier is reused, even if
    its file had to be downloaded again. `submitted` counts the tasks that this run submitted for the job. `is_skipped`
    states that a budget or a pause is the only reason why there is no video: no attempt of this run failed.
    """

    job: VideoJob
    stored: StoredTask | None = None
    error: WanAssetsError | None = None
    is_new: bool = False
    submitted: int = 0
    is_skipped: bool = False

    @property
    def is_reused(self) -> bool:
        """Whether the video existed before this run."""
        return self.stored is not None and not self.is_new

    @property
    def cost_microusd(self) -> int | None:
        """The cost of the video if this run stored it, else 0, so that sums over runs count it once; None if
        unknown.
        """
        if self.stored is None or not self.is_new:
            return 0
        return self.stored.cost_microusd


@dataclass(frozen=True)
class Recovered:
    """The result of one open task: `stored` are its videos, or `error` is the reason why there are none yet."""

    task: Task
    stored: StoredTask | None = None
    error: WanAssetsError | None = None
