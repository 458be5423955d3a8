"""What starts and ends runs by itself: sensors that watch table and workers, and a job for whatever is missing."""

from wan_assets.automation.lost import build_lost_run_sensor
from wan_assets.automation.missing import build_missing_job
from wan_assets.automation.sensor import build_video_sensor

__all__ = ["build_lost_run_sensor", "build_missing_job", "build_video_sensor"]
