"""Adopts quarantined files as the videos of their rows: decodes, stores and records them without payment."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from pathlib import Path

from wan_assets.engine.ledger_session import LedgerSession
from wan_assets.engine.task_files import TaskFiles, name_of, recorded_result
from wan_assets.errors import (
    DecoderError,
    InvalidVideoError,
    NothingToAdoptError,
    TaskLockedError,
    WanAssetsError,
)
from wan_assets.ledger import Ledger, Origin, Task, TaskState
from wan_assets.models import VideoRequest
from wan_assets.store import StoredTask, StoredVideo, VideoStore
from wan_assets.video import Verifier


@dataclass(frozen=True)
class Adopted:
    """The result of one task: `stored` are its videos, or `error` is the reason why they are not accepted.

    `was_stored` states that the videos were already in the store.
    """

    task_uuid: str
    stored: StoredTask | None = None
    error: WanAssetsError | None = None
    was_stored: bool = False


async def adopt(task_uuids: Iterable[str], *, store: VideoStore, ledger: Ledger) -> AsyncGenerator[Adopted, None]:
    """Yields the result of each task, in the given order; the API is not called.

    Raises `StoreError` or `LedgerError` if the store or the ledger is not usable.
    """
    store.make_ready()
    async with LedgerSession(ledger, store, Origin(), simulated=False) as session, Verifier() as verifier:
        adoption = _Adoption(session, TaskFiles(session, verifier))
        for task_uuid in dict.fromkeys(task_uuids):
            try:
                yield await adoption.adopted(task_uuid)
            except WanAssetsError as error:
                yield Adopted(task_uuid, error=error)


class _Adoption:
    def __init__(self, session: LedgerSession, files: TaskFiles) -> None:
        self._session = session
        self._files = files

    async def adopted(self, task_uuid: str) -> Adopted:
        task = await self._session.call(self._session.ledger.task, task_uuid)
        if task is None:
            raise NothingToAdoptError(task_uuid, "it is not in the ledger")
        if stored := self._stored(task):
            await self._files.remove_quarantined(task)
            return Adopted(task_uuid, stored, was_stored=True)
        if task.state not in (TaskState.DELIVERED, TaskState.STORED):
            raise NothingToAdoptError(task_uuid, f"it is {task.state}, and only a delivered task has such a file")
        if task.state is TaskState.DELIVERED and (await self._session.take(task_uuid)).status == "locked":
            raise TaskLockedError(task_uuid)
        return Adopted(task_uuid, await self._store(task))

    def _stored(self, task: Task) -> StoredTask | None:
        if task.state is not TaskState.STORED:
            return None
        return self._session.store.task(task.fingerprint, task.task_uuid, simulated=task.is_simulated)

    async def _store(self, task: Task) -> StoredTask:
        request = VideoRequest.from_record(task.request)
        seconds = self._session.seconds_since(task.submitted_at or task.created_at)
        videos, missing = list[StoredVideo](), list[str]()
        for number in range(1, max(task.number_results, len(task.results)) + 1):
            if await self._files.has_kept(task, number):
                videos.append(await self._video(task, request, number))
            elif number <= len(task.results) and (task.results[number - 1].get("url") or task.number_results == 1):
                raise NothingToAdoptError(task.task_uuid, f"no file of its result {number} is in the store")
            else:
                missing.append(f"noOutput: result {number} has no file")
        if not videos:
            raise NothingToAdoptError(task.task_uuid, "no file of it is in the store")
        stored, _ = await self._files.store(task, request, videos, missing, seconds=seconds)
        await self._files.remove_quarantined(task)
        return stored

    async def _video(self, task: Task, request: VideoRequest, number: int) -> StoredVideo:
        reported = task.results[number - 1] if number <= len(task.results) else {}
        with self._session.store.incoming(Path(name_of(task, number)).suffix) as path:
            kept = await self._files.copy_quarantined(task, number, path)
            try:
                inspection = await self._files.inspect_file(path)
            except (InvalidVideoError, DecoderError) as error:
                raise type(error)(f"task {task.task_uuid}: {kept} is not accepted: {error}") from None
            return await self._files.put(task, request, number, recorded_result(reported), path, inspection, etag=None)
