"""Stores the files of one task after decoding, records them, or quarantines them."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wan_assets import __version__
from wan_assets.client import Result
from wan_assets.engine.jobs import OnMismatch
from wan_assets.engine.ledger_session import LedgerSession
from wan_assets.errors import InvalidVideoError
from wan_assets.ledger import Task, TaskState
from wan_assets.models import VideoRequest, microusd_of
from wan_assets.store import StoredTask, StoredVideo
from wan_assets.video import Inspection, Verifier, expected_of, mismatches

_POSTER_BYTES = 540
"""Dagster shows a text of up to about 1,000 characters without a click; a link takes about 150 of them."""

_SUFFIXES = {"MATROSKA": "mkv"}
"""Suffixes of containers that differ from the container's name."""


class TaskFiles:
    """Stores paid files: every playable file, or with `on_mismatch="fail"` only files as requested.

    `slots` limits the files that are downloaded, decoded or stored at once.
    """

    def __init__(
        self, session: LedgerSession, verifier: Verifier, on_mismatch: OnMismatch = "keep", *, slots: int = 1
    ) -> None:
        self._session = session
        self._store = session.store
        self._verifier = verifier
        self._on_mismatch = on_mismatch
        self.slots = asyncio.Semaphore(slots)

    async def inspect_file(self, path: Path) -> Inspection:
        """Decodes and inspects a file."""
        async with self.slots:
            return await self._verifier.inspect_file(path, _POSTER_BYTES, has_contact_sheet=self._store.has_pictures)

    async def put(
        self,
        task: Task,
        request: VideoRequest,
        number: int,
        result: Result,
        path: Path,
        inspection: Inspection,
        *,
        etag: str | None,
    ) -> StoredVideo:
        """Stores a decoded file and its frames.

        With `on_mismatch="fail"`, a file that deviates from its request is quarantined, and InvalidVideoError is
        raised.
        """
        differences = mismatches(inspection.facts, expected_of(request))
        if differences and self._on_mismatch == "fail":
            aside = await self.put_quarantined(task, number, path)
            raise InvalidVideoError(
                f"task {task.task_uuid}: {'; '.join(differences)}. The file is kept as {aside}; "
                f"`wan-assets ledger adopt {task.task_uuid}` accepts it"
            )
        async with self.slots:
            uri, size, sha256 = await asyncio.to_thread(self._put, task, number, path, inspection, etag)
        return StoredVideo(
            uri=uri,
            bytes=size,
            sha256=sha256,
            video_uuid=result.video_uuid,
            seed=result.seed,
            cost_microusd=microusd_of(result.cost),
            is_nsfw=result.is_nsfw,
            facts=inspection.facts.to_json(),
            poster=base64.b64encode(inspection.poster).decode(),
            differences=differences,
        )

    def _put(
        self, task: Task, number: int, path: Path, inspection: Inspection, etag: str | None
    ) -> tuple[str, int, str]:
        """Returns the file's URI, bytes and SHA-256. The suffix names the real container, not the requested one."""
        container = inspection.facts.container
        name = f"{task.task_uuid}-{number}.{_SUFFIXES.get(container, container.lower())}"
        where: dict[str, Any] = {"fingerprint": task.fingerprint, "simulated": task.is_simulated}
        if inspection.contact_sheet:
            self._store.put_contact_sheet(inspection.contact_sheet, name, **where)
        return self._store.put(path, name, **where, etag=etag if name == name_of(task, number) else None)

    async def put_quarantined(self, task: Task, number: int, path: Path) -> str:
        """Quarantines a file; returns its URI."""
        return await asyncio.to_thread(self._store.put_quarantined, path, name_of(task, number))

    async def copy_quarantined(self, task: Task, number: int, path: Path) -> str:
        """Copies the quarantined file of a result from an earlier run; returns its URI, or an empty text if there is
        none.
        """
        where: dict[str, Any] = {"fingerprint": task.fingerprint, "simulated": task.is_simulated}
        return await asyncio.to_thread(self._store.copy_quarantined, name_of(task, number), path, **where)

    async def has_kept(self, task: Task, number: int) -> bool:
        """Whether an earlier run has quarantined a file of a result."""
        where: dict[str, Any] = {"fingerprint": task.fingerprint, "simulated": task.is_simulated}
        return bool(await asyncio.to_thread(self._store.quarantined_uri, name_of(task, number), **where))

    async def store(
        self,
        task: Task,
        request: VideoRequest,
        videos: Sequence[StoredVideo],
        missing: Sequence[str],
        *,
        seconds: float,
    ) -> tuple[StoredTask, bool]:
        """Commits a task's files once all are stored; `seconds` is the time of the generation.

        Also returns whether the task is newly stored in the ledger.
        """
        stored = StoredTask(
            task_uuid=task.task_uuid,
            fingerprint=task.fingerprint,
            is_simulated=task.is_simulated,
            prompt=request.prompt,
            videos=tuple(videos),
            missing=tuple(missing),
            reserved_microusd=task.reserved_microusd,
            generation_s=round(seconds, 3),
            stored_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            request=task.request,
            package_version=__version__,
        )
        await asyncio.to_thread(self._store.commit, stored)
        if task.state is TaskState.DELIVERED:
            # Before the task is marked: a run that is killed in between finds the task again, and the file with it.
            await self.remove_quarantined(task)
        return stored, await self._session.mark_stored(task, [_booked(video) for video in videos])

    async def remove_quarantined(self, task: Task) -> None:
        """Deletes the quarantined files of a stored task."""
        await asyncio.to_thread(self._store.remove_quarantined, task.task_uuid)


def name_of(task: Task, number: int = 1) -> str:
    """Returns the file name of a result as requested; it is the name in the store's inbox and in its quarantine."""
    return f"{task.task_uuid}-{number}.{task.request.get('outputFormat', 'MP4')}".lower()


def recorded_result(reported: Mapping[str, Any]) -> Result:
    """Returns a result as recorded in the ledger. It has no URL, so its file must be found without the API."""
    return Result(str(reported.get("video_uuid") or ""), None, reported.get("seed"), reported.get("cost"), is_nsfw=None)


def _booked(video: StoredVideo) -> dict[str, Any]:
    return {"video_uuid": video.video_uuid, "seed": video.seed, "uri": video.uri, "sha256": video.sha256}
