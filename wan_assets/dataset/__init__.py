"""A dataset: the rows of a table with their tasks and stored videos; its manifest, quality and reconciliation."""

from wan_assets.dataset.approval_policy import ApprovalPolicy, ApprovalRule
from wan_assets.dataset.column import Column
from wan_assets.dataset.decision_file import (
    DECISION_FILE_FORMAT,
    DecisionFile,
    FileDecision,
    InvalidDecision,
    record_decisions,
)
from wan_assets.dataset.entries import WITHOUT_VIDEO, Entries, Entry, EntryTotals, Only
from wan_assets.dataset.manifest import Manifest, write_manifest
from wan_assets.dataset.manifest_columns import COLUMNS, SCHEMA
from wan_assets.dataset.partition_videos import PartitionVideos, row_videos, videos_of
from wan_assets.dataset.policy_result import PolicyResult, RuleCount, apply_policy
from wan_assets.dataset.quality import (
    COST_TOLERANCE,
    MATCH_CHECK,
    VIDEO_CHECKS,
    QualityResult,
    quality_results_of,
    recorded_result,
    request_result,
)
from wan_assets.dataset.reconciliation import DayCompared, days_without_unknown_charges, reconciled
from wan_assets.dataset.recorded_entries import recorded_entries
from wan_assets.dataset.rows import Dataset, DatasetRow, is_all_simulated
from wan_assets.dataset.video import Video

__all__ = [
    "COLUMNS",
    "COST_TOLERANCE",
    "DECISION_FILE_FORMAT",
    "MATCH_CHECK",
    "SCHEMA",
    "VIDEO_CHECKS",
    "WITHOUT_VIDEO",
    "ApprovalPolicy",
    "ApprovalRule",
    "Column",
    "Dataset",
    "DatasetRow",
    "DayCompared",
    "DecisionFile",
    "Entries",
    "Entry",
    "EntryTotals",
    "FileDecision",
    "InvalidDecision",
    "Manifest",
    "Only",
    "PartitionVideos",
    "PolicyResult",
    "QualityResult",
    "RuleCount",
    "Video",
    "apply_policy",
    "days_without_unknown_charges",
    "is_all_simulated",
    "quality_results_of",
    "reconciled",
    "record_decisions",
    "recorded_entries",
    "recorded_result",
    "request_result",
    "row_videos",
    "videos_of",
    "write_manifest",
]
