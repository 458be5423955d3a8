"""Assigns a run of the command to the code location `wan_assets.definitions`: Dagster's timeline shows no others."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import dagster as dg
from dagster_shared.serdes import deserialize_value

RUN_TAGS = {".dagster/repository": "__repository__@wan_assets.definitions", "dagster/max_retries": "0"}
"""Tags of a run that belongs to the code location. Dagster's daemon does not repeat a run of the command."""

_ORIGIN = json.dumps(
    {
        "__class__": "ExternalPipelineOrigin",
        "external_repository_origin": {
            "__class__": "ExternalRepositoryOrigin",
            "repository_location_origin": {
                "__class__": "RegisteredRepositoryLocationOrigin",
                "location_name": "wan_assets.definitions",
            },
            "repository_name": "__repository__",
        },
        "pipeline_name": "__ASSET_JOB",
    }
)
"""The origin of a run as Dagster stores it. No public function returns one for a run in this process."""


def assign_run(instance: dg.DagsterInstance, run_id: str) -> None:
    """Assigns a run that has ended: the assignment replaces the stored run with its status."""
    with suppress(Exception):  # the videos are stored, and only the timeline lacks the run
        origin: Any = deserialize_value(_ORIGIN)
        run = instance.get_run_by_id(run_id)
        if run is not None:
            instance.run_storage.replace_job_origin(run, origin)
