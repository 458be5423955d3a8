"""Requests of models that a user describes, of models that are not described any more, and of unknown names."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from wan_assets.models import (
    VideoRequest,
    is_rate_known,
    list_price_microusd,
    violations_of,
    worst_price_microusd,
)
from wan_assets.video.expected_video import expected_of

IMAGES = [f"https://example.com/{name}.png" for name in "abcd"]
SIZE = {"width": 832, "height": 480}
WRITTEN = {
    "audio": '"settings.audio" = { type = "boolean", default = true, source = "schema" }',
    "extend": '"settings.promptExtend" = { type = "boolean", default = true, source = "schema" }',
    "frames": '"inputs.frameImages" = { max_items = 2,',
}
Described = Callable[..., None]


@pytest.fixture
def described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Described:
    """Describes the model "acme" like Wan3.0, with some texts of its description replaced."""

    def describe(**replaced: str) -> None:
        text = (resources.files("wan_assets.models") / "descriptions" / "wan3_0.toml").read_text("utf-8")
        texts = {'"alibaba:wan@3.0"': '"acme:kite@1"', '["wan3.0"]': '["acme"]'}
        texts |= {WRITTEN[name]: new for name, new in replaced.items()}
        for old, new in texts.items():
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "acme.toml").write_text(text, encoding="utf-8")
        monkeypatch.setenv("WAN_ASSETS_MODELS", str(tmp_path))

    return describe


def request(**given: Any) -> VideoRequest:
    return VideoRequest.model_validate({"positivePrompt": "A red kite", "model": "acme", **given})


def violations(**given: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        request(**given)
    return [(each.column, each.rule) for each in violations_of(caught.value, given)]


def test_a_setting_that_is_off_by_default_is_off_without_being_given(described: Described) -> None:
    off = {name: WRITTEN[name].replace("true", "false") for name in ("audio", "extend")}
    described(**off)
    without, off_in_words = request(**SIZE), request(**SIZE, settings={"audio": False, "promptExtend": False})

    assert without.fingerprint() == off_in_words.fingerprint()
    assert without.fingerprint() != request(**SIZE, settings={"audio": True}).fingerprint()
    assert without.fingerprint() != request(**SIZE, settings={"promptExtend": True}).fingerprint()
    assert not without.has_audio
    assert request(**SIZE, settings={"audio": True}).has_audio


def test_a_model_without_sound_is_not_expected_to_have_any(described: Described) -> None:
    described(audio="")

    assert not request(**SIZE).has_audio
    assert not expected_of(request(**SIZE)).has_audio


def test_every_image_counts_if_a_model_takes_more_than_two(described: Described) -> None:
    described(frames='"inputs.frameImages" = { max_items = 4,')
    found = {request(inputs={"frameImages": images}).fingerprint() for images in (IMAGES[:2], IMAGES[:3], IMAGES)}
    others = {request(inputs={"frameImages": [*IMAGES[:2], image]}).fingerprint() for image in IMAGES}

    assert len(found) == 3
    assert len(others) == 4


def test_a_video_of_a_model_that_is_not_described_any_more_has_any_duration() -> None:
    given = {"positivePrompt": "A red kite", "model": "acme:kite@1", "duration": "auto", **SIZE}
    found = VideoRequest.from_record(given)

    assert found.shortest_s == 1
    assert expected_of(found).longest_s >= 30
    assert found.has_audio
    assert 90_000_000 < list_price_microusd(found) <= worst_price_microusd(found) <= 100_000_000


def test_a_frame_that_is_a_list_is_a_problem() -> None:
    found = violations(model="wan2.7", inputs={"frameImages": [{"image": IMAGES[0], "frame": [0]}, IMAGES[1]]})

    assert {column for column, _ in found} == {"inputs.frame_images.frame"}


@pytest.mark.parametrize("key", [None, True, 1, ("a", "b")])
def test_a_setting_whose_name_is_not_text_is_a_problem(key: Any) -> None:
    assert violations(model="wan3.0", **SIZE, settings={key: 1}) == [
        (f"provider_settings.alibaba.{str(key).lower()}", "is not a parameter of this model")
    ]


@pytest.mark.parametrize("model", [np.array([]), np.array(["wan2.6", "wan2.7"]), [], {}, 0, False, 2.6])
def test_a_model_that_is_not_text_is_a_problem(model: Any) -> None:
    assert violations(model=model) == [("model", "is not a known model")]


def test_of_an_unknown_model_nothing_else_is_said() -> None:
    given = {"duration": 30, "inputs": {"referenceImages": IMAGES[:2]}, "positivePrompt": "k" * 3000}

    assert violations(**given, model="wan2.8") == [("model", "is not a known model")]


@pytest.mark.parametrize(
    ("given", "is_known"),
    [
        ({"model": "wan2.7", "inputs": {"frameImages": IMAGES[:1]}}, False),
        ({"model": "wan2.7", "inputs": {"frameImages": IMAGES[:1]}, "resolution": "720p"}, True),
        ({"model": "wan2.6", "inputs": {"frameImages": IMAGES[:1]}}, False),
        ({"model": "wan3.0", "inputs": {"frameImages": IMAGES[:1]}}, True),
        ({"model": "wan2.5", "inputs": {"frameImages": IMAGES[:1]}}, True),
    ],
)
def test_the_rate_is_not_known_if_the_image_decides_the_size(given: dict[str, Any], is_known: bool) -> None:
    assert is_rate_known(request(**given)) is is_known
