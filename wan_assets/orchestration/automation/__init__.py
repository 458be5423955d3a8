"""Sensors and jobs that start and end runs."""

from wan_assets.orchestration.automation.budget_sensor import build_budget_sensor
from wan_assets.orchestration.automation.lost_runs import build_lost_run_sensor
from wan_assets.orchestration.automation.missing_job import build_missing_job
from wan_assets.orchestration.automation.review_sensor import build_review_sensor
from wan_assets.orchestration.automation.sensor import build_video_sensor

__all__ = [
    "build_budget_sensor",
    "build_lost_run_sensor",
    "build_missing_job",
    "build_review_sensor",
    "build_video_sensor",
]
