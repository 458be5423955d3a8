"""A missing price: a request has a price of its own, is refused, or is reserved at the worst case of its model."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from wan_assets.models import (
    ModelDescription,
    Price,
    VideoRequest,
    catalog,
    has_list_price,
    is_length_known,
    is_rate_known,
    list_price_microusd,
    nearest_microusd,
    quote_of,
    reservation_microusd,
    worst_price_microusd,
)
from wan_assets.models.quotes import LearnedPrice

MODELS = [*catalog().models.values()]
PICTURE = "https://example.com/hill.png"
CLIP = "https://example.com/hill.mp4"
INPUTS = (
    {},
    {"frameImages": [PICTURE]},
    {"frameImages": [PICTURE, PICTURE]},
    {"referenceVideos": [CLIP]},
    {"referenceVideos": [CLIP, CLIP]},
    {"referenceImages": [PICTURE]},
    {"frameImages": [PICTURE], "referenceVideos": [CLIP]},
)

OWN = """\
id = "a:own@1"
name = "Own"
page = ""
status = "live"
summary = "A model."
settings_path = "settings"
sizes_source = "documented"

[parameters]
positivePrompt = { max_characters = 100, source = "documented" }
width = { type = "size", source = "documented" }
height = { type = "size", source = "documented" }
resolution = { values = ["480p", "720p", "1080p"], source = "documented" }
duration = { values = [5, 10], default = 5, source = "documented" }
"inputs.frameImages" = { max_items = 1, frames = ["first", 0], type = "media", source = "documented" }
"settings.audio" = { type = "boolean", default = true, source = "documented" }

[sizes]
480p = ["854x480"]
720p = ["1280x720"]

[price]
source = "documented"
unpublished = ["480p"]
any_resolution_from_image = true
usd_per_s = { 720p = "0.10", 1080p = "0.30" }
usd_per_s_silent = { 720p = "0.05", 1080p = "0.15" }
"""


@st.composite
def requested(draw: st.DrawFn) -> dict[str, Any]:
    """Parameters that a price may depend on, of any model: valid ones and others."""
    model = draw(st.sampled_from(MODELS))
    sizes: list[dict[str, Any]] = [{}]
    sizes += [{"width": width, "height": height} for width, height in model.resolution_of_size]
    limits = model.limits("resolution")
    sizes += [{"resolution": each} for each in (limits.values if limits else ())]
    sound = draw(st.sampled_from([{}, {"settings": {"audio": True}}, {"settings": {"audio": False}}]))
    seconds = draw(st.sampled_from([{}, {"duration": "auto"}, *({"duration": each} for each in range(1, 31))]))
    inputs = draw(st.sampled_from(INPUTS))
    given = {"model": model.id, "positivePrompt": "A red kite", **draw(st.sampled_from(sizes)), **sound, **seconds}
    return {**given, "inputs": inputs, "numberResults": draw(st.integers(1, 4))}


def valid(parameters: dict[str, Any]) -> VideoRequest | None:
    try:
        return VideoRequest.model_validate(parameters)
    except ValidationError:
        return None


def charged_s(price: Price, request: VideoRequest) -> int:
    """The seconds of output that a request is charged for: those of all results, once more for some inputs."""
    references = len(request.inputs.reference_videos or ()) if request.inputs else 0
    times = 1 + (references if price.repeats_for == "inputs.referenceVideos" else 0)
    return request.longest_s * times * request.number_results


def worst_of(price: Price, request: VideoRequest) -> int:
    """The highest rate of a model for the output of a request, in µ$: with and without sound, if a price is missing."""
    sound = price.usd_per_s_silent if price.usd_per_s_silent and not request.has_audio else price.usd_per_s
    rates = sound.values() if request.tier is None else [*price.usd_per_s.values(), *price.usd_per_s_silent.values()]
    return nearest_microusd(max(rates)) * charged_s(price, request)


@given(requested())
def test_a_valid_request_has_a_price_of_its_own_or_is_reserved_at_the_worst_case(parameters: dict[str, Any]) -> None:
    request = valid(parameters)
    if request is None:
        return

    price = request.description.price

    assert price, "a model without a price takes no requests"
    quote = quote_of(request)
    table = price.usd_per_s if request.has_audio else price.usd_per_s_silent or price.usd_per_s
    if request.tier in table:
        assert quote.list_microusd == nearest_microusd(table[request.tier]) * charged_s(price, request)
    else:
        assert request.tier is None or quote.list_microusd is None
        assert quote.worst_microusd >= worst_of(price, request)
    assert quote.worst_microusd == reservation_microusd(request) > (quote.list_microusd or 0)


@given(requested(), st.integers(1, 10**8), st.integers(1, 40))
def test_recent_costs_lower_a_reservation_only_if_length_and_rate_are_known(
    parameters: dict[str, Any], cost: int, tasks: int
) -> None:
    request = valid(parameters)
    if request is None:
        return

    quote = quote_of(request, learned=LearnedPrice(tasks, cost, cost))

    is_lowered = quote.worst_microusd < reservation_microusd(request)
    assert not is_lowered or (tasks >= 5 and is_length_known(request) and is_rate_known(request))
    assert quote.worst_microusd in (cost, reservation_microusd(request))
    assert quote.expected_microusd == cost


@pytest.mark.parametrize("model", [each for each in MODELS if each.price is None], ids=lambda each: each.id)
def test_a_model_without_prices_takes_no_request(model: ModelDescription) -> None:
    with pytest.raises(ValidationError, match="no price in its description"):
        VideoRequest.model_validate({"model": model.id, "positivePrompt": "A red kite", "resolution": "720p"})


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes requests of a model that a user has described."""
    (tmp_path / "own.toml").write_text(OWN)
    monkeypatch.setenv("WAN_ASSETS_MODELS", str(tmp_path))

    def request(**parameters: Any) -> VideoRequest:
        return VideoRequest.model_validate({"model": "a:own@1", "positivePrompt": "A red kite", **parameters})

    return request


