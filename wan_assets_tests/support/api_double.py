"""An API that answers each POST with the next of some prepared answers, and files with theirs; it keeps what came."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self, TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from wan_assets.client import HttpConfig, RunwareClient

KEY = "rw-0123456789-secret-key"
U = "5f0c1c9e-6a5e-4c53-9f5a-3b1d4c3b2a10"
V = "6f0c1c9e-6a5e-4c53-9f5a-3b1d4c3b2a11"
TASK = {"taskType": "videoInference", "taskUUID": U, "model": "runware:201@1", "positivePrompt": "A red kite"}
TASK |= {"resolution": "480p"}
QUICK = HttpConfig(
    response_timeout_s=10.0,
    initial_retry_delay_s=0.01,
    retry_jitter_s=0.0,
    max_retry_delay_s=0.02,
    initial_poll_delay_s=0.02,
    max_tries=4,
)

T = TypeVar("T")


@dataclass(frozen=True)
class Prepared:
    """One answer: JSON unless `body` is bytes; `cut_at` closes the connection after that many bytes."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    pause_s: float = 0.0


@dataclass(frozen=True)
class Received:
    """One request that came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def tasks(self) -> list[dict[str, Any]]:
        return json.loads(self.body)

    @property
    def kind(self) -> str:
        return self.tasks[0]["taskType"]


@cache
def _served() -> tuple[str, dict[str, ApiDouble]]:
    """One server for all doubles of this process: its address, and each double by the first part of its paths."""
    doubles: dict[str, ApiDouble] = {}

    async def endpoint(request: Request) -> Response:
        return await doubles[request.path_params["double"]].answer(request)

    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    app = Starlette(routes=[Route("/{double}/{rest:path}", endpoint, methods=["GET", "POST"])])
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none", lifespan="off"))
    threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True).start()
    return f"http://127.0.0.1:{listening.getsockname()[1]}", doubles


class ApiDouble:
    """Answers while the block lasts; the last answer of a list repeats."""

    def __init__(self, *posts: Prepared, files: Sequence[Prepared] = ()) -> None:
        self._name = uuid.uuid4().hex
        self._posts = list(posts)
        self._files = list(files)
        self.received: list[Received] = []

    def __enter__(self) -> Self:
        address, doubles = _served()
        doubles[self._name] = self
        self.root = f"{address}/{self._name}"
        self.base_url = f"{self.root}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        _served()[1].pop(self._name)

    @property
    def posts(self) -> list[Received]:
        return [request for request in self.received if request.method == "POST"]

    @property
    def kinds(self) -> list[str]:
        return [request.kind for request in self.posts]

    def client(self, http_config: HttpConfig = QUICK, **options: Any) -> RunwareClient:
        return RunwareClient(options.pop("api_key", KEY), self.base_url, http_config=http_config, **options)

    async def answer(self, request: Request) -> Response:
        arrived = time.monotonic()
        body = await request.body()
        self.received.append(
            Received(request.method, request.path_params["rest"], dict(request.headers), body, arrived)
        )
        answers = self._posts if request.method == "POST" else self._files
        return await response_of(answers.pop(0) if len(answers) > 1 else answers[0])


async def response_of(answer: Prepared) -> Response:
    await asyncio.sleep(answer.pause_s)
    content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
    headers = {"Content-Type": "application/json", **answer.headers}
    if answer.cut_at is None:
        return Response(content, answer.status, headers)
    headers |= {"Content-Length": str(len(content))}
    return StreamingResponse(_cut(content, answer.cut_at), answer.status, headers)


async def _cut(content: bytes, at: int) -> AsyncIterator[bytes]:
    # uvicorn has no word for hanging up, but ends the connection after an answer shorter than it said.
    yield content[:at]


def run(client: RunwareClient, use: Callable[[RunwareClient], Awaitable[T]]) -> T:
    """Uses a client in a loop of its own, and closes it."""

    async def used() -> T:
        async with client:
            return await use(client)

    return asyncio.run(used())


def ack(task_uuid: str = U) -> Prepared:
    return Prepared({"data": [{"taskType": "videoInference", "taskUUID": task_uuid}]})


def known(task_uuid: str = U, **more: Any) -> Prepared:
    item = {"taskType": "videoInference", "taskUUID": task_uuid, "status": "processing", **more}
    return Prepared({"data": [item]})


def refused(code: str, http_status: int = 400, task_uuid: str | None = U, **more: Any) -> Prepared:
    named = {"taskUUID": task_uuid} if task_uuid else {}
    return Prepared({"data": [], "errors": [{"code": code, "message": "No.", **named, **more}]}, http_status)


NOTHING = Prepared({"data": []})
HTML_504 = Prepared(b"<html>Gateway time-out</html>", 504, {"Content-Type": "text/html"})
CONFLICT = refused("conflictTaskUUID", parameter="taskUUID")
