"""Reads account answers of the API: the balance, and the usage by day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from wan_assets.errors import ApiFault, RunwareBusyError

_MAX_USD = 1_000_000_000
"""No account holds more dollars than this. A larger number is not a valid amount."""


@dataclass(frozen=True)
class DayOfUsage:
    """Usage of one model on one UTC day: the number of tasks that the account counts, and its charge in dollars."""

    day: date
    count: int
    spend_usd: Decimal


@dataclass(frozen=True)
class UsageTotals:
    """The account's own totals of some days over all models, in dollars; None for one that the API does not state.

    `projected_usd` is the field `projectedSpend`. The API does not state how it is computed.
    """

    spend_usd: Decimal | None
    per_day_usd: Decimal | None
    projected_usd: Decimal | None


def balance_in(details: Mapping[str, Any]) -> Decimal | None:
    """Reads a balance in both its forms: a number, and `{amount, currency}`."""
    balance = details.get("balance")
    return amount_of(balance.get("amount") if isinstance(balance, Mapping) else balance)


def usage_in(answer: Mapping[str, Any]) -> tuple[DayOfUsage, ...]:
    """Reads the time series of `getUsageActivity`, sorted by day; raises `RunwareBusyError` if it cannot be read."""
    try:
        rows = ((answer.get("usage") or {}).get("timeseries") or {}).get("data") or []
        days = [
            DayOfUsage(date.fromisoformat(str(row["date"])[:10]), int(row.get("count") or 0), spend)
            for row in rows
            if (spend := amount_of(row.get("spend"))) is not None
        ]
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        message = f"the usage cannot be read: {type(error).__name__}: {error}"
        raise RunwareBusyError(ApiFault("unrecognizedResponse", message)) from None
    return tuple(sorted(days, key=lambda usage: usage.day))


def totals_in(answer: Mapping[str, Any]) -> UsageTotals:
    """Reads the totals of `getUsageActivity`; what cannot be read is None."""
    found: Any = answer
    for name in ("usage", "timeseries", "meta"):
        found = found.get(name) if isinstance(found, Mapping) else None
    meta: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    return UsageTotals(*(amount_of(meta.get(name)) for name in ("totalSpend", "avgDailySpend", "projectedSpend")))


def amount_of(value: Any) -> Decimal | None:
    """Returns a number of dollars, or None if the value is not one."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        amount = Decimal(str(value))
    except (InvalidOperation, ValueError):
        return None
    return amount if amount.is_finite() and abs(amount) <= _MAX_USD else None
