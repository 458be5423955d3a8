"""Columns and defaults whose meaning depends on the model: nothing changes what is paid without being said."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from wan_assets.prompts import PromptSource, PromptTable

IMAGE, PAGE = "https://example.com/a.png", "https://example.com/story"
SIZE = {"width": 1280, "height": 720}
REFERENCES = {"model": "wan3.0", "resolution": "720p"}


def table(rows: int = 1, defaults: dict[str, Any] | None = None, **cells: Any) -> PromptTable:
    frame = pd.DataFrame([{"prompt": f"A red kite {number}", **cells} for number in range(rows)])
    return PromptTable.load(PromptSource(frame, defaults=defaults or {}))


@pytest.mark.parametrize("rows", [1, 6])
@pytest.mark.parametrize(("name", "column"), [("urls", "inputs.urls"), ("Documents", "inputs.documents")])
def test_a_column_with_the_name_of_an_input_is_refused_if_the_model_takes_it(name: str, column: str, rows: int) -> None:
    found = table(rows, model="wan3.0", **SIZE, **{name: PAGE})

    assert not found.rows
    assert {problem.column for problem in found.problems} == {name}
    assert f"rename it to {column}, or map x_{name}={name}" in found.problems[0].fix


@pytest.mark.parametrize("rows", [1, 6])
def test_it_is_kept_with_the_row_if_the_model_has_no_such_input(rows: int) -> None:
    found = table(rows, model="wan2.7", urls=PAGE, **SIZE)

    assert [row.extra["urls"] for row in found.rows] == [PAGE] * rows


@pytest.mark.parametrize("between", [",", "; ", "|", " "])
def test_several_addresses_in_one_text_are_refused(between: str) -> None:
    found = table(**REFERENCES, reference_images=f"{IMAGE}{between}{IMAGE}")

    assert [(problem.column, problem.rule) for problem in found.problems] == [
        ("inputs.reference_images", "holds several addresses")
    ]


def test_a_reference_image_may_mean_two_inputs() -> None:
    (problem, *_) = table(**REFERENCES, reference_image=IMAGE).problems

    assert "did you mean inputs.frame_images or inputs.reference_images?" in problem.fix


def test_settings_that_are_text_can_be_kept_as_an_extra_column() -> None:
    (problem,) = table(resolution="720p", settings="f/2.8").problems

    assert "map x_settings=settings" in problem.fix


@pytest.mark.parametrize(
    ("model", "defaults", "expected"),
    [
        ("wan3.0", {"resolution": "480p"}, "480p"),
        ("wan3.0", {"width": 832, "height": 480}, "480p"),
        ("wan3.0", {}, "1080p"),
        ("wan2.7", {"resolution": "720p"}, "720p"),
        ("wan2.7", {"width": 1280, "height": 720}, None),
        ("wan2.6", {"resolution": "720p"}, None),
        ("wan2.5", {"resolution": "480p"}, None),
    ],
)
@pytest.mark.parametrize("is_default", [True, False])
def test_a_default_size_applies_to_an_image_that_does_not_replace_it(
    model: str, defaults: dict[str, Any], expected: str | None, is_default: bool
) -> None:
    of_model = {"model": model}
    given = {**defaults, **of_model} if is_default else defaults
    found = table(1, given, frame_image=IMAGE, **({} if is_default else of_model))

    assert [row.request.tier for row in found.rows] == [expected]


def test_a_row_with_a_size_of_its_own_keeps_it() -> None:
    found = table(1, {"model": "wan3.0", "resolution": "480p"}, frame_image=IMAGE, **SIZE)

    assert [row.request.tier for row in found.rows] == ["720p"]


def test_rules_on_negative_prompts_hold_in_rows_that_are_checked_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (resources.files("wan_assets.models") / "descriptions" / "wan2_6.toml").read_text("utf-8")
    text = text.replace('"alibaba:wan@2.6"', '"acme:kite@1"').replace('["wan2.6"]', '["acme"]')
    rule = {"predicate": "excludes", "at": "negativePrompt", "parameters": ["negativePrompt"], "others": ["resolution"]}
    more = {"sentence": "cannot be used with resolution", "fix": "remove one of them", "source": "schema"}
    lines = [f"{name} = {value!r}" for name, value in {**rule, **more}.items()]
    examples = [
        'valid = { positivePrompt = "A red kite", resolution = "720p" }',
        'invalid = { positivePrompt = "A red kite", resolution = "720p", negativePrompt = "blur" }',
    ]
    text = text.replace("[price]", "\n".join(["[[rules]]", *lines, *examples, "", "[price]"]))
    (tmp_path / "acme.toml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("WAN_ASSETS_MODELS", str(tmp_path))
    found = table(6, model="acme", resolution="720p", negative_prompt="blur")

    assert not found.rows
    assert len(found.problems) == 6
