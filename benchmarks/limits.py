"""Runs against servers with a hidden concurrency limit: makespan, and how many submissions were refused.

`python -m benchmarks limits --generation 60` measures each case once; each has a server and a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.ours import job_of
from wan_assets.client import HttpConfig, RunwareClient
from wan_assets.engine import Limits, RunSnapshot, generate
from wan_assets.ledger import Ledger
from wan_assets.store import VideoStore
from wan_assets.video import Clip, render

HERE = Path(__file__).parent
SERVER = HERE.parent / "wan_assets_tests" / "support" / "limited_api.py"


@dataclass(frozen=True)
class Case:
    """Rows, the server's schedule in units of the generation time, and our upper bound."""

    name: str
    rows: int
    schedule: tuple[tuple[float, int | None], ...]
    maximum: int = 50

    def scheduled(self, generation_s: float) -> str:
        steps = ((at * generation_s, "none" if limit is None else limit) for at, limit in self.schedule)
        return ",".join(f"{at:g}:{limit}" for at, limit in steps)

    def ideal_s(self, generation_s: float) -> float:
        """The makespan of a run that knows the limit at every moment."""
        free_at: list[float] = []
        now = 0.0
        for _ in range(self.rows):
            while sum(at > now for at in free_at) >= self._limit_at(now):
                now = min(at for at in (*free_at, *(step for step, _ in self.schedule)) if at > now)
            free_at = [at for at in free_at if at > now] + [now + 1.0]
        return max(free_at) * generation_s

    def _limit_at(self, rounds: float) -> int:
        limit = [limit for at, limit in self.schedule if at <= rounds][-1]
        return self.maximum if limit is None else min(self.maximum, limit)


CASES = (
    Case("12", 120, ((0, 12),)),
    Case("3", 30, ((0, 3),)),
    Case("200", 480, ((0, 200),), maximum=300),
    Case("12-4-40", 480, ((0, 12), (2, 4), (4, 40))),
    Case("none", 480, ((0, None),)),
)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks limits", description=__doc__)
    parser.add_argument("--generation", type=float, default=60.0, help="Seconds that a task takes.")
    parser.add_argument("--jitter", type=float, default=0.0, help="Tasks take up to this share more or less.")
    parser.add_argument("--cases", default=",".join(case.name for case in CASES))
    parser.add_argument("--known-limit", action="store_true", help="Give the run the right limit, for comparison.")
    parser.add_argument("--rows", type=int, default=0, help="Rows of each case instead of its own.")
    parser.add_argument("--trace", action="store_true", help="Print how the limit changes.")
    parser.add_argument("--at-once", action="store_true", help="Run all cases at the same time.")
    given = parser.parse_args(arguments)
    names = given.cases.split(",")
    if given.at_once and len(names) > 1:
        _each_in_a_process(names, [each for each in arguments if each != "--at-once"])
        return
    for case in CASES:
        if case.name in names:
            rows = Case(case.name, given.rows or case.rows, case.schedule, case.maximum)
            how = {"jitter": given.jitter, "is_told": given.known_limit, "is_traced": given.trace}
            print(json.dumps(measured(rows, given.generation, **how)), flush=True)


def _each_in_a_process(names: Sequence[str], arguments: Sequence[str]) -> None:
    command = [sys.executable, "-m", "benchmarks", "limits", *arguments, "--cases"]
    running = [subprocess.Popen([*command, name], cwd=HERE.parent) for name in names]
    for each in running:
        each.wait()


def measured(case: Case, generation_s: float, *, jitter: float, is_told: bool, is_traced: bool) -> dict[str, Any]:
    """One run of one case, with the engine as it is configured by default."""
    with tempfile.TemporaryDirectory(prefix="wan-assets-bench-") as name:
        folder = Path(name)
        video = folder / "clip.mp4"
        render(Clip("MP4", 854, 480, 5, has_audio=False, seed=7, prompt="A kite"), video)
        command = [sys.executable, str(SERVER), str(video), "--schedule", case.scheduled(generation_s)]
        command += ["--generation", str(generation_s), "--jitter", str(jitter)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                url = f"http://127.0.0.1:{int((server.stdout or sys.stdin).readline())}"
                maximum = min(case.maximum, case.schedule[0][1] or case.maximum) if is_told else case.maximum
                done = asyncio.run(_ran(f"{url}/v1", case.rows, maximum, folder, is_traced=is_traced))
                with urllib.request.urlopen(f"{url}/stats", timeout=10) as answer:
                    stats = json.load(answer)
            finally:
                server.terminate()
    ideal_s = case.ideal_s(generation_s)
    over = {"ideal_s": ideal_s, "over_ideal": round(done["wall_s"] / ideal_s, 3)}
    return {"case": case.name, "rows": case.rows, "most": maximum, **over, **done, **stats, "load": os.getloadavg()[0]}


async def _ran(base_url: str, rows: int, maximum: int, folder: Path, *, is_traced: bool) -> dict[str, Any]:
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    begun, stored, last = time.monotonic(), 0, ""

    def watch(now: RunSnapshot) -> None:
        nonlocal last
        said = str(now.limit or "no row waits")
        if is_traced and said.split(" ago", maxsplit=1)[0][:20] != last:
            last = said.split(" ago", maxsplit=1)[0][:20]
            print(f"{time.monotonic() - begun:6.0f} s  {now.in_flight:>3} in flight, {said}", flush=True)

    async with RunwareClient("key", base_url, http_config=HttpConfig()) as client:
        means: dict[str, Any] = {"store": VideoStore(folder / "store"), "ledger": ledger, "on_progress": watch}
        limits = Limits(max_in_flight=maximum)
        outcomes = generate([job_of(number) for number in range(rows)], client=client, limits=limits, **means)
        async with aclosing(outcomes):
            async for outcome in outcomes:
                stored += outcome.stored is not None
    ledger.close()
    return {"stored": stored, "wall_s": round(time.monotonic() - begun, 2)}
