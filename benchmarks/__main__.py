"""Runs the cases side by side, each on a fresh server.

The repetitions of a case are spread over the whole run, so that a machine that grows slower slows all cases.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import limits, results, ticks
from benchmarks.alone import alone
from benchmarks.peers import PEERS
from wan_assets.video import Clip, render

HERE = Path(__file__).parent
_LIMIT_S = 900


@dataclass(frozen=True)
class Setting:
    """One line of the table; `scale` is how many times as fast the clock of the API and of our pace runs."""

    group: str
    case: str
    rows: int
    in_flight: int
    latency_s: float = 2.0
    scale: float = 1.0
    limited: float = 0.0
    failing: float = 0.0
    file_mb: int = 0
    is_long: bool = False

    @property
    def name(self) -> str:
        """What it is called while it runs."""
        return f"{self.group}: {self.case}"


def settings(peers: Collection[str]) -> list[Setting]:
    """Everything that is measured, in the order of the table; what is compared is in one group, and runs together."""
    loops = ["aiohttp", "aiohttp, batched polls", *(peer for peer in PEERS if peer in peers), "client and poller"]
    singly = "client and poller, one poll each"
    runs = ["Dagster's events alone", "plain Dagster, aiohttp", "ranged run"]
    return [
        *(Setting("one", case, 5, 1) for case in ("aiohttp", "client and poller", "engine")),
        *(Setting("few", case, 50, 50) for case in (*loops, "engine")),
        *(Setting("some", case, 200, 200) for case in ("httpx", "httpx over aiohttp", *loops, "engine")),
        *(Setting("wide", case, 2000, 2000) for case in ("httpx over aiohttp", *loops, singly)),
        *(Setting("many", case, 10_000, 10_000) for case in ("aiohttp, batched polls", "client and poller")),
        Setting("sizes", "client and poller", 20, 20, file_mb=100),
        Setting("sizes", "client and poller", 100_000, 10_000, is_long=True),
        Setting("sizes", "engine", 10_000, 10_000, is_long=True),
        *(Setting("whole", case, 400, 200, 20.0) for case in ("aiohttp", "client and poller", "engine")),
        *(Setting("minute", case, 480, 50, 6.0, 10.0) for case in ("client and poller", "engine")),
        Setting("minute", "engine", 480, 50, 6.0, 10.0, 0.01, 0.01),
        *(Setting("unscaled", case, 240, 50, 60.0, is_long=True) for case in ("client and poller", "engine")),
        Setting("unscaled", "engine", 240, 50, 60.0, limited=0.01, failing=0.01, is_long=True),
        *(Setting("dagster", case, 2000, 200) for case in runs),
        Setting("batches", "run by batch", 2000, 50),
        Setting("batches", "run by batch", 2000, 100, 10.0, is_long=True),
        *(Setting("again", case, 10_000, 1000, 0.1, is_long=True) for case in (runs[0], "ranged run, again")),
    ]


def main() -> None:
    if sys.argv[1:2] in (["limits"], ["ticks"]):
        {"limits": limits, "ticks": ticks}[sys.argv[1]].main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    for name, package in PEERS.items():
        parser.add_argument(f"--{package}", type=Path, help=f"The Python of an environment with {name} and aiohttp.")
    parser.add_argument("--groups", default="", help="Only these, with commas; what was measured of others is kept.")
    given = parser.parse_args()
    asked = set(filter(None, given.groups.split(",")))
    peers = {name: python for name, package in PEERS.items() if (python := getattr(given, package))}
    everything = settings(peers)
    chosen = [setting for setting in everything if not asked or setting.group in asked]
    found: dict[Setting, list[dict[str, float]]] = {setting: [] for setting in chosen}
    with tempfile.TemporaryDirectory(prefix="wan-assets-bench-") as folder:
        video = Path(folder) / "clip.mp4"
        render(Clip("MP4", 854, 480, 5, has_audio=False, seed=7, prompt="A kite"), video)
        for repeat in range(given.repeats):
            for setting in chosen:
                if setting.is_long and repeat:
                    continue
                found[setting].append(measured(setting, video, peers))
                print(f"{repeat + 1} {setting.name} {setting.in_flight}: {found[setting][-1]}", file=sys.stderr)
    reported = alone() if not asked or "alone" in asked else {}
    job = [_key_of(setting) for setting in settings(PEERS)]
    results.keep({_key_of(setting): runs for setting, runs in found.items()}, reported, job)


def _key_of(setting: Setting) -> str:
    return json.dumps(asdict(setting))


def measured(setting: Setting, video: Path, peers: Mapping[str, Path]) -> dict[str, float]:
    """One run of one case."""
    with served(setting, video) as port, tempfile.TemporaryDirectory(prefix="wan-assets-bench-") as folder:
        where = ["--url", f"http://127.0.0.1:{port}/v1", "--rows", str(setting.rows), "--folder", folder]
        where += ["--in-flight", str(setting.in_flight)]
        command = [sys.executable, "-m", "benchmarks.case", setting.case, *where, "--scale", str(setting.scale)]
        if python := peers.get(setting.case):
            command = [str(python), "-m", "benchmarks.peers", PEERS[setting.case], *where]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_LIMIT_S, cwd=HERE.parent)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats", timeout=10) as answer:
            counts = json.load(answer)
    return {**json.loads(done.stdout.splitlines()[-1]), **counts}


@contextmanager
def served(setting: Setting, video: Path) -> Iterator[int]:
    """The port of a fresh server."""
    how = ["--latency", setting.latency_s, "--limited", setting.limited, "--failing", setting.failing]
    how += ["--file-mb", setting.file_mb]
    command = [sys.executable, "-m", "benchmarks.server", str(video), *map(str, how)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE.parent) as server:
        try:
            yield int(server.stdout.readline())
        finally:
            server.kill()


if __name__ == "__main__":
    main()
