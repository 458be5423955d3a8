"""Updates tasks from the fingerprints of older releases to the current fingerprints.

Up to schema version 4, a fingerprint was computed from the texts as written. From version 5 on, it is computed from
their normal form. A task keeps its UUID and its former fingerprint, under which the store has its files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from more_itertools import chunked
from pydantic import ValidationError

from wan_assets.models import VideoRequest, normalized

_tasks = sa.table(
    "wan_tasks",
    *(sa.column(name) for name in ("task_uuid", "fingerprint", "former_fingerprint", "attempt", "is_simulated")),
    *(sa.column(name) for name in ("state", "created_at", "request")),
)
"""An own definition, independent of `schema`: an upgrade works on the tables of its time."""

_COUNTS_LAST = ("failed", "rejected", "lost", "reserved", "submitted", "delivered", "stored")
"""States by increasing precedence among the tasks of one request. A run uses the task with the last state."""

_TEXTS = ("positivePrompt", "negativePrompt")

_PER_STATEMENT = 500


def upgrade(connection: sa.Connection) -> None:
    """Updates all tasks of an older ledger to the fingerprints of the normal form of their texts."""
    rename(connection, dict(_renamed(connection)))


def rename(connection: sa.Connection, present: Mapping[str, str]) -> None:
    """Updates tasks to the fingerprints given by their former ones; attempts stay ordered and unique."""
    found = [row for some in chunked(present, _PER_STATEMENT) for row in _of(connection, some)]
    if not found:
        return
    targets = list({present[row["fingerprint"]] for row in found})
    there = [row for some in chunked(targets, _PER_STATEMENT) for row in _of(connection, some)]
    known = {row["task_uuid"]: row for row in (*found, *there)}
    changes = list(_changes([(present.get(row["fingerprint"], row["fingerprint"]), row) for row in known.values()]))
    change = _tasks.update().where(_tasks.c.task_uuid == sa.bindparam("which"))
    names = ("fingerprint", "former_fingerprint", "attempt")
    connection.execute(change.values({name: sa.bindparam(f"to_{name}") for name in names}), changes)


def _of(connection: sa.Connection, fingerprints: Sequence[str]) -> Sequence[sa.RowMapping]:
    return connection.execute(_tasks.select().where(_tasks.c.fingerprint.in_(fingerprints))).mappings().all()


def _renamed(connection: sa.Connection) -> Iterator[tuple[str, str]]:
    """Yields the former and the present fingerprint of each request whose texts are not in normal form."""
    every = sa.select(_tasks.c.fingerprint, _tasks.c.request)
    for fingerprint, request in connection.execute(every, execution_options={"yield_per": 1000}):
        if present := _present_fingerprint(fingerprint, json.loads(request)):
            yield fingerprint, present


def _present_fingerprint(fingerprint: str, record: Mapping[str, Any]) -> str | None:
    """Returns the fingerprint of a request's normal form, if it differs.

    Returns None also if the record does not yield the former fingerprint, because its addresses were shortened, and if
    the request is not valid any more.
    """
    if all(text == normalized(text) for name in _TEXTS if (text := record.get(name))):
        return None  # the fast path: a ledger may contain a million tasks
    try:
        request = VideoRequest.model_validate(record)
    except ValidationError:
        return None
    return request.fingerprint() if request.former_fingerprint() == fingerprint else None


def _changes(rows: list[tuple[str, sa.RowMapping]]) -> Iterator[dict[str, Any]]:
    """Yields the changes of each task; each task is given with its present fingerprint."""
    rows.sort(key=lambda pair: (pair[0], pair[1]["is_simulated"], *_rank(pair[1])))
    for _, group in groupby(rows, key=lambda pair: (pair[0], pair[1]["is_simulated"])):
        same = list(group)
        is_joined = len({row["fingerprint"] for _, row in same}) > 1
        for number, (present, row) in enumerate(same, 1):
            former = row["former_fingerprint"] if row["fingerprint"] == present else row["fingerprint"]
            attempt = number if is_joined else row["attempt"]
            yield {"which": row["task_uuid"], "to_fingerprint": present, "to_former_fingerprint": former} | {
                "to_attempt": attempt
            }


def _rank(row: sa.RowMapping) -> tuple[int, str, int]:
    return _COUNTS_LAST.index(row["state"]), row["created_at"], row["attempt"]
