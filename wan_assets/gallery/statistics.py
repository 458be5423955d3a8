"""The totals that the page shows: counts, money, filter options and spending over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from wan_assets.gallery.items import MODEL_FILTER, Item, money_text
from wan_assets.ledger import DecisionValue, Ledger, SpendLine, money_kind

_MAX_DAYS = 92
"""A longer period is shown by month."""

_MAX_CHOICES = 50
"""An extra column with more values is not a filter."""


@dataclass
class Money:
    """The cost of several files in µ$."""

    videos: int = 0
    cost_microusd: int = 0
    reserved_microusd: int = 0
    unknown: int = 0

    def add(self, item: Item) -> None:
        self.videos += 1
        self.cost_microusd += item.entry.cost_microusd or 0
        self.reserved_microusd += item.entry.reserved_microusd
        self.unknown += item.entry.cost_microusd is None


@dataclass
class GalleryTotals:
    """The totals of the files so far; `rows` contains the ids of the rows with a video."""

    rows: set[str] = field(default_factory=set)
    bytes: int = 0
    length_s: int = 0
    failed: int = 0
    deviating: int = 0
    real: Money = field(default_factory=Money)
    simulated: Money = field(default_factory=Money)
    sizes: Counter[tuple[float, str]] = field(default_factory=Counter)
    lengths: Counter[int] = field(default_factory=Counter)
    failed_checks: Counter[str] = field(default_factory=Counter)
    extra: dict[str, Counter[str]] = field(default_factory=dict)
    experiments: set[str] = field(default_factory=set)
    takes: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    score_ranges: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def videos(self) -> int:
        return self.real.videos + self.simulated.videos

    def add(self, item: Item) -> None:
        (self.simulated if item.entry.stored.is_simulated else self.real).add(item)
        self.rows.add(item.entry.dataset_row.row.prompt_id)
        self.experiments |= {item.experiment} - {""}
        self.takes += item.entry.dataset_row.take > 1
        decision = item.entry.decision
        self.decisions[decision.value.value if decision else DecisionValue.UNDECIDED.value] += 1
        for check in item.entry.checks:
            if check.score is not None:
                self._add_score(check.check_name, check.score)
        self.bytes += item.entry.video.bytes
        self.length_s += item.length_s
        self.failed += bool(item.failed_checks)
        self.deviating += bool(item.entry.video.differences)
        self.sizes[item.pixels, item.size] += 1
        self.lengths[item.length_s] += 1
        self.failed_checks.update(item.failed_checks)
        for name, value in item.extra.items():
            values = self.extra.setdefault(name, Counter())
            if value in values or len(values) <= _MAX_CHOICES:
                values[value] += 1

    def _add_score(self, name: str, score: float) -> None:
        """Extends the range of a check's scores."""
        lowest, highest = self.score_ranges.get(name, (score, score))
        self.score_ranges[name] = (min(lowest, score), max(highest, score))

    def _filters(self) -> Iterator[tuple[str, Counter[str]]]:
        """Yields the columns with few values; the model only if there are several."""
        few = ((name, values) for name, values in self.extra.items() if len(values) <= _MAX_CHOICES)
        return ((name, values) for name, values in few if name != MODEL_FILTER or len(values) > 1)

    def reported(self) -> dict[str, Any]:
        """Returns the totals as JSON values for the page."""
        return {
            "videos": self.videos,
            "bytes": self.bytes,
            "length_s": self.length_s,
            "failed": self.failed,
            "deviating": self.deviating,
            "experiments": len(self.experiments),
            "takes": self.takes,
            "decisions": dict(self.decisions),
            "scores": sorted(self.score_ranges.items()),
            "sizes": [[size, count] for (_, size), count in sorted(self.sizes.items())],
            "lengths": [[length, count] for length, count in sorted(self.lengths.items())],
            "failed_checks": [[name, count] for name, count in sorted(self.failed_checks.items())],
            "extra": [[name, sorted(values.items())] for name, values in self._filters()],
            "money": [_money_totals("real", self.real), _money_totals("simulated", self.simulated)],
        }


def ledger_totals(ledger: Ledger) -> dict[str, Any]:
    """Returns the totals of the ledger, which include other tables; real and simulated money are kept separate."""
    totals, days = ledger.totals(), ledger.spending("day")
    return {
        money_kind(line.is_simulated): {
            "tasks": line.tasks,
            "cost": money_text(line.cost_microusd),
            "reserved": money_text(line.reserved_microusd),
            "unknown": line.unknown,
            "spending": spending_over_time([day for day in days if day.is_simulated == line.is_simulated]),
        }
        for line in (totals.real, totals.simulated)
        if line.tasks
    }


def spending_over_time(lines: Sequence[SpendLine]) -> list[tuple[str, int, str]]:
    """Returns each day, or each month of a long period, with its name, its amount in µ$ and the amount as text."""
    if not lines:
        return []
    days = {line.key: line.cost_microusd for line in lines}
    first, last = (date.fromisoformat(key) for key in (min(days), max(days)))
    every = [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]
    length = len("2026-01" if len(every) > _MAX_DAYS else "2026-01-01")
    sums = _sums((day[:length], days.get(day, 0)) for day in every)
    return [(key, amount, money_text(amount)) for key, amount in sums.items()]


def _sums(amounts: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for key, amount in amounts:
        sums[key] += amount
    return dict(sums)


def _money_totals(kind: str, money: Money) -> dict[str, Any]:
    return {
        "kind": kind,
        "videos": money.videos,
        "cost": money_text(money.cost_microusd),
        "reserved": money_text(money.reserved_microusd) if money.reserved_microusd else "",
        "unknown": money.unknown,
    }
