"""The client: one method for each thing the API does for us."""

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
from wan_assets.client.error_codes import is_over_capacity, is_own_words, refusal_of
from wan_assets.client.responses import Answer, is_doubtful, refusal_in
from wan_assets.client.retrying import IsRetried, Trouble, Troubles, is_busy, tried
from wan_assets.client.task_reports import TaskReport, reports_in
from wan_assets.client.transport import BeforeSending, HttpConfig, ResponseHook, Transport
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

_GREETINGS = 3
"""How often an address that does not answer is asked what it is: it may be wrong, and nothing was sent yet."""

_POLLS_PER_POST = 100

T = TypeVar("T")
WaitForCapacity: TypeAlias = Callable[[RunwareBusyError], Awaitable[None]]
"""Waits after a refusal until the API may take one more task."""

LookBeforeSending: TypeAlias = Callable[[bool], None]
"""Is told before each POST whether an earlier one may have been accepted; what it raises stops the POST."""


class RunwareClient:
    """Speaks to one account. Use it as `async with`; safe for any number of concurrent callers.

    Every method raises a `RunwareError` that keeps the API's code, message, parameter and task. `download_hosts` are
    hosts that results may come from, besides the API's own and `*.runware.ai`. `webhook_url` is where the API is to
    tell of results, with the secret in its query; tasks that name a webhook of their own keep it. `on_answer` is told
    of every exchange.
    """

    def __init__(
        self,
        api_key: str,
        base_url: str = DEFAULT_BASE_URL,
        *,
        http_config: HttpConfig | None = None,
        download_hosts: Sequence[str] = (),
        webhook_url: str = "",
        on_answer: ResponseHook | None = None,
    ) -> None:
        self.http_config = http_config or HttpConfig()
        self._webhook_url = webhook_url
        secrets = secrets_in(webhook_url)
        self._transport = Transport(api_key, base_url, self.http_config, secrets=secrets, on_answer=on_answer)
        self._troubles = Troubles()
        self._downloads = Downloads(self._transport, self.http_config, download_hosts, self._troubles)
        self.polls_per_post = _POLLS_PER_POST
        self._doubts = 0
        self._early: dict[str, TaskReport] = {}
        self._simulated: bool | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.close()

    @property
    def base_url(self) -> str:
        """Where the API is."""
        return self._transport.base_url

    @property
    def has_webhook(self) -> bool:
        """Whether the API is asked to tell of results by itself."""
        return bool(self._webhook_url)

    @property
    def trouble(self) -> Trouble:
        """What submissions, downloads and questions of the account wait for before they are tried again."""
        return self._troubles.now

    async def is_simulated(self) -> bool:
        """Whether a simulator answers, which says so itself; the public API is not asked."""
        if self._simulated is None and httpx.URL(self.base_url).host == httpx.URL(DEFAULT_BASE_URL).host:
            self._simulated = False
        if self._simulated is None:
            said = await self._tried(partial(self._transport.server_header, "X-Simulated-By"), tries=_GREETINGS)
            self._simulated = said is not None
        return self._simulated

    def hide(self, task: Mapping[str, Any]) -> None:
        """Has nothing that the API says repeat what is private in the addresses of a task, sent here or before."""
        self._transport.redaction.hide_task(task)

    def shown(self, said: str) -> str:
        """A text of the API, such as the address of a result, as it may be kept: without secrets."""
        return self._transport.redaction.text(said)

    async def submit(
        self,
        task: Mapping[str, Any],
        capacity: WaitForCapacity | None = None,
        before_sending: LookBeforeSending | None = None,
    ) -> None:
        """Sends one task until the API has it; returns once it was accepted, now or before.

        With `capacity` a refusal because the API takes no more tasks is no failed try: the task is sent again, under
        the same UUID, whenever `capacity` returns, however often that is. `before_sending` is called before each POST
        is written, and told whether an earlier one may have been accepted; what it raises is raised, and that POST is
        not sent.

        After trouble on the way it polls first and sends again only what the API does not know, under the same UUID.
        Raises what refuses the task for good, `RunwareBusyError` when its tries are used up, and
        `SubmissionUnconfirmedError` when it was refused after an earlier try that may have been accepted.
        """
        hook = {"webhookURL": self._webhook_url} if self._webhook_url else {}
        task = {**hook, **task, "deliveryMethod": "async", "includeCost": True}
        submission = _Submission(self, task, before_sending)
        if capacity is None:
            await self._tried(submission.send)
            return
        while True:
            try:
                await self._tried(submission.send, is_retried=_is_trouble_on_the_way)
            except RunwareBusyError as error:
                if not is_over_capacity(error):
                    raise
                self._troubles.note(error)
                await self._troubles.wait(submission.certain(capacity(error)))
            else:
                return

    async def submit_once(self, task: Mapping[str, Any], before_sending: BeforeSending | None = None) -> None:
        """Sends one task once.

        A refusal that is not in the API's own words, such as a proxy's page, says nothing about the task: it is looked
        for, and if it is not found the error tells that it may have been accepted.
        """
        try:
            await self._submit_once(task, before_sending)
        except RunwareError as error:
            if error.is_transient or is_own_words(error.fault):
                raise
            if not await self._is_found(task["taskUUID"]):
                error.may_be_accepted = self._transport.has_been_answered
                raise

    async def _is_found(self, task_uuid: str) -> bool:
        """Whether the API has a task, which it may take a moment to know."""
        for wait_s in (0.0, self.http_config.initial_retry_delay_s):
            await asyncio.sleep(wait_s)
            with suppress(RunwareError):
                if await self.knows(task_uuid):
                    return True
        return False

    async def _submit_once(self, task: Mapping[str, Any], before_sending: BeforeSending | None) -> None:
        answer, task_uuid = await self._transport.post([task], before_sending), task["taskUUID"]
        report = reports_in(answer, (task_uuid,)).get(task_uuid, TaskReport(task_uuid))
        if report.results:
            self._early[task_uuid] = report
            return
        fault = refusal_in(answer, task_uuid) or next(iter(report.faults), None)
        if fault is None or isinstance(refusal := refusal_of(fault), TaskConflictError):
            return
        if not is_doubtful(answer, fault, task_uuid):
            raise refusal
        unclear = replace(fault, http_status=None, retry_after_s=None)
        if refusal.is_transient:
            raise RunwareBusyError(unclear)
        await self._find(task_uuid, unclear)

    async def _find(self, task_uuid: str, fault: ApiFault) -> None:
        """Looks for a task that was refused in an answer that also tells of its acceptance; never sends it again."""

        async def look() -> None:
            if not await self.knows(task_uuid):
                raise RunwareBusyError(fault)

        try:
            await self._tried(look)
        except RunwareError:
            raise SubmissionUnconfirmedError(fault) from None

    async def is_unknown(self, task_uuid: str) -> bool:
        """Whether the API says twice, some time apart, that it does not have a task: one answer may come too early."""
        for wait_s in (0.0, self.http_config.initial_retry_delay_s):
            await asyncio.sleep(wait_s)
            if await self.knows(task_uuid):
                return False
        return True

    async def knows(self, task_uuid: str) -> bool:
        """Whether the API says that it has a task."""
        report = (await self._poll_once((task_uuid,))).get(task_uuid)
        return report is not None and report.is_known

    async def poll(self, task_uuids: Iterable[str]) -> dict[str, TaskReport]:
        """Asks for many tasks at once; a task that the API does not know is left out of the answer.

        Many tasks share a POST. When a shared answer leaves some out, one of them is asked for alone: if the API knows
        it after all, sharing does not work there, and from then on each task has its own POST. Raises at once on
        trouble with the poll itself, which says nothing about the tasks.
        """
        asked = tuple(task_uuids)
        found: dict[str, TaskReport] = {}
        while rest := asked[: self.polls_per_post]:
            asked = asked[len(rest) :]
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
            self._doubts += 1
            if alone := await self._poll_once((missing[self._doubts % len(missing)],)):
                self.polls_per_post = 1
                return found | alone | await self.poll(missing)
        return found

    async def _poll_once(self, task_uuids: tuple[str, ...]) -> dict[str, TaskReport]:
        asked = [{"taskType": "getResponse", "taskUUID": task_uuid} for task_uuid in task_uuids]
        answer = await self._transport.post(asked)
        found = reports_in(answer, task_uuids)
        if not found and (fault := _trouble_in(answer, task_uuids)):
            raise refusal_of(fault)
        return {**{task_uuid: self._early[task_uuid] for task_uuid in task_uuids if task_uuid in self._early}, **found}

    async def download(self, url: str, path: Path, slots: asyncio.Semaphore | None = None) -> None:
        """Writes a result to `path`, in pieces; repeats what is cut off or not ready yet.

        Each try takes one of the `slots`, and none while it waits for the next one.
        """
        await self._downloads.fetch(url, path, slots or asyncio.Semaphore())

    async def upload(self, path: Path, content: bytes | None = None) -> str:
        """Stores a local picture or sound with the API and returns its UUID there; `content` is what it holds."""
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
        return await self._tried(partial(self._uploaded, task_uuid))

    async def _uploaded(self, task_uuid: str) -> str:
        answer = await self._transport.post([{"taskType": "getResponse", "taskUUID": task_uuid}])
        if fault := refusal_in(answer, task_uuid):
            raise refusal_of(fault)
        for media_uuid in filter(None, map(_media_uuid_in, answer.data)):
            return media_uuid
        raise RunwareBusyError(ApiFault("mediaNotReady", "the upload is still being processed", task_uuid=task_uuid))

    async def delete_upload(self, media_uuid: str) -> None:
        """Removes an upload from the API's storage."""
        await self._ask("mediaStorage", operation="delete", media=media_uuid)

    async def balance(self) -> Decimal | None:
        """The account's balance in dollars; None where the API does not state it."""
        return account.balance_in(await self._ask("accountManagement", operation="getDetails"))

    async def usage(self, first: date, last: date, model: str) -> tuple[account.DayOfUsage, ...]:
        """What the account says was spent on one model by day, both days included, in UTC; 30 days at most."""
        if last - first > timedelta(days=29):
            raise ValueError("the API tells at most 30 days of usage at once")
        asked: dict[str, Any] = {"startDate": first.isoformat(), "endDate": last.isoformat(), "timezone": "UTC"}
        asked |= {"operation": "getUsageActivity", "groupBy": ["date"], "models": [model]}
        return account.usage_in(await self._ask("accountManagement", **asked))

    async def details(self, task_uuid: str) -> Mapping[str, Any]:
        """What the API's archive has of a task: its request, and the last answer that it was given."""
        return await self._ask("getTaskDetails", task_uuid=task_uuid)

    async def _ask(self, task_type: str, *, task_uuid: str = "", **parameters: Any) -> Mapping[str, Any]:
        task = {"taskType": task_type, "taskUUID": task_uuid or str(uuid.uuid4()), **parameters}
        return await self._tried(partial(self._ask_once, task))

    async def _ask_once(self, task: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = await self._transport.post([task])
        fault = refusal_in(answer, task["taskUUID"])
        if fault or not answer.data:
            nothing = ApiFault("unrecognizedResponse", f"{task['taskType']} was answered with nothing")
            raise refusal_of(fault or nothing)
        return next((item for item in answer.data if item.get("taskUUID") == task["taskUUID"]), answer.data[0])

    async def _tried(
        self, call: Callable[[], Awaitable[T]], *, tries: int | None = None, is_retried: IsRetried = is_busy
    ) -> T:
        return await tried(call, self.http_config, tries or self.http_config.max_tries, self._troubles, is_retried)


class _Submission:
    """One task on its way to the API, and whether an earlier try may have brought it there."""

    def __init__(
        self, client: RunwareClient, task: Mapping[str, Any], before_sending: LookBeforeSending | None
    ) -> None:
        self._client = client
        self._task = task
        self._before_sending = before_sending
        self._may_be_there = False

    async def send(self) -> None:
        try:
            if not self._may_be_there or await self._client.is_unknown(self._task["taskUUID"]):
                look = self._before_sending and partial(self._before_sending, self._may_be_there)
                await self._client.submit_once(self._task, look)
        except RunwareError as error:
            self._refuse_if_uncertain(error)
            self._may_be_there = self._may_be_there or error.fault.http_status != HTTPStatus.TOO_MANY_REQUESTS
            raise

    async def certain(self, waiting: Awaitable[None]) -> None:
        """Waits, and says of what ends the wait whether the task may have been accepted."""
        try:
            await waiting
        except RunwareBusyError as error:
            raise RunwareBusyError(error.fault, is_surely_refused=not self._may_be_there) from None
        except RunwareError as error:
            self._refuse_if_uncertain(error)
            raise

    def _refuse_if_uncertain(self, error: RunwareError) -> None:
        if self._may_be_there and not error.is_transient:
            raise SubmissionUnconfirmedError(error.fault) from None


def _is_trouble_on_the_way(error: BaseException) -> bool:
    return isinstance(error, RunwareBusyError) and not is_over_capacity(error)


def _media_uuid_in(item: Mapping[str, Any]) -> str | None:
    """An upload that is still being processed has the UUID 1, or none."""
    said = name_in(item.get("mediaUUID"))
    return None if said in (None, "1") else uuid_in(said) or said


def _trouble_in(answer: Answer, task_uuids: tuple[str, ...]) -> ApiFault | None:
    ours = (fault for fault in answer.faults if fault.task_uuid is None or fault.task_uuid in task_uuids)
    return next(ours, None) or refusal_in(answer, None)
