"""What the API sends by itself: a POST per result to a webhook, and the file by PUT to an upload endpoint."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool

from wan_assets.simulator.behaviour import Behaviour
from wan_assets.simulator.books import AcceptedTask, Books
from wan_assets.simulator.files import Files
from wan_assets.simulator.tasks import data_of

_TRIES = 6
_RETRY_MOST_S = 8.0
_ANSWER_S = 5.0


class Deliveries:
    """Sends what is due, again with growing pauses when the receiver does not answer 2xx; survives restarts."""

    def __init__(self, books: Books, files: Files, behaviour: Behaviour) -> None:
        self._books = books
        self._files = files
        self._behaviour = behaviour
        self.base_url = ""

    async def run(self) -> None:
        """Sends until cancelled."""
        while True:
            for task_uuid, number, kind, tries in self._books.due_deliveries(self._behaviour.clock()):
                if task := self._books.task(task_uuid):
                    await self._deliver(task, number, kind, tries)
            await asyncio.sleep(min(0.2, max(0.02, self._behaviour.latency_s / 5)))

    async def _deliver(self, task: AcceptedTask, number: int, kind: str, tries: int) -> None:
        url = str(task.request[kind])
        if kind == "uploadEndpoint":
            path = await run_in_threadpool(self._files.path_of, task, number)
            is_taken = await run_in_threadpool(_sent, "PUT", url, path.read_bytes(), "application/octet-stream")
        else:
            body = json.dumps(self._payload(task, number)).encode()
            is_taken = await run_in_threadpool(_sent, "POST", url, body, "application/json")
        pause_s = min(_RETRY_MOST_S, self._behaviour.delivery_retry_s * 2**tries)
        is_over = is_taken or tries + 1 >= _TRIES
        self._books.end_delivery(task.task_uuid, number, kind, None if is_over else self._behaviour.clock() + pause_s)

    def _payload(self, task: AcceptedTask, number: int) -> Mapping[str, Any]:
        finished = [item for item in data_of(task, float("inf"), self.base_url) if item["status"] == "success"]
        wanted = task.plan[number]["video_uuid"]
        told = next(item for item in finished if item["videoUUID"] == wanted)
        return {"data": [told]} if self._behaviour.is_webhook_wrapped else told


def _sent(method: str, url: str, body: bytes, content_type: str) -> bool:
    if not url.startswith(("http://", "https://")):
        return False
    request = urllib.request.Request(url, body, {"Content-Type": content_type}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_S) as answer:
            return 200 <= int(answer.status) < 300
    except (urllib.error.URLError, OSError, ValueError):
        return False
