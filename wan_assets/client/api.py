"""The client of the Runware API, with one method for each API operation."""

from __future__ import annotations

import asyncio
import base64
import mimetypes
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self, TypeAlias, TypeVar

import httpx

from wan_assets.client import account
from wan_assets.client.bounds import name_in
from wan_assets.client.download import Downloads
from wan_assets.client.error_codes import is_api_refusal, is_over_capacity, refusal_of
from wan_assets.client.http_config import HttpConfig
from wan_assets.client.responses import ApiResponse, may_be_accepted_anyway, refusal_in
from wan_assets.client.retrying import IsRetried, RetryMonitor, RetryStatus, is_busy, with_retries
from wan_assets.client.task_reports import TaskReport, reports_in
from wan_assets.client.transport import BeforePost, ResponseHook, Transport
from wan_assets.errors import (
    AccessDeniedError,
    ApiFault,
    RunwareBusyError,
    RunwareError,
    SubmissionUnconfirmedError,
    TaskConflictError,
)
from wan_assets.models import secrets_in, uuid_in
from wan_assets.settings import DEFAULT_BASE_URL

_MAX_IDENTITY_TRIES = 3
"""The number of tries to identify an address that does not answer. It is small, because the address may be wrong and no
task was submitted yet."""

_POLLS_PER_POST = 100

T = TypeVar("T")
WaitForCapacity: TypeAlias = Callable[[RunwareBusyError], Awaitable[None]]
"""Waits after a refusal until the API may accept one more task."""

CheckBeforePost: TypeAlias = Callable[[bool], Awaitable[None]]
"""Is called before each POST with whether an earlier POST may have been accepted. An error that it raises stops the
POST."""


