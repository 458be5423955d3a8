"""Reads and changes the row of a task for each transition between its states."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa

from wan_assets.errors import LedgerError
from wan_assets.ledger.clock import NOW_ISO, NOW_S
from wan_assets.ledger.records import TaskState
from wan_assets.ledger.schema import given, tasks

Results: TypeAlias = Sequence[Mapping[str, Any]]

_IT = tasks.c.task_uuid == given(tasks.c.task_uuid)
_FOUND = tasks.select().where(_IT).with_for_update()
_RESERVED = tasks.insert().values(lease_until=NOW_S + sa.bindparam("lease_s", type_=sa.Double)).returning(tasks)
_SUBMITTED = (
    tasks.update()
    .where(_IT, tasks.c.state == TaskState.RESERVED)
    .values(state=TaskState.SUBMITTED, submitted_at=NOW_ISO, submitted_by=given(tasks.c.submitted_by))
)
_DELIVERED = (
    tasks.update()
    .where(_IT)
    .values(
        state=TaskState.DELIVERED,
        results=given(tasks.c.results),
        cost_microusd=given(tasks.c.cost_microusd),
        reserved_microusd=given(tasks.c.reserved_microusd),
        settled_by=given(tasks.c.settled_by),
    )
    .returning(tasks)
)
_BY_OWNER = (given(tasks.c.owner) == "") | (tasks.c.owner == given(tasks.c.owner))
_STORED = (
    tasks.update()
    .where(_IT, tasks.c.state == given(tasks.c.state), _BY_OWNER)
    .values(state=TaskState.STORED, results=given(tasks.c.results), finished_at=NOW_ISO, owner=None)
)


def found(connection: sa.Connection, task_uuid: str, unknown: LedgerError | None = None) -> sa.RowMapping:
    """Returns a task and locks its row until this transaction ends; raises the `LedgerError` `unknown` if there is
    none.
    """
    row = connection.execute(_FOUND, {"given_task_uuid": task_uuid}).mappings().first()
    if row is None:
        raise unknown or LedgerError(
            f"task {task_uuid} is not in the ledger: was its file replaced while it was in use?"
        )
    return row


def reserved(connection: sa.Connection, row: Mapping[str, Any], lease_s: float) -> sa.RowMapping:
    """Inserts a new task with a lease of some seconds for its owner."""
    return connection.execute(_RESERVED, {**row, "lease_s": lease_s}).mappings().one()


def submitted(connection: sa.Connection, task_uuid: str, run_id: str) -> None:
    """Records that the API has a task, which a run submitted, unless this was recorded before."""
    connection.execute(_SUBMITTED, {"given_task_uuid": task_uuid, "given_submitted_by": run_id})


def delivered(
    connection: sa.Connection,
    task_uuid: str,
    results: Results,
    *,
    run_id: str,
    cost_microusd: int,
    reserved_microusd: int,
) -> sa.RowMapping:
    """Records the results of a task and their cost; part of its reservation may stay."""
    money = {"given_cost_microusd": cost_microusd, "given_reserved_microusd": reserved_microusd}
    brought = {"given_task_uuid": task_uuid, "given_results": _json(results), "given_settled_by": run_id, **money}
    return connection.execute(_DELIVERED, brought).mappings().one()


def stored(
    connection: sa.Connection, task_uuid: str, results: Results, *, before: TaskState, owner: str | None = None
) -> bool:
    """Records stored videos if the task is in a given state, and belongs to the owner if one is given; returns whether
    it was.
    """
    kept = {"given_task_uuid": task_uuid, "given_results": _json(results), "given_state": before}
    return connection.execute(_STORED, {**kept, "given_owner": owner or ""}).rowcount == 1


def changed(connection: sa.Connection, task_uuid: str, **changes: Any) -> sa.RowMapping:
    """Applies any other change to a task, and returns it."""
    change = tasks.update().where(tasks.c.task_uuid == task_uuid).values(**changes).returning(tasks)
    return connection.execute(change).mappings().one()


def _json(results: Results) -> str:
    return json.dumps([dict(result) for result in results], ensure_ascii=False)
