"""Wan2.2 A14B Turbo: its page has sizes and rules, and no price, so that a user adds the price of the account."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from wan_assets.models import VideoRequest, list_price_microusd, violations_of

ID = "runware:200@8"
KITE = {"positivePrompt": "A red kite", "model": "wan2.2-turbo"}


@pytest.fixture
def priced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The description with a price, in a folder of the user."""
    packaged = files("wan_assets.models") / "descriptions" / "wan2_2_a14b_turbo.toml"
    price = '\n[price]\nsource = "observed"\nusd_per_s = { 480p = "0.01", 580p = "0.015", 720p = "0.02" }\n'
    (tmp_path / "turbo.toml").write_text(packaged.read_text("utf-8") + price, encoding="utf-8")
    monkeypatch.setenv("WAN_ASSETS_MODELS", str(tmp_path))


def violations(given: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        VideoRequest.model_validate(given)
    return [(violation.path, violation.rule) for violation in violations_of(caught.value, given)]


def test_without_a_price_it_takes_no_request() -> None:
    ((path, rule),) = violations({**KITE, "resolution": "580p"})

    assert path == "model"
    assert rule.startswith("has no price in its description")


@pytest.mark.usefixtures("priced")
@pytest.mark.parametrize(
    ("size", "resolution"),
    [("848x480", "480p"), ("736x560", "480p"), ("1024x576", "580p"), ("672x896", "580p"), ("1104x832", "720p")],
)
def test_with_a_price_it_takes_its_sizes(size: str, resolution: str) -> None:
    width, height = map(int, size.split("x"))
    found = VideoRequest.model_validate({**KITE, "width": width, "height": height})

    assert (found.model, found.tier, found.has_audio, found.duration) == (ID, resolution, False, 5)
    assert list_price_microusd(found) == {"480p": 50_000, "580p": 75_000, "720p": 100_000}[resolution]
    assert found.to_task("u") == {
        "taskType": "videoInference",
        "taskUUID": "u",
        "model": ID,
        "positivePrompt": "A red kite",
        "width": width,
        "height": height,
        "duration": 5,
    }


@pytest.mark.usefixtures("priced")
@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({}, "resolution"),
        ({"resolution": "1080p"}, "resolution"),
        ({"width": 854, "height": 480}, "width"),
        ({"width": 848}, "height"),
        ({"resolution": "480p", "width": 848, "height": 480}, "resolution"),
        ({"resolution": "480p", "providerSettings": {"alibaba": {"audio": True}}}, "providerSettings.alibaba.audio"),
    ],
)
def test_it_refuses_what_its_page_does_not_list(given: dict[str, Any], path: str) -> None:
    ((found, _),) = violations({**KITE, **given})

    assert found == path
