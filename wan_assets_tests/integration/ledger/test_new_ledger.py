"""A new ledger has the tables and indexes that SQLAlchemy creates from their definitions, in SQLite and Postgres."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from wan_assets.ledger import Ledger
from wan_assets.ledger.schema import metadata
from wan_assets.settings import sqlite_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from postgres_support import Cluster


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], AbstractContextManager[str]]:
    """Gives the address of one fresh database after the other."""
    if request.param == "postgres":
        cluster: Cluster = request.getfixturevalue("postgres")
        return cluster.database
    names = iter(range(9))

    @contextmanager
    def fresh() -> Iterator[str]:
        yield sqlite_url(tmp_path / f"{next(names)}.db")

    return fresh


def described(url: str) -> dict[str, Any]:
    """The columns, keys and indexes of each table."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    inspector = sa.inspect(engine)
    return {
        table: {
            "columns": [{**each, "type": str(each["type"])} for each in inspector.get_columns(table)],
            "key": inspector.get_pk_constraint(table)["constrained_columns"],
            "unique": sorted(map(repr, inspector.get_unique_constraints(table))),
            "indexes": sorted(map(repr, inspector.get_indexes(table))),
        }
        for table in inspector.get_table_names()
    }


def test_a_new_ledger_has_all_tables_and_indexes(database: Callable[[], AbstractContextManager[str]]) -> None:
    with database() as ours, database() as expected:
        Ledger(ours).close()
        metadata.create_all(sa.create_engine(expected, poolclass=sa.NullPool))

        assert described(ours) == described(expected)
        assert described(ours).keys() == metadata.tables.keys()


def test_missing_tables_are_created_when_a_ledger_is_opened_again(
    database: Callable[[], AbstractContextManager[str]],
) -> None:
    with database() as url:
        Ledger(url).close()
        complete = described(url)
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        with closing(engine.connect()) as connection, connection.begin():
            connection.execute(sa.text("DROP TABLE wan_budget_alerts"))

        Ledger(url).close()

        assert described(url) == complete
