"""A whole pipeline in `dagster dev`: warehouse, prompts, videos, an asset that reads the files, and a summary."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster_server import DagsterServer, dagster_dev
from pipeline_project import DEFINITIONS

from wan_assets.simulator import Behaviour, LocalSimulator

ROWS = 100


class Place:
    """A folder with warehouses, and the server."""

    def __init__(self, folder: Path, simulator: LocalSimulator) -> None:
        self.folder = folder
        self.simulator = simulator
        self.dagster: DagsterServer

    def write(self, name: str, count: int, **edits: str) -> list[str]:
        """Writes the source of a warehouse; returns its keys. Requests repeat, so that fewer are paid for."""
        keys = [f"{name}-{number:03}" for number in range(count)]
        rows = [
            {
                "prompt_id": key,
                "positive_prompt": edits.get(key[-3:], f"{name} {int(key[-3:]) % 20}"),
                "resolution": "480p",
            }
            for key in keys
        ]
        (self.folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return keys

    def read(self, name: str) -> None:
        """Builds the warehouse and checks the table."""
        run_id = self.dagster.launch(f"warehouse/{name}", f"{name}_prompts")
        assert self.dagster.ended(run_id) == "SUCCESS"

    def sizes(self, keys: list[str]) -> list[list[int]]:
        """What the downstream asset has read."""
        return [json.loads((self.folder / "bytes" / f"{key}.json").read_text()) for key in keys]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("pipeline")
    with LocalSimulator(folder / "simulator", Behaviour(latency_s=0.5)) as simulator:
        here = Place(folder, simulator)
        with dagster_dev(folder, DEFINITIONS, API=simulator.base_url) as here.dagster:
            yield here


@pytest.mark.parametrize(("name", "runs"), [("one", 1), ("ten", 10)])
def test_a_backfill_makes_videos_and_what_depends_on_them_with_one_event_each(
    place: Place, name: str, runs: int
) -> None:
    dagster, keys = place.dagster, place.write(name, ROWS)
    place.read(name)

    backfill = dagster.backfill(name, f"{name}_bytes")

    assert dagster.backfill_ended(backfill) == "COMPLETED_SUCCESS"
    assert len(dagster.runs(tags=[{"key": "dagster/backfill", "value": backfill}])) == runs
    for asset in (name, f"{name}_bytes"):
        assert dagster.events(asset) == Counter(keys)
    assert all(size > 1000 for (size,) in place.sizes(keys))
    assert dagster.ended(dagster.launch(f"{name}_summary")) == "SUCCESS"


def test_the_sensor_requests_videos_of_a_changed_warehouse_and_nothing_else(place: Place) -> None:
    dagster, keys = place.dagster, place.write("watched", 8)
    place.read("watched")
    dagster.start_sensor("watched_sensor")
    dagster.wait("8 videos", lambda: dagster.partitions("watched")["numMaterialized"] == 8)

    place.write("watched", 8, **{"003": "Another prompt"})
    assert dagster.ended(dagster.launch("warehouse/watched")) == "SUCCESS"
    dagster.wait("the changed video", lambda: dagster.events("watched")[keys[3]] == 2)

    assert dagster.events("watched") == Counter([*keys, keys[3]])
    ranged = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    assert dagster.ended(dagster.launch("watched_bytes", **ranged)) == "SUCCESS"
    assert dagster.events("watched_bytes") == Counter(keys)


def test_automation_conditions_carry_a_change_from_the_warehouse_to_the_summary(place: Place) -> None:
    dagster, keys = place.dagster, place.write("eager", 8)
    dagster.start_sensor("default_automation_condition_sensor")
    dagster.wait("the first evaluation, which counts earlier events as handled", dagster.has_evaluated)
    assert dagster.ended(dagster.launch("warehouse/eager")) == "SUCCESS"

    dagster.wait("what depends on 8 videos", lambda: dagster.events("eager_bytes") == Counter(keys))
    dagster.wait("the summary", lambda: dagster.events("eager_summary").total())

    assert dagster.events("eager") == Counter(keys)
    charged = place.simulator.journal.charges()
    assert len({charge.task_uuid for charge in charged}) == len(charged)


def test_checks_run_with_the_videos(place: Place) -> None:
    dagster, keys = place.dagster, place.write("one", ROWS)
    ranged = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    if dagster.partitions("one")["numPartitions"] == 0:
        place.read("one")

    assert dagster.ended(dagster.launch("one", **ranged)) == "SUCCESS"

    checks = dagster.checks("one")
    assert len(checks) >= 12
    assert set(checks.values()) == {"SUCCEEDED"}
