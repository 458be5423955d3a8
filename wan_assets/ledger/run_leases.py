"""Which runs are at work: each renews a lease, as it does those of its tasks; one that was killed stops doing so."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from wan_assets.ledger.clock import NOW_S
from wan_assets.ledger.processes import is_surely_dead
from wan_assets.ledger.schema import runs as table

_WEEK_S = 7 * 24 * 3600.0


def begin(connection: sa.Connection, run_id: str, owner: str, *, lease_s: float) -> None:
    """An owner begins its work for a run; those of whom nobody has heard for a week are forgotten."""
    connection.execute(table.delete().where(table.c.lease_until < NOW_S + lease_s - _WEEK_S))
    connection.execute(table.insert().values(run_id=run_id, owner=owner, lease_until=NOW_S + lease_s))


def renew(connection: sa.Connection, owner: str, *, lease_s: float) -> None:
    """It is still at work."""
    connection.execute(table.update().where(table.c.owner == owner).values(lease_until=NOW_S + lease_s))


def end(connection: sa.Connection, owner: str) -> None:
    """It has ended, well or not."""
    connection.execute(table.delete().where(table.c.owner == owner))


def at_work(connection: sa.Connection) -> set[str]:
    """Runs that some living process is at work for."""
    return {row.run_id for row in _found(connection) if not (row.is_late or is_surely_dead(row.owner))}


def lost(connection: sa.Connection) -> list[str]:
    """Runs that ended without a word, oldest first: nobody at work for them has renewed its lease."""
    found = _found(connection)
    alive = {row.run_id for row in found if not (row.is_late or is_surely_dead(row.owner))}
    return [run_id for run_id in dict.fromkeys(row.run_id for row in found) if run_id not in alive]


def _found(connection: sa.Connection) -> Sequence[sa.Row[tuple[str, str, bool]]]:
    is_late = (table.c.lease_until < NOW_S).label("is_late")
    return connection.execute(sa.select(table.c.run_id, table.c.owner, is_late).order_by(table.c.lease_until)).all()


def forget(connection: sa.Connection, run_id: str) -> None:
    """Somebody has seen to a run that was lost."""
    connection.execute(table.delete().where(table.c.run_id == run_id))
