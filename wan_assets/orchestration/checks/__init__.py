"""Asset checks over the whole dataset, and for each partition."""

from wan_assets.dataset import VIDEO_CHECKS, CheckVerdict, verdicts_of
from wan_assets.orchestration.checks.dataset_checks import DATASET_CHECKS, Judgement, Offender, judged
from wan_assets.orchestration.checks.definition import (
    Severities,
    build_video_checks,
    match_check,
    partition_check,
    partition_check_spec,
    severities_of,
)
from wan_assets.orchestration.checks.partition_checks import PartitionChecks

__all__ = [
    "DATASET_CHECKS",
    "VIDEO_CHECKS",
    "CheckVerdict",
    "Judgement",
    "Offender",
    "PartitionChecks",
    "Severities",
    "build_video_checks",
    "judged",
    "match_check",
    "partition_check",
    "partition_check_spec",
    "severities_of",
    "verdicts_of",
]
