"""Forecasts budgets from recent amounts: when each is exhausted, and the expected total of its period.

The rate is the amount per day since the first of the last seven days on which tasks of the budget spent or reserved
something. Days without tasks between them count, so that a team that works on five days of a week has its mean of the
week. The time since that day counts as one day at least.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from wan_assets.ledger.budget import BudgetState, Counter
from wan_assets.ledger.budget_history import History, histories
from wan_assets.ledger.budget_period import begins_at, minute_of, resets_at
from wan_assets.ledger.budget_sums import BudgetSums
from wan_assets.ledger.records import money_kind

ACTIVE_DAYS = 7
"""The number of days with tasks that a rate is computed from."""

LOOKBACK_DAYS = 62
"""The number of days before now in which days with tasks are looked for."""

_DAY = timedelta(days=1)
_MONTH = Counter("month")
_MAX_AHEAD = timedelta(days=3650)
_HOUR = timedelta(hours=1)
_ALL = 100


@dataclass(frozen=True)
class Rate:
    """The recent amount per day in µ$. `days` is the number of days with tasks that it is computed from, and `since`
    the first of them in the budget's time zone; None if there was none.
    """

    per_day_microusd: int = 0
    days: int = 0
    since: date | None = None

    def during(self, span: timedelta) -> int:
        """Returns the expected amount of a span of time, in µ$."""
        return round(self.per_day_microusd * max(span, timedelta()) / _DAY)


@dataclass(frozen=True)
class MonthForecast:
    """All tasks of the present month of UTC, with and without a budget, in µ$. `ends_at` is the next month's begin."""

    month: str
    committed_microusd: int
    rate: Rate
    now: datetime
    ends_at: datetime

    @property
    def expected_microusd(self) -> int:
        """The expected total of the month."""
        return self.committed_microusd + self.rate.during(self.ends_at - self.now)


@dataclass(frozen=True)
class Forecast:
    """One budget with its forecast.

    `is_recorded` says whether the ledger records the limit, for all processes; otherwise it is in the configuration.
    `begins_at` is the begin of the present period, None if there is none, and `month_ends_at` that of the next month in
    the budget's time zone.
    """

    state: BudgetState
    is_recorded: bool
    reserved_microusd: int
    rate: Rate
    history: History
    now: datetime
    begins_at: datetime | None
    month_ends_at: datetime

    @property
    def name(self) -> str:
        """The budget without its present period, such as `month for campaign=fall`; the same in every period."""
        return self.state.counter.name

    @property
    def is_of_runs(self) -> bool:
        """Whether the budget applies to each run, so that it has no forecast."""
        return self.state.counter.per == "run"

    @property
    def spent_microusd(self) -> int:
        """The spent part of what counts in the present period."""
        return self.state.committed_microusd - self.reserved_microusd

    @property
    def percent(self) -> float:
        """The spent and reserved share of the limit."""
        cap, committed = self.state.cap_microusd, self.state.committed_microusd
        return round(_ALL * committed / cap, 1) if cap else float(_ALL)

    @property
    def is_exhausted(self) -> bool:
        """Whether nothing is left."""
        return self.state.room_microusd <= 0

    @property
    def exhausted_at(self) -> datetime | None:
        """When nothing is left at the recent rate; None if that is not within the period, or not within ten years. Now
        if nothing is left already.
        """
        if self.is_exhausted:
            return self.now
        if not self.rate.per_day_microusd or self.is_of_runs:
            return None
        days = self.state.room_microusd / self.rate.per_day_microusd
        end = self.state.resets_at or self.now + _MAX_AHEAD
        return self.now + days * _DAY if days < (end - self.now) / _DAY else None

    @property
    def expected_at(self) -> datetime:
        """The end of the period, for which a total is expected; that of the month for a budget without periods."""
        return self.state.resets_at or self.month_ends_at

    @property
    def expected_microusd(self) -> int:
        """The expected total at `expected_at` at the recent rate, as if there was no limit."""
        return self.state.committed_microusd + self.rate.during(self.expected_at - self.now)

    def remaining(self) -> list[tuple[datetime, int]]:
        """Returns what was left at the begin of the period and after each of its days, or hours of a day, until now."""
        if self.begins_at is None:
            return []
        cap, ends = self.state.cap_microusd, _ends(self.begins_at, self.now, of_hours=self.state.counter.per == "day")
        past = [(end, cap - self.history.until(self.begins_at, end)) for end in ends]
        return [(self.begins_at, cap), *past, (self.now, cap - self.state.committed_microusd)]


@dataclass(frozen=True)
class Forecasts:
    """All budgets of a process with their forecasts, and the month of all tasks; `now` is the time of the ledger."""

    now: datetime
    budgets: tuple[Forecast, ...]
    month: MonthForecast


def forecasts(connection: sa.Connection, sums: BudgetSums, *, simulated: bool) -> Forecasts:
    """Returns the forecasts of all budgets that have a limit."""
    kind = money_kind(simulated)
    moment, states = sums.now(connection), sums.states(connection, "", kind=kind)
    now, recorded = datetime.fromisoformat(moment.at), moment.registered.limits
    counters = [state.counter for state in states]
    since = now - timedelta(days=LOOKBACK_DAYS)
    *found, month = histories(connection, [*counters, _MONTH], since, simulated=simulated)
    budgets = (_forecast(state, history, recorded, now) for state, history in zip(states, found, strict=True))
    return Forecasts(now, tuple(budgets), _month(month, now))


def rate_of(history: History, now: datetime) -> Rate:
    """Returns the recent amount per day of a budget."""
    active = {day: amount for day, amount in history.by_day().items() if amount}
    recent = sorted(active)[-ACTIVE_DAYS:]
    if not recent:
        return Rate()
    begin = datetime.combine(recent[0], time(), ZoneInfo(history.counter.time_zone))
    elapsed = max(_DAY, now - begin)
    return Rate(round(sum(active[day] for day in recent) * (_DAY / elapsed)), len(recent), recent[0])


def _forecast(state: BudgetState, history: History, recorded: Mapping[Counter, int], now: datetime) -> Forecast:
    counter, minute = state.counter, _minute_of(now)
    if counter.per == "run":
        history = History(counter)
    month_ends_at = resets_at("month", counter.time_zone, minute)
    return Forecast(
        state,
        counter in recorded,
        history.reserved.get(state.period, 0),
        rate_of(history, now),
        history,
        now,
        begins_at(counter.per, counter.time_zone, minute),
        month_ends_at or now,
    )


def _month(history: History, now: datetime) -> MonthForecast:
    minute = _minute_of(now)
    begin, end = begins_at("month", "UTC", minute) or now, resets_at("month", "UTC", minute) or now
    return MonthForecast(minute[:7], history.until(begin, end), rate_of(history, now), now, end)


def _minute_of(now: datetime) -> str:
    return minute_of(now.astimezone(UTC).isoformat())


def _ends(begin: datetime, now: datetime, *, of_hours: bool) -> Iterator[datetime]:
    """Yields the end of each day, or of each hour, between two moments."""
    zone, at = begin.tzinfo, begin
    while True:
        at = (at.astimezone(UTC) + _HOUR).astimezone(zone) if of_hours else _midnight_after(at)
        if at >= now:
            return
        yield at


def _midnight_after(at: datetime) -> datetime:
    return datetime.combine(at.date() + _DAY, time(), at.tzinfo)
