"""Chooses the values of a row's extra columns, and the tags of runs, that budgets and reports use."""

from __future__ import annotations

import re
from collections.abc import Mapping

from wan_assets.prompts.approved_videos import DRAFT_COLUMNS
from wan_assets.prompts.columns import PRIORITY
from wan_assets.prompts.prompt_row import PromptRow

_MAX_TAGS = 32
_MAX_NAME = 64
_MAX_VALUE = 128
_NOT_TAGS = frozenset({PRIORITY, *DRAFT_COLUMNS})
_SECRET_NAME = re.compile(r"token|secret|passw|credential|api_?key|signature|authorization", re.IGNORECASE)
_ADDRESS = re.compile(r"://|\?[^=]*=|:[^@]*@")
"""Parts of addresses, which may contain secrets."""


def tags_of(row: PromptRow) -> dict[str, str]:
    """Returns the short values of a row's extra columns by name, at most 32 of them.

    Long texts, nested values, addresses and columns with the names of secrets are no tags.
    """
    return _tags_in({name: value for name, value in row.extra.items() if name not in _NOT_TAGS})


def run_tags_of(tags: Mapping[str, str]) -> dict[str, str]:
    """Returns the tags of a run that are recorded, chosen as those of a row; not those that Dagster hides."""
    return _tags_in({name: value for name, value in tags.items() if not name.startswith(".")})


def tag_text(name: str, value: str) -> str:
    """Returns the value that the ledger records for one column of a row, without outer spaces; empty for none."""
    text = value.strip()
    return text if name not in _NOT_TAGS and _is_tag(name, text) else ""


def _tags_in(values: Mapping[str, str]) -> dict[str, str]:
    found = ((name, value.strip()) for name, value in values.items())
    return dict([(name, text) for name, text in found if _is_tag(name, text)][:_MAX_TAGS])


def _is_tag(name: str, value: str) -> bool:
    is_short = 0 < len(value) <= _MAX_VALUE and 0 < len(name) <= _MAX_NAME and (name + value).isprintable()
    return is_short and value[0] not in "{[" and not (_SECRET_NAME.search(name) or _ADDRESS.search(value))
