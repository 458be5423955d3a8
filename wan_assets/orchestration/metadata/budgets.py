"""Dagster metadata of budgets: numbers that Dagster charts, and a table of their forecasts."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from wan_assets.ledger import Counter, Forecast, Ledger, OpenPartitions
from wan_assets.models import in_cents, usd
from wan_assets.orchestration.partitions.open_partitions import open_partitions

_NO_TEXT = re.compile(r"[^a-z0-9]+")
_HEAD = (
    "| Budget | Limit | Spent | Reserved | Left | Used | Per day | Exhausted | Expected | Open partitions |\n"
    "| --- | --: | --: | --: | --: | --: | --: | --- | --: | --: |\n"
)
_NOTES = """
Per day: spent and reserved since the first of the last 7 days with tasks. Expected: spent, reserved, and this rate
until the end of the period (for budgets without one, of the month), as if there was no limit. Open partitions: those
that open backfills and runs of this Dagster instance still make, times the mean cost of those made."""


def budget_metadata(ledger: Ledger, instance: dg.DagsterInstance, assets: Collection[str]) -> dict[str, Any]:
    """Returns the numbers of each budget, of real money under `budget_…` and of simulated money under
    `simulated_budget_…`, and one table. Simulated money is left out unless the ledger has tasks of it.

    Open partitions are those of `assets` and of the other assets that the ledger knows.
    """
    totals = ledger.totals()
    wanted = open_partitions(instance, {*assets, *(line.key for line in ledger.spending("asset"))})
    kinds = [False] if totals.real.tasks or not totals.simulated.tasks else []
    kinds += [True] if totals.simulated.tasks else []
    metadata: dict[str, Any] = {}
    parts = []
    for simulated in kinds:
        budgets = ledger.forecasts(simulated=simulated).budgets
        opened = ledger.open_partitions([each.state.counter for each in budgets], wanted, simulated=simulated)
        metadata |= _numbers(budgets, "wan_assets/simulated_budget_" if simulated else "wan_assets/budget_")
        title = "\n**Simulated money, nothing was paid**\n\n" if simulated else ""
        if budgets:
            parts.append(title + _HEAD + "\n".join(_lines(budgets, opened)) + "\n")
    if parts:
        metadata["wan_assets/budgets"] = dg.MetadataValue.md("".join(parts) + _NOTES)
    return metadata


def _numbers(budgets: Sequence[Forecast], prefix: str) -> dict[str, Any]:
    """Returns the numbers under keys that stay the same in every period."""
    keys = _keys_of([budget.state.counter for budget in budgets])
    found: dict[str, Any] = {}
    for budget in budgets:
        if budget.is_of_runs:
            continue
        key = f"{prefix}{keys[budget.state.counter]}"
        found |= {
            f"{key}_percent": budget.percent,
            f"{key}_left_usd": float(usd(budget.state.room_microusd)),
            f"{key}_expected_usd": float(usd(budget.expected_microusd)),
        }
        if budget.exhausted_at:
            found[f"{key}_exhausted_at"] = dg.MetadataValue.timestamp(budget.exhausted_at)
    return found


def _keys_of(counters: Sequence[Counter]) -> Mapping[Counter, str]:
    """Returns a part of a key for each budget; those of equal letters and digits have their id in it."""
    names = {counter: _NO_TEXT.sub("_", counter.name.lower()).strip("_") for counter in counters}
    shared = {name for name in names.values() if list(names.values()).count(name) > 1}
    return {counter: f"{name}_{counter.id}" if name in shared else name for counter, name in names.items()}


def _lines(budgets: Sequence[Forecast], opened: Sequence[OpenPartitions]) -> Iterator[str]:
    for budget in budgets:
        cells = [
            budget.state.title,
            in_cents(budget.state.cap_microusd),
        ]
        cells += ["-"] * 8 if budget.is_of_runs else _cells(budget, opened)
        yield f"| {' | '.join(map(_escaped, cells))} |"


def _cells(budget: Forecast, opened: Sequence[OpenPartitions]) -> list[str]:
    known = [each.needed_microusd[budget.state.counter] for each in opened if each.needed_microusd is not None]
    at = budget.exhausted_at
    local = at.astimezone(budget.expected_at.tzinfo) if at else None
    return [
        in_cents(budget.spent_microusd),
        in_cents(budget.reserved_microusd),
        in_cents(budget.state.room_microusd),
        f"{budget.percent:.1f}%",
        in_cents(budget.rate.per_day_microusd),
        "now" if budget.is_exhausted else f"{local:%Y-%m-%d %H:%M %Z}" if local else "-",
        in_cents(budget.expected_microusd),
        "unknown" if opened and not known else in_cents(sum(known)),
    ]


def _escaped(text: str) -> str:
    """Returns a text that cannot change the table or be markup."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", " ".join(text.split()))
