"""The engine's flow: orders in, outcomes out as they finish, everything in between at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from operator import length_hint
from pathlib import Path
from typing import TypeAlias

from more_itertools import chunked

from wan_assets.client import RunwareClient
from wan_assets.engine import progress_reports, webhook_hints
from wan_assets.engine.balance_check import refuse_if_poor
from wan_assets.engine.circuit_breaker import Gate
from wan_assets.engine.in_flight import Watch
from wan_assets.engine.jobs import LOOKED_UP_AT_ONCE, Limits, Order, Outcome
from wan_assets.engine.ledger_session import Desk
from wan_assets.engine.row_runner import Attempts, Row
from wan_assets.engine.shared_limit import SharedConcurrency
from wan_assets.engine.slots import Slots
from wan_assets.engine.streaming import streamed
from wan_assets.engine.task_runner import Work
from wan_assets.engine.telemetry import traced
from wan_assets.errors import AccessDeniedError, LedgerError, PausedError, StoreError, WanAssetsError, WrongAddressError
from wan_assets.ledger import Ledger, Origin
from wan_assets.store import VideoStore
from wan_assets.video import Verifier

Tell: TypeAlias = Callable[[Outcome], None]

_STOP_SENDING = (AccessDeniedError, WrongAddressError, LedgerError, PausedError, StoreError)
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
    watch: Watch | None = None,
) -> AsyncGenerator[Outcome, None]:
    """Yields an outcome for each order as it finishes, in any order; no failure of one order touches another.

    What is stored is reused; what was sent before is waited for; the rest is reserved, sent, fetched, checked and
    stored. `origin` is what it is booked under; `media` holds the local files that requests refer to. When the
    iterator is closed nothing more is sent, and what is in flight is left to the next run. `watch` is told about once a
    second what is under way.

    Raises `StoreError`, `LedgerError` or a `RunwareError` before anything is sent where the means are not usable.
    """
    limits = limits or Limits()
    await asyncio.to_thread(store.make_ready)
    simulated = await client.is_simulated()
    ledger.refuse_if_forgotten(simulated=simulated)
    desk = Desk(ledger, store, origin or Origin(), simulated=simulated)
    async with desk, Verifier() as verifier:
        await desk.latest([])
        if limits.checks_balance:
            orders = list(orders)
            await refuse_if_poor(orders, client, desk)
        gate = Gate()
        work = Work(client, desk, verifier, limits, gate, media or {})
        poller = work.poller
        slots = Slots(
            limits.max_in_flight, client.pace, poller.refresh, unknown=poller.unknown, stall_s=limits.max_stall_s
        )
        slots.not_begun = length_hint(orders)
        gate.when_closed(slots.refuse)
        shared = SharedConcurrency(desk, slots, client.base_url)
        engine = _Engine(desk, Attempts(desk, work, limits, gate, slots), limits, gate, shared)
        beside = (
            *webhook_hints.attendants_for(client, desk, work.poller),
            *progress_reports.attendants_for(watch, desk, work, slots),
        )
        running = streamed(partial(engine.run, orders), work.poller.run, shared.run, *beside)
        with traced(origin or Origin(), simulated=desk.simulated) as trace:
            async with shared.ended(), aclosing(running) as outcomes:
                async for outcome in outcomes:
                    trace.see(outcome)
                    yield outcome
        if watch:
            watch(await progress_reports.under_way(desk, work, slots))


class _Engine:
    def __init__(self, desk: Desk, attempts: Attempts, limits: Limits, gate: Gate, shared: SharedConcurrency) -> None:
        self._desk = desk
        self._shared = shared
        self._attempts = attempts
        self._gate = gate
        self._resend_refused = limits.resend_refused
        self._begun = asyncio.Semaphore(limits.max_begun)
        self._twins: dict[str, asyncio.Task[Outcome]] = {}

    async def run(self, orders: Iterable[Order], tell: Tell) -> None:
        async with asyncio.TaskGroup() as group:
            for some in chunked(orders, LOOKED_UP_AT_ONCE):
                await self._begin(group, some, tell)

    async def _begin(self, group: asyncio.TaskGroup, some: list[Order], tell: Tell) -> None:
        prints = {id(order): order.request.fingerprint() for order in some}
        try:
            latest, stored = await self._desk.known({prints[id(order)]: order.request for order in some})
            refused = {} if self._resend_refused else await self._desk.refused(list(prints.values()))
        except (LedgerError, StoreError) as error:
            self._gate.close(error)
            for order in some:
                tell(Outcome(order, None, error))
            return
        for order in some:
            self._shared.slots.not_begun = max(0, self._shared.slots.not_begun - 1)
            fingerprint = prints[id(order)]
            if fingerprint in stored:
                tell(Outcome(order, stored[fingerprint]))
            elif fingerprint in refused and fingerprint not in latest:
                tell(Outcome(order, None, refused[fingerprint]))
            elif fingerprint in self._twins:
                group.create_task(self._follow(order, self._twins[fingerprint], tell))
            else:
                await self._shared.join()
                await self._begun.acquire()
                row = Row(order, latest.get(fingerprint), self._begun)
                self._twins[fingerprint] = twin = group.create_task(self._row(row, tell))
                twin.add_done_callback(partial(self._forget, fingerprint))

    def _forget(self, fingerprint: str, _: asyncio.Task[Outcome]) -> None:
        del self._twins[fingerprint]

    async def _follow(self, order: Order, twin: asyncio.Task[Outcome], tell: Tell) -> None:
        """Gives an order the video that a twin of it in this very run is paying for."""
        first = await asyncio.shield(twin)
        tell(replace(first, order=order, has_landed=False, submitted=0))

    async def _row(self, row: Row, tell: Tell) -> Outcome:
        try:
            stored = await self._attempts.video_of(row)
            outcome = Outcome(row.order, stored, None, row.has_landed, len(row.submitted))
        except WanAssetsError as error:
            if isinstance(error, _STOP_SENDING):
                self._gate.close(error)
            outcome = Outcome(row.order, None, error, submitted=len(row.submitted))
        finally:
            row.let_others_begin()
        tell(outcome)
        return outcome
