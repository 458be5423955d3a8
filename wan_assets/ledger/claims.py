"""Which task counts for a request, and whose it is to work on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from wan_assets.ledger.entries import Origin, TaskState
from wan_assets.ledger.moments import Clock, now_iso, now_s
from wan_assets.ledger.schema import tasks
from wan_assets.processes import is_surely_dead
from wan_assets.request import VideoRequest, task_uuid_of


def that_count(purchase: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Tasks that brought a video or may still do so; those of one purchase where one is named."""
    is_alive = tasks.c.state.not_in((TaskState.FAILED, TaskState.REJECTED))
    return (is_alive, tasks.c.purchase == purchase) if purchase else (is_alive,)


def latest_row(connection: sa.Connection, fingerprint: str, purchase: str, *, simulated: bool) -> sa.RowMapping | None:
    """The newest task that counts for a request; a lost one only where there is no other."""
    best_first = (tasks.c.state == TaskState.LOST, tasks.c.attempt.desc())
    found = tasks.select().where(*_of(fingerprint, simulated), *that_count(purchase)).order_by(*best_first).limit(1)
    return connection.execute(found.with_for_update()).mappings().first()


def new_row(
    connection: sa.Connection, request: VideoRequest, origin: Origin, *, simulated: bool, namespace: str, clock: Clock
) -> dict[str, Any]:
    """The next task of a request, as it begins, without its money and its owner."""
    fingerprint = request.fingerprint()
    last = sa.func.coalesce(sa.func.max(tasks.c.attempt), 0).label("last")
    asked = sa.select(last, now_iso(connection, clock).label("now")).where(*_of(fingerprint, simulated))
    found = connection.execute(asked).one()
    attempt = found.last + 1
    return {
        "task_uuid": task_uuid_of(fingerprint, attempt, namespace),
        "fingerprint": fingerprint,
        "attempt": attempt,
        "is_simulated": simulated,
        "state": TaskState.RESERVED,
        "number_results": request.number_results,
        "request": request.model_dump_json(by_alias=True, exclude_unset=True, exclude_none=True),
        "run_id": origin.run_id,
        "asset": origin.asset,
        "partition": origin.partition,
        "prompt_id": origin.prompt_id,
        "purchase": origin.purchase,
        "created_at": found.now,
    }


def in_flight(connection: sa.Connection, *, simulated: bool, clock: Clock) -> int:
    """How many tasks living processes wait for, in all runs together."""
    here = (tasks.c.is_simulated == simulated, tasks.c.state.in_((TaskState.RESERVED, TaskState.SUBMITTED)))
    held = sa.select(sa.func.count()).select_from(tasks).where(*here, tasks.c.lease_until >= now_s(connection, clock))
    return connection.execute(held).scalar_one()


def last_rows(
    connection: sa.Connection, fingerprints: Sequence[str], purchase: str, *, simulated: bool
) -> list[sa.RowMapping]:
    """The last task of each request that has any under a purchase."""
    here = (tasks.c.fingerprint.in_(fingerprints), tasks.c.is_simulated == simulated, tasks.c.purchase == purchase)
    found = connection.execute(tasks.select().where(*here).order_by(tasks.c.attempt)).mappings()
    return list({row["fingerprint"]: row for row in found}.values())


def lease(connection: sa.Connection, clock: Clock, lease_s: float) -> dict[str, Any]:
    """What a task is held by until some seconds from now."""
    return {"lease_until": now_s(connection, clock) + lease_s}


def is_taken(connection: sa.Connection, row: sa.RowMapping, owner: str, *, clock: Clock, lease_s: float) -> bool:
    """Takes a task for an owner, unless another one holds it that may still be alive."""
    holder = row["owner"]
    unchanged = tasks.c.owner.is_(None) if holder is None else tasks.c.owner == holder
    change = tasks.update().where(tasks.c.task_uuid == row["task_uuid"], unchanged)
    if holder not in (None, owner) and not is_surely_dead(holder):
        change = change.where(sa.func.coalesce(tasks.c.lease_until, 0) < now_s(connection, clock))
    return connection.execute(change.values(owner=owner, **lease(connection, clock, lease_s))).rowcount == 1


def _of(fingerprint: str, simulated: bool) -> tuple[sa.ColumnElement[bool], ...]:
    return (tasks.c.fingerprint == fingerprint, tasks.c.is_simulated == simulated)
