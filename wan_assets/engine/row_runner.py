"""Runs one row: claims a task, submits it, waits for it, and starts a new attempt if the provider failed."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from wan_assets.client import TaskReport
from wan_assets.engine.circuit_breaker import CircuitBreaker
from wan_assets.engine.jobs import Limits, VideoJob
from wan_assets.engine.ledger_session import LedgerSession
from wan_assets.engine.slot_handle import SlotHandle
from wan_assets.engine.slots import Slots
from wan_assets.engine.task_runner import TaskRunner
from wan_assets.errors import (
    BudgetExceededError,
    ConcurrencyLimitError,
    LeaseExpiredError,
    LedgerError,
    RunwareBusyError,
    TaskFailedError,
    TaskUnknownError,
    WanAssetsError,
)
from wan_assets.ledger import OPEN_STATES, Claim, Task, TaskState
from wan_assets.store import StoredTask

_FOREIGN_LOOK_S = 1.0
"""The interval at which a row checks for progress of other processes."""


@dataclass
class Row:
    """One job in progress; `latest` is its task of an earlier run.

    `submitted` contains the UUIDs of the tasks that this run has submitted for the job. `claimed` is the UUID of the
    task that this run works on. `has_failed` states that an attempt of this run failed.
    """

    job: VideoJob
    latest: Task | None
    active_rows: asyncio.Semaphore | None
    is_new: bool = False
    submitted: set[str] = field(default_factory=set)
    claimed: str = ""
    has_failed: bool = False

    @property
    def may_be_in_flight(self) -> bool:
        """Whether the API may already have a task for the row."""
        return self.latest is not None and self.latest.state in OPEN_STATES

    def leave_active_rows(self) -> None:
        """Releases this row's place among the active rows, once."""
        if self.active_rows:
            self.active_rows.release()
        self.active_rows = None


class RowRunner:
    """Runs rows, as many at once as the limits permit."""

    def __init__(
        self,
        session: LedgerSession,
        task_runner: TaskRunner,
        limits: Limits,
        circuit_breaker: CircuitBreaker,
        slots: Slots,
    ) -> None:
        self._session = session
        self._task_runner = task_runner
        self._limits = limits
        self._circuit_breaker = circuit_breaker
        self._slots = slots

    async def video_of(self, row: Row) -> StoredTask:
        """Returns the stored video of a row; raises the `WanAssetsError` because of which it has none."""
        self._task_runner.hide(row.job)
        instead_of = ""
        for attempt in itertools.count(1):
            try:
                return await self._attempted_while_held(row, instead_of)
            except (TaskFailedError, TaskUnknownError) as error:
                row.has_failed = True
                is_lost = isinstance(error, TaskUnknownError)
                if attempt >= self._limits.max_attempts or (is_lost and self._limits.on_lost == "keep"):
                    raise
                instead_of = (error.fault.task_uuid or "") if is_lost else instead_of
        raise AssertionError("the loop above returns or raises")

    async def give_up(self, row: Row, error: WanAssetsError) -> None:
        """Frees the task of a row without a video: two runs that gave up on rows of each other would wait for ever.

        The alert of a budget that has refused the row is recorded.
        """
        with suppress(LedgerError):
            if row.claimed:
                await self._session.release_lease(row.claimed)
            if isinstance(error, BudgetExceededError):
                await self._session.record_refusal(error)

    async def _attempted_while_held(self, row: Row, instead_of: str) -> StoredTask:
        """Runs one attempt, and restarts it when the lease on its task expired, because another process may have the
        task.
        """
        while True:
            with suppress(LeaseExpiredError):
                return await self._attempted(row, instead_of)

    async def _attempted(self, row: Row, instead_of: str) -> StoredTask:
        async with SlotHandle(self._slots, sends=not row.may_be_in_flight) as slot:
            claim = await self._claimed(row, slot, instead_of)
            if claim.status == "stored" and (stored := await self._session.stored(claim.task)):
                return stored
            report = await self._reported(row, slot, claim)
        stored, row.is_new = await self._task_runner.store_results(row.job, claim.task, report)
        return stored

    async def _claimed(self, row: Row, slot: SlotHandle, instead_of: str) -> Claim:
        """Claims the row's task, and waits for released money or for other processes if necessary."""
        while True:
            freed = self._circuit_breaker.freed
            if not row.may_be_in_flight:
                self._circuit_breaker.refuse_if_closed()
            try:
                claim = await self._session.claim(row.job, instead_of=instead_of)
            except BudgetExceededError as refused:
                await slot.wait_without_slot(self._circuit_breaker.wait_for_budget(freed, refused))
                continue
            except ConcurrencyLimitError:
                await slot.wait_without_slot(asyncio.sleep(_FOREIGN_LOOK_S))
                continue
            if claim.status != "locked":
                row.claimed = claim.task.task_uuid
                self._session.tally.wait_no_longer(claim.task)
                return claim
            self._session.tally.wait_elsewhere(claim.task)
            row.leave_active_rows()
            await slot.wait_without_slot(asyncio.sleep(_FOREIGN_LOOK_S))

    async def _reported(self, row: Row, slot: SlotHandle, claim: Claim) -> TaskReport:
        if claim.task.state in (TaskState.DELIVERED, TaskState.STORED):
            return await self._task_runner.look_again(claim.task)
        with self._circuit_breaker.holding_reservation():
            if claim.task.state is TaskState.RESERVED:
                await self._send(row, slot, claim)
            slot.in_flight()
            return await self._task_runner.finish(claim.task)

    async def _send(self, row: Row, slot: SlotHandle, claim: Claim) -> None:
        """Submits a task, unless an earlier run has submitted it."""
        if claim.status == "resumed":
            if await self._task_runner.was_submitted(claim.task):
                return
            if self._task_runner.is_too_old(claim.task):
                await self._task_runner.mark_lost(claim.task)
            await self._session.refuse_if_paused()
        async with self._circuit_breaker.submitting():
            try:
                self._circuit_breaker.refuse_if_closed()
                capacity = partial(self._wait_for_capacity, slot)
                await self._task_runner.send(row.job, claim, slot, capacity, row.submitted.add)
            except WanAssetsError as error:
                if claim.status == "new" and self._circuit_breaker.is_closed_by(error) and not slot.has_posted:
                    await self._task_runner.withdraw(claim.task, error)
                raise

    async def _wait_for_capacity(self, slot: SlotHandle, refusal: RunwareBusyError) -> None:
        """Waits until the API may accept one more task; the row keeps its reservation."""
        self._circuit_breaker.confirm_key()
        await slot.refused(refusal)
        self._circuit_breaker.refuse_if_closed()
        await self._session.refuse_if_paused()
