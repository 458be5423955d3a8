"""Pytest fixtures of the simulator, for tests that need no server, no API key and no money.

Write `pytest_plugins = ["wan_assets.testing"]` in `conftest.py`. Each test has a simulator, a store and a ledger of its
own, in a temporary folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wan_assets.orchestration import LedgerResource, SimulatedRunwareResource, VideoGenerator, VideoStoreResource
from wan_assets.settings import escaped, sqlite_url
from wan_assets.simulator import Behaviour, LocalSimulator

__all__ = [
    "SimulatedRunwareResource",
    "runware_simulator",
    "simulated_generator",
    "simulated_resources",
    "simulated_runware",
]

_LATENCY_S = 0.1
_POLL_S = 0.1


@pytest.fixture
def simulated_runware(tmp_path: Path) -> SimulatedRunwareResource:
    """The resource `runware` on a simulator that answers quickly; `model_copy` gives it faults."""
    state = escaped(tmp_path / "simulator")
    return SimulatedRunwareResource(state=state, latency_s=_LATENCY_S, initial_poll_delay_s=_POLL_S)


@pytest.fixture
def simulated_resources(tmp_path: Path, simulated_runware: SimulatedRunwareResource) -> dict[str, Any]:
    """The resources `runware`, `store` and `ledger`, for `dagster.materialize`."""
    return {
        "runware": simulated_runware,
        "store": VideoStoreResource(root=escaped(tmp_path / "videos")),
        "ledger": LedgerResource(url=sqlite_url(tmp_path / "ledger.db")),
    }


@pytest.fixture
def simulated_generator(simulated_resources: dict[str, Any]) -> VideoGenerator:
    """A `VideoGenerator` with the resources of `simulated_resources`."""
    return VideoGenerator(**simulated_resources)


@pytest.fixture
def runware_simulator(tmp_path: Path) -> Iterator[LocalSimulator]:
    """A simulator that serves HTTP at its `base_url`; its `journal` records the charges."""
    with LocalSimulator(tmp_path / "simulator", Behaviour(latency_s=_LATENCY_S)) as simulator:
        yield simulator
