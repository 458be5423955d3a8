"""Accidents that once cost money: old reservations, refusals, implausible costs, and prices above the list."""

import asyncio
from collections import Counter
from contextlib import closing
from pathlib import Path

from engine_support import PRICE, Studio, errors_of, orders_of, studio, uuids_of

from wan_assets.generation import Limits, Order, Recovered, recover
from wan_assets.ledger import Origin

HOUR_S = 3600.0


def reserve(made: Studio, orders: list[Order], age_s: float = 0.0) -> None:
    """Leaves tasks as a run does that is killed right after it has posted them, and before that is booked."""
    with closing(made.ledger()) as ledger:
        for order in orders:
            origin = Origin("killed", partition=order.partition)
            ledger.claim(order.request, origin, "killed.1.x", simulated=True)
        ledger.let_go("killed.1.x")
    shift = f"strftime('%Y-%m-%dT%H:%M:%f+00:00', created_at, '-{age_s} seconds')"
    made.rows(f"UPDATE wan_tasks SET created_at = {shift}")


def recovered(made: Studio, **settings: object) -> list[Recovered]:
    async def read() -> list[Recovered]:
        with closing(made.ledger()) as ledger:
            async with made.client() as client:
                found = recover(client=client, store=made.store, ledger=ledger, **settings)
                return [one async for one in found]

    return asyncio.run(read())


def test_an_old_reservation_that_the_api_does_not_know_is_lost_and_not_submitted_again(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        reserve(made, orders_of(2), age_s=HOUR_S + 60)
        outcomes = made.run(orders_of(3))

        assert made.books.submissions() == 1
    assert errors_of(outcomes) == ["TaskUnknownError", "TaskUnknownError", ""]
    assert "was reserved 3,66" in str(outcomes[0].error)
    assert Counter(made.states()) == {"lost": 2, "stored": 1}
    assert made.ledger().totals().simulated.reserved_microusd == 2 * PRICE


def test_a_young_reservation_is_submitted_again_under_its_uuid(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        reserve(made, orders_of(1), age_s=HOUR_S - 60)
        outcomes = made.run(orders_of(1))

        assert [charge.task_uuid for charge in made.books.charges()] == uuids_of(orders_of(1))
    assert errors_of(outcomes) == [""]


def test_the_age_from_which_a_task_is_lost_can_be_set(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        reserve(made, orders_of(1), age_s=10.0)
        outcomes = made.run(orders_of(1), limits=Limits(max_resubmit_age_s=5.0))

        assert made.books.submissions() == 0
    assert errors_of(outcomes) == ["TaskUnknownError"]


def test_an_old_reservation_is_bought_anew_where_lost_tasks_are(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        reserve(made, orders_of(1), age_s=2 * HOUR_S)
        outcomes = made.run(orders_of(1), limits=Limits(on_lost="rebuy"))

        assert made.books.submissions() == 1
    assert errors_of(outcomes) == [""]
    assert Counter(made.states()) == {"lost": 1, "stored": 1}


def test_an_old_lost_task_does_not_hold_up_the_next_run_until_a_new_deadline(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        reserve(made, orders_of(1), age_s=2 * HOUR_S)
        first, second = (made.run(orders_of(1), limits=Limits(max_wait_s=HOUR_S)) for _ in range(2))

        assert made.books.submissions() == 0
    assert errors_of(first) == errors_of(second) == ["TaskUnknownError"]


def test_an_old_reservation_that_the_api_knows_is_stored(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        reserve(made, orders_of(1))
        task = orders_of(1)[0].request.to_task(uuids_of(orders_of(1))[0])

        async def post() -> None:
            async with made.client() as client:
                await client.submit(task)

        asyncio.run(post())
        reserve(made, [], age_s=2 * HOUR_S)
        outcomes = made.run(orders_of(1))

        assert made.paid == made.books.submissions() == 1
    assert errors_of(outcomes) == [""]


def test_recovery_does_not_give_back_the_money_of_an_old_reservation(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        reserve(made, orders_of(1), age_s=2 * HOUR_S)
        (found,) = recovered(made, releases_unsent=True)

    assert type(found.error).__name__ == "TaskUnknownError"
    assert made.states() == ["lost"]
    assert made.ledger().totals().simulated.reserved_microusd == PRICE


def test_refused_content_is_bought_once_however_many_runs_ask_for_it(tmp_path: Path) -> None:
    with studio(tmp_path, faults={"verdict_safety": 1.0}) as made:
        runs = [made.run(orders_of(3)) for _ in range(3)]
        assert made.books.submissions() == 3
        again = made.run(orders_of(3), limits=Limits(resend_refused=True))

        assert made.books.submissions() == 6
    assert {name for run in (*runs, again) for name in errors_of(run)} == {"ContentBlockedError"}
    assert str(runs[2][0].error) == str(runs[0][0].error)
    assert runs[2][0].submitted == 0
