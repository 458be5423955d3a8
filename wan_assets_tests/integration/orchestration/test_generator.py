"""Videos generated inside a user's own asset or op: events, rows, failures, and what ledger and Dagster then hold."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from dagster_support import Studio, failure_of, studio
from engine_support import rows_of
from generator_support import generator_of, materialize, one_refused, requests_of

from wan_assets import (
    LedgerResource,
    RunwareResource,
    VideoGenerator,
    VideoStoreResource,
    build_video_assets,
    load_videos,
)
from wan_assets.orchestration import VideoGeneration
from wan_assets.settings import sqlite_url

LETTERS = dg.StaticPartitionsDefinition(["a", "b", "c"])
THREE = requests_of("A red kite", "A blue boat", "A green hill")
PRICED = requests_of("A red kite", "A blue boat", "A green hill", resolution="720p")
"""Of a resolution with a published price, which is reserved."""


def materializations(result: dg.ExecuteInProcessResult) -> list[tuple[str, str | None, dict[str, Any]]]:
    events = [event.step_materialization_data.materialization for event in result.get_asset_materialization_events()]
    return [
        (event.asset_key.to_user_string(), event.partition, {key: each.value for key, each in event.metadata.items()})
        for event in events
    ]


def ledger_rows(made: Studio, columns: str = "asset, partition, prompt_id") -> list[Any]:
    return sorted(map(tuple, rows_of(sqlite_url(made.folder / "ledger.db"), f"SELECT {columns} FROM wan_tasks")))


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Studio]:
    with studio(tmp_path) as running:
        yield running


@pytest.mark.slow
def test_an_asset_streams_one_event_with_its_rows_and_the_ledger_knows_asset_and_run(made: Studio) -> None:
    @dg.asset
    def trailers(context: dg.AssetExecutionContext, generator: VideoGenerator) -> Iterator[Any]:
        yield from generator.generate(context=context, requests=pd.DataFrame(THREE))

    @dg.asset(deps=[trailers])
    def after() -> None: ...

    @dg.asset_check(asset=trailers)
    def present() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    first = materialize(made, trailers, after, present)
    again = materialize(made, trailers)

    [(key, partition, metadata), (key_after, _, _)] = materializations(first)
    assert first.success
    assert (key, partition, key_after) == ("trailers", None, "after")
    assert [check.passed for check in first.get_asset_check_evaluations()] == [True]
    assert (metadata["wan_assets/new"], metadata["wan_assets/charged_usd"]) == (3, 1.419)
    assert ledger_rows(made, "run_id, asset, partition, prompt_id") == [
        (first.run_id, "trailers", "-", name) for name in "abc"
    ]
    [(_, _, reused)] = materializations(again)
    assert (reused["wan_assets/reused"], reused["wan_assets/charged_usd"]) == (3, 0.0)
    assert reused["wan_assets/cost_usd"] == 1.419
    assert len(made.simulator.journal.charges()) == 3
    records = made.instance.fetch_materializations(dg.AssetKey("trailers"), limit=2).records
    versions = {record.asset_materialization.tags["dagster/data_version"] for record in records}
    assert len(versions) == 1, "reused videos do not make downstream assets stale"


@pytest.mark.slow
def test_a_run_over_several_partitions_records_each_once_and_what_depends_on_it_runs(made: Studio) -> None:
    requests = [{**row, "shard": shard} for row, shard in zip(THREE, "aab", strict=True)]

    @dg.asset(partitions_def=LETTERS, backfill_policy=dg.BackfillPolicy.single_run())
    def trailers(context: dg.AssetExecutionContext, generator: VideoGenerator) -> Iterator[Any]:
        yield from generator.generate(context=context, requests=requests).stream()

    @dg.asset(deps=[trailers])
    def after() -> None: ...

    result = materialize(made, trailers, after, keys=("a", "b"))

    assert result.success
    of_trailers = {
        partition: meta["dagster/partition_row_count"]
        for key, partition, meta in materializations(result)
        if key == "trailers"
    }
    assert of_trailers == {"a": 2, "b": 1}
    assert len(materializations(result)) == 3
    assert ledger_rows(made) == [("trailers", "a", "a"), ("trailers", "a", "b"), ("trailers", "b", "c")]
    resources = made.resources()
    loaded = load_videos(made.instance, trailers, store=resources["store"], ledger=resources["ledger"])
    assert {key: [video.prompt_id for video in videos] for key, videos in loaded.items()} == {
        "a": ["a", "b"],
        "b": ["c"],
    }


@pytest.mark.slow
def test_one_partition_takes_all_requests_and_a_function_selects_those_of_the_partition(made: Studio) -> None:
    @dg.asset(partitions_def=LETTERS)
    def whole(context: dg.AssetExecutionContext, generator: VideoGenerator) -> Iterator[Any]:
        yield from generator.generate(context=context, requests=THREE).stream()

    @dg.asset(partitions_def=LETTERS)
    def selected(context: dg.AssetExecutionContext, generator: VideoGenerator) -> Iterator[Any]:
        by_id = {"partition_key_of": lambda row: row.prompt_id}
        yield from generator.generate(context=context, requests=THREE, **by_id).stream()

    result = materialize(made, whole, selected, partition_key="b")

    assert result.success
    counted = {
        key: (partition, meta["dagster/partition_row_count"]) for key, partition, meta in materializations(result)
    }
    assert counted == {"whole": ("b", 3), "selected": ("b", 1)}


@pytest.mark.slow
def test_a_refused_row_fails_its_partition_and_the_videos_of_all_others_are_recorded(tmp_path: Path) -> None:
    requests = [{**row, "shard": shard} for row, shard in zip(THREE, "aab", strict=True)]

    @dg.asset(partitions_def=LETTERS, backfill_policy=dg.BackfillPolicy.single_run())
    def trailers(context: dg.AssetExecutionContext, generator: VideoGenerator) -> Iterator[Any]:
        yield from generator.generate(context=context, requests=requests).stream()

    @dg.asset
    def single(context: dg.AssetExecutionContext, generator: VideoGenerator) -> Iterator[Any]:
        yield from generator.generate(context=context, requests=THREE).stream()

    with studio(tmp_path, **one_refused(1, THREE)) as made:
        result = materialize(made, trailers, keys=("a", "b"))
        alone = materialize(made, single)
        observed = made.instance.fetch_observations(dg.AssetKey("single"), limit=1).records

        assert not result.success
        assert failure_of(result).startswith("1 of 3 rows have no video:")
        assert "a/b: ContentBlockedError" in failure_of(result)
        assert [(partition, meta["wan_assets/new"]) for _, partition, meta in materializations(result)] == [("b", 1)]
        assert "\nb: ContentBlockedError" in failure_of(alone)
        assert materializations(alone) == []
        assert observed[0].asset_observation.metadata["wan_assets/reused"].value == 2
        assert sorted(ledger_rows(made, "state")) == [("failed",), ("stored",), ("stored",)]


def test_rows_with_errors_can_be_taken_instead_of_a_failure(tmp_path: Path) -> None:
    taken: dict[str, Any] = {}

    @dg.asset
    def own(context: dg.AssetExecutionContext, generator: VideoGenerator) -> None:
        generation = generator.generate(context=context, requests=THREE, on_error="return")
        taken["rows"] = {row.prompt_id: row for row in generation.rows()}
        taken["frame"] = generation.frame()

    @dg.asset
    def streamed(context: dg.AssetExecutionContext, generator: VideoGenerator) -> Iterator[Any]:
        yield from generator.generate(context=context, requests=THREE, on_error="return").stream()

    with studio(tmp_path, **one_refused(1, THREE)) as made:
        result = materialize(made, own, streamed)

    assert result.success
    assert {name: type(row.error).__name__ for name, row in taken["rows"].items()} == {
        "a": "NoneType",
        "b": "ContentBlockedError",
        "c": "NoneType",
    }
    assert list(taken["frame"].prompt_id) == ["a", "b", "c"]
    assert Path(taken["rows"]["a"].path).is_file()
    assert {key: meta.get("wan_assets/refused") for key, _, meta in materializations(result)}["streamed"] == 1


def test_an_op_gets_the_rows_as_its_output_and_its_run_is_recorded(made: Studio) -> None:
    @dg.op
    def make(context: dg.OpExecutionContext, generator: VideoGenerator) -> Iterator[Any]:
        yield from generator.generate(context=context, requests=THREE[:2]).stream()

    @dg.op
    def count(videos: pd.DataFrame) -> int:
        return len(videos)

    @dg.job(resource_defs={"generator": generator_of(made)})
    def nightly() -> None:
        count(make())

    result = nightly.execute_in_process(instance=made.instance)

    assert result.output_for_node("count") == 2
    assert ledger_rows(made, "run_id, asset") == [(result.run_id, "-")] * 2


@pytest.mark.slow
def test_a_graph_asset_and_one_of_several_assets_are_recorded_under_their_keys(made: Studio) -> None:
    @dg.multi_asset(specs=[dg.AssetSpec("long"), dg.AssetSpec("short")])
    def several(context: dg.AssetExecutionContext, generator: VideoGenerator) -> Iterator[Any]:
        yield from generator.generate(context=context, requests=THREE[:1], asset_key="long")
        yield from generator.generate(context=context, requests=THREE[1:2], asset_key="short")

    @dg.op
    def inside(context: dg.OpExecutionContext, generator: VideoGenerator) -> pd.DataFrame:
        return generator.generate(context=context, requests=THREE[2:]).frame()

    @dg.graph_asset
    def graph() -> Any:
        return inside()

    result = materialize(made, several, graph)

    assert result.success
    assert sorted(key for key, _, _ in materializations(result)) == ["graph", "long", "short"]
    assert ledger_rows(made, "asset, prompt_id") == [("graph", "c"), ("long", "a"), ("short", "b")]


def test_requests_with_a_problem_and_a_step_with_several_assets_submit_nothing(made: Studio) -> None:
    @dg.asset
    def invalid(context: dg.AssetExecutionContext, generator: VideoGenerator) -> Iterator[Any]:
        yield from generator.generate(context=context, requests=[*THREE, {"positive_prompt": "no size"}]).stream()

    @dg.multi_asset(specs=[dg.AssetSpec("long"), dg.AssetSpec("short")])
    def ambiguous(context: dg.AssetExecutionContext, generator: VideoGenerator) -> Iterator[Any]:
        yield from generator.generate(context=context, requests=THREE).stream()

    @dg.asset
    def unused(context: dg.AssetExecutionContext, generator: VideoGenerator) -> None:
        generator.generate(context=context, requests=THREE)

    result, other = materialize(made, invalid), materialize(made, ambiguous)
    with pytest.warns(RuntimeWarning, match="nothing was submitted"):
        assert materialize(made, unused).success

    assert "Nothing was submitted: the prompt table has 1 problem. The first is row 4" in failure_of(result)
    assert "asset_key=" in str([event.step_failure_data.error for event in other.all_events if event.is_step_failure])
    assert made.simulator.journal.charges() == []


@pytest.mark.slow
def test_a_budget_and_a_pause_of_the_ledger_stop_a_generation(made: Studio) -> None:
    @dg.asset
    def trailers(context: dg.AssetExecutionContext, generator: VideoGenerator) -> Iterator[Any]:
        yield from generator.generate(context=context, requests=PRICED).stream()

    tight = {"generator": generator_of(made, budget_usd_total=1.0)}
    over = dg.materialize([trailers], instance=made.instance, resources=tight, raise_on_error=False)
    with LedgerResource(url=sqlite_url(made.folder / "ledger.db")).open() as ledger:
        ledger.pause("maintenance")
    paused = materialize(made, trailers)

    assert "1 row skipped: the total budget lacks $0.4" in failure_of(over)
    assert "1 row skipped: the ledger is paused: maintenance. Resume with `wan-assets" in failure_of(paused)
    assert len(made.simulator.journal.charges()) == 2


@pytest.mark.slow
def test_a_retry_of_the_step_and_a_regeneration_pay_for_what_they_must(made: Studio) -> None:
    tries: list[VideoGeneration] = []

    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
    def unsteady(context: dg.AssetExecutionContext, generator: VideoGenerator) -> Iterator[Any]:
        tries.append(generator.generate(context=context, requests=THREE[:1]))
        assert list(tries[-1].frame().reused) == [len(tries) > 1]
        if len(tries) == 1:
            raise ValueError("the first try ends after the videos")
        yield dg.MaterializeResult()

    @dg.asset
    def anew(context: dg.AssetExecutionContext, generator: VideoGenerator) -> None:
        assert not generator.generate(context=context, requests=THREE[:1], regenerate="new-look").frame().reused.any()

    result = materialize(made, unsteady)
    again = materialize(made, anew)

    assert (result.success, again.success, len(tries)) == (True, True, 2)
    assert len(made.simulator.journal.charges()) == 2
    with pytest.raises(RuntimeError, match="iterated before"):
        next(tries[-1].stream())


@pytest.mark.slow
def test_an_account_without_a_key_is_the_simulator_and_says_so_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RUNWARE_API_KEY", raising=False)
    definitions = dg.Definitions.merge(
        build_video_assets(
            name="videos", prompts=pd.DataFrame(THREE[:1]), partitions=dg.StaticPartitionsDefinition(["x"])
        ),
        dg.Definitions(
            resources={
                "runware": RunwareResource(api_key=dg.EnvVar("RUNWARE_API_KEY"), initial_poll_delay_s=0.1),
                "store": VideoStoreResource(root="videos"),
                "ledger": LedgerResource(url="sqlite:///ledger.db"),
            }
        ),
    )
    with dg.DagsterInstance.ephemeral() as instance:
        result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, partition_key="x", asset_selection=[dg.AssetKey("videos")]
        )
        warnings = [entry.user_message for entry in instance.all_logs(result.run_id) if entry.level == logging.WARNING]

    [(_, _, metadata)] = materializations(result)
    assert metadata["wan_assets/simulated"] is True
    assert "RUNWARE_API_KEY is not set: videos are SIMULATED, and nothing is charged" in warnings


@pytest.mark.slow
def test_a_loop_that_is_left_keeps_its_tasks_and_a_later_event_reports_what_they_cost(made: Studio) -> None:
    @dg.asset
    def trailers(context: dg.AssetExecutionContext, generator: VideoGenerator) -> Iterator[Any]:
        if not made.simulator.journal.charges():
            rows = generator.generate(context=context, requests=THREE).rows()
            next(rows)
            rows.close()
            raise ValueError("left after the first row")
        yield from generator.generate(context=context, requests=THREE).stream()

    left, again, reused = (materialize(made, trailers) for _ in range(3))

    assert [left.success, again.success, reused.success] == [False, True, True]
    assert [materializations(result)[0][2]["wan_assets/charged_usd"] for result in (again, reused)] == [1.419, 0.0]
    assert len(made.simulator.journal.charges()) == 3


@pytest.mark.slow
def test_a_cost_is_reported_once_if_a_run_is_killed_between_its_event_and_the_ledger(made: Studio) -> None:
    @dg.asset
    def trailers(context: dg.AssetExecutionContext, generator: VideoGenerator) -> Iterator[Any]:
        yield from generator.generate(context=context, requests=THREE).stream()

    first = materialize(made, trailers)
    rows_of(sqlite_url(made.folder / "ledger.db"), "INSERT INTO wan_untold SELECT task_uuid FROM wan_tasks")
    again = materialize(made, trailers)

    costs = [materializations(result)[0][2]["wan_assets/charged_usd"] for result in (first, again)]
    assert costs == [1.419, 0.0]


@pytest.mark.slow
def test_an_asset_without_partitions_gets_one_event_in_a_run_over_a_range(made: Studio) -> None:
    @dg.asset
    def whole(context: dg.AssetExecutionContext, generator: VideoGenerator) -> Iterator[Any]:
        yield from generator.generate(context=context, requests=THREE).stream()

    @dg.asset(partitions_def=LETTERS, deps=[whole], backfill_policy=dg.BackfillPolicy.single_run())
    def parts() -> dg.MaterializeResult:
        return dg.MaterializeResult()

    result = materialize(made, whole, parts, keys=("a", "b"))

    counted = [meta["dagster/partition_row_count"] for key, _, meta in materializations(result) if key == "whole"]
    assert counted == [3]
    assert ledger_rows(made, "partition") == [("-",)] * 3


@pytest.mark.slow
def test_assets_can_be_called_directly_in_tests_and_be_asynchronous(made: Studio) -> None:
    @dg.asset(partitions_def=LETTERS)
    def trailers(context: dg.AssetExecutionContext, generator: VideoGenerator) -> Iterator[Any]:
        yield from generator.generate(context=context, requests=THREE).stream()

    @dg.asset
    async def awaited(context: dg.AssetExecutionContext, generator: VideoGenerator) -> dg.MaterializeResult:
        frame = await generator.generate_async(context=context, requests=THREE, progress=False)
        return dg.MaterializeResult(metadata={"reused": int(frame.reused.sum())})

    called = list(trailers(dg.build_asset_context(partition_key="b"), generator=generator_of(made)))
    result = materialize(made, awaited)

    assert [type(event) for event in called] == [dg.MaterializeResult]
    assert [meta["reused"] for _, _, meta in materializations(result)] == [3]


def test_a_generation_is_no_value_to_store_and_unknown_arguments_are_refused(made: Studio) -> None:
    generator = generator_of(made)

    @dg.asset
    def returned(context: dg.AssetExecutionContext, generator: VideoGenerator) -> Any:
        return generator.generate(context=context, requests=THREE)

    result = materialize(made, returned)

    failed = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    assert "write `yield from generation.stream()`" in str(failed)
    with pytest.raises(ValueError, match="on_error='ignore'"):
        generator.generate(requests=THREE, on_error="ignore")
    with pytest.raises(TypeError, match="context must be that of an asset or op, not str"):
        generator.generate(requests=THREE, context="context")
    assert made.simulator.journal.charges() == []


def test_a_mistyped_option_is_named_with_the_one_that_exists() -> None:
    options: dict[str, Any] = {"on_eror": "raise"}
    with pytest.raises(TypeError, match=r"generate\(\) got an unexpected .*'on_eror'; did you mean 'on_error'\?"):
        VideoGenerator().generate(requests=[], **options)
