"""Lineage by data versions: which partitions are stale, and why, after edits of the table."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest
from dagster_support import Studio, materialized, studio, table_of, written
from test_partitions import DAYS, SHARDS, rows_of, run

from wan_assets import build_video_assets
from wan_assets.orchestration import AssetNames
from wan_assets.orchestration.partitions.data_versions import CODE_VERSION, RecordedVersions

VIDEOS = dg.AssetKey("videos")
REQUESTS = dg.AssetKey("videos_requests")


def stale(made: Studio, prompts: Any, keys: Any, partitions: Any = "prompt", deps: Any = ()) -> dict[str, list[str]]:
    """What Dagster says of partitions that are not up to date, with its reasons."""
    assets = build_video_assets(prompts=prompts, partitions=partitions, deps=deps)
    graph = dg.Definitions.merge(assets, dg.Definitions(resources=made.resources())).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(made.instance, graph, LoadingContextForTest(made.instance))
    return {
        key: [cause.reason for cause in resolver.get_stale_causes(VIDEOS, key)]
        for key in keys
        if resolver.get_status(VIDEOS, key) is StaleStatus.STALE
    }


def observed(made: Studio) -> list[str]:
    records = made.instance.fetch_observations(REQUESTS, limit=1000).records
    return [str(record.asset_observation.partition) for record in records if record.asset_observation]


@pytest.mark.slow
def test_an_edit_of_one_prompt_makes_exactly_its_partition_stale_and_one_run_mends_it(tmp_path: Path) -> None:
    rows = table_of("A", "B", "C")
    with studio(tmp_path) as made:
        path = written(tmp_path, rows)
        assert made.run(path).success
        assert stale(made, path, "abc") == {}

        rows[1]["positive_prompt"] = "Another"
        written(tmp_path, rows)
        assert made.run(path, only="videos_prompts").success
        found = stale(made, path, "abc")

        assert made.run(path, only="videos").success
        assert stale(made, path, "abc") == {}
        assert len(made.simulator.journal.charges()) == 4
    assert found == {"b": ["has a new dependency data version"]}


@pytest.mark.slow
def test_what_decides_no_picture_and_a_table_read_again_make_nothing_stale(tmp_path: Path) -> None:
    rows = table_of("A", "B")
    with studio(tmp_path) as made:
        path = written(tmp_path, rows)
        made.run(path)

        written(tmp_path, [{**row, "ttl": 3600, "note": "seen"} for row in reversed(rows)])
        made.run(path, only="videos_prompts")

        assert stale(made, path, "ab") == {}
        assert observed(made) == []


def requests_of(made: Studio) -> list[str]:
    """The partitions of all requests that were recorded, the first ones first."""
    records = made.instance.fetch_materializations(REQUESTS, limit=1000, ascending=True).records
    return [str(record.partition_key) for record in records]


@pytest.mark.slow
def test_each_request_is_recorded_once_by_a_check_of_the_table_or_by_a_run(tmp_path: Path) -> None:
    rows = table_of("A", "B", "C")
    with studio(tmp_path) as made:
        path = written(tmp_path, rows[:2])
        made.run(path, only="videos_prompts")
        checked = requests_of(made)
        result = made.run(written(tmp_path, rows), only="videos")
        ran = requests_of(made)
        rows[1]["positive_prompt"] = "Another"
        for _ in range(2):
            made.run(written(tmp_path, rows), only="videos_prompts")

        recorded = {event.asset_key for event in result.get_asset_materialization_events()}
        assert (checked, ran, requests_of(made)) == (["a", "b"], ["a", "b", "c"], ["a", "b", "c", "b"])
        assert recorded == {VIDEOS}, "the run itself has no more events because of them"


@pytest.mark.slow
def test_videos_of_a_home_without_recorded_requests_get_none_after_them(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        path = written(tmp_path, table_of("A", "B"))
        made.run(path)
        made.instance.wipe_assets([REQUESTS])

        made.run(path, only="videos_prompts")

        assert requests_of(made) == [], "conditions would request the videos again"
        assert stale(made, path, "ab") == {}


@pytest.mark.slow
def test_rows_that_were_never_made_need_no_observation(tmp_path: Path) -> None:
    rows = table_of("A", "B")
    with studio(tmp_path) as made:
        path = written(tmp_path, rows)
        made.run(path, only="videos_prompts")
        rows[0]["positive_prompt"] = "Another"
        written(tmp_path, rows)
        made.run(path)

        assert observed(made) == []
        assert stale(made, path, "ab") == {}


@pytest.mark.slow
def test_a_run_that_is_the_first_to_see_an_edit_tells_it(tmp_path: Path) -> None:
    rows = table_of("A", "B")
    with studio(tmp_path) as made:
        path = written(tmp_path, rows)
        made.run(path, only="videos")
        rows[0]["positive_prompt"] = "Another"
        written(tmp_path, rows)
        made.run(path, only="videos")

        assert observed(made) == ["a"]
        assert stale(made, path, "ab") == {}


@pytest.mark.slow
def test_an_edit_that_is_taken_back_costs_nothing(tmp_path: Path) -> None:
    rows = table_of("A", "B")
    with studio(tmp_path) as made:
        path = written(tmp_path, rows)
        for prompt in ("A", "Another", "A"):
            rows[0]["positive_prompt"] = prompt
            written(tmp_path, rows)
            made.run(path, only="videos_prompts")
            if prompt == "A":
                made.run(path, only="videos")

        assert stale(made, path, "ab") == {}
        assert len(made.simulator.journal.charges()) == 2


@pytest.mark.slow
def test_an_edit_during_a_run_leaves_its_partition_stale(tmp_path: Path) -> None:
    rows = table_of("A", "B")
    with studio(tmp_path) as made:
        path = written(tmp_path, rows)
        made.run(path)

        def edited(_: object) -> None:
            rows[0]["positive_prompt"] = "Another"
            written(tmp_path, rows)
            made.run(path, only="videos_prompts")

        rows[0]["positive_prompt"] = "A third"
        written(tmp_path, rows)
        assets = build_video_assets(prompts=path, on_outcome=edited)
        result = dg.materialize(
            list(assets.assets or ()),
            instance=made.instance,
            resources=made.resources(),
            selection="videos",
            partition_key="a",
        )

        assert result.success
        assert list(stale(made, path, "ab")) == ["a"]


def test_a_new_code_version_makes_all_partitions_stale(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        path = written(tmp_path, table_of("A"))
        result = made.run(path)

        (event,) = [event for event in result.get_asset_materialization_events() if event.partition]
        tags = event.step_materialization_data.materialization.tags or {}
    assert tags["dagster/code_version"] == CODE_VERSION
    found = materialized(result)["a"]
    version = f"{found['wan_assets/fingerprint'][:16]}-{found['wan_assets/sha256'][:16]}"
    assert tags["dagster/data_version"] == version
    assert tags["dagster/input_data_version/videos_requests"] == found["wan_assets/fingerprint"][:16]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("partitions", "columns", "keys"),
    [
        (DAYS, {"date": lambda each: f"2026-01-0{each // 2 + 1}"}, ["2026-01-01", "2026-01-02", "2026-01-03"]),
        (SHARDS, {"shard": lambda each: f"shard-{each // 2}"}, ["shard-0", "shard-1", "shard-2"]),
    ],
    ids=["day", "shard"],
)
def test_an_edit_of_a_row_makes_its_batch_stale_and_no_other(
    tmp_path: Path, partitions: Any, columns: Any, keys: list[str]
) -> None:
    rows = rows_of(5, **columns)
    with studio(tmp_path) as made:
        path = written(tmp_path, rows)
        run(made, path, partitions, keys[0], keys[-1])
        written(tmp_path, rows[::-1])
        run(made, path, partitions, select="videos_prompts")
        assert stale(made, path, keys, partitions) == {}

        rows[0]["positive_prompt"] = "Another"
        written(tmp_path, rows[:-1])
        run(made, path, partitions, select="videos_prompts")
        found = stale(made, path, keys, partitions)

        run(made, path, partitions, keys[0], keys[-1])
        assert stale(made, path, keys, partitions) == {}
        assert len(made.simulator.journal.charges()) == 6
    assert list(found) == [keys[0], keys[2]], "the edited batch, and the one whose only row is gone"


@pytest.mark.slow
def test_many_partitions_are_asked_about_in_slices(tmp_path: Path) -> None:
    keys = [f"k{number}" for number in range(12_000)]
    with studio(tmp_path) as made:
        made.run(written(tmp_path, table_of("A")))

        reported = RecordedVersions.of(made.instance, VIDEOS, ["a", *keys])

    assert list(reported.made_from) == ["a"]
    assert reported.is_outdated("k0", "f" * 64)


def test_the_asset_of_requests_stands_beside_its_videos() -> None:
    assert AssetNames.of(key="team/clips").requests == dg.AssetKey(["team", "clips_requests"])