@pytest.mark.parametrize(
    ("parameters", "list_usd", "worst_usd"),
    [
        ({"resolution": "720p"}, "0.50", "0.50"),
        ({"resolution": "480p"}, None, "1.50"),
        ({"width": 854, "height": 480}, None, "1.50"),
        ({"resolution": "480p", "settings": {"audio": False}}, None, "1.50"),
        ({"resolution": "480p", "duration": 10, "numberResults": 2}, None, "6.00"),
        ({"width": 999, "height": 999}, "1.50", "1.50"),
        ({}, "1.50", "1.50"),
    ],
)
def test_a_resolution_without_a_price_never_has_that_of_another(
    own: Any, parameters: dict[str, Any], list_usd: str | None, worst_usd: str
) -> None:
    found = own(**parameters)

    quote = quote_of(found, Decimal(0))

    assert has_list_price(found) is (list_usd is not None)
    assert quote.list_microusd == (None if list_usd is None else Decimal(list_usd) * 1_000_000)
    assert quote.worst_microusd == worst_price_microusd(found) == Decimal(worst_usd) * 1_000_000
    assert list_price_microusd(found) <= quote.worst_microusd


@pytest.mark.parametrize("size", [{}, {"width": 999, "height": 999}])
def test_costs_of_a_size_without_a_price_do_not_lower_the_reservation_of_another(own: Any, size: Any) -> None:
    cheap = LearnedPrice(20, 1, 1)

    assert quote_of(own(**size), learned=cheap).worst_microusd == reservation_microusd(own(**size))
    assert is_rate_known(own(inputs={"frameImages": [PICTURE]}))


def test_a_quote_has_the_margin_and_the_median_of_what_its_kind_has_cost(own: Any) -> None:
    request = own(resolution="720p")

    unknown, few = quote_of(request), quote_of(request, learned=LearnedPrice(4, 480_000, 490_000))
    enough, dear = (quote_of(request, learned=LearnedPrice(5, 480_000, highest)) for highest in (490_000, 600_000))

    assert (unknown.expected_microusd, unknown.worst_microusd, unknown.margin_microusd) == (500_000, 510_000, 10_000)
    assert (few.expected_microusd, few.worst_microusd, few.margin_microusd) == (480_000, 510_000, 10_000)
    assert (enough.expected_microusd, enough.worst_microusd, enough.margin_microusd) == (480_000, 490_000, 0)
    assert (dear.worst_microusd, dear.margin_microusd) == (600_000, 0)
    assert quote_of(own(resolution="480p")).expected_microusd == 1_530_000
    assert quote_of(request, Decimal("0.1")).margin_microusd == 50_000
