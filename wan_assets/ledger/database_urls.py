"""Parses database URLs in the same way with every version of SQLAlchemy, and rejects ambiguous ones.

SQLAlchemy 2.1 decodes `%XX` in the name of a database, and 2.0 does not. This module always decodes it, so that a
SQLite file keeps its place when SQLAlchemy is upgraded.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote

import sqlalchemy as sa
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

from wan_assets.models import HIDDEN, PUBLIC_OPTIONS
from wan_assets.settings import PathError, at_home, cleaned, expanded, sqlite_url

IN_MEMORY = ":memory:"

_DECODES = sa.make_url("sqlite:///%41").database == "A"
_SQLITE = re.compile(r"sqlite(\+\w+)?:", re.IGNORECASE)
_DSN = re.compile(r"\s*\w+\s*=\s*\S")
_SPELLINGS = {"postgres": "postgresql+psycopg", "postgresql+psycopg3": "postgresql+psycopg"}
_SLASHES = 3
_FORMS = "write it as sqlite:///folder/ledger.db, or sqlite:////absolute/folder/ledger.db"
_OTHERS = "write it as sqlite:///ledger.db or postgresql+psycopg://user@host/name"


class DatabaseUrlError(ValueError):
    """A database URL is not valid or is ambiguous. The message quotes no part that may be secret."""


def url_of(text: str, name: str, environment: Mapping[str, str] = os.environ, *, takes_options: bool = False) -> sa.URL:
    """Returns the URL that a text means; raises `DatabaseUrlError`, whose message begins with `name`.

    In the path of a SQLite file, `~`, `$NAME` and `%XX` are replaced. With `takes_options`, the URL may also have
    options such as `?mode=ro&uri=true`; in that case SQLAlchemy parses it.
    """
    try:
        if _SQLITE.match(text.strip()):
            if takes_options and "?" in text:
                return _parsed(cleaned(text, name), name)
            return _sqlite(expanded(text, name, environment, written=lambda value: quote(value, safe="/")), name)
        return _of_server(cleaned(text, name), name)  # the password may contain a $
    except PathError as error:
        raise DatabaseUrlError(str(error)) from None


def redacted_url(url: sa.URL) -> str:
    """Returns a URL without its password, and without options that may contain one."""
    if url.get_backend_name() == "sqlite":
        return sqlite_url(url.database or IN_MEMORY).replace("%3Amemory%3A", IN_MEMORY)
    user = f"{quote(url.username)}{':***' if url.password else ''}@" if url.username else ""
    host = f"[{url.host}]" if ":" in (url.host or "") else url.host or ""
    port = f":{url.port}" if url.port else ""
    options = [
        f"{key}={value if key.lower() in PUBLIC_OPTIONS else HIDDEN}"
        for key, values in url.normalized_query.items()
        for value in values
    ]
    return f"{url.drivername}://{user}{host}{port}/{url.database or ''}{'?' if options else ''}{'&'.join(options)}"


def secrets_of(url: sa.URL) -> list[str]:
    """Returns the secret parts of a URL: its password, and the options that may contain one."""
    options = [value for key, values in url.normalized_query.items() for value in values if _is_secret(key)]
    return [secret for secret in (str(url.password or ""), *options) if secret]


def is_file(url: sa.URL) -> bool:
    """Whether a URL names a SQLite file."""
    return url.get_backend_name() == "sqlite" and url.database != IN_MEMORY


def _is_secret(key: str) -> bool:
    return key.lower() not in PUBLIC_OPTIONS


def _of_server(text: str, name: str) -> sa.URL:
    if _DSN.match(text):
        raise DatabaseUrlError(f"{name} is a list of options and not a URL: {_OTHERS}")
    scheme, separator, rest = text.partition("://")
    if not separator:
        hint = f"; for a file {_FORMS}" if "@" not in text and "=" not in text else f": {_OTHERS}"
        raise DatabaseUrlError(f"{name} is not a valid SQLAlchemy URL{hint}")
    if spelling := _SPELLINGS.get(scheme.lower()):
        raise DatabaseUrlError(f"{name} begins with {scheme}://, which SQLAlchemy does not know: write {spelling}://")
    if rest.count("@") > 1:
        raise DatabaseUrlError(f"{name} has more than one @: write %40 for one in the user, the password or an option")
    return _checked(_parsed(text, name), name)


def _parsed(text: str, name: str) -> sa.URL:
    try:
        url = sa.make_url(text)
        url.get_dialect()
    except NoSuchModuleError:
        raise DatabaseUrlError(f"{name} cannot be read: SQLAlchemy has no {text.partition('://')[0]}") from None
    except (SQLAlchemyError, ValueError):  # its message may quote the URL
        raise DatabaseUrlError(f"{name} is not a valid SQLAlchemy URL: {_OTHERS}") from None
    except ImportError as error:
        raise DatabaseUrlError(f"{name} needs the driver {error.name}, which is not installed") from None
    return url if _DECODES or not url.database else url.set(database=unquote(url.database))


def _checked(url: sa.URL, name: str) -> sa.URL:
    """Returns the URL if its parts are plausible. An @ in a host or a database is the end of an unescaped password."""
    if "@" in f"{url.host}{url.database}":
        raise DatabaseUrlError(f"{name} has an @ where its host or database is: write %40 and %2F in its password")
    return url


def _sqlite(text: str, name: str) -> sa.URL:
    driver, _, place = text.partition(":")
    path = place.lstrip("/")
    slashes = len(place) - len(path)
    if driver.lower() not in ("sqlite", "sqlite+pysqlite"):
        raise DatabaseUrlError(f"{name} begins with {driver}:, which is not supported: write sqlite:///")
    if place == "//":
        return sa.URL.create("sqlite", database=IN_MEMORY)
    if slashes < _SLASHES:
        raise DatabaseUrlError(f"{name} has {slashes} {'slash' if slashes == 1 else 'slashes'} after sqlite:; {_FORMS}")
    if "?" in path:
        raise DatabaseUrlError(f"{name} has a ?, and options are not supported: write %3F for one in a path")
    if "%2f" in path.lower():
        raise DatabaseUrlError(f"{name} has %2F in its path: write / for a slash, or %252F where a name has %2F in it")
    return _of_file(place[_SLASHES:], name)


def _of_file(path: str, name: str) -> sa.URL:
    decoded = unquote(path)
    if decoded == IN_MEMORY:
        return sa.URL.create("sqlite", database=IN_MEMORY)
    if not decoded or decoded.endswith("/"):
        raise DatabaseUrlError(f"{name} does not name a file; {_FORMS}")
    if "\0" in decoded or decoded.startswith(("file:", IN_MEMORY)) or "://" in decoded:
        raise DatabaseUrlError(f"{name} has a URL or an invalid character in its path; {_FORMS}")
    if decoded != path:
        _refuse_ambiguous(Path(path), Path(decoded), name)
    try:
        return sa.URL.create("sqlite", database=at_home(decoded, name) if path.startswith("~") else decoded)
    except PathError as error:
        raise DatabaseUrlError(str(error)) from None


def _refuse_ambiguous(literal: Path, decoded: Path, name: str) -> None:
    """Rejects a path if its file was written without decoding: a second, empty file would be created."""
    is_older = literal.is_file() and not decoded.is_file()
    is_folder = literal.parent != decoded.parent and literal.parent.is_dir() and not decoded.parent.is_dir()
    if is_older or is_folder:
        there = literal if is_older else literal.parent
        raise DatabaseUrlError(f"{name} means {decoded}, but {there} exists: write {sqlite_url(literal)} to use it")
