"""A table with the six models and every kind of input, through Dagster: submitted, priced and booked by model."""

from __future__ import annotations

import io
import json
import sqlite3
import wave
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from dagster_support import Studio, failure_of, materialized, studio, written
from PIL import Image

from wan_assets.cli import cli
from wan_assets.dataset import write_manifest
from wan_assets.ledger import Ledger
from wan_assets.models import catalog, usd
from wan_assets.prompts import PromptTable
from wan_assets.settings import sqlite_url
from wan_assets.simulator import Behaviour, LocalSimulator

TEXT = {"positive_prompt": "A red kite over a green hill"}
SD, HD = {"width": 832, "height": 480}, {"width": 1280, "height": 720}
PICTURE = "https://example.com/hill.png"

ROWS: list[dict[str, Any]] = [
    {"prompt_id": "text-2.5", **TEXT, "resolution": "480p"},
    {"prompt_id": "image-2.5", **TEXT, "model": "wan2.5", "resolution": "720p", "frame_images": "hill.png"},
    {"prompt_id": "audio-2.5", **TEXT, "model": "runware:201@1", "resolution": "480p", "inputs.audio": "wind.wav"},
    {"prompt_id": "shots-2.6", **TEXT, "model": "wan2.6", "resolution": "720p", "duration": 15, "shot_type": "multi"},
    {"prompt_id": "seen-2.6", **TEXT, "model": "wan2.6", "resolution": "720p", "reference_videos": ["kite.mp4"]},
    {
        "prompt_id": "silent-flash",
        **TEXT,
        "model": "wan2.6-flash",
        "resolution": "720p",
        "duration": 2,
        "frame_images": "hill.png",
        "provider_settings.alibaba.audio": False,
    },
    {
        "prompt_id": "frames-2.7",
        "model": "wan2.7",
        "resolution": "720p",
        "duration": 3,
        "frame_images": [{"image": "hill.png", "frame": "first"}, {"image": PICTURE, "frame": "last"}],
    },
    {
        "prompt_id": "seen-2.7",
        **TEXT,
        **HD,
        "model": "wan2.7",
        "duration": 4,
        "reference_images": "hill.png",
        "reference_videos": "kite.mp4",
    },
    {"prompt_id": "auto-3.0", **TEXT, **SD, "model": "wan3.0"},
    {
        "prompt_id": "heard-3.0",
        **TEXT,
        **SD,
        "model": "alibaba:wan@3.0",
        "duration": 2,
        "reference_audios": ["wind.wav"],
        "inputs.documents": ["story.pdf"],
    },
    {
        "prompt_id": "web-prime",
        **TEXT,
        **SD,
        "model": "wan3.0-prime",
        "duration": 2,
        "inputs.urls": "https://example.com/story",
        "settings.prompt_extend": False,
    },
    {
        "prompt_id": "seen-prime",
        **TEXT,
        "model": "wan3.0-prime",
        "resolution": "480p",
        "duration": 3,
        "reference_images": ["hill.png", PICTURE],
    },
]
IDS = {catalog().id_of(row.get("model", "wan2.5")) for row in ROWS}
LIST_USD = {
    # seconds x price of a second; 5 seconds of each reference video are charged by the simulator for Wan2.7
    "runware:201@1": 5 * Decimal("0.0946") * 3,
    "alibaba:wan@2.6": 15 * Decimal("0.10") + 5 * Decimal("0.10"),
    "alibaba:wan@2.6-flash": 2 * Decimal("0.025"),
    "alibaba:wan@2.7": 3 * Decimal("0.10") + (4 + 5) * Decimal("0.10"),
    "alibaba:wan@3.0-prime": 2 * Decimal("0.068") + 3 * Decimal("0.068"),
}


