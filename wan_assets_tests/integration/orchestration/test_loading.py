"""From partition to file: `load_videos`, and videos as the parameter of a downstream asset."""

import pickle
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster_support import SMALL, Studio, failure_of, studio, table_of, written
from test_downstream import BY_PROMPT, KEYS, VIDEOS, events_of, prompts_in, ranged

from wan_assets import LedgerResource, Video, VideoStoreResource, build_video_assets, load_videos
from wan_assets.errors import VideoNotLocalError, VideosMissingError
from wan_assets.orchestration.partitions.sync import sync_partitions
from wan_assets.settings import SettingsError

DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-04")
FOUND: dict[str, Any] = {}
"""What the assets below were given, by the name of the asset."""


@pytest.fixture(autouse=True)
def nothing_found() -> None:
    """What another test has found does not count."""
    FOUND.clear()


def sizes(videos: dict[str, list[Video]]) -> dict[str, int]:
    return {key: len(found) for key, found in videos.items()}


@dg.asset(partitions_def=BY_PROMPT, backfill_policy=dg.BackfillPolicy.multi_run(100))
def embeddings(videos: dict[str, list[Video]]) -> None:
    """The same partitions as the videos."""
    FOUND["embeddings"] = videos


@dg.asset
def summary(videos: dict[str, list[Video]]) -> None:
    """All partitions."""
    FOUND["summary"] = videos


@dg.asset(ins={"clips": dg.AssetIn(VIDEOS, metadata={"allow_missing_partitions": True})}, partitions_def=BY_PROMPT)
def lenient(clips: dict[str, list[Video]]) -> None:
    """Leaves out videos that are missing."""
    FOUND["lenient"] = clips


@dg.asset(deps=[VIDEOS], partitions_def=BY_PROMPT, backfill_policy=dg.BackfillPolicy.multi_run(100))
def loaded(context: dg.AssetExecutionContext) -> None:
    """Loads the videos itself, with the resources of the job, which it does not require."""
    FOUND["loaded"] = load_videos(context, VIDEOS)


@dg.asset(deps=[VIDEOS])
def loaded_together(context: dg.AssetExecutionContext, store: VideoStoreResource) -> None:
    """Requires one of the resources."""
    assert store.root
    FOUND["loaded_together"] = load_videos(context, "videos")


@dg.asset_check(asset=VIDEOS)
def sharp(videos: dict[str, list[Video]]) -> dg.AssetCheckResult:
    """A check that takes the videos."""
    FOUND["sharp"] = videos
    return dg.AssetCheckResult(passed=True)


def videos_asset(prompts: Any, **options: Any) -> dg.AssetsDefinition:
    assets = build_video_assets(prompts=prompts, **options).assets or ()
    return next(asset for asset in assets if isinstance(asset, dg.AssetsDefinition) and asset.key == VIDEOS)


def run(made: Studio, prompts: Any, *others: Any, selection: Any = None, **options: Any) -> dg.ExecuteInProcessResult:
    """One run over the first three prompts, or over what `tags` or `partition_key` name."""
    sync_partitions(made.instance, "videos", KEYS)
    how = {name: options.pop(name) for name in ("tags", "partition_key") if name in options} or {"tags": ranged(*KEYS)}
    return dg.materialize(
        [videos_asset(prompts, **options), *others],
        selection=selection,
        instance=made.instance,
        resources=made.resources(),
        raise_on_error=False,
        **how,
    )


def reading(made: Studio) -> dict[str, Any]:
    return {name: value for name, value in made.resources().items() if name in ("store", "ledger")}


def rows_of_days(*days: int, note: str = "n") -> list[dict[str, Any]]:
    return [
        {"prompt_id": f"{day}-{n}", "date": f"2026-01-0{day}", "positive_prompt": f"Kite {n}", "note": note, **SMALL}
        for day in days
        for n in (1, 0)
    ]


def forget_rows(made: Studio) -> None:
    """Leaves a ledger as 0.1.0 left it."""
    engine = sa.create_engine(f"sqlite:///{made.folder / 'ledger.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE wan_partitions")
    engine.dispose()


