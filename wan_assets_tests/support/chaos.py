"""Kills and suspends runs of the real assets again and again, lets them end, and holds all books against each other.

python wan_assets_tests/support/chaos.py --kills 55 --in-flight 200 --seed 1
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import click
from chaos_audit import PROMISES, Evidence, evidence_in, summary, violations
from chaos_run import LEASE_S, POINTS, SUSPENSIONS
from patience import PATIENCE_S
from python_process import PythonProcess

from wan_assets.simulator import FAULTS, Behaviour, LocalSimulator

RANDOM = "at a random moment"
STOPPING = ("forbidden", "poll_401")
"""Faults that end a run, as they should: seldom, or no run would ever have many tasks in flight."""

_MAX_RUNS = 6
_ROWS_TO_SUSPEND = 20
"""New rows before each suspension: what went before may have brought all others to the API."""

_DUPLICATES = ("conflict_400", "conflict_409", "conflict_200", "race", "rerun")


@dataclass(frozen=True)
class Kill:
    """One SIGKILL: where, and how many tasks were open then."""

    point: str
    in_flight: int


@dataclass
class Campaign:
    """One table whose runs are killed at every point and twice at random, suspended at some points, and left to end.

    The first run is killed when `in_flight` tasks are; each later one when it has passed its point `most_passes` times
    at most. A suspended run goes on when its lease has run out and another run has taken its tasks over.
    """

    folder: Path
    seed: int
    in_flight: int
    latency_s: float
    most_passes: int = 15
    tell: Callable[[str], None] = lambda _: None
    kills: list[Kill] = field(default_factory=list)
    suspensions: list[str] = field(default_factory=list)
    suspends_at: int = 2
    """So many points of each campaign."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def run(self) -> Evidence:
        """Kills and finishes; gives what is then in the books."""
        plan = list(self._plan())
        rows = self.in_flight + self.most_passes * (len(plan) + 1)
        write_table(self.folder / "prompts.jsonl", rows, two_results_every=20)
        with LocalSimulator(self.folder / "simulator", self._behaviour()) as simulator:
            for point, passes in plan:
                self._kill(simulator, point, passes)
            for point in self._random.sample(SUSPENSIONS, self.suspends_at):
                rows = self._suspend(simulator, point, rows)
            self._finish(simulator)
        return evidence_in(self.folder)

    def _plan(self) -> Iterator[tuple[str, int]]:
        """Where each run is killed, and after how many passes."""
        moments = set(self._random.sample(range(2, len(POINTS)), 2))
        for number, point in enumerate(POINTS):
            yield point, self._random.randint(1, self.most_passes) + (self.in_flight if number == 0 else 0)
            if number in moments:
                yield RANDOM, 0

    def _behaviour(self) -> Behaviour:
        rates = {fault: self._random.choice((0.01, 0.02, 0.03)) for fault in FAULTS}
        rates |= dict.fromkeys(STOPPING, 0.002) | dict.fromkeys(("lost_task", "no_url"), 0.005)
        duplicates = self._random.choice(_DUPLICATES)
        if duplicates == "rerun":
            # A task that the API charges, forgets, and charges again is paid for twice by any client that is killed
            # between its submission and the acknowledgement, and submits again what the API does not know.
            rates["lost_task"] = 0.0
        return Behaviour(
            latency_s=self.latency_s,
            faults=rates,
            seed=self.seed,
            duplicates=duplicates,
            unknown_task=self._random.choice(("nothing", "error")),
            has_upper_case_uuids=self._random.choice((False, True)),
            pause_s=0.001,
        )

    def _kill(self, simulator: LocalSimulator, point: str, passes: int) -> None:
        """Runs until a run was killed there; one that ends by itself before it gets there is run again."""
        for _ in range(_MAX_RUNS):
            trap = (point, str(passes), "SIGKILL")
            end = self._at_random(simulator) if point == RANDOM else self._ended(simulator, *trap)
            if end == -9:
                self.kills.append(Kill(point, self._open_tasks()))
                self.tell(f"{len(self.kills):>3}  {point:<38}{self.kills[-1].in_flight:>4} in flight")
                return
        raise RuntimeError(f"no run was killed {point}")

    def _suspend(self, simulator: LocalSimulator, point: str, rows: int) -> int:
        """Suspends a run at a point; one that a fault ends before it gets there is run again. Gives the rows then."""
        for _ in range(_MAX_RUNS):
            rows += _ROWS_TO_SUSPEND
            write_table(self.folder / "prompts.jsonl", rows, two_results_every=20)
            if self._is_suspended_at(simulator, point):
                self.suspensions.append(point)
                self.tell(f"     suspended {point}")
                return rows
        raise RuntimeError(f"no run was suspended {point}")

    def _is_suspended_at(self, simulator: LocalSimulator, point: str) -> bool:
        """Suspends a run until its lease has run out and another run has ended; then it goes on."""
        passes = self._random.randint(1, min(self.most_passes, _ROWS_TO_SUSPEND // 2))
        process = started(self.folder, simulator.base_url, point, str(passes), "SIGSTOP")
        try:
            if not is_suspended(process):
                self.tell(f"     not suspended {point}: the run had ended")
                return False
            time.sleep(LEASE_S + 1.0)
            self._ended(simulator)
            process.send_signal(signal.SIGCONT)
            process.wait(PATIENCE_S)
        finally:
            process.kill()
            process.wait()
        return True

    def _at_random(self, simulator: LocalSimulator) -> int:
        process = started(self.folder, simulator.base_url)
        began = simulator.journal.submissions(), self._open_tasks()
        until = time.monotonic() + PATIENCE_S
        while process.poll() is None and time.monotonic() < until:
            if (simulator.journal.submissions(), self._open_tasks()) != began:
                break
            time.sleep(0.01)
        try:
            process.wait(self._random.uniform(0.0, 2.0))
        except subprocess.TimeoutExpired:
            process.kill()
        return process.wait()

    def _finish(self, simulator: LocalSimulator) -> None:
        """Runs until a run sends nothing any more and none of its rows is left but what the API swallowed."""
        for _ in range(_MAX_RUNS):
            before = simulator.journal.submissions()
            if self._ended(simulator) == 0:
                return
            if simulator.journal.submissions() == before and not list(_hopeful(evidence_in(self.folder))):
                return
        left = "\n".join(_hopeful(evidence_in(self.folder)))
        raise RuntimeError(f"{_MAX_RUNS} runs did not bring every video that can be had:\n{left}")

    def _ended(self, simulator: LocalSimulator, *trap: str) -> int:
        process = started(self.folder, simulator.base_url, *trap)
        try:
            return process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise RuntimeError(f"a run {trap} did not end within {PATIENCE_S:g} s") from None

    def _open_tasks(self) -> int:
        path = self.folder / "ledger.db"
        if not path.exists():
            return 0
        with closing(sqlite3.connect(path, timeout=30)) as db:
            try:
                count = "SELECT count(*) FROM wan_tasks WHERE state IN ('reserved', 'submitted', 'delivered')"
                return int(db.execute(count).fetchone()[0])
            except sqlite3.OperationalError:
                return 0  # the tables are being made


def started(folder: Path, base_url: str, *trap: str) -> subprocess.Popen[bytes]:
    """A run of the folder's table in a process of its own, which kills itself at the trap's point."""
    script = Path(__file__).with_name("chaos_run.py")
    command = [script, folder, base_url, *trap]
    with (folder / "runs.log").open("ab") as log:
        return PythonProcess(command, stdout=log, stderr=log)


def is_suspended(process: subprocess.Popen[bytes]) -> bool:
    """Waits until a process suspends itself or ends; whether it is suspended."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        found, status = os.waitpid(process.pid, os.WUNTRACED | os.WNOHANG)
        if found and os.WIFSTOPPED(status):
            return True
        if found:
            process.returncode = os.waitstatus_to_exitcode(status)
            return False
        time.sleep(0.02)
    raise RuntimeError("a run neither came to its point nor ended")


def _hopeful(evidence: Evidence) -> Iterator[str]:
    return (sentence for sentence in violations(evidence) if not sentence.startswith("partial file"))


def write_table(path: Path, rows: int, *, two_results_every: int) -> None:
    """A table of silent clips at 720p, of which some ask for two results."""
    with path.open("w") as file:
        for number in range(rows):
            row: dict[str, Any] = {"prompt_id": f"r{number:04}", "positive_prompt": f"Kite {number}"}
            row |= {"resolution": "720p", "provider_settings.alibaba.audio": False}
            row |= {"number_results": 2} if number % two_results_every == 0 else {}
            file.write(json.dumps(row) + "\n")


@click.command()
@click.option("--kills", default=50, show_default=True, help="At least so many.")
@click.option("--suspensions", default=10, show_default=True, help="At least so many.")
@click.option("--in-flight", default=200, show_default=True, help="Tasks in flight when a run is killed.")
@click.option("--seed", default=1, show_default=True, help="Decides faults, points and moments.")
@click.option("--latency", "latency_s", default=30.0, show_default=True, help="Seconds of a simulated generation.")
@click.option("--limit", "limit_s", default=3600.0, show_default=True, help="Seconds after which no campaign begins.")
def main(kills: int, suspensions: int, in_flight: int, seed: int, latency_s: float, limit_s: float) -> None:
    """Kill and suspend runs until it was enough, and print what was found. Exit status 0 if every promise held."""
    began = time.monotonic()
    done: list[Kill] = []
    suspended: list[str] = []
    broken: list[str] = []
    while (len(done) < kills or len(suspended) < suspensions) and time.monotonic() - began < limit_s:
        click.echo(f"\ncampaign of seed {seed}")
        with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
            campaign = Campaign(Path(folder), seed, in_flight, latency_s, tell=click.echo)
            evidence = campaign.run()
            broken += [f"seed {seed}: {sentence}" for sentence in violations(evidence)]
            click.echo(f"     {summary(evidence)}")
        done += campaign.kills
        suspended += campaign.suspensions
        seed += 1
    report(done, suspended, broken, time.monotonic() - began)
    sys.exit(0 if not broken and len(done) >= kills and len(suspended) >= suspensions else 1)


def report(kills: list[Kill], suspensions: list[str], broken: list[str], took_s: float) -> None:
    """Prints kills and suspensions by point, and how often each promise was broken."""
    click.echo(f"\n{len(kills)} kills and {len(suspensions)} suspensions in {took_s / 60:.1f} minutes")
    for point, times in Counter(suspensions).items():
        click.echo(f"  suspended {point:<38}{times:>4} times")
    for point, times in Counter(kill.point for kill in kills).items():
        flights = [kill.in_flight for kill in kills if kill.point == point]
        click.echo(f"  {point:<38}{times:>4} times  in flight: least {min(flights)}, median {median(flights):g}")
    for promise in PROMISES:
        click.echo(f"  {promise:<38}{sum(f': {promise}:' in sentence for sentence in broken):>4}")
    for sentence in broken:
        click.echo(f"BROKEN {sentence}")


if __name__ == "__main__":
    main()
