"""Prompt tables: rows from files, DataFrames and databases, every one checked offline before anything is sent."""

from __future__ import annotations

from wan_assets.prompts.problems import Problem, Refusal, shortened
from wan_assets.prompts.rows import PromptRow
from wan_assets.prompts.signature import signature_of
from wan_assets.prompts.sources import SqlQuery
from wan_assets.prompts.table import Chunk, Prompts, PromptTable, scan
from wan_assets.prompts.table_summary import Summary

__all__ = [
    "Chunk",
    "Problem",
    "PromptRow",
    "PromptTable",
    "Prompts",
    "Refusal",
    "SqlQuery",
    "Summary",
    "scan",
    "shortened",
    "signature_of",
]