def media(folder: Path, videos: Path) -> None:
    """Small local files of every medium."""
    Image.new("RGB", (64, 64), "green").save(folder / "hill.png")
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"\0\0" * 800)
    (folder / "wind.wav").write_bytes(sound.getvalue())
    (folder / "story.pdf").write_bytes(b"%PDF-1.4\n1 0 obj\nendobj\n")
    (folder / "kite.mp4").write_bytes(videos.read_bytes())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Studio, Path, Any, Any]]:
    folder = tmp_path_factory.mktemp("models")
    with studio(folder) as place:
        seed = written(folder, [{"prompt_id": "kite", **TEXT, "resolution": "480p"}])
        first = materialized(place.run(seed))["kite"]
        media(folder, Path(first["dagster/uri"].removeprefix("file://")))
        table = written(folder, ROWS)
        yield place, table, place.run(table), place.run(table)


def spent(place: Studio) -> dict[str, Decimal]:
    with Ledger(sqlite_url(place.folder / "ledger.db")) as ledger:
        return {line.key: usd(line.cost_microusd) for line in ledger.spending("model")}


def tasks(place: Studio) -> list[Mapping[str, Any]]:
    """The tasks as the API got them."""
    with sqlite3.connect(place.folder / "simulator" / "simulator.db") as journal:
        return [json.loads(text) for (text,) in journal.execute("SELECT request FROM tasks")]


@pytest.mark.slow
def test_every_row_is_made_once_with_its_model(made: Any) -> None:
    _, _, first, again = made
    events, second = materialized(first), materialized(again)

    assert first.success, failure_of(first)
    assert set(events) == {row["prompt_id"] for row in ROWS}
    assert {key: event["wan_assets/model"] for key, event in events.items()} == {
        row["prompt_id"]: catalog().id_of(row.get("model", "wan2.5")) for row in ROWS
    }
    assert all(event["wan_assets/matches_request"] for event in events.values())
    assert sum(event["wan_assets/charged_usd"] for event in second.values()) == 0


def test_the_money_is_booked_by_model(made: Any) -> None:
    place, _, first, _ = made
    found = spent(place)
    auto = found.pop("alibaba:wan@3.0") - 2 * Decimal("0.05")

    assert found == LIST_USD
    assert Decimal("0.05") * 2 <= auto <= Decimal("0.05") * 30
    events = materialized(first)
    assert events["auto-3.0"]["wan_assets/cost_usd"] == pytest.approx(float(auto))
    assert 2 <= events["auto-3.0"]["wan_assets/duration_s"] <= 30


def test_each_task_has_its_settings_where_its_model_expects_them(made: Any) -> None:
    place, *_ = made
    found = {task["model"]: {"settings", "providerSettings"} & task.keys() for task in tasks(place)}

    assert {name for names in found.values() for name in names} <= {"settings", "providerSettings"}
    assert [task["settings"] for task in tasks(place) if "settings" in task] == [{"promptExtend": False}]
    shots = [task["providerSettings"]["alibaba"] for task in tasks(place) if "providerSettings" in task]
    assert sorted(map(str, shots)) == ["{'audio': False}", "{'shotType': 'multi'}"]


def test_local_files_of_every_medium_are_uploaded_before_the_task(made: Any) -> None:
    place, *_ = made
    inputs = json.dumps([task.get("inputs") for task in tasks(place)])

    assert "sha256:" not in inputs
    assert not [name for name in ("hill.png", "wind.wav", "kite.mp4", "story.pdf") if f'"{name}"' in inputs]
    with sqlite3.connect(place.folder / "simulator" / "simulator.db") as journal:
        assert journal.execute("SELECT count(DISTINCT reference) FROM uploads").fetchone() == (4,)


