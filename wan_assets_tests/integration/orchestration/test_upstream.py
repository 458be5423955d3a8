"""Prompts from upstream assets: values and tables of a database, partitioned or not, and all that reads them."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from dagster_duckdb import DuckDBResource
from dagster_support import SMALL, Studio, failure_of, materialized, studio

from wan_assets import (
    ExportOptions,
    PromptSource,
    PromptTable,
    UpstreamPrompts,
    Video,
    build_dataset_assets,
    build_export_asset,
    build_missing_job,
    build_video_assets,
    build_video_checks,
    build_video_sensor,
    load_videos,
    video_check,
)
from wan_assets.prompts import SqlQuery

VIDEOS, TABLE, WAREHOUSE = dg.AssetKey("videos"), dg.AssetKey("videos_prompts"), dg.AssetKey(["warehouse", "prompts"])
DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-04")


def frame_of(**prompts: str) -> pd.DataFrame:
    rows = [{"prompt_id": key, "positive_prompt": prompt, **SMALL} for key, prompt in prompts.items()]
    return pd.DataFrame(rows, columns=["prompt_id", "positive_prompt", *SMALL])


class Warehouse:
    """An asset whose value is a table, everything that is built from it, and one instance to run in."""

    def __init__(self, made: Studio, prompts: Any = None, **options: Any) -> None:
        self.made = made
        self.frames: dict[str, pd.DataFrame] = {}
        self.values: dg.IOManager = dg.FilesystemIOManager(base_dir=str(made.folder / "values"))
        self.days = options.pop("days", None)
        of_assets = {
            key: options.pop(key) for key in ("automation_condition", "table", "video_checks") if key in options
        }
        prompts = prompts or (UpstreamPrompts(WAREHOUSE, partitions_def=self.days) if self.days else WAREHOUSE)
        self.definitions = dg.Definitions.merge(
            build_video_assets(prompts=prompts, **options, **of_assets),
            dg.Definitions(
                assets=[self._asset()],
                resources={**made.resources(), "io_manager": self.values},
                jobs=[build_missing_job(prompts=prompts, **options)],
                sensors=[build_video_sensor(prompts=prompts, **options)],
            ),
        )
        self.cursor: str | None = None

    def _asset(self) -> dg.AssetsDefinition:
        @dg.asset(key=WAREHOUSE, partitions_def=self.days)
        def warehouse(context: dg.AssetExecutionContext) -> pd.DataFrame:
            return self.frames[context.partition_key if context.has_partition_key else ""]

        return warehouse

    def holds(self, frame: pd.DataFrame, day: str = "") -> None:
        """Materializes the asset with a table."""
        self.frames[day] = frame
        assert self.run(WAREHOUSE, partition_key=day or None).success

    def run(self, *keys: dg.AssetKey, tags: dict[str, str] | None = None, **how: Any) -> dg.ExecuteInProcessResult:
        """One run over assets."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.made.instance, asset_selection=list(keys), tags=tags, raise_on_error=False, **how
        )

    def videos(self, first: str, last: str, **tags: str) -> dg.ExecuteInProcessResult:
        """One run over a range of partitions of the videos."""
        ends = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        return self.run(VIDEOS, tags={**ends, **tags})

    def tick(self) -> dg.SensorResult:
        """The next tick of the sensor."""
        repository = self.definitions.get_repository_def()
        (sensor,) = repository.sensor_defs
        context = dg.build_sensor_context(
            instance=self.made.instance,
            cursor=self.cursor,
            repository_def=repository,
            sensor_name=sensor.name,
            resources=self.made.resources(),
        )
        result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        return result

    def snapshots(self) -> list[Path]:
        """The files of all accepted tables."""
        return sorted((self.made.folder / "store" / "tables" / "videos_prompts").glob("*"))


def table_event(made: Studio) -> dg.AssetMaterialization:
    event = made.instance.get_latest_materialization_event(TABLE)
    assert event
    assert event.asset_materialization
    return event.asset_materialization


def charged(made: Studio) -> int:
    return len(made.simulator.journal.charges())


