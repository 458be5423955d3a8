"""The simulator with a record of all calls, which may say something else in place of single answers."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from api_double import Prepared, response_of
from engine_support import PRICE, QUICK, Studio, errors_of, jobs_of
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wan_assets.engine import Limits, Outcome, VideoJob
from wan_assets.simulator import Behaviour, LocalSimulator

SUBMIT, POLL, UPLOAD, FILE = "videoInference", "getResponse", "mediaStorage", "file"
PATIENT = replace(QUICK, response_timeout_s=10.0, download_read_timeout_s=10.0)
"""Quick, and yet slow to take a busy machine for trouble on the way, since calls are counted."""


@dataclass(frozen=True)
class Call:
    """One request and its answer. `number` counts those of its kind; `body` is JSON, or bytes where it is none."""

    kind: str
    tasks: list[dict[str, Any]]
    number: int
    at: float
    url: str
    status: int = 0
    body: Any = b""

    @property
    def task_uuid(self) -> str:
        """Of the first task."""
        return str(self.tasks[0]["taskUUID"])


Bend = Callable[[Call], Prepared | None]
"""Takes a call as the simulator answered it; gives another answer, or None where the simulator's is to stand."""


class BentApi(LocalSimulator):
    """A simulator whose answers go through a bend; `calls` are in order of their arrival."""

    def __init__(self, folder: Path, behaviour: Behaviour, bend: Bend) -> None:
        super().__init__(folder, behaviour)
        self.calls: list[Call] = []
        self._bend = bend
        self._numbers: Counter[str] = Counter()

    def _serve(self) -> None:
        self._app: ASGIApp = self._server.config.app
        self._server.config.app = self
        super()._serve()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        asked = await request.body()
        self.calls.append(call := self._call(str(request.url), asked))
        place = len(self.calls) - 1
        answer = await self._simulated(scope, asked, receive, send)
        call = replace(call, status=answer.status_code, body=_read(bytes(answer.body)))
        if bent := self._bend(call):
            answer, call = await response_of(bent), replace(call, status=bent.status, body=bent.body)
        self.calls[place] = call
        await answer(scope, receive, send)

    def _call(self, url: str, asked: bytes) -> Call:
        tasks = json.loads(asked) if asked else []
        kind = tasks[0]["taskType"] if tasks else FILE if "/files/" in url else "address"
        self._numbers[kind] += 1
        return Call(kind, tasks, self._numbers[kind], time.time(), url)

    async def _simulated(self, scope: Scope, asked: bytes, receive: Receive, send: Send) -> Response:
        said: list[Message] = []
        body = iter([{"type": "http.request", "body": asked}])

        async def received() -> Message:
            return next(body, None) or await receive()

        async def keep(message: Message) -> None:
            said.append(message)

        # Uncompressed, so that it can be read here; and able to hang up, which ASGI has no word for.
        headers = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        scope = {**scope, "headers": headers, "hang_up": send.__self__.transport.close}
        await self._app(scope, received, keep)
        start = said[0] if said else {"status": 0, "headers": []}
        answer = Response(b"".join(message.get("body", b"") for message in said[1:]), start["status"])
        answer.raw_headers = list(start["headers"])
        return answer


class BentStudio(Studio):
    """A studio that also tells what was said on the wire."""

    def run(self, jobs: Iterable[VideoJob], **settings: Any) -> list[Outcome]:
        return super().run(jobs, **{"http_config": PATIENT, **settings})

    @property
    def kinds(self) -> list[str]:
        """Kinds of all POSTs, in order."""
        return [call.kind for call in self.simulator.calls if call.tasks]

    @property
    def money(self) -> tuple[int, int, int]:
        """What the ledger says: spent and reserved in µ$, and the number of tasks that ended at an unknown cost."""
        totals = self.ledger().totals().simulated
        return totals.cost_microusd, totals.reserved_microusd, totals.unknown

    def calls(self, kind: str) -> list[Call]:
        """The calls of one kind, in order."""
        return [call for call in self.simulator.calls if call.kind == kind]

    def assert_lost_and_sent_once(self) -> None:
        """A task is booked as lost at its deadline, keeps its money, and is not sent again by the next run."""
        first, second = (self.run(jobs_of(1), limits=Limits(max_wait_s=0.5)) for _ in range(2))
        assert errors_of(first) == ["TaskUnknownError"]
        assert second[0].stored is None
        assert len(self.calls(SUBMIT)) == 1
        assert {call.task_uuid for call in self.calls(POLL)} == {self.calls(SUBMIT)[0].task_uuid}
        assert (self.states(), self.money) == (["lost"], (0, PRICE, 0))

    def assert_paid_once(self, number: int = 1, results: int = 1) -> None:
        """A number of tasks was charged once each, and is stored and booked to the cent."""
        cost, charges = number * results * PRICE, self.journal.charges()
        assert [charge.number_results for charge in charges] == [results] * number
        assert len({charge.task_uuid for charge in charges}) == number
        assert self.journal.spent_microusd() == cost
        assert (self.money, self.states()) == ((cost, 0, 0), ["stored"] * number)


@contextmanager
def bent(folder: Path, bend: Bend = lambda _: None, **behaviour: Any) -> Iterator[BentStudio]:
    """A studio whose simulator is quick and behaves as told, save where its answers are bent."""
    with BentApi(folder / "simulator", Behaviour(**{"latency_s": 0.0, **behaviour}), bend) as simulator:
        yield BentStudio(folder, simulator)


def on(kind: str, change: Bend, *, first: int = 10_000) -> Bend:
    """Bends the first few answers to one kind of task."""
    return lambda call: change(call) if call.kind == kind and call.number <= first else None


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body
