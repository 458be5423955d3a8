"""Opens the ledger's database: its URL, its locks, and its errors in one sentence without secrets."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

from wan_assets.errors import LedgerError, LedgerMissingError, LedgerUrlError
from wan_assets.ledger import database_urls
from wan_assets.ledger.clock import Clock, register_clock
from wan_assets.ledger.database_urls import IN_MEMORY, DatabaseUrlError, is_file, secrets_of, url_of
from wan_assets.ledger.migrations import create_or_upgrade
from wan_assets.ledger.schema import ledger_info

_TABLE_CREATION_LOCK = 0x77616E
"""The number of an advisory lock of the database."""

_READS = "wan_assets_reads"
"""The option of connections that only read."""

_LOCKED = "database is locked"
_HELD = "; another process holds the lock: it writes for a long time, or was suspended while it wrote"


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
                create_or_upgrade(connection, redacted_url(url))
        except BaseException:
            engine.dispose()
            raise
        return engine


def reading(engine: sa.Engine) -> sa.Engine:
    """Returns an engine on the same connections whose transactions only read: on SQLite they wait for no writer, and no
    writer waits for them.
    """
    return engine.execution_options(**{_READS: True})


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
    sa.event.listen(engine, "begin", _begin)
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


def _begin(connection: sa.Connection) -> None:
    """Takes the write lock first, unless the transaction only reads: after a read, it could not get it later."""
    only_reads = connection.get_execution_options().get(_READS, False)
    connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")
