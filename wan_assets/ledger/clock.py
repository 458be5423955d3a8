"""Defines the ledger's time: the database's clock if several hosts share the database, otherwise this host's clock.

Times are SQL expressions, so that no separate query for the time is needed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

Clock = Callable[[], float]
"""Returns seconds since 1970 by this host's clock."""


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
"""The same moment as ISO 8601 in UTC, to the millisecond."""


@compiles(_Seconds, "sqlite")
@compiles(_Iso, "sqlite")
def _sqlite_function(moment: FunctionElement[Any], *_: Any, **__: Any) -> str:
    return f"{moment.name}()"


# now() would be the begin of the transaction, which may have waited for other transactions since.
@compiles(_Seconds, "postgresql")
def _seconds(*_: Any, **__: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS DOUBLE PRECISION)"


@compiles(_Iso, "postgresql")
def _iso(*_: Any, **__: Any) -> str:
    return """to_char(timezone('UTC', clock_timestamp()), 'YYYY-MM-DD"T"HH24:MI:SS.MS"+00:00"')"""


def register_clock(connection: Any, clock: Clock) -> None:
    """Defines the clock functions on a connection to SQLite, whose own clock tests cannot set."""
    connection.create_function(_Seconds.name, 0, clock)
    connection.create_function(_Iso.name, 0, partial(_iso_of, clock))


def ago_iso(connection: sa.Connection, seconds: float) -> str:
    """Returns the moment some seconds ago, in the form in which the ledger records moments."""
    now = float(connection.execute(sa.select(NOW_S)).scalar_one())
    return _iso_of(lambda: now - seconds)


def later_iso(moment: str, seconds: float) -> str:
    """Returns the moment some seconds after another one, both in the form in which the ledger records moments."""
    return (datetime.fromisoformat(moment) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def ahead_s(connection: sa.Connection) -> float:
    """Returns how far the ledger's clock is ahead of this host's clock, in seconds."""
    return float(connection.execute(sa.select(NOW_S)).scalar_one()) - time.time()


def _iso_of(clock: Clock) -> str:
    return datetime.fromtimestamp(clock(), UTC).isoformat(timespec="milliseconds")
