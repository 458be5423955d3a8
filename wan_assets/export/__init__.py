"""Exports: a table's videos in a format that other tools read. A later export updates the folder."""

from wan_assets.export.options import FORMATS, ONLY, ExportOptions, Format
from wan_assets.export.splits import split_of
from wan_assets.export.writer import Exported, export_dataset

__all__ = [
    "FORMATS",
    "ONLY",
    "ExportOptions",
    "Exported",
    "Format",
    "export_dataset",
    "split_of",
]
