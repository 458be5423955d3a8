"""Reads what an estimate of a run needs: the requests that are paid already, recent durations, the learned limit."""

from __future__ import annotations

from datetime import datetime
from statistics import median
from typing import NamedTuple

import sqlalchemy as sa

from wan_assets.ledger.claims import is_current
from wan_assets.ledger.schema import concurrency, tasks
from wan_assets.models import FINGERPRINT_BYTES

_TASKS_READ = 100
_ROWS_PER_FETCH = 10_000


class RecentDurations(NamedTuple):
    """The latest finished tasks: their number, and the median time from submission to result, in seconds."""

    tasks: int
    median_s: float


def requested(connection: sa.Connection, *, simulated: bool) -> frozenset[bytes]:
    """Returns the first 16 bytes of the fingerprint of each request that has a task: it costs nothing more."""
    query = sa.select(tasks.c.fingerprint).where(tasks.c.is_simulated == simulated, *is_current("")).distinct()
    found = connection.scalars(query.execution_options(yield_per=_ROWS_PER_FETCH))
    return frozenset(bytes.fromhex(fingerprint)[:FINGERPRINT_BYTES] for fingerprint in found)


def recent_durations(connection: sa.Connection, *, simulated: bool) -> RecentDurations | None:
    """Returns the durations of the latest finished tasks; None if there are none."""
    ended = (tasks.c.is_simulated == simulated, tasks.c.submitted_at.is_not(None), tasks.c.finished_at.is_not(None))
    query = (
        sa.select(tasks.c.submitted_at, tasks.c.finished_at)
        .where(*ended, *is_current(""))
        .order_by(tasks.c.created_at.desc())
        .limit(_TASKS_READ)
    )
    found = [_seconds(*row) for row in connection.execute(query)]
    return RecentDurations(len(found), median(found)) if found else None


def learned_limit(connection: sa.Connection, account: str) -> int | None:
    """Returns the number of tasks in flight that runs of an account have learned; None if they have learned none."""
    found = connection.execute(sa.select(concurrency.c.task_limit).where(concurrency.c.account == account)).scalar()
    return None if found is None else int(found)


def _seconds(submitted_at: str, finished_at: str) -> float:
    passed = datetime.fromisoformat(finished_at) - datetime.fromisoformat(submitted_at)
    return max(0.0, passed.total_seconds())
