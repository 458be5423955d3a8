"""The asset checks, on videos that the simulator made and on clips that are black, frozen or silent."""

import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import dagster as dg
import numpy as np
import pytest
from dagster_support import Studio, studio, table_of, written
from engine_support import request_of, stored_task, stored_video

from wan_assets import build_video_assets
from wan_assets.engine import Outcome, VideoJob
from wan_assets.ledger import Ledger, Origin
from wan_assets.orchestration.checks import (
    DATASET_CHECKS,
    build_video_checks,
    partition_check,
    quality_results_of,
    severities_of,
)
from wan_assets.prompts import PromptTable
from wan_assets.store import VideoStore
from wan_assets.video import Clip, VideoProperties, properties_of, render

GOOD = VideoProperties("MP4", "h264", 1280, 720, 5.0, 24.0, 120, "aac", 5.0, 200.0, 90.0, 0.1)
SOUND = {"provider_settings": {"alibaba": {"audio": True}}}
AUDIO = {"matches_request", "audio_matches_request"}
ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


def checked(
    studio_: Studio, prompts, *, only: list[str] | None = None, **options
) -> dict[str, dg.AssetCheckEvaluation]:
    """One run of the checks, by name."""
    keys = [dg.AssetCheckKey(dg.AssetKey("videos"), name) for name in only or DATASET_CHECKS]
    result = dg.materialize(
        build_video_checks(prompts=prompts, **options),
        instance=studio_.instance,
        resources=studio_.resources(),
        selection=dg.AssetSelection.checks(*keys),
    )
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def failed(evaluations: dict[str, dg.AssetCheckEvaluation]) -> set[str]:
    return {name for name, evaluation in evaluations.items() if not evaluation.passed}


def failed_rows(evaluation: dg.AssetCheckEvaluation) -> list[str]:
    return [record.data["partition"] for record in evaluation.metadata["wan_assets/failed_row_table"].records]


def stored_rows(folder: Path, prompts) -> dict[str, object]:
    """What the store has of each row, by prompt_id."""
    store = VideoStore(folder / "store")
    rows = PromptTable.load(prompts).rows
    return {row.prompt_id: store.find(row.fingerprint, simulated=True) for row in rows}


def verdicts(request, facts=None, **changes) -> dict[str, object]:
    """Verdicts on one video with the facts of a good one, but for some changes."""
    said = {**GOOD.to_json(), **(facts or {})}
    video = replace(stored_video("x.mp4", 1, "0" * 64), facts=said, **changes)
    return {verdict.name: verdict for verdict in quality_results_of(request, stored_task(videos=(video,)))}