class RunwareClient:
    """Sends requests for one account. Use it with `async with`; any number of callers may use it concurrently.

    Every method raises a `RunwareError` that keeps the API's code, message, parameter and task. `download_hosts` are
    hosts that results may come from, besides the API's own host and `*.runware.ai`. `webhook_url` is the address that
    the API notifies of results, with the secret in its query; tasks with a webhook of their own keep it. `on_response`
    is called for each exchange.
    """

    def __init__(
        self,
        api_key: str,
        base_url: str = DEFAULT_BASE_URL,
        *,
        http_config: HttpConfig | None = None,
        download_hosts: Sequence[str] = (),
        webhook_url: str = "",
        on_response: ResponseHook | None = None,
    ) -> None:
        self.http_config = http_config or HttpConfig()
        self._webhook_url = webhook_url
        secrets = secrets_in(webhook_url)
        self._transport = Transport(api_key, base_url, self.http_config, secrets=secrets, on_response=on_response)
        self._retries = RetryMonitor()
        self._downloads = Downloads(self._transport, self.http_config, download_hosts, self._retries)
        self.polls_per_post = _POLLS_PER_POST
        self._incomplete_polls = 0
        self._early_reports: dict[str, TaskReport] = {}
        self._simulated: bool | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.close()

    @property
    def base_url(self) -> str:
        """The address of the API."""
        return self._transport.base_url

    @property
    def has_webhook(self) -> bool:
        """Whether the API is requested to notify a webhook of results."""
        return bool(self._webhook_url)

    @property
    def retries(self) -> RetryStatus:
        """The submissions, downloads and account queries that wait to be retried, and the reason."""
        return self._retries.now

    async def is_simulated(self) -> bool:
        """Whether the server is a simulator, which states so in a header. The public API is not contacted."""
        if self._simulated is None and httpx.URL(self.base_url).host == httpx.URL(DEFAULT_BASE_URL).host:
            self._simulated = False
        if self._simulated is None:
            header = await self._with_retries(
                partial(self._transport.server_header, "X-Simulated-By"), tries=_MAX_IDENTITY_TRIES
            )
            self._simulated = header is not None
        return self._simulated

    def hide(self, task: Mapping[str, Any]) -> None:
        """Removes the private parts of a task's addresses from all later text of the API, also for tasks submitted
        earlier.
        """
        self._transport.redaction.hide_task(task)

    def redacted(self, text: str) -> str:
        """Returns a text of the API, such as the address of a result, without secrets."""
        return self._transport.redaction.text(text)

    async def submit(
        self,
        task: Mapping[str, Any],
        capacity: WaitForCapacity | None = None,
        before_post: CheckBeforePost | None = None,
    ) -> None:
        """Submits one task until the API has it; returns once the task is accepted, now or earlier.

        With `capacity`, a refusal because the API accepts no more tasks does not count as a failed try: each time
        `capacity` returns, the task is submitted again under the same UUID. `before_post` is called before each POST is
        written, with whether an earlier POST may have been accepted. If it raises an error, that POST is not sent and
        the error is raised.

        After a temporary error, the client polls first. It submits the task again, under the same UUID, only if the API
        does not know it. Raises the error that refuses the task permanently, `RunwareBusyError` when all tries are
        used, and `SubmissionUnconfirmedError` when the task is refused after an earlier try that may have been
        accepted.
        """
        hook = {"webhookURL": self._webhook_url} if self._webhook_url else {}
        task = {**hook, **task, "deliveryMethod": "async", "includeCost": True}
        submission = _Submission(self, task, before_post)
        if capacity is None:
            await self._with_retries(submission.send)
            return
        while True:
            try:
                await self._with_retries(submission.send, is_retried=_is_temporary_error)
            except RunwareBusyError as error:
                if not is_over_capacity(error):
                    raise
                self._retries.note(error)
                await self._retries.wait(submission.wait_for_capacity(capacity(error)))
            else:
                return

    async def submit_once(self, task: Mapping[str, Any], before_post: BeforePost | None = None) -> None:
        """Submits one task once.

        A refusal that does not come from the API itself, such as a proxy's page, says nothing about the task. In that
        case the client polls the task. If the API does not know it, the error states that the task may have been
        accepted.
        """
        try:
            await self._submit_once(task, before_post)
        except RunwareError as error:
            if error.is_transient or is_api_refusal(error.fault):
                raise
            if not await self.is_found(task["taskUUID"], RunwareError):
                error.may_be_accepted = self._transport.has_been_answered
                raise

    async def _submit_once(self, task: Mapping[str, Any], before_post: BeforePost | None) -> None:
        answer, task_uuid = await self._transport.post([task], before_post), task["taskUUID"]
        report = reports_in(answer, (task_uuid,)).get(task_uuid, TaskReport(task_uuid))
        if report.results:
            self._early_reports[task_uuid] = report
            return
        fault = refusal_in(answer, task_uuid) or next(iter(report.faults), None)
        if fault is None or isinstance(refusal := refusal_of(fault), TaskConflictError):
            return
        if not may_be_accepted_anyway(answer, fault, task_uuid):
            raise refusal
        unclear = replace(fault, http_status=None, retry_after_s=None)
        if refusal.is_transient:
            raise RunwareBusyError(unclear)
        await self._find(task_uuid, unclear)

    async def _find(self, task_uuid: str, fault: ApiFault) -> None:
        """Polls a task that was refused in a response that also indicates acceptance; never submits it again."""

        async def look() -> None:
            if not await self.knows(task_uuid):
                raise RunwareBusyError(fault)

        try:
            await self._with_retries(look)
        except RunwareError:
            raise SubmissionUnconfirmedError(fault) from None

    async def is_found(self, task_uuid: str, *ignored: type[RunwareError]) -> bool:
        """Whether one of two polls of a task, some time apart, finds it. A single poll may come too early.

        A poll that raises an error of the `ignored` classes has not found the task.
        """
        for wait_s in (0.0, self.http_config.initial_retry_delay_s):
            await asyncio.sleep(wait_s)
            with suppress(*ignored):
                if await self.knows(task_uuid):
                    return True
        return False

    async def knows(self, task_uuid: str) -> bool:
        """Whether the API reports that it has a task."""
        report = (await self._poll_once((task_uuid,))).get(task_uuid)
        return report is not None and report.is_known

    async def poll(self, task_uuids: Iterable[str]) -> dict[str, TaskReport]:
        """Polls many tasks at once; tasks that the API does not know are missing from the result.

        Many tasks share one POST. When a shared response omits some of them, one omitted task is polled alone. If the
        API knows that task, shared polls do not work with this API, and from then on each task has its own POST. Raises
        at once if the poll itself fails, because this says nothing about the tasks.
        """
        remaining = tuple(task_uuids)
        found: dict[str, TaskReport] = {}
        while rest := remaining[: self.polls_per_post]:
            remaining = remaining[len(rest) :]
            found |= await self._poll_shared(rest)
        return found

    async def _poll_shared(self, task_uuids: tuple[str, ...]) -> dict[str, TaskReport]:
        if len(task_uuids) == 1:
            return await self._poll_once(task_uuids)
        try:
            found = await self._poll_once(task_uuids)
        except RunwareError as error:
            if isinstance(error, (RunwareBusyError, AccessDeniedError)):
                raise
            found = {}
        if missing := [task_uuid for task_uuid in task_uuids if task_uuid not in found]:
            self._incomplete_polls += 1
            if alone := await self._poll_once((missing[self._incomplete_polls % len(missing)],)):
                self.polls_per_post = 1
                return found | alone | await self.poll(missing)
        return found

    async def _poll_once(self, task_uuids: tuple[str, ...]) -> dict[str, TaskReport]:
        polls = [{"taskType": "getResponse", "taskUUID": task_uuid} for task_uuid in task_uuids]
        answer = await self._transport.post(polls)
        found = reports_in(answer, task_uuids)
        if not found and (fault := _poll_fault_in(answer, task_uuids)):
            raise refusal_of(fault)
        return {
            **{
                task_uuid: self._early_reports[task_uuid]
                for task_uuid in task_uuids
                if task_uuid in self._early_reports
            },
            **found,
        }

    async def download(self, url: str, path: Path, slots: asyncio.Semaphore | None = None) -> None:
        """Writes a result to `path` in pieces; retries if the download is cut off or the result is not ready yet.

        Each try uses one of the `slots`. No slot is used while the download waits for the next try.
        """
        await self._downloads.fetch(url, path, slots or asyncio.Semaphore())

    async def upload(self, path: Path, content: bytes | None = None) -> str:
        """Uploads a local image or audio file and returns its UUID at the API; `content` is the file's content."""
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        if content is None:
            content = await asyncio.to_thread(path.read_bytes)
        media = f"data:{kind};base64,{base64.b64encode(content).decode()}"
        task_uuid = str(uuid.uuid4())
        try:
            item = await self._ask("mediaStorage", task_uuid=task_uuid, operation="upload", media=media)
        except TaskConflictError:
            item = {}
        if media_uuid := _media_uuid_in(item):
            return media_uuid
        return await self._with_retries(partial(self._uploaded, task_uuid))

    async def _uploaded(self, task_uuid: str) -> str:
        answer = await self._transport.post([{"taskType": "getResponse", "taskUUID": task_uuid}])
        if fault := refusal_in(answer, task_uuid):
            raise refusal_of(fault)
        for media_uuid in filter(None, map(_media_uuid_in, answer.data)):
            return media_uuid
        raise RunwareBusyError(ApiFault("mediaNotReady", "the upload is still being processed", task_uuid=task_uuid))

    async def delete_upload(self, media_uuid: str) -> None:
        """Deletes an upload from the API's storage."""
        await self._ask("mediaStorage", operation="delete", media=media_uuid)

    async def balance(self) -> Decimal | None:
        """Returns the account's balance in dollars, or None if the API does not state it."""
        return account.balance_in(await self._ask("accountManagement", operation="getDetails"))

    async def usage(self, first: date, last: date, model: str) -> tuple[account.DayOfUsage, ...]:
        """Returns the account's usage of one model by UTC day, both days included; at most 30 days."""
        return account.usage_in(await self._usage_answer(first, last, models=[model]))

    async def usage_totals(self, first: date, last: date) -> account.UsageTotals:
        """Returns the account's own totals over all models of some UTC days, both included; at most 30 days."""
        return account.totals_in(await self._usage_answer(first, last))

    async def _usage_answer(self, first: date, last: date, **wanted: list[str]) -> Mapping[str, Any]:
        if last - first > timedelta(days=29):
            raise ValueError("the API reports at most 30 days of usage at once")
        parameters: dict[str, Any] = {"startDate": first.isoformat(), "endDate": last.isoformat(), "timezone": "UTC"}
        parameters |= {"operation": "getUsageActivity", "groupBy": ["date"], **wanted}
        return await self._ask("accountManagement", **parameters)

    async def details(self, task_uuid: str) -> Mapping[str, Any]:
        """Returns the archived record of a task: its request and the API's last answer."""
        return await self._ask("getTaskDetails", task_uuid=task_uuid)

    async def _ask(self, task_type: str, *, task_uuid: str = "", **parameters: Any) -> Mapping[str, Any]:
        task = {"taskType": task_type, "taskUUID": task_uuid or str(uuid.uuid4()), **parameters}
        return await self._with_retries(partial(self._ask_once, task))

    async def _ask_once(self, task: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = await self._transport.post([task])
        fault = refusal_in(answer, task["taskUUID"])
        if fault or not answer.data:
            empty = ApiFault("unrecognizedResponse", f"the answer to {task['taskType']} is empty")
            raise refusal_of(fault or empty)
        return next((item for item in answer.data if item.get("taskUUID") == task["taskUUID"]), answer.data[0])

    async def _with_retries(
        self, call: Callable[[], Awaitable[T]], *, tries: int | None = None, is_retried: IsRetried = is_busy
    ) -> T:
        return await with_retries(
            call, self.http_config, tries or self.http_config.max_tries, self._retries, is_retried
        )


class _Submission:
    """The submission of one task, and whether an earlier try may have been accepted."""

    def __init__(self, client: RunwareClient, task: Mapping[str, Any], before_post: CheckBeforePost | None) -> None:
        self._client = client
        self._task = task
        self._before_post = before_post
        self._may_be_accepted = False

    async def send(self) -> None:
        try:
            if not (self._may_be_accepted and await self._client.is_found(self._task["taskUUID"])):
                look = self._before_post and partial(self._before_post, self._may_be_accepted)
                await self._client.submit_once(self._task, look)
        except RunwareError as error:
            self._refuse_if_uncertain(error)
            self._may_be_accepted = self._may_be_accepted or error.fault.http_status != HTTPStatus.TOO_MANY_REQUESTS
            raise

    async def wait_for_capacity(self, waiting: Awaitable[None]) -> None:
        """Waits, and adds to an error of the wait whether the task may have been accepted."""
        try:
            await waiting
        except RunwareBusyError as error:
            raise RunwareBusyError(error.fault, is_surely_refused=not self._may_be_accepted) from None
        except RunwareError as error:
            self._refuse_if_uncertain(error)
            raise

    def _refuse_if_uncertain(self, error: RunwareError) -> None:
        if self._may_be_accepted and not error.is_transient:
            raise SubmissionUnconfirmedError(error.fault) from None


def _is_temporary_error(error: BaseException) -> bool:
    return isinstance(error, RunwareBusyError) and not is_over_capacity(error)


def _media_uuid_in(item: Mapping[str, Any]) -> str | None:
    """Returns the UUID of an upload, or None while it is processed: until then its UUID is 1 or missing."""
    media_uuid = name_in(item.get("mediaUUID"))
    return None if media_uuid in (None, "1") else uuid_in(media_uuid) or media_uuid


def _poll_fault_in(answer: ApiResponse, task_uuids: tuple[str, ...]) -> ApiFault | None:
    ours = (fault for fault in answer.faults if fault.task_uuid is None or fault.task_uuid in task_uuids)
    return next(ours, None) or refusal_in(answer, None)
