"""Result files: rendered when they are first asked for, and served with ranges."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from wan_assets.simulator.behaviour import Behaviour
from wan_assets.simulator.books import AcceptedTask, Books
from wan_assets.simulator.tasks import clip_of, request_of
from wan_assets.video import render

_TYPES = {"MP4": "video/mp4", "MOV": "video/quicktime", "WEBM": "video/webm"}


class Files:
    """Serves `/files/<video_uuid>.<format>`; refuses requests that carry a key, which is for the API alone."""

    def __init__(self, folder: Path, books: Books, behaviour: Behaviour) -> None:
        self._folder = folder / "media"
        self._books = books
        self._behaviour = behaviour

    async def serve(self, request: Request) -> Response:
        if "authorization" in request.headers:
            return JSONResponse({"error": "the API key must not be sent to the download host"}, 400)
        found = self._books.video(str(request.path_params["name"]).partition(".")[0])
        if found is None or found[0].plan[found[1]]["finishes_at"] > self._behaviour.clock():
            return JSONResponse({"error": "no such file"}, 404)
        task, number = found
        if self._has_expired(task, number):
            return JSONResponse({"error": "the file has expired"}, 410)
        if trouble := await self._trouble(task, number):
            return trouble
        path = await run_in_threadpool(self.path_of, task, number)
        return FileResponse(path, media_type=_TYPES[request_of(task).output_format])

    def path_of(self, task: AcceptedTask, number: int) -> Path:
        """A result's file, rendered if it is not there yet."""
        result = task.plan[number]
        path = self._folder / f"{result['video_uuid']}.{request_of(task).output_format.lower()}"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            render(clip_of(task, number), path)
        return path

    def _has_expired(self, task: AcceptedTask, number: int) -> bool:
        ttl = task.request.get("ttl")
        return ttl is not None and self._behaviour.clock() > task.plan[number]["finishes_at"] + float(ttl)

    async def _trouble(self, task: AcceptedTask, number: int) -> Response | None:
        struck = [
            fault
            for fault in ("download_422", "download_502", "download_cut", "download_broken", "download_slow")
            if self._behaviour.strikes(fault, task.task_uuid)
        ]
        if not struck:
            return None
        asked = self._books.count("download", task.plan[number]["video_uuid"])
        if "download_422" in struck and asked <= 2:
            return JSONResponse({"error": "still processing"}, 422)
        if "download_502" in struck and asked == 1:
            return Response("bad gateway", 502)
        content = (await run_in_threadpool(self.path_of, task, number)).read_bytes()
        if asked == 1 and struck[0] in ("download_cut", "download_broken"):
            return _damaged(content, struck[0])
        return StreamingResponse(_slowly(content)) if "download_slow" in struck else None


def _damaged(content: bytes, fault: str) -> Response:
    half = len(content) // 2
    if fault == "download_broken":
        return Response(content[:half], media_type="video/mp4")
    return StreamingResponse(_slowly(content[:half]), headers={"Content-Length": str(len(content))})


async def _slowly(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 16_384):
        yield content[start : start + 16_384]
        await asyncio.sleep(0.005)
