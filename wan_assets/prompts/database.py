"""Records from a database query; the only module of this package that imports SQLAlchemy."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from wan_assets.errors import PromptTableError
from wan_assets.ledger import DatabaseUrlError, is_file, secrets_of, url_of
from wan_assets.prompts.problems import printable
from wan_assets.prompts.records import Record
from wan_assets.prompts.sql_query import SqlQuery

_ROWS_PER_FETCH = 1000


def records_of_query(query: SqlQuery) -> Generator[Record]:
    """Yields the rows of a query result. Changes that the query makes are rolled back."""
    url = _url_of(query)
    with _translated(url), _connected(url) as connection:
        options = {"yield_per": _ROWS_PER_FETCH, "no_parameters": True}
        result = connection.execution_options(**options).exec_driver_sql(query.query)
        if not result.returns_rows:
            raise PromptTableError("the query returns no rows; write a SELECT")
        names = tuple(map(str, result.keys()))
        for row in result:
            yield Record(None, names, [_plain(value) for value in row])


def _url_of(query: SqlQuery) -> sa.URL:
    try:
        url = url_of(query.url, "the query's URL", takes_options=True)
    except DatabaseUrlError as error:
        raise PromptTableError(str(error)) from None
    file = str(url.database)
    if is_file(url) and not file.startswith("file:") and not Path(file).is_file():
        reason = f"the query's database {printable(file)} does not exist; check its URL"
        raise PromptTableError(reason, is_unavailable=True)
    return url


@contextmanager
def _connected(url: sa.URL) -> Iterator[sa.Connection]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    try:
        connection = engine.connect()
    except DBAPIError as error:
        raise PromptTableError(_reason_of(error, url), is_unavailable=True) from None
    with connection:
        yield connection


@contextmanager
def _translated(url: sa.URL) -> Iterator[None]:
    """Converts database errors to `PromptTableError`, not chained, since a traceback could show the password."""
    try:
        yield
    except ImportError as error:
        hint = "install it, or specify another driver in the URL, such as postgresql+psycopg"
        reason = f"the query's database needs the driver {error.name}; {hint}"
        raise PromptTableError(reason, is_unavailable=True) from None
    except (SQLAlchemyError, TypeError, ValueError) as error:
        raise PromptTableError(_reason_of(error, url)) from None


def _reason_of(error: Exception, url: sa.URL) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    reason = _without_secrets(str(cause), url) or type(cause).__name__
    return f"the query cannot be read: {reason}; check the query and the database"


def _without_secrets(message: str, url: sa.URL) -> str:
    """Returns the message, or empty text if it contains a part of the URL that may be secret."""
    return (
        ""
        if any(secret in message or quote_plus(secret) in message for secret in secrets_of(url))
        else printable(" ".join(message.split()))
    )


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value
