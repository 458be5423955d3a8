"""Reads the keys of groupings from the tasks, as SQL expressions that SQLite and Postgres evaluate."""

from __future__ import annotations

import sqlalchemy as sa

from wan_assets.ledger.budget_period import Per, period_of
from wan_assets.ledger.budget_scope import RUN_TAG
from wan_assets.ledger.groupings import COLUMNS_OF, MODEL, PERIODS, REVIEWER, ROW_TAG, TASK_COLUMNS, WITHOUT_VALUE
from wan_assets.ledger.schema import decisions, run_tags, tasks
from wan_assets.ledger.task_columns import COUNTED_AT, counted_quarter, model_of, text_in

_DAY, _MONTH = len("2026-11-30"), len("2026-11")


def key_of(name: str, time_zone: str, dialect: str) -> sa.ColumnElement[str]:
    """Returns the key of a task; `local_key` completes it."""
    if name in TASK_COLUMNS:
        return tasks.c[name]
    if name == MODEL:
        return model_of(dialect)
    if name in PERIODS:
        return _period(name, time_zone)
    if name == REVIEWER:
        return decisions.c.reviewer
    if name.startswith(RUN_TAG):
        return _first_of([text_in(run_tags.c.tags, name.removeprefix(RUN_TAG), dialect)])
    columns = COLUMNS_OF.get(name, (name.removeprefix(ROW_TAG),))
    return _first_of([text_in(tasks.c.tags, column, dialect) for column in columns])


def local_key(name: str, time_zone: str, key: str) -> str:
    """Returns the key as reports show it: a quarter of an hour in UTC becomes its day or month in a time zone."""
    if name not in PERIODS or time_zone == "UTC":
        return key
    per: Per = "day" if name == "day" else "month"
    return period_of(per, time_zone, key)


def _period(name: str, time_zone: str) -> sa.ColumnElement[str]:
    """Returns the day or month in UTC; for another time zone the quarter of an hour, because days begin at one."""
    if time_zone == "UTC":
        return sa.func.substr(COUNTED_AT, 1, _DAY if name == "day" else _MONTH)
    return counted_quarter()


def _first_of(values: list[sa.ColumnElement[str]]) -> sa.ColumnElement[str]:
    return sa.func.coalesce(*(sa.func.nullif(value, "") for value in values), WITHOUT_VALUE)
