"""The ledger held against the account's own usage, day by day."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from wan_assets.client import DayOfUsage, RunwareClient
from wan_assets.ledger import DayOfTasks, Ledger
from wan_assets.models import MODEL, nearest_microusd

_DAYS_AT_ONCE = 30
"""The API tells no more in one answer."""


@dataclass(frozen=True)
class DayCompared:
    """One UTC day as the ledger and the account have it. Money in µ$.

    `reserved_microusd` is held for tasks whose cost is not known: what of it was charged, the ledger cannot tell.
    """

    day: date
    ledger_tasks: int
    ledger_microusd: int
    reserved_microusd: int
    account_tasks: int
    account_microusd: int

    @property
    def difference_microusd(self) -> int:
        """What the account charged beyond what the ledger knows to be spent; negative where it charged less."""
        return self.account_microusd - self.ledger_microusd

    @property
    def status(self) -> Literal["equal", "unknown costs", "charged more", "charged less"]:
        """What the difference is: `unknown costs` are covered by what is reserved."""
        if self.difference_microusd == 0:
            return "equal"
        if 0 < self.difference_microusd <= self.reserved_microusd:
            return "unknown costs"
        return "charged more" if self.difference_microusd > 0 else "charged less"


def days_without_unknown_charges(days: Sequence[DayCompared]) -> set[date]:
    """Days on which the account charged exactly what the ledger knows, so that tasks of unknown cost cost nothing.

    A charge may fall on the day after the task: such a day must not show more than the ledger knows either.
    """
    equal = {day.day for day in days if day.status == "equal"}
    charged_more = {day.day for day in days if day.difference_microusd > 0}
    return {day for day in equal if day + timedelta(days=1) not in charged_more}


async def reconciled(client: RunwareClient, ledger: Ledger, first: date, last: date) -> list[DayCompared]:
    """Every UTC day from `first` to `last`, both included, on which the ledger or the account has anything.

    The account counts all that was asked of the model under it, also by others than this ledger.
    """
    simulated = await client.is_simulated()
    booked = await asyncio.to_thread(ledger.tasks_by_day, first, last, simulated=simulated)
    ours = {date.fromisoformat(day.day): day for day in booked}
    theirs: dict[date, DayOfUsage] = {}
    for start, end in _spans(first, last):
        theirs |= {usage.day: usage for usage in await client.usage(start, end, MODEL)}
    return [_compared(day, ours.get(day), theirs.get(day)) for day in sorted(ours.keys() | theirs.keys())]


def _compared(day: date, ours: DayOfTasks | None, theirs: DayOfUsage | None) -> DayCompared:
    return DayCompared(
        day=day,
        ledger_tasks=ours.tasks if ours else 0,
        ledger_microusd=ours.cost_microusd if ours else 0,
        reserved_microusd=ours.reserved_microusd if ours else 0,
        account_tasks=theirs.count if theirs else 0,
        account_microusd=nearest_microusd(theirs.spend_usd) if theirs else 0,
    )


def _spans(first: date, last: date) -> Iterator[tuple[date, date]]:
    while first <= last:
        end = min(last, first + timedelta(days=_DAYS_AT_ONCE - 1))
        yield first, end
        first = end + timedelta(days=1)
