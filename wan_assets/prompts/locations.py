"""Where a prompt table is: a local path, or a URL that fsspec opens, and its text without secrets."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from wan_assets.models import public_part_of, without_secrets
from wan_assets.prompts.problems import printable
from wan_assets.prompts.table_file import suffixes_of
from wan_assets.settings import EXTRAS_OF_PROTOCOLS, LOCAL_PROTOCOLS, is_url

_WEB = ("http", "https")


@dataclass(frozen=True)
class UrlLocation:
    """A URL, which may contain secrets. `place` is the `UPath` that was given instead of a text, with its options."""

    address: str = field(repr=False)
    place: Any = field(default=None, repr=False)

    def __str__(self) -> str:
        return self.label

    @property
    def protocol(self) -> str:
        """The first protocol, such as `s3`."""
        return self.address.partition("://")[0].partition("::")[0].lower()

    @property
    def is_web(self) -> bool:
        """Whether the file system is a web server, which lists no files."""
        return self.protocol in _WEB

    @property
    def label(self) -> str:
        """The URL without user, password and query, in printable characters."""
        return printable(public_address(self.address))

    @property
    def identity(self) -> str:
        """The URL without secrets, which differs for different tables and not for each signature of one URL."""
        return self.address if _is_of_bucket(self.address) else without_secrets(self.address, is_destination=False)

    @property
    def name(self) -> str:
        """The name of the file."""
        if self.is_web:
            return PurePosixPath(unquote(urlsplit(self.address).path)).name
        return PurePosixPath(next(part for part in self.address.split("::") if "://" in part)).name


def public_address(address: str) -> str:
    """Returns a URL without user, password and query.

    >>> public_address("https://me:word@example.com/a.csv?sig=x"), public_address("s3://bucket/2026-0?.csv")
    ('https://example.com/a.csv', 's3://bucket/2026-0?.csv')
    """
    return address if _is_of_bucket(address) else public_part_of(address)


def _is_of_bucket(address: str) -> bool:
    """Whether a URL names a file in a bucket and has no secrets: `?` is a pattern there, and no query."""
    protocol, _, rest = address.partition("://")
    user, query = rest.partition("/")[0].rpartition("@")[0], rest.partition("?")[2]
    return protocol in EXTRAS_OF_PROTOCOLS and ":" not in user and "=" not in query


def location_of(source: object) -> Path | UrlLocation | None:
    """Returns the path or URL of a source that is a file, a folder or a pattern; None for other sources."""
    if isinstance(source, str):
        return _location_of_url(source, None) if is_url(source) else Path(source)
    if isinstance(source, os.PathLike):
        return Path(source)
    upath = sys.modules.get("upath")
    return _location_of_url(str(source), source) if upath and isinstance(source, upath.UPath) else None


def _location_of_url(address: str, place: Any) -> Path | UrlLocation:
    protocol, _, path = address.partition("://")
    is_local = protocol.lower() in LOCAL_PROTOCOLS and path.startswith("/")
    return Path(path) if is_local else UrlLocation(f"{protocol.lower()}://{path}", place)


def name_of(source: object) -> str:
    """Returns a path as it is given, or a URL without secrets; empty for a source that is neither."""
    return str(location_of(source) or "")


def label_of(source: object) -> str:
    """Returns the absolute path of a source, or its URL without secrets; empty for a source that has neither."""
    location = location_of(source)
    return str(location.absolute() if isinstance(location, Path) else location or "")


def identity_of(source: object) -> str:
    """Returns the text by which a path or URL is compared with others; empty for a source that has neither."""
    location = location_of(source)
    return location.identity if isinstance(location, UrlLocation) else label_of(source)


def format_of(source: object) -> str:
    """Returns the format of a file by its name, such as `csv`; empty if it has none."""
    location = location_of(source)
    return suffixes_of(location.name)[0][1:] if location else ""
