"""Prompt tables: rows from files and DataFrames, every one checked offline before anything is sent."""

from __future__ import annotations

from wan_assets.prompts.problem import Problem
from wan_assets.prompts.rows import PromptRow
from wan_assets.prompts.summary import Summary
from wan_assets.prompts.table import Chunk, Prompts, PromptTable, scan

__all__ = ["Chunk", "Problem", "PromptRow", "PromptTable", "Prompts", "Summary", "scan"]
