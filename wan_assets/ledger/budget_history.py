"""Reads what the tasks of each budget have spent and reserved over time, and by partition."""

from __future__ import annotations

import json
from collections import Counter as Sums
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from wan_assets.ledger.budget import Counter
from wan_assets.ledger.budget_period import period_of
from wan_assets.ledger.budget_scope import ASSET, MODEL, PARTITION, RUN_TAG, TAKES, Subject, is_of_row, is_of_run
from wan_assets.ledger.budget_sums import model_of
from wan_assets.ledger.schema import run_tags, tasks

_QUARTERS = ("00", "15", "30", "45")
"""Periods begin at a quarter of an hour, because offsets of time zones are multiples of it."""


@dataclass(frozen=True)
class History:
    """What the tasks that count in a budget have spent and reserved together, in µ$, by the quarter of an hour in which
    they count, and the reserved part by period. A quarter is its first minute in UTC, such as `2026-11-30T12:15`.
    """

    counter: Counter
    quarters: Mapping[str, int] = field(default_factory=dict)
    reserved: Mapping[str, int] = field(default_factory=dict)

    def by_day(self) -> dict[date, int]:
        """Returns the amounts by day of the budget's time zone, in order."""
        sums: Sums[date] = Sums()
        for quarter, amount in sorted(self.quarters.items()):
            sums[date.fromisoformat(period_of("day", self.counter.time_zone, quarter))] += amount
        return dict(sums)

    def until(self, begin: datetime, end: datetime) -> int:
        """Returns the amount from one moment to another, both at a quarter of an hour."""
        first, last = _minute(begin), _minute(end)
        return sum(amount for quarter, amount in self.quarters.items() if first <= quarter < last)


def histories(
    connection: sa.Connection, counters: Collection[Counter], since: datetime, *, simulated: bool
) -> list[History]:
    """Returns the history of each budget since a moment, in the order of `counters`; reserved amounts are of all time.

    The tasks of a run are not told apart: the history of a budget of runs contains all of them.
    """
    recent = list(
        _amounts(connection, counters, _counted_at() >= since.isoformat(timespec="milliseconds"), simulated=simulated)
    )
    held = list(_amounts(connection, counters, tasks.c.reserved_microusd > 0, simulated=simulated))
    return [_history(counter, recent, held) for counter in counters]


def partition_amounts(
    connection: sa.Connection, counters: Collection[Counter], asset: str, *, simulated: bool
) -> dict[Counter, dict[str, int]]:
    """Returns what each partition of an asset has spent and reserved in each budget, in µ$, in all periods together.

    A partition whose tasks do not count in a budget has the amount 0.
    """
    found: dict[Counter, dict[str, int]] = {counter: {} for counter in counters}
    of_asset = tasks.c.asset == asset
    for amount in _amounts(connection, counters, of_asset, simulated=simulated, has_time=False, has_partition=True):
        for counter, partitions in found.items():
            counts = amount.microusd if amount.subject.matches(counter.scope) else 0
            partitions[amount.subject.partition] = partitions.get(amount.subject.partition, 0) + counts
    return found


@dataclass(frozen=True)
class _Amount:
    """What the tasks of one subject and quarter of an hour have spent and reserved, in µ$."""

    subject: Subject
    quarter: str
    microusd: int
    reserved_microusd: int


def _history(counter: Counter, recent: list[_Amount], held: list[_Amount]) -> History:
    quarters, reserved = Sums[str](), Sums[str]()
    for amount in recent:
        if amount.subject.matches(counter.scope):
            quarters[amount.quarter] += amount.microusd
    for amount in held:
        if amount.subject.matches(counter.scope):
            reserved[period_of(counter.per, counter.time_zone, amount.quarter)] += amount.reserved_microusd
    return History(counter, dict(quarters), dict(reserved))


