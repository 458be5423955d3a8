"""Records decisions about videos. Decisions are only added; the latest decision about a video applies."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, NamedTuple, TypeAlias

import sqlalchemy as sa
from more_itertools import chunked

from wan_assets.errors import DecisionError
from wan_assets.ledger.clock import NOW_ISO
from wan_assets.ledger.schema import decisions, insert_into

Source: TypeAlias = Literal["page", "command", "import", "policy", "api"]

MAX_NOTE, MAX_LABEL, MAX_LABELS, MAX_REVIEWER = 2_000, 60, 20, 120
"""The most characters of a note, of a label and of a reviewer's name, and the most labels."""

_HASH = re.compile(r"[0-9a-f]{64}")
_PER_STATEMENT = 300
_LOWEST, _HIGHEST = 1, 5


class DecisionValue(StrEnum):
    """The value of a decision about a video.

    `approved` accepts it, `rejected` does not, `retake` asks for another video of the same row, and `undecided`
    withdraws an earlier decision.
    """

    APPROVED = "approved"
    REJECTED = "rejected"
    RETAKE = "retake"
    UNDECIDED = "undecided"


class VideoKey(NamedTuple):
    """Identifies a reviewed video: the fingerprint of its request, the hash of its file, and the number of the result.

    Another request or another file is another video, about which nothing is decided.
    """

    fingerprint: str
    sha256: str
    result: int = 1


@dataclass(frozen=True)
class NewDecision:
    """A decision to be recorded. The same `key` is recorded once, so that a sender may repeat it.

    `source` is where the decision was made, and `rule` the rule of a policy that made it.
    """

    video: VideoKey
    value: DecisionValue
    reviewer: str
    rating: int | None = None
    labels: tuple[str, ...] = ()
    note: str = ""
    source: Source = "command"
    rule: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        """Refuses values outside their limits, with the reason; the text may come from a page or a file."""
        object.__setattr__(self, "value", _value_of(self.value))
        object.__setattr__(self, "reviewer", reviewer_name(self.reviewer))
        object.__setattr__(self, "note", _text("note", self.note, MAX_NOTE).strip())
        object.__setattr__(self, "labels", _labels_of(self.labels))
        if not all(map(_HASH.fullmatch, self.video[:2])):
            raise DecisionError("the decision names no video: its fingerprint or its sha256 has not 64 hex digits")
        if self.rating is not None and not (
            isinstance(self.rating, int) and not isinstance(self.rating, bool) and _LOWEST <= self.rating <= _HIGHEST
        ):
            raise DecisionError(f"the rating {str(self.rating)[:20]!r} is not a whole number from 1 to 5")


@dataclass(frozen=True)
class Decision:
    """A recorded decision. `number` orders the decisions of a ledger; `decided_at` is ISO 8601 in UTC."""

    number: int
    video: VideoKey
    value: DecisionValue
    reviewer: str
    decided_at: str
    rating: int | None = None
    labels: tuple[str, ...] = ()
    note: str = ""
    source: str = "command"
    rule: str = ""

    @property
    def is_approved(self) -> bool:
        """Whether the decision approves the video."""
        return self.value is DecisionValue.APPROVED

    def as_json(self) -> dict[str, Any]:
        """Returns the decision as JSON values for pages, without the video."""
        return {
            "number": self.number,
            "decision": self.value.value,
            "rating": self.rating,
            "labels": list(self.labels),
            "note": self.note,
            "reviewer": self.reviewer,
            "decided_at": self.decided_at,
            "source": self.source,
            "rule": self.rule,
        }


def record(connection: sa.Connection, new: Iterable[NewDecision]) -> list[Decision]:
    """Records decisions in their order; returns them as recorded, also those that were recorded before."""
    return [_recorded(connection, one) for one in new]


def without_overriding(connection: sa.Connection, new: Iterable[NewDecision]) -> list[NewDecision]:
    """Returns decisions without those of policies about videos that a person has decided about."""
    found = list(new)
    made = history(connection, [each.video for each in found if each.source == "policy"])
    by_person = {video for video, its in made.items() if any(decision.source != "policy" for decision in its)}
    return [each for each in found if each.source != "policy" or each.video not in by_person]


def recorded_keys(connection: sa.Connection, keys: Iterable[str]) -> set[str]:
    """Returns the keys under which a decision is recorded."""
    found: set[str] = set()
    for some in chunked(keys, _PER_STATEMENT):
        found.update(connection.scalars(sa.select(decisions.c.key).where(decisions.c.key.in_(some))))
    return found


def history(connection: sa.Connection, videos: Collection[VideoKey]) -> dict[VideoKey, list[Decision]]:
    """Returns all decisions about some videos, oldest first."""
    found: dict[VideoKey, list[Decision]] = {}
    fingerprints = list(dict.fromkeys(video.fingerprint for video in videos))
    for some in chunked(fingerprints, _PER_STATEMENT):
        rows = connection.execute(
            decisions.select().where(decisions.c.fingerprint.in_(some)).order_by(decisions.c.number)
        )
        for decision in map(decision_of, rows.mappings()):
            found.setdefault(decision.video, []).append(decision)
    wanted = set(videos)
    return {video: made for video, made in found.items() if video in wanted}


