"""SQL expressions over the tasks that SQLite and Postgres both evaluate: model, columns of the row, tags, and time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from wan_assets.ledger.schema import tasks
from wan_assets.models import MODEL

COUNTED_AT = sa.func.coalesce(tasks.c.counted_at, tasks.c.created_at, type_=sa.Text)
"""The moment whose periods a task counts in."""

_HOUR = len("2026-11-30T12:")
_QUARTERS = ("00", "15", "30", "45")
_NO_PATH = frozenset('"\\') | frozenset(map(chr, range(32)))
"""Characters that a path into JSON cannot contain in SQLite."""


def counted_quarter() -> sa.ColumnElement[str]:
    """Returns the quarter of an hour in which a task counts, such as `2026-11-30T12:15`: every period begins at one,
    because offsets of time zones are multiples of it.
    """
    minutes = sa.func.substr(COUNTED_AT, _HOUR + 1, 2, type_=sa.Text)
    begins = ((minutes < after, begin) for begin, after in pairwise(_QUARTERS))
    return sa.func.substr(COUNTED_AT, 1, _HOUR, type_=sa.Text).concat(sa.case(*begins, else_=_QUARTERS[-1]))


def model_of(dialect: str) -> sa.ColumnElement[str]:
    """Returns the model in the JSON of a request; a request without one is of the default model."""
    return sa.func.coalesce(text_in(tasks.c.request, "model", dialect), MODEL)


def text_in(column: sa.Column[str], name: str, dialect: str) -> sa.ColumnElement[Any]:
    """Returns a field of a JSON object in a column of text, or NULL."""
    if dialect == "postgresql":
        return sa.func.json_extract_path_text(sa.cast(column, sa.JSON), name)
    if _NO_PATH.isdisjoint(name):
        return sa.func.json_extract(column, f'$."{name}"')
    fields = sa.func.json_each(column).table_valued("key", "value")
    return sa.select(fields.c.value).where(fields.c.key == name).scalar_subquery()
