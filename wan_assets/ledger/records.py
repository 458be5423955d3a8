"""Defines the ledger's values: a task, its states, and a claim on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from sqlalchemy import RowMapping

from wan_assets.ledger.decisions import VideoKey
from wan_assets.ledger.lease import Instant


class TaskState(StrEnum):
    """The state of a task.

    ::

    RESERVED ──► SUBMITTED ──► DELIVERED ──► STORED
       │           │    │          ▲
       │           │    └► LOST ───┤  the API does not know it by its deadline; stays reserved, can be resumed
       │           └► FAILED ◄─────┘  ended without a result; its cost is unknown and stays reserved
       └► REJECTED                    never accepted; its reservation is released
    """

    RESERVED = "reserved"
    SUBMITTED = "submitted"
    DELIVERED = "delivered"
    STORED = "stored"
    FAILED = "failed"
    LOST = "lost"
    REJECTED = "rejected"


OPEN_STATES = (TaskState.RESERVED, TaskState.SUBMITTED, TaskState.DELIVERED, TaskState.LOST)
"""States of tasks that may still bring a paid video."""


def money_kind(simulated: bool) -> Literal["real", "simulated"]:
    """Returns which kind of money a task costs; the two kinds are never added."""
    return "simulated" if simulated else "real"


@dataclass(frozen=True)
class Origin:
    """The run, asset, partition and row that a task is recorded under.

    A `purchase` is the name of a regeneration: under it, every request is generated and paid once more. `take` is the
    number of a further take of the row whose own request has the fingerprint `row_fingerprint`. `approval` is the
    approved draft that the task needs, as text. `tags` are values of the row's columns, and `run_tags` the tags of the
    run, both by name: budgets and reports use them.
    """

    run_id: str = "-"
    asset: str = "-"
    partition: str = "-"
    purchase: str = ""
    prompt_id: str = "-"
    take: int = 1
    row_fingerprint: str = ""
    approval: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    run_tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """One row of the ledger. Money in µ$; times are ISO 8601 in UTC."""

    task_uuid: str
    fingerprint: str
    attempt: int
    is_simulated: bool
    state: TaskState
    number_results: int
    reserved_microusd: int
    cost_microusd: int
    request: Mapping[str, Any]
    results: tuple[Mapping[str, Any], ...]
    origin: Origin
    created_at: str
    submitted_at: str | None
    finished_at: str | None
    error_code: str | None
    error_message: str | None
    counted_at: str
    """The moment whose periods of budgets the task counts in."""

    former_fingerprint: str | None = None
    """The fingerprint of an older release, under which the store may have the task's files."""

    estimated_microusd: int | None = None
    """The list price when the task was reserved; None if none was published, or if an older release reserved it."""

    @property
    def committed_microusd(self) -> int:
        """The spent and reserved amounts of the task together."""
        return self.cost_microusd + self.reserved_microusd

    @property
    def day(self) -> str:
        """The UTC day on which the task was submitted, or reserved if the submission is unknown."""
        return (self.submitted_at or self.created_at)[:10]

    @property
    def videos(self) -> list[VideoKey]:
        """The keys of its stored videos, under which decisions about them are recorded."""
        hashes = (str(result.get("sha256")) for result in self.results)
        return [VideoKey(self.fingerprint, sha256, number) for number, sha256 in enumerate(hashes, 1)]

    @property
    def is_lost(self) -> bool:
        """Whether the API did not know the task by its deadline."""
        return self.state is TaskState.LOST

    @property
    def is_cost_unknown(self) -> bool:
        """Whether the task has ended and part of its cost is unknown."""
        return self.state not in OPEN_STATES and self.reserved_microusd > 0

    @property
    def known_cost_microusd(self) -> int | None:
        """The total cost of stored videos; None if nothing is stored or part of the cost is unknown."""
        is_known = self.state is TaskState.STORED and not self.reserved_microusd
        return self.cost_microusd if is_known else None


@dataclass(frozen=True)
class Claim:
    """The ledger's answer to a process that needs the video of a request.

    The process works on `new` and `resumed` tasks; another process works on a `locked` task; a `stored` task is
    complete. The lease of the process starts at `claimed_at`.
    """

    task: Task
    status: Literal["new", "resumed", "locked", "stored"]
    claimed_at: Instant


def task_of(row: RowMapping) -> Task:
    """Reads a database row."""
    return Task(
        task_uuid=row["task_uuid"],
        fingerprint=row["fingerprint"],
        attempt=row["attempt"],
        is_simulated=bool(row["is_simulated"]),
        state=TaskState(row["state"]),
        number_results=row["number_results"],
        reserved_microusd=row["reserved_microusd"],
        cost_microusd=row["cost_microusd"],
        request=json.loads(row["request"]),
        results=tuple(json.loads(row["results"])),
        origin=Origin(
            row["run_id"],
            row["asset"],
            row["partition"],
            row["purchase"],
            row["prompt_id"],
            take=row["take"],
            approval=row["approval"],
            tags=json.loads(row["tags"]),
        ),
        created_at=row["created_at"],
        submitted_at=row["submitted_at"],
        finished_at=row["finished_at"],
        error_code=row["error_code"],
        error_message=row["error_message"],
        counted_at=row["counted_at"] or row["created_at"],
        former_fingerprint=row["former_fingerprint"],
        estimated_microusd=row["estimated_microusd"],
    )
