"""Exports: a table's videos as a dataset that other tools open, kept in step by later exports. Without Dagster."""

from wan_assets.export.options import FORMATS, ExportOptions, Format
from wan_assets.export.splits import SPLITS, Split, split_of
from wan_assets.export.writer import Exported, export_dataset

__all__ = ["FORMATS", "SPLITS", "ExportOptions", "Exported", "Format", "Split", "export_dataset", "split_of"]
