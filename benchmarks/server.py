"""A lean API for measuring: the happy path of the simulator, in memory, at a fraction of its cost.

The simulator keeps books and renders each video, which would be what is measured. This answers the same words to
submissions and polls, serves one real video to all, and counts what it was asked. One process; loopback only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
import uuid
from pathlib import Path
from typing import Any

_PRICE = 0.473


class Api:
    """What was submitted and when; `limited` and `failing` are the shares that are refused once, or fail."""

    def __init__(self, latency_s: float, video: bytes, *, polls_answered: int, limited: float, failing: float) -> None:
        self._latency_s = latency_s
        self._video = video
        self._polls_answered = polls_answered
        self._limited = limited
        self._failing = failing
        self._accepted: dict[str, tuple[float, bool]] = {}
        self._refused: set[str] = set()
        self.counts = {"posts": 0, "accepted": 0, "polled": 0, "files": 0, "limited": 0, "failed": 0}

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, str, bytes]:
        """Status, content type and body."""
        if path.startswith("/files/"):
            self.counts["files"] += 1
            return 200, "video/mp4", self._video
        if path == "/stats":
            return 200, "application/json", json.dumps(self.counts).encode()
        if method != "POST":
            return 405, "application/json", b'{"errors": [{"code": "invalidMethod", "message": "POST"}]}'
        self.counts["posts"] += 1
        return self._answered(json.loads(body))

    def _answered(self, tasks: list[dict[str, Any]]) -> tuple[int, str, bytes]:
        if tasks[0]["taskType"] == "getResponse":
            self.counts["polled"] += len(tasks)
            asked = [task["taskUUID"] for task in tasks[: self._polls_answered]]
            data = [self._report(task_uuid) for task_uuid in asked if task_uuid in self._accepted]
            return 200, "application/json", json.dumps({"data": data}).encode()
        for task in tasks:
            if self._is_refused(task["taskUUID"]):
                said = {"code": "rateLimitExceeded", "message": "slower", "taskUUID": task["taskUUID"]}
                return 429, "application/json", json.dumps({"errors": [said]}).encode()
            self._accept(task["taskUUID"])
        data = [{"taskType": "videoInference", "taskUUID": task["taskUUID"]} for task in tasks]
        return 200, "application/json", json.dumps({"data": data}).encode()

    def _accept(self, task_uuid: str) -> None:
        if task_uuid not in self._accepted:
            self.counts["accepted"] += 1
            self._accepted[task_uuid] = (time.monotonic() + self._latency_s, _share(task_uuid, 1) < self._failing)

    def _is_refused(self, task_uuid: str) -> bool:
        if _share(task_uuid, 2) >= self._limited or task_uuid in self._refused:
            return False
        self._refused.add(task_uuid)
        self.counts["limited"] += 1
        return True

    def _report(self, task_uuid: str) -> dict[str, Any]:
        said = {"taskType": "videoInference", "taskUUID": task_uuid}
        due, fails = self._accepted[task_uuid]
        if time.monotonic() < due:
            return {**said, "status": "processing"}
        if fails:
            self.counts["failed"] += 1
            return {**said, "status": "error", "code": "providerError", "message": "the provider failed"}
        video_uuid = str(uuid.uuid5(uuid.NAMESPACE_OID, task_uuid))
        url = f"http://127.0.0.1:{self.port}/files/{video_uuid}.mp4"
        return {**said, "status": "success", "videoUUID": video_uuid, "videoURL": url, "seed": 7, "cost": _PRICE}

    port = 0


class Connection(asyncio.Protocol):
    """HTTP/1.1 with Content-Length and kept connections, and no more of it."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length = _length_in(head)
            if len(self._buffer) < end + 4 + length:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
            method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            self._say(*self._api.answer(method, path, body))

    def _say(self, status: int, kind: str, body: bytes) -> None:
        reported = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nX-Simulated-By: bench\r\n\r\n"
        self._transport.write(f"HTTP/1.1 {status} X\r\n{reported}".encode() + body)


def _length_in(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


def _share(task_uuid: str, salt: int) -> float:
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{salt} {task_uuid}").int / 2**128


async def _serve(api: Api) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Connection(api), "127.0.0.1", 0, backlog=4096)
    api.port = server.sockets[0].getsockname()[1]
    print(api.port, flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--latency", type=float, default=2.0)
    parser.add_argument("--polls-answered", type=int, default=100)
    parser.add_argument("--file-mb", type=int, default=0, help="Files have so many megabytes of nothing at their end.")
    parser.add_argument("--limited", type=float, default=0.0)
    parser.add_argument("--failing", type=float, default=0.0)
    given = parser.parse_args()
    how = {"polls_answered": given.polls_answered, "limited": given.limited, "failing": given.failing}
    video = given.video.read_bytes() + bytes(given.file_mb * 1_000_000)
    asyncio.run(_serve(Api(given.latency, video, **how)))


if __name__ == "__main__":
    sys.exit(main())
