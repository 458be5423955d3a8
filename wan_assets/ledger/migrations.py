"""Creates the tables of a new ledger, and upgrades those that an older release wrote."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from itertools import chain
from typing import TypeAlias

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement

from wan_assets.errors import LedgerVersionError
from wan_assets.ledger import amounts, fingerprints
from wan_assets.ledger.schema import ledger_info, metadata

SCHEMA_VERSION = 7

Step: TypeAlias = str | Callable[[sa.Connection], None]


def _add_column(name: str, connection: sa.Connection, kind: str = "VARCHAR(64)") -> None:
    """Adds a column to the tasks, unless it exists."""
    if name not in {column["name"] for column in sa.inspect(connection).get_columns("wan_tasks")}:
        connection.exec_driver_sql(f"ALTER TABLE wan_tasks ADD COLUMN {name} {kind}")


_UPGRADES: dict[int, tuple[Step, ...]] = {
    1: ("ALTER TABLE wan_tasks ADD COLUMN prompt_id TEXT NOT NULL DEFAULT '-'",),
    2: (),
    3: (),
    4: (
        partial(_add_column, "former_fingerprint"),
        partial(_add_column, "submitted_by"),
        partial(_add_column, "settled_by"),
        fingerprints.upgrade,
        amounts.upgrade,
    ),
    5: (
        partial(_add_column, "take", kind="INTEGER NOT NULL DEFAULT 1"),
        partial(_add_column, "approval", kind="TEXT"),
    ),
    6: (
        partial(_add_column, "tags", kind="TEXT NOT NULL DEFAULT '{}'"),
        partial(_add_column, "counted_at", kind="VARCHAR(32)"),
        partial(_add_column, "estimated_microusd", kind="BIGINT"),
    ),
}
"""The steps from each older schema version to the next. New tables need no step; they are created if they are missing.

A step is a SQL statement, or a function of the connection. All steps run in one transaction.
"""


def create_or_upgrade(connection: sa.Connection, where: str) -> None:
    """Creates the tables, or upgrades those of an older ledger; rejects a newer one. `where` names the ledger."""
    tables = set(sa.inspect(connection).get_table_names()) & metadata.tables.keys()
    if not tables:
        for statement in _definitions_for(connection.dialect.name):
            connection.exec_driver_sql(statement)
    elif tables != metadata.tables.keys():
        metadata.create_all(connection)
    _upgrade(connection, where)


@cache
def _definitions_for(dialect: str) -> tuple[str, ...]:
    """Returns the statements that create all tables and indexes: compiling them takes longer than executing them."""
    target = {"sqlite": sqlite, "postgresql": postgresql}[dialect].dialect()
    tables = metadata.sorted_tables
    indexes = [sorted(table.indexes, key=lambda index: str(index.name)) for table in tables]
    statements: list[DDLElement] = [*map(CreateTable, tables), *map(CreateIndex, chain.from_iterable(indexes))]
    return tuple(str(each.compile(dialect=target)) for each in statements)


def _upgrade(connection: sa.Connection, where: str) -> None:
    """Upgrades an older ledger to the current schema version; rejects a newer one."""
    here = ledger_info.c.name == "schema_version"
    found = connection.execute(sa.select(ledger_info.c.value).where(here)).scalar()
    if found is None:
        connection.execute(ledger_info.insert().values(name="schema_version", value=str(SCHEMA_VERSION)))
        return
    if not found.isdecimal() or int(found) > SCHEMA_VERSION:
        raise LedgerVersionError(
            f"ledger {where} has schema version {found}, this package knows {SCHEMA_VERSION}: "
            "use the package version that wrote it"
        )
    for version in range(int(found), SCHEMA_VERSION):
        for step in _UPGRADES[version]:
            if callable(step):
                step(connection)
            else:
                connection.exec_driver_sql(step)
    connection.execute(ledger_info.update().where(here).values(value=str(SCHEMA_VERSION)))
