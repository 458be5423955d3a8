"""Tasks that are known under the fingerprint of an older release, and how they come under the present one.

Up to schema version 4 a fingerprint was computed from texts as they were written; from version 5 on, from their normal
form. A task keeps its UUID, and its former fingerprint, under which its files are in the store.
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
"""Of its own, and not that of the schema: an upgrade has to work on tables as they were then."""

_COUNTS_LAST = ("failed", "rejected", "lost", "reserved", "submitted", "delivered", "stored")
"""States in the order in which tasks of one request count; the last one is what a run finds first."""

_TEXTS = ("positivePrompt", "negativePrompt")

_PER_STATEMENT = 500


def upgrade(connection: sa.Connection) -> None:
    """Brings all tasks of an older ledger under the fingerprints of the normal form of their texts."""
    rename(connection, dict(_renamed(connection)))


def rename(connection: sa.Connection, present: Mapping[str, str]) -> None:
    """Brings tasks under other fingerprints, given by their former ones; attempts stay in order and unique."""
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
    """Yields former and present fingerprint of each request whose texts are not in their normal form."""
    every = sa.select(_tasks.c.fingerprint, _tasks.c.request)
    for fingerprint, request in connection.execute(every, execution_options={"yield_per": 1000}):
        if present := _present_fingerprint(fingerprint, json.loads(request)):
            yield fingerprint, present


def _present_fingerprint(fingerprint: str, record: Mapping[str, Any]) -> str | None:
    """The fingerprint of a request's normal form where it differs.

    None also where the record does not give the former one, since addresses in it were shortened, and where no row may
    request the like any more.
    """
    if all(text == normalized(text) for name in _TEXTS if (text := record.get(name))):
        return None  # quickly: a ledger may hold a million tasks
    try:
        request = VideoRequest.model_validate(record)
    except ValidationError:
        return None
    return request.fingerprint() if request.former_fingerprint() == fingerprint else None


def _changes(rows: list[tuple[str, sa.RowMapping]]) -> Iterator[dict[str, Any]]:
    """Yields what changes of each task, given with its present fingerprint."""
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
