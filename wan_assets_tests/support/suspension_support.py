"""Runs of the engine in a process of their own that suspends itself at a point, as the lid of a laptop does."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine_support import Studio
from patience import PATIENCE_S
from python_process import PythonProcess

LEASE_S = 2.0

AFTER_THE_CLAIM = "after the claim"
BEFORE_THE_CONNECTION = "before the connection"
BEFORE_THE_BOOKING = "before the acknowledgement is booked"

RUN = f"""
import os, signal, sys, threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
import httpx
from engine_support import QUICK, Studio, jobs_of
from wan_assets.client import RunwareClient
from wan_assets.client.connections import Connections
from wan_assets.ledger import Ledger

folder, base_url, rows, point, passes = sys.argv[1:]
left = int(passes)
writing = threading.RLock()

def passed(here):
    global left
    left -= here == point
    if here == point and left == 0:
        with writing:  # a process that is suspended in a transaction keeps everybody else from writing
            os.kill(os.getpid(), signal.SIGSTOP)

class SuspendedLedger(Ledger):
    @contextmanager
    def _transaction(self):
        with writing, super()._transaction() as connection:
            yield connection

class SuspendedConnections(Connections):
    async def open(self, request):
        try:
            request.content
        except httpx.RequestNotRead:
            passed("{BEFORE_THE_CONNECTION}")
        return await super().open(request)

class SuspendedClient(RunwareClient):
    async def submit(self, *arguments):
        passed("{AFTER_THE_CLAIM}")
        await super().submit(*arguments)
        passed("{BEFORE_THE_BOOKING}")

class SuspendedStudio(Studio):
    def ledger(self, budget=None, **settings):
        return SuspendedLedger(self.url, budget, lease_s={LEASE_S}, **settings)

    def client(self, key="a-key-for-tests", http_config=QUICK):
        client = SuspendedClient(key, self.simulator.base_url, http_config=http_config)
        client._transport._connections = SuspendedConnections(32, has_proxies=False)
        return client

made = SuspendedStudio(Path(folder), SimpleNamespace(base_url=base_url))
outcomes = made.run(jobs_of(int(rows)))
sys.exit(sum(outcome.stored is None for outcome in outcomes))
"""


@contextmanager
def suspended(made: Studio, rows: int, point: str, passes: int = 1) -> Iterator[subprocess.Popen[bytes]]:
    """A run that has suspended itself at a point; it goes on when the block ends, and is waited for."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = ["-c", RUN, made.folder, made.simulator.base_url, str(rows), point, str(passes)]
    process = PythonProcess(command, env=environment)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    try:
        assert os.WIFSTOPPED(status), "the run ended before it came to its point"
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(PATIENCE_S)
        finally:
            process.kill()
