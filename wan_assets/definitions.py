"""The default code location, built from environment variables; without a key, on the simulator."""

from __future__ import annotations

import os
import warnings

import dagster as dg

from wan_assets.assets import build_video_assets
from wan_assets.resources import resources_of
from wan_assets.settings import Settings, settings_from


def definitions_of(settings: Settings) -> dg.Definitions:
    """The assets of a configuration's prompt table, with its resources."""
    if settings.is_simulated:
        warnings.warn("RUNWARE_API_KEY is not set: videos are SIMULATED, and nothing is charged", stacklevel=2)
    assets = build_video_assets(prompts=settings.prompts)
    return dg.Definitions.merge(assets, dg.Definitions(resources=resources_of(settings)))


defs = definitions_of(settings_from(os.environ))
