"""Runs the engine: takes jobs and yields their outcomes as they finish."""

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
from wan_assets.engine.balance_check import refuse_if_balance_too_low
from wan_assets.engine.circuit_breaker import CircuitBreaker
from wan_assets.engine.in_flight import OnProgress
from wan_assets.engine.jobs import LOOKUP_BATCH_SIZE, Limits, Outcome, VideoJob
from wan_assets.engine.ledger_session import LedgerSession
from wan_assets.engine.row_runner import Row, RowRunner
from wan_assets.engine.shared_limit import SharedConcurrency
from wan_assets.engine.slots import Slots
from wan_assets.engine.streaming import BackgroundTask, stream_results
from wan_assets.engine.task_runner import TaskRunner
from wan_assets.engine.telemetry import run_span
from wan_assets.errors import (
    AccessDeniedError,
    BudgetExceededError,
    LedgerError,
    NotApprovedError,
    PausedError,
    StoreError,
    WanAssetsError,
    WrongAddressError,
)
from wan_assets.ledger import Ledger, Origin
from wan_assets.store import VideoStore
from wan_assets.video import Verifier

OnOutcome: TypeAlias = Callable[[Outcome], None]

_SKIPPING = (BudgetExceededError, PausedError)
"""Errors of rows that are left out."""

_STOP_SUBMITTING = (AccessDeniedError, WrongAddressError, LedgerError, PausedError, StoreError)
"""Errors that concern the whole run: tasks in flight complete, and no further task is submitted."""


async def generate(
    jobs: Iterable[VideoJob],
    *,
    client: RunwareClient,
    store: VideoStore,
    ledger: Ledger,
    limits: Limits | None = None,
    origin: Origin | None = None,
    media: Mapping[str, Path] | None = None,
    on_progress: OnProgress | None = None,
) -> AsyncGenerator[Outcome, None]:
    """Yields an outcome for each job as it finishes, in any order. The failure of one job does not affect others.

    Stored videos are reused. Tasks submitted earlier are polled. All other jobs are reserved, submitted, downloaded,
    verified and stored. `origin` is recorded with each task; `media` holds the local files that requests refer to.
    After the iterator is closed, no task is submitted; the next run continues with the tasks in flight. `on_progress`
    is called about once per second.

    Raises `StoreError`, `LedgerError` or a `RunwareError` before any submission if store, ledger or API are unusable.
    """
    limits = limits or Limits()
    await asyncio.to_thread(store.make_ready)
    simulated = await client.is_simulated()
    ledger.refuse_if_in_memory(simulated=simulated)
    session = LedgerSession(ledger, store, origin or Origin(), simulated=simulated)
    async with session, Verifier() as verifier:
        await session.latest([])
        if limits.check_balance:
            jobs = list(jobs)
            await refuse_if_balance_too_low(jobs, client, session)
        circuit_breaker = CircuitBreaker()
        task_runner = TaskRunner(client, session, verifier, limits, circuit_breaker, media or {})
        engine = _Engine(client, session, task_runner, limits, circuit_breaker)
        reports = progress_reports.background_tasks_for(on_progress, session, task_runner, engine.slots)
        with run_span(origin or Origin(), simulated=session.simulated) as trace:
            async with aclosing(engine.outcomes(jobs, reports)) as outcomes:
                async for outcome in outcomes:
                    trace.record(outcome)
                    yield outcome
        if on_progress:
            on_progress(await progress_reports.snapshot(session, task_runner, engine.slots))


