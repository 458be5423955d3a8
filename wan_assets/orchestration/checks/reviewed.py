"""The check `reviewed` of each partition: whether its videos are approved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import dagster as dg

from wan_assets.ledger import Decision, DecisionValue, Take, Takes
from wan_assets.orchestration.metadata.video import table_of

REVIEW_CHECK = "reviewed"
_SHOWN = 5
_ROWS_SHOWN = 100
_DESCRIPTION = "Somebody has approved a video of every row. It fails while a row is undecided, sent back or rejected."


def review_check_spec(asset: dg.AssetKey) -> dg.AssetCheckSpec:
    """Returns the spec of the check."""
    return dg.AssetCheckSpec(REVIEW_CHECK, asset=asset, description=_DESCRIPTION)


def review_check(asset: dg.AssetKey, partition: str, rows: Sequence[tuple[str, Takes]]) -> dg.AssetCheckEvaluation:
    """Evaluates the decisions about the rows of a partition, given by their ids, as one event."""
    values = [(prompt_id, takes.chosen.value) for prompt_id, takes in rows]
    waiting = [(prompt_id, value) for prompt_id, value in values if value is not DecisionValue.APPROVED]
    described = waiting or values
    messages = [f"{prompt_id} is {_shown(value)}" for prompt_id, value in described[:_SHOWN]]
    more = [f"and {len(described) - _SHOWN} more"] if len(described) > _SHOWN else []
    return dg.AssetCheckEvaluation(
        asset_key=asset,
        check_name=REVIEW_CHECK,
        partition=partition,
        passed=not waiting,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join([*messages, *more]) or None,
        metadata=review_metadata(rows),
    )


def review_metadata(rows: Sequence[tuple[str, Takes]]) -> dict[str, Any]:
    """Returns the counts of decisions by value, and a table of the decisions that apply."""
    counts = Counter(takes.chosen.value for _, takes in rows)
    metadata: dict[str, Any] = {f"wan_assets/{value}": counts[value] for value in DecisionValue}
    metadata["wan_assets/takes"] = sum(len(takes.takes) for _, takes in rows)
    ratings = [decision.rating for _, takes in rows for decision in takes.chosen.decisions if decision.rating]
    if ratings:
        metadata["wan_assets/rating"] = sum(ratings) / len(ratings)
    decided = [_row(prompt_id, takes.chosen, each) for prompt_id, takes in rows for each in takes.chosen.decisions]
    if decided:
        metadata["wan_assets/decisions"] = table_of(decided[:_ROWS_SHOWN])
    return metadata


def _row(prompt_id: str, take: Take, decision: Decision) -> dict[str, str]:
    return {
        "prompt_id": prompt_id,
        "result": str(decision.video.result),
        "take": str(take.number),
        "decision": str(decision.value),
        "reviewer": decision.reviewer,
        "decided_at": decision.decided_at,
        "rating": "" if decision.rating is None else str(decision.rating),
        "labels": ", ".join(decision.labels),
        "note": decision.note,
        "rule": decision.rule,
    }


def _shown(value: DecisionValue) -> str:
    return "sent back" if value is DecisionValue.RETAKE else value
