"""What many tests share: servers of Postgres and object stores, which start with the first test that asks for them."""

from collections.abc import Iterator

import az_support
import gs_support
import pytest
import s3_support
from postgres_support import Cluster, cluster


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
