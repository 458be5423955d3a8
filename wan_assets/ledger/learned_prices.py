"""What the API really charges for each kind of request, learned from settled tasks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal

import sqlalchemy as sa

from wan_assets.ledger.records import money_kind
from wan_assets.ledger.schema import given, insert_into, prices
from wan_assets.models import VideoRequest, request_kind, reservation_microusd

_REMEMBERED = 20
"""So many of a kind's latest costs are kept: an odd one is forgotten in the end."""

_ENOUGH = 5
"""So many costs of a kind must be known before they are believed to be lower than the price list says."""


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
    """What the tasks of one kind cost, in µ$: how many there were, their sum, and the span of the latest."""

    kind: str
    is_simulated: bool
    tasks: int
    cost_microusd: int
    lowest_microusd: int
    highest_microusd: int


def quoted_microusd(connection: sa.Connection, request: VideoRequest, margin: Decimal, *, simulated: bool) -> int:
    """What to reserve for a request, in µ$: the worst list price and a margin, or the highest recent price."""
    worst = reservation_microusd(request, margin)
    row = _row_of(connection, request_kind(request), simulated=simulated)
    if row is None:
        return worst
    highest = int(max(json.loads(row["recent"])))
    return highest if row["tasks"] >= _ENOUGH else max(worst, highest)


def learn(connection: sa.Connection, request: VideoRequest, cost_microusd: int, *, simulated: bool) -> None:
    """Remembers what a task cost in all."""
    kind = _name(request_kind(request), simulated=simulated)
    if (recent := _recent(connection, kind)) is None:
        new = insert_into(connection.dialect.name, prices).values(kind=kind, tasks=0, cost_microusd=0, recent="[]")
        connection.execute(new.on_conflict_do_nothing())
        recent = _recent(connection, kind) or []
    latest = json.dumps([*recent, cost_microusd][-_REMEMBERED:])
    learned = {"given_kind": kind, "given_cost_microusd": cost_microusd, "given_recent": latest}
    connection.execute(_LEARNED, learned)


def _recent(connection: sa.Connection, kind: str) -> list[int] | None:
    """The latest costs of a kind, which no other process changes before this transaction ends."""
    found = connection.execute(_RECENT, {"given_kind": kind}).scalar()
    return None if found is None else list(json.loads(found))


def all_prices(connection: sa.Connection) -> list[RecentPrices]:
    """Every kind of request that was charged, in order of its name."""
    return [_reported(row) for row in connection.execute(prices.select().order_by(prices.c.kind)).mappings()]


def _row_of(connection: sa.Connection, kind: str, *, simulated: bool) -> sa.RowMapping | None:
    return connection.execute(_FOUND, {"given_kind": _name(kind, simulated=simulated)}).mappings().first()


def _name(kind: str, *, simulated: bool) -> str:
    return f"{money_kind(simulated)} {kind}"


def _reported(row: sa.RowMapping) -> RecentPrices:
    money, _, kind = row["kind"].partition(" ")
    recent = json.loads(row["recent"])
    return RecentPrices(kind, money == "simulated", row["tasks"], row["cost_microusd"], min(recent), max(recent))
