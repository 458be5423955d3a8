"""Defines the sums of groups of tasks, and sums up the tasks of days and the overcharges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import attrgetter

import sqlalchemy as sa

from wan_assets.ledger.records import TaskState
from wan_assets.ledger.schema import overcharges, tasks

_SUMMED = ("tasks", "videos", "approved", "cost_microusd", "reserved_microusd", "unknown")


@dataclass(frozen=True)
class SpendLine:
    """One group of tasks, with a key for each name of its grouping; money in µ$.

    `videos` are stored, and `approved` of them by their latest decision. `unknown` counts ended tasks of unknown cost.
    """

    keys: tuple[str, ...]
    is_simulated: bool
    tasks: int = 0
    videos: int = 0
    approved: int = 0
    cost_microusd: int = 0
    reserved_microusd: int = 0
    unknown: int = 0

    @property
    def key(self) -> str:
        """The first key, which is the only one unless two groupings are combined."""
        return self.keys[0]

    @property
    def per_approved_microusd(self) -> int | None:
        """All that the group cost, with its retakes and failures, for each approved video; None without any."""
        return (2 * self.cost_microusd + self.approved) // (2 * self.approved) if self.approved else None

    def share_of(self, total: SpendLine) -> float | None:
        """Returns the share of the cost in that of a total, from 0 to 1; None if the total cost nothing."""
        return self.cost_microusd / total.cost_microusd if total.cost_microusd else None


@dataclass(frozen=True)
class Span:
    """A span of time: its first minute, and the first one after it, in UTC as `2026-11-30T12:25`."""

    first: str
    end: str


@dataclass(frozen=True)
class Totals:
    """The sums over all tasks, of real and of simulated money."""

    real: SpendLine
    simulated: SpendLine


@dataclass(frozen=True)
class Overcharge:
    """A task whose charge exceeded its reservation; money in µ$."""

    task_uuid: str
    is_simulated: bool
    run_id: str
    partition: str
    reserved_microusd: int
    excess_microusd: int


@dataclass(frozen=True)
class DayOfTasks:
    """The tasks of one UTC day that the API has or may have: their number, their cost and their reservation, in µ$."""

    day: str
    tasks: int
    cost_microusd: int
    reserved_microusd: int


def tasks_by_day(connection: sa.Connection, first: str, last: str, *, simulated: bool) -> list[DayOfTasks]:
    """Returns tasks by the day of their submission, from one ISO date to another, both included."""
    day = sa.func.substr(sa.func.coalesce(tasks.c.submitted_at, tasks.c.created_at), 1, 10).label("day")
    query = (
        sa.select(day, sa.func.count(), sa.func.sum(tasks.c.cost_microusd), sa.func.sum(tasks.c.reserved_microusd))
        .where(tasks.c.is_simulated == simulated, tasks.c.state != TaskState.REJECTED, day >= first, day <= last)
        .group_by("day")
        .order_by("day")
    )
    return [DayOfTasks(row[0], row[1], int(row[2]), int(row[3])) for row in connection.execute(query)]


def overcharged(connection: sa.Connection) -> list[Overcharge]:
    """Returns every overcharged task, oldest first."""
    query = (
        sa.select(
            tasks.c.task_uuid,
            tasks.c.is_simulated,
            tasks.c.run_id,
            tasks.c.partition,
            overcharges.c.reserved_microusd,
            overcharges.c.excess_microusd,
        )
        .join_from(tasks, overcharges, tasks.c.task_uuid == overcharges.c.task_uuid)
        .order_by(tasks.c.created_at)
    )
    return [Overcharge(*row) for row in connection.execute(query)]


def sum_of(lines: Iterable[SpendLine], empty: SpendLine) -> SpendLine:
    """Returns the sums of lines, with the keys and the kind of money of an empty one."""
    found = list(lines)
    return replace(empty, **{name: sum(map(attrgetter(name), found)) for name in _SUMMED})
