"""Keeps hints from webhooks that a task should be polled, until the waiting run takes them."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from more_itertools import chunked

from wan_assets.ledger.records import TaskState
from wan_assets.ledger.schema import given, tasks, upsert_into
from wan_assets.ledger.schema import hints as table

_KEPT_S = 24 * 3600
_AT_ONCE = 500
"""The number of UUIDs per statement, because databases limit their number."""

_FORGOTTEN = table.delete().where(table.c.task_uuid == given(table.c.task_uuid))

_WAITED_FOR = (TaskState.RESERVED, TaskState.SUBMITTED, TaskState.LOST)


def add(connection: sa.Connection, task_uuids: Collection[str], *, now: float) -> set[str]:
    """Records hints for tasks that a run may wait for; returns all tasks that the ledger knows.

    The rows are locked, so that no task ends meanwhile: the hint of an ended task would stay, because no run takes it.
    """
    connection.execute(table.delete().where(table.c.woken_at < now - _KEPT_S))
    states = {}
    for some in chunked(sorted(task_uuids), _AT_ONCE):
        found = sa.select(tasks.c.task_uuid, tasks.c.state).where(tasks.c.task_uuid.in_(some))
        held = connection.execute(found.with_for_update(read=True))
        states.update({row.task_uuid: row.state for row in held})
    if fresh := [{"task_uuid": key, "woken_at": now} for key in sorted(states) if states[key] in _WAITED_FOR]:
        connection.execute(upsert_into(connection.dialect.name, table), fresh)
    return set(states)


def take(connection: sa.Connection, task_uuids: Collection[str]) -> set[str]:
    """Deletes and returns the hints for some tasks; hints for other tasks stay."""
    noted = set(connection.scalars(sa.select(table.c.task_uuid)))
    taken = noted.intersection(task_uuids)
    if taken:
        connection.execute(_FORGOTTEN, [{"given_task_uuid": task_uuid} for task_uuid in sorted(taken)])
    return taken


def forget(connection: sa.Connection, task_uuid: str) -> None:
    """Deletes the hint for a task that no run waits for."""
    connection.execute(_FORGOTTEN, {"given_task_uuid": task_uuid})
