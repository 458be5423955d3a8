"""What may have been paid and is not in the store yet: looked for, settled and fetched, and nothing sent for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from wan_assets.client import RunwareClient, TaskReport
from wan_assets.engine import progress_reports, webhook_hints
from wan_assets.engine.circuit_breaker import CircuitBreaker
from wan_assets.engine.in_flight import OnProgress
from wan_assets.engine.jobs import Limits, VideoJob
from wan_assets.engine.ledger_session import LedgerSession
from wan_assets.engine.streaming import stream_results
from wan_assets.engine.task_runner import TaskRunner
from wan_assets.errors import NotSubmittedError, TaskLockedError, WanAssetsError
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
    on_progress: OnProgress | None = None,
) -> AsyncGenerator[Recovered, None]:
    """Yields what becomes of every open task in the ledger, as it ends, in any order.

    A task that has finished is settled and its videos stored; one that runs is waited for. One that never reached the
    API keeps its reservation for the next run, or gives it back with `releases_unsent`.
    What it settles is reported by the run of `origin`. `on_progress` is told what is under way, as `generate` does.

    Raises `StoreError`, `LedgerError` or a `RunwareError` where the means are not usable.
    """
    limits = limits or Limits()
    await asyncio.to_thread(store.make_ready)
    session = LedgerSession(ledger, store, origin or Origin(), simulated=await client.is_simulated())
    async with session, Verifier() as verifier:
        work = TaskRunner(client, session, verifier, limits, CircuitBreaker(), {})
        recovery = _Recovery(session, work, limits, releases_unsent=releases_unsent)
        beside = (
            *webhook_hints.background_tasks_for(client, session, work.poller),
            *progress_reports.background_tasks_for(on_progress, session, work),
        )
        work_on = partial(recovery.run, await session.open_tasks())
        running = stream_results(work_on, work.poller.run, *beside)
        async with aclosing(running) as found:
            async for recovered in found:
                yield recovered
        if on_progress:
            on_progress(await progress_reports.snapshot(session, work))


class _Recovery:
    def __init__(self, session: LedgerSession, work: TaskRunner, limits: Limits, *, releases_unsent: bool) -> None:
        self._session = session
        self._work = work
        self._releases_unsent = releases_unsent
        self._waiting = asyncio.Semaphore(limits.max_in_flight)

    async def run(self, tasks: Sequence[Task], on_recovered: Callable[[Recovered], None]) -> None:
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(self._recover_task(task, on_recovered))

    async def _recover_task(self, task: Task, on_recovered: Callable[[Recovered], None]) -> None:
        try:
            on_recovered(Recovered(task, await self._stored(task)))
        except WanAssetsError as error:
            on_recovered(Recovered(task, None, error))

    async def _stored(self, task: Task) -> StoredTask | None:
        async with self._waiting:
            claim = await self._session.take(task.task_uuid)
            if claim.status == "locked":
                raise TaskLockedError(task.task_uuid)
            if claim.status == "stored":
                return await self._session.stored(claim.task)
            report = await self._reported(claim.task)
        job = VideoJob(VideoRequest.from_record(task.request), task.origin.partition)
        stored, _ = await self._work.keep(job, claim.task, report)
        return stored

    async def _reported(self, task: Task) -> TaskReport:
        if task.state in (TaskState.DELIVERED, TaskState.STORED):
            return await self._work.look_again(task)
        if task.state is TaskState.RESERVED and not await self._work.was_sent(task):
            if self._work.is_too_old(task):
                await self._work.lose(task)
            unsent = NotSubmittedError(task.task_uuid)
            if self._releases_unsent:
                await self._work.withdraw(task, unsent)
            raise unsent
        return await self._work.finish(task)
