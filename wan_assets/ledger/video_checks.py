"""Records the results of checks that users define, for each file of a task."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass

import sqlalchemy as sa
from more_itertools import chunked

from wan_assets.ledger.schema import upsert_into, video_checks

_PER_STATEMENT = 500
_KEY = ("task_uuid", "number", "check_name")


@dataclass(frozen=True)
class CheckRecord:
    """The result of one check of one file, which is the result `number` of its task, from 1.

    `passed` is None if the check did not apply. With `is_error`, the check raised or exceeded its time limit.
    """

    task_uuid: str
    number: int
    check_name: str
    passed: bool | None
    score: float | None = None
    message: str = ""
    code_version: str = ""
    is_error: bool = False


def recorded(connection: sa.Connection, task_uuids: Collection[str]) -> dict[str, list[CheckRecord]]:
    """Returns the results by task, ordered by file and check."""
    found: dict[str, list[CheckRecord]] = {}
    for some in chunked(task_uuids, _PER_STATEMENT):
        of_tasks = video_checks.select().where(video_checks.c.task_uuid.in_(some))
        for row in connection.execute(of_tasks.order_by(*(video_checks.c[name] for name in _KEY))).mappings():
            found.setdefault(row["task_uuid"], []).append(CheckRecord(**row))
    return found


def record(connection: sa.Connection, records: Iterable[CheckRecord]) -> None:
    """Records some results; a newer result replaces an older one."""
    rows = sorted(map(asdict, records), key=lambda row: [row[name] for name in _KEY])
    connection.execute(upsert_into(connection.dialect.name, video_checks), rows)
