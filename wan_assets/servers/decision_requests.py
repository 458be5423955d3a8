"""The decisions in requests to the review server, and in its answers, as JSON."""

from __future__ import annotations

import json
import re
from typing import Any

from wan_assets.errors import DecisionError
from wan_assets.ledger import Decision, DecisionValue, NewDecision, VideoKey
from wan_assets.models import uuid_in
from wan_assets.servers.request_body import RefusalError

_MAX_AT_ONCE = 100
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MAX_RESULT = 1_000


def decisions_in(body: bytes, reviewer: str) -> list[NewDecision]:
    """Returns the decisions of a body, all by `reviewer`: the text of a page names no other reviewer.

    Raises `RefusalError` for a body that is not valid.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusalError(400, "the body is not JSON") from None
    items = found.get("decisions") if isinstance(found, dict) else None
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise RefusalError(400, "the body has no list of decisions")
    if len(items) > _MAX_AT_ONCE:
        raise RefusalError(413, f"the body has more than {_MAX_AT_ONCE} decisions")
    try:
        return [_decision_in(item, reviewer) for item in items]
    except DecisionError as error:
        raise RefusalError(422, f"{error}. {error.hint}") from None


def recorded_json(decision: Decision) -> dict[str, Any]:
    """Returns a recorded decision with its video."""
    return {**decision.video._asdict(), **decision.as_json()}


def _decision_in(item: dict[str, Any], reviewer: str) -> NewDecision:
    key = uuid_in(item.get("key"))
    if not key:
        raise RefusalError(400, "the key of a decision is not a UUID")
    return NewDecision(
        _video_in(item),
        _value_in(item),
        reviewer,
        rating=item.get("rating"),
        labels=item.get("labels") or (),
        note=item.get("note") or "",
        source="page",
        key=key,
    )


def _video_in(item: dict[str, Any]) -> VideoKey:
    fingerprint, sha256, result = item.get("fingerprint"), item.get("sha256"), item.get("result")
    if not all(isinstance(text, str) and _DIGEST.fullmatch(text) for text in (fingerprint, sha256)):
        raise RefusalError(400, "a decision names no video")
    if type(result) is not int or not 1 <= result <= _MAX_RESULT:
        raise RefusalError(400, "the result of a decision is not a number from 1")
    return VideoKey(str(fingerprint), str(sha256), result)


def _value_in(item: dict[str, Any]) -> DecisionValue:
    try:
        return DecisionValue(str(item.get("decision")))
    except ValueError:
        raise RefusalError(422, f"the decision is not one of {', '.join(DecisionValue)}") from None
