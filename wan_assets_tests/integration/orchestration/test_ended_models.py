"""A model of a table has ended: its new rows are refused at no cost, and its stored videos are reused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from dagster_support import Studio, failure_of, materialized, studio, table_of, written

from wan_assets.cli import cli
from wan_assets.ledger import Ledger
from wan_assets.models import catalog
from wan_assets.settings import sqlite_url

MODEL = "alibaba:wan@2.6-old"


def describe(folder: Path, monkeypatch: pytest.MonkeyPatch, ends_in_days: int) -> None:
    """Describes a model with an end, in a folder of the user."""
    folder.mkdir()
    known = catalog().models["alibaba:wan@2.6"].model_dump(mode="json", exclude_none=True)
    ends = (datetime.now(UTC).date() + timedelta(days=ends_in_days)).isoformat()
    sizes = {name: [f"{width}x{height}" for width, height in of] for name, of in known["sizes"].items()}
    own = {"id": MODEL, "name": "Wan2.6 Old", "short_names": ["wan2.6-old"], "successor": "wan2.6", "ends": ends}
    described = {**known, **own, "sizes": sizes}
    (folder / "old.toml").write_text(_toml(described), encoding="utf-8")
    monkeypatch.setenv("WAN_ASSETS_MODELS", str(folder))


def _toml(value: dict[str, Any]) -> str:
    return "".join(f"{json.dumps(name)} = {_value(name, each)}\n" for name, each in value.items())


def _value(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_value(key, each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(_value(name, each) for each in value)}]"
    return value if name in ("ends", "released") else json.dumps(value)


def plan(place: Studio, table: Path) -> tuple[int, Any, str]:
    environment = {
        "WAN_ASSETS_LEDGER": sqlite_url(place.folder / "ledger.db"),
        "WAN_ASSETS_STORE": str(place.folder / "store"),
    }
    found = [CliRunner().invoke(cli, ["plan", str(table), *more], env=environment) for more in (["--json"], [])]
    return found[0].exit_code, json.loads(found[0].output)["retirements"], found[1].output


@pytest.mark.slow
def test_a_model_that_ends_soon_causes_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    describe(tmp_path / "models", monkeypatch, ends_in_days=10)
    with studio(tmp_path) as place:
        table = written(tmp_path, table_of("A red kite", model="wan2.6-old", resolution="720p"))
        code, retirements, text = plan(place, table)
        run = place.run(table)

    assert (code, retirements[0]["is_ended"], retirements[0]["new_requests"]) == (0, False, 1)
    assert "warning: Wan2.6 Old ends on " in text
    assert "in 10 days; use its successor wan2.6" in text
    assert run.success, failure_of(run)
    metadata = run.asset_materializations_for_node("videos_prompts")[0].metadata
    assert "in 10 days" in metadata["wan_assets/retirements"].value


@pytest.mark.slow
def test_a_model_that_has_ended_is_refused_before_anything_is_reserved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe(tmp_path / "models", monkeypatch, ends_in_days=0)
    with studio(tmp_path) as place:
        rows = table_of("A red kite", "A blue kite", model="wan2.6-old", resolution="720p")
        first = place.run(written(tmp_path, rows[:1]))
        describe(tmp_path / "ended", monkeypatch, ends_in_days=-1)
        table = written(tmp_path, rows)
        code, retirements, text = plan(place, table)
        second = place.run(table)
        with Ledger(sqlite_url(tmp_path / "ledger.db")) as ledger:
            (line,) = ledger.spending("model")

    assert first.success, failure_of(first)
    assert (code, retirements[0]["is_ended"], retirements[0]["new_requests"]) == (1, True, 1)
    assert "problem: Wan2.6 Old ended on " in text
    assert not second.success
    assert "Wan2.6 Old ended on " in failure_of(second)
    assert "use its successor wan2.6" in failure_of(second)
    assert {key: event["wan_assets/reused"] for key, event in materialized(second).items()} == {"a": True}
    assert (line.key, line.tasks, line.reserved_microusd) == (MODEL, 1, 0)
