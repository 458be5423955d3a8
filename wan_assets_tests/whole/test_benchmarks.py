"""The benchmarks work: each case makes its rows on a server of its own, and tells what that cost."""

from pathlib import Path

import pytest

from benchmarks.__main__ import Setting, measured, settings
from benchmarks.case import CASES, RUNS
from benchmarks.peers import PEERS
from wan_assets.video import Clip, render

ROWS = 20
"""One for each shard of the run by batch."""


@pytest.mark.parametrize("case", [*CASES, *RUNS])
def test_a_case_makes_its_rows(tmp_path: Path, case: str) -> None:
    video = tmp_path / "clip.mp4"
    render(Clip("MP4", 854, 480, 5, has_audio=False, seed=7, prompt="A kite"), video)

    found = measured(Setting("tried", case, ROWS, ROWS, 0.2), video, {})

    made = 0 if case == "Dagster's events alone" else ROWS
    assert (found["accepted"], found["files"]) == (made, made)
    assert found["wall_s"] > 0
    assert found["cpu_s"] > 0
    assert found["peak_mb"] > 10


def test_every_case_of_the_table_is_there() -> None:
    asked = {setting.case for setting in settings(PEERS)}
    assert asked == {*CASES, *RUNS, *PEERS}
