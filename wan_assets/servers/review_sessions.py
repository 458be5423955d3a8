"""Admits requests of reviewers to the review server, and refuses all others."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qs

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wan_assets.servers.review_access import ReviewAccess

CSRF_HEADER = "X-CSRF-Token"
PAGES = ("/", "/review.html", "/index.html")

_SESSION_S = 30 * 86_400
_RELOAD_SCRIPT = "/reload.js"
_RELOAD = """"use strict";
/* A link on a page of another site opens this page without its cookie. A reload sends the cookie. */
if (performance.getEntriesByType("navigation")[0].type === "navigate") location.reload();
"""
_REFUSED = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>No access</title>
<script src="{_RELOAD_SCRIPT}"></script>
<h1>This review needs your link</h1>
<p>Open the link that <code>wan-assets review</code> printed for you. It contains a secret token: do not pass it on.
After that, links to clips and views work in this browser.</p>
<p>Decisions that you made on this page before are kept in this browser, and are sent when you open your link.</p>
"""


class ReviewerSessions:
    """Adds `reviewer` to the scope of each request with a session; answers 403 to all other requests.

    A token in the query opens a session and is removed from the address. Changes also need the session's CSRF token
    in a header, and the server's own origin if the browser reports one. `headers` are added to all answers.
    """

    def __init__(self, app: ASGIApp, access: ReviewAccess, headers: Mapping[str, str]) -> None:
        self._app = app
        self._access = access
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admits or answers one request. The query is removed if it contains a token, so that no log contains it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        request = Request(scope)
        token = _token_in(scope["query_string"])
        if token is not None:
            scope["query_string"] = b""
        answer = self._signed_in(request, token) if token is not None else self._refusal_of(request)
        await (answer or self._app)(scope, receive, send_with_headers)

    def _signed_in(self, request: Request, token: str) -> Response:
        reviewer = self._access.reviewer_of_token(token)
        if reviewer is None or request.method != "GET":
            return _refused()
        path = request.scope["path"] if request.scope["path"] in PAGES else "/"
        answer = RedirectResponse(path, 303, headers={"Cache-Control": "no-store"})
        session = self._access.session(reviewer)
        answer.set_cookie(self._access.cookie, session, max_age=_SESSION_S, httponly=True, samesite="strict")
        return answer

    def _refusal_of(self, request: Request) -> Response | None:
        """Returns the answer to a request that is refused; None if it is admitted."""
        if request.scope["path"] == _RELOAD_SCRIPT:
            return Response(_RELOAD, media_type="text/javascript")
        reviewer = self._access.reviewer_of_session(request.cookies.get(self._access.cookie, ""))
        if reviewer is None:
            return _refused()
        request.scope["reviewer"] = reviewer
        if request.method in ("GET", "HEAD"):
            return None
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
            return PlainTextResponse("the request comes from another site", 403)
        given = request.headers.get(CSRF_HEADER, "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, self._access.csrf(reviewer).encode()):
            return PlainTextResponse(f"the header {CSRF_HEADER} is missing or wrong: reload the page", 403)
        return None


def _token_in(query: bytes) -> str | None:
    """Returns the token of a query; empty if it cannot be read, and None if there is none."""
    if b"token" not in query:
        return None
    try:
        found = parse_qs(query.decode("ascii"), max_num_fields=20, keep_blank_values=True).get("token", [])
    except ValueError:
        return ""
    return found[0] if len(found) == 1 else ""


def _refused() -> Response:
    return HTMLResponse(_REFUSED, 403, headers={"Cache-Control": "no-store"})
