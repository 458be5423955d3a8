"""Videos that play well and deviate from their requests: kept with their differences, or set aside and adopted."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import dagster as dg
import numpy as np
import pyarrow.parquet as pq
import pytest
from cli_support import wan_assets
from dagster_support import Studio, failure_of, materialized, studio, table_of, written
from engine_support import PRICE, errors_of, jobs_of, request_of
from engine_support import Studio as Engine
from engine_support import studio as engine_studio
from gallery_support import audits_of, gallery_of, records_of, summary_of

from wan_assets import RunwareResource, build_video_assets
from wan_assets.dataset import write_manifest
from wan_assets.dataset.quality import quality_results_of
from wan_assets.engine import Adopted, Limits, VideoJob, adopt
from wan_assets.ledger import Ledger
from wan_assets.orchestration.automation import build_missing_job
from wan_assets.prompts import PromptTable
from wan_assets.simulator import Behaviour, LocalSimulator
from wan_assets.store import VideoStore
from wan_assets.video import Clip, VideoProperties, audio_mismatches, properties_of, render

FIXED = {"resolution": None, "width": 854, "height": 480}
SOUND = {"provider_settings": {"alibaba": {"audio": True}}}
ROUNDED = "size is 832x480, requested 854x480"
FAIL = Limits(max_wait_s=20, on_mismatch="fail")


@pytest.fixture
def rounding(tmp_path: Path) -> Iterator[Studio]:
    with studio(tmp_path, faults={"rounded_size": 1.0}) as studio_:
        yield studio_


def fixed_rows(*prompts: str) -> list[dict[str, Any]]:
    return table_of(*prompts, **FIXED)


def evaluations(result: dg.ExecuteInProcessResult, name: str = "matches_request") -> dict[Any, Any]:
    return {each.partition: each for each in result.get_asset_check_evaluations() if each.check_name == name}


def adopted_in(engine: Engine, *task_uuids: str) -> list[Adopted]:
    """What becomes of some tasks."""

    async def read(ledger: Ledger) -> list[Adopted]:
        return [one async for one in adopt(task_uuids, store=engine.store, ledger=ledger)]

    with closing(engine.ledger()) as ledger:
        return asyncio.run(read(ledger))


# Kept


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "parameters", "difference"),
    [
        ("rounded_size", FIXED, ROUNDED),
        ("rounded_size", {"resolution": "480p"}, "size is 832x480, requested 854x480 or 480x854 or 640x640"),
        ("rounded_size", {"resolution": None, "width": 1280, "height": 720}, "size is 1280x704, requested 1280x720"),
        ("missing_audio", SOUND, "has no audio, requested with audio"),
        ("extra_audio", {}, "has audio, requested without audio"),
        ("longer_clip", {}, "length is 7.00 s, requested 5 s"),
        ("short_audio", SOUND, "audio ends 4.79 s before the video"),
    ],
)
def test_a_playable_video_that_deviates_is_stored_with_its_difference(fault, parameters, difference, tmp_path):
    with engine_studio(tmp_path, faults={fault: 1.0}) as engine:
        (outcome,) = engine.run([VideoJob(request_of(**parameters))])
        (again,) = engine.run([VideoJob(request_of(**parameters))])

        assert (engine.states(), engine.paid) == (["stored"], 1)
    assert outcome.stored.differences == (difference,)
    assert again.stored == outcome.stored
    assert engine.store.verifies(outcome.stored.videos[0])


@pytest.mark.slow
def test_another_container_is_stored_under_its_own_name(tmp_path):
    with engine_studio(tmp_path) as engine:
        engine.run(jobs_of(1))
        shutil.rmtree(tmp_path / "store")
        (served,) = (tmp_path / "simulator" / "media").iterdir()
        render(Clip("WEBM", 1280, 720, 5, has_audio=False, seed=1, prompt="A kite"), served)

        (outcome,) = engine.run(jobs_of(1))

    assert outcome.stored.differences == ("container is WEBM, requested MP4",)
    assert outcome.stored.videos[0].uri.endswith("-1.webm")


def test_a_damaged_file_is_accepted_in_neither_mode(tmp_path):
    with engine_studio(tmp_path) as engine:
        engine.run(jobs_of(1))
        shutil.rmtree(tmp_path / "store")
        (served,) = (tmp_path / "simulator" / "media").iterdir()
        served.write_bytes(served.read_bytes()[:-2000])

        outcomes = [*engine.run(jobs_of(1)), *engine.run(jobs_of(1), limits=FAIL)]

    assert errors_of(outcomes) == ["InvalidVideoError"] * 2
    assert engine.store.quarantined_tasks() == set()


@pytest.mark.slow
def test_each_partition_is_green_with_a_failing_check_and_its_differences(rounding, tmp_path):
    result = rounding.run(written(tmp_path, fixed_rows("A kite")))

    assert result.success
    found, metadata = evaluations(result)["a"], materialized(result)["a"]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert found.description == f"a: {ROUNDED}"
    assert metadata["wan_assets/differences"] == ROUNDED
    assert metadata["wan_assets/matches_request"] is False
    assert (metadata["wan_assets/width"], metadata["wan_assets/height"]) == (832, 480)


def test_a_video_that_matches_passes_the_check(tmp_path):
    with studio(tmp_path) as studio_:
        result = studio_.run(written(tmp_path, table_of("A kite")))

    assert evaluations(result)["a"].passed
    assert materialized(result)["a"]["wan_assets/matches_request"] is True
    assert "wan_assets/differences" not in materialized(result)["a"]


@pytest.mark.slow
def test_a_run_over_many_partitions_records_failing_checks_and_those_that_failed_before(tmp_path):
    rows = [{**table_of(f"Kite {number}")[0], "prompt_id": f"p{number:03}"} for number in range(101)]
    path = written(tmp_path, rows)
    with studio(tmp_path, latency_s=0.0) as studio_:
        first = studio_.run(path)
        evaluation = dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey("videos"), check_name="matches_request", passed=False, partition="p007", metadata={}
        )
        studio_.instance.report_runless_asset_event(evaluation)
        second = studio_.run(path)

    assert evaluations(first) == {}
    assert {key: found.passed for key, found in evaluations(second).items()} == {"p007": True}


@pytest.mark.slow
def test_a_batch_tells_how_many_rows_deviate_and_which(rounding, tmp_path):
    rows = [*fixed_rows("A kite"), {**table_of("A boat", resolution=None, width=640, height=640)[0], "prompt_id": "b"}]
    path = written(tmp_path, [{**row, "shard": "x"} for row in rows])
    assets = build_video_assets(prompts=path, partitions=dg.StaticPartitionsDefinition(["x"]))

    result = dg.materialize(
        list(assets.assets or ()),
        instance=rounding.instance,
        resources=rounding.resources(),
        selection="videos",
        partition_key="x",
    )

    (event,) = result.asset_materializations_for_node("videos")
    assert event.metadata["wan_assets/deviating"].value == 1
    assert [row.data["differences"] for row in event.metadata["wan_assets/rows"].records] == [ROUNDED, ""]
    assert evaluations(result)["x"].description == f"a: {ROUNDED}"


def test_the_missing_job_records_the_check_too(rounding, tmp_path):
    path = written(tmp_path, fixed_rows("A kite"))

    result = build_missing_job(prompts=path).execute_in_process(
        instance=rounding.instance, resources=rounding.resources(), raise_on_error=False
    )

    found = [event for event in result.all_events if event.event_type_value == "ASSET_CHECK_EVALUATION"]
    assert result.success
    assert [event.event_specific_data.passed for event in found] == [False]


@pytest.mark.slow
def test_manifest_sidecar_and_gallery_tell_what_deviates(rounding, tmp_path):
    path = written(tmp_path, fixed_rows("A kite"))
    rounding.run(path)
    table = PromptTable.load(path)

    gallery = gallery_of(tmp_path, table)
    ledger = rounding.resources()["ledger"].open()
    manifest = write_manifest("m", table, store=VideoStore(tmp_path / "store"), ledger=ledger)

    (row,) = pq.read_table(manifest.uri).to_pylist()
    (sidecar,) = (tmp_path / "store" / "simulated").rglob("*.json")
    assert (row["matches_request"], row["differences"]) == (False, ROUNDED)
    assert json.loads(sidecar.read_text())["videos"][0]["differences"] == [ROUNDED]
    assert records_of(gallery)[0]["differences"] == [ROUNDED]
    assert summary_of(gallery)["deviating"] == 1
    assert audits_of(gallery)[0]["differences"] == ROUNDED


# Where it is configured


def test_on_mismatch_fail_of_the_resource_sets_the_file_aside_and_fails_the_row(rounding, tmp_path):
    path = written(tmp_path, fixed_rows("A kite"))
    runware = rounding.resources()["runware"]
    resources = {**rounding.resources(), "runware": RunwareResource(**{**runware.model_dump(), "on_mismatch": "fail"})}

    result = made(rounding, path, resources=resources)

    assert not result.success
    assert ROUNDED in failure_of(result)
    assert "wan-assets ledger adopt" in failure_of(result)
    assert len(VideoStore(tmp_path / "store").quarantined_tasks()) == 1


def made(studio_: Studio, path: Path, *, resources: Any = None, config: Any = None, **options: Any) -> Any:
    studio_.instance.add_dynamic_partitions("videos", ["a"])
    assets = build_video_assets(prompts=path, **options)
    return dg.materialize(
        list(assets.assets or ()),
        instance=studio_.instance,
        resources=resources or studio_.resources(),
        selection="videos",
        partition_key="a",
        run_config={"ops": {"videos": {"config": config}}} if config else None,
        raise_on_error=False,
    )


@pytest.mark.slow
def test_the_asset_counts_above_the_resource_and_the_run_above_the_asset(rounding, tmp_path):
    path = written(tmp_path, fixed_rows("A kite"))

    by_asset = made(rounding, path, on_mismatch="fail")
    by_run = made(rounding, path, on_mismatch="fail", config={"on_mismatch": "keep"})

    assert (by_asset.success, by_run.success) == (False, True)
    assert rounding.simulator.journal.submissions() == 1


# Adopted


def set_aside(engine: Engine, jobs: list[VideoJob]) -> list[str]:
    outcomes = engine.run(jobs, limits=FAIL)
    assert errors_of(outcomes) == ["InvalidVideoError"] * len(jobs)
    return [row[0] for row in engine.rows("SELECT task_uuid FROM wan_tasks ORDER BY created_at")]


def test_adopting_stores_the_file_at_its_booked_cost_and_the_next_run_reuses_it(tmp_path):
    job = VideoJob(request_of(**FIXED), "p0")
    with engine_studio(tmp_path, faults={"rounded_size": 1.0}) as engine:
        (task_uuid,) = set_aside(engine, [job])
        (before,) = engine.rows("SELECT state, cost_microusd, reserved_microusd FROM wan_tasks")

        (adopted,) = adopted_in(engine, task_uuid)
        left = engine.store.quarantined_tasks()
        (again,) = adopted_in(engine, task_uuid)
        (outcome,) = engine.run([job], limits=FAIL)

        assert before == ("delivered", PRICE, 0)
        assert engine.rows("SELECT state, cost_microusd, reserved_microusd FROM wan_tasks") == [("stored", PRICE, 0)]
        assert (engine.paid, outcome.is_reused) == (1, True)
    assert adopted.stored.differences == (ROUNDED,)
    assert adopted.stored.cost_microusd == PRICE
    assert "/simulated/" in adopted.stored.videos[0].uri
    assert (adopted.was_stored, again.was_stored, again.stored) == (False, True, adopted.stored)
    assert outcome.stored == adopted.stored
    assert left == set()


def test_a_run_that_keeps_takes_what_an_earlier_one_has_set_aside_though_the_api_has_forgotten_it(tmp_path):
    job = VideoJob(request_of(**FIXED), "p0")
    with engine_studio(tmp_path, faults={"rounded_size": 1.0}) as engine:
        set_aside(engine, [job])
    with LocalSimulator(tmp_path / "another", Behaviour(latency_s=0.1)) as forgetful:
        engine = Engine(tmp_path, forgetful)

        (outcome,) = engine.run([job])

        assert (engine.paid, engine.states()) == (0, ["stored"])
    assert outcome.stored.differences == (ROUNDED,)
    assert engine.store.quarantined_tasks() == set()


@pytest.mark.slow
def test_all_results_of_a_task_are_kept_and_adopted(tmp_path):
    job = VideoJob(request_of(number_results=3, **FIXED), "p0")
    with engine_studio(tmp_path, faults={"rounded_size": 1.0}) as engine:
        (task_uuid,) = set_aside(engine, [job])

        (adopted,) = adopted_in(engine, task_uuid)

        assert engine.states() == ["stored"]
    assert len(adopted.stored.videos) == 3
    assert adopted.stored.missing == ()
    assert adopted.stored.cost_microusd == 3 * PRICE


def test_a_damaged_file_is_not_adopted_and_stays_where_it_is(tmp_path):
    with engine_studio(tmp_path, faults={"rounded_size": 1.0}) as engine:
        (task_uuid,) = set_aside(engine, [VideoJob(request_of(**FIXED), "p0")])
        (aside,) = (tmp_path / "store" / "set_aside").iterdir()
        aside.write_bytes(aside.read_bytes()[:-2000])

        (adopted,) = adopted_in(engine, task_uuid)

        assert engine.states() == ["delivered"]
    assert errors_of([adopted]) == ["InvalidVideoError"]
    assert "is not accepted" in str(adopted.error)
    assert aside.is_file()


def test_what_cannot_be_adopted_says_why(tmp_path):
    with engine_studio(tmp_path, latency_s=60.0) as engine:
        engine.run(jobs_of(1), limits=Limits(max_wait_s=0.2))
        (running,) = engine.rows("SELECT task_uuid, state FROM wan_tasks")

        found = adopted_in(engine, running[0], "nonsense")

    said = [str(one.error) for one in found]
    assert (
        said[0] == f"task {running[0]} cannot be adopted: it is {running[1]}, and only a delivered task has such a file"
    )
    assert said[1] == "task nonsense cannot be adopted: it is not in the ledger"


@pytest.mark.slow
def test_adopting_works_in_a_bucket(bucket, tmp_path):
    job = VideoJob(request_of(**FIXED), "p0")
    with LocalSimulator(tmp_path / "simulator", Behaviour(latency_s=0.1, faults={"rounded_size": 1.0})) as simulator:
        engine = Engine(tmp_path, simulator, place=VideoStore(bucket))
        (task_uuid,) = set_aside(engine, [job])

        (adopted,) = adopted_in(engine, task_uuid)
        (outcome,) = engine.run([job])

        assert engine.paid == 1
    assert outcome.stored.differences == adopted.stored.differences == (ROUNDED,)
    assert engine.store.verifies(adopted.stored.videos[0])
    assert engine.store.quarantined_tasks() == set()


@pytest.mark.slow
def test_the_command_keeps_fails_and_adopts(tmp_path):
    table = tmp_path / "prompts.csv"
    table.write_text("prompt_id,positive_prompt,width,height\na,A kite,854,480\nb,A boat,640,640\n")
    places = ("--url", f"sqlite:///{tmp_path / 'wan_assets_data' / 'ledger.db'}")
    store = ("--store", tmp_path / "wan_assets_data" / "videos")
    with LocalSimulator(tmp_path / "simulator", Behaviour(latency_s=0.1, faults={"rounded_size": 1.0})) as simulator:
        account = {"RUNWARE_API_KEY": "a-key-for-tests", "RUNWARE_BASE_URL": simulator.base_url}
        failed = wan_assets("materialize", table, "--on-mismatch", "fail", "--json", cwd=tmp_path, **account)
        adopted = wan_assets("ledger", "adopt", "--all", *places, *store, "--json", cwd=tmp_path)
        kept = wan_assets("materialize", table, cwd=tmp_path, **account)
        reported = wan_assets("materialize", table, "--json", cwd=tmp_path, **account)
        charges = len(simulator.journal.charges())

    (failure,) = json.loads(failed.stdout)["failures"]
    (task,) = json.loads(adopted.stdout)["tasks"]
    assert [run.returncode for run in (failed, adopted, kept, reported)] == [1, 0, 0, 0]
    assert (failure["prompt_id"], failure["class"]) == ("a", "InvalidVideoError")
    assert (task["is_stored"], task["simulated"], task["differences"]) == (True, True, [ROUNDED])
    assert "1 row has a playable video that deviates from the request:" in kept.stdout
    assert f"  a: {ROUNDED}" in kept.stdout
    assert json.loads(reported.stdout)["deviating"] == 1
    assert [(one["prompt_id"], one["differences"]) for one in json.loads(reported.stdout)["deviations"]] == [
        ("a", [ROUNDED])
    ]
    assert charges == 2


def test_the_command_wants_tasks_or_all(tmp_path):
    both = wan_assets("ledger", "adopt", "--all", "x", cwd=tmp_path)
    neither = wan_assets("ledger", "adopt", cwd=tmp_path)

    assert (both.returncode, neither.returncode) == (2, 2)
    assert "Give TASKS or --all." in both.stderr


# Audio


GOOD = VideoProperties("MP4", "h264", 854, 480, 5.0, 24.0, 120, "aac", 5.0, 200.0, 90.0, 0.1, 0.0, 5.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ()),
        ({"audio_s": 4.8, "audio_end_s": 4.8}, ()),
        ({"audio_start_s": 0.25, "audio_s": 4.75}, ()),
        ({"audio_s": 0.2, "audio_end_s": 0.2}, ("audio ends 4.80 s before the video",)),
        ({"audio_s": 4.0, "audio_start_s": 1.0}, ("audio starts 1.00 s after the video",)),
        ({"audio_s": 6.0, "audio_start_s": -1.0}, ("audio starts 1.00 s before the video",)),
        ({"audio_s": 8.0, "audio_end_s": 8.0}, ("audio ends 3.00 s after the video",)),
        ({"audio_s": 0.4}, ("audio has gaps: 0.40 s of audio in 5.00 s",)),
        ({"audio_s": 0.2, "audio_start_s": None, "audio_end_s": None}, ("audio ends 4.80 s before the video",)),
        ({"audio_codec": None, "audio_s": None}, ("has no audio, requested with audio",)),
    ],
)
def test_start_end_and_gaps_of_the_audio_are_compared_with_the_picture(changes, said):
    facts = replace(GOOD, **changes)

    assert audio_mismatches(facts, has_audio=True) == said
    assert len(audio_mismatches(facts, has_audio=False)) == (facts.audio_codec is not None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("container", "start_s", "length_s", "said"),
    [
        ("mp4", 0.0, 0.2, ["audio ends 4."]),
        ("mp4", 2.0, 3.0, ["audio starts "]),
        ("mp4", 0.0, 8.0, ["audio ends 3."]),
        ("mp4", 2.0, 5.0, ["audio starts ", "audio ends 2."]),
        ("webm", 0.0, 0.2, ["audio ends 4."]),
        ("webm", 2.0, 3.0, ["audio starts "]),
        ("webm", 0.0, 8.0, ["audio ends 3."]),
        ("mov", 0.0, 5.0, []),
    ],
)
def test_audio_of_a_real_file_that_is_not_as_long_as_the_picture_is_told(container, start_s, length_s, said, tmp_path):
    path = sounding(tmp_path / f"clip.{container}", start_s=start_s, length_s=length_s)

    found = audio_mismatches(properties_of(path), has_audio=True)

    assert len(found) == len(said)
    assert all(sentence.startswith(start) for sentence, start in zip(found, said, strict=True))


def test_a_track_without_a_packet_is_no_audio(tmp_path):
    facts = properties_of(sounding(tmp_path / "clip.mp4", start_s=0.0, length_s=0.0))

    assert facts.audio_codec is None
    assert audio_mismatches(facts, has_audio=True) == ("has no audio, requested with audio",)


def sounding(path: Path, *, start_s: float, length_s: float) -> Path:
    """Five seconds of picture, and a tone that starts and ends when it is told to."""
    codecs = ("libvpx", "libopus") if path.suffix == ".webm" else ("libx264", "aac")
    with av.open(str(path), "w") as out:
        options = {"deadline": "realtime", "cpu-used": "8"} if path.suffix == ".webm" else {"preset": "ultrafast"}
        video, audio = out.add_stream(codecs[0], rate=24, options=options), out.add_stream(codecs[1], rate=48_000)
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        audio.layout = "mono"
        for number in range(120):
            frame = av.VideoFrame.from_ndarray(np.full((180, 320, 3), number, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 24)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if length_s:
            tone = np.sin(np.arange(int(48_000 * length_s)) / 20, dtype=np.float32)
            sound = av.AudioFrame.from_ndarray(tone.reshape(1, -1).astype(np.float32), format="fltp", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = 48_000, int(start_s * 48_000), Fraction(1, 48_000)
            out.mux([*audio.encode(sound), *audio.encode(None)])
    return path


@pytest.mark.slow
def test_audio_that_ends_early_fails_both_checks_and_no_other(tmp_path):
    with engine_studio(tmp_path, faults={"short_audio": 1.0}) as engine:
        (outcome,) = engine.run([VideoJob(request_of(**SOUND))])

    found = quality_results_of(request_of(**SOUND), outcome.stored)
    assert {verdict.name for verdict in found if not verdict.passed} == {"matches_request", "audio_matches_request"}
