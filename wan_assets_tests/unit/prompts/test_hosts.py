"""Hosts whose clocks differ share a ledger on Postgres: its own clock counts."""

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from engine_support import caps, request_of

from wan_assets.errors import ConcurrencyLimitError
from wan_assets.ledger import Claim, Ledger, Origin

HOUR_S = 3600.0
LEASE_S = 60.0


@contextlib.contextmanager
def host(url: str, ahead_s: float = 0.0, **caps: Any) -> Iterator[Ledger]:
    """A ledger as a host sees it whose clock is ahead of ours."""
    ledger = Ledger(url, lease_s=LEASE_S, clock=lambda: time.time() + ahead_s, **caps)
    with contextlib.closing(ledger):
        yield ledger


def claimed(ledger: Ledger, name: str, prompt: str = "Kite") -> Claim:
    return ledger.claim(request_of(prompt), Origin("run", "videos"), f"{name}.1.x", simulated=True)


def aged(url: str, seconds: float) -> None:
    """Lets time go by for all leases."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE wan_tasks SET lease_until = lease_until - :s"), {"s": seconds})
    engine.dispose()


@pytest.mark.parametrize("ahead_s", [HOUR_S, -HOUR_S])
def test_a_slow_one_is_not_robbed_by_a_host_with_another_clock(postgres_url: str, ahead_s: float) -> None:
    with host(postgres_url) as here, host(postgres_url, ahead_s) as there:
        claim = claimed(here, "here")

        assert there.take(claim.task.task_uuid, "there.1.x").status == "locked"
        assert claimed(there, "there").status == "locked"


@pytest.mark.parametrize("ahead_s", [HOUR_S, -HOUR_S])
def test_a_dead_one_is_followed_within_a_minute_by_a_host_with_another_clock(postgres_url: str, ahead_s: float) -> None:
    with host(postgres_url, ahead_s) as here, host(postgres_url) as there:
        claim = claimed(here, "here")
        aged(postgres_url, LEASE_S - 5)
        early = there.take(claim.task.task_uuid, "there.1.x").status
        aged(postgres_url, 6)

        assert (early, there.take(claim.task.task_uuid, "there.1.x").status) == ("locked", "resumed")


def test_a_renewal_from_a_host_that_lags_holds(postgres_url: str) -> None:
    with host(postgres_url, -HOUR_S) as here, host(postgres_url) as there:
        claim = claimed(here, "here")
        aged(postgres_url, LEASE_S + 1)
        here.renew("here.1.x")

        assert there.take(claim.task.task_uuid, "there.1.x").status == "locked"


def test_the_day_of_a_budget_is_the_same_on_all_hosts(postgres_url: str) -> None:
    cap = caps(per_day_microusd=500_000)
    day_s = 24 * HOUR_S
    with host(postgres_url, budgets=cap) as here, host(postgres_url, day_s, budgets=cap) as there:
        claimed(here, "here")

        assert (
            there.room_microusd(Origin("run"), simulated=True)
            == here.room_microusd(Origin("run"), simulated=True)
            == 27_000
        )


def test_tasks_in_flight_are_counted_by_the_leases_of_all_hosts(postgres_url: str) -> None:
    with host(postgres_url, max_in_flight=1) as here, host(postgres_url, HOUR_S, max_in_flight=1) as there:
        claimed(here, "here")
        with pytest.raises(ConcurrencyLimitError):
            claimed(there, "there", "Boat")
        aged(postgres_url, LEASE_S + 1)

        assert claimed(there, "there", "Boat").status == "new"


def test_moments_are_the_database_s_and_ages_are_told_by_it(postgres_url: str) -> None:
    with host(postgres_url, HOUR_S) as here:
        task = claimed(here, "here").task

        assert datetime.now(UTC) - datetime.fromisoformat(task.created_at) < timedelta(minutes=1)
        assert abs(here.ahead_s()) < 60


def test_a_file_has_the_clock_of_its_host(tmp_path: Path) -> None:
    with host(f"sqlite:///{tmp_path / 'ledger.db'}", HOUR_S) as here:
        assert here.ahead_s() == pytest.approx(HOUR_S, abs=60)
