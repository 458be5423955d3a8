"""Recovers open tasks: polls, settles and stores tasks that may have been paid, without submitting any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial

from wan_assets.client import RunwareClient, TaskReport
from wan_assets.engine import progress_reports, webhook_hints
from wan_assets.engine.circuit_breaker import CircuitBreaker
from wan_assets.engine.in_flight import OnProgress
from wan_assets.engine.jobs import Limits, Recovered, VideoJob
from wan_assets.engine.ledger_session import LedgerSession
from wan_assets.engine.streaming import stream_results
from wan_assets.engine.task_runner import TaskRunner
from wan_assets.errors import NotSubmittedError, TaskLockedError, WanAssetsError
from wan_assets.ledger import Ledger, Origin, Task, TaskState
from wan_assets.models import VideoRequest
from wan_assets.store import StoredTask, VideoStore
from wan_assets.video import Verifier


async def recover(
    *,
    client: RunwareClient,
    store: VideoStore,
    ledger: Ledger,
    limits: Limits | None = None,
    release_unsent: bool = False,
    origin: Origin | None = None,
    on_progress: OnProgress | None = None,
) -> AsyncGenerator[Recovered, None]:
    """Yields the result of every open task in the ledger as it ends, in any order.

    A finished task is settled and its videos are stored; a running task is awaited. A task that never reached the API
    keeps its reservation for the next run, or releases it with `release_unsent`. The run of `origin` reports the costs
    that are settled here. `on_progress` is called as in `generate`.

    Raises `StoreError`, `LedgerError` or a `RunwareError` if store, ledger or API are not usable.
    """
    limits = limits or Limits()
    await asyncio.to_thread(store.make_ready)
    session = LedgerSession(ledger, store, origin or Origin(), simulated=await client.is_simulated())
    async with session, Verifier() as verifier:
        task_runner = TaskRunner(client, session, verifier, limits, CircuitBreaker(), {})
        recovery = _Recovery(session, task_runner, limits, release_unsent=release_unsent)
        beside = (
            *webhook_hints.background_tasks_for(client, session, task_runner.poller),
            *progress_reports.background_tasks_for(on_progress, session, task_runner),
        )
        work_on = partial(recovery.run, await session.open_tasks())
        running = stream_results(work_on, task_runner.poller.run, *beside)
        async with aclosing(running) as found:
            async for recovered in found:
                yield recovered
        if on_progress:
            on_progress(await progress_reports.snapshot(session, task_runner))


class _Recovery:
    def __init__(
        self, session: LedgerSession, task_runner: TaskRunner, limits: Limits, *, release_unsent: bool
    ) -> None:
        self._session = session
        self._task_runner = task_runner
        self._release_unsent = release_unsent
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
        stored, _ = await self._task_runner.store_results(job, claim.task, report)
        return stored

    async def _reported(self, task: Task) -> TaskReport:
        if task.state in (TaskState.DELIVERED, TaskState.STORED):
            return await self._task_runner.look_again(task)
        if task.state is TaskState.RESERVED and not await self._task_runner.was_submitted(task):
            if self._task_runner.is_too_old(task):
                await self._task_runner.mark_lost(task)
            unsent = NotSubmittedError(task.task_uuid)
            if self._release_unsent:
                await self._task_runner.withdraw(task, unsent)
            raise unsent
        return await self._task_runner.finish(task)
