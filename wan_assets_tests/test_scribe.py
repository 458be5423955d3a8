"""What waits to be booked is booked together, and what is refused touches nothing else."""

import threading
from collections.abc import Iterator
from concurrent.futures import wait
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from engine_support import caps, request_of

from wan_assets.engine.ledger_writer import Scribe
from wan_assets.errors import BudgetExceededError
from wan_assets.ledger import Claim, Ledger, Origin

ROWS = 30


class Desk:
    """A scribe that is held up until all has been asked of it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.scribe = Scribe(ledger)
        self.commits = 0
        self._go = threading.Event()
        self.scribe.book(self._go.wait)
        sa.event.listen(ledger._engine, "commit", self._count)

    def claim(self, number: int) -> Any:
        asked = partial(self.ledger.claim, simulated=True)
        return self.scribe.book(partial(asked, request_of(f"Kite {number}"), Origin("run", "videos"), "host:1:x"))

    def let_go(self) -> None:
        self.commits = 0
        self._go.set()

    def _count(self, _: sa.Connection) -> None:
        self.commits += 1


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    book = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", caps(total_microusd=10 * 473_000))
    yield book
    book.close()


@pytest.fixture
def desk(ledger: Ledger) -> Iterator[Desk]:
    made = Desk(ledger)
    yield made
    made.let_go()
    made.scribe.close()


def test_what_waits_is_one_transaction(desk: Desk) -> None:
    claims = [desk.claim(number) for number in range(5)]
    desk.let_go()
    wait(claims, timeout=20)

    assert {claim.result().standing for claim in claims} == {"new"}
    assert desk.commits == 1


def test_what_is_refused_is_refused_alone(desk: Desk) -> None:
    claims = [desk.claim(number) for number in range(ROWS)]
    desk.let_go()
    wait(claims, timeout=20)

    refused = [claim.exception() for claim in claims if claim.exception()]
    assert len(refused) == ROWS - len(desk.ledger.open_tasks()) > 0
    assert all(isinstance(error, BudgetExceededError) for error in refused)
    committed = sum(task.committed_microusd for task in desk.ledger.open_tasks())
    assert 0 < committed <= 10 * 473_000
    assert desk.ledger.room_microusd("run", simulated=True) == 10 * 473_000 - committed


def test_it_is_committed_before_it_is_done(desk: Desk) -> None:
    seen: list[bool] = []

    def look(done: Any) -> None:
        claim: Claim = done.result()
        other = Ledger(desk.ledger.url)
        seen.append(other.task(claim.task.task_uuid) is not None)
        other.close()

    claims = [desk.claim(number) for number in range(5)]
    for claim in claims:
        claim.add_done_callback(look)
    desk.let_go()
    wait(claims, timeout=20)
    desk.scribe.close()

    assert seen == [True] * 5


def test_a_commit_that_fails_books_nothing_and_says_so(desk: Desk) -> None:
    def refuse(_: sa.Connection) -> None:
        raise sa.exc.OperationalError("COMMIT", {}, Exception("the disk is full"))

    claims = [desk.claim(number) for number in range(3)]
    sa.event.listen(desk.ledger._engine, "commit", refuse)
    desk.let_go()
    wait(claims, timeout=20)
    sa.event.remove(desk.ledger._engine, "commit", refuse)

    assert all("the disk is full" in str(claim.exception()) for claim in claims)
    assert desk.ledger.open_tasks() == []


def test_an_error_of_our_own_does_not_stop_it(desk: Desk) -> None:
    broken = desk.scribe.book(lambda: next(iter(())))
    claim = desk.claim(1)
    desk.let_go()
    wait([broken, claim], timeout=20)

    assert isinstance(broken.exception(), StopIteration)
    assert claim.result().standing == "new"
