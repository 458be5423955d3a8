"""The file server, which serves the store's videos and thumbnails to browsers and nothing else.

Files on a local disk are served with byte ranges, so that a player can seek. For videos in a bucket the browser is
redirected to a URL that is signed for each request, so that no Dagster event contains a signed URL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from wan_assets.errors import StoreError
from wan_assets.servers import http_server
from wan_assets.store import VideoStore

_MEDIA_TYPES = {
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mov": "video/quicktime",
    ".mkv": "video/matroska",
    ".webp": "image/webp",
}
_VIDEO_PATH = re.compile(
    r"(videos|simulated)/[0-9a-f]{2}/[0-9a-f]{64}/[0-9a-f-]{36}-[0-9]+(\.mp4|\.webm|\.mov|\.mkv|\.webp)"
)
"""The paths of videos in a store: no other path is looked up."""

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; media-src 'self'; img-src 'self'; style-src 'unsafe-inline'",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Referrer-Policy": "no-referrer",
}
_URL_VALID_S = 3600.0
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""The host names of this machine, as requests contain them."""


def files_app(store: VideoStore, *, hosts: tuple[str, ...] = LOOPBACK) -> Starlette:
    """Returns an application that answers `GET /<path of a video below the root>` for requests with a host in `hosts`.

    The host names prevent another site from reaching the server under a name of its own. `*` accepts all.
    """
    route = Route("/{place:path}", StoreFiles(store, _HEADERS).endpoint, methods=["GET"])
    return Starlette(routes=[route], middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))])


def serve_files(
    store: VideoStore, *, host: str = "127.0.0.1", port: int, on_ready: Callable[[str], None] | None = None
) -> None:
    """Serves until SIGINT or SIGTERM; calls `on_ready` with the address. Raises `ListenError`."""
    hosts = hosts_of(host)
    http_server.serve(files_app(store, hosts=hosts), host=host, port=port, on_ready=on_ready)


def hosts_of(host: str) -> tuple[str, ...]:
    """Returns the names that requests may have for a server that listens on `host`."""
    return LOOPBACK if host in (*LOOPBACK, "::1") else ("*",)


class StoreFiles:
    """Answers requests for the videos of a store with `headers`."""

    def __init__(self, store: VideoStore, headers: Mapping[str, str]) -> None:
        self._store = store
        self._headers = headers

    async def endpoint(self, request: Request) -> Response:
        """Answers one request; the path parameter `place` is the path below the store's root."""
        path = request.path_params["place"]
        if not _VIDEO_PATH.fullmatch(path):
            return PlainTextResponse("the video does not exist", 404)
        kind = _MEDIA_TYPES[PurePosixPath(path).suffix]
        try:
            file = await run_in_threadpool(self._store.file_at, path, _URL_VALID_S, kind)
        except StoreError as error:
            return PlainTextResponse(f"{error}. {error.hint}", 502)
        if isinstance(file, str):
            return RedirectResponse(file, 307, headers={"Cache-Control": "no-store"})
        if not await run_in_threadpool(self._is_inside, file):
            return PlainTextResponse("the video does not exist", 404)
        return FileResponse(file, media_type=kind, headers=self._headers)

    def _is_inside(self, file: Path) -> bool:
        """Whether a file is inside the store after links are resolved."""
        root = Path(self._store.root.path).resolve()
        return file.is_file() and file.resolve().is_relative_to(root)
