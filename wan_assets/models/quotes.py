"""Quotes the price of a request: its list price, what its kind has cost, and the amount to reserve."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from wan_assets.models.pricing import (
    has_list_price,
    is_length_known,
    is_rate_known,
    list_price_microusd,
    margin_of,
    request_kind,
    reservation_microusd,
    worst_price_microusd,
)
from wan_assets.models.request import VideoRequest

ENOUGH_COSTS = 5
"""The number of known costs of a kind from which on they may lower the reservation below the list price."""


class LearnedPrice(NamedTuple):
    """The costs of one kind of request, in µ$: the number of known costs, and the median and the highest recent one."""

    tasks: int
    median_microusd: int
    highest_microusd: int


@dataclass(frozen=True)
class Quote:
    """The prices of one request, in µ$.

    `list_microusd` is None if no price of its resolution is published. `worst_microusd` is reserved before the request
    is submitted, and `margin_microusd` is the part of it above the highest list price: `margin_share` of that price, or
    nothing if the highest recent cost is reserved.
    """

    kind: str
    list_microusd: int | None
    worst_microusd: int
    margin_share: Decimal
    margin_microusd: int
    learned: LearnedPrice | None = None

    @property
    def expected_microusd(self) -> int:
        """The median recent cost; without one the list price, and without both the worst case."""
        if self.learned:
            return self.learned.median_microusd
        return self.worst_microusd if self.list_microusd is None else self.list_microusd


def quote_of(request: VideoRequest, margin: Decimal | None = None, learned: LearnedPrice | None = None) -> Quote:
    """Returns the prices of a request: the worst list price plus a margin is reserved, or the highest recent cost.

    Recent costs do not lower the reservation of a request whose length or rate is not known beforehand.
    """
    worst = reservation_microusd(request, margin)
    added = worst - worst_price_microusd(request)
    is_known = is_length_known(request) and is_rate_known(request)
    is_learned = learned is not None and learned.tasks >= ENOUGH_COSTS and is_known
    if learned and (is_learned or learned.highest_microusd > worst):
        worst, added = learned.highest_microusd, 0
    listed = list_price_microusd(request) if has_list_price(request) else None
    return Quote(request_kind(request), listed, worst, margin_of(request, margin), added, learned)
