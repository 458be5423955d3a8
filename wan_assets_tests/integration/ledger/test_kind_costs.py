"""What tasks were estimated at when they were reserved, and what they were charged, by kind of request."""

from __future__ import annotations

import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from engine_support import PRICE, caps, request_of, rows_of
from model_support import described

from wan_assets.errors import ApiFault
from wan_assets.ledger import KindCosts, Ledger, Origin
from wan_assets.models import VideoRequest

AUTO = {"model": "wan3.0", "resolution": None, "width": 832, "height": 480, "duration": "auto"}
FAULT = ApiFault("providerError", "The provider failed.")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A new ledger with the margins of the models."""
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as book:
        yield book


def submitted(ledger: Ledger, *, simulated: bool = False, run_id: str = "r", **parameters: Any) -> str:
    request = request_of(os.urandom(8).hex(), **parameters)
    task = ledger.claim(request, Origin(run_id), "me", simulated=simulated).task
    ledger.mark_submitted(task.task_uuid, run_id)
    return task.task_uuid


def settled(ledger: Ledger, *costs: int | None, run_id: str = "r", **parameters: Any) -> None:
    for cost in costs:
        ledger.settle(submitted(ledger, run_id=run_id, **parameters), [], [cost], run_id)


def only(ledger: Ledger) -> KindCosts:
    (found,) = ledger.kind_costs()
    return found


def test_the_list_price_of_a_task_stays_as_it_was_when_the_task_was_reserved(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(ledger, 505_000, model="wan2.6", resolution="720p")
    described(tmp_path, "alibaba:wan@2.6", short_name="wan2.6")
    monkeypatch.setenv("WAN_ASSETS_MODELS", str(tmp_path))

    settled(ledger, 1_850_000, model="wan2.6", resolution="720p")

    found = only(ledger)
    assert (found.kind, found.compared) == ("wan2.6: 1 x 720p 5 s from text, silent", 2)
    assert (found.estimated_microusd, found.cost_microusd) == (500_000 + 1_850_000, 505_000 + 1_850_000)


def test_a_request_without_a_published_price_has_no_estimate_and_does_not_drift(ledger: Ledger) -> None:
    settled(ledger, 250_000, resolution="480p")

    found = only(ledger)

    assert (found.tasks, found.compared, found.estimated_microusd) == (1, 0, 0)
    assert found.deviation is None
    assert not found.has_drifted


@pytest.mark.parametrize(
    ("cost", "has_drifted"),
    [
        (PRICE, False),
        (PRICE * 102 // 100, False),
        (PRICE * 102 // 100 + 1, True),
        (PRICE * 98 // 100, False),
        (PRICE * 98 // 100 - 1, True),
        (452_450, True),
    ],
)
def test_a_kind_has_drifted_if_its_cost_is_outside_of_the_margin_of_its_list_price(
    ledger: Ledger, cost: int, has_drifted: bool
) -> None:
    settled(ledger, cost)

    found = only(ledger)

    assert found.has_drifted is has_drifted
    assert found.margin == Decimal("0.02")
    assert found.deviation == Decimal(cost - PRICE) / PRICE


def test_the_margin_of_the_budget_replaces_that_of_the_model(tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", caps()) as ledger:
        settled(ledger, PRICE + 1)

        assert only(ledger).has_drifted


def test_the_latest_twenty_tasks_of_a_kind_are_compared(tmp_path: Path) -> None:
    moments = iter(range(10**9, 10**9 + 10_000))
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", clock=lambda: float(next(moments))) as ledger:
        settled(ledger, *[PRICE * 2] * 3, *[PRICE] * 20)

        found = only(ledger)

    assert (found.tasks, found.cost_microusd) == (20, 20 * PRICE)


def test_unknown_costs_and_tasks_of_older_releases_are_counted_and_not_compared(ledger: Ledger) -> None:
    settled(ledger, None, PRICE)
    settled(ledger, PRICE, simulated=True)
    failed = submitted(ledger)
    ledger.mark_failed(failed, FAULT)
    ledger.record_cost(failed, 0)

    real, simulated = ledger.kind_costs()

    assert (real.tasks, real.unknown, real.compared, real.cost_microusd) == (2, 1, 1, PRICE)
    assert (simulated.is_simulated, simulated.tasks) == (True, 1)
    rows_of(ledger.url, "UPDATE wan_tasks SET estimated_microusd = NULL")
    assert [found.compared for found in ledger.kind_costs()] == [0, 0]


@pytest.mark.parametrize(("cost", "has_drifted"), [(100_000, False), (1_530_000, False), (97_000, True)])
def test_a_price_that_is_not_determined_may_be_anywhere_in_its_range(
    ledger: Ledger, cost: int, has_drifted: bool
) -> None:
    settled(ledger, cost, **AUTO)

    assert only(ledger).estimated_microusd == 1_500_000
    assert only(ledger).has_drifted is has_drifted


def test_a_run_compares_the_tasks_that_it_settled(ledger: Ledger) -> None:
    settled(ledger, 480_000, run_id="one")
    settled(ledger, 490_000, run_id="two")
    ledger.settle(submitted(ledger, run_id="one"), [], [500_000], "two")
    settled(ledger, 900_000, run_id="two", resolution="1080p")

    of_run = {found.kind: found for found in ledger.run_account("two").kinds}

    assert [found.tasks for found in ledger.run_account("one").kinds] == [1]
    assert {kind: (each.tasks, each.cost_microusd) for kind, each in of_run.items()} == {
        "1 x 720p 5 s from text, silent": (2, 990_000),
        "1 x 1080p 5 s from text, silent": (1, 900_000),
    }


def test_the_prices_of_a_request_have_the_median_and_the_number_of_its_costs(ledger: Ledger) -> None:
    request: VideoRequest = request_of("one more")
    before = ledger.quote(request, simulated=False)
    settled(ledger, 460_000, 470_000, 480_000, 475_000)

    after = ledger.quote(request, simulated=False)

    assert before.learned is None
    assert after.learned == (4, 470_000, 480_000)
    assert ledger.recent_prices()[0].median_microusd == 470_000
    assert ledger.quote(request, simulated=True).learned is None
