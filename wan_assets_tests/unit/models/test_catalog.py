"""The known models: those of this package, of the folder in the environment, and of folders that are added."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from model_support import described
from pydantic import ValidationError

from wan_assets import PromptTable, RunwareResource, VideoRequest
from wan_assets.errors import ModelDescriptionError
from wan_assets.models import add_models, catalog
from wan_assets.models.catalog import _FOLDERS, MAX_BYTES


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that WAN_ASSETS_MODELS names."""
    path = tmp_path / "models"
    path.mkdir()
    monkeypatch.setenv("WAN_ASSETS_MODELS", str(path))
    return path


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """Removes the folders that a test adds from this process."""
    before = list(_FOLDERS)
    yield
    _FOLDERS[:] = before


def refusal() -> str:
    with pytest.raises(ModelDescriptionError) as refused:
        catalog()
    return str(refused.value)


def test_a_file_of_the_folder_adds_a_model_or_replaces_one_of_the_package(folder: Path) -> None:
    path = described(folder, "a:one@1")
    described(folder, "alibaba:wan@2.6", short_name="wan2.6")

    known = catalog()

    assert known.id_of("A-One@1") == "a:one@1"
    assert known.files["a:one@1"] == path
    price = known.models["alibaba:wan@2.6"].price
    assert price
    assert str(price.usd_per_s["720p"]) == "0.37"


def test_two_descriptions_of_one_model_are_an_error_that_names_both_files(folder: Path) -> None:
    one, other = described(folder, "a:one@1"), described(folder, "a:one@1", "copy")

    said = refusal()

    assert f"{one} and {other} both describe a:one@1" in said or f"{other} and {one} both describe a:one@1" in said


def test_two_models_with_one_short_name_are_an_error_that_names_both_files(folder: Path, tmp_path: Path) -> None:
    one = described(folder, "a:one@1", short_name="dunes")
    (tmp_path / "others").mkdir()
    other = described(tmp_path / "others", "a:two@1", short_name="Dunes")

    with pytest.raises(ModelDescriptionError) as refused:
        add_models(str(tmp_path / "others"))

    assert str(refused.value) == f"a:one@1 (in {one}) and a:two@1 (in {other}) are both named Dunes; rename one"
    assert catalog().id_of("dunes") == "a:one@1"


def test_a_short_name_of_the_package_cannot_be_taken(folder: Path) -> None:
    path = described(folder, "a:one@1", short_name="wan3.0")

    assert refusal() == f"alibaba:wan@3.0 and a:one@1 (in {path}) are both named wan3.0; rename one"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"id = ", "it is not valid TOML"),
        (b"\xff\xfe", "invalid start byte"),
        (b"id = 1", "id: Input should be a valid string"),
        (b"# " + b"x" * MAX_BYTES, "it has more than 1,048,576 bytes"),
        (b"a = " + b"[" * 5_000, "it is nested too deeply"),
    ],
)
def test_a_file_that_describes_no_model_is_named_with_the_reason(folder: Path, content: bytes, said: str) -> None:
    (folder / "broken.toml").write_bytes(content)

    found = refusal()

    assert f"{folder / 'broken.toml'} does not describe a model" in found
    assert said in found


def test_a_pipe_in_the_folder_is_an_error_instead_of_an_endless_wait(folder: Path) -> None:
    os.mkfifo(folder / "pipe.toml")

    assert "pipe.toml does not describe a model: it is not a file" in refusal()


@pytest.mark.parametrize("text", ["/nowhere", "$NO_SUCH_VARIABLE/models", "s3://bucket/models"])
def test_a_folder_that_cannot_be_read_is_an_error_that_names_the_variable(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAN_ASSETS_MODELS", text)

    assert "WAN_ASSETS_MODELS" in refusal()


def test_the_folder_may_be_in_the_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described(folder, "a:one@1")
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("WAN_ASSETS_MODELS", "~/models")

    assert catalog().id_of("a:one@1")


def test_a_resource_adds_models_to_its_process(tmp_path: Path) -> None:
    described(tmp_path, "a:added@1", short_name="added")
    given = {"model": "added", "positivePrompt": "A red kite", "resolution": "720p"}

    with pytest.raises(ValidationError):
        VideoRequest.model_validate(given)
    RunwareResource(models=str(tmp_path))
    RunwareResource(models=f"{tmp_path}/")

    assert VideoRequest.model_validate(given).model == "a:added@1"


def test_a_column_of_a_setting_is_known_as_soon_as_its_model_is(tmp_path: Path) -> None:
    described(tmp_path, "a:late@1", short_name="late")
    row = {"positive_prompt": "A red kite", "model": "late", "resolution": "720p", "settings.camera_motion": "pan"}
    table = pd.DataFrame([row])

    before = PromptTable.load(table).problems
    RunwareResource(models=str(tmp_path))
    after = PromptTable.load(table)

    assert {problem.column for problem in before} >= {"model"}
    assert after.problems == ()
    assert after.requests[0].to_task("x")["providerSettings"] == {"alibaba": {"cameraMotion": "pan"}}


@pytest.mark.parametrize(
    ("written", "sent"),
    [("0.25", 0.25), (" 2 ", 2), (0.5, 0.5), ("much", "must be a number"), (True, "must be a number")],
)
def test_a_number_of_a_setting_is_sent_as_a_number(written: Any, sent: Any, folder: Path) -> None:
    described(folder, "a:one@1")
    given = {"model": "a:one@1", "positivePrompt": "A red kite", "resolution": "720p", "settings": {"weight": written}}

    if isinstance(sent, str):
        with pytest.raises(ValidationError, match=sent):
            VideoRequest.model_validate(given)
    else:
        assert VideoRequest.model_validate(given).to_task("x")["providerSettings"]["alibaba"] == {"weight": sent}


def test_a_resource_with_a_wrong_folder_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("id = 1")

    with pytest.raises(ModelDescriptionError, match=r"broken\.toml does not describe a model"):
        RunwareResource(models=str(tmp_path))

    assert catalog().id_of("wan2.5")
