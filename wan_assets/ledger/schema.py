"""Defines the ledger's tables, and opens its database."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

from wan_assets.errors import LedgerError, LedgerMissingError, LedgerUrlError, LedgerVersionError
from wan_assets.ledger import amounts, database_urls, fingerprints
from wan_assets.ledger.clock import Clock, register_clock
from wan_assets.ledger.database_urls import IN_MEMORY, DatabaseUrlError, is_file, secrets_of, url_of

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

_TABLE_CREATION_LOCK = 0x77616E
"""The number of an advisory lock of the database."""

_LOCKED = "database is locked"
_HELD = "; another process holds the lock: it writes for a long time, or was suspended while it wrote"

metadata = sa.MetaData()

tasks = sa.Table(
    "wan_tasks",
    metadata,
    sa.Column("task_uuid", sa.String(36), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("former_fingerprint", sa.String(64)),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("is_simulated", sa.Boolean, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("number_results", sa.Integer, nullable=False),
    sa.Column("reserved_microusd", sa.BigInteger, nullable=False),
    sa.Column("cost_microusd", sa.BigInteger, nullable=False, default=0),
    sa.Column("request", sa.Text, nullable=False),
    sa.Column("results", sa.Text, nullable=False, default="[]"),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("asset", sa.Text, nullable=False),
    sa.Column("partition", sa.Text, nullable=False),
    sa.Column("prompt_id", sa.Text, nullable=False, default="-"),
    sa.Column("purchase", sa.Text, nullable=False, default=""),
    sa.Column("created_at", sa.String(32), nullable=False),
    sa.Column("submitted_at", sa.String(32)),
    sa.Column("finished_at", sa.String(32)),
    sa.Column("error_code", sa.Text),
    sa.Column("error_message", sa.Text),
    sa.Column("owner", sa.Text),
    sa.Column("lease_until", sa.Float),
    sa.Column("submitted_by", sa.String(64)),
    sa.Column("settled_by", sa.String(64)),
    sa.Column("take", sa.Integer, nullable=False, default=1, server_default="1"),
    sa.Column("approval", sa.Text),
    sa.Column("tags", sa.Text, nullable=False, default="{}", server_default="{}"),
    sa.Column("counted_at", sa.String(32)),
    sa.Column("estimated_microusd", sa.BigInteger),
    sa.Index("wan_tasks_fingerprint", "fingerprint", "is_simulated", "attempt"),
    sa.Index("wan_tasks_state", "state"),
    sa.Index("wan_tasks_owner", "owner"),
    *amounts.constraints_of("wan_tasks"),
)

spend = sa.Table(
    "wan_spend",
    metadata,
    sa.Column("scope", sa.String(128), primary_key=True),
    sa.Column("committed_microusd", sa.BigInteger, nullable=False),
    *amounts.constraints_of("wan_spend"),
)

budgets = sa.Table(
    "wan_budgets",
    metadata,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("definition", sa.Text, nullable=False),
    sa.Column("limit_microusd", sa.BigInteger),
    sa.Column("alert_at", sa.Text),
    sa.Column("changed_at", sa.String(32)),
)

budget_alerts = sa.Table(
    "wan_budget_alerts",
    metadata,
    sa.Column("key", sa.String(224), primary_key=True),
    sa.Column("budget", sa.Text, nullable=False),
    sa.Column("percent", sa.Integer, nullable=False),
    sa.Column("limit_microusd", sa.BigInteger, nullable=False),
    sa.Column("committed_microusd", sa.BigInteger, nullable=False),
    sa.Column("period", sa.Text, nullable=False),
    sa.Column("resets_at", sa.String(32)),
    sa.Column("time_zone", sa.String(64), nullable=False),
    sa.Column("is_simulated", sa.Boolean, nullable=False),
    sa.Column("has_skipped_rows", sa.Boolean, nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("asset", sa.Text, nullable=False),
    sa.Column("created_at", sa.String(32), nullable=False),
)

alert_deliveries = sa.Table(
    "wan_alert_deliveries",
    metadata,
    sa.Column("key", sa.String(224), primary_key=True),
    sa.Column("channel", sa.String(16), primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("claimed_until", sa.Double, nullable=False),
    sa.Column("delivered_at", sa.String(32)),
)

run_tags = sa.Table(
    "wan_run_tags",
    metadata,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("tags", sa.Text, nullable=False),
)

prices = sa.Table(
    "wan_prices",
    metadata,
    sa.Column("kind", sa.String(128), primary_key=True),
    sa.Column("tasks", sa.Integer, nullable=False),
    sa.Column("cost_microusd", sa.BigInteger, nullable=False),
    sa.Column("recent", sa.Text, nullable=False),
    *amounts.constraints_of("wan_prices"),
)

overcharges = sa.Table(
    "wan_overcharges",
    metadata,
    sa.Column("task_uuid", sa.String(36), primary_key=True),
    sa.Column("reserved_microusd", sa.BigInteger, nullable=False),
    sa.Column("excess_microusd", sa.BigInteger, nullable=False),
)

unreported = sa.Table("wan_untold", metadata, sa.Column("task_uuid", sa.String(36), primary_key=True))

hints = sa.Table(
    "wan_wakes",
    metadata,
    sa.Column("task_uuid", sa.String(36), primary_key=True),
    sa.Column("woken_at", sa.Float, nullable=False),
)

runs = sa.Table(
    "wan_runs",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("lease_until", sa.Float, nullable=False),
)

media = sa.Table(
    "wan_media",
    metadata,
    sa.Column("reference", sa.String(80), primary_key=True),
    sa.Column("base_url", sa.String(200), primary_key=True),
    sa.Column("media_uuid", sa.String(64), nullable=False),
    sa.Column("used_at", sa.Float, nullable=False),
)

concurrency = sa.Table(
    "wan_concurrency",
    metadata,
    sa.Column("account", sa.String(256), primary_key=True),
    sa.Column("task_limit", sa.Integer, nullable=False),
    sa.Column("ceiling", sa.Integer),
    sa.Column("refused_at", sa.Double),
    sa.Column("changed_at", sa.Double, nullable=False),
    sa.Column("changed_by", sa.Text, nullable=False),
)

waiting_runs = sa.Table(
    "wan_waiting_runs",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("account", sa.String(256), nullable=False),
    sa.Column("waiting", sa.Integer, nullable=False),
    sa.Column("moved_at", sa.Double, nullable=False),
    sa.Column("lease_until", sa.Double, nullable=False),
)

partitions = sa.Table(
    "wan_partitions",
    metadata,
    sa.Column("asset", sa.Text, primary_key=True),
    sa.Column("partition", sa.Text, primary_key=True),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("rows", sa.Text, nullable=False),
)

video_checks = sa.Table(
    "wan_video_checks",
    metadata,
    sa.Column("task_uuid", sa.String(36), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("check_name", sa.String(128), primary_key=True),
    sa.Column("passed", sa.Boolean),
    sa.Column("score", sa.Double),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("code_version", sa.Text, nullable=False),
    sa.Column("is_error", sa.Boolean, nullable=False),
)

decisions = sa.Table(
    "wan_decisions",
    metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("result", sa.Integer, nullable=False),
    sa.Column("value", sa.String(16), nullable=False),
    sa.Column("rating", sa.Integer),
    sa.Column("labels", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("reviewer", sa.String(128), nullable=False),
    sa.Column("source", sa.String(16), nullable=False),
    sa.Column("rule", sa.Text, nullable=False),
    sa.Column("decided_at", sa.String(32), nullable=False),
    sa.Column("key", sa.String(64), unique=True),
    sa.Index("wan_decisions_video", "fingerprint", "sha256", "result", "number"),
)

takes = sa.Table(
    "wan_takes",
    metadata,
    sa.Column("row_fingerprint", sa.String(64), primary_key=True),
    sa.Column("is_simulated", sa.Boolean, primary_key=True),
    sa.Column("take", sa.Integer, primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Index("wan_takes_fingerprint", "fingerprint"),
)

ledger_info = sa.Table(
    "wan_ledger",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)


def given(column: sa.Column[Any]) -> sa.BindParameter[Any]:
    """Returns a parameter for a column, named `given_` and the column's name.

    Statements that each row needs are built once: building one takes several times as long as executing it.
    """
    return sa.bindparam(f"given_{column.name}", type_=column.type)


def opened(url: str, busy_s: float, *, must_exist: bool, clock: Clock) -> sa.Engine:
    """Opens the database and creates missing tables; raises `LedgerError`.

    With `must_exist`, a missing file, or a database without a ledger, is an error, and no ledger is created.
    """
    address = _address(url)
    with as_ledger_error(url):
        if is_file(address):
            _refuse_unusable(Path(address.database or ""), redacted_url(url), must_exist=must_exist)
        engine = _engine(address, busy_s, clock)
        try:
            with engine.begin() as connection:
                if must_exist:
                    _refuse_empty(connection, redacted_url(url))
                lock_number(connection, _TABLE_CREATION_LOCK)
                _create_or_upgrade(connection, url)
        except BaseException:
            engine.dispose()
            raise
        return engine


def insert_into(dialect: str, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """Returns an INSERT with a conflict clause, which each database defines in its own dialect."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def upsert_into(dialect: str, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """Returns an INSERT that replaces the row with the same primary key."""
    new = insert_into(dialect, table)
    replaced = {column.name: new.excluded[column.name] for column in table.c if not column.primary_key}
    return new.on_conflict_do_update(index_elements=list(table.primary_key), set_=replaced)


def lock_number(connection: sa.Connection, number: int, *, is_shared: bool = False) -> None:
    """Admits one transaction at a time under a number of 64 bits, or any number of those that share it; SQLite always
    has one writer at a time.
    """
    if connection.dialect.name == "postgresql":
        lock = sa.func.pg_advisory_xact_lock_shared if is_shared else sa.func.pg_advisory_xact_lock
        connection.execute(sa.select(lock(number)))


@contextmanager
def as_ledger_error(url: str) -> Iterator[None]:
    """Converts database errors to one sentence, without the password and the statement."""
    try:
        yield
    except SQLAlchemyError as error:
        lines = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
        message = _without_secrets(lines[0], url)
        raise LedgerError(f"ledger {redacted_url(url)}: {message}{_HELD if message == _LOCKED else ''}") from None
    except (OSError, ImportError) as error:
        raise LedgerError(f"ledger {redacted_url(url)}: {_without_secrets(str(error), url)}") from None
    except (ValueError, KeyError, TypeError) as error:
        message = f"it contains data that this package did not write: {type(error).__name__}: {error}"
        raise LedgerError(f"ledger {redacted_url(url)}: {_without_secrets(message, url)}") from None


def redacted_url(url: str) -> str:
    """Returns a URL without its password, and without options that may contain one."""
    try:
        return database_urls.redacted_url(_address(url))
    except LedgerError:
        return "(not shown: it may hold a password)"


def is_in_memory(url: str) -> bool:
    """Whether a ledger is lost when its process ends."""
    return _address(url).database == IN_MEMORY


def _without_secrets(message: str, url: str) -> str:
    for secret in secrets_of(_address(url)):
        if secret in message or quote(secret, safe="") in message:
            return "the database's message is not shown, because it repeats the password"
    return message


def _address(url: str) -> sa.URL:
    try:
        address = url_of(url, "the ledger's URL")
    except DatabaseUrlError as error:
        raise LedgerUrlError(str(error)) from None
    if (backend := address.get_backend_name()) not in ("sqlite", "postgresql"):
        raise LedgerUrlError(f"the ledger's URL begins with {backend}: a ledger is kept in SQLite or Postgres")
    if address.get_dialect().is_async:
        raise LedgerUrlError(f"the ledger's URL names {address.drivername}: write postgresql+psycopg://")
    return address


def _refuse_unusable(file: Path, where: str, *, must_exist: bool) -> None:
    """Rejects a path that is not a usable file, before a database is created there."""
    if must_exist and not file.exists():
        raise LedgerMissingError(f"there is no ledger at {where}")
    if must_exist and file.is_file() and not file.stat().st_size:
        raise LedgerMissingError(f"there is no ledger at {where}: the file is empty")
    if file.is_dir():
        raise LedgerError(f"ledger {where}: unable to open database file: it is a folder; name a file in it")
    if file.exists() and not file.is_file():
        raise LedgerError(f"ledger {where}: unable to open database file: it is not a regular file")


def _refuse_empty(connection: sa.Connection, where: str) -> None:
    """Rejects a database without a ledger."""
    if not sa.inspect(connection).has_table(ledger_info.name):
        raise LedgerMissingError(f"there is no ledger at {where}: the database does not have its tables")


def _engine(url: sa.URL, busy_s: float, clock: Clock) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        waits = {"options": f"-c lock_timeout={int(busy_s * 1000)}", "connect_timeout": max(2, int(busy_s))}
        return sa.create_engine(url, pool_pre_ping=True, connect_args=waits)
    if is_file(url):
        Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, connect_args={"timeout": busy_s})
    sa.event.listen(engine, "connect", partial(_prepare_sqlite, busy_s=busy_s, clock=clock))
    sa.event.listen(engine, "begin", _begin_immediately)
    return engine


def _prepare_sqlite(connection: Any, _: Any, *, busy_s: float, clock: Clock) -> None:
    """Turns on the write-ahead log. SQLite has no wait for this switch, so it is retried."""
    connection.isolation_level = None
    trials = Retrying(
        retry=retry_if_exception_type(sqlite3.OperationalError),
        wait=wait_random(0.005, 0.05),
        stop=stop_after_delay(busy_s),
        reraise=True,
    )
    trials(connection.execute, "PRAGMA journal_mode=WAL")
    register_clock(connection, clock)
    connection.execute("PRAGMA synchronous=FULL")


def _begin_immediately(connection: sa.Connection) -> None:
    """Takes the write lock first: a transaction that reads before it writes could not get it later."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _create_or_upgrade(connection: sa.Connection, url: str) -> None:
    """Creates the tables, or upgrades those of an older ledger; rejects a newer one."""
    tables = set(sa.inspect(connection).get_table_names()) & metadata.tables.keys()
    if not tables:
        for statement in _definitions_for(connection.dialect.name):
            connection.exec_driver_sql(statement)
    elif tables != metadata.tables.keys():
        metadata.create_all(connection)
    _upgrade(connection, url)


