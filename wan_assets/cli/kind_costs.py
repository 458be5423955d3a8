"""The estimated and the charged amount by kind of request, in a table and in JSON."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from wan_assets.cli.display import dollars, show_table
from wan_assets.ledger import KindCosts
from wan_assets.models import usd

_SHOWN_FROM = Decimal("0.01")


def show_kind_costs(kinds: Iterable[KindCosts]) -> None:
    """Prints the kinds whose cost differs from the list price by more than 1 %; nothing if there are none."""
    rows = [
        (
            kind.kind,
            f"{kind.compared:,}",
            dollars(kind.estimated_microusd),
            dollars(kind.cost_microusd),
            f"{kind.deviation:+.1%}".replace("%", " %"),
        )
        for kind in kinds
        if kind.deviation is not None and abs(kind.deviation) > _SHOWN_FROM
    ]
    columns = ("request", "tasks", "list price", "charged", "deviation")
    if rows:
        more = "--json lists all kinds"
        show_table(
            "Charged otherwise than listed",
            columns,
            rows,
            right=columns[1:],
            flexible=columns[:1],
            folded=columns[:1],
            more=more,
        )


def kind_costs_json(kinds: Iterable[KindCosts]) -> list[dict[str, Any]]:
    """Returns all kinds as `--json` prints them."""
    return [
        {
            "request": kind.kind,
            "simulated": kind.is_simulated,
            "tasks": kind.tasks,
            "compared": kind.compared,
            "unknown_cost_count": kind.unknown,
            "estimated_usd": float(usd(kind.estimated_microusd)) if kind.compared else None,
            "cost_usd": float(usd(kind.cost_microusd)) if kind.compared else None,
            "deviation_share": None if kind.deviation is None else float(kind.deviation),
            "margin_share": float(kind.margin),
            "drifted": kind.has_drifted,
        }
        for kind in kinds
    ]
