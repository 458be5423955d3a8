"""Reads what the tasks of each budget have spent and reserved over time, and by partition."""

from __future__ import annotations

from collections import Counter as Sums
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import sqlalchemy as sa

from wan_assets.ledger.budget import Counter
from wan_assets.ledger.budget_period import period_of
from wan_assets.ledger.schema import tasks
from wan_assets.ledger.task_amounts import TaskAmount, task_amounts
from wan_assets.ledger.task_columns import COUNTED_AT


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
    of_money = tasks.c.is_simulated == simulated
    since_then = since.isoformat(timespec="milliseconds") <= COUNTED_AT
    recent = list(task_amounts(connection, counters, of_money, since_then))
    held = list(task_amounts(connection, counters, of_money, tasks.c.reserved_microusd > 0))
    return [_history(counter, recent, held) for counter in counters]


def partition_amounts(
    connection: sa.Connection, counters: Collection[Counter], asset: str, *, simulated: bool
) -> dict[Counter, dict[str, int]]:
    """Returns what each partition of an asset has spent and reserved in each budget, in µ$, in all periods together.

    A partition whose tasks do not count in a budget has the amount 0.
    """
    found: dict[Counter, dict[str, int]] = {counter: {} for counter in counters}
    here = (tasks.c.asset == asset, tasks.c.is_simulated == simulated)
    for amount in task_amounts(connection, counters, *here, has_time=False, has_partition=True):
        for counter, partitions in found.items():
            counts = amount.microusd if amount.subject.matches(counter.scope) else 0
            partitions[amount.subject.partition] = partitions.get(amount.subject.partition, 0) + counts
    return found


def _history(counter: Counter, recent: list[TaskAmount], held: list[TaskAmount]) -> History:
    quarters, reserved = Sums[str](), Sums[str]()
    for amount in recent:
        if amount.subject.matches(counter.scope):
            quarters[amount.quarter] += amount.microusd
    for amount in held:
        if amount.subject.matches(counter.scope):
            reserved[period_of(counter.per, counter.time_zone, amount.quarter)] += amount.reserved_microusd
    return History(counter, dict(quarters), dict(reserved))


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()[:16]
