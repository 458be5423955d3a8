"""The estimate of a run as `plan` shows it: prices by kind and campaign, the budget, and the expected duration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from wan_assets.cli.display import counted, dollars, printable, show_table
from wan_assets.cli.estimates import LedgerState
from wan_assets.durations import duration_text
from wan_assets.errors import budget_name
from wan_assets.ledger import TAKES, BudgetState, Subject, is_of_row
from wan_assets.models import description_of, is_default, usd
from wan_assets.prompts import MODEL_COLUMN, PriceLine, PriceList


def show_prices(prices: PriceList) -> None:
    """Prints the list prices by kind, and by campaign if the rows have campaigns."""
    kinds = prices.by_kind
    has_models = any(not is_default(kind.model) for kind in kinds)
    has_silent = not all(kind.has_audio for kind in kinds)
    rows = [
        (
            kind.kind,
            kind.resolution,
            f"{kind.duration_s} s" if isinstance(kind.duration_s, int) else kind.duration_s,
            *([("yes" if kind.has_audio else "no")] if has_silent else []),
            *([description_of(kind.model).short_name] if has_models else []),
            f"{line.videos:,}",
            dollars(None if line.unpriced else line.price_microusd),
        )
        for kind, line in kinds.items()
    ]
    columns = ("kind", "resolution", "length", *["audio"] * has_silent, *["model"] * has_models, "videos", "list price")
    show_table("Videos to generate", columns, rows, right=("videos", "list price"))
    by_campaign = [
        (name or "(none)", f"{line.videos:,}", dollars(line.price_microusd))
        for name, line in prices.by_campaign.items()
    ]
    if by_campaign:
        columns = ("campaign", "videos", "list price")
        flexible = ("campaign",)
        show_table("Prices by campaign", columns, by_campaign, right=("videos", "list price"), flexible=flexible)


def show_estimate(prices: PriceList, state: LedgerState) -> None:
    """Prints what is new, whether it fits the budget, and how long it is expected to take."""
    new, total = prices.new, prices.total
    account = "simulator" if state.is_simulated else "account"
    if state.error:
        click.echo(f"the ledger cannot be read: {printable(state.error)}")
    if new.requests < total.requests:
        had = total.requests - new.requests
        have, they = ("has a task", "it costs") if had == 1 else ("have tasks", "they cost")
        click.echo(f"{counted(had, 'request')} {have} on the {account} already: {they} nothing more")
        click.echo(f"new: {counted(new.videos, 'video')}, {prices_text(new)}")
    for budget in state.budgets:
        click.echo(f"budget: {_fit(budget, prices)}")
    if all(budget.is_of_retakes for budget in state.budgets):
        click.echo("budget: none is set (WAN_ASSETS_BUDGET_USD)")
    expected = state.duration(prices)
    click.echo(f"expected duration on the {account}: {duration_text(expected.expected_s)}")
    click.echo(f"  at most {counted(expected.in_flight, 'task')} in flight ({expected.limit})")
    click.echo(f"  {duration_text(expected.task_s)} for each task ({expected.basis})")


def estimate_json(prices: PriceList, state: LedgerState) -> dict[str, Any]:
    """Returns the estimate as `--json` prints it."""
    new, expected = prices.new, state.duration(prices)
    return {
        "kinds": [
            {
                "model": kind.model,
                "kind": kind.kind,
                "resolution": kind.resolution,
                "duration_s": kind.duration_s,
                "audio": kind.has_audio,
                **_amounts(line),
            }
            for kind, line in prices.by_kind.items()
        ],
        "campaigns": [{"campaign": name, **_amounts(line)} for name, line in prices.by_campaign.items()],
        "simulated": state.is_simulated,
        "new": {"requests": new.requests, **_amounts(new)},
        "budget": list(_budget(state, prices)),
        "expected_duration": {
            "expected_s": expected.expected_s,
            "in_flight": expected.in_flight,
            "task_s": expected.task_s,
            "limit": expected.limit,
            "basis": expected.basis,
        },
        "ledger_error": state.error,
    }


def _budget(state: LedgerState, prices: PriceList) -> Iterator[dict[str, Any]]:
    for budget in state.budgets:
        needed = needed_microusd(budget, prices)
        missing = budget.shortfall_microusd(needed or 0)
        yield {
            "budget": budget.title,
            "limit_usd": float(usd(budget.cap_microusd)),
            "committed_usd": float(usd(budget.committed_microusd)),
            "left_usd": float(usd(budget.room_microusd)),
            "resets_at": budget.resets_at.isoformat() if budget.resets_at else None,
            "fits": None if needed is None else not missing,
            "shortfall_usd": None if needed is None else float(usd(missing)),
        }


def needed_microusd(budget: BudgetState, prices: PriceList) -> int | None:
    """Returns the most that the new requests of a table take from a budget; None if the table alone does not tell."""
    scope = budget.counter.scope
    if not all(is_of_row(name) or name in (MODEL_COLUMN, TAKES) for name, _ in scope):
        return None
    line = prices.new_where(lambda model, tags: Subject("", model=model, tags=tags).matches(scope))
    return None if line is None else line.reserved_microusd


def _amounts(line: PriceLine) -> dict[str, Any]:
    return {
        "videos": line.videos,
        "price_usd": float(usd(line.price_microusd)),
        "unpriced_requests": line.unpriced,
        "reserved_usd": float(usd(line.reserved_microusd)),
    }


def prices_text(line: PriceLine) -> str:
    """Returns the list price and the reservation of some requests, and how many of them have no list price."""
    without = counted(line.unpriced, "request") + " without one"
    included = f", which includes {without}, at the highest rate of the model" if line.unpriced else ""
    return f"list price {dollars(line.price_microusd)}{included}; reserved at most {dollars(line.reserved_microusd)}"


def _fit(budget: BudgetState, prices: PriceList) -> str:
    name = budget_name(budget.title)
    left = f"{dollars(budget.room_microusd)} of {dollars(budget.cap_microusd)} left"
    needed = None if budget.is_of_retakes else needed_microusd(budget, prices)
    if needed is None:
        return f"{name}: {left}" + ("" if budget.is_of_retakes else "; what counts in it is known in the run only")
    missing = budget.shortfall_microusd(needed)
    if not missing:
        return f"{dollars(needed)} fits in {name}: {left}"
    if budget.balance_microusd < 0:
        left = f"{dollars(budget.committed_microusd)} of {dollars(budget.cap_microusd)} is spent or reserved already"
    return f"{dollars(needed)} does not fit in {name}: {left}, {dollars(missing)} missing"
