"""Dagster metadata of final videos: the drafts that they are made from, and who approved them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import dagster as dg

from wan_assets.prompts import APPROVAL, APPROVED_AT, APPROVED_BY, DRAFT_SHA256, PromptRow, approval_of


def draft_metadata(row: PromptRow) -> dict[str, Any]:
    """Returns the draft of a row, and the decision that approves it; empty for a row that needs no draft."""
    approval = approval_of(row)
    if approval is None:
        return {}
    return {
        "wan_assets/draft": approval.name,
        "wan_assets/draft_sha256": row.extra.get(DRAFT_SHA256, ""),
        "wan_assets/approved_by": row.extra.get(APPROVED_BY, ""),
        "wan_assets/approved_at": row.extra.get(APPROVED_AT, ""),
        "wan_assets/approval": row.extra.get(APPROVAL, ""),
    }


def drafts_metadata(rows: Sequence[PromptRow]) -> dict[str, Any]:
    """Returns the number of drafts of a batch by reviewer; empty for rows that need no draft."""
    reviewers = Counter(row.extra.get(APPROVED_BY, "") for row in rows if approval_of(row))
    return {"wan_assets/approved_by": dg.MetadataValue.json(dict(sorted(reviewers.items())))} if reviewers else {}
