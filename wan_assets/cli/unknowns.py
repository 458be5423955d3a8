"""What is not known about the cost of a run beforehand, in sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from wan_assets.cli.display import counted
from wan_assets.cli.estimates import LedgerState
from wan_assets.models import (
    VideoRequest,
    charged_inputs,
    description_of,
    has_list_price,
    is_price_determined,
    is_rate_known,
)
from wan_assets.prompts import PriceList, QuotedKind

_UNCERTAIN = {
    "third_party": "come from unconfirmed code of others",
    "assumed": "are assumed",
    "unknown": "have no source",
}


def unknowns_of(prices: PriceList, state: LedgerState, *, named: int | None = None) -> list[str]:
    """Returns a sentence for each reason why the new requests of a table may cost more or less than expected.

    A sentence names all kinds of requests, or at most `named`.
    """
    new = [found for found in prices.by_request if found.new]
    return [*_unknown_costs(new, state, named), *_unknown_prices(new, named), *_of_models(new)]


def _unknown_costs(new: Sequence[QuotedKind], state: LedgerState, named: int | None) -> Iterator[str]:
    if state.is_simulated and any(found.quote.learned for found in new):
        yield "The learned prices are those of the simulator; they say nothing about real costs."
    if without := [found for found in new if not found.quote.learned]:
        yield f"No cost is known yet: {_names(without, named)}."
    if state.unknown_costs:
        of_tasks = counted(state.unknown_costs, "earlier task")
        kept, them = ("its reservation is", "it") if state.unknown_costs == 1 else ("their reservations are", "them")
        yield f"The cost of {of_tasks} is unknown, and {kept} kept; `wan-assets ledger` lists {them}."


def _unknown_prices(new: Sequence[QuotedKind], named: int | None) -> Iterator[str]:
    for reason, applies in _REASONS.items():
        if found := [each for each in new if applies(each.example)]:
            yield f"{reason}: {_names(found, named)}."


def _is_charged_by_image(request: VideoRequest) -> bool:
    """Whether an image may be charged at another rate than that of the requested size."""
    is_given = request.tier is not None and request.image is not None and has_list_price(request)
    return is_given and request.duration != "auto" and not charged_inputs(request) and not is_price_determined(request)


_REASONS: Mapping[str, Callable[[VideoRequest], bool]] = {
    "No price is published, and the highest price of the model is reserved": lambda each: not has_list_price(each),
    "The model chooses the length, and the price of the longest video is reserved": lambda each: (
        each.duration == "auto"
    ),
    "The seconds of input videos are charged too, and their number is not known": lambda each: charged_inputs(each) > 0,
    "The input decides the resolution, and the highest price of the model is reserved": lambda each: (
        not is_rate_known(each)
    ),
    "A video from an image may be charged at the highest price of the model, which is reserved": _is_charged_by_image,
}


def _of_models(new: Sequence[QuotedKind]) -> Iterator[str]:
    for model in dict.fromkeys(found.example.model for found in new):
        description = description_of(model)
        if price := description.price:
            if price.source in _UNCERTAIN:
                yield f"The prices of {description.short_name} {_UNCERTAIN[price.source]}."
            if price.note:
                yield f"Prices of {description.short_name}: {price.note}"


def _names(found: Sequence[QuotedKind], named: int | None) -> str:
    names = [each.quote.kind for each in found]
    if named is None or len(names) <= named + 1:
        return "; ".join(names)
    return f"{'; '.join(names[:named])}; and {len(names) - named:,} more kinds"
