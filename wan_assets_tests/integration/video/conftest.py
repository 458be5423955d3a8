"""Decoder processes are started here, as they are without tests."""

import asyncio
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="module")
def started_decoders() -> Iterator[None]:
    """Elsewhere they are forked."""
    forking = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(None)
    yield
    asyncio.set_event_loop_policy(forking)