class _Engine:
    def __init__(
        self,
        client: RunwareClient,
        session: LedgerSession,
        task_runner: TaskRunner,
        limits: Limits,
        circuit_breaker: CircuitBreaker,
    ) -> None:
        poller, stall_s = task_runner.poller, limits.max_stall_s
        self.slots = Slots(
            limits.max_in_flight, client.http_config, poller.refresh, unknown=poller.unknown, stall_s=stall_s
        )
        circuit_breaker.when_closed(self.slots.refuse)
        self._session = session
        self._shared = SharedConcurrency(session, self.slots, client.base_url)
        self._row_runner = RowRunner(session, task_runner, limits, circuit_breaker, self.slots)
        self._circuit_breaker = circuit_breaker
        self._limits = limits
        self._active_rows = asyncio.Semaphore(limits.max_active_rows)
        self._in_progress: dict[str, asyncio.Task[Outcome]] = {}
        hints = webhook_hints.background_tasks_for(client, session, poller)
        self._background_tasks = (poller.run, self._shared.run, *hints)

    async def outcomes(
        self, jobs: Iterable[VideoJob], background_tasks: Iterable[BackgroundTask]
    ) -> AsyncGenerator[Outcome, None]:
        """Yields the outcome of each job, while the background tasks run."""
        self.slots.not_begun = length_hint(jobs)
        running = stream_results(partial(self.run, jobs), *self._background_tasks, *background_tasks)
        async with self._shared.joined_until_end(), aclosing(running) as outcomes:
            async for outcome in outcomes:
                yield outcome

    async def run(self, jobs: Iterable[VideoJob], on_outcome: OnOutcome) -> None:
        async with asyncio.TaskGroup() as group:
            for some in chunked(jobs, LOOKUP_BATCH_SIZE):
                await self._begin(group, some, on_outcome)

    async def _begin(self, group: asyncio.TaskGroup, some: list[VideoJob], on_outcome: OnOutcome) -> None:
        try:
            some = await self._session.current_takes(some, self._limits)
            prints = {id(job): job.request.fingerprint() for job in some}
            latest, stored = await self._session.known({prints[id(job)]: job.request for job in some})
            refused = {} if self._limits.resend_refused else await self._session.refused(list(prints.values()))
        except (LedgerError, StoreError) as error:
            self._circuit_breaker.close(error)
            for job in some:
                on_outcome(Outcome(job, None, error))
            return
        for job in some:
            self.slots.not_begun = max(0, self.slots.not_begun - 1)
            fingerprint = prints[id(job)]
            if fingerprint in stored:
                on_outcome(Outcome(job, stored[fingerprint]))
            elif fingerprint in refused and fingerprint not in latest:
                on_outcome(Outcome(job, None, refused[fingerprint]))
            elif fingerprint in self._in_progress:
                group.create_task(self._follow(job, self._in_progress[fingerprint], on_outcome))
            else:
                await self._shared.join()
                await self._active_rows.acquire()
                row = Row(job, latest.get(fingerprint), self._active_rows)
                self._in_progress[fingerprint] = first_task = group.create_task(self._row(row, on_outcome))
                first_task.add_done_callback(partial(self._forget, fingerprint))

    def _forget(self, fingerprint: str, _: asyncio.Task[Outcome]) -> None:
        del self._in_progress[fingerprint]

    async def _follow(self, job: VideoJob, first_task: asyncio.Task[Outcome], on_outcome: OnOutcome) -> None:
        """Gives a job the outcome of an earlier job in this run with the same request, unless only that one needs a
        draft that is not approved, or may count in another budget.
        """
        first = await asyncio.shield(first_task)
        is_withdrawn = isinstance(first.error, NotApprovedError) and job.approval != first.job.approval
        if is_withdrawn or (isinstance(first.error, BudgetExceededError) and _counts_otherwise(job, first.job)):
            await self._row(Row(job, None, None), on_outcome)
            return
        on_outcome(replace(first, job=job, is_new=False, submitted=0))

    async def _row(self, row: Row, on_outcome: OnOutcome) -> Outcome:
        try:
            stored = await self._row_runner.video_of(row)
            outcome = Outcome(row.job, stored, None, row.is_new, len(row.submitted))
        except WanAssetsError as error:
            if isinstance(error, _STOP_SUBMITTING):
                self._circuit_breaker.close(error)
            await self._row_runner.give_up(row, error)
            is_skipped = isinstance(error, _SKIPPING) and not row.has_failed
            outcome = Outcome(row.job, None, error, submitted=len(row.submitted), is_skipped=is_skipped)
        finally:
            row.leave_active_rows()
        on_outcome(outcome)
        return outcome


def _counts_otherwise(job: VideoJob, other: VideoJob) -> bool:
    """Whether two jobs with the same request may count in different budgets."""
    return (job.partition, job.tags) != (other.partition, other.tags)
