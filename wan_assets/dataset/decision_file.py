"""Decisions in a JSON file, as the gallery writes them for reviews without a server. The file is untrusted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from more_itertools import chunked

from wan_assets.errors import DecisionError
from wan_assets.ledger import Decision, Ledger, NewDecision, VideoKey

DECISION_FILE_FORMAT = "wan-assets decisions 1"
"""The value of `format` in a file of decisions."""

_MAX_BYTES = 64 << 20
_MAX_DECISIONS = 200_000
_MAX_RESULT = 1_000
_SHOWN = 40
_AT_ONCE = 500
_DIGEST = re.compile(r"[0-9a-f]{64}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_REQUIRED = ("fingerprint", "sha256", "decision", "reviewer", "key")
_OPTIONAL: Mapping[str, Any] = {"result": 1, "rating": None, "labels": [], "note": "", "decided_at": None}


@dataclass(frozen=True)
class FileDecision:
    """One decision of a file: its place, from 1, and the time at which the file says that it was made."""

    place: int
    new: NewDecision
    decided_at: datetime | None

    def is_before(self, made: Sequence[Decision]) -> bool:
        """Returns whether the last of some recorded decisions was made later."""
        if self.decided_at is None or not made:
            return False
        return self.decided_at < datetime.fromisoformat(made[-1].decided_at)


@dataclass(frozen=True)
class InvalidDecision:
    """An item of a file that is no decision: its place, from 1, and the reason."""

    place: int
    reason: str


@dataclass
class DecisionFile:
    """The decisions of a file, in order, and its items that are not valid."""

    decisions: list[FileDecision] = field(default_factory=list)
    invalid: list[InvalidDecision] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> DecisionFile:
        """Reads a file; raises `DecisionError` if it cannot be read, or is no file of decisions."""
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
        except OSError as error:
            raise _refused(f"{path} cannot be read: {error.strerror or error}") from None
        if len(content) > _MAX_BYTES:
            raise _refused(f"{path} has more than {_MAX_BYTES:,} bytes")
        return cls.of_text(content, str(path))

    @classmethod
    def of_text(cls, content: bytes, name: str) -> DecisionFile:
        """Reads the content of a file, whose name is for messages."""
        found = cls()
        for place, item in enumerate(_items(content, name), 1):
            try:
                new, decided_at = _decision_of(item)
            except DecisionError as error:
                found.invalid.append(InvalidDecision(place, str(error)))
            else:
                found.decisions.append(FileDecision(place, new, decided_at))
        return found


def record_decisions(ledger: Ledger, new: Sequence[NewDecision]) -> list[Decision]:
    """Records many decisions in several transactions, so that none of them holds the ledger for long."""
    return [decision for some in chunked(new, _AT_ONCE) for decision in ledger.decide(some)]


def _refused(reason: str) -> DecisionError:
    error = DecisionError(reason)
    error.hint = "Name a file that the gallery wrote. Nothing was recorded."
    return error


def _items(content: bytes, name: str) -> list[Any]:
    try:
        document = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if isinstance(error, ValueError) else "it is nested too deeply"
        raise _refused(f"{name} is not valid JSON: {reason}") from None
    if not isinstance(document, dict) or document.get("format") != DECISION_FILE_FORMAT:
        raise _refused(f"{name} is no file of decisions: its `format` is not {DECISION_FILE_FORMAT!r}")
    items = document.get("decisions")
    if not isinstance(items, list):
        raise _refused(f"{name} is no file of decisions: `decisions` is not a list")
    if len(items) > _MAX_DECISIONS:
        raise _refused(f"{name} has {len(items):,} decisions, more than {_MAX_DECISIONS:,}")
    return items


def _decision_of(item: Any) -> tuple[NewDecision, datetime | None]:
    """Reads one item; raises `DecisionError` with the reason why it is no decision."""
    if not isinstance(item, dict):
        raise DecisionError("it is not an object")
    if missing := [name for name in _REQUIRED if name not in item]:
        raise DecisionError(f"it has no {', '.join(missing)}")
    if unknown := [name for name in item if name not in _REQUIRED and name not in _OPTIONAL]:
        raise DecisionError(f"it has the unknown field {unknown[0][:_SHOWN]!r}")
    given = {**_OPTIONAL, **item}
    result = given["result"]
    if type(result) is not int or not 1 <= result <= _MAX_RESULT:
        raise DecisionError(f"result {str(result)[:_SHOWN]!r} is not a number from 1 to {_MAX_RESULT:,}")
    video = VideoKey(_matched(given, "fingerprint", _DIGEST), _matched(given, "sha256", _DIGEST), result)
    new = NewDecision(
        video,
        given["decision"],
        given["reviewer"],
        rating=given["rating"],
        labels=given["labels"],
        note=given["note"],
        source="import",
        key=_matched(given, "key", _UUID),
    )
    return new, _time(given["decided_at"])


def _matched(item: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = item[name]
    if not isinstance(value, str) or not pattern.fullmatch(value):
        form = "a UUID" if pattern is _UUID else "a SHA-256 of 64 hexadecimal digits"
        raise DecisionError(f"{name} {str(value)[:_SHOWN]!r} is not {form}")
    return value


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise DecisionError(f"decided_at {str(value)[:_SHOWN]!r} is not a time in ISO 8601") from None
    if found.tzinfo is None:
        raise DecisionError(f"decided_at {value[:_SHOWN]!r} has no time zone")
    return found
