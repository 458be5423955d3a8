"""The default code location, configured by environment variables. Without an API key it uses the simulator."""

from __future__ import annotations

import os
import warnings

import dagster as dg

from wan_assets.orchestration import (
    build_dataset_assets,
    build_lost_run_sensor,
    build_missing_job,
    build_video_assets,
    build_video_checks,
    build_video_sensor,
    resources_of,
)
from wan_assets.prompts import Prompts, prompt_source_from
from wan_assets.settings import SIMULATED_NOTICE, Settings, settings_from


def definitions_of(settings: Settings) -> dg.Definitions:
    """Returns the assets of the configured prompt table with their checks, jobs, sensors and resources.

    The table's sensor is stopped by default.
    """
    if settings.is_simulated:
        warnings.warn(SIMULATED_NOTICE, stacklevel=2)
    source = prompt_source_from(settings.prompts, settings.table_options)
    prompts: Prompts = source if source.has_options else settings.prompts
    around = dg.Definitions(
        assets=build_dataset_assets(prompts=prompts),
        asset_checks=build_video_checks(prompts=prompts),
        jobs=[build_missing_job(prompts=prompts)],
        sensors=[build_video_sensor(prompts=prompts), build_lost_run_sensor()],
        resources=resources_of(settings),
        executor=dg.in_process_executor,  # the videos of a run are generated in one step
    )
    return dg.Definitions.merge(build_video_assets(prompts=prompts), around)


defs = definitions_of(settings_from(os.environ))
