"""Pauses all submissions in every run that shares the ledger."""

from __future__ import annotations

import sqlalchemy as sa

from wan_assets.ledger.schema import insert_into, ledger_info

_PAUSED = "paused"

REASON = sa.select(ledger_info.c.value).where(ledger_info.c.name == _PAUSED).scalar_subquery()
"""The reason of the pause, or NULL, as a subquery for other statements."""


def reason(connection: sa.Connection) -> str | None:
    """Returns the reason of the pause, or None."""
    return connection.execute(sa.select(REASON)).scalar()


def switch(connection: sa.Connection, why: str | None) -> None:
    """Pauses with a reason, or resumes with None."""
    if why is None:
        connection.execute(ledger_info.delete().where(ledger_info.c.name == _PAUSED))
        return
    new = insert_into(connection.dialect.name, ledger_info).values(name=_PAUSED, value=why)
    connection.execute(new.on_conflict_do_update(index_elements=(ledger_info.c.name,), set_={"value": why}))
