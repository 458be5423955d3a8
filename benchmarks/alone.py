"""What needs no server: what an import adds, and a plan of a million rows."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_IMPORTS = 5
_ROWS = 1_000_000


def alone() -> dict[str, str]:
    """Sentences with figures, by what they are about."""
    bare, ours = _import_s("import dagster"), _import_s("import dagster, wan_assets")
    used = _import_s("import dagster; from wan_assets import build_video_assets, RunwareResource")
    loop_s, wall_s, peak_mb = _plan()
    with_all = f"{used - bare:.2f} s with `build_video_assets` and all that it takes"
    return {
        "`import wan_assets` after `import dagster`": f"{max(0.0, ours - bare):.2f} s on {bare:.2f} s; {with_all}",
        f"`wan-assets plan` of {_ROWS:,} rows": f"{wall_s:.1f} s, peak {peak_mb:,.0f} MB; "
        f"{wall_s / loop_s:.2f} times the time of a loop that reads the file with `csv` and hashes each row's JSON",
    }


def _import_s(statement: str) -> float:
    return statistics.median(_ran(["-c", statement])[0] for _ in range(_IMPORTS))


_LOOP = """
import csv, hashlib, json, sys
with open(sys.argv[1], newline="") as file:
    for row in csv.DictReader(file):
        hashlib.sha256(json.dumps(row).encode()).hexdigest()
"""


def _plan() -> tuple[float, float, float]:
    """Seconds of the loop, and seconds and peak megabytes of the command, over the same table."""
    with tempfile.TemporaryDirectory(prefix="wan-assets-bench-") as folder:
        table = Path(folder) / "prompts.csv"
        with table.open("w") as file:
            file.write("prompt_id,positive_prompt,resolution,seed\n")
            file.writelines(f"p{number},A kite over field {number},480p,{number}\n" for number in range(_ROWS))
        return (_ran(["-c", _LOOP, str(table)])[0], *_ran(["-m", "wan_assets", "plan", str(table)]))


def _ran(arguments: list[str]) -> tuple[float, float]:
    """Seconds and peak megabytes of one process."""
    begun_s = time.perf_counter()
    child = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise RuntimeError(f"{arguments} ended with {status}")
    return time.perf_counter() - begun_s, used.ru_maxrss / 1024
