"""Ledgers with tasks on given days, for tests of what becomes of budgets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine_support import request_of

from wan_assets.ledger import Budgets, Forecast, Ledger, Origin
from wan_assets.models import usd
from wan_assets.settings import sqlite_url

FALL = {"campaign": "fall-1"}


@dataclass
class Past:
    """A ledger whose time is set, and in which each task is one more."""

    url: str
    now: datetime = datetime(2026, 11, 16, tzinfo=UTC)
    tasks: int = 0
    budgets: Budgets = field(default_factory=Budgets)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.url, self.budgets, clock=self._clock)

    def _clock(self) -> float:
        return self.now.timestamp()

    def buy(self, at: str, cost: int | None = 1_000_000, *, simulated: bool = False, **origin: Any) -> None:
        """A task that is reserved at a time of UTC and has cost so much; one without a cost stays reserved."""
        self.now = datetime.fromisoformat(at).replace(tzinfo=UTC)
        self.tasks += 1
        known = {"run_id": "run-1", "asset": "videos", "partition": f"p{self.tasks}", **origin}
        claim = self.ledger.claim(request_of(f"Kite {self.tasks}"), Origin(**known), "me", simulated=simulated)
        if cost is not None:
            self.ledger.mark_submitted(claim.task.task_uuid, "run-1")
            self.ledger.settle(claim.task.task_uuid, [], [cost])

    def at(self, moment: str) -> dict[str, Forecast]:
        """The forecasts of all budgets at a time of UTC, by their names."""
        self.now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        return {each.name: each for each in self.ledger.forecasts(simulated=False).budgets}


@contextmanager
def past(folder: Path, *limits: Any, **usual: Any) -> Iterator[Past]:
    """A ledger with budgets; what is reserved is the list price alone."""
    budgets = Budgets.of(limits=limits, price_margin=0, **usual)
    made = Past(sqlite_url(folder / "ledger.db"), budgets=budgets)
    with closing(made.ledger):
        yield made


def dollars_of(forecast: Forecast) -> tuple[float, float, float, float]:
    """What is spent, reserved, expected, and the amount per day."""
    amounts = (forecast.spent_microusd, forecast.reserved_microusd, forecast.expected_microusd)
    return (*(float(usd(amount)) for amount in amounts), float(usd(forecast.rate.per_day_microusd)))