@pytest.mark.slow
def test_a_frame_of_an_upstream_asset_becomes_videos_and_changes_follow(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        warehouse = Warehouse(made)
        graph = warehouse.definitions.resolve_asset_graph()
        assert graph.get(TABLE).parent_keys == {WAREHOUSE}
        warehouse.holds(frame_of(a="A kite", b="A boat"))

        made.instance.add_dynamic_partitions("videos", ["a"])
        early = warehouse.run(VIDEOS, partition_key="a")
        assert "NoSnapshotError: videos_prompts has not stored a table yet: materialize videos_prompts first" in (
            failure_of(early)
        )

        assert warehouse.run(TABLE).success
        first = table_event(made)
        assert made.instance.get_dynamic_partitions("videos") == ["a", "b"]
        assert warehouse.videos("a", "b").success

        warehouse.holds(frame_of(a="A kite", b="A hill", c="A lake"))
        unaware = warehouse.videos("a", "b")
        assert {run["wan_assets/reused"] for run in materialized(unaware).values()} == {True}

        assert warehouse.run(TABLE).success
        observed = made.instance.fetch_observations(dg.AssetKey("videos_requests"), limit=9).records
        assert [record.partition_key for record in observed] == ["b"]
        assert made.instance.get_dynamic_partitions("videos") == ["a", "b", "c"]
        later = warehouse.videos("a", "c")
        assert [run["wan_assets/reused"] for _, run in sorted(materialized(later).items())] == [True, False, False]
        assert charged(made) == 4

        past = PromptTable.load(str(first.metadata["dagster/uri"].value))
        assert [row.request.positive_prompt for row in past.rows] == ["A kite", "A boat"]
        assert len(warehouse.snapshots()) == 2
        assert first.metadata["wan_assets/table_version"].value in {path.stem for path in warehouse.snapshots()}


@pytest.mark.slow
def test_a_table_in_duckdb_that_an_asset_builds_is_read_by_query_and_then_not_needed(tmp_path: Path) -> None:
    file = tmp_path / "warehouse.duckdb"
    query = SqlQuery(f"duckdb:///{file}", "SELECT * FROM prompts ORDER BY prompt_id")

    @dg.asset(key=WAREHOUSE)
    def prompts(duckdb: DuckDBResource) -> None:
        with duckdb.get_connection() as connection:
            connection.execute("CREATE TABLE prompts AS SELECT 'a' AS prompt_id, 'A kite' AS prompt, '480p' resolution")

    with studio(tmp_path) as made:
        built = build_video_assets(prompts=UpstreamPrompts(prompts, source=query))
        resources = {**made.resources(), "duckdb": DuckDBResource(database=str(file))}
        assets = [prompts, *(built.assets or ())]
        run = dg.materialize(assets, instance=made.instance, resources=resources, selection=[WAREHOUSE, TABLE])
        file.unlink()

        videos = dg.materialize(
            assets, instance=made.instance, resources=resources, selection=[VIDEOS], partition_key="a"
        )

        assert run.success
        assert videos.success
        assert charged(made) == 1


@pytest.mark.slow
def test_each_day_of_an_upstream_asset_is_a_batch_of_videos(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        around = build_dataset_assets(prompts=UpstreamPrompts(WAREHOUSE, partitions_def=DAYS))
        warehouse = Warehouse(made, days=DAYS, partitions=DAYS)
        first, second, third = DAYS.get_partition_keys()
        for day, frame in ((first, frame_of(a="A kite", b="A boat")), (second, frame_of(c="A hill"))):
            warehouse.holds(frame, day)
            assert warehouse.run(TABLE, partition_key=day).success
        assert warehouse.run(TABLE, VIDEOS, partition_key=first).success

        unknown = warehouse.videos(third, third)
        assert f"the table has no snapshot of the partition {third}: materialize" in failure_of(unknown)

        assert warehouse.videos(second, second).success
        assert charged(made) == 3
        assert made.instance.get_materialized_partitions(VIDEOS) == {first, second}

        manifest = dg.materialize(
            [around[0]], instance=made.instance, resources=made.resources(), selection=[around[0].key]
        )
        rows = manifest.get_asset_materialization_events()[0].materialization.metadata["dagster/row_count"].value
        assert rows == 3

        warehouse.holds(frame_of(), second)
        assert warehouse.run(TABLE, partition_key=second).success
        emptied = warehouse.videos(second, second)
        assert materialized(emptied)[second]["dagster/partition_row_count"] == 0


@pytest.mark.slow
def test_a_day_with_problems_keeps_its_last_accepted_table(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        warehouse = Warehouse(made, days=DAYS, partitions=DAYS)
        first, second, _ = DAYS.get_partition_keys()
        for day, frame in ((first, frame_of(a="A kite")), (second, frame_of(b="A boat"))):
            warehouse.holds(frame, day)
            warehouse.run(TABLE, partition_key=day)

        warehouse.holds(frame_of(a="A hill"), second)
        repeated = warehouse.run(TABLE, partition_key=second)
        (evaluation,) = repeated.get_asset_check_evaluations()

        assert not evaluation.passed
        problems = evaluation.metadata["wan_assets/problem_table"].value
        assert "is already the id of row 1 of 2026-01-01" in str(problems)
        assert warehouse.videos(second, second).success
        assert {task.origin.prompt_id for task in tasks_of(made)} == {"b"}


@pytest.mark.slow
def test_the_value_of_an_upstream_asset_is_read_with_columns_and_defaults_and_its_metadata_say_so(
    tmp_path: Path,
) -> None:
    source = PromptSource(WAREHOUSE, {"positive_prompt": "sentence"}, SMALL)
    with studio(tmp_path) as made:
        warehouse = Warehouse(made, prompts=source)
        warehouse.holds(pd.DataFrame({"id": ["a"], "sentence": ["A kite"], "motion_level": ["low"]}))

        assert warehouse.run(TABLE).success
        metadata = table_event(made).metadata
        assert warehouse.videos("a", "a").success

        used = {record.data["parameter"]: record.data["from"] for record in metadata["wan_assets/columns"].records}
        assert used == {
            "positive_prompt": "column sentence",
            "prompt_id": "column id (a common name)",
            "resolution": "default 480p",
            "output_format": "default MP4",
        }
        assert metadata["wan_assets/extra_columns"].value == "motion_level"
        assert charged(made) == 1


def test_rows_without_a_size_are_one_row_of_the_problem_table_and_one_sentence_of_every_message(
    tmp_path: Path,
) -> None:
    frame = pd.DataFrame({"prompt_id": [f"p{row}" for row in range(1003)], "positive_prompt": "A kite"})
    with studio(tmp_path) as made:
        warehouse = Warehouse(made, prompts=PromptSource(frame))
        checked = warehouse.run(TABLE)
        skipped = str(warehouse.tick().skip_reason)
        made.instance.add_dynamic_partitions("videos", ["p1"])
        refused = failure_of(warehouse.run(VIDEOS, partition_key="p1"))

        (evaluation,) = checked.get_asset_check_evaluations()
        (cells,) = (record.data for record in evaluation.metadata["wan_assets/problem_table"].records)
        assert (cells["count"], cells["rows"], cells["column"]) == (1003, "1, 2, 3, 4, 5, …", "resolution")
        assert evaluation.metadata["wan_assets/problems"].value == 1003
        for said in (skipped, refused):
            assert "1,003 problems of 1 kind. The first kind is in 1,003 rows (1, 2, 3, 4, 5, …)" in said


def tasks_of(made: Studio) -> list[Any]:
    with contextlib.closing(made.resources()["ledger"].open()) as ledger:
        return list(ledger.stored_tasks("videos", simulated=True))


@pytest.mark.slow
def test_days_of_an_upstream_asset_retire_only_their_own_prompts(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        warehouse = Warehouse(made, days=DAYS)
        first, second, _ = DAYS.get_partition_keys()
        for day, frame in ((first, frame_of(a="A kite", b="A boat")), (second, frame_of(c="A hill"))):
            warehouse.holds(frame, day)
            assert warehouse.run(TABLE, partition_key=day).success
        made.instance.add_dynamic_partitions("videos", ["added-by-a-run-at-the-same-time"])

        warehouse.holds(frame_of(b="A boat", d="A lake"), first)
        assert warehouse.run(TABLE, partition_key=first).success

        assert set(made.instance.get_dynamic_partitions("videos")) == {
            "added-by-a-run-at-the-same-time",
            "b",
            "c",
            "d",
        }
        ends = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": second}
        several = warehouse.run(TABLE, tags=ends)
        assert "a run of videos_prompts reads one partition, not 2: launch a backfill" in failure_of(several)


@pytest.mark.slow
def test_the_sensor_requests_the_table_when_the_asset_changes_and_then_the_videos(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        warehouse = Warehouse(made)
        assert "materialize videos_prompts first" in str(warehouse.tick().skip_reason)
        warehouse.holds(frame_of(a="A kite", b="A boat"))

        (table,) = warehouse.tick().run_requests or ()
        assert table.asset_selection == [TABLE]
        assert table.run_key == (warehouse.tick().run_requests or ())[0].run_key
        assert warehouse.run(*table.asset_selection).success

        (videos,) = warehouse.tick().run_requests or ()
        assert videos.asset_selection == [VIDEOS]
        assert warehouse.run(VIDEOS, tags=dict(videos.tags)).success
        assert not warehouse.tick().run_requests

        warehouse.holds(frame_of(a="A kite", b="A hill"))
        (again,) = warehouse.tick().run_requests or ()
        assert warehouse.run(*again.asset_selection).success
        (changed,) = warehouse.tick().run_requests or ()
        assert changed.partition_key == "b"


@pytest.mark.slow
def test_the_sensor_requests_each_changed_day_of_the_table(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        warehouse = Warehouse(made, days=DAYS, partitions=DAYS)
        first, second, _ = DAYS.get_partition_keys()
        for day, frame in ((first, frame_of(a="A kite")), (second, frame_of(b="A boat"))):
            warehouse.holds(frame, day)

        requests = warehouse.tick().run_requests or ()
        assert [request.partition_key for request in requests] == [first, second]
        for request in requests:
            assert warehouse.run(TABLE, partition_key=request.partition_key).success

        videos = warehouse.tick().run_requests or ()
        assert [request.partition_key for request in videos] == [first, second]
        assert warehouse.run(VIDEOS, partition_key=first, tags=dict(videos[0].tags)).success


@pytest.mark.slow
def test_all_that_is_built_from_the_videos_reads_the_accepted_table(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        warehouse = Warehouse(made)
        warehouse.holds(frame_of(a="A kite", b="A boat"))
        assert warehouse.run(TABLE).success
        warehouse.holds(frame_of(z="Not accepted"))

        job = warehouse.definitions.resolve_job_def("videos_missing")
        assert job.execute_in_process(instance=made.instance).success
        target = str(tmp_path / "export")
        export = build_export_asset(prompts=WAREHOUSE, target=target, options=ExportOptions(format="parquet"))
        readers = [*build_dataset_assets(prompts=WAREHOUSE), export]
        (checks,) = build_video_checks(prompts=WAREHOUSE)
        selection = dg.AssetSelection.assets(*readers) | dg.AssetSelection.checks(*checks.check_keys)
        result = dg.materialize(
            [*readers, checks, dg.AssetSpec(VIDEOS), dg.AssetSpec(TABLE)],
            instance=made.instance,
            resources=made.resources(),
            selection=selection,
        )

        rows = [
            event.materialization.metadata.get("dagster/row_count")
            for event in result.get_asset_materialization_events()
        ]
        assert [count.value for count in rows if count] == [2, 2]
        evaluations = result.get_asset_check_evaluations()
        of_costs = [each.check_name for each in evaluations if each.asset_key != VIDEOS]
        assert len(evaluations) - len(of_costs) == 12
        assert {"budgets", "estimates"} <= {*of_costs}
        assert [evaluation.check_name for evaluation in evaluations if not evaluation.passed] == []
        assert charged(made) == 2


@video_check
def has_a_prompt(video: Video) -> bool:
    return bool(video.prompt)


@pytest.mark.slow
def test_a_table_from_an_asset_has_options_and_names_below_a_prefix(tmp_path: Path) -> None:
    videos, table = dg.AssetKey(["marketing", "trailers"]), dg.AssetKey(["marketing", "trailers_prompts"])
    rules = dg.AssetKey(["brand", "rules"])

    with studio(tmp_path) as made:
        named: dict[str, Any] = {"name": "trailers", "key_prefix": "marketing"}
        of_table = {"deps": ["brand/rules"], "owners": ["team:data"]}
        warehouse = Warehouse(made, **named, table=of_table, video_checks=[has_a_prompt])
        graph = warehouse.definitions.resolve_asset_graph()
        warehouse.holds(frame_of(a="A kite", b="A boat"))
        (of_table_asset,) = warehouse.tick().run_requests or ()
        assert warehouse.run(*of_table_asset.asset_selection).success
        (of_videos,) = warehouse.tick().run_requests or ()
        generated = warehouse.run(*of_videos.asset_selection, tags=dict(of_videos.tags))
        assert generated.success
        warehouse.holds(frame_of(a="A kite", b="A boat", c="A hill"))
        assert warehouse.run(table).success
        (job,) = warehouse.definitions.jobs or ()
        missing = warehouse.definitions.resolve_job_def(job.name)
        assert missing.execute_in_process(instance=made.instance).success
        readers = [*build_dataset_assets(prompts=WAREHOUSE, **named), dg.AssetSpec(videos), dg.AssetSpec(table)]
        read = dg.materialize(readers, instance=made.instance, resources=made.resources())

        assert graph.get(table).parent_keys == {WAREHOUSE, rules}
        assert graph.get(table).owners == ["team:data"]
        assert list(of_table_asset.asset_selection) == [table]
        assert made.instance.get_materialized_partitions(videos) == {"a", "b", "c"}
        assert made.instance.get_materialized_partitions(dg.AssetKey(["marketing", "trailers_requests"])) == set("abc")
        assert len(list((tmp_path / "store" / "tables" / "marketing" / "trailers_prompts").iterdir())) == 2
        (manifest,) = read.asset_materializations_for_node("marketing__trailers_dataset")
        assert manifest.metadata["dagster/row_count"].value == 3
        assert charged(made) == 3
        checked = [each for each in generated.get_asset_check_evaluations() if each.check_name == "has_a_prompt"]
        assert {(each.partition, each.asset_key, each.passed) for each in checked} == {
            ("a", videos, True),
            ("b", videos, True),
        }
        stored = {name: made.resources()[name] for name in ("store", "ledger")}
        assert [video.prompt for (video,) in load_videos(made.instance, "marketing/trailers", **stored).values()] == [
            "A kite",
            "A boat",
            "A hill",
        ]


@pytest.mark.parametrize("days", [None, DAYS], ids=["a list", "a list for each day"])
def test_a_list_of_rows_is_a_table(days: Any, tmp_path: Path) -> None:
    @dg.asset(key=WAREHOUSE, partitions_def=days)
    def prompts() -> list[Any]:
        return [{"prompt_id": "a", "prompt": "A kite", **SMALL}]

    with studio(tmp_path) as made:
        assets = [prompts, *(build_video_assets(prompts=prompts).assets or ())]
        key = "2026-01-01" if days else None
        how: dict[str, Any] = {"instance": made.instance, "resources": made.resources()}

        assert dg.materialize(assets, selection=[WAREHOUSE, TABLE], partition_key=key, **how).success
        made_of = materialized(dg.materialize(assets, selection=[VIDEOS], partition_key="a", **how))

        assert made_of["a"]["wan_assets/prompt"] == "A kite"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            lambda: "A kite",
            "the value of the asset warehouse/prompts is no table, but str: return a DataFrame or a list",
        ),
        (lambda: pd.DataFrame({"prompt": []}), "the DataFrame has no rows; add at least one prompt"),
    ],
    ids=["a text", "an empty frame"],
)
def test_a_value_that_is_no_table_is_refused(value: Callable[[], Any], message: str, tmp_path: Path) -> None:
    @dg.asset(key=WAREHOUSE)
    def prompts() -> Any:
        return value()

    with studio(tmp_path) as made:
        assets = [prompts, *(build_video_assets(prompts=prompts).assets or ())]

        result = dg.materialize(
            assets,
            instance=made.instance,
            resources=made.resources(),
            selection=[WAREHOUSE, TABLE],
            raise_on_error=False,
        )

        assert message in failure_of(result)


def test_a_definition_with_several_assets_needs_a_key() -> None:
    @dg.multi_asset(specs=[dg.AssetSpec("one"), dg.AssetSpec("two")])
    def several() -> tuple[None, None]:
        return None, None

    with pytest.raises(ValueError, match=r"contains several assets \(one, two\): pass the key of one of them"):
        build_video_assets(prompts=several)


def test_the_partitions_of_an_asset_of_which_only_the_key_is_known_form_one_table(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        warehouse = Warehouse(made, prompts=WAREHOUSE, days=DAYS)
        first, second, _ = DAYS.get_partition_keys()
        found = []
        for day, frame in ((first, frame_of(a="A kite")), (second, frame_of(b="A boat"))):
            warehouse.holds(frame, day)
            assert warehouse.run(TABLE).success
            found.append(made.instance.get_dynamic_partitions("videos"))

        assert found == [["a"], ["a", "b"]]


def test_an_automation_condition_requests_the_table_after_the_upstream_asset(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        warehouse = Warehouse(made, automation_condition=dg.AutomationCondition.eager())

        def requested(cursor: Any = None) -> tuple[set[str], Any]:
            result = dg.evaluate_automation_conditions(warehouse.definitions, made.instance, cursor=cursor)
            keys = {WAREHOUSE, TABLE, VIDEOS}
            return {key.to_user_string() for key in keys if result.get_num_requested(key)}, result.cursor

        _, cursor = requested()
        warehouse.holds(frame_of(a="A kite"))
        after_upstream, cursor = requested(cursor)
        assert warehouse.run(TABLE).success
        after_table, _ = requested(cursor)

        assert after_upstream == {"videos_prompts"}
        assert "videos_prompts" not in after_table
