"""Prompt tables: rows from files, DataFrames and databases. Every row is validated before anything is submitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from wan_assets.prompts.approved_videos import (
    APPROVAL,
    APPROVED_AT,
    APPROVED_BY,
    DRAFT,
    DRAFT_ASSET,
    DRAFT_SHA256,
    ApprovedRows,
    ApprovedVideos,
    approval_of,
    with_overrides,
)
from wan_assets.prompts.column_use import ColumnUse
from wan_assets.prompts.columns import EXPERIMENT, MODEL_COLUMN, VARIANT
from wan_assets.prompts.findings import Finding, Findings, findings_of
from wan_assets.prompts.local_files import LocalFileError, verified_content
from wan_assets.prompts.locations import format_of, identity_of, label_of, location_of, name_of
from wan_assets.prompts.price_list import PricedKind, PriceLine, PriceList, QuotedKind
from wan_assets.prompts.problems import Problem, Refusal, shortened
from wan_assets.prompts.prompt_row import PromptRow
from wan_assets.prompts.prompt_source import Extra, PromptSource, prompt_source_from
from wan_assets.prompts.result_frame import frame_of, index_of
from wan_assets.prompts.row_batch import fingerprints_by_id
from wan_assets.prompts.row_selection import ChosenRows, RowSelection, RowsSeen
from wan_assets.prompts.row_tags import run_tags_of, tags_of
from wan_assets.prompts.signature import signature_of
from wan_assets.prompts.snapshot import Snapshot, snapshot_writer
from wan_assets.prompts.sql_query import SqlQuery
from wan_assets.prompts.table import Chunk, Prompts, PromptTable, scan
from wan_assets.prompts.table_blocks import SMALLEST_BYTES, IndexUnusableError
from wan_assets.prompts.table_summary import Summary
from wan_assets.prompts.variant_options import MAX_VARIANTS

if TYPE_CHECKING:
    from wan_assets.prompts.indexed_file import IndexedFile
    from wan_assets.prompts.indexed_table import ChangedTable, IndexedReading, changed_table
    from wan_assets.prompts.table_index import TableIndex

__all__ = [
    "APPROVAL",
    "APPROVED_AT",
    "APPROVED_BY",
    "DRAFT",
    "DRAFT_ASSET",
    "DRAFT_SHA256",
    "EXPERIMENT",
    "MAX_VARIANTS",
    "MODEL_COLUMN",
    "SMALLEST_BYTES",
    "VARIANT",
    "ApprovedRows",
    "ApprovedVideos",
    "ChangedTable",
    "ChosenRows",
    "Chunk",
    "ColumnUse",
    "Extra",
    "Finding",
    "Findings",
    "IndexUnusableError",
    "IndexedFile",
    "IndexedReading",
    "LocalFileError",
    "PriceLine",
    "PriceList",
    "PricedKind",
    "Problem",
    "PromptRow",
    "PromptSource",
    "PromptTable",
    "Prompts",
    "QuotedKind",
    "Refusal",
    "RowSelection",
    "RowsSeen",
    "Snapshot",
    "SqlQuery",
    "Summary",
    "TableIndex",
    "approval_of",
    "changed_table",
    "findings_of",
    "fingerprints_by_id",
    "format_of",
    "frame_of",
    "identity_of",
    "index_of",
    "label_of",
    "location_of",
    "name_of",
    "prompt_source_from",
    "run_tags_of",
    "scan",
    "shortened",
    "signature_of",
    "snapshot_writer",
    "tags_of",
    "verified_content",
    "with_overrides",
]

_LAZY_NAMES = {
    "indexed_file": ["IndexedFile"],
    "indexed_table": ["ChangedTable", "IndexedReading", "changed_table"],
    "table_index": ["TableIndex"],
}

__getattr__, _, _ = lazy_loader.attach(__name__, submod_attrs=_LAZY_NAMES)
