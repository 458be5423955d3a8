"""Attributes tasks and amounts to groups: each task counts in exactly one, so that the groups sum to the totals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial
from operator import add
from typing import Any, TypeAlias

import sqlalchemy as sa

from wan_assets.ledger.budget_scope import RUN_TAG
from wan_assets.ledger.grouping_keys import key_of, local_key
from wan_assets.ledger.groupings import REVIEWER, WITHOUT_VALUE, Grouping
from wan_assets.ledger.records import OPEN_STATES, TaskState
from wan_assets.ledger.reviewed_tasks import reviewed_tasks
from wan_assets.ledger.schema import decisions, run_tags, tasks
from wan_assets.ledger.spend_lines import Span, SpendLine, Totals
from wan_assets.ledger.task_columns import COUNTED_AT

_Number: TypeAlias = sa.ColumnElement[int]
_NOTHING: _Number = sa.literal_column("0")
_TOTAL = Grouping(())


def totals(connection: sa.Connection) -> Totals:
    """Returns the sums over all tasks."""
    lines = {line.is_simulated: line for line in _lines(connection, _TOTAL, None)}
    return Totals(*(lines.get(kind, SpendLine(("total",), kind)) for kind in (False, True)))


def spending(connection: sa.Connection, by: Grouping, during: Span | None = None) -> list[SpendLine]:
    """Returns sums by one key or two, sorted by them; lines without a value come last.

    With `during`, only tasks count whose moment is in this span of time.
    """
    return sorted(_lines(connection, by, during), key=_order)


def _order(line: SpendLine) -> tuple[Any, ...]:
    return (*((key == WITHOUT_VALUE, key) for key in line.keys), line.is_simulated)


def _lines(connection: sa.Connection, by: Grouping, during: Span | None) -> Iterator[SpendLine]:
    """Adds the parts of the statement; the time zone may join several of its groups."""
    count, sums = len(by.names), dict[tuple[bool, tuple[str, ...]], list[int]]()
    periods = [cache(partial(local_key, name, by.time_zone)) for name in by.names]
    for row in connection.execute(_statement(by, during, connection.dialect.name)):
        keys = tuple(period(key) for period, key in zip(periods, row, strict=False))
        values, place = map(int, row[count + 1 :]), (bool(row[count]), keys)
        before = sums.get(place)
        sums[place] = list(values if before is None else map(add, before, values))
    for (is_simulated, keys), summed in sums.items():
        if summed[0]:
            yield SpendLine(keys or ("total",), is_simulated, *summed)


def _statement(by: Grouping, during: Span | None, dialect: str) -> sa.CompoundSelect[Any]:
    """Returns one statement, which sees one state of the ledger, also while others write.

    Its first part counts all tasks, as if nothing were decided. Others add what is reviewed. There is no outer join
    with the decisions, which a database could perform in quadratic time if its statistics are outdated.
    """
    reviewed = reviewed_tasks(dialect)
    of_reviewed = tasks.join(reviewed, reviewed.c.task_uuid == tasks.c.task_uuid)
    of_reviewed = of_reviewed.join(decisions, decisions.c.number == reviewed.c.decision)
    sums, nothing = _sums(dialect), [_NOTHING] * 6
    approved = sa.func.sum(reviewed.c.approved)
    part = partial(_part, by, during, dialect)
    parts = [part(tasks, sums)]
    if REVIEWER in by.names:
        parts.append(part(of_reviewed, [*sums[:2], approved, *sums[3:]], has_reviewer=True))
        parts.append(part(of_reviewed, [-each for each in sums]))
    else:
        parts.append(part(of_reviewed, [*nothing[:2], approved, *nothing[3:]]))
    return sa.union_all(*parts)


def _part(
    by: Grouping,
    during: Span | None,
    dialect: str,
    source: sa.FromClause,
    sums: Sequence[_Number],
    *,
    has_reviewer: bool = False,
) -> sa.Select[*tuple[Any, ...]]:
    labels = [f"key_{number}" for number in range(len(by.names))]
    keys = [
        (sa.literal(WITHOUT_VALUE) if name == REVIEWER and not has_reviewer else key_of(name, by.time_zone, dialect))
        for name in by.names
    ]
    if any(name.startswith(RUN_TAG) for name in by.names):
        source = source.outerjoin(run_tags, run_tags.c.run_id == tasks.c.run_id)
    named = (key.label(label) for label, key in zip(labels, keys, strict=True))
    query = sa.select(*named, tasks.c.is_simulated, *sums).select_from(source)
    if during:
        minute = sa.func.substr(COUNTED_AT, 1, len(during.first))
        query = query.where(minute >= during.first, minute < during.end)
    return query.group_by(*labels, tasks.c.is_simulated)


def _sums(dialect: str) -> list[_Number]:
    """Returns the sums of a line in the order of its fields, without the approved videos."""
    results = sa.cast(tasks.c.results, sa.JSON) if dialect == "postgresql" else tasks.c.results
    is_unknown = tasks.c.state.not_in(OPEN_STATES) & (tasks.c.reserved_microusd > 0)
    return [
        sa.func.count(),
        sa.func.sum(sa.case((tasks.c.state == TaskState.STORED, sa.func.json_array_length(results)), else_=0)),
        _NOTHING,
        sa.func.sum(tasks.c.cost_microusd),
        sa.func.sum(tasks.c.reserved_microusd),
        sa.func.sum(sa.case((is_unknown, 1), else_=0)),
    ]
