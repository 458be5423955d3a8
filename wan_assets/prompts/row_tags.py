"""Chooses the values of a row's extra columns, and the tags of runs, that budgets and reports use."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from wan_assets.models import unrecorded_column, unrecorded_run_tag, unrecorded_value
from wan_assets.prompts.prompt_row import PromptRow

_MAX_TAGS = 32


def tags_of(row: PromptRow) -> dict[str, str]:
    """Returns the short values of a row's extra columns by name, at most 32 of them.

    Long texts, nested values, addresses and columns with the names of secrets are no tags.
    """
    return _tags_in(row.extra, unrecorded_column)


def run_tags_of(tags: Mapping[str, str]) -> dict[str, str]:
    """Returns the tags of a run that are recorded, chosen as those of a row; not those that Dagster hides."""
    return _tags_in(tags, unrecorded_run_tag)


def tag_text(name: str, value: str) -> str:
    """Returns the value that the ledger records for one column of a row, without outer spaces; empty for none."""
    return "" if unrecorded_column(name) else _recorded(value)


def _tags_in(values: Mapping[str, str], problem_of: Callable[[str], str]) -> dict[str, str]:
    found = ((name, _recorded(value)) for name, value in values.items() if not problem_of(name))
    return dict([(name, text) for name, text in found if text][:_MAX_TAGS])


def _recorded(value: str) -> str:
    text = value.strip()
    return "" if unrecorded_value(text) else text
