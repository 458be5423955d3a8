"""What was measured: kept in results.json, and shown as medians in RESULTS.md."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import string
import timeit
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_KEPT = HERE / "results.json"
_PAGE = HERE / "RESULTS.md"
_BEGIN, _END = "<!-- table -->\n", "<!-- end of table -->\n"
_HEAD = """
| | case | rows | in flight | generation | wall s | over ideal | rows/s | CPU ms/row | peak MB | POSTs/row | on |
|---|---|---|---|---|---|---|---|---|---|---|---|
"""


def keep(found: Mapping[str, list[dict[str, float]]], reported: Mapping[str, str], job: Sequence[str]) -> None:
    """Puts runs in the place of the same cases' last ones, by what they were set to, and writes the table anew.

    `job` is that of the table, and what there is: cases that are not in it are dropped.
    """
    kept = json.loads(_KEPT.read_text()) if _KEPT.exists() else {"cases": [], "alone": {}}
    cases = {json.dumps(case["setting"]): case for case in kept["cases"]}
    on = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "machine": _machine()}
    cases |= {setting: {"setting": json.loads(setting), **on, "runs": runs} for setting, runs in found.items()}
    kept = {"cases": [cases[setting] for setting in job if setting in cases], "alone": {**kept["alone"], **reported}}
    _KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    _show(kept)


def _machine() -> str:
    """What ran it, with a figure for its speed: processors of one name may differ by much."""
    what = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{what}, which adds ten million numbers in {statistics.median(_adding_s()):.2f} s"


def _adding_s() -> list[float]:
    return timeit.repeat("for number in range(10_000_000): total += number", "total = 0", number=1, repeat=5)


def _show(kept: Mapping[str, Any]) -> None:
    occasions = sorted({_occasion(case) for case in kept["cases"]})
    letters = dict(zip(occasions, string.ascii_uppercase, strict=False))
    measured = "\n".join(f"- {letter}: {occasion}" for occasion, letter in letters.items())
    table = "\n".join(f"{_line(case)} {letters[_occasion(case)]} |" for case in kept["cases"])
    alone = "\n".join(f"- {what}: {figure}" for what, figure in kept["alone"].items())
    before, _, rest = _PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    shown = f"Measured on\n{measured}\n{_HEAD}{table}\n\n{alone}\n"
    _PAGE.write_text(before + _BEGIN + shown + _END + rest.partition(_END)[2], encoding="utf-8")


def _occasion(case: Mapping[str, Any]) -> str:
    return f"{case['date']}, {case['machine']}"


def _line(case: Mapping[str, Any]) -> str:
    setting, runs = case["setting"], case["runs"]
    middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    rows, scale = setting["rows"], setting["scale"]
    ideal_s = math.ceil(rows / setting["in_flight"]) * setting["latency_s"]
    cells = [
        setting["group"],
        _name(setting),
        f"{rows:,}",
        f"{setting['in_flight']:,}",
        f"{setting['latency_s'] * scale:g} s" + (f" / {scale:g}" if scale != 1 else ""),
        f"{middle['wall_s']:.2f}{_spread([run['wall_s'] for run in runs])}",
        f"{middle['wall_s'] / ideal_s:.3f}",
        f"{rows / middle['wall_s']:,.0f}",
        f"{1000 * middle['cpu_s'] / rows:.2f}",
        f"{middle['peak_mb']:.0f}",
        f"{middle['posts'] / rows:.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def _name(setting: Mapping[str, Any]) -> str:
    trouble = f", {setting['limited']:.0%} of 429, {setting['failing']:.0%} fail" if setting["limited"] else ""
    return setting["case"] + trouble + (f", files of {setting['file_mb']} MB" if setting["file_mb"] else "")


def _spread(walls_s: list[float]) -> str:
    return f" ({min(walls_s):.2f} to {max(walls_s):.2f})" if len(walls_s) > 1 else ""
