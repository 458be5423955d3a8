"""Checks that users define: they run when a video is stored, and cost no video if they fail."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow.parquet as pq
import pytest
from dagster_support import Studio, studio, table_of, written
from gallery_support import content_of, summary_of
from test_downstream import VIDEOS, events_of
from test_loading import DAYS, reading, rows_of_days, run

from wan_assets import (
    Video,
    VideoCheckResult,
    WanVideosComponent,
    build_missing_job,
    build_video_assets,
    load_videos,
    video_check,
)
from wan_assets.dataset import write_manifest
from wan_assets.gallery import write_gallery
from wan_assets.prompts import PromptTable

CALLS: list[tuple[str, str]] = []
NEVER = threading.Event()
"""Set when a test has ended."""


@pytest.fixture(autouse=True)
def calls() -> Iterator[None]:
    CALLS.clear()
    NEVER.clear()
    yield
    NEVER.set()


@video_check(severity=dg.AssetCheckSeverity.ERROR)
def is_about_kites(video: Video) -> bool:
    """The prompt names a kite."""
    CALLS.append(("is_about_kites", video.prompt_id))
    return np.bool_("kite" in video.prompt)


@video_check
def size(video: Video) -> float:
    return np.float32(video.path.stat().st_size > 0)


@video_check(name="both")
def verdict_and_score(video: Video) -> VideoCheckResult:
    return VideoCheckResult(passed=video.prompt_id != "b", score=0.25, message="of\tsome kind")


@video_check()
def needs_a_model(_: Video) -> None:
    return None


@video_check()
def raises(_: Video) -> bool:
    raise ValueError("401 for https://me:word@vision.example/v1?api_key=0123456789 of a model")


@video_check()
def leaves(_: Video) -> bool:
    raise SystemExit


@video_check(timeout_s=0.05)
def hangs(_: Video) -> bool:
    return NEVER.wait()


@video_check()
def answers_text(_: Video) -> str:
    return "good"


@video_check()
def no_number(_: Video) -> float:
    return float("nan")


ALL = [is_about_kites, size, verdict_and_score, needs_a_model, raises, leaves, hangs, answers_text, no_number]


def evaluations(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], Any]:
    found = result.get_asset_check_evaluations()
    return {(each.check_name, each.partition): each for each in found if each.check_name != "matches_request"}


def recorded(made: Studio) -> dict[str, Any]:
    """The column `checks` of the manifest by row."""
    with closing(made.resources()["ledger"].open()) as ledger:
        table = PromptTable.load(made.folder / "prompts.jsonl")
        manifest = write_manifest("m", table, store=made.resources()["store"].open(), ledger=ledger)
    rows = pq.read_table(manifest.uri).to_pylist()
    return {row["prompt_id"]: json.loads(row["checks"]) if row["checks"] else None for row in rows}


@pytest.mark.slow
def test_each_check_of_each_video_is_an_evaluation_a_column_and_a_filter(tmp_path: Path) -> None:
    prompts = written(tmp_path, table_of("A kite", "A boat"))
    with studio(tmp_path) as made:
        result = run(made, prompts, tags={}, partition_key="a", video_checks=ALL)
        other = run(made, prompts, tags={}, partition_key="b", video_checks=ALL)
        found, manifest = {**evaluations(result), **evaluations(other)}, recorded(made)
        with closing(made.resources()["ledger"].open()) as ledger:
            store, now = made.resources()["store"].open(), datetime(2026, 1, 1, tzinfo=UTC)
            folder, table = tmp_path / "gallery", PromptTable.load(prompts)
            gallery = write_gallery(folder, table, store=store, ledger=ledger, title="t", now=now)
        audit = content_of(next(folder.glob("data-*/audit-0.js")))

    assert result.success
    passed = {name: each.passed for (name, partition), each in found.items() if partition == "a"}
    broken = dict.fromkeys(("raises", "leaves", "hangs", "answers_text", "no_number"), False)
    assert passed == {"is_about_kites": True, "size": True, "both": True, "needs_a_model": True, **broken}
    assert not found["both", "b"].passed
    assert found["both", "b"].metadata["wan_assets/score"].value == 0.25
    assert found["is_about_kites", "b"].severity is dg.AssetCheckSeverity.ERROR
    assert found["raises", "a"].description == "a: raised ValueError: 401 for https://vision.example/v1 of a model"
    assert found["hangs", "a"].description == "a: exceeded its time limit of 0.05 s"
    assert found["needs_a_model", "a"].metadata["wan_assets/not_measured"].value == 1
    assert manifest["a"]["both"] == {"passed": True, "score": 0.25, "message": "of some kind"}
    assert manifest["a"]["needs_a_model"] == {"passed": None}
    assert manifest["b"]["size"] == {"passed": True, "score": 1.0}
    assert "raised SystemExit" in manifest["a"]["leaves"]["message"]
    assert ["is_about_kites", 1] in summary_of(gallery)["failed_checks"]
    assert ["both", "passed", "of some kind; score 0.25"] in audit[0][1]
    assert ["needs_a_model", "not measured", ""] in audit[0][1]


@pytest.mark.slow
def test_stored_videos_are_checked_again_only_by_new_versions_and_after_errors(tmp_path: Path) -> None:
    prompts, old = written(tmp_path, table_of("A kite", "A kite", "A boat")), {"video_checks": [is_about_kites]}

    @video_check(name="is_about_kites", code_version="2")
    def newer(video: Video) -> bool:
        CALLS.append(("newer", video.prompt_id))
        return True

    with studio(tmp_path) as made:
        run(made, prompts)
        assert recorded(made) == dict.fromkeys("abc")
        late = evaluations(run(made, prompts, **old))
        again = evaluations(run(made, prompts, **old))
        assert sorted(CALLS) == [("is_about_kites", key) for key in "abc"]
        assert {key: each.passed for key, each in late.items()} == {key: each.passed for key, each in again.items()}
        assert [late["is_about_kites", key].passed for key in "abc"] == [True, True, False]

        assert evaluations(run(made, prompts, video_checks=[newer]))["is_about_kites", "c"].passed
        assert len(CALLS) == 6
        run(made, prompts, video_checks=[hangs])
        run(made, prompts, video_checks=[video_check(name="hangs")(lambda _: True)])
        assert recorded(made)["a"]["hangs"] == {"passed": True}


def test_the_checks_of_a_batch_are_one_evaluation(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        prompts = written(tmp_path, rows_of_days(1))
        how = {"partitions": DAYS, "partition_key": "2026-01-01", "tags": {}}
        found = evaluations(run(made, prompts, video_checks=[is_about_kites, size], **how))

    refused, scored = found["is_about_kites", "2026-01-01"], found["size", "2026-01-01"]
    assert len(found) == 2
    assert refused.metadata["wan_assets/failed_rows"].value == 2
    assert {record.data["prompt_id"] for record in refused.metadata["wan_assets/failed_row_table"].records} == {
        "1-0",
        "1-1",
    }
    assert scored.passed
    assert scored.metadata["wan_assets/checked"].value == 2


def test_videos_are_checked_and_recorded_once_although_other_rows_of_the_run_fail(tmp_path: Path) -> None:
    first, _, last = table_of("A kite", "A boat", "A kite")
    with studio(tmp_path) as made:
        result = run(made, written(tmp_path, [first, last]), video_checks=[is_about_kites, hangs])

        assert not result.success
        assert set(evaluations(result)) == {(name, key) for name in ("is_about_kites", "hangs") for key in "ac"}
        assert events_of(made, VIDEOS) == {"a": 1, "c": 1}
        assert len(load_videos(made.instance, "videos", **reading(made))) == 2


@pytest.mark.slow
def test_a_check_that_hangs_is_given_up_after_some_videos(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        rows = [{**row, "number_results": 4} for row in table_of("A kite", "A boat", "A hill")]
        found = evaluations(run(made, written(tmp_path, rows), video_checks=[hangs]))
        messages = {check["hangs"]["message"] for check in recorded(made).values()}

    assert not any(each.passed for each in found.values())
    assert "not run: it exceeded its time limit for other videos" in messages


def test_the_job_of_missing_videos_checks_them_too(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        prompts = written(tmp_path, table_of("A kite"))
        job = build_missing_job(prompts=prompts, video_checks=[is_about_kites])
        definitions = build_video_assets(prompts=prompts, video_checks=[is_about_kites])
        together = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job], resources=made.resources()))
        result = together.resolve_job_def("videos_missing").execute_in_process(instance=made.instance)

        assert evaluations(result)["is_about_kites", "a"].passed
        assert recorded(made)["a"]["is_about_kites"] == {"passed": True}


def test_names_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="built-in check 'quality'"):
        video_check(name="quality")(lambda _: True)
    with pytest.raises(ValueError, match="<lambda>"):
        video_check()(lambda _: True)
    with pytest.raises(ValueError, match="timeout_s=0"):
        video_check(name="a", timeout_s=0)(lambda _: True)
    with pytest.raises(ValueError, match="two checks are named 'size'"):
        build_video_assets(prompts=[], video_checks=[size, size])
    with pytest.raises(TypeError, match="decorate the function"):
        build_video_assets(prompts=[], video_checks=[lambda _: True])


def test_a_component_names_checks_by_their_import_paths() -> None:
    def built(*paths: str) -> dg.Definitions:
        component = WanVideosComponent.resolve_from_yaml(json.dumps({"prompts": "a.csv", "video_checks": paths}))
        return component.build_defs(dg.ComponentTree.for_test().load_context)

    assets = [asset for asset in built(f"{__name__}.size").assets or () if isinstance(asset, dg.AssetsDefinition)]
    assert [key.name for asset in assets if asset.key == VIDEOS for key in asset.check_keys] == ["size"]
    with pytest.raises(ValueError, match=r"'no_such_module.sharp' cannot be imported: No module"):
        built("no_such_module.sharp")
    with pytest.raises(TypeError, match="decorate the function"):
        built("json.dumps")
