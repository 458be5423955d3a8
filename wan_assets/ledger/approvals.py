"""Refuses tasks that need an approved video: the final version of a draft is submitted only while the draft is
approved.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Self

import sqlalchemy as sa

from wan_assets.errors import NotApprovedError
from wan_assets.ledger.clock import NOW_ISO
from wan_assets.ledger.database import lock_number
from wan_assets.ledger.decisions import Decision, DecisionValue, VideoKey, latest
from wan_assets.ledger.records import TaskState
from wan_assets.ledger.schema import tasks

_DECISIONS_LOCK = 0x64656369
"""The number of an advisory lock of the database."""

_NOT_APPROVED = {
    DecisionValue.REJECTED: "rejected it",
    DecisionValue.RETAKE: "asked for another take",
    DecisionValue.UNDECIDED: "withdrew the decision about it",
}
"""What a reviewer did with a video that is not approved."""


@dataclass(frozen=True)
class Approval:
    """The approved video that a task needs: the draft of a final video, and the name under which messages show it.

    `decision` is the number of the decision that approved it when the task was last submitted, and `checked_at` the
    moment before that submission, as ISO 8601 in UTC.
    """

    fingerprint: str
    sha256: str
    result: int = 1
    is_simulated: bool = False
    name: str = ""
    decision: int | None = None
    checked_at: str | None = None

    @property
    def video(self) -> VideoKey:
        """The video that must be approved."""
        return VideoKey(self.fingerprint, self.sha256, self.result)

    def as_text(self) -> str:
        """Returns the form in which a task records it."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def of_text(cls, text: str) -> Self:
        """Reads the form in which a task records it."""
        return cls(**json.loads(text))


def refuse_unless_approved(connection: sa.Connection, approval: Approval, *, simulated: bool) -> Approval:
    """Raises `NotApprovedError` unless the latest decision approves the video, and the video is still the current one
    of its request. A simulated video approves no real purchase. Returns the approval with decision and time.
    """
    lock_decisions(connection, is_shared=True)
    name = approval.name or f"{approval.fingerprint[:12]}…"
    if approval.is_simulated and not simulated:
        raise NotApprovedError(name, "it is simulated, and this task would be paid for with real money")
    decision = latest(connection, approval.video)
    if decision is None:
        raise NotApprovedError(name, "nobody has decided about it")
    if not decision.is_approved:
        raise NotApprovedError(name, _reason(decision))
    if not _is_current(connection, approval):
        raise NotApprovedError(name, "the ledger has no such video, or a newer one of the same request")
    now = str(connection.execute(sa.select(NOW_ISO)).scalar_one())
    return replace(approval, decision=decision.number, checked_at=now)


def needed_video(text: str | None) -> VideoKey | None:
    """Returns the video that a task needs, given the form in which it records its approval; None if it needs none."""
    return Approval.of_text(text).video if text else None


def lock_decisions(connection: sa.Connection, *, is_shared: bool = False) -> None:
    """Orders decisions, and the tasks that need them, which share the lock: one of two transactions waits.

    It is one lock for all videos. Decisions are committed in the order of their numbers, so that a reader of new ones
    misses none, and a transaction that decides about many videos waits for no transaction that waits for it.
    """
    lock_number(connection, _DECISIONS_LOCK, is_shared=is_shared)


def _reason(decision: Decision) -> str:
    """Says why a decision does not approve."""
    return f"{decision.reviewer} {_NOT_APPROVED[decision.value]} at {decision.decided_at}"


def _is_current(connection: sa.Connection, approval: Approval) -> bool:
    """Whether the file is the given result of the newest stored task of its request."""
    here = (
        tasks.c.fingerprint == approval.fingerprint,
        tasks.c.is_simulated == approval.is_simulated,
        tasks.c.state == TaskState.STORED,
    )
    newest = sa.select(tasks.c.results).where(*here).order_by(tasks.c.attempt.desc()).limit(1)
    results = json.loads(connection.execute(newest).scalar() or "[]")
    return len(results) >= approval.result and results[approval.result - 1].get("sha256") == approval.sha256
