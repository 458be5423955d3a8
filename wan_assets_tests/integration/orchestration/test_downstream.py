"""Assets and checks downstream of the videos, in the same run and in others."""

from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_support import SMALL, Studio, failure_of, studio, table_of, written

from wan_assets import Video, build_dataset_assets, build_video_assets, build_video_checks, video_check
from wan_assets.orchestration.checks import DATASET_CHECKS
from wan_assets.orchestration.partitions.sync import sync_partitions

VIDEOS = dg.AssetKey("videos")
BY_PROMPT = dg.DynamicPartitionsDefinition(name="videos")
KEYS = ["a", "b", "c"]


@dg.asset(deps=[VIDEOS], partitions_def=BY_PROMPT, backfill_policy=dg.BackfillPolicy.multi_run(100))
def brightness(context: dg.AssetExecutionContext) -> None:
    """One value for each video, in one step for a range."""
    context.log.info("%s", context.partition_keys)


@dg.asset(deps=[VIDEOS], partitions_def=BY_PROMPT)
def single(context: dg.AssetExecutionContext) -> str:
    """One partition at a time."""
    return context.partition_key


@dg.asset(deps=[VIDEOS])
def summary() -> None:
    """All partitions together."""


@dg.asset_check(asset=VIDEOS)
def looks_good() -> dg.AssetCheckResult:
    """A check of somebody else."""
    return dg.AssetCheckResult(passed=True)


def ranged(*keys: str) -> dict[str, str]:
    return {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}


def run(made: Studio, prompts: Any, *others: Any, tags: dict[str, str] | None = None, **options: Any) -> Any:
    """One run over videos and others; the keys of the table are partitions already."""
    sync_partitions(made.instance, "videos", KEYS)
    definitions = build_video_assets(prompts=prompts, **options)
    videos = [asset for asset in definitions.assets or () if asset.key == VIDEOS]
    return dg.materialize(
        [*videos, *others],
        instance=made.instance,
        resources=made.resources(),
        tags=tags or ranged(*KEYS),
        raise_on_error=False,
    )


def events_of(made: Studio, key: dg.AssetKey) -> Counter[str | None]:
    """How many materializations each partition has."""
    found = made.instance.fetch_materializations(key, limit=1000).records
    return Counter(record.partition_key for record in found)


def prompts_in(folder: Path) -> Path:
    return written(folder, table_of("A kite", "A boat", "A hill"))


