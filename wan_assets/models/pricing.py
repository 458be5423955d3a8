"""Computes prices of requests: the published price, and the amount to reserve.

Prices are whole micro-dollars (µ$, one millionth of a dollar) per second of video. Source: the model's documentation
page. 480p is allowed but has no published price; the 720p rate is used. The page's own image-to-video example at
1280x720 was charged 1.5 times the 720p rate. Requests with an input image are therefore reserved at the 1080p rate.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from wan_assets.models.request import Tier, VideoRequest

MICROUSD_PER_S: dict[Tier, int] = {"480p": 94_600, "720p": 94_600, "1080p": 147_600}


PRICE_MARGIN = Decimal("0.02")
"""The share that is reserved above the list price, because charges of 0.5 to 1.3 % above the list were observed."""

PLAUSIBLE_USD = 100
"""The highest plausible cost of one video. Videos of this model family cost less than a tenth of it; a higher cost is
an error of the API.
"""


def list_price_microusd(request: VideoRequest) -> int:
    """Returns the published price of all results of a request, in µ$. A request without a size uses the 1080p rate."""
    return MICROUSD_PER_S[request.tier or "1080p"] * request.duration * request.number_results


def worst_price_microusd(request: VideoRequest) -> int:
    """Returns the highest list price that all results of a request may have, in µ$."""
    tier: Tier = "1080p" if request.image else request.tier or "1080p"
    return MICROUSD_PER_S[tier] * request.duration * request.number_results


def reservation_microusd(request: VideoRequest, margin: Decimal = PRICE_MARGIN) -> int:
    """Returns the amount in µ$ that must fit in the budget before a request is submitted: the worst price and a
    margin.
    """
    return int((worst_price_microusd(request) * (1 + margin)).to_integral_value(ROUND_CEILING))


def request_kind(request: VideoRequest) -> str:
    """Describes everything that the price of a request may depend on. Requests of one kind cost the same.

    >>> request_kind(VideoRequest.model_validate({"positivePrompt": "A red kite", "width": 1280, "height": 720}))
    '1 x 720p 5 s from text'
    """
    size = f"{request.width}x{request.height}" if request.image and request.width else request.tier or "any size"
    start = "image" if request.image else "text"
    audio = "" if request.has_audio else ", silent"
    return f"{request.number_results} x {size} {request.duration} s from {start}{audio}"


def microusd_of(cost: Any) -> int | None:
    """Returns the cost of one video as stated by the API, in µ$; None if it is not a price: absent, text, NaN, zero or
    less.

    Also returns None for a cost above `PLAUSIBLE_USD`; `implausible_usd` returns such a cost.
    """
    amount = None if isinstance(cost, str) else _amount_of(cost)
    if amount is None or not 0 < amount <= PLAUSIBLE_USD:
        return None
    return nearest_microusd(amount) or None


def implausible_usd(cost: Any) -> Decimal | None:
    """Returns a stated cost, also one given as text, if it is above `PLAUSIBLE_USD`; else None."""
    amount = _amount_of(cost)
    return amount if amount is not None and amount > PLAUSIBLE_USD else None


def _amount_of(cost: Any) -> Decimal | None:
    if isinstance(cost, bool) or not isinstance(cost, (int, float, Decimal, str)):
        return None
    try:
        amount = Decimal(str(cost).rstrip("…"))
    except (InvalidOperation, ValueError):
        return None
    return amount if amount.is_finite() else None


def nearest_microusd(amount_usd: Decimal) -> int:
    """Rounds an external amount to the nearest micro-dollar."""
    return int((amount_usd * 1_000_000).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def usd(microusd: int) -> Decimal:
    """Converts micro-dollars to dollars, exactly."""
    return Decimal(microusd) / 1_000_000


def dollars(microusd: int | None) -> str:
    """Formats an amount with four decimal digits, as prices have them."""
    if microusd is None:
        return "unknown"
    return f"{'-' if microusd < 0 else ''}${usd(abs(microusd)):,.4f}"


def microusd(amount_usd: Decimal | float | str) -> int:
    """Converts dollars to whole micro-dollars; raises `ValueError` if the value is not an amount of money."""
    try:
        amount = Decimal(str(amount_usd)) * 1_000_000
        if amount.is_finite() and amount >= 0:
            return int(amount)
    except InvalidOperation:
        pass
    raise ValueError(f"{amount_usd!r} is not an amount of dollars")
