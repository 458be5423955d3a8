"""Burn-down charts of budgets: what was left over the present period, an even use of it, and the projection."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from wan_assets.ledger import Forecast, Ledger, money_kind
from wan_assets.models import in_cents


def budget_charts(ledger: Ledger) -> list[dict[str, Any]]:
    """Returns the chart of each budget with a period as JSON values for the page; of simulated money only if the ledger
    has tasks of it, and of real money unless it has only those.
    """
    totals = ledger.totals()
    kinds = [] if totals.simulated.tasks and not totals.real.tasks else [False]
    kinds += [True] if totals.simulated.tasks else []
    return [
        {"kind": money_kind(simulated), **_chart(budget, budget.begins_at, budget.state.resets_at)}
        for simulated in kinds
        for budget in ledger.forecasts(simulated=simulated).budgets
        if budget.begins_at and budget.state.resets_at
    ]


def _chart(budget: Forecast, begin: datetime, end: datetime) -> dict[str, Any]:
    """Returns times in seconds since 1970, amounts in µ$, and both as text."""
    state, is_of_day = budget.state, budget.state.counter.per == "day"
    return {
        "name": state.label,
        "limit": state.cap_microusd,
        "limit_text": in_cents(state.cap_microusd),
        "left_text": in_cents(state.room_microusd),
        "per_day_text": in_cents(budget.rate.per_day_microusd),
        "expected_text": in_cents(budget.expected_microusd),
        "exhausted_text": _exhausted_text(budget, begin, is_of_day=is_of_day),
        "is_exhausted": budget.is_exhausted,
        "begin": begin.timestamp(),
        "end": end.timestamp(),
        "begin_text": _text(begin, begin, is_of_day=is_of_day),
        "end_text": _text(end, begin, is_of_day=is_of_day),
        "points": [_point(budget, at, left, begin, end) for at, left in budget.remaining()],
        "projection": [[at.timestamp(), left] for at, left in _projection(budget, end)],
    }


def _point(budget: Forecast, at: datetime, left: int, begin: datetime, end: datetime) -> list[Any]:
    share = (end.timestamp() - at.timestamp()) / (end.timestamp() - begin.timestamp())
    even = round(budget.state.cap_microusd * share)
    is_of_day = budget.state.counter.per == "day"
    time = "now" if at is budget.now else _text(at, begin, is_of_day=is_of_day)
    return [at.timestamp(), left, time, in_cents(left), in_cents(even)]


def _projection(budget: Forecast, end: datetime) -> Iterator[tuple[datetime, int]]:
    """Yields now and the moment at which the budget is exhausted or ends."""
    if budget.is_exhausted:
        return
    yield budget.now, budget.state.room_microusd
    if budget.exhausted_at:
        yield budget.exhausted_at, 0
    else:
        yield end, budget.state.cap_microusd - budget.expected_microusd


def _exhausted_text(budget: Forecast, begin: datetime, *, is_of_day: bool) -> str:
    if budget.exhausted_at is None or budget.is_exhausted:
        return ""
    return _text(budget.exhausted_at, begin, is_of_day=is_of_day)


def _text(at: datetime, begin: datetime, *, is_of_day: bool) -> str:
    """Returns a day, or the time of a day, in the time zone of the budget."""
    local = at.astimezone(begin.tzinfo)
    return f"{local:%H:%M}" if is_of_day else f"{local:%Y-%m-%d}"
