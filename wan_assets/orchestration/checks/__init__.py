"""Asset checks of the whole dataset and of each partition."""

from wan_assets.dataset import VIDEO_CHECKS, QualityResult, quality_results_of
from wan_assets.orchestration.checks.after_failure import checks_after_failure
from wan_assets.orchestration.checks.budgets import BUDGET_CHECK, budget_check, budget_check_result, budget_check_spec
from wan_assets.orchestration.checks.dataset_checks import DATASET_CHECKS, CheckResult, FailedRow, check_results
from wan_assets.orchestration.checks.definition import (
    Severities,
    build_video_checks,
    match_check,
    partition_check,
    partition_check_spec,
    severities_of,
)
from wan_assets.orchestration.checks.estimates import ESTIMATES_CHECK, estimates_check, estimates_check_spec
from wan_assets.orchestration.checks.partition_checks import PartitionChecks
from wan_assets.orchestration.checks.reviewed import REVIEW_CHECK, review_check, review_check_spec, review_metadata
from wan_assets.orchestration.checks.video_check import (
    VideoCheck,
    VideoCheckResult,
    verified_checks,
    video_check,
    video_check_specs,
)
from wan_assets.orchestration.checks.video_check_run import VideoCheckRun

__all__ = [
    "BUDGET_CHECK",
    "DATASET_CHECKS",
    "ESTIMATES_CHECK",
    "REVIEW_CHECK",
    "VIDEO_CHECKS",
    "CheckResult",
    "FailedRow",
    "PartitionChecks",
    "QualityResult",
    "Severities",
    "VideoCheck",
    "VideoCheckResult",
    "VideoCheckRun",
    "budget_check",
    "budget_check_result",
    "budget_check_spec",
    "build_video_checks",
    "check_results",
    "checks_after_failure",
    "estimates_check",
    "estimates_check_spec",
    "match_check",
    "partition_check",
    "partition_check_spec",
    "quality_results_of",
    "review_check",
    "review_check_spec",
    "review_metadata",
    "severities_of",
    "verified_checks",
    "video_check",
    "video_check_specs",
]
