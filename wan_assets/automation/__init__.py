"""What starts runs by itself: a sensor that watches the prompt table, and a job that makes whatever is missing."""

from wan_assets.automation.missing import build_missing_job
from wan_assets.automation.sensor import build_video_sensor

__all__ = ["build_missing_job", "build_video_sensor"]
