"""Reads what tasks have spent and reserved, grouped by all that the scopes and periods of budgets need to know."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from wan_assets.ledger.budget import Counter
from wan_assets.ledger.budget_scope import ASSET, MODEL, PARTITION, RUN_TAG, TAKES, Subject, is_of_row, is_of_run
from wan_assets.ledger.schema import run_tags, tasks
from wan_assets.ledger.task_columns import counted_quarter, model_of, text_in


@dataclass(frozen=True)
class TaskAmount:
    """What the tasks of one subject have spent and reserved in a quarter of an hour, in µ$."""

    subject: Subject
    quarter: str
    is_simulated: bool
    microusd: int
    reserved_microusd: int


def task_amounts(
    connection: sa.Connection,
    counters: Collection[Counter],
    *conditions: sa.ColumnElement[bool],
    has_time: bool = True,
    has_partition: bool = False,
) -> Iterator[TaskAmount]:
    """Yields the amounts of the tasks that fulfil some conditions.

    Values that no budget uses are not read. Amounts are grouped by run only for a budget of runs.
    """
    of_scopes = {name for counter in counters for name, _ in counter.scope} - {TAKES}
    names = sorted(of_scopes | ({PARTITION} if has_partition else set()))
    has_runs = any(counter.per == "run" for counter in counters)
    values = [_column(name, connection.dialect.name) for name in names]
    groups = {
        **{f"key_{number}": value for number, value in enumerate(values)},
        "run": tasks.c.run_id if has_runs else sa.literal(""),
        "quarter": counted_quarter() if has_time else sa.literal(""),
        "is_retake": tasks.c.take > 1,
        "simulated": tasks.c.is_simulated,
    }
    total = sa.func.sum(tasks.c.cost_microusd + tasks.c.reserved_microusd).label("microusd")
    query = (
        sa.select(*(value.label(f"of_{name}") for name, value in groups.items()), total)
        .add_columns(sa.func.sum(tasks.c.reserved_microusd).label("held_microusd"))
        .where(*conditions)
        .group_by(*(f"of_{name}" for name in groups))
    )
    if any(map(is_of_run, names)):
        query = query.select_from(tasks.outerjoin(run_tags, tasks.c.run_id == run_tags.c.run_id))
    for row in connection.execute(query).mappings():
        keys = [row[f"of_key_{number}"] for number in range(len(names))]
        subject = _subject(row["of_run"], names, keys, is_retake=bool(row["of_is_retake"]))
        amounts = int(row["microusd"]), int(row["held_microusd"])
        yield TaskAmount(subject, row["of_quarter"], bool(row["of_simulated"]), *amounts)


def _column(name: str, dialect: str) -> sa.ColumnElement[str]:
    """Returns what a condition of a scope is compared with."""
    known: Mapping[str, sa.ColumnElement[str]] = {ASSET: tasks.c.asset, PARTITION: tasks.c.partition}
    if name in known:
        return known[name]
    if name == MODEL:
        return model_of(dialect)
    whole = run_tags.c.tags if is_of_run(name) else tasks.c.tags
    return text_in(whole, name.removeprefix(RUN_TAG), dialect)


def _subject(run_id: str, names: Sequence[str], values: Sequence[str | None], *, is_retake: bool) -> Subject:
    present = {name: str(value) for name, value in zip(names, values, strict=True) if value is not None}
    return Subject(
        run_id,
        present.get(ASSET, "-"),
        present.get(PARTITION, "-"),
        present.get(MODEL, ""),
        is_retake=is_retake,
        tags={name: value for name, value in present.items() if is_of_row(name)},
        run_tags={name.removeprefix(RUN_TAG): value for name, value in present.items() if is_of_run(name)},
    )
