"""HTTP answers, whole and broken ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from wan_assets.simulator.behaviour import Behaviour
from wan_assets.simulator.wire import item

HTML = "<html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>"
_BEFORE = ("rate_limit", "rate_limit_retry_after", "error_500", "error_503", "drop", "html")
_AFTER = (
    "error_500_after_accept",
    "error_503_after_accept",
    "drop_after_accept",
    "html_after_accept",
    "truncated_json",
    "empty_body",
    "slow_body",
    "ack_empty",
    "ack_bare",
)


class Dropped(Response):
    """Closes the connection without a byte."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["abort"]()


def envelope(
    data: Iterable[Mapping[str, Any]], errors: Iterable[Mapping[str, Any]], status: int = 200, *, empty: bool = False
) -> Response:
    """The API's envelope: `errors` is left out when there are none, unless it is to be there `empty`."""
    errors = list(errors)
    body = {"data": list(data), **({"errors": errors} if errors or empty else {})}
    return Response(json.dumps(body), status, media_type="application/json")


def fault_before(task: Mapping[str, Any], occurrence: int, behaviour: Behaviour) -> Response | None:
    """The answer of a fault that strikes before a submission is accepted."""
    fault = _struck(_BEFORE, task, occurrence, behaviour)
    if fault in ("rate_limit", "rate_limit_retry_after"):
        headers = {"Retry-After": "1"} if fault == "rate_limit_retry_after" else None
        said = item("rateLimitExceeded", "Too many requests.", task)
        return JSONResponse({"data": [], "errors": [said]}, 429, headers)
    return _broken(fault, task) if fault else None


def fault_after(task: Mapping[str, Any], occurrence: int, behaviour: Behaviour) -> Response | None:
    """The answer of a fault that strikes after a submission was accepted."""
    fault = _struck(_AFTER, task, occurrence, behaviour)
    acknowledgement = json.dumps({"data": [{"taskType": "videoInference", "taskUUID": task["taskUUID"]}]})
    if fault == "truncated_json":
        return Response(acknowledgement[: len(acknowledgement) // 2], media_type="application/json")
    if fault == "empty_body":
        return Response(b"")
    if fault == "slow_body":
        return StreamingResponse(_slowly(acknowledgement), media_type="application/json")
    if fault in ("ack_empty", "ack_bare"):
        return JSONResponse({"data": []} if fault == "ack_empty" else {})
    return _broken(fault.removesuffix("_after_accept"), task) if fault else None


def poll_fault(task_uuid: str, occurrence: int, behaviour: Behaviour) -> Response | None:
    """The answer of a fault that strikes a poll; every other poll of a struck task gets through."""
    if occurrence % 2 == 0:
        return None
    if behaviour.strikes("poll_429", task_uuid):
        return envelope([], [item("rateLimitExceeded", "Too many requests.")], 429)
    return Response(HTML, 502, media_type="text/html") if behaviour.strikes("poll_502", task_uuid) else None


def _struck(faults: Iterable[str], task: Mapping[str, Any], occurrence: int, behaviour: Behaviour) -> str:
    if occurrence > 1 and not behaviour.repeats:
        return ""
    task_uuid = str(task.get("taskUUID"))
    return next((fault for fault in faults if behaviour.strikes(fault, task_uuid)), "")


def _broken(fault: str, task: Mapping[str, Any]) -> Response:
    if fault == "drop":
        return Dropped()
    if fault == "html":
        return Response(HTML, media_type="text/html")
    status = int(fault.removeprefix("error_"))
    code = "internalServerError" if status == 500 else "serviceUnavailable"
    return envelope([], [item(code, "Something went wrong on our side.", task)], status)


async def _slowly(text: str) -> AsyncIterator[str]:
    for letter in text:
        yield letter
        await asyncio.sleep(0.002)
