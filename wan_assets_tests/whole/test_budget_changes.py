"""A budget that is lowered and raised while a process works: it stops and resumes submissions without a restart."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cli_support import wan_assets
from engine_support import Studio, studio
from folders import SUPPORT
from postgres_support import cluster
from python_process import PythonProcess

WORKER = """
import asyncio, json, sys
from pathlib import Path
from types import SimpleNamespace
from engine_support import Studio, VideoJob, caps, errors_of, request_of
from wan_assets.engine import Limits, generate
from wan_assets.ledger import Budgets, BudgetLimit, Origin
folder, base_url, url = sys.argv[1:]
made = Studio(Path(folder), SimpleNamespace(base_url=base_url), url)
limit = BudgetLimit(usd=100, per="month", scope={"campaign": "fall"}, time_zone="Europe/Berlin")
origin = Origin(run_id="run-1", asset="videos")

async def batch(client, ledger, number):
    jobs = [VideoJob(request_of(f"Kite {number} {each}"), f"p{number}-{each}", tags={"campaign": "fall"})
            for each in range(2)]
    means = {"client": client, "store": made.store, "ledger": ledger, "limits": Limits(max_wait_s=60)}
    return [outcome async for outcome in generate(jobs, origin=origin, **means)]

async def work():
    with made.ledger(Budgets.of(limits=[limit], price_margin=0)) as ledger:
        async with made.client() as client:
            for line in sys.stdin:
                print(json.dumps(errors_of(await batch(client, ledger, int(line)))), flush=True)

asyncio.run(work())
"""


class Worker:
    """A process that keeps its ledger and its client open and makes two new videos whenever it is asked."""

    def __init__(self, made: Studio) -> None:
        command = ["-c", WORKER, made.folder, made.simulator.base_url, made.url]
        environment = {**os.environ, "PYTHONPATH": str(SUPPORT)}
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = PythonProcess(command, env=environment, **pipes)
        self._batches = 0

    def batch(self) -> list[str]:
        """The errors of the next batch's two rows; empty for a video."""
        self._batches += 1
        self.process.stdin.write(f"{self._batches}\n")
        self.process.stdin.flush()
        found: list[str] = json.loads(self.process.stdout.readline())
        return found


@contextmanager
def working(made: Studio) -> Iterator[Worker]:
    """A process that works until the end of the block."""
    worker = Worker(made)
    try:
        yield worker
        worker.process.communicate()
        assert worker.process.returncode == 0
    finally:
        worker.process.kill()
        worker.process.wait()


def command(made: Studio, *arguments: str) -> str:
    """What the command says that changes the budget, in a process of its own."""
    which = ("--per", "month", "--scope", "campaign=fall", "--time-zone", "Europe/Berlin")
    done = wan_assets("ledger", "budgets", *arguments, *which, "--url", made.url, cwd=made.folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_stops_and_resumes(made: Studio) -> None:
    made_videos, refused = ["", ""], ["BudgetExceededError"] * 2
    with working(made) as worker:
        assert worker.batch() == made_videos

        assert "No row that counts in it is submitted until it is raised" in command(made, "set", "0.5")
        assert worker.batch() == refused
        assert made.paid == 2

        command(made, "set", "50")
        assert worker.batch() == made_videos
        command(made, "set", "0")
        assert worker.batch() == refused
        command(made, "unset")
        assert worker.batch() == made_videos
    assert made.paid == 6
    assert made.rows("SELECT sum(reserved_microusd) FROM wan_tasks") == [(0,)]


def test_a_process_that_works_obeys_a_budget_that_another_one_changes(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        assert_stops_and_resumes(made)


def test_a_process_that_works_on_postgres_obeys_it_too(tmp_path: Path) -> None:
    with cluster() as server, server.database() as url, studio(tmp_path, url) as made:
        assert_stops_and_resumes(made)
