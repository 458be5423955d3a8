"""The default code location, built from environment variables; without a key, on the simulator."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg

from wan_assets.assets import build_video_assets
from wan_assets.resources import LedgerResource, RunwareResource, SimulatedRunwareResource, VideoStoreResource
from wan_assets.settings import Settings, settings_from


def resources_of(settings: Settings, *, latency_s: float = 1.0) -> dict[str, dg.ConfigurableResource[object]]:
    """The resources `runware`, `store` and `ledger` of a configuration."""
    return {
        "runware": _runware(settings, latency_s),
        "store": VideoStoreResource(root=settings.store),
        "ledger": LedgerResource(url=settings.ledger, budget_usd_total=settings.budget_usd),
    }


def _runware(settings: Settings, latency_s: float) -> RunwareResource:
    if settings.is_simulated:
        return SimulatedRunwareResource(state=str(settings.folder / "simulator"), latency_s=latency_s)
    base_url = {"base_url": settings.base_url} if settings.base_url else {}
    return RunwareResource(api_key=dg.EnvVar("RUNWARE_API_KEY"), **base_url)


def definitions_of(settings: Settings) -> dg.Definitions:
    """The assets of a configuration's prompt table, with its resources."""
    assets = build_video_assets(prompts=settings.prompts)
    return dg.Definitions.merge(assets, dg.Definitions(resources=resources_of(settings)))


defs = definitions_of(settings_from(os.environ, None))
