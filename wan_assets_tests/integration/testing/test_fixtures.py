"""The public fixtures, as a user's project takes them."""

import re
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest

import wan_assets
from wan_assets import VideoGenerator
from wan_assets.simulator import LocalSimulator
from wan_assets.testing import (
    SimulatedRunwareResource,
    runware_simulator,
    simulated_generator,
    simulated_resources,
    simulated_runware,
)

PAGE = Path(wan_assets.__file__).parents[1] / "docs" / "generator.md"

pytest_plugins = ["pytester"]
__all__ = ["runware_simulator", "simulated_generator", "simulated_resources", "simulated_runware"]


def test_the_generator_makes_simulated_videos_in_the_folder_of_the_test(
    simulated_generator: VideoGenerator, tmp_path: Path
) -> None:
    videos = simulated_generator.generate(requests=[{"positive_prompt": "A kite", "resolution": "480p"}])

    assert videos.simulated.all()
    assert Path(videos.path[0]).is_relative_to(tmp_path)


@pytest.mark.slow
def test_the_resources_fit_assets_and_share_one_ledger(
    simulated_resources: dict[str, Any], simulated_runware: SimulatedRunwareResource
) -> None:
    @dg.asset
    def trailers(generator: VideoGenerator, ledger: dg.ResourceParam[Any]) -> None:
        generator.generate(requests=[{"positive_prompt": "A kite", "resolution": "480p"}], progress=False)
        with ledger.open() as opened:
            assert opened.totals().simulated.tasks == 1

    resources = {**simulated_resources, "generator": VideoGenerator(**simulated_resources)}

    assert dg.materialize([trailers], resources=resources).success
    assert simulated_resources["runware"] is simulated_runware


def test_the_simulator_serves_http(runware_simulator: LocalSimulator) -> None:
    answer = httpx.post(runware_simulator.base_url, json=[{"taskType": "ping", "ping": True}])

    assert answer.headers["X-Simulated-By"]


@pytest.mark.slow
@pytest.mark.skipif(not PAGE.is_file(), reason="the documentation is beside the package in the repository only")
def test_the_documented_conftest_and_test_run_in_a_project_of_their_own(pytester: pytest.Pytester) -> None:
    snippets = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assets, *_, conftest, test = snippets
    pytester.makeini("[pytest]")
    pytester.makeconftest(conftest)
    pytester.makepyfile(assets + test)

    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")

    result.assert_outcomes(passed=1)
    assert all(len(re.findall(r"^(?:from|import) ", snippet, re.MULTILINE)) <= 3 for snippet in snippets)
