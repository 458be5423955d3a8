"""The database query that is a source of prompts."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class SqlQuery:
    """A SELECT whose result rows are prompts; `url` is a SQLAlchemy URL and is never shown."""

    url: str = field(repr=False)
    query: str