@cache
def _definitions_for(dialect: str) -> tuple[str, ...]:
    """Returns the statements that create all tables and indexes: compiling them takes longer than executing them."""
    target = {"sqlite": sqlite, "postgresql": postgresql}[dialect].dialect()
    tables = metadata.sorted_tables
    indexes = [sorted(table.indexes, key=lambda index: str(index.name)) for table in tables]
    statements: list[DDLElement] = [*map(CreateTable, tables), *map(CreateIndex, chain.from_iterable(indexes))]
    return tuple(str(each.compile(dialect=target)) for each in statements)


def _upgrade(connection: sa.Connection, url: str) -> None:
    """Upgrades an older ledger to the current schema version; rejects a newer one."""
    here = ledger_info.c.name == "schema_version"
    found = connection.execute(sa.select(ledger_info.c.value).where(here)).scalar()
    if found is None:
        connection.execute(ledger_info.insert().values(name="schema_version", value=str(SCHEMA_VERSION)))
        return
    if not found.isdecimal() or int(found) > SCHEMA_VERSION:
        raise LedgerVersionError(
            f"ledger {redacted_url(url)} has schema version {found}, this package knows {SCHEMA_VERSION}: "
            "use the package version that wrote it"
        )
    for version in range(int(found), SCHEMA_VERSION):
        for step in _UPGRADES[version]:
            if callable(step):
                step(connection)
            else:
                connection.exec_driver_sql(step)
    connection.execute(ledger_info.update().where(here).values(value=str(SCHEMA_VERSION)))
