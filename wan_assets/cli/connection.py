"""The API that the environment configures, without Dagster; where no key is given, the simulator."""

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
    """A client of the account, or of a simulator that has the books of the configuration's folder.

    Raises `SettingsError` where no key is given and the ledger has tasks that only the account knows.
    """
    if settings.is_simulated and ledger.totals().real.tasks:
        raise SettingsError("RUNWARE_API_KEY is not set, and the ledger has tasks that were really paid for")
    if not settings.is_simulated:
        async with RunwareClient(settings.api_key, settings.base_url, on_response=on_response) as client:
            yield client
        return
    with LocalSimulator(settings.folder / "simulator") as simulator:
        async with RunwareClient("simulated", simulator.base_url, on_response=on_response) as client:
            yield client
