"""Gives the engine asynchronous access to the ledger and the store, whose calls block and run in threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, ParamSpec, Self, TypeVar

from wan_assets.client import UPLOAD_IS_GONE, task_error_of
from wan_assets.engine.in_flight import Tally
from wan_assets.engine.jobs import Limits, VideoJob
from wan_assets.engine.ledger_writer import LedgerWriter
from wan_assets.engine.slots import Slots
from wan_assets.errors import (
    PERMANENT_REFUSALS,
    ApiFault,
    BudgetExceededError,
    LeaseExpiredError,
    LedgerError,
    PausedError,
    RunwareError,
)
from wan_assets.ledger import (
    Claim,
    Instant,
    Lease,
    Ledger,
    Origin,
    SharedLimit,
    Takes,
    Task,
    TaskState,
    boundary_before,
    new_owner,
    renewed,
)
from wan_assets.models import VideoRequest, request_of_take
from wan_assets.store import StoredTask, VideoStore

P = ParamSpec("P")
T = TypeVar("T")

_RECENT_S = 1.0
"""The age up to which a reservation is taken as just made."""


class LedgerSession:
    """One run's session with the ledger. The run owns the tasks that it claims until the session ends."""

    def __init__(self, ledger: Ledger, store: VideoStore, origin: Origin, *, simulated: bool) -> None:
        self.ledger = ledger
        self.store = store
        self.simulated = simulated
        self.tally = Tally(simulated=simulated)
        self._origin = origin
        self._owner = new_owner()
        self._writer = LedgerWriter(ledger)
        self._held = ExitStack()
        self._lease = Lease(ledger.lease_s)
        self._ahead_s = 0.0
        self._refused_by: set[str] = set()

    async def __aenter__(self) -> Self:
        try:
            self._ahead_s = await self.call(self.ledger.ahead_s)
            if self._origin.run_tags:
                await self.call(self.ledger.record_run_tags, self._origin.run_id, self._origin.run_tags)
        except LedgerError:
            self._writer.close()
            raise
        self._lease = self._held.enter_context(renewed(self.ledger, self._owner))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        self._held.close()

    async def call(self, entry: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls a method of the ledger in the ledger's thread, and returns once it is committed."""
        return await asyncio.wrap_future(self._writer.submit(partial(entry, *args, **kwargs)))

    async def call_held(self, entry: Callable[..., T], task_uuid: str, *args: Any) -> T:
        """Calls a method of the ledger for a task that this run holds; raises `LeaseExpiredError` if it does not."""
        return await self.call(partial(entry, task_uuid, *args, owner=self._owner))

    def refuse_if_expired(self, claim: Claim) -> None:
        """Raises `LeaseExpiredError` unless the claimed task certainly still belongs to this run. No database query is
        made.
        """
        if not self._lease.covers(claim.claimed_at, Instant.now()):
            raise LeaseExpiredError(claim.task.task_uuid)

    async def claim(self, job: VideoJob, *, instead_of: str = "") -> Claim:
        """Claims the task of a job for this run."""
        origin = replace(
            self._origin,
            partition=job.partition,
            prompt_id=job.prompt_id,
            take=job.take,
            row_fingerprint=job.row_fingerprint,
            approval=job.approval.as_text() if job.approval else None,
            tags=job.tags,
        )
        method = partial(self.ledger.claim, simulated=self.simulated, instead_of=instead_of)
        return self._counted(await self.call(method, job.request, origin, self._owner))

    async def take(self, task_uuid: str) -> Claim:
        """Claims one task for this run."""
        return self._counted(await self.call(self.ledger.take, task_uuid, self._owner))

    def seconds_since(self, moment: str) -> float:
        """Returns the seconds since a moment in the ledger, given as ISO 8601; never negative, even if clocks
        differ.
        """
        return max(0.0, time.time() + self._ahead_s - datetime.fromisoformat(moment).timestamp())

    async def settle(self, task: Task, results: Sequence[Mapping[str, Any]], costs: Sequence[int | None]) -> Task:
        """Records the results and the cost of a task."""
        settled = await self.call_held(self.ledger.settle, task.task_uuid, results, costs, self._origin.run_id)
        self.tally.record(settled)
        return settled

    async def mark_submitted(self, task: Task, run_id: str = "") -> None:
        """Records that the API has a task that a run, by default this one, has submitted."""
        await self.call(self.ledger.mark_submitted, task.task_uuid, run_id or self._origin.run_id)

    async def release(self, task: Task, fault: ApiFault) -> None:
        """Records that the API never accepted a task."""
        await self.call_held(self.ledger.release, task.task_uuid, fault)
        self.tally.free(task.task_uuid)

    async def release_lease(self, task_uuid: str) -> None:
        """Lets other processes work on a task at once that this run has given up."""
        await self.call(self.ledger.release_leases, self._owner, task_uuid)

    async def mark_stored(self, task: Task, results: Sequence[Mapping[str, Any]]) -> bool:
        """Records that the videos of a task are in the store; returns whether they are new."""
        is_new = await self.call_held(self.ledger.mark_stored, task.task_uuid, results)
        self.tally.end(task.task_uuid)
        return is_new

    async def share_limit(self, account: str, slots: Slots) -> SharedLimit:
        """Exchanges the needs and the learned concurrency limit of this run with the other runs of its account."""
        method = partial(self.ledger.share_limit, simulated=self.simulated)
        return await self.call(method, account, slots.needs(self._owner), slots.learned_changes())

    async def leave_limit(self, account: str, slots: Slots) -> None:
        """Ends this run's share in the concurrency limit, and keeps what it has learned."""
        await self.call(self.ledger.leave_limit, account, self._owner, slots.learned_changes())

    async def open_tasks(self) -> list[Task]:
        """Returns every task of this kind of money that may still bring a video."""
        return [task for task in await self.call(self.ledger.open_tasks) if task.is_simulated == self.simulated]

    async def latest(self, fingerprints: Sequence[str]) -> dict[str, Task]:
        """Returns the current task of each request."""
        purchase = self._origin.purchase
        return await self.call(self.ledger.latest, fingerprints, simulated=self.simulated, purchase=purchase)

    async def refused(self, fingerprints: Sequence[str]) -> dict[str, RunwareError]:
        """Returns the error of each request that was refused permanently at its last submission, except for a deleted
        upload.
        """
        purchase = self._origin.purchase
        method = partial(self.ledger.ended_without_video, simulated=self.simulated, purchase=purchase)
        ended = await self.call(method, fingerprints)
        errors = {fingerprint: _task_error_of(task) for fingerprint, task in ended.items()}
        final = {key: error for key, error in errors.items() if isinstance(error, PERMANENT_REFUSALS)}
        return {key: error for key, error in final.items() if error.code not in UPLOAD_IS_GONE}

    async def refuse_unless_wanted(self, task: Task) -> None:
        """Raises `NotApprovedError` or `UnwantedTakeError` if a decision that a task needs does not apply any more."""
        if task.origin.approval or task.origin.take > 1:
            await self.call(self.ledger.refuse_unless_wanted, task.task_uuid)

    async def refuse_unless_in_budget(self, claim: Claim, *, has_waited: bool) -> None:
        """Raises `BudgetExceededError` if a task does not fit in a budget any more: a period has begun, or a budget was
        lowered, since the task was reserved.

        The ledger is not asked if the reservation has only just been made.
        """
        has_waited = has_waited or Instant.now().since(claim.claimed_at) > _RECENT_S
        if has_waited or claim.status == "resumed" or claim.task.counted_at < self._last_boundary():
            await self.call(self.ledger.count_again, claim.task.task_uuid)

    def _last_boundary(self) -> str:
        now = datetime.fromtimestamp(time.time() + self._ahead_s, UTC)
        return boundary_before(now.isoformat(timespec="milliseconds"))

    async def record_refusal(self, refused: BudgetExceededError) -> None:
        """Records the alert of a budget that refused a row which this run has given up; once in this run."""
        if refused.scope not in self._refused_by:
            await self.call(self.ledger.record_refusal, refused, self._origin.run_id, self._origin.asset)
            self._refused_by.add(refused.scope)

    async def refuse_if_paused(self) -> None:
        """Raises `PausedError` if the ledger is paused."""
        if (why := await self.call(self.ledger.paused)) is not None:
            raise PausedError(why)

    async def current_takes(self, jobs: Sequence[VideoJob], limits: Limits) -> list[VideoJob]:
        """Returns the jobs with the request of the take that is each row's video, or that is to be generated next.

        A regeneration under a purchase generates the rows' own requests.
        """
        if self._origin.purchase:
            return list(jobs)
        prints = [job.request.fingerprint() for job in jobs]
        found = await self.call(self.ledger.takes, prints, simulated=self.simulated)
        return [
            _with_take(job, fingerprint, found[fingerprint], limits) if fingerprint in found else job
            for job, fingerprint in zip(jobs, prints, strict=True)
        ]

    async def known(self, distinct: Mapping[str, VideoRequest]) -> tuple[dict[str, Task], dict[str, StoredTask]]:
        """Returns the tasks and the stored videos of requests given by fingerprint, also those of an older release."""
        former = {former: print_ for print_, one in distinct.items() if (former := one.former_fingerprint())}
        if former:
            await self.call(self.ledger.rename, former)
        latest = await self.latest(list(distinct))
        return latest, await self.all_stored(distinct, latest)

    async def missing(self, distinct: Mapping[str, VideoRequest]) -> list[VideoRequest]:
        """Returns the requests, given by fingerprint, that would have to be paid."""
        latest, stored = await self.known(distinct)
        return [
            request for fingerprint, request in distinct.items() if fingerprint not in latest.keys() | stored.keys()
        ]

    async def quoted_microusd(self, requests: Sequence[VideoRequest]) -> int:
        """Returns the total amount that would be reserved for some requests, in µ$."""
        return await self.call(self.ledger.quoted_microusd, requests, simulated=self.simulated)

    async def stored(self, task: Task) -> StoredTask | None:
        """Returns a task's files, if all of them are in the store."""
        return await asyncio.to_thread(self._files_of, task)

    async def all_stored(
        self, requests: Mapping[str, VideoRequest], latest: Mapping[str, Task]
    ) -> dict[str, StoredTask]:
        """Returns the stored videos of many requests. The store is searched only if the ledger knows no task.

        A purchase reuses only videos that were paid under its name.
        """
        return await asyncio.to_thread(self._all_stored, requests, latest)

    def _all_stored(self, requests: Mapping[str, VideoRequest], latest: Mapping[str, Task]) -> dict[str, StoredTask]:
        found = {print_: self._stored(print_, request, latest.get(print_)) for print_, request in requests.items()}
        return {print_: stored for print_, stored in found.items() if stored}

    def _stored(self, fingerprint: str, request: VideoRequest, task: Task | None) -> StoredTask | None:
        if task is not None:
            return self._files_of(task) if task.state is TaskState.STORED else None
        if self._origin.purchase:
            return None
        return self.store.find(fingerprint, simulated=self.simulated, former=request.former_fingerprint())

    def _files_of(self, task: Task) -> StoredTask | None:
        names = task.fingerprint, task.task_uuid
        return self.store.task(*names, simulated=self.simulated, former=task.former_fingerprint)

    async def room_microusd(self) -> int | None:
        """Returns the amount in µ$ that the tightest cap permits; None without a cap, and if the ledger does not
        answer.
        """
        with suppress(LedgerError):
            return await self.call(self.ledger.room_microusd, self._origin, simulated=self.simulated)
        return None

    def _counted(self, claim: Claim) -> Claim:
        if claim.status in ("new", "resumed"):
            self.tally.record(claim.task)
        return claim


def _with_take(job: VideoJob, fingerprint: str, takes: Takes, limits: Limits) -> VideoJob:
    number = takes.next_number(limits.max_takes, retakes_rejected=limits.retake_rejected)
    if number == 1:
        return job
    return replace(job, request=request_of_take(job.request, number), take=number, row_fingerprint=fingerprint)


def _task_error_of(task: Task) -> RunwareError:
    return task_error_of(ApiFault(task.error_code or "", task.error_message or "", task_uuid=task.task_uuid))
