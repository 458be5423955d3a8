"""The work on one task: sent, waited for, booked, fetched, checked and stored."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from wan_assets.client import (
    UPLOAD_IS_GONE,
    Result,
    RunwareClient,
    TaskReport,
    Trouble,
    WaitForCapacity,
    code_of_failure_word,
    shown,
    task_error_of,
)
from wan_assets.durations import duration_text
from wan_assets.engine.circuit_breaker import CircuitBreaker
from wan_assets.engine.jobs import Limits, VideoJob
from wan_assets.engine.ledger_session import LedgerSession
from wan_assets.engine.poller import Poller
from wan_assets.engine.slot_handle import SlotHandle
from wan_assets.engine.task_files import TaskFiles
from wan_assets.engine.video_ingest import VideoIngest, report_of_delivery
from wan_assets.errors import (
    ApiFault,
    OutputUnavailableError,
    RequestRejectedError,
    RunwareBusyError,
    RunwareError,
    SubmissionUnconfirmedError,
    TaskFailedError,
    TaskTimeoutError,
    TaskUnknownError,
    WanAssetsError,
)
from wan_assets.ledger import Claim, Task
from wan_assets.models import PLAUSIBLE_USD, dollars, implausible_usd, microusd_of
from wan_assets.prompts import LocalFileError, verified_content
from wan_assets.store import StoredTask
from wan_assets.video import Verifier

OnPost: TypeAlias = Callable[[str], None]


class TaskRunner:
    """Brings tasks from the API to the store. Every step is booked, so that any of them can be the last."""

    def __init__(
        self,
        client: RunwareClient,
        session: LedgerSession,
        verifier: Verifier,
        limits: Limits,
        circuit_breaker: CircuitBreaker,
        media: Mapping[str, Path],
    ) -> None:
        self.poller = Poller(client)
        self._client = client
        self._session = session
        self._ledger = session.ledger
        files = TaskFiles(session, verifier, limits.on_mismatch, slots=limits.max_downloads)
        self._ingest = VideoIngest(client, session, files)
        self._limits = limits
        self._circuit_breaker = circuit_breaker
        self._media = media
        self._uploads: dict[str, asyncio.Lock] = {reference: asyncio.Lock() for reference in media}

    def hide(self, job: VideoJob) -> None:
        """Has no answer of the API repeat a secret of a row, also where an earlier process has sent it."""
        self._client.hide(job.request.to_addresses())

    @property
    def trouble(self) -> Trouble:
        """What the API, or the way to it, keeps waiting."""
        return self._client.trouble + self.poller.trouble

    async def send(
        self, job: VideoJob, claim: Claim, place: SlotHandle, capacity: WaitForCapacity, on_post: OnPost
    ) -> None:
        """Submits a task; what the API refuses is released, what may have got through stays reserved.

        `place` says when it may be sent, and `capacity` waits while the API takes no more tasks; `on_post` is told the
        UUID with each POST. Raises `LeaseExpiredError`, and posts nothing, where another process may work on the task
        by now.
        """
        task = claim.task
        try:
            await self._submit(job, claim, place, capacity, on_post)
        except RunwareError as error:
            if _keeps_reservation(error):
                await self._session.book_held(self._ledger.note_trouble, task.task_uuid, error.fault)
            else:
                await self._refused(task, error)
            raise
        await self._session.mark_submitted(task)

    async def _refused(self, task: Task, error: RunwareError) -> None:
        """Journal that a task was refused; where the API says that it has run and failed, its cost is not known."""
        if isinstance(error, TaskFailedError) and code_of_failure_word(error.fault.detail.get("status")):
            await self._session.mark_submitted(task)
            await self._session.book_held(self._ledger.mark_failed, task.task_uuid, error.fault)
        else:
            await self._session.release(task, error.fault)

    async def _submit(
        self, job: VideoJob, claim: Claim, place: SlotHandle, capacity: WaitForCapacity, on_post: OnPost
    ) -> None:
        """Sends a task with its uploads; those that were deleted at the API meanwhile are uploaded once more."""
        try:
            await self._submit_once(job, claim, place, capacity, on_post)
        except RequestRejectedError as error:
            if error.code not in UPLOAD_IS_GONE or not job.request.uploads:
                raise
            for reference in job.request.uploads:
                await self._session.book(self._ledger.forget_upload, reference, self._client.base_url)
            await self._submit_once(job, claim, place, capacity, on_post)

    async def _submit_once(
        self, job: VideoJob, claim: Claim, place: SlotHandle, capacity: WaitForCapacity, on_post: OnPost
    ) -> None:
        uploaded = {reference: await self._uploaded(reference) for reference in job.request.uploads}
        delivery = await self._ingest.delivery(claim.task, self._limits.max_wait_s)
        submission = job.request.to_task(claim.task.task_uuid, uploaded) | delivery
        await place.post()
        await self._client.submit(submission, capacity, partial(self._look_before_sending, claim, on_post))
        place.accepted()

    def _look_before_sending(self, claim: Claim, on_post: OnPost, may_be_accepted: bool) -> None:
        """Refuses a POST of a task that another process may hold, or that is too old to be sent again."""
        self._session.refuse_if_expired(claim)
        if may_be_accepted and self.is_too_old(claim.task):
            raise SubmissionUnconfirmedError(self._too_old(claim.task))
        on_post(claim.task.task_uuid)

    def is_too_old(self, task: Task) -> bool:
        """Whether the API may have accepted a task so long ago that it has forgotten it."""
        return self._session.seconds_since(task.created_at) > self._limits.max_resubmit_age_s

    async def lose(self, task: Task) -> NoReturn:
        """Journal a task as lost that may have been accepted long ago, and that the API does not know now."""
        fault = self._too_old(task)
        await self._session.book_held(self._ledger.mark_lost, task.task_uuid, fault)
        raise TaskUnknownError(fault)

    def _too_old(self, task: Task) -> ApiFault:
        age_s, limit_s = self._session.seconds_since(task.created_at), self._limits.max_resubmit_age_s
        message = (
            f"the API does not know the task, which was reserved {duration_text(age_s)} ago; "
            f"it may have been accepted and charged, so it is not submitted again after {duration_text(limit_s)}"
        )
        return ApiFault("taskLost", message, task_uuid=task.task_uuid)

    async def withdraw(self, task: Task, why: WanAssetsError) -> None:
        """Frees the money of a task that was never sent."""
        await self._session.release(task, ApiFault("notSent", str(why)))

    async def was_sent(self, task: Task) -> bool:
        """Whether an earlier run has sent a task that it could not book as sent; books it.

        The API may take a moment to know a task, so that it is asked twice.
        """
        for wait_s in (self._client.http_config.initial_retry_delay_s, 0.0):
            report = await self.poller.look(task.task_uuid)
            if report.is_known or await self._ingest.is_delivered(task):
                await self._session.mark_submitted(task, task.origin.run_id)
                return True
            await asyncio.sleep(wait_s)
        return False

    async def finish(self, task: Task) -> TaskReport:
        """Waits for a task that was sent and books what it came to; raises what became of it if no video did."""
        try:
            begun_at = task.submitted_at or (task.created_at if task.is_lost else None)
            since_s = self._session.seconds_since(begun_at) if begun_at else 0.0
            wait_s = self._wait_s(since_s)
            now = time.time()
            with self._session.tally.flying(task, since=now - since_s, until=now + wait_s):
                report = await self.poller.finished(task.task_uuid, task.number_results, wait_s, since_s=since_s)
        except RunwareError as error:
            await self._session.book_held(self._ledger.note_trouble, task.task_uuid, error.fault)
            raise
        report = await self._or_delivered(task, report)
        if not report.is_complete(task.number_results):
            await self._give_up(task, report)
        report = report.of(task.number_results)
        if not report.results:
            verdict = task_error_of(report.faults[0])
            lost = isinstance(verdict, TaskUnknownError)
            end = self._ledger.mark_lost if lost else self._ledger.mark_failed
            await self._session.book_held(end, task.task_uuid, verdict.fault)
            raise verdict
        return await self._settled(task, report)

    async def look_again(self, task: Task) -> TaskReport:
        """What the API still has of a finished task whose files are not in the store."""
        found = await self._or_delivered(task, await self.poller.look(task.task_uuid))
        report = found.of(task.number_results)
        if not report.results:
            if kept := await self._ingest.report_of_kept(task):
                return kept
            message = "its file is not in the store, and the API does not have it any more"
            raise OutputUnavailableError(ApiFault("gone", message, task_uuid=task.task_uuid))
        return await self._settled(task, report)

    async def _or_delivered(self, task: Task, report: TaskReport) -> TaskReport:
        """The API forgets a task after a while; a file that it has put into the bucket is there nevertheless."""
        if report.is_known or not await self._ingest.is_delivered(task):
            return report
        return report_of_delivery(task)

    async def keep(self, job: VideoJob, task: Task, report: TaskReport) -> tuple[StoredTask, bool]:
        """Fetches, checks and stores all results of a task; whether the ledger did not have them as stored before."""
        with self._session.tally.landing():
            return await self._ingest.keep(job, task, report)

    async def _give_up(self, task: Task, report: TaskReport) -> None:
        waited = f"after {duration_text(self._limits.max_wait_s)}"
        if report.is_known:
            fault = ApiFault("stillRunning", f"the task had not finished {waited}", task_uuid=task.task_uuid)
            await self._session.book_held(self._ledger.note_trouble, task.task_uuid, fault)
            raise TaskTimeoutError(fault)
        fault = ApiFault("taskLost", f"the API does not know the task {waited}", task_uuid=task.task_uuid)
        await self._session.book_held(self._ledger.mark_lost, task.task_uuid, fault)
        raise TaskUnknownError(fault)

    def _wait_s(self, since_s: float) -> float:
        """A task that is looked for again gets what is left of its time, but at least two polls."""
        return max(self._limits.max_wait_s - since_s, 3 * self._client.http_config.initial_poll_delay_s)

    async def _settled(self, task: Task, report: TaskReport) -> TaskReport:
        results = [
            {
                "video_uuid": result.video_uuid,
                "url": self._client.shown(result.url or ""),
                "seed": result.seed,
                "cost": result.cost,
            }
            for result in report.results
        ]
        reported = [microusd_of(result.cost) for result in report.results]
        costs = reported + [None] * (task.number_results - len(reported))
        settled = await self._session.settle(task, _finite(results), costs)
        self._circuit_breaker.settled(task, settled)
        await self._note_implausible(task, report)
        await self._note_unrequested(task, report)
        await self._ingest.refuse_if_empty(task, report)
        return report

    async def _note_implausible(self, task: Task, report: TaskReport) -> None:
        """Keeps beside a task that the API states a cost that no video has; the task's reservation stays."""
        for stated in filter(None, (implausible_usd(result.cost) for result in report.results)):
            message = f"the API states a cost of ${stated:.6g} for one video, above the plausible ${PLAUSIBLE_USD}"
            fault = ApiFault("implausibleCost", message, task_uuid=task.task_uuid)
            await self._session.book_held(self._ledger.note_trouble, task.task_uuid, fault)

    async def _note_unrequested(self, task: Task, report: TaskReport) -> None:
        """Keeps beside a task that the API lists more than was requested, and what it states as the cost of that."""
        if report.unrequested:
            stated = ", ".join(f"{one.video_uuid} at {_stated(one)}" for one in report.unrequested)
            message = f"the API lists results that were not requested: {stated}; they are neither booked nor fetched"
            fault = ApiFault("unrequestedResult", shown(message), task_uuid=task.task_uuid)
            await self._session.book_held(self._ledger.note_trouble, task.task_uuid, fault)

    async def _uploaded(self, reference: str) -> str:
        path = self._media.get(reference)
        if path is None:
            raise RequestRejectedError(ApiFault("localFile", f"the local file {reference} cannot be read"))
        async with self._uploads[reference]:
            base_url = self._client.base_url
            known = await self._session.book(self._ledger.uploaded, reference, base_url)
            if known is None:
                known = await self._client.upload(path, await self._checked(path, reference))
                await self._session.book(self._ledger.remember_upload, reference, base_url, known)
            return known

    async def _checked(self, path: Path, reference: str) -> bytes:
        """The bytes of a local file, which are those that were checked."""
        try:
            return await asyncio.to_thread(verified_content, path, reference)
        except LocalFileError as error:
            raise RequestRejectedError(ApiFault("localFile", f"the local file {path} {error}")) from None


def _keeps_reservation(error: RunwareError) -> bool:
    """Whether a task may have been accepted although its submission ended with an error."""
    if isinstance(error, RunwareBusyError):
        return not error.is_surely_refused
    return isinstance(error, SubmissionUnconfirmedError) or error.may_be_accepted


def _stated(result: Result) -> str:
    cost = microusd_of(result.cost)
    return "an unknown cost" if cost is None else dollars(cost)


def _finite(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Writes a cost that is no JSON number, such as NaN, as text."""
    finite: list[dict[str, Any]] = json.loads(json.dumps(results), parse_constant=str)
    return finite
