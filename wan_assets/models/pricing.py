"""Computes prices of requests by the description of their model: the published price, and the amount to reserve.

Prices are whole micro-dollars (µ$, one millionth of a dollar) per second of video.
"""

from __future__ import annotations

from collections import Counter
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from pydantic.alias_generators import to_camel

from wan_assets.models.catalog import MODEL
from wan_assets.models.request import VideoRequest

PRICE_MARGIN = Decimal("0.02")
"""The share that is reserved above the list price, because charges of 0.5 to 1.3 % above the list were observed."""

PLAUSIBLE_USD = 100
"""The highest plausible cost of one video. Videos of this model family cost less than a tenth of it; a higher cost is
an error of the API.
"""


def list_price_microusd(request: VideoRequest) -> int:
    """Returns the published price of all results of a request, in µ$.

    A request without a size, and one whose resolution has no published price, has the highest rate of the model. One
    whose duration the model chooses has the price of the longest video.
    """
    return _price(request, _rate(request), request.longest_s)


def has_list_price(request: VideoRequest) -> bool:
    """Whether the description has a price of the request's own resolution; without a resolution, any price."""
    price = request.description.price
    return price is not None and (request.tier is None or request.tier in _rates(request))


def is_price_determined(request: VideoRequest) -> bool:
    """Whether the list price is known beforehand: the request decides the rate and the seconds."""
    return has_list_price(request) and lowest_price_microusd(request) == worst_price_microusd(request)


def worst_price_microusd(request: VideoRequest) -> int:
    """Returns the highest list price that all results of a request may have, in µ$, with the seconds of its inputs."""
    price = request.description.price
    is_open = request.image is not None and price is not None and price.any_resolution_from_image
    rate = max(_rates(request).values()) if is_open else _rate(request)
    inputs_s = charged_inputs(request) * (price.assumed_input_s if price else 0)
    return _price(request, rate, request.longest_s) + rate * inputs_s * request.number_results


def lowest_price_microusd(request: VideoRequest) -> int:
    """Returns the lowest list price that all results of a request may have, in µ$."""
    rates = _rates(request)
    return _price(request, rates.get(request.tier or "", min(rates.values())), request.shortest_s)


def is_length_known(request: VideoRequest) -> bool:
    """Whether a request determines the seconds that are charged: those of the output and of its input videos."""
    return request.shortest_s == request.longest_s and not charged_inputs(request)


def charged_inputs(request: VideoRequest) -> int:
    """Returns the number of input videos whose seconds are charged too."""
    price = request.description.price
    return sum(_wire(name) in price.input_seconds_of for name, _ in request.media) if price else 0


def is_rate_known(request: VideoRequest) -> bool:
    """Whether a request determines the price of a second. Without a size, the input decides it, unless the model
    charges all images at one rate.
    """
    price = request.description.price
    is_of_image = request.image is not None and price is not None and price.any_resolution_from_image
    return request.tier is not None or is_of_image


def price_per_s_microusd(request: VideoRequest, resolution: str) -> int:
    """Returns the published price of one second of one result in a resolution, in µ$."""
    rates = _rates(request)
    return rates.get(resolution, max(rates.values())) * _times(request)


def _rate(request: VideoRequest) -> int:
    """Returns the price of a second in the request's own resolution; without one, the highest of the model.

    A resolution without a price is never priced as another one: it may cost more than any of them, and its sound may
    be charged or not.
    """
    rates = _rates(request)
    if request.tier in (None, *rates):
        return rates.get(request.tier or "", max(rates.values()))
    price = request.description.price
    every = (*price.usd_per_s.values(), *price.usd_per_s_silent.values()) if price else ()
    return max([*rates.values(), *map(nearest_microusd, every)])


def _price(request: VideoRequest, rate: int, seconds: int) -> int:
    return rate * seconds * _times(request) * request.number_results


def _times(request: VideoRequest) -> int:
    """Returns how many times the price of the output is charged."""
    price = request.description.price
    return 1 + sum(_wire(path) == price.repeats_for for path, _ in request.media) if price else 1


def _rates(request: VideoRequest) -> dict[str, int]:
    """Returns the price in µ$ per second by resolution; without a known price, the highest plausible one."""
    price = request.description.price
    if price is None:
        return {"": PLAUSIBLE_USD * 1_000_000 // request.longest_s}
    rates = price.usd_per_s if request.has_audio else price.usd_per_s_silent or price.usd_per_s
    return {resolution: nearest_microusd(usd_per_s) for resolution, usd_per_s in rates.items()}


def _wire(name: str) -> str:
    return f"inputs.{to_camel(name)}"


def reservation_microusd(request: VideoRequest, margin: Decimal | None = None) -> int:
    """Returns the amount in µ$ that must fit in the budget before a request is submitted: the worst price and a
    margin, by default that of the model.
    """
    return int((worst_price_microusd(request) * (1 + margin_of(request, margin))).to_integral_value(ROUND_CEILING))


def margin_of(request: VideoRequest, margin: Decimal | None = None) -> Decimal:
    """Returns the share that is reserved above the list price: the given one, or that of the model."""
    price = request.description.price
    return margin if margin is not None else price.margin if price else PRICE_MARGIN


def request_kind(request: VideoRequest) -> str:
    """Describes everything that the price of a request may depend on. Requests of one kind cost the same.

    Kinds of the default model have no name of a model, because ledgers of release 0.1 have none.

    >>> request_kind(VideoRequest.model_validate({"positivePrompt": "A red kite", "width": 1280, "height": 720}))
    '1 x 720p 5 s from text'
    """
    size = f"{request.width}x{request.height}" if request.image and request.width else request.tier or "any size"
    audio = "" if request.has_audio else ", silent"
    model = "" if request.model == MODEL else f"{request.description.short_name}: "
    return f"{model}{request.number_results} x {size} {request.duration} s from {_start(request)}{audio}"


def references_of(request: VideoRequest) -> Counter[str]:
    """Returns the number of each kind of reference, such as `reference videos`: the inputs but frames and audio."""
    return Counter(name.replace("_", " ") for name, _ in request.media if name not in ("frame_images", "audio"))


def _start(request: VideoRequest) -> str:
    references = references_of(request)
    start = "image" if request.image else "text"
    return " and ".join(
        [*([start] if request.image or not references else []), *(f"{n} {what}" for what, n in references.items())]
    )


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


def in_cents(microusd: int) -> str:
    """Formats an amount with two decimal digits, as budgets have them.

    >>> in_cents(1_234_567_890), in_cents(-1_230_000)
    ('$1,234.57', '-$1.23')
    """
    return f"{'-' if microusd < 0 else ''}${usd(abs(microusd)):,.2f}"


def microusd(amount_usd: Decimal | float | str) -> int:
    """Converts dollars to whole micro-dollars; raises `ValueError` if the value is not an amount of money."""
    try:
        amount = Decimal(str(amount_usd)) * 1_000_000
        if amount.is_finite() and amount >= 0:
            return int(amount)
    except InvalidOperation:
        pass
    raise ValueError(f"{amount_usd!r} is not an amount of dollars")
