"""Daily comparison of the ledger with the usage that the account reports."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from wan_assets.client import DayOfUsage, RunwareClient
from wan_assets.ledger import DayOfTasks, Ledger
from wan_assets.models import MODEL, nearest_microusd

_DAYS_AT_ONCE = 30
"""The maximum number of days in one response of the API."""


@dataclass(frozen=True)
class DayCompared:
    """One UTC day in the ledger and in the account. Money is in µ$.

    `reserved_microusd` is reserved for tasks of unknown cost; the ledger does not know which part was charged.
    """

    day: date
    ledger_tasks: int
    ledger_microusd: int
    reserved_microusd: int
    account_tasks: int
    account_microusd: int

    @property
    def difference_microusd(self) -> int:
        """The amount that the account charged minus the known cost in the ledger."""
        return self.account_microusd - self.ledger_microusd

    @property
    def status(self) -> Literal["equal", "unknown costs", "charged more", "charged less"]:
        """The kind of difference; `unknown costs` means that the reserved amount covers it."""
        if self.difference_microusd == 0:
            return "equal"
        if 0 < self.difference_microusd <= self.reserved_microusd:
            return "unknown costs"
        return "charged more" if self.difference_microusd > 0 else "charged less"


def days_without_unknown_charges(days: Sequence[DayCompared]) -> set[date]:
    """Returns the days on which the account charged exactly the known cost, so tasks of unknown cost cost nothing.

    A charge may be recorded on the day after the task. Therefore the account must not have charged more than the known
    cost on the next day either.
    """
    equal = {day.day for day in days if day.status == "equal"}
    charged_more = {day.day for day in days if day.difference_microusd > 0}
    return {day for day in equal if day + timedelta(days=1) not in charged_more}


async def reconciled(client: RunwareClient, ledger: Ledger, first: date, last: date) -> list[DayCompared]:
    """Compares every UTC day from `first` to `last` (inclusive) on which the ledger or the account has tasks.

    The account counts all tasks for the models of the ledger and for the default model, including those of other
    ledgers.
    """
    simulated = await client.is_simulated()
    recorded = await asyncio.to_thread(ledger.tasks_by_day, first, last, simulated=simulated)
    ledger_days = {date.fromisoformat(day.day): day for day in recorded}
    spent = await asyncio.to_thread(ledger.spending, "model")
    account_days: defaultdict[date, list[DayOfUsage]] = defaultdict(list)
    for model in sorted({MODEL, *(line.key for line in spent if line.is_simulated == simulated)}):
        for start, end in _spans(first, last):
            for usage in await client.usage(start, end, model):
                account_days[usage.day].append(usage)
    return [
        _compared(day, ledger_days.get(day), account_days.get(day, []))
        for day in sorted(ledger_days.keys() | account_days.keys())
    ]


def _compared(day: date, ledger_days: DayOfTasks | None, account_days: Sequence[DayOfUsage]) -> DayCompared:
    return DayCompared(
        day=day,
        ledger_tasks=ledger_days.tasks if ledger_days else 0,
        ledger_microusd=ledger_days.cost_microusd if ledger_days else 0,
        reserved_microusd=ledger_days.reserved_microusd if ledger_days else 0,
        account_tasks=sum(usage.count for usage in account_days),
        account_microusd=sum(nearest_microusd(usage.spend_usd) for usage in account_days),
    )


def _spans(first: date, last: date) -> Iterator[tuple[date, date]]:
    while first <= last:
        end = min(last, first + timedelta(days=_DAYS_AT_ONCE - 1))
        yield first, end
        first = end + timedelta(days=1)
