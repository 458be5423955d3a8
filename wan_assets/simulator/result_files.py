"""Result files, rendered on first access and served with support for ranges."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from wan_assets.simulator.behaviour import Behaviour
from wan_assets.simulator.faults import DOWNLOAD_FAULTS
from wan_assets.simulator.journal import AcceptedTask, Journal
from wan_assets.simulator.refusals import error_item
from wan_assets.simulator.responses import Cut, Malformed, Slow, Stalled, envelope, html_response
from wan_assets.simulator.tasks import format_of, served_clip
from wan_assets.video import render

_TYPES = {"MP4": "video/mp4", "MOV": "video/quicktime", "WEBM": "video/webm"}
_PIECE_BYTES = 16_384
_NOT_READY_TIMES = 2


class ResultFiles:
    """Serves `/files/<video_uuid>.<format>`; refuses requests with an API key, which belongs only to the API host."""

    def __init__(self, folder: Path, journal: Journal, behaviour: Behaviour) -> None:
        self._folder = folder / "media"
        self._journal = journal
        self._behaviour = behaviour
        self._renderers = ThreadPoolExecutor(2, "simulator-render")

    def close(self) -> None:
        self._renderers.shutdown(wait=False, cancel_futures=True)

    async def serve(self, request: Request) -> Response:
        if "authorization" in request.headers:
            return _error_response("forbiddenHeader", "The API key must not be sent to the download host.", 400)
        video_uuid = str(request.path_params["name"]).partition(".")[0]
        found = await run_in_threadpool(self._journal.video, video_uuid)
        if found is None or not self._is_available(*found):
            return _error_response("mediaNotFound", "There is no such file.", 404)
        task, number = found
        if self._has_expired(task, number):
            self._path(task, number).unlink(missing_ok=True)
            return _error_response("mediaExpired", "The file has expired.", self._behaviour.expired_status)
        return await self._fault_response(request, task, number) or FileResponse(
            await self.path_of(task, number), media_type=_TYPES[format_of(task)]
        )

    async def path_of(self, task: AcceptedTask, number: int) -> Path:
        """Returns the path of a result's file, and renders the file if it does not exist."""
        path = self._path(task, number)
        if not path.exists():
            await asyncio.get_running_loop().run_in_executor(self._renderers, self._render, task, number)
        return path

    def _render(self, task: AcceptedTask, number: int) -> None:
        path = self._path(task, number)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            render(served_clip(task, number, self._behaviour), path)

    def _path(self, task: AcceptedTask, number: int) -> Path:
        return self._folder / f"{task.plan[number]['video_uuid']}.{format_of(task).lower()}"

    def _is_available(self, task: AcceptedTask, number: int) -> bool:
        result = task.plan[number]
        return not result["fault"] and result["finishes_at"] <= self._behaviour.clock()

    def _has_expired(self, task: AcceptedTask, number: int) -> bool:
        ttl = task.request.get("ttl") or self._behaviour.ttl_s
        return ttl is not None and self._behaviour.clock() > task.plan[number]["finishes_at"] + float(ttl)

    async def _fault_response(self, request: Request, task: AcceptedTask, number: int) -> Response | None:
        key = task.plan[number]["video_uuid"]
        fault = self._behaviour.fault_among(DOWNLOAD_FAULTS, key)
        occurrence = await run_in_threadpool(self._journal.count, "download", key) if fault else 0
        if fault == "download_422" and occurrence <= _NOT_READY_TIMES:
            return _error_response("stillProcessing", "The file is not ready yet.", 422)
        if not fault or occurrence > 1 or fault == "download_422":
            return None
        if fault == "download_502":
            return html_response(502)
        if fault == "download_redirect":
            return RedirectResponse(f"http://elsewhere.invalid{request.url.path}", 302)
        if fault == "download_malformed":
            return Malformed(self._behaviour, key)
        content = (await self.path_of(task, number)).read_bytes()
        return _FAULTY_RESPONSES[fault](content, _TYPES[format_of(task)], self._behaviour)


_FAULTY_RESPONSES: dict[str, Callable[[bytes, str, Behaviour], Response]] = {
    "download_cut": lambda content, kind, _: Cut(content, media_type=kind),
    "download_stalled": lambda content, kind, _: Stalled(content, media_type=kind),
    "download_broken": lambda content, kind, _: Response(content[: len(content) // 2], media_type=kind),
    "download_slow": lambda content, kind, behaviour: Slow(
        content, behaviour.pause_s, piece_bytes=_PIECE_BYTES, media_type=kind
    ),
}


def _error_response(code: str, message: str, status: int, **more: Any) -> Response:
    return envelope([], [error_item(code, message, **more)], status)
