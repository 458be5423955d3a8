"""HTTP responses of the simulator, correct and faulty."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from math import ceil
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from wan_assets.simulator.behaviour import Behaviour
from wan_assets.simulator.refusals import error_item

_HTML = "<html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>"
_JSON = "application/json"
_FAULTY_STATUS = {"500": "internalServerError", "503": "serviceUnavailable"}
_MALFORMED = (
    b"HTTP/1.1 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 20\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 200_000 + b"\r\n\r\n{}",
)
"""A missing status, an invalid length, contradictory lengths, an invalid chunk size and an oversized header."""

Items = Iterable[Mapping[str, Any]]


def envelope(data: Items, errors: Items, status: int = 200) -> Response:
    """Returns the API's envelope, without `errors` if there are none."""
    errors = list(errors)
    return json_response({"data": list(data), **({"errors": errors} if errors else {})}, status)


def json_response(body: Any, status: int = 200) -> Response:
    """Returns a JSON response; Python's encoder is used because a cost may be NaN."""
    return Response(json.dumps(body), status, media_type="application/json")


def html_response(status: int = 200) -> Response:
    """Returns the HTML page of a gateway."""
    return Response(_HTML, status, media_type="text/html")


def submission_fault(fault: str, task: Mapping[str, Any], answer: Response, behaviour: Behaviour) -> Response:
    """Returns the faulty response that replaces the correct response to a submission."""
    kind = fault.removesuffix("_before_accept").removesuffix("_after_accept")
    whole = bytes(answer.body)
    broken: dict[str, Response] = {
        "drop": Dropped(),
        "html": html_response(),
        "error_502_html": html_response(502),
        "error_504": html_response(504),
        "truncated_json": Response(whole[: len(whole) // 2], media_type="application/json"),
        "empty_body": Response(b""),
        "slow_body": Slow(whole, behaviour.pause_s, piece_bytes=1),
        "stalled_body": Stalled(whole),
        "ack_empty": json_response({"data": []}),
        "ack_bare": json_response({}),
        "ack_upper_case": Response(_in_upper_case(whole, task), media_type=_JSON),
        "ack_with_error": _with_error(whole),
        "malformed": Malformed(behaviour, str(task.get("taskUUID"))),
        "forbidden": envelope([], [error_item("insufficientPermissions", "The key may not do this.", task)], 403),
    }
    if kind.startswith("rate_limit"):
        return _too_many(behaviour, task, has_header=kind == "rate_limit_retry_after")
    if kind in broken:
        return broken[kind]
    status = kind.removeprefix("error_")
    error = error_item(_FAULTY_STATUS[status], "Something went wrong on our side.", task)
    return envelope([], [error], int(status))


def _in_upper_case(content: bytes, task: Mapping[str, Any]) -> bytes:
    task_uuid = str(task.get("taskUUID"))
    return content.replace(task_uuid.encode(), task_uuid.upper().encode())


def _with_error(content: bytes) -> Response:
    error = {"code": "internalServerError", "message": "Something went wrong on our side."}
    return json_response({**json.loads(content), "errors": [error]})


def poll_fault(fault: str, behaviour: Behaviour, task_uuid: str) -> Response:
    """Returns the faulty response that replaces the correct response to a poll."""
    if fault == "poll_malformed":
        return Malformed(behaviour, task_uuid)
    if fault == "poll_429":
        return _too_many(behaviour, None, has_header=False)
    if fault == "poll_401":
        return envelope([], [unauthorised()], 401)
    return envelope([], []) if fault == "poll_empty" else html_response(int(fault.split("_")[1]))


def unauthorised() -> dict[str, Any]:
    """Returns the error item for an invalid API key."""
    error = error_item("invalidApiKey", "The API key is missing or not valid.")
    return {**error, "taskType": "authentication", "parameter": "apiKey"}


def _too_many(behaviour: Behaviour, task: Mapping[str, Any] | None, *, has_header: bool) -> Response:
    answer = envelope([], [error_item("rateLimitExceeded", "Too many requests.", task)], 429)
    if has_header and task:
        then = ceil(behaviour.clock() + behaviour.retry_after_s)
        is_date = behaviour.chance("date", task.get("taskUUID")) < 0.5
        answer.headers["Retry-After"] = formatdate(then, usegmt=True) if is_date else str(behaviour.retry_after_s)
    return answer


class Dropped(Response):
    """Closes the connection without sending a byte."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["hang_up"]()
        await _client_is_gone(receive)


class Malformed(Response):
    """Sends invalid HTTP of one of several kinds, and closes the connection."""

    def __init__(self, behaviour: Behaviour, key: str) -> None:
        super().__init__(b"")
        self._raw = _MALFORMED[int(behaviour.chance("malformed", key) * len(_MALFORMED))]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["write_raw"](self._raw)
        scope["hang_up"]()
        await _client_is_gone(receive)


class Slow(Response):
    """Sends its content in small pieces, with a pause after each."""

    def __init__(
        self, content: bytes, pause_s: float, *, piece_bytes: int, media_type: str = "application/json"
    ) -> None:
        # Without this header the response would be compressed, which would combine the pieces.
        super().__init__(content, media_type=media_type, headers={"Content-Encoding": "identity"})
        self._pause_s = pause_s
        self._piece_bytes = piece_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        content, size = bytes(self.body), self._piece_bytes
        for start in range(0, len(content), size):
            piece = content[start : start + size]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(self._pause_s)
        await send({"type": "http.response.body", "body": b""})


class Stalled(Response):
    """Sends half of its content, and then nothing until the client disconnects."""

    def __init__(self, content: bytes, *, media_type: str = _JSON) -> None:
        super().__init__(content, media_type=media_type, headers={"Content-Encoding": "identity"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        content = bytes(self.body)
        await send({"type": "http.response.body", "body": content[: len(content) // 2], "more_body": True})
        await self._end(scope, receive)

    async def _end(self, _: Scope, receive: Receive) -> None:
        await _client_is_gone(receive)


class Cut(Stalled):
    """Sends half of its content, and closes the connection."""

    async def _end(self, scope: Scope, receive: Receive) -> None:
        scope["hang_up"]()
        await _client_is_gone(receive)


async def _client_is_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
