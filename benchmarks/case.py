"""One case in a process of its own, so that its time, its CPU and its memory are its own; prints one line of JSON."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import logging
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import loops, ours

RUNS = ("Dagster's events alone", "plain Dagster, aiohttp", "ranged run", "ranged run, again", "run by batch")
"""What `benchmarks.runs` has; it is loaded for these alone, as Dagster's memory would count in the others."""

CASES: dict[str, Callable[[argparse.Namespace], Any]] = {
    "aiohttp": lambda its: asyncio.run(loops.with_aiohttp(*_where(its), batched=False)),
    "aiohttp, batched polls": lambda its: asyncio.run(loops.with_aiohttp(*_where(its), batched=True)),
    "httpx": lambda its: asyncio.run(loops.with_httpx(*_where(its))),
    "client and poller": lambda its: asyncio.run(ours.without_ledger_and_store(*_where(its), its.scale)),
    "client and poller, one poll each": lambda its: asyncio.run(
        ours.without_ledger_and_store(*_where(its), its.scale, polls_per_post=1)
    ),
    "engine": lambda its: asyncio.run(ours.engine(*_where(its), its.scale)),
}


def _where(its: argparse.Namespace) -> tuple[str, int, int, Path]:
    return its.url, its.rows, its.in_flight, its.folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=[*CASES, *RUNS])
    parser.add_argument("--url", required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--scale", type=float, default=1.0)
    its = parser.parse_args()
    begun_s, begun_cpu_s = time.perf_counter(), _cpu_s()
    timed = _run(its)
    wall_s = time.perf_counter() - begun_s
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"wall_s": wall_s, "cpu_s": _cpu_s() - begun_cpu_s, "peak_mb": peak_mb, **(timed or {})}))


def _run(its: argparse.Namespace) -> dict[str, float] | None:
    if its.case in CASES:
        return CASES[its.case](its)
    logging.disable(logging.INFO)
    return importlib.import_module("benchmarks.runs").CASES[its.case](*_where(its))


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


if __name__ == "__main__":
    main()
