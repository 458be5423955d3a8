"""A dataset: the rows of a table with their tasks and stored videos; its manifest, quality and reconciliation."""

from wan_assets.dataset.entries import Entries, Entry, Tally
from wan_assets.dataset.manifest import Manifest, write_manifest
from wan_assets.dataset.manifest_columns import COLUMNS, SCHEMA, Column
from wan_assets.dataset.quality import (
    COST_TOLERANCE,
    MATCH_CHECK,
    VIDEO_CHECKS,
    CheckVerdict,
    request_verdict,
    verdicts_of,
)
from wan_assets.dataset.reconciliation import DayCompared, days_without_unknown_charges, reconciled
from wan_assets.dataset.rows import Dataset, Subject

__all__ = [
    "COLUMNS",
    "COST_TOLERANCE",
    "MATCH_CHECK",
    "SCHEMA",
    "VIDEO_CHECKS",
    "CheckVerdict",
    "Column",
    "Dataset",
    "DayCompared",
    "Entries",
    "Entry",
    "Manifest",
    "Subject",
    "Tally",
    "days_without_unknown_charges",
    "reconciled",
    "request_verdict",
    "verdicts_of",
    "write_manifest",
]
