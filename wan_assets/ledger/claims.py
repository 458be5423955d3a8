"""Finds the current task of a request, and assigns tasks to owners."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa

from wan_assets.errors import ModelEndedError, PausedError
from wan_assets.ledger import pause
from wan_assets.ledger.clock import NOW_ISO, NOW_S
from wan_assets.ledger.processes import is_surely_dead
from wan_assets.ledger.records import Origin, TaskState
from wan_assets.ledger.schema import given, tasks
from wan_assets.models import VideoRequest, has_list_price, list_price_microusd, retirement_of, task_uuid_of

_IS_ALIVE = (tasks.c.state != TaskState.FAILED) & (tasks.c.state != TaskState.REJECTED)
_OF_REQUEST = (tasks.c.fingerprint == given(tasks.c.fingerprint)) & (
    tasks.c.is_simulated == given(tasks.c.is_simulated)
)
_OF_PURCHASE = (given(tasks.c.purchase) == "") | (tasks.c.purchase == given(tasks.c.purchase))

_LATEST = (
    tasks.select()
    .where(_OF_REQUEST, _IS_ALIVE, _OF_PURCHASE)
    .order_by(tasks.c.state == TaskState.LOST, tasks.c.attempt.desc())
    .limit(1)
    .with_for_update()
)
_LAST_ATTEMPT = sa.func.coalesce(sa.func.max(tasks.c.attempt), 0)
_BEFORE_A_NEW_ONE = sa.select(_LAST_ATTEMPT.label("last"), NOW_ISO.label("now"), pause.REASON.label("paused")).where(
    _OF_REQUEST
)


def is_current(purchase: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Returns conditions for tasks that brought a video or may still do so, of one purchase if one is given."""
    return (_IS_ALIVE, tasks.c.purchase == purchase) if purchase else (_IS_ALIVE,)


def latest_row(connection: sa.Connection, fingerprint: str, purchase: str, *, simulated: bool) -> sa.RowMapping | None:
    """Returns the newest task that counts for a request; a lost task only if there is no other."""
    parameters = {"given_fingerprint": fingerprint, "given_is_simulated": simulated, "given_purchase": purchase}
    return connection.execute(_LATEST, parameters).mappings().first()


def new_row(
    connection: sa.Connection, request: VideoRequest, origin: Origin, *, simulated: bool, namespace: str
) -> dict[str, Any]:
    """Returns the row of a request's next task, with its list price, and without its reservation and owner.

    Raises `PausedError` if the ledger is paused, and `ModelEndedError` if the model has ended.
    """
    fingerprint = request.fingerprint()
    parameters = {"given_fingerprint": fingerprint, "given_is_simulated": simulated}
    found = connection.execute(_BEFORE_A_NEW_ONE, parameters).one()
    if found.paused is not None:
        raise PausedError(found.paused)
    retirement = retirement_of(request.description, date.fromisoformat(found.now[:10]))
    if retirement and retirement.is_ended:
        raise ModelEndedError(retirement.message)
    attempt = found.last + 1
    return {
        "task_uuid": task_uuid_of(fingerprint, attempt, namespace),
        "fingerprint": fingerprint,
        "attempt": attempt,
        "is_simulated": simulated,
        "state": TaskState.RESERVED,
        "number_results": request.number_results,
        "request": json.dumps(request.to_record(), ensure_ascii=False, separators=(",", ":")),
        "run_id": origin.run_id,
        "asset": origin.asset,
        "partition": origin.partition,
        "prompt_id": origin.prompt_id,
        "purchase": origin.purchase,
        "take": origin.take,
        "approval": origin.approval,
        "tags": json.dumps(dict(origin.tags), ensure_ascii=False, separators=(",", ":")),
        "created_at": found.now,
        "estimated_microusd": list_price_microusd(request) if has_list_price(request) else None,
    }


def in_flight(connection: sa.Connection, *, simulated: bool) -> int:
    """Returns the number of tasks that live processes wait for, in all runs together."""
    here = (tasks.c.is_simulated == simulated, tasks.c.state.in_((TaskState.RESERVED, TaskState.SUBMITTED)))
    held = sa.select(sa.func.count()).select_from(tasks).where(*here, tasks.c.lease_until >= NOW_S)
    return connection.execute(held).scalar_one()


def last_rows(
    connection: sa.Connection, fingerprints: Sequence[str], purchase: str, *, simulated: bool
) -> list[sa.RowMapping]:
    """Returns the last task of each request that has a task under a purchase."""
    here = (tasks.c.fingerprint.in_(fingerprints), tasks.c.is_simulated == simulated, tasks.c.purchase == purchase)
    found = connection.execute(tasks.select().where(*here).order_by(tasks.c.attempt)).mappings()
    return list({row["fingerprint"]: row for row in found}.values())


def is_held(connection: sa.Connection, task_uuid: str) -> bool:
    """Whether a process that may still be alive works on a task."""
    held = (tasks.c.task_uuid == task_uuid, tasks.c.owner.is_not(None), tasks.c.lease_until >= NOW_S)
    owner = connection.execute(sa.select(tasks.c.owner).where(*held)).scalar()
    return owner is not None and not is_surely_dead(owner)


def is_taken(connection: sa.Connection, row: sa.RowMapping, owner: str, *, lease_s: float) -> bool:
    """Assigns a task to an owner, unless another owner that may still be alive holds it; returns whether it did."""
    holder = row["owner"]
    unchanged = tasks.c.owner.is_(None) if holder is None else tasks.c.owner == holder
    change = tasks.update().where(tasks.c.task_uuid == row["task_uuid"], unchanged)
    if holder not in (None, owner) and not is_surely_dead(holder):
        change = change.where(sa.func.coalesce(tasks.c.lease_until, 0) < NOW_S)
    return connection.execute(change.values(owner=owner, lease_until=NOW_S + lease_s)).rowcount == 1
