"""What may have been paid and is not in the store yet: looked for, settled and fetched, and nothing sent for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from wan_assets.client import RunwareClient, TaskReport
from wan_assets.engine import progress_reports, webhook_hints
from wan_assets.engine.circuit_breaker import Gate
from wan_assets.engine.in_flight import Watch
from wan_assets.engine.jobs import Limits, Order
from wan_assets.engine.ledger_session import Desk
from wan_assets.engine.streaming import streamed
from wan_assets.engine.task_runner import Work
from wan_assets.errors import NotSentError, TaskElsewhereError, WanAssetsError
from wan_assets.ledger import Ledger, Origin, Task, TaskState
from wan_assets.models import VideoRequest
from wan_assets.store import StoredTask, VideoStore
from wan_assets.video import Verifier


@dataclass(frozen=True)
class Recovered:
    """What became of one open task: `stored` tells its videos, or `error` why there are none yet."""

    task: Task
    stored: StoredTask | None = None
    error: WanAssetsError | None = None


async def recover(
    *,
    client: RunwareClient,
    store: VideoStore,
    ledger: Ledger,
    limits: Limits | None = None,
    releases_unsent: bool = False,
    origin: Origin | None = None,
    watch: Watch | None = None,
) -> AsyncGenerator[Recovered, None]:
    """Yields what becomes of every open task in the ledger, as it ends, in any order.

    A task that has finished is settled and its videos stored; one that runs is waited for. One that never reached the
    API keeps its reservation for the next run, or gives it back with `releases_unsent`.
    What it settles is reported by the run of `origin`. `watch` is told what is under way, as `generate` does.

    Raises `StoreError`, `LedgerError` or a `RunwareError` where the means are not usable.
    """
    limits = limits or Limits()
    await asyncio.to_thread(store.make_ready)
    desk = Desk(ledger, store, origin or Origin(), simulated=await client.is_simulated())
    async with desk, Verifier() as verifier:
        work = Work(client, desk, verifier, limits, Gate(), {})
        recovery = _Recovery(desk, work, limits, releases_unsent=releases_unsent)
        beside = (
            *webhook_hints.attendants_for(client, desk, work.poller),
            *progress_reports.attendants_for(watch, desk, work),
        )
        work_on = partial(recovery.run, await desk.open_tasks())
        running = streamed(work_on, work.poller.run, *beside)
        async with aclosing(running) as found:
            async for recovered in found:
                yield recovered
        if watch:
            watch(await progress_reports.under_way(desk, work))


class _Recovery:
    def __init__(self, desk: Desk, work: Work, limits: Limits, *, releases_unsent: bool) -> None:
        self._desk = desk
        self._work = work
        self._releases_unsent = releases_unsent
        self._waiting = asyncio.Semaphore(limits.max_in_flight)

    async def run(self, tasks: Sequence[Task], tell: Callable[[Recovered], None]) -> None:
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(self._tell(task, tell))

    async def _tell(self, task: Task, tell: Callable[[Recovered], None]) -> None:
        try:
            tell(Recovered(task, await self._stored(task)))
        except WanAssetsError as error:
            tell(Recovered(task, None, error))

    async def _stored(self, task: Task) -> StoredTask | None:
        async with self._waiting:
            claim = await self._desk.take(task.task_uuid)
            if claim.standing == "foreign":
                raise TaskElsewhereError(task.task_uuid)
            if claim.standing == "stored":
                return await self._desk.stored(claim.task)
            report = await self._reported(claim.task)
        order = Order(VideoRequest.from_record(task.request), task.origin.partition)
        stored, _ = await self._work.keep(order, claim.task, report)
        return stored

    async def _reported(self, task: Task) -> TaskReport:
        if task.state in (TaskState.DELIVERED, TaskState.STORED):
            return await self._work.look_again(task)
        if task.state is TaskState.RESERVED and not await self._work.was_sent(task):
            if self._work.is_too_old(task):
                await self._work.lose(task)
            unsent = NotSentError(task.task_uuid)
            if self._releases_unsent:
                await self._work.withdraw(task, unsent)
            raise unsent
        return await self._work.finish(task)
