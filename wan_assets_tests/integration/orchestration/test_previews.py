"""What Dagster shows of videos: thumbnails that open the video, frames, contact sheets; and text that stays text."""

import base64
import io
import re
from pathlib import Path
from typing import Any

import pytest
from dagster_support import materialized, studio, table_of, written
from PIL import Image
from test_partitions import SHARDS, reported, rows_of
from test_partitions import run as run_batches

from wan_assets.orchestration.resources import VideoStoreResource
from wan_assets.settings import SettingsError

SERVED = {"public_base_url": "http://127.0.0.1:3070/"}
PICTURE = r"!\[(?:poster|frames)\]\(data:image/webp;base64,([\w+/=]+)\)"
NASTY = "![x](http://evil.example/x.png) [a](javascript:alert(1)) <script> www.evil.example | `code` & *bold*"


def link_of(uri: str) -> str:
    return "http://127.0.0.1:3070/" + "/".join(uri.split("/")[-4:])


def made(folder: Path, rows: list[dict[str, Any]], runs: int = 1, **shown: Any) -> dict[str, Any]:
    """The metadata of the first row's last materialization."""
    with studio(folder) as at_work:
        at_work.shown = shown
        results = [at_work.run(written(folder, rows)) for _ in range(runs)]
    return materialized(results[-1])["a"]


def test_a_thumbnail_opens_the_video_where_the_store_is_served(tmp_path: Path) -> None:
    found = made(tmp_path, table_of("A kite"), **SERVED)

    link = link_of(found["dagster/uri"])
    assert found["wan_assets/video"] == link
    assert re.fullmatch(rf"\[{PICTURE}\]\({re.escape(link)}\) SIMULATED", found["wan_assets/preview"])
    assert len(found["wan_assets/preview"]) < 1000


def test_an_address_that_is_too_long_for_a_thumbnail_stands_beside_it(tmp_path: Path) -> None:
    found = made(tmp_path, table_of("A kite"), public_base_url="https://videos.example.com/" + "a" * 300)

    assert re.fullmatch(rf"{PICTURE} SIMULATED", found["wan_assets/preview"])
    assert found["wan_assets/video"].startswith("https://videos.example.com/aaa")


def test_without_a_server_there_is_no_link(tmp_path: Path) -> None:
    found = made(tmp_path, table_of("A kite"))

    assert "wan_assets/video" not in found
    assert re.fullmatch(rf"{PICTURE} SIMULATED", found["wan_assets/preview"])


def test_frames_are_three_pictures_in_a_row_and_small(tmp_path: Path) -> None:
    found = made(tmp_path, table_of("A kite"), **SERVED)

    (data,) = re.findall(PICTURE, found["wan_assets/contact_sheet"])
    width, height = Image.open(io.BytesIO(base64.b64decode(data))).size
    assert len(found["wan_assets/contact_sheet"]) < 30_000
    assert (width, height) == (3 * 240 + 2 * 4, 135)
    assert f"]({link_of(found['dagster/uri'])})" in found["wan_assets/contact_sheet"]
    assert re.search(
        r"\n> A kite\n\n854x480 · 5 s · (no )?audio · \d+ kB · \\\$0\\.473", found["wan_assets/contact_sheet"]
    )


@pytest.mark.slow
def test_several_results_stay_small_and_all_have_their_link(tmp_path: Path) -> None:
    found = made(tmp_path, table_of("A kite", number_results=4), **SERVED)

    assert len(re.findall(PICTURE, found["wan_assets/contact_sheet"])) == 2
    assert len(re.findall(r"\[open video \d\]\(http", found["wan_assets/contact_sheet"])) == 4
    assert len(found["wan_assets/contact_sheet"]) < 30_000


@pytest.mark.slow
def test_a_video_that_is_reused_has_all_its_pictures_again(tmp_path: Path) -> None:
    found = made(tmp_path, table_of("A kite"), runs=2, **SERVED)

    assert found["wan_assets/reused"] is True
    assert "![frames]" in found["wan_assets/contact_sheet"]
    assert found["wan_assets/preview"].startswith("[![poster]")


def test_pictures_can_be_switched_off(tmp_path: Path) -> None:
    found = made(tmp_path, table_of("A kite"), pictures=False)

    assert "wan_assets/contact_sheet" not in found
    assert not list((tmp_path / "store").rglob("*.webp"))


def test_a_prompt_stays_text(tmp_path: Path) -> None:
    frames = made(tmp_path, table_of(NASTY))["wan_assets/contact_sheet"]

    text = re.sub(PICTURE, "", frames)
    assert r"\!\[x\]\(http\:\/\/evil\.example\/x\.png\)" in text
    assert not re.search(r"(?<!\\)[<\[`|*&]", text)


@pytest.mark.slow
def test_a_batch_shows_its_videos_with_their_costs(tmp_path: Path) -> None:
    rows = rows_of(6, shard=lambda _: "shard-0")
    with studio(tmp_path) as at_work:
        at_work.shown = SERVED
        sheet = reported(run_batches(at_work, written(tmp_path, rows), SHARDS, "shard-0"))["shard-0"]["contact_sheet"]

    assert len(re.findall(PICTURE, sheet)) == 6
    assert [rf"r{number}: \$0\.473" in sheet for number in range(6)] == [True] * 6
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in sheet.splitlines()}) == 1, (
        "all rows have the same columns"
    )


@pytest.mark.slow
def test_a_contact_sheet_has_an_end(tmp_path: Path) -> None:
    rows = rows_of(26, shard=lambda _: "shard-0")
    with studio(tmp_path) as at_work:
        sheet = reported(run_batches(at_work, written(tmp_path, rows), SHARDS, "shard-0"))["shard-0"]["contact_sheet"]

    assert len(re.findall(PICTURE, sheet)) == 24
    assert sheet.endswith("… and 2 more")
    assert len(sheet) < 30_000


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"VideoStoreResource\(public_base_url='nowhere'\)"):
        VideoStoreResource(root="x", public_base_url="nowhere").open()
