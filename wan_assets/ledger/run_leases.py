"""Keeps a lease for each run at work; a killed run stops renewing its lease."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from wan_assets.ledger.clock import NOW_S
from wan_assets.ledger.processes import is_surely_dead
from wan_assets.ledger.schema import runs as table

_WEEK_S = 7 * 24 * 3600.0


def begin(connection: sa.Connection, run_id: str, owner: str, *, lease_s: float) -> None:
    """Records that an owner works for a run; leases that expired a week ago are deleted."""
    connection.execute(table.delete().where(table.c.lease_until < NOW_S + lease_s - _WEEK_S))
    connection.execute(table.insert().values(run_id=run_id, owner=owner, lease_until=NOW_S + lease_s))


def renew(connection: sa.Connection, owner: str, *, lease_s: float) -> None:
    """Extends the lease of an owner."""
    connection.execute(table.update().where(table.c.owner == owner).values(lease_until=NOW_S + lease_s))


def end(connection: sa.Connection, owner: str) -> None:
    """Deletes the lease of an owner that ended."""
    connection.execute(table.delete().where(table.c.owner == owner))


def at_work(connection: sa.Connection) -> set[str]:
    """Returns runs that a live process works for."""
    return {row.run_id for row in _found(connection) if not (row.is_late or is_surely_dead(row.owner))}


def lost(connection: sa.Connection) -> list[str]:
    """Returns runs that ended without a report, oldest first: no process has renewed their lease."""
    found = _found(connection)
    alive = {row.run_id for row in found if not (row.is_late or is_surely_dead(row.owner))}
    return [run_id for run_id in dict.fromkeys(row.run_id for row in found) if run_id not in alive]


def _found(connection: sa.Connection) -> Sequence[sa.Row[tuple[str, str, bool]]]:
    is_late = (table.c.lease_until < NOW_S).label("is_late")
    return connection.execute(sa.select(table.c.run_id, table.c.owner, is_late).order_by(table.c.lease_until)).all()


def forget(connection: sa.Connection, run_id: str) -> None:
    """Deletes the lease of a lost run that was handled."""
    connection.execute(table.delete().where(table.c.run_id == run_id))
