"""The prices of one request of each kind as `plan` shows them, the expected and the highest total, and the unknowns."""

from __future__ import annotations

from decimal import Decimal
from textwrap import wrap
from typing import Any

import click

from wan_assets.cli.display import console_on, counted, dollars, printable, show_table
from wan_assets.cli.estimates import LedgerState
from wan_assets.cli.unknowns import unknowns_of
from wan_assets.models import usd
from wan_assets.prompts import PriceLine, PriceList, QuotedKind

_KINDS_NAMED = 3


def show_quotes(prices: PriceList) -> None:
    """Prints the prices of one request of each kind."""
    columns = ("request", "list", "learned", "highest", "costs", "worst", "margin")
    rows = [_row(found) for found in prices.by_request]
    if rows:
        show_table("Prices of one request", columns, rows, right=columns[1:], flexible=columns[:1], folded=columns[:1])


def show_expected(prices: PriceList) -> None:
    """Prints what a run over the new requests is expected to cost, and the worst case."""
    new = prices.new
    if new.requests:
        expected, worst = dollars(new.expected_microusd), dollars(new.reserved_microusd)
        click.echo(f"expected: {expected} for {counted(new.videos, 'new video')}; worst case {worst}")


def show_unknowns(prices: PriceList, state: LedgerState) -> None:
    """Prints what is not known beforehand, one sentence after the other."""
    found = unknowns_of(prices, state, named=_KINDS_NAMED)
    if not found:
        return
    click.echo("not known beforehand:")
    width = console_on().width
    for sentence in found:
        lines = wrap(
            printable(sentence), width, initial_indent="  - ", subsequent_indent="    ", break_on_hyphens=False
        )
        click.echo("\n".join(lines))


def _row(found: QuotedKind) -> tuple[str, ...]:
    quote, learned = found.quote, found.quote.learned
    return (
        quote.kind,
        dollars(quote.list_microusd),
        dollars(learned.median_microusd if learned else None),
        dollars(learned.highest_microusd if learned else None),
        f"{learned.tasks if learned else 0:,}",
        dollars(quote.worst_microusd),
        f"{_percent(quote.margin_share)} {dollars(quote.margin_microusd)}" if quote.margin_microusd else "none",
    )


def _percent(share: Decimal) -> str:
    return f"{(share * 100).normalize():f} %"


def quotes_json(prices: PriceList, state: LedgerState) -> dict[str, Any]:
    """Returns the same as `--json` prints it."""
    return {
        "requests": [_quote_json(found) for found in prices.by_request],
        "total": _total_json(prices.total),
        "new": _total_json(prices.new),
        "unknowns": unknowns_of(prices, state),
    }


def _quote_json(found: QuotedKind) -> dict[str, Any]:
    quote, learned = found.quote, found.quote.learned
    return {
        "request": quote.kind,
        "model": found.example.model,
        "requests": found.requests,
        "new": found.new,
        "list_price_usd": _usd(quote.list_microusd),
        "learned_usd": _usd(learned.median_microusd if learned else None),
        "learned_highest_usd": _usd(learned.highest_microusd if learned else None),
        "known_costs": learned.tasks if learned else 0,
        "expected_usd": _usd(quote.expected_microusd),
        "worst_usd": _usd(quote.worst_microusd),
        "margin_share": float(quote.margin_share) if quote.margin_microusd else 0.0,
        "margin_usd": _usd(quote.margin_microusd),
    }


def _total_json(line: PriceLine) -> dict[str, Any]:
    return {"expected_usd": _usd(line.expected_microusd), "worst_usd": _usd(line.reserved_microusd)}


def _usd(microusd: int | None) -> float | None:
    return None if microusd is None else float(usd(microusd))
