"""The whole through a running `dagster dev`, driven over GraphQL as the UI drives it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster_server import DagsterServer, dagster_dev

from wan_assets.simulator import Behaviour, LocalSimulator

DEFINITIONS = """
import os

import dagster as dg

from wan_assets import LedgerResource, RunwareResource, VideoStoreResource, build_video_assets
from wan_assets.orchestration.automation import build_video_sensor

tables = {name: {"name": name, "prompts": f"{name}.jsonl"} for name in ("watched", "many", "stopped")}
defs = dg.Definitions.merge(
    *(build_video_assets(**table) for table in tables.values()),
    dg.Definitions(
        sensors=[build_video_sensor(**tables["watched"], minimum_interval_seconds=1)],
        executor=dg.in_process_executor,
        resources={
            "runware": RunwareResource(
                api_key="a-key", base_url=os.environ["API"], max_in_flight=50, initial_poll_delay_s=0.2
            ),
            "store": VideoStoreResource(root="store"),
            "ledger": LedgerResource(url="sqlite:///ledger.db"),
        },
    ),
)
"""


class Place:
    """A folder with tables, the account that is charged, and the server."""

    def __init__(self, folder: Path, simulator: LocalSimulator) -> None:
        self.folder = folder
        self.journal = simulator.journal
        self.dagster: DagsterServer

    def write(self, name: str, rows: list[dict[str, Any]]) -> None:
        whole = self.folder / f"{name}.new"
        whole.write_text("".join(json.dumps(row) + "\n" for row in rows))
        whole.rename(self.folder / f"{name}.jsonl")

    def charges(self, name: str) -> int:
        """How many tasks were charged for prompts of a table."""
        asked = "SELECT json_extract(t.request, '$.positivePrompt') FROM charges c JOIN tasks t USING (task_uuid)"
        return sum(prompt.startswith(name) for (prompt,) in self.journal.rows(asked))


def rows_of(name: str, number: int, distinct: int | None = None) -> list[dict[str, Any]]:
    """Rows of a table, of which so many ask for different videos."""
    return [
        {
            "prompt_id": f"{name}-{each}",
            "positive_prompt": f"{name} {each % (distinct or number)}",
            "resolution": "480p",
        }
        for each in range(number)
    ]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("dev")
    with LocalSimulator(folder / "simulator", Behaviour(latency_s=3.0)) as simulator:
        here = Place(folder, simulator)
        here.write("watched", rows_of("watched", 50))
        here.write("many", rows_of("many", 1000, distinct=40))
        here.write("stopped", rows_of("stopped", 30))
        with dagster_dev(folder, DEFINITIONS, API=simulator.base_url) as here.dagster:
            yield here


def test_a_table_is_watched_made_and_kept_up_to_date(place: Place) -> None:
    dagster, rows = place.dagster, rows_of("watched", 50)
    keys = [row["prompt_id"] for row in rows]

    dagster.start_sensor("watched_sensor")
    dagster.wait("50 green partitions", lambda: dagster.partitions("watched")["numMaterialized"] == 50)
    assert dagster.stale("watched", keys) == []
    first = [run_id for tick in dagster.ticks("watched_sensor") for run_id in tick["runIds"]]

    rows[7]["positive_prompt"] = "watched, but edited"
    place.write("watched", rows)
    stale = dagster.wait("a stale partition", lambda: dagster.stale("watched", keys))
    dagster.wait("no stale partition", lambda: not dagster.stale("watched", keys))
    dagster.wait(
        "a tick without work", lambda: "not changed" in (dagster.ticks("watched_sensor")[0]["skipReason"] or "")
    )

    later = [run_id for tick in dagster.ticks("watched_sensor") for run_id in tick["runIds"]]
    assert stale == [keys[7]]
    assert (len(first), len(later)) == (1, 2)
    assert place.charges("watched") == 51
    assert dagster.partitions("watched") == {"numMaterialized": 50, "numFailed": 0, "numPartitions": 50}


def test_a_backfill_of_a_thousand_prompts_takes_ten_runs(place: Place) -> None:
    dagster = place.dagster
    assert dagster.ended(dagster.launch("many_prompts")) == "SUCCESS"

    backfill = dagster.backfill("many")
    status = dagster.backfill_ended(backfill)

    runs = dagster.runs(tags=[{"key": "dagster/backfill", "value": backfill}])
    assert status == "COMPLETED_SUCCESS"
    assert len(runs) <= 10
    assert dagster.partitions("many") == {"numMaterialized": 1000, "numFailed": 0, "numPartitions": 1000}
    assert place.charges("many") == 40


def test_a_run_that_is_terminated_and_executed_again_pays_once(place: Place) -> None:
    dagster = place.dagster
    assert dagster.ended(dagster.launch("stopped_prompts")) == "SUCCESS"

    ranged = {"dagster/asset_partition_range_start": "stopped-0", "dagster/asset_partition_range_end": "stopped-29"}
    run = dagster.launch("stopped", **ranged)
    before = place.journal.submissions()
    dagster.wait("tasks in flight", lambda: place.journal.submissions() > before + 5)
    dagster.terminate(run)
    assert dagster.ended(run) == "CANCELED"
    green = dagster.partitions("stopped")["numMaterialized"]
    again = dagster.reexecute(run)

    assert dagster.ended(again) == "SUCCESS"
    assert green < 30
    assert dagster.partitions("stopped")["numMaterialized"] == 30
    assert place.charges("stopped") == 30
