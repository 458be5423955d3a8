"""An API on a raw socket that treats some rows badly, all others well, and keeps its own books of what it charged.

A row is marked by its prompt. What it is answered is one of the answers of `hostile_answers`, at its submission, its
polls or its download; when those are used up, or the server is reformed, it is treated as well as the others.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

PRICE_USD = 0.473
MICROUSD = 473_000
SUBMIT, POLL, FILE = "videoInference", "getResponse", "file"
ALWAYS = 10**6


@dataclass(frozen=True)
class Task:
    """What the server knows of a task when it answers about it."""

    task_uuid: str
    number_results: int
    root: str

    def item(self, number: int = 1, **changes: Any) -> dict[str, Any]:
        """A finished result as a good server tells it; a change to None leaves a field out."""
        whole = {
            "taskType": SUBMIT,
            "taskUUID": self.task_uuid,
            "status": "success",
            "videoUUID": f"{self.task_uuid[:-1]}{number}",
            "videoURL": f"{self.root}/files/{self.task_uuid}-{number}.mp4",
            "seed": 7,
            "cost": PRICE_USD,
        }
        return {key: value for key, value in {**whole, **changes}.items() if value is not None}


@dataclass(frozen=True)
class Wire:
    """Bytes on the socket, and waits between them in seconds; the connection is closed afterwards, or kept.

    An endless one repeats all but its first part.
    """

    parts: Sequence[bytes | float]
    is_endless: bool = False
    is_kept: bool = False


Answer = Wire | Callable[[Task], Wire]


@dataclass(frozen=True)
class Hostility:
    """One answer of the catalogue: at what it is given, and how often before the server behaves.

    `accepts` is whether a submission that is answered so was accepted, and charged, all the same.
    """

    name: str
    stage: str
    answer: Answer
    times: int = ALWAYS
    accepts: bool = True
    is_alone: bool = False
    is_malformed: bool = False
    number_results: int = 1


def http(
    body: Any, status: int = 200, headers: Mapping[str, str] | None = None, *, length: int | str | None = None
) -> bytes:
    """A whole answer: JSON unless `body` is bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"Content-Type": "application/json", "Content-Length": len(content) if length is None else length}
    head = "".join(f"{name}: {value}\r\n" for name, value in {**lines, **(headers or {})}.items())
    return f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode("latin-1", "replace") + content


@dataclass
class HostileApi:
    """Serves in a thread of its own while the block lasts. `rows` tells of each prompt how it is treated."""

    video: bytes
    rows: Mapping[str, Hostility] = field(default_factory=dict)
    is_reformed: bool = False
    submitted: list[str] = field(default_factory=list)
    charges: dict[str, list[int]] = field(default_factory=dict)
    answered: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._tasks: dict[str, tuple[str, Task]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 22)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)
        self.root = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def base_url(self) -> str:
        return f"{self.root}/v1"

    def charged(self, prompt: str) -> int:
        """What one row was charged, in µ$."""
        return sum(self.charges.get(prompt, []))

    def uuids_of(self, prompt: str) -> list[str]:
        """The tasks of one row."""
        return [task_uuid for task_uuid, (asked, _) in self._tasks.items() if asked == prompt]

    async def _end(self) -> None:
        self._server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                said = self._said_to(*await _request(reader))
                if isinstance(said, Wire):
                    await _write(writer, said)
                    if not said.is_kept:
                        break
                    continue
                writer.write(said)
                await writer.drain()
        writer.close()

    def _said_to(self, path: str, body: bytes) -> bytes | Wire:
        if not body:
            return self._file(path) if path.startswith("/files/") else http({}, 404)
        asked = json.loads(body)
        if asked[0]["taskType"] == SUBMIT:
            return self._accepted(asked[0])
        return self._polled([task["taskUUID"] for task in asked])

    def _accepted(self, asked: dict[str, Any]) -> bytes | Wire:
        task_uuid, prompt = asked["taskUUID"], asked["positivePrompt"]
        self.submitted.append(task_uuid)
        task = Task(task_uuid, asked.get("numberResults", 1), self.root)
        hostile = self._hostile_to(prompt, SUBMIT, task)
        if hostile is None or self.rows[prompt].accepts:
            # Every copy is charged: a client that sends one after it was accepted pays twice.
            self._tasks[task_uuid] = prompt, task
            self.charges.setdefault(prompt, []).append(MICROUSD * task.number_results)
        return hostile or http({"data": [{"taskType": SUBMIT, "taskUUID": task_uuid}]})

    def _polled(self, task_uuids: list[str]) -> bytes | Wire:
        items: list[Any] = []
        for task_uuid in task_uuids:
            if task_uuid not in self._tasks:
                continue
            prompt, task = self._tasks[task_uuid]
            if hostile := self._hostile_to(prompt, POLL, task):
                return hostile
            items += [task.item(number) for number in range(1, task.number_results + 1)]
        return http({"data": items})

    def _file(self, path: str) -> bytes | Wire:
        prompt, task = self._tasks[path.removeprefix("/files/").rpartition("-")[0]]
        return self._hostile_to(prompt, FILE, task) or http(self.video, headers={"Content-Type": "video/mp4"})

    def _hostile_to(self, prompt: str, stage: str, task: Task) -> Wire | None:
        hostility = self.rows.get(prompt)
        if self.is_reformed or hostility is None or hostility.stage != stage:
            return None
        count = self.answered[prompt] = self.answered.get(prompt, 0) + 1
        if count > hostility.times:
            return None
        return hostility.answer if isinstance(hostility.answer, Wire) else hostility.answer(task)


async def _request(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = next((int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:")), 0)
    return head.split(" ")[1], await reader.readexactly(length)


async def _write(writer: asyncio.StreamWriter, wire: Wire) -> None:
    async for part in _parts(wire):
        writer.write(part)
        await writer.drain()


async def _parts(wire: Wire) -> AsyncIterator[bytes]:
    again = itertools.cycle(wire.parts[1:]) if wire.is_endless else ()
    for part in itertools.chain(wire.parts, again):
        if isinstance(part, float):
            await asyncio.sleep(part)
        else:
            yield part
