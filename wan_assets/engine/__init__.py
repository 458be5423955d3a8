"""Generates videos: it turns requests into stored videos, pays for each request once, and does not depend on
Dagster.
"""

from wan_assets.engine.adoption import Adopted, adopt
from wan_assets.engine.engine import generate
from wan_assets.engine.in_flight import OnProgress, Pending, RunSnapshot
from wan_assets.engine.jobs import NO_PARTITION, Limits, OnMismatch, Outcome, VideoJob, job_of
from wan_assets.engine.progress import (
    Clock,
    Estimate,
    Progress,
    ProgressCallback,
    ProgressTracker,
    ReportSchedule,
    Stage,
    clock_text,
    ignore_progress,
    progress_line,
)
from wan_assets.engine.recovery import Recovered, recover
from wan_assets.engine.run_log import FailureLog, PendingLog, progress_logged
from wan_assets.engine.thread_iterator import iterate_in_thread

__all__ = [
    "NO_PARTITION",
    "Adopted",
    "Clock",
    "Estimate",
    "FailureLog",
    "Limits",
    "OnMismatch",
    "OnProgress",
    "Outcome",
    "Pending",
    "PendingLog",
    "Progress",
    "ProgressCallback",
    "ProgressTracker",
    "Recovered",
    "ReportSchedule",
    "RunSnapshot",
    "Stage",
    "VideoJob",
    "adopt",
    "clock_text",
    "generate",
    "ignore_progress",
    "iterate_in_thread",
    "job_of",
    "progress_line",
    "progress_logged",
    "recover",
]
