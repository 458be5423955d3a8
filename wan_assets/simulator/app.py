"""The ASGI application of the simulator: the API endpoint for arrays of tasks, and the result files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wan_assets import __version__
from wan_assets.simulator.behaviour import Behaviour
from wan_assets.simulator.deliveries import Deliveries
from wan_assets.simulator.endpoint import Endpoint, Tasks, authorised
from wan_assets.simulator.journal import Journal
from wan_assets.simulator.refusals import RefusalError, error_item
from wan_assets.simulator.responses import envelope
from wan_assets.simulator.result_files import ResultFiles

_SIGNATURE = (b"x-simulated-by", f"wan-assets/{__version__}".encode())
_HTTP_CODES = {404: "invalidEndpoint", 405: "invalidMethod"}


def create_app(state: str | Path, behaviour: Behaviour | None = None) -> Starlette:
    """Creates the application; its state is in a folder that several applications may share.

    Raises `SimulatorError` if the folder cannot be used.
    """
    behaviour = behaviour or Behaviour()
    journal = Journal(state)
    files = ResultFiles(Path(state), journal, behaviour)
    api = _Api(Endpoint(journal, behaviour), deliveries := Deliveries(journal, files, behaviour), behaviour)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        sending = asyncio.create_task(deliveries.run())
        yield
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        files.close()
        api.close()
        journal.close()

    packed = [Middleware(GZipMiddleware, minimum_size=1000, compresslevel=1)]
    answers = Route("/v1", api.endpoint, methods=["POST"], middleware=packed)
    routes = [answers, Route("/files/{name}", files.serve)]
    refusals = {HTTPException: _refused}
    app = Starlette(routes=routes, middleware=[Middleware(_Signed)], lifespan=lifespan, exception_handlers=refusals)
    app.router.redirect_slashes = False
    return app


class _Signed:
    """Adds a header to every response that identifies the simulator."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def signed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], _SIGNATURE]
            await send(message)

        await self._app(scope, receive, signed)


class _Api:
    def __init__(self, endpoint: Endpoint, deliveries: Deliveries, behaviour: Behaviour) -> None:
        self._endpoint = endpoint
        self._deliveries = deliveries
        self._behaviour = behaviour
        # The journal may wait for a lock of another process, which must not block the event loop.
        self._executor = ThreadPoolExecutor(1, "simulator-endpoint")

    def close(self) -> None:
        self._executor.shutdown()

    async def endpoint(self, request: Request) -> Response:
        try:
            body, header = await request.body(), request.headers.get("authorization")
        except ClientDisconnect:
            return Response()  # the client has disconnected
        root = str(request.base_url).rstrip("/")
        if request.headers.get("content-encoding", "identity") != "identity":
            error = error_item("unsupportedContentEncoding", "Send the body without a content encoding.")
            return envelope([], [error], 415)
        loop = asyncio.get_running_loop()
        answer, has_deliveries = await loop.run_in_executor(self._executor, self._answered, body, header, root)
        if has_deliveries:
            self._deliveries.wake()
        return answer

    def _answered(self, body: bytes, header: str | None, root: str) -> tuple[Response, bool]:
        try:
            tasks = authorised(_tasks_in(body), header, self._behaviour)
            if not tasks:
                return envelope([{"taskType": "authentication"}], []), False
            has_deliveries = any("webhookURL" in task or "uploadEndpoint" in task for task in tasks)
            return self._endpoint.answer(tasks, root), has_deliveries
        except RefusalError as refusal:
            return envelope([], refusal.items, refusal.status), False


async def _refused(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    details = error_item(_HTTP_CODES.get(status, "invalidRequest"), "POST an array of tasks to /v1.")
    return envelope([], [details], status)


def _tasks_in(body: bytes) -> Tasks:
    try:
        tasks: Sequence[Any] = json.loads(body, parse_constant=_no_constant)
        if b"\\u" in body:  # unpaired surrogates, which are not text, can occur only in escaped form
            json.dumps(tasks, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise RefusalError(400, error_item("invalidJSON", "The body is not valid JSON.")) from None
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks) or not tasks:
        raise RefusalError(400, error_item("invalidRequest", "The body must be an array of task objects."))
    return tasks


def _no_constant(name: str) -> None:
    raise ValueError(name)
