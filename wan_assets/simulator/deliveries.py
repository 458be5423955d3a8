"""Deliveries of results: a POST to the webhook and a PUT of the file to the upload endpoint."""

from __future__ import annotations

import asyncio
import http.client
import json
import urllib.error
import urllib.request
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool

from wan_assets.simulator.behaviour import Behaviour
from wan_assets.simulator.journal import AcceptedTask, Journal
from wan_assets.simulator.result_files import ResultFiles
from wan_assets.simulator.tasks import finished

_MAX_RETRY_S = 8.0
_RESPONSE_TIMEOUT_S = 5.0
_CLAIM_S = 30.0
_TICK_S = 0.05
_IDLE_S = 1.0

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Ignores proxies of the environment, because they cannot reach the simulator's own machine."""


class Delivery(NamedTuple):
    """One pending delivery of a result; `kind` is the request parameter that contains the URL."""

    task_uuid: str
    number: int
    kind: str
    tries: int


class Deliveries:
    """Sends pending deliveries, with increasing pauses until the receiver answers 2xx; survives restarts."""

    def __init__(self, journal: Journal, files: ResultFiles, behaviour: Behaviour) -> None:
        self._journal = journal
        self._files = files
        self._behaviour = behaviour
        self._new = asyncio.Event()

    def wake(self) -> None:
        """Signals that there may be new deliveries."""
        self._new.set()

    async def run(self) -> None:
        """Sends deliveries until cancelled; checks less often while none is pending."""
        while True:
            self._new.clear()
            await asyncio.gather(*map(self._deliver, await run_in_threadpool(self._claimed)))
            is_more_to_come = await run_in_threadpool(self._journal.rows, "SELECT 1 FROM deliveries LIMIT 1")
            wait_s = _TICK_S if is_more_to_come else _IDLE_S
            try:
                await asyncio.wait_for(self._new.wait(), wait_s)
                await asyncio.sleep(min(_TICK_S, self._behaviour.latency_s))
            except TimeoutError:
                continue

    def _claimed(self) -> list[Delivery]:
        """Claims the due deliveries, so that other processes do not send them at the same time."""
        now = self._behaviour.clock()
        due = "SELECT task_uuid, number, kind, tries FROM deliveries WHERE due <= ? ORDER BY due LIMIT 40"
        if not self._journal.rows(due, now):
            return []
        with self._journal.transaction() as db:
            claimed = [Delivery(*row) for row in db.execute(due, (now,))]
            for delivery in claimed:
                self._postpone(delivery, now + _CLAIM_S)
        return claimed

    def _postpone(self, delivery: Delivery, due: float) -> None:
        later = "UPDATE deliveries SET due = ?, tries = ? WHERE task_uuid = ? AND number = ? AND kind = ?"
        with self._journal.transaction() as db:
            db.execute(later, (due, delivery.tries + 1, *delivery[:3]))

    async def _deliver(self, delivery: Delivery) -> None:
        task = await run_in_threadpool(self._journal.task, delivery.task_uuid)
        is_given_up = delivery.tries >= self._behaviour.delivery_tries
        is_done = task is None or is_given_up or await self._is_sent(task, delivery)
        await run_in_threadpool(self._end, delivery, is_done=is_done)

    def _end(self, delivery: Delivery, *, is_done: bool) -> None:
        """Removes a delivery that succeeded or reached its maximum of tries, and postpones any other."""
        if is_done or delivery.tries + 1 >= self._behaviour.delivery_tries:
            with self._journal.transaction() as db:
                gone = "DELETE FROM deliveries WHERE task_uuid = ? AND number = ? AND kind = ?"
                db.execute(gone, delivery[:3])
        else:
            pause_s = min(_MAX_RETRY_S, self._behaviour.delivery_retry_s * 2**delivery.tries)
            self._postpone(delivery, self._behaviour.clock() + pause_s)

    async def _is_sent(self, task: AcceptedTask, delivery: Delivery) -> bool:
        url = str(task.request[delivery.kind])
        if delivery.kind == "uploadEndpoint":
            path = await self._files.path_of(task, delivery.number)
            return await run_in_threadpool(_sent, "PUT", url, path.read_bytes(), "application/octet-stream")
        body = self._payload(task, delivery.number)
        copies = range(self._behaviour.webhook_copies)
        posts = (run_in_threadpool(_sent, "POST", url, body, "application/json") for _ in copies)
        return all(await asyncio.gather(*posts))

    def _payload(self, task: AcceptedTask, number: int) -> bytes:
        reported = finished(task, number, self._behaviour, str(task.plan[number].get("root", "")))
        key = "errors" if reported.get("code") else "data"
        return json.dumps({key: [reported]} if self._behaviour.is_webhook_wrapped else reported).encode()


def _sent(method: str, url: str, body: bytes, content_type: str) -> bool:
    if not url.startswith(("http://", "https://")):
        return False
    request = urllib.request.Request(url, body, {"Content-Type": content_type}, method=method)
    try:
        with _OPENER.open(request, timeout=_RESPONSE_TIMEOUT_S) as answer:
            return 200 <= int(answer.status) < 300
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError):
        return False
