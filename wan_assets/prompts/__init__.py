"""Prompt tables: rows from files, DataFrames and databases. Every row is validated before anything is submitted."""

from wan_assets.prompts.local_files import LocalFileError, verified_content
from wan_assets.prompts.problems import Problem, Refusal, shortened
from wan_assets.prompts.result_frame import frame_of, index_of
from wan_assets.prompts.rows import PromptRow
from wan_assets.prompts.signature import signature_of
from wan_assets.prompts.snapshot import Snapshot, snapshot_writer
from wan_assets.prompts.sql_query import SqlQuery
from wan_assets.prompts.table import Chunk, Prompts, PromptTable, scan
from wan_assets.prompts.table_summary import Summary

__all__ = [
    "Chunk",
    "LocalFileError",
    "Problem",
    "PromptRow",
    "PromptTable",
    "Prompts",
    "Refusal",
    "Snapshot",
    "SqlQuery",
    "Summary",
    "frame_of",
    "index_of",
    "scan",
    "shortened",
    "signature_of",
    "snapshot_writer",
    "verified_content",
]
