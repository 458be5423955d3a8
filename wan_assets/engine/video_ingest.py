"""Brings the files of a finished task to the store: downloads or finds them, checks them, and records them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from wan_assets.client import Result, RunwareClient, TaskReport
from wan_assets.engine.jobs import VideoJob
from wan_assets.engine.ledger_session import LedgerSession
from wan_assets.engine.task_files import TaskFiles, name_of, recorded_result
from wan_assets.errors import ApiFault, DecoderError, InvalidVideoError, LeaseExpiredError, OutputUnavailableError
from wan_assets.ledger import Task, TaskState
from wan_assets.store import StoredTask, StoredVideo
from wan_assets.video import Inspection

T = TypeVar("T")

_FETCHES_OF_BROKEN_FILES = 3
_MARGIN_S = 3600.0
"""The time in seconds that an upload URL stays valid after the task's time limit, because a task may finish late."""


class VideoIngest:
    """Stores paid results. A file counts once all of it was decoded."""

    def __init__(self, client: RunwareClient, session: LedgerSession, files: TaskFiles) -> None:
        self._client = client
        self._session = session
        self._store = session.store
        self._files = files

    async def delivery(self, task: Task, wait_s: float) -> dict[str, str]:
        """Returns the parameters that make the API upload a task's file to the bucket; `wait_s` is the time limit of
        the task. They are secret.
        """
        if not self._is_awaited(task):
            return {}
        url = await asyncio.to_thread(self._store.delivery_url, name_of(task), wait_s + _MARGIN_S)
        return {"uploadEndpoint": url}

    async def is_delivered(self, task: Task) -> bool:
        """Whether the API has uploaded a task's file to the bucket, independent of the task's reports."""
        return await asyncio.to_thread(self._store.is_delivered, name_of(task))

    async def refuse_if_empty(self, task: Task, report: TaskReport) -> None:
        """Raises `OutputUnavailableError` for a successful task without a file."""
        if any(result.url for result in report.results) or await self._waited(task, self.is_delivered):
            return
        message = "the task succeeded but has no file"
        raise OutputUnavailableError(ApiFault("noOutput", message, task_uuid=task.task_uuid))

    async def report_of_kept(self, task: Task) -> TaskReport | None:
        """Returns a report of quarantined files of a task that the API no longer knows, if all its files are there."""
        numbers = range(1, len(task.results) + 1)
        if not numbers or not all([await self._files.has_kept(task, number) for number in numbers]):
            return None
        return TaskReport(task.task_uuid, tuple(map(recorded_result, task.results)), is_known=True)

    def _is_awaited(self, task: Task) -> bool:
        """Whether the API uploads the task's file to the bucket. An upload URL accepts one file, and a row's own URL
        takes precedence.
        """
        return self._store.has_direct_delivery and task.number_results == 1 and "uploadEndpoint" not in task.request

    async def _waited(self, task: Task, look: Callable[[Task], Awaitable[T]]) -> T:
        """Calls `look` until it finds something, for a limited time if a file may still arrive."""
        http_config = self._client.http_config
        patience_s = http_config.delivery_wait_s if self._is_awaited(task) else 0.0
        while not (found := await look(task)) and patience_s > 0:
            await asyncio.sleep(http_config.webhook_poll_interval_s)
            patience_s -= http_config.webhook_poll_interval_s
        return found

    async def store_results(self, job: VideoJob, task: Task, report: TaskReport) -> tuple[StoredTask, bool]:
        """Downloads, checks and stores all results of a task; if one cannot be stored, the others are kept.

        Also returns whether the task is newly stored in the ledger.
        """
        seconds = self._session.seconds_since(task.submitted_at or task.created_at)
        available = [
            (number, one)
            for number, one in enumerate(report.results, 1)
            if await self._may_have_file(task, number, one)
        ]
        videos, errors = list[StoredVideo](), list[InvalidVideoError | DecoderError]()
        for number, result in available:
            try:
                videos.append(await self._store_result(job, task, number, result))
            except (InvalidVideoError, DecoderError) as error:
                errors.append(error)
        if errors:
            raise type(errors[0])("; ".join(map(str, errors)))
        missing = tuple(_missing_in(report, [result for _, result in available]))
        stored, is_new = await self._files.store(task, job.request, videos, missing, seconds=seconds)
        if self._store.has_inbox:
            await asyncio.to_thread(self._store.remove_delivery, name_of(task))
        return stored, is_new

    async def _may_have_file(self, task: Task, number: int, result: Result) -> bool:
        """Whether a result may have a file; the file of a task's only result may be in the bucket."""
        if result.url or task.number_results == 1:
            return True
        return _was_delivered_before(task) and await self._files.has_kept(task, number)

    async def _store_result(self, job: VideoJob, task: Task, number: int, result: Result) -> StoredVideo:
        with self._store.incoming(Path(name_of(task, number)).suffix) as path:
            try:
                inspection, etag = await self._inspected_file(task, number, result, path)
            except DecoderError as error:
                if await self._session.stored(task):
                    # This process was suspended while it decoded the file, and another one has stored the task.
                    raise LeaseExpiredError(task.task_uuid) from None
                aside = await self._files.put_quarantined(task, number, path)
                message = f"task {task.task_uuid}: {error}. The file is kept as {aside}"
                raise type(error)(message) from None
            return await self._files.put(task, job.request, number, result, path, inspection, etag=etag)

    async def _inspected_file(
        self, task: Task, number: int, result: Result, path: Path
    ) -> tuple[Inspection, str | None]:
        """Returns a decoded file, and its ETag if it is the file in the bucket."""
        if _was_delivered_before(task) and (inspection := await self._inspected_kept_file(task, number, result, path)):
            return inspection, None
        etag = None
        if self._store.has_inbox:
            name = name_of(task, number)
            etag = await self._waited(task, lambda _: asyncio.to_thread(self._store.fetch_delivery, name, path))
        if etag:
            with suppress(InvalidVideoError):
                return await self._files.inspect_file(path), etag
        return await self._downloaded(result, path), None

    async def _inspected_kept_file(self, task: Task, number: int, result: Result, path: Path) -> Inspection | None:
        """Returns a decoded, quarantined file of an earlier run; None if the API's file must be used."""
        if not await self._files.copy_quarantined(task, number, path):
            return None
        try:
            return await self._files.inspect_file(path)
        except (InvalidVideoError, DecoderError):
            if not result.url:
                raise
        return None

    async def _downloaded(self, result: Result, path: Path) -> Inspection:
        for fetch in range(1, _FETCHES_OF_BROKEN_FILES + 1):
            await self._client.download(result.url or "", path, self._files.slots)
            try:
                return await self._files.inspect_file(path)
            except InvalidVideoError as error:
                if fetch == _FETCHES_OF_BROKEN_FILES:
                    raise InvalidVideoError(f"video {result.video_uuid}, downloaded {fetch} times: {error}") from None
        raise AssertionError("the loop above returns or raises")


def report_of_delivery(task: Task) -> TaskReport:
    """Returns a report of a task whose file is in the bucket but that the API no longer knows."""
    reported = task.results[0] if task.results else {}
    return TaskReport(task.task_uuid, (recorded_result(reported),), is_known=True)


def _was_delivered_before(task: Task) -> bool:
    """Whether an earlier run may have quarantined files of a task; a new task has none."""
    return task.state is TaskState.DELIVERED


def _missing_in(report: TaskReport, available: Sequence[Result]) -> Iterator[str]:
    """Yields the reasons why requested results have no video."""
    yield from (f"{fault.code}: {fault.message}" for fault in report.faults)
    yield from (f"noOutput: result {one.video_uuid} has no file" for one in report.results if one not in available)