def _amounts(
    connection: sa.Connection,
    counters: Collection[Counter],
    condition: sa.ColumnElement[bool],
    *,
    simulated: bool,
    has_time: bool = True,
    has_partition: bool = False,
) -> Iterator[_Amount]:
    """Yields sums of the tasks that fulfil a condition, grouped by all that the scopes of the budgets need to know."""
    of_scopes = {name for counter in counters for name, _ in counter.scope} - {TAKES}
    names = sorted(of_scopes | ({PARTITION} if has_partition else set()))
    columns = _columns(names, connection.dialect.name)
    keys = [column.label(f"key_{number}") for number, column in enumerate(columns)]
    quarter = (_quarter() if has_time else sa.literal("")).label("counted_quarter")
    is_retake = (tasks.c.take > 1).label("is_retake")
    query = (
        sa.select(
            *keys,
            quarter,
            is_retake,
            sa.func.sum(tasks.c.cost_microusd + tasks.c.reserved_microusd).label("microusd"),
            sa.func.sum(tasks.c.reserved_microusd).label("held_microusd"),
        )
        .where(tasks.c.is_simulated == simulated, condition)
        .group_by(*(key.name for key in keys), "counted_quarter", "is_retake")
    )
    if any(map(is_of_run, names)):
        query = query.select_from(tasks.outerjoin(run_tags, tasks.c.run_id == run_tags.c.run_id))
    for row in connection.execute(query).mappings():
        subject = _subject(names, [row[key.name] for key in keys], is_retake=bool(row["is_retake"]))
        yield _Amount(subject, row["counted_quarter"], int(row["microusd"]), int(row["held_microusd"]))


def _columns(names: list[str], dialect: str) -> list[sa.ColumnElement[str]]:
    known: dict[str, sa.ColumnElement[str]] = {ASSET: tasks.c.asset, PARTITION: tasks.c.partition}
    return [known[name] if name in known else _column(name, dialect) for name in names]


def _column(name: str, dialect: str) -> sa.ColumnElement[str]:
    """Returns the model, or the value of a column of the row or of a tag of the run."""
    if name == MODEL:
        return model_of(dialect)
    whole = run_tags.c.tags if is_of_run(name) else tasks.c.tags
    if not _is_in_path(name):
        return whole
    values = sa.cast(whole, sa.JSON) if dialect == "postgresql" else sa.type_coerce(whole, sa.JSON)
    value: sa.ColumnElement[str] = values[name.removeprefix(RUN_TAG)].as_string()
    return value


def _is_in_path(name: str) -> bool:
    """Whether a database can find a name in JSON: SQLite has paths of ASCII, in quotation marks."""
    return name.isascii() and '"' not in name and "\\" not in name


def _subject(names: list[str], values: list[Any], *, is_retake: bool) -> Subject:
    known = {
        name: value if name in (ASSET, PARTITION, MODEL) or _is_in_path(name) else _in_json(name, value)
        for name, value in zip(names, values, strict=True)
    }
    present = {name: str(value) for name, value in known.items() if value is not None}
    return Subject(
        "",
        present.get(ASSET, "-"),
        present.get(PARTITION, "-"),
        present.get(MODEL, ""),
        is_retake=is_retake,
        tags={name: value for name, value in present.items() if is_of_row(name)},
        run_tags={name.removeprefix(RUN_TAG): value for name, value in present.items() if is_of_run(name)},
    )


def _in_json(name: str, text: str | None) -> str | None:
    values: dict[str, str] = json.loads(text or "{}")
    return values.get(name.removeprefix(RUN_TAG))


def _counted_at() -> sa.ColumnElement[str]:
    return sa.func.coalesce(tasks.c.counted_at, tasks.c.created_at, type_=sa.Text)


def _quarter() -> sa.ColumnElement[str]:
    hour = sa.func.substr(_counted_at(), 1, len("2026-11-30T12:"), type_=sa.Text)
    minutes = sa.func.substr(_counted_at(), len("2026-11-30T12:") + 1, 2, type_=sa.Text)
    steps = [(minutes < end, begin) for begin, end in pairwise(_QUARTERS)]
    return hour.concat(sa.case(*steps, else_=_QUARTERS[-1]))


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()[:16]
