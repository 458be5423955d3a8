"""Chooses the values of a row's extra columns that budgets and reports use."""

from __future__ import annotations

from wan_assets.prompts.approved_videos import DRAFT_COLUMNS
from wan_assets.prompts.columns import PRIORITY
from wan_assets.prompts.prompt_row import PromptRow

_MAX_TAGS = 32
_MAX_NAME = 64
_MAX_VALUE = 128
_NOT_TAGS = frozenset({PRIORITY, *DRAFT_COLUMNS})


def tags_of(row: PromptRow) -> dict[str, str]:
    """Returns the short values of a row's extra columns by name, at most 32 of them.

    Long texts, nested values and addresses are no tags: addresses may contain secrets.
    """
    found = ((name, value) for name, value in row.extra.items() if name not in _NOT_TAGS and _is_tag(name, value))
    return dict(list(found)[:_MAX_TAGS])


def _is_tag(name: str, value: str) -> bool:
    is_short = 0 < len(value) <= _MAX_VALUE and len(name) <= _MAX_NAME
    return is_short and value.isprintable() and "://" not in value and value[0] not in "{["
