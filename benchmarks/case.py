"""One case in a process of its own, so that its time, its CPU and its memory are its own; prints one line of JSON."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import loops, ours
from benchmarks.measure import Meter

RUNS = ("Dagster's events alone", "plain Dagster, aiohttp", "ranged run", "ranged run, again", "run by batch")
"""What `benchmarks.runs` has; it is loaded for these alone, as Dagster's memory would count in the others."""

CASES: dict[str, Callable[[argparse.Namespace], Any]] = {
    "aiohttp": lambda its: asyncio.run(loops.with_aiohttp(*_where(its), batched=False)),
    "aiohttp, batched polls": lambda its: asyncio.run(loops.with_aiohttp(*_where(its), batched=True)),
    "httpx": lambda its: asyncio.run(loops.with_httpx(*_where(its), over_aiohttp=False)),
    "httpx over aiohttp": lambda its: asyncio.run(loops.with_httpx(*_where(its), over_aiohttp=True)),
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
    meter = Meter()
    timed = _run(its)
    print(json.dumps({**meter.read(), **(timed or {})}))


def _run(its: argparse.Namespace) -> dict[str, float] | None:
    if its.case in CASES:
        return CASES[its.case](its)
    logging.disable(logging.INFO)
    return importlib.import_module("benchmarks.runs").CASES[its.case](*_where(its))


if __name__ == "__main__":
    main()