@pytest.mark.slow
def test_videos_are_the_parameter_of_assets_downstream_in_the_same_run_and_in_others(tmp_path: Path) -> None:
    everyone = (embeddings, summary, loaded, loaded_together, lenient, sharp)
    prompts, three = prompts_in(tmp_path), {"a": 1, "b": 1, "c": 1}
    with studio(tmp_path) as made:
        together = run(made, prompts, embeddings, summary, loaded, loaded_together, sharp)

        assert together.success
        assert {name: sizes(found) for name, found in FOUND.items()} == dict.fromkeys(
            ("embeddings", "summary", "loaded", "loaded_together", "sharp"), three
        )
        assert [list(found) for found in FOUND.values()] == [KEYS] * 5
        assert events_of(made, VIDEOS) == dict.fromkeys(KEYS, 1)
        FOUND.clear()

        for one in (embeddings, loaded, lenient):
            assert run(made, prompts, *everyone, selection=[one], partition_key="b").success
        for one in (summary, loaded_together):
            assert run(made, prompts, *everyone, selection=[one], tags={}).success
        of_one, of_all = ("embeddings", "loaded", "lenient"), ("summary", "loaded_together")
        assert {name: sizes(found) for name, found in FOUND.items()} == {
            **{name: {"b": 1} for name in of_one},
            **dict.fromkeys(of_all, three),
        }
        assert events_of(made, VIDEOS) == dict.fromkeys(KEYS, 1)


@pytest.mark.slow
def test_a_video_has_its_file_its_properties_and_its_row(tmp_path: Path) -> None:
    rows = table_of("A kite", "Two boats", note="for the trailer", seed=7)
    rows[1]["number_results"] = 2
    with studio(tmp_path) as made:
        assert run(made, written(tmp_path, [*rows, *table_of("A kite")]), tags=ranged("a", "b")).success is False
        made.run(written(tmp_path, rows), only="videos")

        found = load_videos(made.instance, "videos", **reading(made))
        kite, (first, second) = found["a"][0], found["b"]

    assert sizes(found) == {"a": 1, "b": 2}
    assert (kite.prompt_id, kite.partition, kite.number, kite.prompt) == ("a", "a", 1, "A kite")
    assert (kite.width, kite.height, kite.duration_s, kite.seed) == (854, 480, 5, 7)
    assert kite.fps
    assert kite.cost_usd == Decimal("0.473")
    assert first.cost_usd + second.cost_usd == Decimal("0.946")
    assert (second.number, second.uri != first.uri) == (2, True)
    assert kite.row["positive_prompt"] == "A kite"
    assert kite.row["note"] == "for the trailer"
    assert kite.row["resolution"] == "480p"
    assert kite.is_simulated
    assert kite.matches_request
    assert kite.path.read_bytes() == kite.open().read()
    assert kite.path.stat().st_size == kite.bytes
    assert kite.sidecar["task_uuid"] == kite.task_uuid
    with kite.local_path() as path:
        assert path == kite.path
    assert pickle.loads(pickle.dumps(found)) == found
    assert len({kite, first, second}) == 3


