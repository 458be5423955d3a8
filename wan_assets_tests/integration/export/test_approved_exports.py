"""Decisions in the manifest and in exports, and datasets of approved videos only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import datasets
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from dagster_support import table_of, written
from engine_support import PRICE, Studio, studio

from wan_assets import ExportOptions, LedgerResource, VideoStoreResource, build_dataset_assets, build_export_asset
from wan_assets.cli import cli
from wan_assets.dataset import Manifest, write_manifest
from wan_assets.engine import VideoJob
from wan_assets.export import Exported, export_dataset, split_of
from wan_assets.ledger import DecisionValue, NewDecision, VideoKey
from wan_assets.models import request_of_take
from wan_assets.prompts import PromptTable

SPLIT = 0.4


@dataclass
class Reviewed:
    """A studio with a table of which some videos are decided about."""

    made: Studio
    path: Path

    @property
    def table(self) -> PromptTable:
        return PromptTable.load(self.path)

    def run(self, *ids: str) -> dict[str, list[VideoKey]]:
        """Generates the videos of rows, and returns their keys."""
        jobs = [VideoJob(row.request, row.prompt_id, row.prompt_id) for row in self.table.rows if row.prompt_id in ids]
        stored = {outcome.job.prompt_id: outcome.stored for outcome in self.made.run(jobs)}
        return {
            name: [VideoKey(task.fingerprint, video.sha256, number) for number, video in enumerate(task.videos, 1)]
            for name, task in stored.items()
            if task
        }

    def decide(self, video: VideoKey, value: str, **details: Any) -> None:
        with self.made.ledger() as ledger:
            ledger.decide([NewDecision(video, DecisionValue(value), "ada", **details)])

    def manifest(self, **options: Any) -> Manifest:
        with self.made.ledger() as ledger:
            return write_manifest("m", self.table, store=self.made.store, ledger=ledger, **options)

    def export(self, format_: Any, **options: Any) -> Exported:
        chosen = ExportOptions(format_, **{"validation": SPLIT, **options})
        with self.made.ledger() as ledger:
            return export_dataset(self.table, self.made.folder / format_, chosen, store=self.made.store, ledger=ledger)


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reviewed]:
    """Rows of which a is approved, b rejected, c undecided, d approved in its second take, e has no video, f has two
    results of which the second is approved, and g is sent back.
    """
    folder = tmp_path_factory.mktemp("reviewed")
    rows = table_of(*(f"Kite {name}" for name in "abcdefg"))
    rows[5]["number_results"] = 2
    with studio(folder, latency_s=0.02) as made:
        found = Reviewed(made, written(folder, rows))
        keys = found.run(*"abcdfg")
        found.decide(keys["a"][0], "approved", rating=4, labels=("sharp", "red"), note="2026-01-01")
        found.decide(keys["b"][0], "rejected", note="A tail is missing")
        found.decide(keys["c"][0], "approved")
        found.decide(keys["c"][0], "undecided")
        found.decide(keys["d"][0], "retake")
        found.decide(keys["f"][1], "approved")
        found.decide(found.run("d")["d"][0], "approved")
        found.decide(keys["g"][0], "retake")
        yield found


@pytest.mark.slow
def test_the_manifest_has_the_decision_about_each_video_and_the_same_bytes_again(reviewed: Reviewed) -> None:
    manifest = reviewed.manifest()
    rows = {(row["prompt_id"], row["result"]): row for row in pq.read_table(manifest.uri).to_pylist()}
    names = ("decision", "rating", "labels", "note", "reviewer", "take")

    assert {key: tuple(row[name] for name in names) for key, row in rows.items()} == {
        ("a", 1): ("approved", 4, '["sharp", "red"]', "2026-01-01", "ada", 1),
        ("b", 1): ("rejected", None, None, "A tail is missing", "ada", 1),
        ("c", 1): (None, None, None, None, None, 1),
        ("d", 1): ("approved", None, None, None, "ada", 2),
        ("f", 1): (None, None, None, None, None, 1),
        ("f", 2): ("approved", None, None, None, "ada", 1),
        ("g", 1): ("retake", None, None, None, "ada", 1),
    }
    assert {key for key, row in rows.items() if row["decided_at"] is None} == {("c", 1), ("f", 1)}
    assert reviewed.manifest().sha256 == manifest.sha256
    assert (manifest.missing, manifest.left_out) == (1, {})


def test_a_manifest_of_approved_videos_counts_the_rows_that_it_leaves_out(reviewed: Reviewed) -> None:
    manifest = reviewed.manifest(only="approved")
    rows = [(row["prompt_id"], row["result"], row["take"]) for row in pq.read_table(manifest.uri).to_pylist()]

    assert rows == [("a", 1, 1), ("d", 1, 2), ("f", 2, 1)]
    assert manifest.left_out == {"undecided": 1, "rejected": 1, "retake": 1, "without_video": 1}
    assert (manifest.missing, manifest.cost_microusd) == (0, 3 * PRICE)


def test_exports_of_approved_videos_read_back_with_one_type_in_each_column(reviewed: Reviewed) -> None:
    folder = reviewed.made.folder
    exported = [reviewed.export(format_, only="approved") for format_ in ("videofolder", "parquet", "webdataset")]
    loaded = datasets.load_dataset("videofolder", data_dir=str(folder / "videofolder"), cache_dir=str(folder / "hf"))
    rows = [row for part in loaded.values() for row in part.cast_column("video", datasets.Video(decode=False))]

    assert {row["prompt_id"]: (row["rating"], row["labels"], row["note"], row["take"]) for row in rows} == {
        "a": ("4", '["sharp", "red"]', "2026-01-01 ", 1),
        "d": ("", "", "", 2),
        "f": ("", "", "", 1),
    }
    for each in exported:
        assert (sum(each.rows.values()), each.missing) == (3, 0)
        assert each.left_out == {"undecided": 1, "rejected": 1, "retake": 1, "without_video": 1}
        assert "Only approved videos are included. 4 rows of the prompt table have no approved video." in each.card


def test_all_takes_of_a_row_are_in_the_same_split(reviewed: Reviewed) -> None:
    request = next(row.request for row in reviewed.table.rows if row.prompt_id == "d")
    first, second = request.fingerprint(), request_of_take(request, 2).fingerprint()
    share = next(each / 100 for each in range(100) if split_of(first, each / 100) != split_of(second, each / 100))
    reviewed.export("videofolder", validation=share)
    folder = reviewed.made.folder / "videofolder" / split_of(first, share)
    lines = (folder / "metadata.jsonl").read_text().splitlines()

    assert ("d", 2) in [(row["prompt_id"], row["take"]) for row in map(json.loads, lines)]


def test_the_command_exports_approved_videos_and_says_what_it_leaves_out(reviewed: Reviewed) -> None:
    places = ["--url", reviewed.made.url, "--store", str(reviewed.made.store.root)]
    folder = str(reviewed.made.folder / "command")
    arguments = ["export", str(reviewed.path), *places, "--format", "parquet", "--output", folder]

    shown = CliRunner().invoke(cli, [*arguments, "--only", "approved"])
    reported = json.loads(CliRunner().invoke(cli, [*arguments, "--only", "approved", "--json"]).stdout)
    whole = CliRunner().invoke(cli, [*arguments, "--json"])

    assert shown.exit_code == 0
    assert "3 videos" in shown.stdout
    reasons = "1 undecided, 1 rejected, 1 waiting for another take, 1 without a video"
    assert f"4 rows have no approved video: {reasons}" in shown.stdout
    assert reported["left_out"] == {"undecided": 1, "rejected": 1, "retake": 1, "without_video": 1}
    assert (whole.exit_code, json.loads(whole.stdout)["left_out"]) == (1, {})


def test_an_approval_that_is_withdrawn_takes_the_video_out_of_the_next_export(tmp_path: Path) -> None:
    with studio(tmp_path, latency_s=0.02) as made:
        found = Reviewed(made, written(tmp_path, table_of("Kite a")))
        (video,) = found.run("a")["a"]
        found.decide(video, "approved")
        first = found.export("parquet", only="approved")
        found.decide(video, "undecided")
        second = found.export("parquet", only="approved")

    assert (sum(first.rows.values()), sum(second.rows.values())) == (1, 0)
    assert second.changes.removed == 2
    assert not list((tmp_path / "parquet").rglob("*.mp4"))


def test_an_approved_video_whose_files_are_gone_is_missing_and_not_left_out(tmp_path: Path) -> None:
    with studio(tmp_path, latency_s=0.02) as made:
        found = Reviewed(made, written(tmp_path, table_of("Kite a")))
        found.decide(found.run("a")["a"][0], "approved")
        for sidecar in (tmp_path / "store").rglob("*.json"):
            sidecar.unlink()
        manifest = found.manifest(only="approved")

    assert (manifest.rows, manifest.missing, sum(manifest.left_out.values())) == (0, 1, 0)


@pytest.mark.slow
def test_the_assets_of_approved_videos_report_what_they_leave_out(reviewed: Reviewed) -> None:
    options = ExportOptions("parquet", only="approved")
    target = str(reviewed.made.folder / "asset")
    assets = [
        *build_dataset_assets(prompts=reviewed.path, only="approved"),
        build_export_asset(prompts=reviewed.path, target=target, options=options),
    ]
    store = VideoStoreResource(root=str(reviewed.made.store.root))
    result = dg.materialize(assets, resources={"store": store, "ledger": LedgerResource(url=reviewed.made.url)})
    metadata = {
        event.asset_key.to_user_string(): event.materialization.metadata
        for event in result.get_asset_materialization_events()
    }

    for name in ("videos_dataset", "videos_export"):
        assert metadata[name]["dagster/row_count"].value == 3
        assert metadata[name]["wan_assets/left_out"].value == 4
        assert metadata[name]["wan_assets/left_out_without_video"].value == 1


def test_another_value_of_only_is_refused() -> None:
    with pytest.raises(ValueError, match="rejected"):
        ExportOptions("parquet", only="rejected")
    with pytest.raises(ValueError, match="rejected"):
        build_dataset_assets(prompts="prompts.csv", only="rejected")