@pytest.mark.slow
@pytest.mark.parametrize("others", [(brightness,), (summary,), (brightness, summary)], ids=len)
def test_assets_downstream_of_the_videos_run_in_the_same_run(others: tuple[Any, ...], tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        result = run(made, prompts_in(tmp_path), *others)

        assert result.success
        for other in others:
            assert events_of(made, other.key).total() == (3 if other is brightness else 1)
        assert events_of(made, VIDEOS) == Counter(KEYS)


@pytest.mark.slow
def test_each_partition_has_one_materialization_with_its_metadata(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        run(made, prompts_in(tmp_path), brightness)

        records = made.instance.fetch_materializations(VIDEOS, limit=100).records
        assert sorted(record.partition_key for record in records) == KEYS
        assert all("wan_assets/sha256" in record.asset_materialization.metadata for record in records)
        assert made.instance.get_materialized_partitions(VIDEOS) == set(KEYS)


@pytest.mark.slow
def test_a_downstream_asset_takes_single_partitions(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        sync_partitions(made.instance, "videos", KEYS)
        definitions = build_video_assets(prompts=prompts_in(tmp_path))
        videos = [asset for asset in definitions.assets or () if asset.key == VIDEOS]
        for key in KEYS:
            result = dg.materialize(
                [*videos, single], instance=made.instance, resources=made.resources(), partition_key=key
            )
            assert result.success
            assert result.output_for_node("single") == key

        assert events_of(made, VIDEOS) == Counter(KEYS)
        assert events_of(made, single.key) == Counter(KEYS)


@pytest.mark.slow
def test_checks_of_the_videos_run_with_them(tmp_path: Path) -> None:
    prompts = prompts_in(tmp_path)
    with studio(tmp_path) as made:
        result = run(made, prompts, looks_good, *build_video_checks(prompts=prompts))

        evaluations = result.get_asset_check_evaluations()
        assert result.success
        assert len({evaluation.check_name for evaluation in evaluations}) == 13
        assert [evaluation.check_name for evaluation in evaluations if not evaluation.passed] == []


@pytest.mark.slow
@pytest.mark.parametrize("severities", [None, {}], ids=["no check of partitions", "a check of partitions"])
def test_the_check_of_each_partition_is_evaluated(severities: Any, tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        options = {} if severities is None else {"severities": severities}
        result = run(made, prompts_in(tmp_path), brightness, **options)

        assert result.success
        names = Counter(evaluation.check_name for evaluation in result.get_asset_check_evaluations())
        assert names["quality"] == (0 if severities is None else 3)


@pytest.mark.slow
def test_the_dataset_and_the_costs_run_after_the_videos(tmp_path: Path) -> None:
    prompts = prompts_in(tmp_path)
    with studio(tmp_path) as made:
        around = build_dataset_assets(prompts=prompts)
        result = run(made, prompts, *(around.assets if isinstance(around, dg.Definitions) else around))

        assert result.success
        assert events_of(made, dg.AssetKey("videos_dataset")).total() == 1
        assert events_of(made, dg.AssetKey("videos_costs")).total() == 1


def test_a_partition_without_a_row_fails_the_run_and_keeps_the_videos_of_the_others(tmp_path: Path) -> None:
    first, _, last = table_of("A kite", "A boat", "A hill")
    with studio(tmp_path) as made:
        result = run(made, written(tmp_path, [first, last]), brightness)

        assert not result.success
        assert events_of(made, VIDEOS) == Counter(["a", "c"])
        assert events_of(made, brightness.key).total() == 0


@video_check
def has_a_prompt(video: Video) -> bool:
    return bool(video.prompt)


@pytest.mark.parametrize(
    ("budget_usd", "made_keys", "counted"), [(None, ["a", "c"], 0), (0, [], 3)], ids=["a row is gone", "no row is made"]
)
def test_checks_have_results_although_rows_failed(
    budget_usd: float | None, made_keys: list[str], counted: int, tmp_path: Path
) -> None:
    first, second, last = table_of("A kite", "A boat", "A hill")
    rows = [first, last] if budget_usd is None else [first, second, last]
    prompts = written(tmp_path, rows)
    with studio(tmp_path) as made:
        checks = build_video_checks(prompts=prompts, severities={"every_row_has_its_video": dg.AssetCheckSeverity.WARN})
        sync_partitions(made.instance, "videos", KEYS)
        definitions = build_video_assets(prompts=prompts, severities={}, video_checks=[has_a_prompt])
        videos = [asset for asset in definitions.assets or () if asset.key == VIDEOS]
        result = dg.materialize(
            [*videos, *checks],
            instance=made.instance,
            resources=made.resources(budget_usd_total=budget_usd),
            tags=ranged(*KEYS),
            raise_on_error=False,
        )

        keys = [dg.AssetCheckKey(VIDEOS, name) for name in ("quality", "has_a_prompt", *DATASET_CHECKS)]
        latest = made.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
        found = {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}
        assert not result.success
        assert sorted(events_of(made, VIDEOS)) == made_keys
        assert {record.status.value for record in latest.values()} <= {"SUCCEEDED", "FAILED"}
        assert len(latest) == 14
        every_row = found["every_row_has_its_video"]
        assert every_row.metadata["wan_assets/failed_rows"].value == counted
        assert every_row.severity is dg.AssetCheckSeverity.WARN
        assert found["quality"].passed is bool(made_keys)
        assert found["has_a_prompt"].passed is bool(made_keys)


def test_a_refused_row_fails_the_run_with_its_reason_and_all_other_videos_are_recorded(tmp_path: Path) -> None:
    with studio(tmp_path, faults={"verdict_safety": 0.5}, seed=1) as made:
        result = run(made, prompts_in(tmp_path), brightness)

        recorded = events_of(made, VIDEOS)
        refused = sorted(set(KEYS) - recorded.keys())
        assert not result.success
        assert recorded
        assert refused
        assert set(recorded.values()) == {1}
        assert all(f"{key}: " in failure_of(result) for key in refused)
        assert "ContentBlockedError" in failure_of(result) or "invalidProviderContent" in failure_of(result)
        assert events_of(made, brightness.key).total() == 0


@pytest.mark.slow
def test_a_batch_has_assets_downstream_of_it(tmp_path: Path) -> None:
    days = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-04")
    rows = [
        {"prompt_id": f"{day}-{n}", "date": f"2026-01-0{day}", "positive_prompt": f"Kite {n}", **SMALL}
        for day in (1, 2, 3)
        for n in range(2)
    ]

    @dg.asset(deps=[VIDEOS], partitions_def=days, backfill_policy=dg.BackfillPolicy.single_run())
    def daily() -> None:
        """One value for each day."""

    with studio(tmp_path) as made:
        result = run(made, written(tmp_path, rows), daily, partitions=days, tags=ranged("2026-01-01", "2026-01-03"))

        assert result.success
        assert events_of(made, VIDEOS) == Counter(["2026-01-01", "2026-01-02", "2026-01-03"])
        assert events_of(made, daily.key) == Counter(["2026-01-01", "2026-01-02", "2026-01-03"])
