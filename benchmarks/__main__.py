"""Runs the cases side by side on a fresh server each time, and writes medians to RESULTS.md and results.json.

The repetitions of a case are spread over the whole run, so that a machine that grows slower slows all cases.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.alone import alone
from benchmarks.case import CASES, RUNS
from wan_assets.video import Clip, render

HERE = Path(__file__).parent
_LIMIT_S = 900


@dataclass(frozen=True)
class Setting:
    """One line of the table; `scale` is how many times as fast the clock of the API and of our pace runs."""

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
    def ideal_s(self) -> float:
        """The makespan of an API without any overhead."""
        return math.ceil(self.rows / self.in_flight) * self.latency_s

    @property
    def name(self) -> str:
        trouble = f", {self.limited:.0%} of 429 and {self.failing:.0%} of failures" if self.limited else ""
        return f"{self.case}{trouble}{f', files of {self.file_mb} MB' if self.file_mb else ''}"


def settings(sdk: bool) -> list[Setting]:
    """Everything that is measured, in the order of the table."""
    loops = ["aiohttp", "aiohttp, batched polls", *(["official SDK"] if sdk else []), "client and poller"]
    single = [*loops, "client and poller, one poll each"]
    one = [Setting(case, 5, 1) for case in ("aiohttp", "client and poller", "engine")]
    few = [Setting(case, 50, 50) for case in (*loops, "engine")]
    wide = [Setting(case, 2000, 2000) for case in single]
    many = [Setting(case, 10_000, 10_000) for case in ("aiohttp, batched polls", "client and poller")]
    sizes = [
        Setting("client and poller", 100_000, 10_000, is_long=True),
        Setting("client and poller", 20, 20, file_mb=100),
    ]
    whole = [Setting(case, 400, 200, 10.0) for case in ("aiohttp", "client and poller", "engine")]
    long = [Setting(case, 200, 50, 6.0, 10.0) for case in ("client and poller", "engine")]
    troubled = [Setting("engine", 200, 50, 6.0, 10.0, 0.01, 0.01)]
    runs = [Setting(case, 2000, 200) for case in ("Dagster's events alone", "plain Dagster, aiohttp", "ranged run")]
    batches = [Setting("run by batch", 2000, 100)]
    again = [Setting(case, 10_000, 1000, 0.1, is_long=True) for case in ("Dagster's events alone", "ranged run, again")]
    httpx = [Setting("httpx", 200, 200)]
    return [*one, *few, *httpx, *wide, *many, *sizes, *whole, *long, *troubled, *runs, *batches, *again]


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sdk", type=Path, help="The Python of an environment with runware-sdk.")
    parser.add_argument("--only", default="", help="Cases whose name has this in it.")
    given = parser.parse_args()
    chosen = [setting for setting in settings(given.sdk is not None) if given.only in setting.name]
    found: dict[Setting, list[dict[str, float]]] = {setting: [] for setting in chosen}
    with tempfile.TemporaryDirectory(prefix="wan-assets-bench-") as folder:
        video = Path(folder) / "clip.mp4"
        render(Clip("MP4", 854, 480, 5, has_audio=False, seed=7, prompt="A kite"), video)
        for repeat in range(given.repeats):
            for setting in chosen:
                if setting.is_long and repeat:
                    continue
                found[setting].append(measured(setting, video, given.sdk))
                print(f"{repeat + 1} {setting.name} {setting.in_flight}: {found[setting][-1]}", file=sys.stderr)
    write(found, given.repeats, alone() if not given.only else {})


def measured(setting: Setting, video: Path, sdk: Path | None) -> dict[str, float]:
    """One run of one case."""
    with served(setting, video) as port, tempfile.TemporaryDirectory(prefix="wan-assets-bench-") as folder:
        where = ["--url", f"http://127.0.0.1:{port}/v1", "--rows", str(setting.rows), "--folder", folder]
        where += ["--in-flight", str(setting.in_flight)]
        command = [sys.executable, "-m", "benchmarks.case", setting.case, *where, "--scale", str(setting.scale)]
        if setting.case not in (*CASES, *RUNS):
            command = [str(sdk), str(HERE / "sdk.py"), *where]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_LIMIT_S, cwd=HERE.parent)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats", timeout=10) as answer:
            counts = json.load(answer)
    return {**json.loads(done.stdout), **counts}


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
            server.terminate()


def write(found: dict[Setting, list[dict[str, float]]], repeats: int, told: dict[str, str]) -> None:
    """The table, and all that it is made of."""
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {machine}; medians of {repeats}, with the least and the most;",
        "what takes minutes ran once.",
        "A row is one video of 480p and 5 s without sound; the ideal is the number of waves, rows over rows in flight,",
        "times the generation time. `60 s / 10` means that all clocks ran ten times as fast.",
        "",
        "| case | rows | in flight | generation | wall s | over ideal | rows/s | CPU ms/row | peak MB | POSTs/row |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(_line(setting, runs) for setting, runs in found.items()),
        "",
        *(f"- {what}: {figure}" for what, figure in told.items()),
    ]
    kept = [{"setting": asdict(setting), "runs": runs} for setting, runs in found.items()]
    (HERE / "results.json").write_text(json.dumps({"machine": machine, "cases": kept, "alone": told}, indent=1) + "\n")
    page = HERE / "RESULTS.md"
    begin, end = "<!-- table -->\n", "<!-- end of table -->\n"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    page.write_text(before + begin + "\n".join(lines) + "\n" + end + rest.partition(end)[2], encoding="utf-8")


def _line(setting: Setting, runs: list[dict[str, Any]]) -> str:
    middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    walls = sorted(run["wall_s"] for run in runs)
    cells = [
        setting.name,
        f"{setting.rows:,}",
        f"{setting.in_flight:,}",
        f"{setting.latency_s * setting.scale:g} s" + (f" / {setting.scale:g}" if setting.scale != 1 else ""),
        f"{middle['wall_s']:.2f} ({walls[0]:.2f} to {walls[-1]:.2f})",
        f"{middle['wall_s'] / setting.ideal_s:.3f}",
        f"{setting.rows / middle['wall_s']:,.0f}",
        f"{1000 * middle['cpu_s'] / setting.rows:.2f}",
        f"{middle['peak_mb']:.0f}",
        f"{middle['posts'] / setting.rows:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
