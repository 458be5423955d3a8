"""Tracks stored tasks whose cost is not reported yet, because a run may be killed between storing and reporting."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from wan_assets.ledger.schema import given, tasks
from wan_assets.ledger.schema import unreported as table

_ADDED = table.insert()
_FOUND = table.select().where(table.c.task_uuid == given(table.c.task_uuid))


def add(connection: sa.Connection, task_uuid: str) -> None:
    """Marks a task as stored and not reported."""
    connection.execute(_ADDED, {"task_uuid": task_uuid})


def unreported(connection: sa.Connection, asset: str) -> dict[str, str]:
    """Returns the unreported tasks of an asset, each with its partition."""
    joined = sa.select(tasks.c.task_uuid, tasks.c.partition).join_from(
        tasks, table, tasks.c.task_uuid == table.c.task_uuid
    )
    return {row.task_uuid: row.partition for row in connection.execute(joined.where(tasks.c.asset == asset))}


def is_unreported(connection: sa.Connection, task_uuid: str) -> bool:
    """Whether a task is unreported."""
    return connection.execute(_FOUND, {"given_task_uuid": task_uuid}).first() is not None


def mark(connection: sa.Connection, task_uuids: Sequence[str]) -> None:
    """Marks some tasks as reported."""
    connection.execute(table.delete().where(table.c.task_uuid.in_(task_uuids)))
