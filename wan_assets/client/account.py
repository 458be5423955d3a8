"""What the account says of its money: balance, and usage by day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from wan_assets.errors import ApiFault, RunwareBusyError

_MAX_USD = 1_000_000_000
"""More dollars than any account has; what claims more is no amount."""


@dataclass(frozen=True)
class DayOfUsage:
    """One UTC day of one model: how many tasks the account counts, and what it charged in dollars."""

    day: date
    count: int
    spend_usd: Decimal


def balance_in(details: Mapping[str, Any]) -> Decimal | None:
    """Reads a balance in both its forms: a number, and `{amount, currency}`."""
    said = details.get("balance")
    return amount_of(said.get("amount") if isinstance(said, Mapping) else said)


def usage_in(answer: Mapping[str, Any]) -> tuple[DayOfUsage, ...]:
    """Reads the time series of `getUsageActivity`, days in order; raises `RunwareBusyError` for what is none."""
    try:
        rows = ((answer.get("usage") or {}).get("timeseries") or {}).get("data") or []
        days = [
            DayOfUsage(date.fromisoformat(str(row["date"])[:10]), int(row.get("count") or 0), spend)
            for row in rows
            if (spend := amount_of(row.get("spend"))) is not None
        ]
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        said = f"the usage cannot be read: {type(error).__name__}: {error}"
        raise RunwareBusyError(ApiFault("unrecognizedResponse", said)) from None
    return tuple(sorted(days, key=lambda usage: usage.day))


def amount_of(said: Any) -> Decimal | None:
    """A number of dollars, or None for what is none."""
    if isinstance(said, bool) or not isinstance(said, (int, float, str)):
        return None
    try:
        amount = Decimal(str(said))
    except (InvalidOperation, ValueError):
        return None
    return amount if amount.is_finite() and abs(amount) <= _MAX_USD else None
