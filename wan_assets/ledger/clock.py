"""What time it is: by the database's clock where several hosts share one, since theirs differ; else by this host's.

Moments are SQL, so that whoever asks and whoever writes need no question of their own to the database.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

Clock = Callable[[], float]
"""Gives seconds since 1970 by this host's clock."""


class _Seconds(FunctionElement[float]):
    name = "wan_now_s"
    type = sa.Double()
    inherit_cache = True


class _Iso(FunctionElement[str]):
    name = "wan_now_iso"
    type = sa.Text()
    inherit_cache = True


NOW_S = _Seconds()
"""Seconds since 1970, at the moment when the statement is executed."""

NOW_ISO = _Iso()
"""The same as ISO 8601 in UTC, to the millisecond."""


@compiles(_Seconds, "sqlite")
@compiles(_Iso, "sqlite")
def _sqlite_function(moment: FunctionElement[Any], *_: Any, **__: Any) -> str:
    return f"{moment.name}()"


# Not now(), which is when the transaction began: it may have waited for others since.
@compiles(_Seconds, "postgresql")
def _seconds(*_: Any, **__: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"


@compiles(_Iso, "postgresql")
def _iso(*_: Any, **__: Any) -> str:
    return """to_char(timezone('UTC', clock_timestamp()), 'YYYY-MM-DD"T"HH24:MI:SS.MS"+00:00"')"""


def register_clock(connection: Any, clock: Clock) -> None:
    """Gives a connection to SQLite, which has no clock of its own that tests could set, this host's."""
    connection.create_function(_Seconds.name, 0, clock)
    connection.create_function(_Iso.name, 0, partial(_iso_of, clock))


def today(connection: sa.Connection) -> str:
    """The UTC day, as ISO 8601."""
    return str(connection.execute(sa.select(NOW_ISO)).scalar_one())[:10]


def ahead_s(connection: sa.Connection) -> float:
    """How far the clock of the ledger's moments is ahead of this host's, in seconds."""
    return float(connection.execute(sa.select(NOW_S)).scalar_one()) - time.time()


def _iso_of(clock: Clock) -> str:
    return datetime.fromtimestamp(clock(), UTC).isoformat(timespec="milliseconds")
