"""What many tests share: a clip, and servers of Postgres and object stores, made for the first test that asks."""

import asyncio
import gc
from collections.abc import Iterator

import az_support
import gs_support
import pytest
import s3_support
from decoder_loop import DecoderLoopPolicy
from hypothesis import settings
from postgres_support import Cluster, cluster

from wan_assets.video import Clip, render

gc.disable()  # until all tests are collected: nothing of them becomes garbage

_COLLECTED_AFTER = 20_000
"""Python's own 700 new objects are soon allocated beside the millions that a process of all tests and Dagster holds."""

asyncio.set_event_loop_policy(DecoderLoopPolicy())

settings.register_profile("wan_assets", deadline=None)
settings.load_profile("wan_assets")  # a busy machine makes single examples slow, which says nothing about the code


def pytest_collection_finish() -> None:
    """Lets the garbage collector look at what the tests allocate, and no more at what was imported and collected."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECTED_AFTER, 10, 10)
    gc.enable()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """One server for all tests of this process."""
    with cluster() as running:
        yield running


@pytest.fixture
def postgres_url(postgres: Cluster) -> Iterator[str]:
    """The address of a fresh database."""
    with postgres.database() as url:
        yield url


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    """One server for all tests of this process."""
    with s3_support.s3_server() as address, s3_support.clients_of_its_own():
        yield address


@pytest.fixture
def bucket(s3_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a fresh bucket, which the environment gives access to."""
    s3_support.use(s3_address, monkeypatch)
    return s3_support.new_bucket()


@pytest.fixture(scope="session")
def gs_address() -> Iterator[str]:
    """One server for all tests of this process."""
    with gs_support.gs_server() as address:
        yield address


@pytest.fixture
def gs_bucket(gs_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """As `bucket`, of Google's kind."""
    gs_support.use(gs_address, monkeypatch)
    return gs_support.new_bucket()


@pytest.fixture(scope="session")
def az_address() -> Iterator[str]:
    """One server for all tests of this process."""
    with az_support.az_server() as address:
        yield address


@pytest.fixture
def az_bucket(az_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """As `bucket`, of Azure's kind."""
    az_support.use(az_address, monkeypatch)
    return az_support.new_container()


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A real clip of 480p and 5 seconds without sound."""
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    render(Clip("MP4", 854, 480, 5, has_audio=False, seed=7, prompt="A kite"), path)
    return path.read_bytes()