def latest(connection: sa.Connection, video: VideoKey) -> Decision | None:
    """Returns the decision about a video that applies."""
    its = (
        decisions.c.fingerprint == video.fingerprint,
        decisions.c.sha256 == video.sha256,
        decisions.c.result == video.result,
    )
    row = connection.execute(decisions.select().where(*its).order_by(decisions.c.number.desc()).limit(1))
    found = row.mappings().first()
    return decision_of(found) if found else None


def after(connection: sa.Connection, number: int, limit: int) -> list[Decision]:
    """Returns the first decisions with a higher number, in order."""
    query = decisions.select().where(decisions.c.number > number).order_by(decisions.c.number).limit(limit)
    return [decision_of(row) for row in connection.execute(query).mappings()]


def applying(connection: sa.Connection, fingerprints: Sequence[str]) -> dict[str, dict[VideoKey, Decision]]:
    """Returns the latest decision about each video of some requests, by fingerprint."""
    found: dict[str, dict[VideoKey, Decision]] = {}
    for some in chunked(fingerprints, _PER_STATEMENT):
        query = decisions.select().where(decisions.c.fingerprint.in_(some)).order_by(decisions.c.number)
        for decision in map(decision_of, connection.execute(query).mappings()):
            found.setdefault(decision.video.fingerprint, {})[decision.video] = decision
    return found


def ever_approved(connection: sa.Connection) -> set[str]:
    """Returns the fingerprints of requests about one of whose videos an approval was recorded."""
    approved = sa.select(decisions.c.fingerprint).where(decisions.c.value == DecisionValue.APPROVED).distinct()
    return set(connection.execute(approved).scalars())


def last_number(connection: sa.Connection, before: str | None) -> int:
    """Returns the number of the latest decision, or of the latest one before a moment in ISO 8601; 0 without any."""
    query = sa.select(sa.func.coalesce(sa.func.max(decisions.c.number), 0))
    query = query if before is None else query.where(decisions.c.decided_at <= before)
    return int(connection.execute(query).scalar_one())


def decision_of(row: sa.RowMapping) -> Decision:
    """Reads a database row."""
    return Decision(
        number=row["number"],
        video=VideoKey(row["fingerprint"], row["sha256"], row["result"]),
        value=DecisionValue(row["value"]),
        reviewer=row["reviewer"],
        decided_at=row["decided_at"],
        rating=row["rating"],
        labels=tuple(json.loads(row["labels"])),
        note=row["note"],
        source=row["source"],
        rule=row["rule"],
    )


def _recorded(connection: sa.Connection, new: NewDecision) -> Decision:
    key = new.key or str(uuid.uuid4())
    values = {
        "fingerprint": new.video.fingerprint,
        "sha256": new.video.sha256,
        "result": new.video.result,
        "value": new.value,
        "rating": new.rating,
        "labels": json.dumps(new.labels, ensure_ascii=False),
        "note": new.note,
        "reviewer": new.reviewer,
        "source": new.source,
        "rule": new.rule,
        "decided_at": NOW_ISO,
        "key": key,
    }
    insert = insert_into(connection.dialect.name, decisions).values(values)
    connection.execute(insert.on_conflict_do_nothing(index_elements=(decisions.c.key,)))
    row = connection.execute(decisions.select().where(decisions.c.key == key)).mappings().one()
    return decision_of(row)


def reviewer_name(given: Any) -> str:
    """Returns the name of a reviewer without spaces at its ends; raises `DecisionError` if it is not valid."""
    name = _text("reviewer", given, MAX_REVIEWER).strip()
    if not name:
        raise DecisionError("the decision has no reviewer")
    return name


def _value_of(value: Any) -> DecisionValue:
    try:
        return DecisionValue(value)
    except ValueError:
        shown = str(value)[:40]
        raise DecisionError(f"the decision {shown!r} is not one of {', '.join(DecisionValue)}") from None


def _labels_of(labels: Sequence[str]) -> tuple[str, ...]:
    if isinstance(labels, str) or not isinstance(labels, (list, tuple)):
        raise DecisionError("labels is not a list of texts")
    found = tuple(dict.fromkeys(stripped for label in labels if (stripped := _text("label", label, MAX_LABEL).strip())))
    if len(found) > MAX_LABELS:
        raise DecisionError(f"a video has at most {MAX_LABELS} labels, not {len(found)}")
    return found


def _text(name: str, value: Any, maximum: int) -> str:
    """Returns a text without control characters other than line ends and tabs."""
    if not isinstance(value, str):
        raise DecisionError(f"the {name} is not text")
    if len(value) > maximum:
        raise DecisionError(f"the {name} has {len(value):,} characters, more than {maximum:,}")
    return "".join(letter for letter in value if letter in "\n\t" or letter.isprintable())
