"""What the API sends by itself: a POST per result to a webhook, and the file by PUT to an upload endpoint."""

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
from wan_assets.simulator.result_files import Files
from wan_assets.simulator.tasks import finished

_RETRY_MOST_S = 8.0
_ANSWER_S = 5.0
_TAKEN_FOR_S = 30.0
_TICK_S = 0.05
_IDLE_S = 1.0

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""No proxy of the environment can reach the machine that the simulator runs on."""


class Delivery(NamedTuple):
    """Something to be sent for one result: `kind` is the parameter of the request that holds the address."""

    task_uuid: str
    number: int
    kind: str
    tries: int


class Deliveries:
    """Sends what is due, again with growing pauses until the receiver answers 2xx; survives restarts."""

    def __init__(self, journal: Journal, files: Files, behaviour: Behaviour) -> None:
        self._journal = journal
        self._files = files
        self._behaviour = behaviour
        self._new = asyncio.Event()

    def wake(self) -> None:
        """Says that there may be something new to send."""
        self._new.set()

    async def run(self) -> None:
        """Sends until cancelled; looks seldom while there is nothing to come."""
        while True:
            self._new.clear()
            await asyncio.gather(*map(self._deliver, await run_in_threadpool(self._taken)))
            is_more_to_come = await run_in_threadpool(self._journal.rows, "SELECT 1 FROM deliveries LIMIT 1")
            wait_s = _TICK_S if is_more_to_come else _IDLE_S
            try:
                await asyncio.wait_for(self._new.wait(), wait_s)
                await asyncio.sleep(min(_TICK_S, self._behaviour.latency_s))
            except TimeoutError:
                continue

    def _taken(self) -> list[Delivery]:
        """Takes what is due out of the reach of other processes for a while."""
        now = self._behaviour.clock()
        due = "SELECT task_uuid, number, kind, tries FROM deliveries WHERE due <= ? ORDER BY due LIMIT 40"
        if not self._journal.rows(due, now):
            return []
        with self._journal.transaction() as db:
            taken = [Delivery(*row) for row in db.execute(due, (now,))]
            for delivery in taken:
                self._put_off(delivery, now + _TAKEN_FOR_S)
        return taken

    def _put_off(self, delivery: Delivery, due: float) -> None:
        later = "UPDATE deliveries SET due = ?, tries = ? WHERE task_uuid = ? AND number = ? AND kind = ?"
        with self._journal.transaction() as db:
            db.execute(later, (due, delivery.tries + 1, *delivery[:3]))

    async def _deliver(self, delivery: Delivery) -> None:
        task = await run_in_threadpool(self._journal.task, delivery.task_uuid)
        is_given_up = delivery.tries >= self._behaviour.delivery_tries
        is_taken = task is None or is_given_up or await self._is_sent(task, delivery)
        await run_in_threadpool(self._end, delivery, is_taken=is_taken)

    def _end(self, delivery: Delivery, *, is_taken: bool) -> None:
        """Removes what was taken or tried often enough, and puts off the rest."""
        if is_taken or delivery.tries + 1 >= self._behaviour.delivery_tries:
            with self._journal.transaction() as db:
                gone = "DELETE FROM deliveries WHERE task_uuid = ? AND number = ? AND kind = ?"
                db.execute(gone, delivery[:3])
        else:
            pause_s = min(_RETRY_MOST_S, self._behaviour.delivery_retry_s * 2**delivery.tries)
            self._put_off(delivery, self._behaviour.clock() + pause_s)

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
        with _OPENER.open(request, timeout=_ANSWER_S) as answer:
            return 200 <= int(answer.status) < 300
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError):
        return False
