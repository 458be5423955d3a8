"""Which task counts for a request, and whose it is to work on."""

from __future__ import annotations

import sqlalchemy as sa

from wan_assets.ledger.entries import TaskState
from wan_assets.ledger.schema import tasks
from wan_assets.processes import is_surely_dead


def that_count(purchase: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Tasks that brought a video or may still do so; those of one purchase where one is named."""
    is_alive = tasks.c.state.not_in((TaskState.FAILED, TaskState.REJECTED))
    return (is_alive, tasks.c.purchase == purchase) if purchase else (is_alive,)


def latest_row(connection: sa.Connection, fingerprint: str, purchase: str, *, simulated: bool) -> sa.RowMapping | None:
    """The newest task that counts for a request; a lost one only where there is no other."""
    best_first = (tasks.c.state == TaskState.LOST, tasks.c.attempt.desc())
    found = tasks.select().where(*_of(fingerprint, simulated), *that_count(purchase)).order_by(*best_first).limit(1)
    return connection.execute(found).mappings().first()


def attempts_of(connection: sa.Connection, fingerprint: str, *, simulated: bool) -> int:
    """How many tasks there have been for a request."""
    last = sa.select(sa.func.max(tasks.c.attempt)).where(*_of(fingerprint, simulated))
    return connection.execute(last).scalar() or 0


def is_taken(connection: sa.Connection, row: sa.RowMapping, owner: str, *, now: float, lease_s: float) -> bool:
    """Takes a task for an owner, unless another one holds it that may still be alive."""
    holder = row["owner"]
    is_free = holder in (None, owner) or (row["lease_until"] or 0) < now or is_surely_dead(holder)
    if not is_free:
        return False
    unchanged = tasks.c.owner.is_(None) if holder is None else tasks.c.owner == holder
    change = tasks.update().where(tasks.c.task_uuid == row["task_uuid"], unchanged)
    return connection.execute(change.values(owner=owner, lease_until=now + lease_s)).rowcount == 1


def _of(fingerprint: str, simulated: bool) -> tuple[sa.ColumnElement[bool], ...]:
    return (tasks.c.fingerprint == fingerprint, tasks.c.is_simulated == simulated)
