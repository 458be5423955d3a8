"""`plan --draft`: what drafts and the finals of some of them cost, compared with finals of all rows."""

from pathlib import Path
from typing import Any

import pytest
from dagster_support import written
from test_pilot import invoked, reported

ROW = {"positive_prompt": "A kite", "duration": 5}


def comparison(folder: Path, *options: str, **row: Any) -> dict[str, Any]:
    written(
        folder, [{**ROW, "prompt_id": f"p{number}", "positive_prompt": f"Kite {number}", **row} for number in range(4)]
    )
    found: dict[str, Any] = reported("plan", folder, "--draft", *options)["draft"]
    return found


def test_finals_with_overrides_are_compared_with_drafts_as_in_the_table(tmp_path: Path) -> None:
    found = comparison(tmp_path, "--override", "resolution=1080p", resolution="720p")

    assert (found["drafts_usd"], found["finals_usd"]) == (4 * 0.473, 4 * 0.738)
    assert found["break_even_share"] == pytest.approx(1 - 0.473 / 0.738)
    half = next(each for each in found["shares"] if each["approved_share"] == 0.5)
    assert half["together_usd"] == pytest.approx(4 * 0.473 + 2 * 0.738)
    assert half["saved_usd"] == pytest.approx(4 * 0.738 - half["together_usd"])


@pytest.mark.parametrize("size", [{"resolution": "1080p"}, {"width": 1920, "height": 1080}])
def test_without_overrides_drafts_have_the_lowest_resolution_of_the_model(tmp_path: Path, size: dict[str, Any]) -> None:
    found = comparison(tmp_path, **size)

    assert (found["drafts_usd"], found["finals_usd"]) == (4 * 0.473, 4 * 0.738)


def test_drafts_that_cost_as_much_as_finals_save_nothing(tmp_path: Path) -> None:
    assert comparison(tmp_path, "--override", "seed=3", resolution="720p")["break_even_share"] is None
    assert "drafts save nothing" in invoked("plan", tmp_path, "--draft", "--override", "seed=3").stdout


def test_rows_without_a_valid_final_are_named_instead_of_a_comparison(tmp_path: Path) -> None:
    comparison(tmp_path, resolution="480p")
    shown = invoked("plan", tmp_path, "--draft", "--override", "model=wan2.6").stdout

    assert "4 rows have no valid final" in shown
    assert "p0: resolution: input should be '720p' or '1080p'" in shown


def test_overrides_without_drafts_are_an_error(tmp_path: Path) -> None:
    comparison(tmp_path, resolution="480p")
    result = invoked("plan", tmp_path, "--override", "resolution=1080p")

    assert result.exit_code == 2
    assert "--override needs --draft" in result.stderr


def test_a_wrong_override_names_the_override(tmp_path: Path) -> None:
    comparison(tmp_path, resolution="480p")
    result = invoked("plan", tmp_path, "--draft", "--override", "resolutoin=1080p")

    assert result.exit_code == 2
    assert "overrides: resolutoin" in f"{result.stderr}{result.exception}"
