"""Generates videos: it turns requests into stored videos, pays for each request once, and does not depend on
Dagster.

Modules that call the API are imported on first use, so that commands that only display progress start faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from wan_assets.engine.in_flight import OnProgress, Pending, RunSnapshot
from wan_assets.engine.jobs import NO_PARTITION, Limits, OnMismatch, Outcome, Recovered, VideoJob, job_of
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
from wan_assets.engine.run_log import FailureLog, PendingLog, progress_logged
from wan_assets.engine.thread_iterator import iterate_in_thread

if TYPE_CHECKING:
    from wan_assets.engine.adoption import Adopted, adopt
    from wan_assets.engine.engine import generate
    from wan_assets.engine.recovery import recover

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

_LAZY_NAMES = {"adoption": ["Adopted", "adopt"], "engine": ["generate"], "recovery": ["recover"]}

__getattr__, _, _ = lazy_loader.attach(__name__, submod_attrs=_LAZY_NAMES)
