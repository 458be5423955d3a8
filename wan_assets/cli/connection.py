"""A client of the configured API, without Dagster; without an API key, a client of the simulator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from wan_assets.client import ResponseHook, RunwareClient
from wan_assets.ledger import Ledger
from wan_assets.settings import Settings, SettingsError
from wan_assets.simulator import LocalSimulator


@asynccontextmanager
async def connected(
    settings: Settings, ledger: Ledger, on_response: ResponseHook | None = None
) -> AsyncIterator[RunwareClient]:
    """Opens a client of the account, or of a simulator whose records are in the data folder.

    Raises `SettingsError` if no key is given and the ledger contains tasks of a real account.
    """
    if settings.is_simulated and ledger.totals().real.tasks:
        raise SettingsError("RUNWARE_API_KEY is not set, and the ledger contains tasks of a real account")
    if not settings.is_simulated:
        async with RunwareClient(settings.api_key, settings.base_url, on_response=on_response) as client:
            yield client
        return
    with LocalSimulator(settings.folder / "simulator") as simulator:
        async with RunwareClient("simulated", simulator.base_url, on_response=on_response) as client:
            yield client
