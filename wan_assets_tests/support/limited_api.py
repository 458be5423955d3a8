"""An API with a hidden concurrency limit, written from the wire's description and not from our simulator.

It runs as many tasks at once as its schedule says, for a fixed time each, and refuses any other submission. Standard
library alone; loopback only. `python limited_api.py VIDEO --schedule 12,120:4,240:40 --generation 60` serves by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

PRICE = 0.473


@dataclass(frozen=True)
class Submission:
    """One submission: seconds since the first one, whether it was accepted, and how many tasks ran then."""

    at: float
    task_uuid: str
    is_accepted: bool
    running: int


@dataclass
class LimitedApi:
    """`limit_at` gives the limit by the seconds since the first submission; None is none.

    `status`, `code` and `headers` are those of a refusal. `polls_refused` makes every second poll one. Tasks take
    up to the share `jitter` more or less.
    """

    limit_at: Callable[[float], int | None]
    generation_s: float
    video: bytes
    status: int = 429
    code: str = "rateLimitExceeded"
    headers: dict[str, str] = field(default_factory=dict)
    polls_refused: bool = False
    jitter: float = 0.0
    accepts: Callable[[dict[str, Any]], bool] = lambda _: True
    submissions: list[Submission] = field(default_factory=list)
    done_at: dict[str, float] = field(default_factory=dict)
    polls: list[float] = field(default_factory=list)
    begun_at: float | None = None
    port: int = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def refused(self) -> list[Submission]:
        return [each for each in self.submissions if not each.is_accepted]

    def share_refused(self, after_s: float = 0.0) -> float:
        """The share of refused submissions among those after a time."""
        late = [each for each in self.submissions if each.at >= after_s]
        return sum(not each.is_accepted for each in late) / max(1, len(late))

    def stats(self) -> dict[str, float]:
        late = [each for each in self.submissions if each.at >= 60]
        return {
            "submissions": len(self.submissions),
            "refused": len(self.refused),
            "refused_share": round(self.share_refused(), 4),
            "later_submissions": len(late),
            "later_refused": sum(not each.is_accepted for each in late),
            "later_share": round(self.share_refused(60), 4),
            "most_running": max((each.running + each.is_accepted for each in self.submissions), default=0),
            "makespan_s": round(max(self.done_at.values(), default=0) - (self.begun_at or 0), 2),
        }

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, str, bytes, dict[str, str]]:
        if path.startswith("/files/"):
            return 200, "video/mp4", self.video, {}
        if path == "/stats":
            return 200, "application/json", json.dumps(self.stats()).encode(), {}
        if path == "/trace":
            return 200, "application/json", json.dumps([vars(each) for each in self.submissions]).encode(), {}
        if method != "POST":
            return 405, "application/json", b'{"errors": [{"code": "invalidMethod", "message": "POST"}]}', {}
        tasks = json.loads(body)
        if tasks[0]["taskType"] == "getResponse":
            return self._polled(tasks)
        return self._submitted(tasks[0])

    def _submitted(self, task: dict[str, Any]) -> tuple[int, str, bytes, dict[str, str]]:
        now = time.monotonic()
        self.begun_at = self.begun_at or now
        task_uuid, running = task["taskUUID"], sum(done > now for done in self.done_at.values())
        limit = self.limit_at(now - self.begun_at)
        is_accepted = task_uuid in self.done_at or ((limit is None or running < limit) and self.accepts(task))
        self.submissions.append(Submission(now - self.begun_at, task_uuid, is_accepted, running))
        if not is_accepted:
            said = {"code": self.code, "message": "Too many tasks are running.", "taskUUID": task_uuid}
            return self.status, "application/json", json.dumps({"errors": [said]}).encode(), self.headers
        part = uuid.uuid5(uuid.NAMESPACE_URL, task_uuid).int / 2**128
        self.done_at.setdefault(task_uuid, now + self.generation_s * (1 + self.jitter * (2 * part - 1)))
        said = {"taskType": "videoInference", "taskUUID": task_uuid}
        return 200, "application/json", json.dumps({"data": [said]}).encode(), {}

    def _polled(self, tasks: list[dict[str, Any]]) -> tuple[int, str, bytes, dict[str, str]]:
        self.polls.append(time.monotonic())
        if self.polls_refused and len(self.polls) % 2:
            said = {"code": "rateLimitExceeded", "message": "Too many polls."}
            return 429, "application/json", json.dumps({"errors": [said]}).encode(), {}
        known = [task["taskUUID"] for task in tasks if task["taskUUID"] in self.done_at]
        return 200, "application/json", json.dumps({"data": [self._report(each) for each in known]}).encode(), {}

    def _report(self, task_uuid: str) -> dict[str, Any]:
        said = {"taskType": "videoInference", "taskUUID": task_uuid}
        if time.monotonic() < self.done_at[task_uuid]:
            return {**said, "status": "processing"}
        video_uuid = str(uuid.uuid5(uuid.NAMESPACE_OID, task_uuid))
        url = f"http://127.0.0.1:{self.port}/files/{video_uuid}.mp4"
        return {**said, "status": "success", "videoUUID": video_uuid, "videoURL": url, "seed": 7, "cost": PRICE}

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
                status, kind, body, headers = self.answer(method, path, await reader.readexactly(_length_in(head)))
                lines = {"Content-Type": kind, "Content-Length": str(len(body)), "X-Simulated-By": "test", **headers}
                reported = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
                writer.write(f"HTTP/1.1 {status} X\r\n{reported}\r\n".encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def __enter__(self) -> Self:
        """Serves in a thread while the block lasts."""
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self, started: threading.Event) -> None:
        self._stop = asyncio.Event()
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self.serve(started.set))

    async def serve(self, started: Callable[[], object]) -> None:
        """Serves until it is stopped."""
        server = await asyncio.start_server(self.handle, "127.0.0.1", 0, backlog=4096, limit=1 << 24)
        self.port = server.sockets[0].getsockname()[1]
        started()
        await self._stop.wait()
        server.close()


def _length_in(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


def schedule_of(text: str) -> Callable[[float], int | None]:
    """`12,120:4,240:40`: 12 at first, 4 from 120 s on, 40 from 240 s on; `none` is no limit."""
    steps = [(float(at or 0), each) for at, _, each in (part.rpartition(":") for part in text.split(","))]

    def limit_at(seconds: float) -> int | None:
        said = [each for at, each in steps if at <= seconds][-1]
        return None if said == "none" else int(said)

    return limit_at


async def _serve(api: LimitedApi) -> None:
    api._stop = asyncio.Event()
    await api.serve(lambda: sys.stdout.write(f"{api.port}\n") and sys.stdout.flush())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--schedule", default="none")
    parser.add_argument("--generation", type=float, default=60.0)
    parser.add_argument("--jitter", type=float, default=0.0)
    given = parser.parse_args()
    video = given.video.read_bytes()
    asyncio.run(_serve(LimitedApi(schedule_of(given.schedule), given.generation, video, jitter=given.jitter)))


if __name__ == "__main__":
    main()
