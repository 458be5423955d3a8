"""Ticks of a sensor over a large CSV file, beside loops that read the file: `python -m benchmarks ticks`.

The first tick accepts the table and further ticks request all its partitions; both are not compared. Then rows spread
over the file change, and the loops and the tick read it in one process. Prints each measurement, and medians of ratios.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import dagster as dg
from more_itertools import chunked

from wan_assets import VideoStoreResource, build_video_sensor
from wan_assets.orchestration.runs.partitioning import Partitions

_PARTS = 100
_MONTH_DAYS = 28
_KEYS_AT_ONCE = 5_000
_MOST_TICKS = 30
_HEADER = "prompt_id,positive_prompt,resolution,seed,date\n"


class Taken(NamedTuple):
    """Seconds of the clock and of the processor."""

    wall_s: float
    cpu_s: float

    def __str__(self) -> str:
        return f"{self.wall_s:.2f} s, CPU {self.cpu_s:.2f} s"


def _taken(work: Callable[[], object]) -> Taken:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    work()
    return Taken(time.perf_counter() - wall_s, time.process_time() - cpu_s)


def _lists(path: Path) -> None:
    with path.open(newline="") as file:
        for _ in csv.reader(file):
            pass


def _dicts(path: Path) -> None:
    with path.open(newline="") as file:
        for _ in csv.DictReader(file):
            pass


def _hashed(path: Path) -> None:
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            hashlib.sha256(json.dumps(row).encode()).hexdigest()


LOOPS = {"csv.reader": _lists, "csv.DictReader": _dicts, "csv.DictReader and SHA-256 of the JSON": _hashed}


@dataclass
class Table:
    """The rows of a CSV file, in the order of their dates."""

    path: Path
    rows: int
    _lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lines = [self._line(number, "kite") for number in range(self.rows)]
        self._write()

    def change(self, changes: int, repeat: int) -> None:
        """Changes rows at equal distances."""
        for number in range(repeat, self.rows, self.rows // changes):
            self._lines[number] = self._line(number, f"boat {repeat}")
        self._write()

    def _line(self, number: int, word: str) -> str:
        month, day = divmod(number * _PARTS // self.rows, _MONTH_DAYS)
        return f"p{number},A {word} over field {number},480p,{number},2026-{1 + month:02}-{1 + day:02}\n"

    def _write(self) -> None:
        self.path.write_text(_HEADER + "".join(self._lines), encoding="utf-8")


def _partitions(kind: str) -> Partitions:
    if kind == "days":
        return dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-05-01")
    if kind == "shards":
        return dg.StaticPartitionsDefinition([f"s{number:03}" for number in range(_PARTS)])
    return "prompt"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks ticks", description=__doc__)
    parser.add_argument("--partitions", choices=["days", "shards", "prompt"], default="days")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="wan-assets-bench-") as folder:
        table = Table(Path(folder) / "prompts.csv", given.rows)
        sensor = build_video_sensor(prompts=table.path, partitions=_partitions(given.partitions))
        with dg.DagsterInstance.local_temp(folder) as instance:
            if given.partitions == "prompt":
                for keys in chunked((f"p{number}" for number in range(given.rows)), _KEYS_AT_ONCE):
                    instance.add_dynamic_partitions("videos", keys)
            _Ticks(table, sensor, instance, Path(folder)).measure(given.changes, given.repeats)


@dataclass
class _Ticks:
    """The ticks of one sensor."""

    table: Table
    sensor: dg.SensorDefinition
    instance: dg.DagsterInstance
    folder: Path
    cursor: str | None = None
    skipped: str = ""

    def measure(self, changes: int, repeats: int) -> None:
        print(f"first tick: {_taken(self._tick)}", flush=True)
        ticks = [_taken(self._tick)]
        while not self.skipped and len(ticks) < _MOST_TICKS:
            ticks.append(_taken(self._tick))
        print(f"{len(ticks)} further ticks; the last: {ticks[-1]} ({self.skipped or 'not done'})", flush=True)
        found: dict[str, list[Taken]] = {name: [] for name in (*LOOPS, "tick", "next tick")}
        for repeat in range(repeats):
            self.table.change(changes, repeat)
            for name, loop in LOOPS.items():
                found[name].append(_taken(lambda loop=loop: loop(self.table.path)))
            found["tick"].append(_taken(self._tick))
            found["next tick"].append(_taken(self._tick))
            print("; ".join(f"{name}: {taken[-1]}" for name, taken in found.items()), flush=True)
        for name in LOOPS:
            wall, cpu = (_ratio(found["tick"], found[name], at) for at in (0, 1))
            print(f"tick with {changes} changes / {name}: {wall:.2f} by the clock, {cpu:.2f} by the processor")

    def _tick(self) -> None:
        store = VideoStoreResource(root=str(self.folder / "store"))
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor, resources={"store": store})
        result = self.sensor(context)
        if not isinstance(result, dg.SensorResult):
            raise TypeError(f"the tick returned {result!r}")
        self.cursor = result.cursor
        self.skipped = str(result.skip_reason.skip_message or "") if result.skip_reason else ""


def _ratio(ours: Sequence[Taken], theirs: Sequence[Taken], at: int) -> float:
    return statistics.median(our[at] / their[at] for our, their in zip(ours, theirs, strict=True))
