"""Decides which columns of rows and tags of runs the ledger records, for budgets and reports."""

from __future__ import annotations

import re

MAX_TAG_NAME = 64
MAX_TAG_VALUE = 128
_SECRET_NAME = re.compile(r"token|secret|passw|credential|api_?key|signature|authorization", re.IGNORECASE)
_ADDRESS = re.compile(r"://|\?[^=]*=|:[^@]*@")
"""Parts of addresses, which may contain secrets."""

DRAFT_COLUMNS = (
    *("draft", "draft_asset", "draft_result", "draft_seed", "draft_fingerprint", "draft_sha256", "draft_simulated"),
    *("approved_by", "approved_at", "approval"),
)
"""Extra columns of the row of a final video: its draft, and the decision that approves it."""

PRIORITY = "priority"
"""An extra column that holds a whole number: rows with a higher priority are submitted first."""

_NOT_RECORDED = frozenset({"prompt_id", PRIORITY, *DRAFT_COLUMNS})


def unrecorded_column(name: str) -> str:
    """Returns why a column of rows is never recorded; an empty text if it may be."""
    return f"the column {name} is not recorded" if name in _NOT_RECORDED else unrecorded_name(name)


def unrecorded_run_tag(name: str) -> str:
    """Returns why a tag of runs is never recorded; an empty text if it may be."""
    return f"{name} is a tag that Dagster hides" if name.startswith(".") else unrecorded_name(name)


def unrecorded_name(name: str) -> str:
    """Returns why values of a name are never recorded; an empty text if they may be."""
    if not 0 < len(name) <= MAX_TAG_NAME:
        return f"only names of up to {MAX_TAG_NAME} characters are recorded"
    if not name.isprintable():
        return "the name contains a character that cannot be shown"
    return f"{name} is not recorded, because it has the name of a secret" if _SECRET_NAME.search(name) else ""


def unrecorded_value(value: str, length: int | None = None) -> str:
    """Returns why a value is never recorded; an empty text if it is. `length` is the least length of a pattern."""
    if not 0 < (len(value) if length is None else max(1, length)) <= MAX_TAG_VALUE:
        return f"only values of up to {MAX_TAG_VALUE} characters are recorded"
    if not value.isprintable():
        return "the value contains a character that cannot be shown"
    if value[0] in "{[":
        return "a value that begins with { or [ is not recorded"
    return "a value with a part of an address is not recorded" if _ADDRESS.search(value) else ""
