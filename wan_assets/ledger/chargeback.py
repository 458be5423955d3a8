"""Charges the tasks of one month to the values of a tag."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC

from wan_assets.ledger.budget_period import begins_at, minute_of, resets_at
from wan_assets.ledger.spend_lines import Span, SpendLine, sum_of

_MONTH = re.compile(r"2[0-9]{3}-(0[1-9]|1[0-2])")
_MIDDLE = "-15T12:00"


@dataclass(frozen=True)
class Chargeback:
    """The tasks of a month by the value of a tag. Each task is in exactly one line."""

    lines: tuple[SpendLine, ...]

    def of(self, *, simulated: bool) -> list[SpendLine]:
        """Returns the lines of one kind of money, the highest cost first."""
        found = (line for line in self.lines if line.is_simulated == simulated)
        return sorted(found, key=lambda line: -line.cost_microusd)

    def total(self, *, simulated: bool) -> SpendLine:
        """Returns the sums over all tasks of the month, of one kind of money."""
        return sum_of(self.of(simulated=simulated), SpendLine(("total",), simulated))


def month_span(month: str, time_zone: str) -> Span:
    """Returns the span of a month in a time zone; raises `ValueError` if the text is not a month.

    >>> month_span("2026-11", "Europe/Berlin")
    Span(first='2026-10-31T23:00', end='2026-11-30T23:00')
    """
    if not _MONTH.fullmatch(month):
        raise ValueError(f"{month!r} is not a month: write it as 2026-11")
    middle = f"{month}{_MIDDLE}"
    ends = begins_at("month", time_zone, middle), resets_at("month", time_zone, middle)
    first, end = (minute_of(moment.astimezone(UTC).isoformat()) for moment in ends if moment)
    return Span(first, end)
