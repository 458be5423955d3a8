"""The example project, as Dagster's own command runs it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import wan_assets

EXAMPLES = Path(wan_assets.__file__).parent.parent / "examples"


def _example(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    if not EXAMPLES.is_dir():
        pytest.skip("the examples are beside the package in the repository only")
    project = shutil.copytree(EXAMPLES, tmp_path / "examples")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return project, {**os.environ, "DAGSTER_HOME": str(tmp_path / "home")}


def test_the_example_project_loads_and_makes_its_videos(tmp_path: Path) -> None:
    project, environment = _example(tmp_path)

    def dagster(*arguments: Any) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "dagster", *arguments],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout + done.stderr

    module = ("-m", "video_studio.definitions")
    assert "Validation successful" in dagster("definitions", "validate", *module)
    dagster("asset", "materialize", *module, "--select", "daily_clips", "--partition", "2026-02-01")

    videos = list((project / "studio" / "videos").rglob("*.mp4"))
    assert len(videos) == 1
