"""The engine's flow: orders in, outcomes out as they finish, everything in between at once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from wan_assets.client import RunwareClient, TaskReport
from wan_assets.errors import (
    AccessDeniedError,
    LedgerError,
    StoreError,
    TaskFailedError,
    TaskUnknownError,
    WanAssetsError,
)
from wan_assets.generation.desk import Desk
from wan_assets.generation.values import Limits, Order, Outcome
from wan_assets.generation.work import Work
from wan_assets.ledger import Claim, Ledger, Origin, Task, TaskState
from wan_assets.ledger.entries import OPEN_STATES
from wan_assets.store import StoredTask, VideoStore
from wan_assets.video import Verifier

_ORDERS_PER_LOOK = 200
_FOREIGN_LOOK_S = 1.0
_STOP_SENDING = (AccessDeniedError, LedgerError, StoreError)
"""Troubles of the whole run: what is in flight is let finish, and nothing more is sent."""


async def generate(
    orders: Iterable[Order],
    *,
    client: RunwareClient,
    store: VideoStore,
    ledger: Ledger,
    limits: Limits | None = None,
    origin: Origin | None = None,
    media: Mapping[str, Path] | None = None,
) -> AsyncGenerator[Outcome, None]:
    """Yields an outcome for each order as it finishes, in any order; no failure of one order touches another.

    What is stored is reused; what was sent before is waited for; the rest is reserved, sent, fetched, checked and
    stored. `origin` is what it is booked under; `media` holds the local files that requests refer to. When the
    iterator is closed nothing more is sent, and what is in flight is left to the next run.

    Raises `StoreError`, `LedgerError` or a `RunwareError` before anything is sent where the means are not usable.
    """
    limits = limits or Limits()
    await asyncio.to_thread(store.make_ready)
    desk = Desk(ledger, store, origin or Origin(), simulated=await client.is_simulated())
    async with desk, Verifier() as verifier:
        await desk.latest([])
        engine = _Engine(desk, Work(client, desk, verifier, limits, media or {}), limits)
        running = asyncio.create_task(engine.run(orders))
        running.add_done_callback(lambda _: engine.outcomes.put_nowait(None))
        try:
            while (outcome := await engine.outcomes.get()) is not None:
                yield outcome
            await running
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


class _Engine:
    def __init__(self, desk: Desk, work: Work, limits: Limits) -> None:
        self.outcomes: asyncio.Queue[Outcome | None] = asyncio.Queue()
        self._desk = desk
        self._work = work
        self._limits = limits
        self._in_flight = asyncio.Semaphore(limits.max_in_flight)
        self._downloads = asyncio.Semaphore(limits.max_downloads)
        self._begun = asyncio.Semaphore(limits.max_in_flight + 2 * limits.max_downloads)
        self._twins: dict[str, asyncio.Task[Outcome]] = {}
        self._stopped_by: WanAssetsError | None = None

    async def run(self, orders: Iterable[Order]) -> None:
        async with asyncio.TaskGroup() as aside:
            works = [aside.create_task(self._work.poller.run()), aside.create_task(self._desk.keep_leases())]
            async with asyncio.TaskGroup() as group:
                for some in _sliced(orders):
                    await self._begin(group, some)
            for work in works:
                work.cancel()

    async def _begin(self, group: asyncio.TaskGroup, some: list[Order]) -> None:
        prints = {id(order): order.request.fingerprint() for order in some}
        try:
            latest = await self._desk.latest(list(prints.values()))
            stored = await self._desk.all_stored(list(prints.values()), latest)
        except (LedgerError, StoreError) as error:
            self._stopped_by = self._stopped_by or error
            for order in some:
                self.outcomes.put_nowait(Outcome(order, None, error))
            return
        for order in some:
            fingerprint = prints[id(order)]
            if fingerprint in stored:
                self.outcomes.put_nowait(Outcome(order, stored[fingerprint]))
            elif fingerprint in self._twins:
                group.create_task(self._follow(order, self._twins[fingerprint]))
            else:
                await self._begun.acquire()
                row = group.create_task(self._row(order, latest.get(fingerprint)))
                self._twins[fingerprint] = row
                row.add_done_callback(partial(self._forget, fingerprint))

    def _forget(self, fingerprint: str, _: asyncio.Task[Outcome]) -> None:
        del self._twins[fingerprint]

    async def _follow(self, order: Order, twin: asyncio.Task[Outcome]) -> None:
        """Gives an order the video that a twin of it in this very run is paying for."""
        first = await asyncio.shield(twin)
        self.outcomes.put_nowait(replace(first, order=order, has_landed=False, submitted=0))

    async def _row(self, order: Order, latest: Task | None) -> Outcome:
        row = _Row(order, latest, self._begun)
        try:
            outcome = Outcome(order, await self._obtained(row), None, row.has_landed, row.submitted)
        except WanAssetsError as error:
            if isinstance(error, _STOP_SENDING):
                self._stopped_by = self._stopped_by or error
            outcome = Outcome(order, None, error, submitted=row.submitted)
        finally:
            row.let_others_begin()
        self.outcomes.put_nowait(outcome)
        return outcome

    async def _obtained(self, row: _Row) -> StoredTask:
        instead_of = ""
        for attempt in itertools.count(1):
            try:
                return await self._attempted(row, instead_of=instead_of)
            except (TaskFailedError, TaskUnknownError) as error:
                is_lost = isinstance(error, TaskUnknownError)
                if attempt >= self._limits.max_attempts or (is_lost and self._limits.on_lost == "keep"):
                    raise
                instead_of = (error.fault.task_uuid or "") if is_lost else instead_of
        raise AssertionError("the loop above returns or raises")

    async def _attempted(self, row: _Row, *, instead_of: str) -> StoredTask:
        while True:
            async with self._in_flight:
                self._refuse_if_stopped(row)
                claim = await self._desk.claim(row.order, instead_of=instead_of)
                if claim.standing == "stored" and (stored := await self._desk.stored(claim.task)):
                    return stored
                if claim.standing != "foreign":
                    report = await self._reported(row, claim)
                    await self._downloads.acquire()
                    break
            row.let_others_begin()
            await asyncio.sleep(_FOREIGN_LOOK_S)
        try:
            stored = await self._work.keep(row.order, claim.task, report)
        finally:
            self._downloads.release()
        row.has_landed = True
        return stored

    async def _reported(self, row: _Row, claim: Claim) -> TaskReport:
        task = claim.task
        if task.state in (TaskState.DELIVERED, TaskState.STORED):
            return await self._work.look_again(task)
        if task.state is TaskState.RESERVED and not (claim.standing == "resumed" and await self._work.was_sent(task)):
            self._refuse_if_stopped()
            row.submitted += 1
            await self._work.send(row.order, task)
        return await self._work.finish(task)

    def _refuse_if_stopped(self, row: _Row | None = None) -> None:
        may_be_in_flight = row is not None and row.latest is not None and row.latest.state in OPEN_STATES
        if self._stopped_by and not may_be_in_flight:
            raise self._stopped_by


@dataclass
class _Row:
    order: Order
    latest: Task | None
    begun: asyncio.Semaphore | None
    has_landed: bool = False
    submitted: int = 0

    def let_others_begin(self) -> None:
        """Gives back this row's place among those begun, once."""
        if self.begun:
            self.begun.release()
        self.begun = None


def _sliced(orders: Iterable[Order]) -> Iterator[list[Order]]:
    rest = iter(orders)
    while some := list(itertools.islice(rest, _ORDERS_PER_LOOK)):
        yield some
