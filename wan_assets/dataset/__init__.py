"""A dataset: the rows of a table with their tasks and stored videos; its manifest, quality and reconciliation."""

from wan_assets.dataset.entries import Entries, Entry, EntryTotals
from wan_assets.dataset.manifest import Manifest, write_manifest
from wan_assets.dataset.manifest_columns import COLUMNS, SCHEMA, Column
from wan_assets.dataset.quality import (
    COST_TOLERANCE,
    MATCH_CHECK,
    VIDEO_CHECKS,
    QualityResult,
    quality_results_of,
    request_result,
)
from wan_assets.dataset.reconciliation import DayCompared, days_without_unknown_charges, reconciled
from wan_assets.dataset.rows import Dataset, DatasetRow

__all__ = [
    "COLUMNS",
    "COST_TOLERANCE",
    "MATCH_CHECK",
    "SCHEMA",
    "VIDEO_CHECKS",
    "Column",
    "Dataset",
    "DatasetRow",
    "DayCompared",
    "Entries",
    "Entry",
    "EntryTotals",
    "Manifest",
    "QualityResult",
    "days_without_unknown_charges",
    "quality_results_of",
    "reconciled",
    "request_result",
    "write_manifest",
]
