"""One peer's case: `python -m benchmarks.peers daft --url … --rows … --in-flight … --folder …`."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

from benchmarks.measure import Meter
from benchmarks.peers import PEERS


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.peers", description=__doc__)
    parser.add_argument("peer", choices=PEERS.values())
    parser.add_argument("--url", required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    its = parser.parse_args()
    with importlib.import_module(f"benchmarks.peers.{its.peer}").ready(its.url, its.folder) as made:
        meter = Meter()
        made(its.rows, its.in_flight)
        print(json.dumps(meter.read()))


if __name__ == "__main__":
    main()
