"""Prices, reservations and costs: exact to the micro-dollar."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wan_assets.models.catalog import MODEL, description_of
from wan_assets.models.pricing import (
    dollars,
    list_price_microusd,
    microusd,
    microusd_of,
    nearest_microusd,
    request_kind,
    usd,
    worst_price_microusd,
)
from wan_assets.models.request import VideoRequest

SIZES = description_of(MODEL).resolution_of_size

PICTURE = {"frameImages": ["https://example.com/hill.png"]}


def request(**parameters: Any) -> VideoRequest:
    return VideoRequest.model_validate({"positive_prompt": "A red kite", **parameters})


@pytest.mark.parametrize(
    ("parameters", "price_usd"),
    [
        ({"resolution": "720p"}, "0.473"),
        ({"resolution": "1080p"}, "0.738"),
        ({"resolution": "480p"}, "0.738"),
        ({"resolution": "720p", "duration": 10}, "0.946"),
        ({"resolution": "1080p", "duration": 10, "numberResults": 4}, "5.904"),
        ({"width": 1088, "height": 832}, "0.473"),
        ({"width": 1440, "height": 1440}, "0.738"),
    ],
)
def test_the_price_is_that_of_the_models_page(parameters: dict[str, Any], price_usd: str) -> None:
    found = request(**parameters)

    assert usd(list_price_microusd(found)) == Decimal(price_usd)
    assert usd(worst_price_microusd(found)) == Decimal(price_usd)


@pytest.mark.parametrize("size", [{"resolution": "480p"}, {"resolution": "720p"}, {"width": 1280, "height": 720}, {}])
def test_what_starts_from_a_picture_is_reserved_at_the_1080p_rate(size: dict[str, Any]) -> None:
    found = request(**size, inputs=PICTURE)

    assert usd(worst_price_microusd(found)) == Decimal("0.738")


def test_a_picture_that_decides_the_size_is_priced_at_the_1080p_rate() -> None:
    assert usd(list_price_microusd(request(inputs=PICTURE))) == Decimal("0.738")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("inputs", [None, PICTURE])
def test_no_reservation_is_less_than_the_price(size: tuple[int, int], inputs: Any) -> None:
    found = request(width=size[0], height=size[1], inputs=inputs)

    assert worst_price_microusd(found) >= list_price_microusd(found)


def test_the_pages_own_image_to_video_charge_fits_its_reservation() -> None:
    found = request(width=1280, height=720, duration=10, inputs=PICTURE)

    assert worst_price_microusd(found) >= microusd("1.3573")


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        (0.473, 473_000),
        (1.3573, 1_357_300),
        (Decimal("0.0000005"), 1),
        (0.1 + 0.2, 300_000),
        (3, 3_000_000),
        (1e-6, 1),
        (1e-9, None),
        (0, None),
        (0.0, None),
        (-0.473, None),
        (float("nan"), None),
        (float("inf"), None),
        (float("-inf"), None),
        (Decimal("sNaN"), None),
        ("0.473", None),
        ("", None),
        (None, None),
        (True, None),
        (False, None),
        ([0.473], None),
        ({"amount": 1}, None),
        (10**40, None),
        pytest.param(10**5000, None, id="huge"),
        (1e308, None),
        (100, 100_000_000),
        (100.000001, None),
        (9e12, None),
        (1e13, None),
    ],
)
def test_a_cost_is_taken_only_where_it_is_a_price(cost: Any, expected: int | None) -> None:
    """Case 55."""
    assert microusd_of(cost) == expected


@given(st.integers(min_value=1, max_value=10**8))
def test_whole_micro_dollars_survive_the_way_through_json_exactly(amount: int) -> None:
    assert microusd_of(amount / 1_000_000) == amount
    assert microusd(usd(amount)) == amount
    assert microusd(str(usd(amount))) == amount


@given(st.lists(st.integers(min_value=0, max_value=10**12), max_size=50))
def test_a_sum_of_dollars_is_the_dollars_of_the_sum(amounts: list[int]) -> None:
    assert sum(map(usd, amounts), Decimal()) == usd(sum(amounts))


@pytest.mark.parametrize(("said", "amount"), [(25, 25_000_000), (0.1, 100_000), ("0", 0), ("1e-7", 0)])
def test_an_amount_of_dollars_is_never_rounded_up(said: Any, amount: int) -> None:
    assert microusd(said) == amount


@pytest.mark.parametrize("said", ["much", "", float("nan"), "inf", -1, "-0.01"])
def test_what_is_no_amount_of_dollars_is_refused(said: Any) -> None:
    with pytest.raises(ValueError, match="is not an amount of dollars"):
        microusd(said)


@pytest.mark.parametrize(
    ("amount_microusd", "shown"),
    [
        (None, "unknown"),
        (0, "$0.0000"),
        (473_000, "$0.4730"),
        (-473_000, "-$0.4730"),
        (1_234_567_890, "$1,234.5679"),
        (100, "$0.0001"),
    ],
)
def test_an_amount_is_shown_with_four_digits(amount_microusd: int | None, shown: str) -> None:
    assert dollars(amount_microusd) == shown


@pytest.mark.parametrize(
    ("amount_usd", "rounded"), [("0.0000025", 3), ("0.0000024", 2), ("0.0000005", 1), ("1.5", 1_500_000)]
)
def test_half_a_microdollar_is_rounded_up(amount_usd: str, rounded: int) -> None:
    assert nearest_microusd(Decimal(amount_usd)) == rounded


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [
        ({"inputs": PICTURE}, "1 x any size 5 s from image"),
        ({"resolution": "720p", "duration": 10, "numberResults": 2}, "2 x 720p 10 s from text"),
        ({"width": 1920, "height": 1080}, "1 x 1080p 5 s from text"),
        ({"width": 1280, "height": 720, "inputs": PICTURE}, "1 x 1280x720 5 s from image"),
        ({"resolution": "480p", "inputs": PICTURE}, "1 x 480p 5 s from image"),
        ({"resolution": "720p", "providerSettings": {"alibaba": {"audio": False}}}, "1 x 720p 5 s from text, silent"),
    ],
)
def test_a_kind_names_all_that_a_price_may_depend_on(parameters: dict[str, Any], kind: str) -> None:
    assert request_kind(request(**parameters)) == kind
