"""Runs one task: submits it, polls it, records its costs, and stores its videos."""

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
    RetryStatus,
    RunwareClient,
    TaskReport,
    WaitForCapacity,
    clean_text,
    code_of_failure_status,
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
    LOCAL_FILE,
    ApiFault,
    BudgetExceededError,
    NotApprovedError,
    OutputUnavailableError,
    RequestRejectedError,
    RunwareBusyError,
    RunwareError,
    SubmissionUnconfirmedError,
    TaskFailedError,
    TaskTimeoutError,
    TaskUnknownError,
    UnwantedTakeError,
    WanAssetsError,
)
from wan_assets.ledger import Claim, Task
from wan_assets.models import PLAUSIBLE_USD, dollars, implausible_usd, microusd_of
from wan_assets.prompts import LocalFileError, verified_content
from wan_assets.store import StoredTask
from wan_assets.video import Verifier

OnPost: TypeAlias = Callable[[str], None]

_WITHDRAWN = (BudgetExceededError, NotApprovedError, UnwantedTakeError)
"""Errors of a task that a decision, or a budget, does not permit any more."""


class TaskRunner:
    """Brings tasks from the API to the store. Every step is recorded, so that a run may stop after any step."""

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
        """Removes the secrets of a row from all later text of the API, also if an earlier process submitted the row."""
        self._client.hide(job.request.to_addresses())

    @property
    def retries(self) -> RetryStatus:
        """The calls to the API that wait for a retry."""
        return self._client.retries + self.poller.retries

    async def send(
        self, job: VideoJob, claim: Claim, slot: SlotHandle, capacity: WaitForCapacity, on_post: OnPost
    ) -> None:
        """Submits a task. A refused task is released; a task that may have been accepted stays reserved.

        `slot` decides when the task may be submitted, and `capacity` waits while the API accepts no more tasks.
        `on_post` is called with the UUID at each POST. Raises `LeaseExpiredError`, and posts nothing, if another
        process may work on the task.
        """
        task = claim.task
        try:
            await self._submit(job, claim, slot, capacity, on_post)
        except _WITHDRAWN as error:
            if claim.status == "new":
                await self.withdraw(task, error)
            raise
        except RunwareError as error:
            if _keeps_reservation(error):
                await self._session.call_held(self._ledger.note_error, task.task_uuid, error.fault)
            else:
                await self._refused(task, error)
            raise
        await self._session.mark_submitted(task)

    async def _refused(self, task: Task, error: RunwareError) -> None:
        """Records that a task was refused; if the API states that it ran and failed, its cost is unknown."""
        if isinstance(error, TaskFailedError) and code_of_failure_status(error.fault.detail.get("status")):
            await self._session.mark_submitted(task)
            await self._session.call_held(self._ledger.mark_failed, task.task_uuid, error.fault)
        else:
            await self._session.release(task, error.fault)

    async def _submit(
        self, job: VideoJob, claim: Claim, slot: SlotHandle, capacity: WaitForCapacity, on_post: OnPost
    ) -> None:
        """Submits a task with its uploads; uploads that the API has deleted meanwhile are uploaded once more."""
        try:
            await self._submit_once(job, claim, slot, capacity, on_post)
        except RequestRejectedError as error:
            if error.code not in UPLOAD_IS_GONE or not job.request.uploads:
                raise
            for reference in job.request.uploads:
                await self._session.call(self._ledger.forget_upload, reference, self._client.base_url)
            await self._submit_once(job, claim, slot, capacity, on_post)

    async def _submit_once(
        self, job: VideoJob, claim: Claim, slot: SlotHandle, capacity: WaitForCapacity, on_post: OnPost
    ) -> None:
        uploaded = {reference: await self._uploaded(reference) for reference in job.request.uploads}
        delivery = await self._ingest.delivery(claim.task, self._limits.max_wait_s)
        submission = job.request.to_task(claim.task.task_uuid, uploaded) | delivery
        await slot.post()
        await self._client.submit(submission, capacity, partial(self._check_before_post, claim, slot, on_post))
        slot.accepted()

    async def _check_before_post(self, claim: Claim, slot: SlotHandle, on_post: OnPost, may_be_accepted: bool) -> None:
        """Refuses the POST of a task that another process may hold, that is too old to be submitted again, or that a
        decision or a budget does not permit any more.
        """
        try:
            await self._session.refuse_unless_wanted(claim.task)
            await self._session.refuse_unless_in_budget(claim, has_waited=slot.was_refused or may_be_accepted)
        except _WITHDRAWN as error:
            if may_be_accepted:
                fault = ApiFault("notPermitted", str(error), task_uuid=claim.task.task_uuid)
                raise SubmissionUnconfirmedError(fault) from None
            raise
        self._session.refuse_if_expired(claim)
        if may_be_accepted and self.is_too_old(claim.task):
            raise SubmissionUnconfirmedError(self._too_old(claim.task))
        on_post(claim.task.task_uuid)

    def is_too_old(self, task: Task) -> bool:
        """Whether the API may have accepted and forgotten a task because of its age."""
        return self._session.seconds_since(task.created_at) > self._limits.max_resubmit_age_s

    async def mark_lost(self, task: Task) -> NoReturn:
        """Records a task as lost that may have been accepted long ago, and that the API does not know now."""
        fault = self._too_old(task)
        await self._session.call_held(self._ledger.mark_lost, task.task_uuid, fault)
        raise TaskUnknownError(fault)

    def _too_old(self, task: Task) -> ApiFault:
        age_s, limit_s = self._session.seconds_since(task.created_at), self._limits.max_resubmit_age_s
        message = (
            f"the API does not know the task, which was reserved {duration_text(age_s)} ago; "
            f"it may have been accepted and charged, so it is not submitted again after {duration_text(limit_s)}"
        )
        return ApiFault("taskLost", message, task_uuid=task.task_uuid)

    async def withdraw(self, task: Task, why: WanAssetsError) -> None:
        """Releases the reservation of a task that was never submitted."""
        await self._session.release(task, ApiFault("notSent", str(why)))

    async def was_submitted(self, task: Task) -> bool:
        """Whether an earlier run submitted a task but could not record it; records it.

        A shared poll may leave out a task that the API has. Therefore a task that it does not find is polled alone.
        """
        report = await self.poller.look(task.task_uuid)
        is_found = report.is_known or await self._ingest.is_delivered(task)
        if is_found or await self._client.is_found(task.task_uuid):
            await self._session.mark_submitted(task, task.origin.run_id)
            return True
        return False

    async def finish(self, task: Task) -> TaskReport:
        """Waits for a submitted task and records its result; raises the task's error if it produced no video."""
        try:
            begun_at = task.submitted_at or (task.created_at if task.is_lost else None)
            since_s = self._session.seconds_since(begun_at) if begun_at else 0.0
            wait_s = self._wait_s(since_s)
            now = time.time()
            with self._session.tally.at_api(task, since=now - since_s, until=now + wait_s):
                report = await self.poller.finished(task.task_uuid, task.number_results, wait_s, since_s=since_s)
        except RunwareError as error:
            await self._session.call_held(self._ledger.note_error, task.task_uuid, error.fault)
            raise
        report = await self._or_delivered(task, report)
        if not report.is_complete(task.number_results):
            await self._give_up(task, report)
        report = report.of(task.number_results)
        if not report.results:
            failure = task_error_of(report.faults[0])
            lost = isinstance(failure, TaskUnknownError)
            end = self._ledger.mark_lost if lost else self._ledger.mark_failed
            await self._session.call_held(end, task.task_uuid, failure.fault)
            raise failure
        return await self._settled(task, report)

    async def look_again(self, task: Task) -> TaskReport:
        """Returns what the API still has of a finished task whose files are not in the store."""
        found = await self._or_delivered(task, await self.poller.look(task.task_uuid))
        report = found.of(task.number_results)
        if not report.results:
            if kept := await self._ingest.report_of_kept(task):
                return kept
            message = "its file is not in the store, and the API no longer has it"
            raise OutputUnavailableError(ApiFault("gone", message, task_uuid=task.task_uuid))
        return await self._settled(task, report)

    async def _or_delivered(self, task: Task, report: TaskReport) -> TaskReport:
        """Returns the report of the delivered file if the API has forgotten the task, because the file is still in the
        bucket.
        """
        if report.is_known or not await self._ingest.is_delivered(task):
            return report
        return report_of_delivery(task)

    async def store_results(self, job: VideoJob, task: Task, report: TaskReport) -> tuple[StoredTask, bool]:
        """Downloads, checks and stores all results of a task; returns also whether the task is newly stored in the
        ledger.
        """
        with self._session.tally.storing():
            return await self._ingest.store_results(job, task, report)

    async def _give_up(self, task: Task, report: TaskReport) -> None:
        waited = f"after {duration_text(self._limits.max_wait_s)}"
        if report.is_known:
            fault = ApiFault("stillRunning", f"the task had not finished {waited}", task_uuid=task.task_uuid)
            await self._session.call_held(self._ledger.note_error, task.task_uuid, fault)
            raise TaskTimeoutError(fault)
        fault = ApiFault("taskLost", f"the API does not know the task {waited}", task_uuid=task.task_uuid)
        await self._session.call_held(self._ledger.mark_lost, task.task_uuid, fault)
        raise TaskUnknownError(fault)

    def _wait_s(self, since_s: float) -> float:
        """Returns the remaining time of a task that is polled again, but at least the time of two polls."""
        return max(self._limits.max_wait_s - since_s, 3 * self._client.http_config.initial_poll_delay_s)

    async def _settled(self, task: Task, report: TaskReport) -> TaskReport:
        results = [
            {
                "video_uuid": result.video_uuid,
                "url": self._client.redacted(result.url or ""),
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
        """Records with a task that the API stated an implausible cost; the task's reservation stays."""
        for stated in filter(None, (implausible_usd(result.cost) for result in report.results)):
            message = f"the API states a cost of ${stated:.6g} for one video, above the plausible ${PLAUSIBLE_USD}"
            fault = ApiFault("implausibleCost", message, task_uuid=task.task_uuid)
            await self._session.call_held(self._ledger.note_error, task.task_uuid, fault)

    async def _note_unrequested(self, task: Task, report: TaskReport) -> None:
        """Records with a task that the API listed unrequested results, and their stated cost."""
        if report.unrequested:
            stated = ", ".join(f"{one.video_uuid} at {_stated(one)}" for one in report.unrequested)
            message = (
                f"the API lists results that were not requested: {stated}; they are neither recorded nor downloaded"
            )
            fault = ApiFault("unrequestedResult", clean_text(message), task_uuid=task.task_uuid)
            await self._session.call_held(self._ledger.note_error, task.task_uuid, fault)

    async def _uploaded(self, reference: str) -> str:
        path = self._media.get(reference)
        if path is None:
            raise RequestRejectedError(ApiFault(LOCAL_FILE, f"the local file {reference} cannot be read"))
        async with self._uploads[reference]:
            base_url = self._client.base_url
            known = await self._session.call(self._ledger.uploaded, reference, base_url)
            if known is None:
                known = await self._client.upload(path, await self._checked(path, reference))
                await self._session.call(self._ledger.remember_upload, reference, base_url, known)
            return known

    async def _checked(self, path: Path, reference: str) -> bytes:
        """Returns the bytes of a local file, and verifies that they match the checked file."""
        try:
            return await asyncio.to_thread(verified_content, path, reference)
        except LocalFileError as error:
            raise RequestRejectedError(ApiFault(LOCAL_FILE, f"the local file {path} {error}")) from None


def _keeps_reservation(error: RunwareError) -> bool:
    """Whether a task may have been accepted although its submission ended with an error."""
    if isinstance(error, RunwareBusyError):
        return not error.is_surely_refused
    return isinstance(error, SubmissionUnconfirmedError) or error.may_be_accepted


def _stated(result: Result) -> str:
    cost = microusd_of(result.cost)
    return "an unknown cost" if cost is None else dollars(cost)


def _finite(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Converts costs that are not JSON numbers, such as NaN, to text."""
    finite: list[dict[str, Any]] = json.loads(json.dumps(results), parse_constant=str)
    return finite
