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

from wan_assets.engine.ledger_writer import LedgerWriter
from wan_assets.errors import BudgetExceededError
from wan_assets.ledger import Claim, Ledger, Origin

ROWS = 30


class LedgerSession:
    """A scribe that is held up until all has been asked of it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.ledger_writer = LedgerWriter(ledger)
        self.commits = 0
        self._go = threading.Event()
        self.ledger_writer.submit(self._go.wait)
        sa.event.listen(ledger._engine, "commit", self._count)

    def claim(self, number: int) -> Any:
        asked = partial(self.ledger.claim, simulated=True)
        return self.ledger_writer.submit(
            partial(asked, request_of(f"Kite {number}"), Origin("run", "videos"), "host:1:x")
        )

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
def session(ledger: Ledger) -> Iterator[LedgerSession]:
    made = LedgerSession(ledger)
    yield made
    made.let_go()
    made.ledger_writer.close()


def test_what_waits_is_one_transaction(session: LedgerSession) -> None:
    claims = [session.claim(number) for number in range(5)]
    session.let_go()
    wait(claims, timeout=20)

    assert {claim.result().status for claim in claims} == {"new"}
    assert session.commits == 1


def test_what_is_refused_is_refused_alone(session: LedgerSession) -> None:
    claims = [session.claim(number) for number in range(ROWS)]
    session.let_go()
    wait(claims, timeout=20)

    refused = [claim.exception() for claim in claims if claim.exception()]
    assert len(refused) == ROWS - len(session.ledger.open_tasks()) > 0
    assert all(isinstance(error, BudgetExceededError) for error in refused)
    committed = sum(task.committed_microusd for task in session.ledger.open_tasks())
    assert 0 < committed <= 10 * 473_000
    assert session.ledger.room_microusd(Origin("run"), simulated=True) == 10 * 473_000 - committed


def test_it_is_committed_before_it_is_done(session: LedgerSession) -> None:
    seen: list[bool] = []

    def look(done: Any) -> None:
        claim: Claim = done.result()
        other = Ledger(session.ledger.url)
        seen.append(other.task(claim.task.task_uuid) is not None)
        other.close()

    claims = [session.claim(number) for number in range(5)]
    for claim in claims:
        claim.add_done_callback(look)
    session.let_go()
    wait(claims, timeout=20)
    session.ledger_writer.close()

    assert seen == [True] * 5


def test_a_commit_that_fails_books_nothing_and_says_so(session: LedgerSession) -> None:
    def refuse(_: sa.Connection) -> None:
        raise sa.exc.OperationalError("COMMIT", {}, Exception("the disk is full"))

    claims = [session.claim(number) for number in range(3)]
    sa.event.listen(session.ledger._engine, "commit", refuse)
    session.let_go()
    wait(claims, timeout=20)
    sa.event.remove(session.ledger._engine, "commit", refuse)

    assert all("the disk is full" in str(claim.exception()) for claim in claims)
    assert session.ledger.open_tasks() == []


def test_an_error_of_our_own_does_not_stop_it(session: LedgerSession) -> None:
    broken = session.ledger_writer.submit(lambda: next(iter(())))
    claim = session.claim(1)
    session.let_go()
    wait([broken, claim], timeout=20)

    assert isinstance(broken.exception(), StopIteration)
    assert claim.result().status == "new"
