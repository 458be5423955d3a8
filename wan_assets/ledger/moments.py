"""What time it is: by the database's clock where several hosts share one, since theirs differ; else by this host's.

Moments are SQL, so that whoever asks and whoever writes need no question of their own to the database.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import sqlalchemy as sa

Clock = Callable[[], float]
"""Gives seconds since 1970 by this host's clock."""


def now_s(connection: sa.Connection, clock: Clock) -> sa.ColumnElement[float]:
    """Seconds since 1970, at the moment when the statement is executed."""
    if connection.dialect.name == "postgresql":
        # Not now(), which is when the transaction began: it may have waited for others since.
        return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double)
    return sa.literal(clock())


def now_iso(connection: sa.Connection, clock: Clock) -> sa.ColumnElement[str]:
    """The same as ISO 8601 in UTC, to the millisecond."""
    if connection.dialect.name == "postgresql":
        in_utc = sa.func.timezone("UTC", sa.func.clock_timestamp())
        return sa.func.to_char(in_utc, 'YYYY-MM-DD"T"HH24:MI:SS.MS"+00:00"')
    return sa.literal(datetime.fromtimestamp(clock(), UTC).isoformat(timespec="milliseconds"))


def today(connection: sa.Connection, clock: Clock) -> str:
    """The UTC day, as ISO 8601."""
    return str(connection.execute(sa.select(now_iso(connection, clock))).scalar_one())[:10]


def ahead_s(connection: sa.Connection, clock: Clock) -> float:
    """How far the clock of the ledger's moments is ahead of this host's, in seconds."""
    return float(connection.execute(sa.select(now_s(connection, clock))).scalar_one()) - time.time()
