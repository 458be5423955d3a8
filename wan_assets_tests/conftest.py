"""What many tests share: a Postgres server, which starts with the first test that asks for it."""

from collections.abc import Iterator

import pytest
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
