"""Sums up spent and reserved amounts by group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from wan_assets.ledger.budget_sums import model_of
from wan_assets.ledger.records import OPEN_STATES, TaskState
from wan_assets.ledger.schema import overcharges, tasks

Grouping = Literal["state", "day", "asset", "partition", "run_id", "model"]


@dataclass(frozen=True)
class SpendLine:
    """One group of tasks; money in µ$. `unknown` counts ended tasks of unknown cost."""

    key: str
    is_simulated: bool
    tasks: int
    cost_microusd: int
    reserved_microusd: int
    unknown: int


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


def totals(connection: sa.Connection) -> Totals:
    """Returns the sums over all tasks."""
    lines = {line.is_simulated: line for line in _lines(connection, sa.literal("total"))}
    return Totals(*(lines.get(kind, SpendLine("total", kind, 0, 0, 0, 0)) for kind in (False, True)))


def spending(connection: sa.Connection, by: Grouping) -> list[SpendLine]:
    """Returns sums by one column, sorted by its value."""
    if by == "model":
        return _lines(connection, model_of(connection.dialect.name))
    return _lines(connection, sa.func.substr(tasks.c.created_at, 1, 10) if by == "day" else tasks.c[by])


def _lines(connection: sa.Connection, column: sa.ColumnElement[str]) -> list[SpendLine]:
    is_unknown = tasks.c.state.not_in(OPEN_STATES) & (tasks.c.reserved_microusd > 0)
    query = (
        sa.select(
            column.label("key"),
            tasks.c.is_simulated,
            sa.func.count().label("tasks"),
            sa.func.coalesce(sa.func.sum(tasks.c.cost_microusd), 0).label("cost"),
            sa.func.coalesce(sa.func.sum(tasks.c.reserved_microusd), 0).label("reserved"),
            sa.func.coalesce(sa.func.sum(sa.case((is_unknown, 1), else_=0)), 0).label("unknown"),
        )
        .group_by("key", tasks.c.is_simulated)
        .order_by("key")
    )
    return [
        SpendLine(str(row.key), bool(row.is_simulated), row.tasks, int(row.cost), int(row.reserved), int(row.unknown))
        for row in connection.execute(query)
    ]