@pytest.mark.slow
def test_a_video_in_a_bucket_is_opened_or_downloaded(bucket: str, tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        made.resources = lambda: {**Studio.resources(made), "store": VideoStoreResource(root=bucket)}
        assert run(made, written(tmp_path, table_of("A kite")), partition_key="a").success
        video = load_videos(made.instance, "videos", ["a"], **reading(made))["a"][0]

    assert not video.is_local
    with pytest.raises(VideoNotLocalError, match=r"row a .* s3://"):
        _ = video.path
    with video.open() as file:
        content = file.read()
    with video.local_path() as path:
        assert path.read_bytes() == content
        assert path.suffix == ".mp4"
    assert not path.exists()
    assert len(content) == video.bytes
    assert pickle.loads(pickle.dumps(video)).open().read() == content


@pytest.mark.slow
def test_a_batch_has_the_videos_of_its_rows_in_table_order_and_forgets_rows_that_left(tmp_path: Path) -> None:
    days = ["2026-01-01", "2026-01-02", "2026-01-03"]
    both = {"partitions": DAYS, "tags": ranged(days[0], days[2])}
    with studio(tmp_path) as made:
        assert run(made, written(tmp_path, rows_of_days(1, 2)), **both).success
        before = load_videos(made.instance, "videos", **reading(made))
        assert run(made, written(tmp_path, [*rows_of_days(1)[:1], *rows_of_days(2, note="new")]), **both).success
        after = load_videos(made.instance, "videos", days, **reading(made))

    assert {key: [video.prompt_id for video in found] for key, found in before.items()} == {
        "2026-01-01": ["1-1", "1-0"],
        "2026-01-02": ["2-1", "2-0"],
        "2026-01-03": [],
    }
    assert sizes(after) == {"2026-01-01": 1, "2026-01-02": 2, "2026-01-03": 0}
    assert {video.row["note"] for video in after["2026-01-02"]} == {"new"}


@pytest.mark.slow
def test_partitions_by_prompt_of_0_1_0_are_loaded_and_its_batches_name_what_to_do(tmp_path: Path) -> None:
    with studio(tmp_path / "one") as made:
        run(made, prompts_in(made.folder.parent))
        forget_rows(made)

        assert sizes(load_videos(made.instance, "videos", **reading(made))) == {"a": 1, "b": 1, "c": 1}

    with studio(tmp_path / "two") as made:
        prompts = written(tmp_path, rows_of_days(1))
        run(made, prompts, partitions=DAYS, partition_key="2026-01-01")
        forget_rows(made)

        with pytest.raises(VideosMissingError, match=r"2026-01-01.* run it again: stored videos are reused"):
            load_videos(made.instance, "videos", **reading(made))
        run(made, prompts, partitions=DAYS, partition_key="2026-01-01")
        assert sizes(load_videos(made.instance, "videos", **reading(made))) == {"2026-01-01": 2}


@pytest.mark.slow
def test_missing_videos_fail_where_they_are_named_and_are_left_out_otherwise(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with studio(tmp_path) as made:
        run(made, written(tmp_path, table_of("A kite", "A boat")), embeddings)
        prompts = prompts_in(tmp_path)
        load_videos(made.instance, "videos", ["b"], **reading(made))["b"][0].path.unlink()

        assert sizes(load_videos(made.instance, "videos", **reading(made))) == {"a": 1}
        assert "row b" in caplog.text
        with pytest.raises(VideosMissingError, match="2 partitions of videos") as raised:
            load_videos(made.instance, "videos", ["a", "b", "c"], **reading(made))
        assert set(raised.value.reasons) == {"b", "c"}
        assert "never materialized" in raised.value.reasons["c"]

        refused = run(made, prompts, embeddings, selection=[embeddings])
        assert not refused.success
        assert "2 partitions of videos cannot be loaded: b: the store" in failure_of(refused)
        FOUND.clear()
        assert run(made, prompts, summary, selection=[summary], tags={}).success
        assert run(made, prompts, lenient, selection=[lenient], partition_key="c").success
        assert {name: sizes(found) for name, found in FOUND.items()} == {"summary": {"a": 1}, "lenient": {}}


@pytest.mark.slow
def test_a_record_that_a_killed_run_left_behind_is_not_believed(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        run(made, written(tmp_path, table_of("A kite")), partition_key="a")
        with closing(made.resources()["ledger"].open()) as ledger:
            old = ledger.recorded_partitions("videos")
            run(made, written(tmp_path, table_of("A boat")), partition_key="a")
            ledger.record_partitions("videos", old)

        assert load_videos(made.instance, "videos", **reading(made))["a"][0].prompt == "A boat"


@pytest.mark.slow
def test_partitions_whose_prompts_left_the_table_are_not_loaded(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        run(made, prompts_in(tmp_path))
        sync_partitions(made.instance, "videos", ["a", "c"])

        assert sizes(load_videos(made.instance, "videos", **reading(made))) == {"a": 1, "c": 1}
        assert sizes(load_videos(made.instance, videos_asset([]), **reading(made))) == {"a": 1, "c": 1}
        assert sizes(load_videos(made.instance, "videos", ["b"], **reading(made))) == {"b": 1}


@pytest.mark.slow
def test_the_environment_names_store_and_ledger_outside_of_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with studio(tmp_path) as made:
        run(made, prompts_in(tmp_path))
        monkeypatch.setenv("WAN_ASSETS_STORE", str(tmp_path / "store"))
        monkeypatch.setenv("WAN_ASSETS_LEDGER", f"sqlite:///{tmp_path / 'ledger.db'}")

        assert sizes(load_videos(made.instance, ["videos"])) == {"a": 1, "b": 1, "c": 1}
        monkeypatch.setenv("MY_STORE", str(tmp_path / "store"))
        named = VideoStoreResource(root=dg.EnvVar("MY_STORE"))
        assert sizes(load_videos(made.instance, VIDEOS, ["c", "a"], store=named)) == {"c": 1, "a": 1}
        with pytest.raises(SettingsError, match="'store' is not a VideoStoreResource"):
            load_videos(made.instance, VIDEOS, store=LedgerResource(url="sqlite://"))


@pytest.mark.slow
def test_only_partitions_that_changed_are_written_again(tmp_path: Path) -> None:
    written_rows: list[Any] = []

    def count(*call: Any) -> None:
        if call[2].startswith("INSERT INTO wan_partitions"):
            written_rows.append(len(call[3]) if call[5] else 1)

    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    try:
        with studio(tmp_path) as made:
            for prompts in ("A boat", "A boat", "A ship"):
                run(made, written(tmp_path, table_of("A kite", prompts, "A hill")))
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", count)

    assert written_rows == [3, 1], "one statement for a run, none for a run without changes"


@pytest.mark.slow
def test_videos_of_another_code_location_are_loaded_in_ops_sensors_and_assets(tmp_path: Path) -> None:
    three = {"a": 1, "b": 1, "c": 1}

    @dg.op
    def in_op(context: dg.OpExecutionContext) -> None:
        FOUND["op"] = load_videos(context, "videos")

    @dg.sensor(asset_selection="*")
    def in_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        FOUND["sensor"] = load_videos(context, "videos")
        return dg.SkipReason("no runs")

    with studio(tmp_path) as made:
        run(made, prompts_in(tmp_path))
        how = {"instance": made.instance, "resources": reading(made), "raise_on_error": False}
        known, unknown = dg.AssetSpec("videos", partitions_def=BY_PROMPT), dg.AssetSpec("videos")
        FOUND.clear()
        dg.GraphDefinition("g", node_defs=[in_op]).to_job(resource_defs=reading(made)).execute_in_process(
            instance=made.instance
        )
        in_sensor(dg.build_sensor_context(made.instance, resources=reading(made)))
        assert dg.materialize([loaded, known], selection=[loaded], partition_key="a", **how).success
        assert dg.materialize([loaded_together, unknown], selection=[loaded_together], **how).success
        refused = dg.materialize([loaded, unknown], selection=[loaded], partition_key="a", **how)

    assert {name: sizes(found) for name, found in FOUND.items()} == {
        "op": three,
        "sensor": three,
        "loaded": {"a": 1},
        "loaded_together": three,
    }
    assert "the partitions of videos are not known in this code location" in str(refused.all_events)


def test_a_video_made_by_hand_is_shown_in_one_line() -> None:
    video = Video(uri="/srv/kite.mp4", prompt_id="kite", partition="kite")

    assert repr(video) == "Video(prompt_id='kite', partition='kite', uri='/srv/kite.mp4')"
    assert video.sidecar == {}


@pytest.mark.slow
def test_videos_below_a_prefix_are_in_the_order_of_their_prompts_without_those_that_left_the_table(
    tmp_path: Path,
) -> None:
    rows = [{"prompt_id": name, "positive_prompt": f"A {name}", **SMALL} for name in ("zed", "ant")]
    clips = dg.AssetKey(["marketing", "clips"])
    with studio(tmp_path) as made:
        assets = build_video_assets(key="marketing/clips", prompts=written(tmp_path, rows)).assets or ()
        how = {"instance": made.instance, "resources": made.resources()}
        dg.materialize(list(assets), selection="marketing/clips_prompts", **how)
        dg.materialize(list(assets), selection=[clips], tags=ranged("zed", "ant"), **how)

        before = load_videos(made.instance, clips, **reading(made))
        written(tmp_path, rows[:1])
        dg.materialize(list(assets), selection="marketing/clips_prompts", **how)

        assert list(before) == ["zed", "ant"]
        assert list(load_videos(made.instance, clips, **reading(made))) == ["zed"]
