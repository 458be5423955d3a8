"""Which table a run reads: the one for which it was requested, the source, or the last one that was accepted."""

import logging
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow.parquet as pq
import pytest
from dagster_support import Studio, failure_of, materialized, studio, table_of, written
from PIL import Image
from test_automation import Watched

from wan_assets import PromptSource, PromptTable, UpstreamPrompts, build_dataset_assets, build_video_assets
from wan_assets.orchestration.tables.accepted import TABLE_VERSION

TABLE = dg.AssetKey("videos_prompts")


def table_events(made: Studio) -> list[dg.AssetMaterialization]:
    records = made.instance.fetch_materializations(TABLE, limit=10).records
    return [record.asset_materialization for record in records if record.asset_materialization]


def prompts_in(path: Path) -> list[str]:
    return [row.request.positive_prompt for row in PromptTable.load(path).rows]


def warnings_in(made: Studio, run_id: str) -> list[str]:
    return [entry.user_message for entry in made.instance.all_logs(run_id) if entry.level == logging.WARNING]


@pytest.mark.slow
def test_a_run_of_the_sensor_reads_the_table_that_the_sensor_read(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        path = written(tmp_path, table_of("A kite", "A boat"))
        watched = Watched(made, path)

        (request,) = watched.tick().run_requests or ()
        written(tmp_path, table_of("Edited", "after", "the tick"))
        result = watched.launch(request)

        made_of = {key: found["wan_assets/prompt"] for key, found in materialized(result).items()}
        assert made_of == {"a": "A kite", "b": "A boat"}
        (event,) = table_events(made)
        file = tmp_path / "store" / "tables" / "videos_prompts" / f"{request.tags[TABLE_VERSION]}.parquet"
        assert event.metadata["dagster/uri"].value == str(file)
        assert event.metadata["dagster/row_count"].value == 2
        assert prompts_in(file) == ["A kite", "A boat"]


@pytest.mark.slow
def test_a_queued_run_of_the_sensor_does_not_pay_for_prompts_that_were_replaced_since(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        watched = Watched(made, written(tmp_path, table_of("A kite")))
        (first,) = watched.tick().run_requests or ()
        written(tmp_path, table_of("A boat"))
        (second,) = watched.tick().run_requests or ()

        for request in (first, second):
            assert watched.launch(request).success

        prompts = [event.asset_materialization for event in fetched(made)]
        assert [event.metadata["wan_assets/prompt"].value for event in prompts if event] == ["A boat", "A boat"]
        assert len(made.simulator.journal.charges()) == 1
        assert len(table_events(made)) == 2


def fetched(made: Studio) -> list[dg.EventLogRecord]:
    return list(made.instance.fetch_materializations(dg.AssetKey("videos"), limit=10).records)


def test_ticks_over_one_table_store_and_record_it_once(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        path = written(tmp_path, table_of("A kite", "A boat", "A hill"))
        watched = Watched(made, path, partitions_per_run=1, runs_per_tick=2)

        requests = [request for _ in range(2) for request in watched.tick().run_requests or ()]
        other = Watched(made, path).tick()

        assert len(requests) == 3
        assert len({request.tags[TABLE_VERSION] for request in [*requests, *(other.run_requests or ())]}) == 1
        assert len(table_events(made)) == 1
        assert len(list((tmp_path / "store" / "tables" / "videos_prompts").iterdir())) == 1


def test_a_sensor_that_requests_no_runs_needs_no_store(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        watched = Watched(made, written(tmp_path, table_of("A kite")), requests_runs=False)

        assert not watched.tick().run_requests
        assert not watched.sensor.required_resource_keys
        assert not table_events(made)


@pytest.mark.slow
def test_a_source_that_can_be_read_is_read(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        made.run(written(tmp_path, table_of("A kite")))
        result = made.run(written(tmp_path, table_of("A boat")), only="videos")

        assert materialized(result)["a"]["wan_assets/prompt"] == "A boat"


@pytest.mark.slow
def test_without_the_source_a_run_reads_the_last_accepted_table_and_says_so(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        path = written(tmp_path, table_of("A kite"))
        definitions = build_video_assets(prompts=path)

        def run(asset: str, key: str | None = None) -> dg.ExecuteInProcessResult:
            return dg.materialize(
                list(definitions.assets or ()),
                instance=made.instance,
                resources=made.resources(),
                selection=asset,
                partition_key=key,
                raise_on_error=False,
            )

        made.instance.add_dynamic_partitions("videos", ["a"])
        path.rename(tmp_path / "elsewhere")
        assert "does not exist" in failure_of(run("videos", "a"))
        (tmp_path / "elsewhere").rename(path)
        assert run("videos_prompts").success
        path.rename(tmp_path / "elsewhere")

        result = run("videos", "a")
        assert result.success

        version = table_events(made)[0].metadata[TABLE_VERSION].value
        (warning,) = [line for line in warnings_in(made, result.run_id) if "last accepted" in line]
        assert f"version {str(version)[:12]} of videos_prompts, accepted at 20" in warning
        assert f"{path} does not exist" in warning

        path.write_bytes(b"\xff\xfe{not a table")
        broken = run("videos", "a")
        assert "is UTF-16 or UTF-32" in failure_of(broken)


def test_a_table_with_problems_is_not_accepted(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        definitions = build_video_assets(prompts=written(tmp_path, table_of("A kite", resolution="481p")))
        assets, resources = list(definitions.assets or ()), made.resources()
        dg.materialize(
            assets, instance=made.instance, resources=resources, selection="videos_prompts", raise_on_error=False
        )

        (event,) = table_events(made)
        assert "dagster/uri" not in event.metadata
        assert not (tmp_path / "store" / "tables").exists()


@pytest.mark.slow
@pytest.mark.parametrize("partitions", ["prompt", dg.StaticPartitionsDefinition(["one"])], ids=["prompt", "batch"])
def test_local_images_are_found_and_a_missing_one_fails_its_row_only(tmp_path: Path, partitions: object) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name, color in (("kite", "red"), ("boat", "blue")):
        Image.new("RGB", (1280, 720), color).save(images / f"{name}.png")

    @dg.asset
    def prompts() -> object:
        rows = [{"prompt_id": name, "prompt": name, "frame_image": f"{name}.png"} for name in ("kite", "boat")]
        return pd.DataFrame(rows)

    with studio(tmp_path) as made:
        upstream = UpstreamPrompts(prompts, base_dir=images)
        assets = [prompts, *(build_video_assets(prompts=upstream, partitions=partitions).assets or ())]
        how = {"instance": made.instance, "resources": made.resources(), "raise_on_error": False}
        assert dg.materialize(assets, selection=["prompts", "videos_prompts"], **how).success
        (images / "boat.png").rename(tmp_path / "boat.png")

        keys = ("kite", "boat") if partitions == "prompt" else ("one", "one")
        ends = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[1]}
        result = dg.materialize(assets, selection="videos", tags=ends, **how)

        assert not result.success
        assert f"the local file {images / 'boat.png'} cannot be read" in failure_of(result)
        assert set(materialized(result)) == ({"kite"} if partitions == "prompt" else set())
        assert len(made.simulator.journal.charges()) == 1

        (tmp_path / "boat.png").rename(images / "boat.png")
        assert dg.materialize(assets, selection="videos", tags=ends, **how).success
        assert len(made.simulator.journal.charges()) == 2


def test_a_run_of_the_sensor_reads_secrets_from_the_source_and_no_stored_table_has_them(tmp_path: Path) -> None:
    secret = "0123456789abcdef"
    with studio(tmp_path) as made:
        rows = table_of("A kite", webhook_url=f"https://hooks.example.com/services/{secret}")
        watched = Watched(made, written(tmp_path, rows))

        (request,) = watched.tick().run_requests or ()
        result = watched.launch(request)

        assert result.success
        assert secret in str(made.simulator.journal.rows("SELECT request FROM tasks"))
        (file,) = (tmp_path / "store" / "tables" / "videos_prompts").iterdir()
        assert secret not in str(pq.read_table(file).to_pylist())


def with_options(upstream: UpstreamPrompts) -> PromptSource:
    return PromptSource(upstream, defaults={"duration": 5})


@pytest.mark.slow
@pytest.mark.parametrize("given", [UpstreamPrompts, with_options], ids=["plain", "with options"])
def test_local_images_are_found_by_runs_that_read_the_source_of_an_asset(tmp_path: Path, given: Any) -> None:
    (images := tmp_path / "images").mkdir()
    Image.new("RGB", (1280, 720), "red").save(images / "kite.png")
    hook = "https://hooks.example.com/services/0123456789abcdef"
    (tables := tmp_path / "tables").mkdir()
    row = {"prompt_id": "kite", "positive_prompt": "A kite", "frame_image": "kite.png", "webhook_url": hook}
    path = written(tables, [row])
    upstream = UpstreamPrompts("warehouse/prompts", source=path, base_dir=images)
    prompts = upstream if given is UpstreamPrompts else given(upstream)

    with studio(tmp_path) as made:
        assets = [*(build_video_assets(prompts=prompts).assets or ()), *build_dataset_assets(prompts=prompts)]
        how = {"instance": made.instance, "resources": made.resources(), "raise_on_error": False}
        assert dg.materialize(assets, selection="videos_prompts", **how).success

        result = dg.materialize(assets, selection="videos", partition_key="kite", **how)
        assert result.success, failure_of(result)
        assert dg.materialize(assets, selection="videos_dataset", **how).success


def test_a_value_of_an_asset_with_a_secret_is_refused_before_it_is_stored(tmp_path: Path) -> None:
    @dg.asset
    def prompts() -> object:
        hook = "https://hooks.example.com/services/0123456789abcdef"
        return pd.DataFrame([{"prompt": "A kite", "resolution": "480p", "webhook_url": hook}])

    with studio(tmp_path) as made:
        assets = [prompts, *(build_video_assets(prompts=prompts).assets or ())]
        how = {"instance": made.instance, "resources": made.resources(), "raise_on_error": False}
        result = dg.materialize(assets, selection=["prompts", "videos_prompts"], **how)

        assert not result.success
        assert "row 1, column webhookURL of the table from prompts has a secret" in failure_of(result)
        assert "0123456789abcdef" not in failure_of(result)
        assert not (tmp_path / "store" / "tables").exists()
