"""From a finished task to files in the store: fetched or found delivered, checked, put in place and booked."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from wan_assets.client import Result, RunwareClient, TaskReport
from wan_assets.errors import ApiFault, InvalidVideoError, OutputUnavailableError
from wan_assets.generation.desk import Desk
from wan_assets.generation.expected import expected_of
from wan_assets.generation.values import Order
from wan_assets.ledger import Task
from wan_assets.pricing import microusd_of
from wan_assets.store import StoredTask, StoredVideo
from wan_assets.version import __version__
from wan_assets.video import Seen, Verifier, mismatches

T = TypeVar("T")

_FETCHES_OF_BROKEN_FILES = 3
_POSTER_BYTES = 540
"""Dagster shows a text without a click up to about 1,000 characters, of which a link takes some 150."""

_MARGIN_S = 3600.0
"""A task may finish when its time is up, and the file then has to be put; in seconds."""


class Keeper:
    """Keeps what was paid for. A file counts once it was decoded and is the video that was asked for."""

    def __init__(self, client: RunwareClient, desk: Desk, verifier: Verifier) -> None:
        self._client = client
        self._desk = desk
        self._store = desk.store
        self._verifier = verifier

    async def delivery(self, task: Task, wait_s: float) -> dict[str, str]:
        """What a task says of where its file is to be put, given the seconds that it may take; a secret."""
        if not self._is_awaited(task):
            return {}
        url = await asyncio.to_thread(self._store.delivery_url, _name(task), wait_s + _MARGIN_S)
        return {"uploadEndpoint": url}

    async def is_delivered(self, task: Task) -> bool:
        """Whether the API has put a task's file into the bucket, whatever it says of the task."""
        return await asyncio.to_thread(self._store.is_delivered, _name(task))

    async def refuse_if_empty(self, task: Task, report: TaskReport) -> None:
        """Raises `OutputUnavailableError` for a success of which there is no file anywhere."""
        if any(result.url for result in report.results) or await self._waited(task, self.is_delivered):
            return
        message = "the task succeeded but names no file"
        raise OutputUnavailableError(ApiFault("noOutput", message, task_uuid=task.task_uuid))

    def _is_awaited(self, task: Task) -> bool:
        """Whether its file is put into the bucket. An address takes one file; a row's own address comes first."""
        return self._store.delivers and task.number_results == 1 and "uploadEndpoint" not in task.request

    async def _waited(self, task: Task, look: Callable[[Task], Awaitable[T]]) -> T:
        """What a look gives, repeated for a while where a file may still be on its way."""
        pace = self._client.pace
        patience_s = pace.delivery_s if self._is_awaited(task) else 0.0
        while not (found := await look(task)) and patience_s > 0:
            await asyncio.sleep(pace.wake_s)
            patience_s -= pace.wake_s
        return found

    async def keep(self, order: Order, task: Task, report: TaskReport) -> tuple[StoredTask, bool]:
        """Fetches, checks and stores all results of a task; whether the ledger did not have them as stored before."""
        generation_s = self._desk.seconds_since(task.submitted_at or task.created_at)
        is_alone = task.number_results == 1
        there = [(number, result) for number, result in enumerate(report.results, 1) if result.url or is_alone]
        videos = [await self._kept(order, task, number, result) for number, result in there]
        stored = StoredTask(
            task_uuid=task.task_uuid,
            fingerprint=task.fingerprint,
            is_simulated=task.is_simulated,
            prompt=order.request.positive_prompt,
            videos=tuple(videos),
            missing=tuple(_missing_in(report, [result for _, result in there])),
            reserved_microusd=task.reserved_microusd,
            generation_s=round(generation_s, 3),
            stored_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            request=task.request,
            package_version=__version__,
        )
        await asyncio.to_thread(self._store.commit, stored)
        is_new = await self._desk.mark_stored(task, [_booked(video) for video in videos])
        if self._store.has_inbox:
            await asyncio.to_thread(self._store.forget_delivery, _name(task))
        return stored, is_new

    async def _kept(self, order: Order, task: Task, number: int, result: Result) -> StoredVideo:
        name = _name(task, number)
        with self._store.incoming(Path(name).suffix) as path:
            seen, etag = await self._fetched(task, number, result, path)
            if wrong := mismatches(seen.facts, expected_of(order.request)):
                aside = await asyncio.to_thread(self._store.set_aside, path, name)
                raise InvalidVideoError(f"task {task.task_uuid}: {'; '.join(wrong)}. The file is kept as {aside}")
            uri, size, sha256 = await asyncio.to_thread(self._put, task, name, path, seen, etag)
        return StoredVideo(
            uri=uri,
            bytes=size,
            sha256=sha256,
            video_uuid=result.video_uuid,
            seed=result.seed,
            cost_microusd=microusd_of(result.cost),
            is_nsfw=result.is_nsfw,
            facts=seen.facts.to_json(),
            poster=base64.b64encode(seen.poster).decode(),
        )

    def _put(self, task: Task, name: str, path: Path, seen: Seen, etag: str | None) -> tuple[str, int, str]:
        """Puts a file and its frames in their place; gives its URI, bytes and SHA-256."""
        where: dict[str, Any] = {"fingerprint": task.fingerprint, "simulated": task.is_simulated}
        if seen.strip:
            self._store.put_strip(seen.strip, name, **where)
        return self._store.put(path, name, **where, etag=etag)

    async def _fetched(self, task: Task, number: int, result: Result, path: Path) -> tuple[Seen, str | None]:
        """A file as decoded, and its ETag where it is the one that was put into the bucket."""
        name = _name(task, number)
        etag = None
        if self._store.has_inbox:
            etag = await self._waited(task, lambda _: asyncio.to_thread(self._store.delivered, name, path))
        if etag:
            with suppress(InvalidVideoError):
                return await self._seen_in(path), etag
        return await self._downloaded(result, path), None

    async def _seen_in(self, path: Path) -> Seen:
        return await self._verifier.seen_in(path, _POSTER_BYTES, has_strip=self._store.has_pictures)

    async def _downloaded(self, result: Result, path: Path) -> Seen:
        for fetch in range(1, _FETCHES_OF_BROKEN_FILES + 1):
            await self._client.download(result.url or "", path)
            try:
                return await self._seen_in(path)
            except InvalidVideoError as error:
                if fetch == _FETCHES_OF_BROKEN_FILES:
                    raise InvalidVideoError(f"video {result.video_uuid}, fetched {fetch} times: {error}") from None
        raise AssertionError("the loop above returns or raises")


def report_of_delivery(task: Task) -> TaskReport:
    """What is known of a task whose file was put into the bucket, where the API does not tell of it any more."""
    told = task.results[0] if task.results else {}
    result = Result(str(told.get("video_uuid") or ""), None, told.get("seed"), told.get("cost"), is_nsfw=None)
    return TaskReport(task.task_uuid, (result,), is_known=True)


def _name(task: Task, number: int = 1) -> str:
    return f"{task.task_uuid}-{number}.{task.request.get('outputFormat', 'MP4')}".lower()


def _missing_in(report: TaskReport, there: Sequence[Result]) -> Iterator[str]:
    """Why results that were asked for are no videos."""
    yield from (f"{fault.code}: {fault.message}" for fault in report.faults)
    yield from (f"noOutput: result {one.video_uuid} names no file" for one in report.results if one not in there)


def _booked(video: StoredVideo) -> dict[str, Any]:
    return {"video_uuid": video.video_uuid, "seed": video.seed, "uri": video.uri, "sha256": video.sha256}