def test_the_manifest_has_the_model_and_its_inputs(made: Any) -> None:
    place, table, *_ = made
    resources = place.resources()
    with resources["ledger"].open() as ledger:
        manifest = write_manifest("m", PromptTable.load(table), store=resources["store"].open(), ledger=ledger)
    rows = pq.read_table(manifest.uri).to_pylist()
    found = {row["prompt_id"]: row for row in rows}

    assert {row["prompt_id"]: row["model"] for row in rows} == {
        row["prompt_id"]: catalog().id_of(row.get("model", "wan2.5")) for row in ROWS
    }
    assert found["auto-3.0"]["requested_duration_s"] is None
    assert found["shots-2.6"]["shot_type"] == "multi"
    assert found["frames-2.7"]["positive_prompt"] is None
    assert found["frames-2.7"]["last_image"] == PICTURE
    assert json.loads(found["seen-prime"]["references"])["reference_images"][1] == PICTURE
    assert set(json.loads(found["heard-3.0"]["references"])) == {"reference_audios", "documents"}


def run(place: Studio, *arguments: str) -> dict[str, Any]:
    environment = {
        "WAN_ASSETS_LEDGER": sqlite_url(place.folder / "ledger.db"),
        "WAN_ASSETS_STORE": str(place.folder / "store"),
        "RUNWARE_BASE_URL": place.simulator.base_url,
        "RUNWARE_API_KEY": "a-key-for-tests",
    }
    answer = CliRunner().invoke(cli, [*arguments, "--json"], env=environment, catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.output)


@pytest.mark.parametrize("form", ["videofolder", "webdataset", "parquet"])
def test_rows_without_a_prompt_or_a_duration_are_exported(made: Any, tmp_path: Path, form: str) -> None:
    place, table, *_ = made
    run(place, "export", str(table), "--format", form, "--output", str(tmp_path / "out"))
    lines = [line for path in (tmp_path / "out").rglob("metadata.jsonl") for line in path.read_text().splitlines()]
    found = {record["prompt_id"]: record for record in map(json.loads, lines)}

    assert (form == "videofolder") == bool(found)
    if found:
        assert found["auto-3.0"]["requested_duration_s"] == 0
        assert found["text-2.5"]["requested_duration_s"] == 5
        assert found["frames-2.7"]["positive_prompt"] == ""


def test_plan_prices_each_model_and_reserves_the_worst_case(made: Any) -> None:
    place, table, *_ = made
    kinds = run(place, "plan", str(table))["kinds"]
    by_model: dict[str, float] = {}
    for kind in kinds:
        by_model[kind["model"]] = by_model.get(kind["model"], 0) + kind["price_usd"]
    (auto,) = [kind for kind in kinds if kind["duration_s"] == "auto"]

    assert by_model.keys() == IDS
    assert by_model["alibaba:wan@2.6-flash"] == 0.05
    assert (auto["price_usd"], auto["reserved_usd"]) == (1.5, 1.53)


def test_the_ledger_and_the_account_agree_for_all_models(made: Any) -> None:
    place, *_ = made
    by_model = run(place, "ledger", "--by", "model")["by"]["model"]

    assert {line["key"] for line in by_model} == IDS
    today = datetime.now(UTC).date()
    days = run(place, "ledger", "reconcile", "--since", (today - timedelta(days=1)).isoformat())["days"]
    assert {day["result"] for day in days} == {"equal"}


def test_a_task_with_its_settings_in_the_other_place_is_refused_by_the_api(tmp_path: Path) -> None:
    task = {
        "taskType": "videoInference",
        "taskUUID": "5f0c1c9e-6a5e-4c53-9f5a-3b1d4c3b2a10",
        "positivePrompt": "A kite",
        "model": "alibaba:wan@3.0",
        **HD,
        "duration": 5,
        "providerSettings": {"alibaba": {"audio": False}},
    }
    with LocalSimulator(tmp_path, Behaviour()) as simulator:
        answer = httpx.post(simulator.base_url, json=[task], headers={"Authorization": "Bearer a-key"}).json()

    assert [(error["code"], error["parameter"]) for error in answer["errors"]] == [
        ("unsupportedParameter", "providerSettings")
    ]
