"""The receiver of webhooks: a webhook causes an earlier poll of its task, and no other change."""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from wan_assets.errors import LedgerError, WanAssetsError
from wan_assets.ledger import Ledger
from wan_assets.models import uuid_in
from wan_assets.servers import http_server
from wan_assets.servers.request_body import RefusalError, body_of

PATH = "/webhook"
LEDGER_BUSY_S = 3.0
"""The longest wait for the ledger, in seconds: the API expects a response within 5 s, and otherwise sends again."""

_MAX_BYTES = 1_000_000
_MAX_TASKS = 1_000
MIN_SECRET = 16

_LOGGER = logging.getLogger(__name__)


class WebhookError(WanAssetsError):
    """The receiver cannot be started with the given options."""

    hint = "See `wan-assets webhook --help`."


def receiver_app(ledger: Ledger, secret: str, *, path: str = PATH) -> Starlette:
    """Returns an application that receives `POST <path>?secret=…` and notifies the runs that wait for its tasks.

    Every readable webhook is answered 204, also if the ledger does not know its tasks: sending it again would not help,
    and an attacker learns nothing. Its content is not stored. Raises `WebhookError` for a secret of less than 16
    characters.
    """
    if len(secret) < MIN_SECRET:
        raise WebhookError(f"the webhook's secret has less than {MIN_SECRET} characters")
    route = Route(path, _Receiver(ledger).endpoint, methods=["POST"])
    app = Starlette(routes=[route], middleware=[Middleware(_SecretMiddleware, secret=secret)])
    app.router.redirect_slashes = False
    return app


def serve_webhook(
    ledger: Ledger, secret: str, *, host: str = "127.0.0.1", port: int, on_ready: Callable[[str], None] | None = None
) -> None:
    """Serves until SIGINT or SIGTERM; calls `on_ready` with the address, without the secret.

    Raises `WebhookError` for an unusable secret, and `ListenError` for an unusable port.
    """
    shown = (lambda address: on_ready(f"{address}{PATH}")) if on_ready else None
    http_server.serve(receiver_app(ledger, secret), host=host, port=port, on_ready=shown)


class _SecretMiddleware:
    """Refuses requests without the secret, and removes the query, so that it does not appear in access logs."""

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self._app = app
        self._secret = secret.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            query, scope["query_string"] = scope["query_string"], b""
            if not self._has_secret(query):
                await PlainTextResponse("wrong or missing secret", 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _has_secret(self, query: bytes) -> bool:
        try:
            given = parse_qs(query.decode("ascii"), max_num_fields=20).get("secret", [""])
        except ValueError:
            return False
        return len(given) == 1 and hmac.compare_digest(given[0].encode("utf-8", "replace"), self._secret)


class _Receiver:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def endpoint(self, request: Request) -> Response:
        try:
            task_uuids = task_uuids_in(await body_of(request, _MAX_BYTES))
            known = await run_in_threadpool(self._ledger.add_hints, task_uuids)
        except RefusalError as refusal:
            return PlainTextResponse(str(refusal), refusal.status)
        except ClientDisconnect:
            return Response()  # the client has disconnected
        except LedgerError as error:
            _LOGGER.warning("a webhook was not processed and will be sent again: %s", error)
            return PlainTextResponse("the ledger is not available", 503)
        if unknown := task_uuids - known:
            _LOGGER.warning("tasks in a webhook that this ledger does not know: %d", len(unknown))
        return Response(status_code=204)


def task_uuids_in(body: bytes) -> set[str]:
    """Returns all task UUIDs in a webhook: in one flat object, or in objects in lists under `data` and `errors`."""
    try:
        reported = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusalError(400, "the body is not JSON") from None
    found = set(map(_uuid_of, _task_uuid_values(reported)))
    if not found:
        raise RefusalError(400, "the body contains no task UUID")
    if len(found) > _MAX_TASKS:
        raise RefusalError(413, f"the body contains more than {_MAX_TASKS} task UUIDs")
    return found


def _task_uuid_values(reported: Any) -> Iterator[Any]:
    """Yields the values in the positions of task UUIDs; an error may belong to no task."""
    if not isinstance(reported, dict):
        raise RefusalError(400, "the body is not a JSON object")
    lists = [reported[key] for key in ("data", "errors") if reported.get(key) is not None]
    items = [item for some in lists for item in (some if isinstance(some, list) else [some])]
    if not all(isinstance(item, dict) for item in items):
        raise RefusalError(400, "an item of the body is not a JSON object")
    for item in (reported, *items):
        if (named := item.get("taskUUID")) is not None:
            yield named


def _uuid_of(named: Any) -> str:
    if task_uuid := uuid_in(named):
        return task_uuid
    raise RefusalError(400, "a taskUUID is not a UUID")
