"""The engine: requests in, stored videos out. It pays for each request once and does not depend on Dagster."""

from wan_assets.engine.adoption import Adopted, adopt
from wan_assets.engine.engine import generate
from wan_assets.engine.in_flight import OnProgress, Pending, RunSnapshot
from wan_assets.engine.jobs import Limits, OnMismatch, Outcome, VideoJob
from wan_assets.engine.progress import (
    Clock,
    Estimate,
    Following,
    Progress,
    Spacing,
    Stage,
    Watcher,
    clocked,
    sentence,
    unwatched,
)
from wan_assets.engine.recovery import Recovered, recover
from wan_assets.engine.run_log import FailureLog, PendingLog, progress_logged
from wan_assets.engine.thread_iterator import threaded

__all__ = [
    "Adopted",
    "Clock",
    "Estimate",
    "FailureLog",
    "Following",
    "Limits",
    "OnMismatch",
    "OnProgress",
    "Outcome",
    "Pending",
    "PendingLog",
    "Progress",
    "Recovered",
    "RunSnapshot",
    "Spacing",
    "Stage",
    "VideoJob",
    "Watcher",
    "adopt",
    "clocked",
    "generate",
    "progress_logged",
    "recover",
    "sentence",
    "threaded",
    "unwatched",
]
