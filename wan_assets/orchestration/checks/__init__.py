"""Asset checks of the whole dataset and of each partition."""

from wan_assets.dataset import VIDEO_CHECKS, QualityResult, quality_results_of
from wan_assets.orchestration.checks.after_failure import checks_after_failure
from wan_assets.orchestration.checks.dataset_checks import DATASET_CHECKS, CheckResult, FailedRow, check_results
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
    "CheckResult",
    "FailedRow",
    "PartitionChecks",
    "QualityResult",
    "Severities",
    "build_video_checks",
    "check_results",
    "checks_after_failure",
    "match_check",
    "partition_check",
    "partition_check_spec",
    "quality_results_of",
    "severities_of",
]
