"""Datasets: what table, ledger and store together know of each row, and the manifest of all videos. Without Dagster."""

from wan_assets.dataset.entries import Entries, Entry, Tally
from wan_assets.dataset.manifest import Manifest, write_manifest
from wan_assets.dataset.manifest_columns import COLUMNS, SCHEMA, Column
from wan_assets.dataset.rows import Dataset, Subject

__all__ = [
    "COLUMNS",
    "SCHEMA",
    "Column",
    "Dataset",
    "Entries",
    "Entry",
    "Manifest",
    "Subject",
    "Tally",
    "write_manifest",
]
