"""A running simulator for tests: a clock that is set by hand, a client, and receivers of deliveries."""

from __future__ import annotations

import hashlib
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import httpx

from wan_assets.simulator import Behaviour, LocalSimulator

KEY = {"Authorization": "Bearer any"}


@dataclass
class ManualClock:
    """Seconds since 1970 that pass only when told to."""

    now: float = 1_790_000_000.0
    step: float = 0.0
    """The seconds that pass each time someone reads the clock."""

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@dataclass(frozen=True)
class Running:
    """A simulator that runs, and a client without the key as its own header."""

    simulator: LocalSimulator
    clock: ManualClock
    http: httpx.Client

    def post(self, *tasks: dict[str, Any]) -> httpx.Response:
        return self.http.post(self.simulator.base_url, json=list(tasks), headers=KEY)

    def poll(self, *task_uuids: str) -> httpx.Response:
        return self.post(*({"taskType": "getResponse", "taskUUID": each} for each in task_uuids))

    def finished(self, *task_uuids: str) -> httpx.Response:
        """A poll long after everything has ended."""
        self.clock.now += 1000
        return self.poll(*task_uuids)


@contextmanager
def running(folder: Path, clock: ManualClock | None = None, **options: Any) -> Iterator[Running]:
    """Serves a folder with a latency of 10 s by the manual clock."""
    clock = clock or ManualClock()
    behaviour = Behaviour(**{"latency_s": 10.0, "clock": clock, "pause_s": 0.001, **options})
    with LocalSimulator(folder, behaviour) as simulator, httpx.Client(trust_env=False, timeout=20) as http:
        yield Running(simulator, clock, http)


def task_of(number: int, **parameters: Any) -> dict[str, Any]:
    """A valid task whose UUID is decided by its number."""
    task_uuid = str(uuid.UUID(bytes=hashlib.sha256(f"faults {number}".encode()).digest()[:16], version=4))
    size = {} if parameters.keys() & {"width", "inputs", "resolution"} else {"resolution": "480p"}
    head = {"taskType": "videoInference", "taskUUID": task_uuid, "model": "runware:201@1"}
    return {**head, "positivePrompt": f"a red kite {number}", "includeCost": True, **size, **parameters}


@dataclass
class Receiver:
    """Takes deliveries; answers with `statuses` in turn, and with 200 when there are none left."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    received: Queue[tuple[str, bytes]] = field(default_factory=Queue)


@contextmanager
def receiving(*statuses: int) -> Iterator[Receiver]:
    """A receiver on a loopback port."""
    receiver = Receiver(statuses=list(statuses))

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            receiver.received.put((self.command, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def __getattr__(self, name: str) -> Any:
            if name in ("do_POST", "do_PUT"):
                return self.answer
            raise AttributeError(name)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}/"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield receiver
        server.shutdown()


@contextmanager
def speaking_garbage() -> Iterator[tuple[str, threading.Event]]:
    """A receiver that does not speak HTTP, and an event that says that it was called."""
    called = threading.Event()

    def speak(listening: socket.socket) -> None:
        try:
            while True:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"garbage\r\n\r\n")
                called.set()
        except OSError:
            return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=speak, args=(listening,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/", called
        listening.shutdown(socket.SHUT_RDWR)
