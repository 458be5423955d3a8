"""Learns the real price of each kind of request from settled tasks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from statistics import median_low

import sqlalchemy as sa

from wan_assets.ledger.records import money_kind
from wan_assets.ledger.schema import given, insert_into, prices
from wan_assets.models import LearnedPrice, Quote, VideoRequest, quote_of, request_kind

_REMEMBERED = 20
"""How many recent costs are kept for each kind. An unusual cost is removed after some time."""

_OF_KIND = prices.c.kind == given(prices.c.kind)
_FOUND = prices.select().where(_OF_KIND)
_RECENT = sa.select(prices.c.recent).where(_OF_KIND).with_for_update()
_LEARNED = (
    prices.update()
    .where(_OF_KIND)
    .values(
        tasks=prices.c.tasks + 1,
        cost_microusd=prices.c.cost_microusd + given(prices.c.cost_microusd),
        recent=given(prices.c.recent),
    )
)


@dataclass(frozen=True)
class RecentPrices:
    """The costs of one kind of request, in µ$: the number of tasks, their sum, and the range of the latest costs."""

    kind: str
    is_simulated: bool
    tasks: int
    cost_microusd: int
    lowest_microusd: int
    highest_microusd: int
    median_microusd: int


def quoted_microusd(
    connection: sa.Connection, request: VideoRequest, margin: Decimal | None, *, simulated: bool
) -> int:
    """Returns the amount to reserve for a request, in µ$."""
    return quote(connection, request, margin, simulated=simulated).worst_microusd


def quote(connection: sa.Connection, request: VideoRequest, margin: Decimal | None, *, simulated: bool) -> Quote:
    """Returns the prices of a request, with the recent costs of its kind."""
    row = _row_of(connection, request_kind(request), simulated=simulated)
    recent = json.loads(row["recent"]) if row else []
    learned = LearnedPrice(row["tasks"], median_low(recent), max(recent)) if row and recent else None
    return quote_of(request, margin, learned)


def learn(connection: sa.Connection, request: VideoRequest, cost_microusd: int, *, simulated: bool) -> None:
    """Records the total cost of a task."""
    kind = _name(request_kind(request), simulated=simulated)
    if (recent := _recent(connection, kind)) is None:
        new = insert_into(connection.dialect.name, prices).values(kind=kind, tasks=0, cost_microusd=0, recent="[]")
        connection.execute(new.on_conflict_do_nothing())
        recent = _recent(connection, kind) or []
    latest = json.dumps([*recent, cost_microusd][-_REMEMBERED:])
    learned = {"given_kind": kind, "given_cost_microusd": cost_microusd, "given_recent": latest}
    connection.execute(_LEARNED, learned)


def _recent(connection: sa.Connection, kind: str) -> list[int] | None:
    """Returns the latest costs of a kind, and locks them until this transaction ends."""
    found = connection.execute(_RECENT, {"given_kind": kind}).scalar()
    return None if found is None else list(json.loads(found))


def all_prices(connection: sa.Connection) -> list[RecentPrices]:
    """Returns every kind of request that was charged, sorted by name."""
    rows = connection.execute(prices.select().where(prices.c.tasks > 0).order_by(prices.c.kind))
    return [_reported(row) for row in rows.mappings()]


def _row_of(connection: sa.Connection, kind: str, *, simulated: bool) -> sa.RowMapping | None:
    return connection.execute(_FOUND, {"given_kind": _name(kind, simulated=simulated)}).mappings().first()


def _name(kind: str, *, simulated: bool) -> str:
    return f"{money_kind(simulated)} {kind}"


def _reported(row: sa.RowMapping) -> RecentPrices:
    money, _, kind = row["kind"].partition(" ")
    recent = json.loads(row["recent"])
    spread = min(recent), max(recent), median_low(recent)
    return RecentPrices(kind, money == "simulated", row["tasks"], row["cost_microusd"], *spread)
