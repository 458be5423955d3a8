"""Pilot runs in Dagster: the config of a run selects rows, and the others stay missing."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_support import Studio, failure_of, materialized, studio, table_of

from wan_assets import PromptTable, build_video_assets
from wan_assets.errors import SelectionError
from wan_assets.orchestration.partitions.sync import sync_partitions
from wan_assets.orchestration.runs.pilot import RowSelector
from wan_assets.prompts import RowSelection

VIDEOS = dg.AssetKey("videos")
DAYS = dg.StaticPartitionsDefinition(["x", "y", "z"])


def rows(*days: str) -> list[dict[str, Any]]:
    """Rows `a`, `b`, … of some days."""
    return [{**row, "shard": day} for row, day in zip(numbered(len(days)), days, strict=True)]


def numbered(count: int) -> list[dict[str, Any]]:
    return table_of(*(f"Kite {number}" for number in range(count)))


def run_of_batches(made: Studio, table: Any, **config: Any) -> dg.ExecuteInProcessResult:
    definitions = build_video_assets(prompts=table, partitions=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
    ranged = {"dagster/asset_partition_range_start": "x", "dagster/asset_partition_range_end": "z"}
    return dg.materialize(
        list(definitions.assets or ()),
        instance=made.instance,
        resources=made.resources(),
        selection="videos",
        run_config={"ops": {"videos": {"config": config}}},
        raise_on_error=False,
        tags=ranged,
    )


def spent(made: Studio) -> float:
    with made.resources()["ledger"].open() as ledger:
        return ledger.totals().simulated.cost_microusd / 473_000


@pytest.mark.slow
def test_a_pilot_run_requests_some_partitions_and_a_later_run_pays_for_the_others_only(tmp_path: Path) -> None:
    table = numbered(5)
    with studio(tmp_path) as made:
        pilot = made.run(table, only="videos", config={"limit": 2})
        paid_by_pilot, keys = spent(made), made.instance.get_dynamic_partitions("videos")
        tags = made.instance.get_run_by_id(pilot.run_id).tags
        status = made.instance.get_status_by_partition(VIDEOS, keys, dg.DynamicPartitionsDefinition(name="videos"))
        whole = made.run(table, only="videos")

        assert pilot.success
        assert set(materialized(pilot)) == {"a", "b"}
        assert paid_by_pilot == 2
        assert keys == ["a", "b", "c", "d", "e"]
        assert {key for key, found in status.items() if found is not None} == {"a", "b"}
        assert materialized(pilot)["a"]["wan_assets/selection"] == "limit 2: 2 of 5 rows requested, 3 left out"
        assert (tags["wan_assets/selection"], tags["wan_assets/left_out"]) == ("limit 2", "3")
        assert set(materialized(whole)) == {"a", "b", "c", "d", "e"}
        assert "wan_assets/selection" not in materialized(whole)["a"]
        assert spent(made) == 5


@pytest.mark.parametrize(
    ("config", "keys"),
    [
        ({"select": ["resolution=720p"]}, {"b"}),
        ({"select": ["prompt_id!=a,b"], "limit": 1}, {"c"}),
        ({"ids": ["c", "a"]}, {"a", "c"}),
        ({"sample": 1}, {"a"}),
    ],
)
def test_the_config_of_a_run_has_the_selections_of_the_command(
    tmp_path: Path, config: dict[str, Any], keys: set[str]
) -> None:
    table = numbered(3)
    table[1]["resolution"] = "720p"
    with studio(tmp_path) as made:
        result = made.run(table, only="videos", config=config)

    assert result.success
    assert set(materialized(result)) == keys


def test_a_selection_that_the_table_does_not_have_fails_the_run_before_anything_is_paid(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        results = [
            made.run(numbered(2), only="videos", config=config)
            for config in ({"ids": ["z"]}, {"select": ["splitt=val"]}, {"limit": 0}, {"limit": 1, "sample": 1})
        ]

        said = [failure_of(result) for result in results]
        assert "SelectionError: no row of the table has the prompt_id z; its first ids are a, b" in said[0]
        assert "no row has a value in the column splitt" in said[1]
        assert "limit is 0" in said[2]
        assert "limit and sample are both given" in said[3]
        assert spent(made) == 0


def test_a_table_with_problems_is_refused_although_the_selected_rows_are_valid(tmp_path: Path) -> None:
    table = numbered(2)
    table[1]["duration"] = 7
    with studio(tmp_path) as made:
        result = made.run(table, only="videos", config={"ids": ["a"]})

        assert not result.success
        assert "1 problem" in failure_of(result)
        assert spent(made) == 0


def test_a_partition_whose_rows_are_left_out_is_not_an_error_although_it_has_none_of_the_selected_ids(
    tmp_path: Path,
) -> None:
    table = numbered(3)
    with studio(tmp_path) as made:
        sync_partitions(made.instance, "videos", ["a", "b", "c"])
        definitions = build_video_assets(prompts=table)
        result = dg.materialize(
            list(definitions.assets or ()),
            instance=made.instance,
            resources=made.resources(),
            selection="videos",
            run_config={"ops": {"videos": {"config": {"ids": ["a"]}}}},
            partition_key="b",
        )

        assert result.success
        assert materialized(result) == {}
        assert spent(made) == 0


def test_a_run_that_reads_some_parts_of_a_table_warns_of_an_id_that_another_part_may_have(
    caplog: pytest.LogCaptureFixture,
) -> None:
    selector = RowSelector(RowSelection.of(ids=["z"]), logging.getLogger("pilot"))
    for row in PromptTable.load(numbered(2)).rows:
        selector.add(row)

    selector.verify(is_whole_table=False)

    assert "no row of the table has the prompt_id z" in caplog.text
    with pytest.raises(SelectionError, match="prompt_id z"):
        selector.verify(is_whole_table=True)


@pytest.mark.slow
def test_a_batch_with_rows_that_are_left_out_stays_missing_until_a_run_completes_it(tmp_path: Path) -> None:
    table = rows("x", "x", "y", "z")
    with studio(tmp_path) as made:
        pilot = run_of_batches(made, table, ids=["a", "c"])
        observations = made.instance.fetch_observations(VIDEOS, limit=10).records
        paid_by_pilot = spent(made)
        whole = run_of_batches(made, table)

        assert pilot.success
        assert list(materialized(pilot)) == ["y"]
        assert paid_by_pilot == 2
        (observed,) = [record.asset_observation for record in observations]
        assert observed.partition == "x"
        assert observed.metadata["wan_assets/left_out"].value == 1
        assert observed.metadata["wan_assets/selection"].value == "ids=a,c: 2 of 4 rows requested, 2 left out"
        assert set(materialized(whole)) == {"x", "y", "z"}
        assert materialized(whole)["x"]["wan_assets/charged_usd"] == pytest.approx(0.946)
        assert spent(made) == 4
