"""The review server: serves review pages and the store's videos to named reviewers, and records their decisions."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from wan_assets.errors import DecisionError, StoreError, WanAssetsError
from wan_assets.ledger import Decision, Ledger, NewDecision
from wan_assets.servers import http_server
from wan_assets.servers.decision_requests import decisions_in, recorded_json
from wan_assets.servers.file_server import StoreFiles, hosts_of
from wan_assets.servers.request_body import RefusalError, body_of
from wan_assets.servers.review_access import ReviewAccess
from wan_assets.servers.review_sessions import ReviewerSessions
from wan_assets.store import VideoStore

_MAX_BYTES = 1_000_000
_MAX_DECISIONS = 1_000
_PAGE_FILE = re.compile(
    r"(index|review)\.html|[a-z_]+\.(js|css)|icon\.svg|data-[0-9a-f]{16}/[a-z]+-[0-9]+\.js|posters/[0-9a-f]{64}\.webp"
)
"""The files of a review folder: no other path is looked up."""

_UNCHANGING = {"Cache-Control": "private, max-age=86400, immutable"}
_REVALIDATED = {"Cache-Control": "no-cache"}
_NOT_STORED = {"Cache-Control": "no-store"}
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
_SAMPLE = f"videos/00/{'0' * 64}/{'0' * 8}-0000-4000-8000-{'0' * 12}-1.mp4"


class ReviewFolder(Protocol):
    """The written pages of a table; see `wan_assets.gallery.ReviewPages`."""

    @property
    def root(self) -> Path:
        """The folder with the pages."""

    def write(self) -> object:
        """Writes the pages again, with the videos and decisions that exist now."""

    def new_videos(self) -> int:
        """Returns the number of videos that the pages do not contain yet."""

    def clips(self, page: int) -> list[dict[str, Any]] | None:
        """Returns the data of one page of clips, from 0; None if there is no such page."""


def serve_review(
    folder: ReviewFolder,
    *,
    store: VideoStore,
    ledger: Ledger,
    access: ReviewAccess,
    host: str = "127.0.0.1",
    port: int,
    on_ready: Callable[[dict[str, str]], None] | None = None,
) -> None:
    """Serves until SIGINT or SIGTERM; calls `on_ready` with the secret link of each reviewer. Raises `ListenError`."""

    def announce(address: str) -> None:
        if on_ready:
            on_ready({name: f"{address}/?token={quote(token)}" for name, token in access.tokens.items()})

    app = review_app(folder, store=store, ledger=ledger, access=access, hosts=hosts_of(host))
    http_server.serve(app, host=host, port=port, on_ready=announce)


def review_app(
    folder: ReviewFolder, *, store: VideoStore, ledger: Ledger, access: ReviewAccess, hosts: tuple[str, ...]
) -> Starlette:
    """Returns the application; it answers requests with a host in `hosts` and the session of a reviewer only."""
    review = _Review(folder, ledger, access)
    routes = [
        Route("/api/session", review.session, methods=["GET"]),
        Route("/api/decisions", review.since, methods=["GET"]),
        Route("/api/decisions", review.decide, methods=["POST"]),
        Route("/api/clips", review.clips, methods=["GET"]),
        Route("/api/pages", review.write_pages, methods=["POST"]),
        Route("/videos/{place:path}", StoreFiles(store, _UNCHANGING).endpoint, methods=["GET"]),
        Route("/{path:path}", review.page, methods=["GET"]),
    ]
    middleware = [
        Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
        Middleware(ReviewerSessions, access=access, headers=_headers_for(store)),
    ]
    app = Starlette(routes=routes, middleware=middleware)
    app.router.redirect_slashes = False
    return app


class _Review:
    def __init__(self, folder: ReviewFolder, ledger: Ledger, access: ReviewAccess) -> None:
        self._folder = folder
        self._ledger = ledger
        self._access = access

    async def session(self, request: Request) -> Response:
        reviewer = request.scope["reviewer"]
        found = {"reviewer": reviewer, "csrf": self._access.csrf(reviewer), "scope": self._access.scope}
        return JSONResponse(found, headers=_NOT_STORED)

    async def since(self, request: Request) -> Response:
        """Answers the decisions with a number above `after`, and the number of new videos if `videos` is given."""
        after = _number(request, "after")
        if after is None:
            return PlainTextResponse("after is not a number", 400)
        return await _answered(self._since, after, "videos" in request.query_params)

    async def decide(self, request: Request) -> Response:
        try:
            new = decisions_in(await body_of(request, _MAX_BYTES), request.scope["reviewer"])
        except RefusalError as refusal:
            return PlainTextResponse(str(refusal), refusal.status)
        except ClientDisconnect:
            return Response()  # the client has disconnected
        return await _answered(self._decided, new)

    async def clips(self, request: Request) -> Response:
        page = _number(request, "page")
        found = None if page is None else await run_in_threadpool(self._folder.clips, page)
        if found is None:
            return PlainTextResponse("there is no such page of clips", 404)
        return JSONResponse({"clips": found}, headers=_NOT_STORED)

    async def write_pages(self, _: Request) -> Response:
        return await _answered(self._write_pages)

    async def page(self, request: Request) -> Response:
        name = request.path_params["path"] or "review.html"
        file = self._folder.root / name
        if not _PAGE_FILE.fullmatch(name) or not await run_in_threadpool(file.is_file):
            return PlainTextResponse("the page does not exist", 404)
        return FileResponse(file, headers=_UNCHANGING if "/" in name else _REVALIDATED)

    def _since(self, after: int, with_videos: bool) -> dict[str, Any]:
        found = self._ledger.decisions_after(after, _MAX_DECISIONS)
        answer: dict[str, Any] = {"decisions": list(map(recorded_json, found)), "more": len(found) == _MAX_DECISIONS}
        return answer | ({"new_videos": self._folder.new_videos()} if with_videos else {})

    def _decided(self, new: list[NewDecision]) -> dict[str, Any]:
        recorded = self._ledger.decide(new)
        if not all(map(_is_of, recorded, new)):
            raise RefusalError(409, "the key belongs to another decision")
        return {"decisions": list(map(recorded_json, recorded))}

    def _write_pages(self) -> dict[str, Any]:
        self._folder.write()
        return {}


async def _answered(function: Callable[..., dict[str, Any]], *arguments: Any) -> Response:
    """Answers with the result of a blocking function, or with its error: 422 if a repetition cannot succeed."""
    try:
        return JSONResponse(await run_in_threadpool(function, *arguments), headers=_NOT_STORED)
    except RefusalError as refusal:
        return PlainTextResponse(str(refusal), refusal.status)
    except DecisionError as error:
        return PlainTextResponse(f"{error}. {error.hint}", 422)
    except WanAssetsError as error:
        return PlainTextResponse(f"{error}. {error.hint}", 503)


def _is_of(recorded: Decision, new: NewDecision) -> bool:
    """Whether a recorded decision is the one that was sent, and not another one with the same key."""
    return (recorded.video, recorded.value, recorded.reviewer) == (new.video, new.value, new.reviewer)


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name, "")
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None


def _headers_for(store: VideoStore) -> dict[str, str]:
    """Returns the headers of all answers; the pages may load videos from the store's bucket, and nothing else."""
    try:
        place = store.file_at(_SAMPLE, 60.0, "video/mp4")
    except StoreError:
        place = Path()
    split = urlsplit(place) if isinstance(place, str) else None
    bucket = f" {split.scheme}://{split.netloc}" if split else ""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        f"media-src 'self'{bucket}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {**_HEADERS, "Content-Security-Policy": policy}