def clip_of(path: Path, pictures: list[np.ndarray], amplitude: float) -> Path:
    """An MP4 of pictures, one each half a second, with a tone."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
        audio = out.add_stream("aac", rate=48_000)
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        audio.layout = "mono"
        for number, picture in enumerate(picture for picture in pictures for _ in range(12)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 24)
            out.mux(video.encode(frame))
        tone = amplitude * np.sin(np.arange(24_000 * len(pictures)) / 20, dtype=np.float32)
        sound = av.AudioFrame.from_ndarray(tone.reshape(1, -1).astype(np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts = 48_000, 0
        out.mux([*audio.encode(sound), *audio.encode(None)])
        out.mux(video.encode(None))
    return path


def picture_of(level: int, spot: int | None = None) -> np.ndarray:
    picture = np.full((180, 320, 3), level, np.uint8)
    if spot is not None:
        picture[80:100, spot : spot + 20] = 255
    return picture


NIGHT = [picture_of(0, 20 * step) for step in range(8)]


@pytest.mark.parametrize(
    ("pictures", "amplitude", "wrong"),
    [
        (NIGHT, 0.3, set()),
        ([picture_of(0)] * 8, 0.3, {"not_black", "not_frozen"}),
        ([picture_of(120, 50)] * 8, 0.3, {"not_frozen"}),
        (NIGHT, 0.0, {"not_silent"}),
    ],
    ids=["night", "black", "frozen", "silent"],
)
def test_a_clip_is_judged_by_what_is_seen_and_heard_in_it(pictures, amplitude, wrong, tmp_path):
    path = clip_of(tmp_path / "clip.mp4", pictures, amplitude)

    found = verdicts(request_of(**SOUND), properties_of(path).to_json())

    content = {name for name in ("not_black", "not_frozen", "not_silent") if not found[name].passed}
    assert content == wrong


@pytest.mark.slow
@pytest.mark.parametrize("container", ["MP4", "WEBM"])
def test_what_the_simulator_renders_passes_every_judgement(container, tmp_path):
    render(Clip(container, 720, 1280, 10, True, 7, "A kite"), path := tmp_path / "clip")

    request = request_of(output_format=container, duration=10, **SOUND)
    found = verdicts(request, properties_of(path).to_json(), cost_microusd=946_000)

    assert all(verdict.passed for verdict in found.values())
    assert [name for name, verdict in found.items() if not verdict.is_measured] == ["not_nsfw"]


@pytest.mark.parametrize(
    ("request_", "facts", "changes", "names", "said"),
    [
        (
            request_of(**SOUND),
            {"duration_s": 9.0, "frames": 216, "audio_s": 9.0},
            {},
            {"matches_request"},
            "length is 9.00 s",
        ),
        (request_of(**SOUND), {"audio_codec": None}, {}, AUDIO, "has no audio, requested with audio"),
        (request_of(), {}, {}, AUDIO, "has audio, requested without audio"),
        (request_of(**SOUND), {"audio_s": 0.2}, {}, AUDIO, "audio ends 4.80 s before the video"),
        (request_of(**SOUND), {}, {"is_nsfw": True}, {"not_nsfw"}, "NSFW"),
        (request_of(**SOUND), {}, {"cost_microusd": 700_000}, {"cost_within_estimate"}, "cost $0.7, the estimate is"),
        (request_of(**SOUND), {}, {"cost_microusd": 300_000}, {"cost_within_estimate"}, "cost $0.3, the estimate is"),
    ],
)
def test_each_judgement_names_what_is_wrong_and_no_other_fails(request_, facts, changes, names, said):
    found = verdicts(request_, facts, **changes)

    assert {verdict.name for verdict in found.values() if not verdict.passed} == names
    assert all(said in found[name].message for name in names)


def test_a_video_from_a_picture_may_cost_what_the_provider_takes_for_it():
    from_picture = request_of(inputs={"frame_images": ["https://example.com/a.png"]}, **SOUND)

    found = verdicts(from_picture, cost_microusd=738_000)

    assert found["cost_within_estimate"].passed


def test_the_cost_of_a_resolution_without_a_published_price_is_not_measured():
    found = verdicts(request_of(resolution="480p", **SOUND), cost_microusd=236_500)["cost_within_estimate"]

    assert found.passed
    assert not found.is_measured
    assert found.message == "not measured: runware:201@1 has no published price for 480p"


def test_what_an_older_sidecar_does_not_tell_is_not_measured_and_passes():
    old = {key: value for key, value in GOOD.to_json().items() if "luma" not in key and "peak" not in key}
    video = replace(stored_video("x.mp4", 1, "0" * 64, cost_microusd=None), facts=old)

    found = quality_results_of(request_of(**SOUND), stored_task(videos=(video,)))

    assert all(verdict.passed for verdict in found)
    assert {verdict.name for verdict in found if verdict.is_measured} == AUDIO


def test_a_result_that_is_missing_and_the_number_of_a_wrong_video_are_told():
    good = replace(stored_video("x.mp4", 1, "0" * 64), facts=GOOD.to_json())
    black = replace(good, facts={**good.facts, "brightest_luma": 16.0})
    task = stored_task(videos=(good, black), missing=("providerError: it broke",))

    found = {verdict.name: verdict for verdict in quality_results_of(request_of(number_results=3, **SOUND), task)}

    assert found["matches_request"].message == "1 of 3 results are missing: providerError: it broke"
    assert found["not_black"].message.startswith("video 2 is black")


@pytest.mark.slow
def test_every_check_passes_on_a_dataset_that_is_whole(tmp_path):
    path = written(tmp_path, table_of("A kite", "A boat"))
    with studio(tmp_path) as studio_:
        studio_.run(path)
        sent = studio_.simulator.journal.submissions()

        found = checked(studio_, path)

        assert studio_.simulator.journal.submissions() == sent
    assert tuple(found) == DATASET_CHECKS
    assert failed(found) == set()
    assert found["not_black"].metadata["wan_assets/checked"].value == 2
    assert found["not_frozen"].metadata["wan_assets/not_measured"].value == 0
    assert found["file_integrity"].metadata["wan_assets/simulated"].value is True


def test_before_anything_is_made_only_the_missing_videos_are_told(tmp_path):
    path = written(tmp_path, table_of("A kite", "A boat"))
    with studio(tmp_path) as studio_:
        found = checked(studio_, path)

    assert failed(found) == {"every_row_has_its_video"}
    assert failed_rows(found["every_row_has_its_video"]) == ["a", "b"]


@pytest.mark.slow
def test_a_file_that_is_gone_and_one_that_was_changed_are_told_by_partition(tmp_path):
    path = written(tmp_path, table_of("A kite", "A boat", "A cloud"))
    with studio(tmp_path) as studio_:
        studio_.run(path)
        stored = stored_rows(tmp_path, path)
        Path(stored["a"].videos[0].uri).unlink()
        changed = Path(stored["b"].videos[0].uri)
        changed.write_bytes(bytes(changed.stat().st_size))

        unread = checked(studio_, path, sample=0)
        found = checked(studio_, path, verify_all=True)

    assert failed_rows(unread["file_integrity"]) == ["a"]
    assert failed(found) == {"file_integrity", "every_row_has_its_video"}
    assert failed_rows(found["file_integrity"]) == ["a", "b"]
    assert found["file_integrity"].severity is ERROR


@pytest.mark.slow
def test_a_video_that_no_row_asks_for_any_more_is_an_orphan(tmp_path):
    with studio(tmp_path) as studio_:
        studio_.run(written(tmp_path, table_of("A kite", "A boat")))

        found = checked(studio_, written(tmp_path, table_of("A kite")))

    assert failed(found) == {"no_orphan_video"}
    assert failed_rows(found["no_orphan_video"]) == ["b"]
    assert found["no_orphan_video"].severity is WARN


@pytest.mark.slow
def test_a_task_that_is_open_is_told_with_its_row(tmp_path):
    path = written(tmp_path, table_of("A kite", "A boat"))
    with studio(tmp_path) as studio_:
        studio_.run(path, budget_usd_per_run=0.5)
        rows = PromptTable.load(path).rows
        made = {key for key, task in stored_rows(tmp_path, path).items() if task}
        left = next(row for row in rows if row.prompt_id not in made)
        ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
        ledger.claim(left.request, Origin(asset="videos", partition=left.prompt_id), "me", simulated=True)

        found = checked(studio_, path)

    assert failed(found) == {"no_task_open", "every_row_has_its_video"}
    assert failed_rows(found["no_task_open"]) == [left.prompt_id]
    assert "is reserved" in (found["no_task_open"].description or "")


@pytest.mark.slow
def test_two_rows_with_the_same_file_are_told_and_two_that_ask_for_the_same_are_not(tmp_path):
    rows = [*table_of("A kite", "A boat"), {**table_of("A kite")[0], "prompt_id": "again"}]
    path = written(tmp_path, rows)
    with studio(tmp_path) as studio_:
        studio_.run(path)
        before = checked(studio_, path)
        stored, store = stored_rows(tmp_path, path), VideoStore(tmp_path / "store")
        one, other = stored["a"], stored["b"]
        shutil.copyfile(one.videos[0].uri, other.videos[0].uri)
        same = {"bytes": one.videos[0].bytes, "sha256": one.videos[0].sha256}
        store.commit(replace(other, videos=(replace(other.videos[0], **same),)))

        found = checked(studio_, path)

    assert failed(before) == set()
    assert failed(found) == {"no_duplicate_files"}
    assert failed_rows(found["no_duplicate_files"]) == ["b"]


@pytest.mark.slow
def test_a_simulated_video_does_not_stand_in_for_a_real_one(tmp_path):
    path = written(tmp_path, table_of("A kite", "A boat"))
    with studio(tmp_path) as studio_:
        studio_.run(path)
        row = PromptTable.load(path).rows[0]
        Ledger(f"sqlite:///{tmp_path / 'ledger.db'}").claim(row.request, Origin(), "me", simulated=False)

        found = checked(studio_, path)

    assert failed_rows(found["every_row_has_its_video"]) == ["a", "b"]


def test_a_row_that_is_not_valid_has_no_video(tmp_path):
    path = written(tmp_path, [*table_of("A kite"), {"prompt_id": "bad", "positive_prompt": "B", "width": 1}])
    with studio(tmp_path) as studio_:
        found = checked(studio_, path, only=["every_row_has_its_video"])

    assert set(found) == {"every_row_has_its_video"}
    assert "bad" in failed_rows(found["every_row_has_its_video"])


def test_severities_are_those_that_were_chosen(tmp_path):
    path = written(tmp_path, table_of("A kite"))
    with studio(tmp_path) as studio_:
        found = checked(studio_, path, severities={"every_row_has_its_video": WARN, "not_black": ERROR})

    assert found["every_row_has_its_video"].severity is WARN
    assert found["not_black"].severity is ERROR


def test_a_severity_for_no_check_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match="no check 'not_blak'; did you mean 'not_black'"):
        build_video_checks(prompts="prompts.csv", severities={"not_blak": WARN})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("partitions", "keys"),
    [("prompt", {"a": 1, "b": 1, "c": 1}), (dg.StaticPartitionsDefinition(["x", "y"]), {"x": 2, "y": 1})],
    ids=["prompt", "batch"],
)
def test_each_partition_is_judged_as_it_is_made(tmp_path, partitions, keys):
    rows = [{**row, "shard": shard} for row, shard in zip(table_of("A", "B", "C"), "xxy", strict=True)]
    rows[1]["safety"] = {"checkContent": True}
    path = written(tmp_path, rows)
    with studio(tmp_path, faults={"nsfw": 1.0}) as studio_:
        studio_.instance.add_dynamic_partitions("videos", list("abc"))
        assets = build_video_assets(prompts=path, partitions=partitions, severities={"not_nsfw": ERROR})

        result = dg.materialize(
            list(assets.assets or ()),
            instance=studio_.instance,
            resources=studio_.resources(),
            selection="videos",
            tags={
                "dagster/asset_partition_range_start": next(iter(keys)),
                "dagster/asset_partition_range_end": list(keys)[-1],
            },
        )

    evaluations = result.get_asset_check_evaluations()
    found = {evaluation.partition: evaluation for evaluation in evaluations if evaluation.check_name == "quality"}
    (flagged,) = [key for key, evaluation in found.items() if not evaluation.passed]
    assert {key: evaluation.metadata["wan_assets/checked"].value for key, evaluation in found.items()} == keys
    assert flagged == ("b" if partitions == "prompt" else "x")
    assert found[flagged].severity is ERROR
    assert "b: not_nsfw: " in found[flagged].description
    assert found[flagged].metadata["wan_assets/not_nsfw"].value == 1


def test_a_partition_with_faults_names_the_first_and_counts_the_rest():
    video = replace(stored_video("x.mp4", 1, "0" * 64), facts={**GOOD.to_json(), "brightest_luma": 16.0})
    task = stored_task(videos=(video,))
    outcomes = [Outcome(VideoJob(request_of(**SOUND), "x", f"r{each}"), task) for each in range(7)]

    found = partition_check(dg.AssetKey("clips"), "x", outcomes, severities_of({}))

    assert not found.passed
    assert found.severity is WARN
    assert found.description.startswith("r0: not_black: is black")
    assert found.description.endswith("and 2 more")
