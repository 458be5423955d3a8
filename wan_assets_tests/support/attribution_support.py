"""Ledgers with any tasks, tags and decisions, and what reports about them must say."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from wan_assets.ledger import Grouping, SpendLine
from wan_assets.ledger.schema import decisions, metadata, run_tags, tasks
from wan_assets.models import MODEL

NONE = "(none)"


def digest(*parts: object) -> str:
    """A hash for tests."""
    return sha256(repr(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Entry:
    """One task. `files` has a text for each stored video; equal texts are equal files."""

    state: str = "stored"
    request: int = 0
    files: tuple[str, ...] = ("a",)
    cost: int = 473_000
    reserved: int = 0
    tags: dict[str, str] = field(default_factory=dict)
    run_id: str = "r1"
    asset: str = "videos"
    partition: str = "p1"
    model: str = ""
    created: str = "2026-11-15T12:00"
    counted: str | None = None
    simulated: bool = False

    @property
    def fingerprint(self) -> str:
        """That of its request."""
        return digest("request", self.request)

    @property
    def hashes(self) -> tuple[str, ...]:
        """The hashes of its videos, if they are stored."""
        return tuple(digest("file", name) for name in self.files) if self.state == "stored" else ()


@dataclass(frozen=True)
class Decided:
    """A decision about a video, by the number of its task and of its result."""

    task: int
    value: str
    reviewer: str = "ada"
    result: int = 1


@dataclass(frozen=True)
class Book:
    """All that a ledger contains; the order is that of time."""

    entries: tuple[Entry, ...]
    decided: tuple[Decided, ...] = ()
    run_tags: dict[str, dict[str, str]] = field(default_factory=dict)

    def write(self, url: str) -> None:
        """Replaces the content of a ledger that exists."""
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            for table in (tasks, decisions, run_tags):
                connection.execute(metadata.tables[table.name].delete())
            for number, entry in enumerate(self.entries):
                connection.execute(tasks.insert().values(_row(number, entry)))
            for number, one in enumerate(self._possible(), 1):
                connection.execute(decisions.insert().values(_decision(number, one, self.entries[one.task])))
            for run_id, tags in self.run_tags.items():
                connection.execute(run_tags.insert().values(run_id=run_id, tags=json.dumps(tags)))
        engine.dispose()

    def lines(self, by: Grouping, month: str | None = None) -> dict[tuple[tuple[str, ...], bool], tuple[int, ...]]:
        """The counts and amounts by keys and kind of money, added up task by task."""
        found: dict[tuple[tuple[str, ...], bool], tuple[int, ...]] = {}
        for number, entry in enumerate(self.entries):
            if month and local(entry, by.time_zone)[:7] != month:
                continue
            place = (tuple(self._key(number, name, by.time_zone) for name in by.names), entry.simulated)
            unknown = entry.state in ("failed", "rejected", "stored") and entry.reserved > 0
            counts = (1, len(entry.hashes), self._approved(number), entry.cost, entry.reserved, int(unknown))
            found[place] = tuple(map(sum, zip(found.get(place, (0,) * 6), counts, strict=True)))
        return found

    def _possible(self) -> list[Decided]:
        return [one for one in self.decided if one.result <= len(self.entries[one.task].hashes)]

    def _about(self, number: int) -> list[tuple[int, Decided]]:
        """The latest decision about each video of a task, with its number."""
        entry, latest = self.entries[number], dict[tuple[str, int], tuple[int, Decided]]()
        for order, one in enumerate(self._possible(), 1):
            other = self.entries[one.task]
            if other.fingerprint == entry.fingerprint:
                latest[other.hashes[one.result - 1], one.result] = (order, one)
        return [latest[key] for place, file in enumerate(entry.hashes, 1) if (key := (file, place)) in latest]

    def _approved(self, number: int) -> int:
        entry = self.entries[number]
        same = (entry.fingerprint, entry.simulated, "stored")
        newer = [one for one in self.entries[number + 1 :] if (one.fingerprint, one.simulated, one.state) == same]
        return 0 if newer else sum(one.value == "approved" for _, one in self._about(number))

    def _key(self, number: int, name: str, time_zone: str) -> str:
        entry = self.entries[number]
        if name in ("day", "month"):
            return local(entry, time_zone)[: 10 if name == "day" else 7]
        if name == "reviewer":
            return self._reviewer(number)
        if name == "model":
            return entry.model or MODEL
        if name in ("state", "asset", "partition", "run_id"):
            return str(getattr(entry, name))
        columns = ("team", "x_team") if name == "team" else (name.removeprefix("tag:"),)
        of_run = self.run_tags.get(entry.run_id, {}).get(name.removeprefix("run_tag:"))
        found = [of_run] if name.startswith("run_tag:") else [entry.tags.get(column) for column in columns]
        return next(filter(None, found), NONE)

    def _reviewer(self, number: int) -> str:
        about = self._about(number)
        approvals = [each for each in about if each[1].value == "approved"]
        others = [each for each in about if each[1].value != "undecided"]
        return max(approvals or others, key=lambda each: each[0])[1].reviewer if approvals or others else NONE


def local(entry: Entry, time_zone: str) -> str:
    """The moment in whose periods a task counts, in a time zone."""
    moment = datetime.fromisoformat(entry.counted or entry.created).replace(tzinfo=UTC)
    return moment.astimezone(ZoneInfo(time_zone)).isoformat()


def counts_of(lines: Iterable[SpendLine]) -> dict[tuple[tuple[str, ...], bool], tuple[int, ...]]:
    """Lines of a ledger in the form of `Book.lines`."""
    return {
        (line.keys, line.is_simulated): (
            line.tasks,
            line.videos,
            line.approved,
            line.cost_microusd,
            line.reserved_microusd,
            line.unknown,
        )
        for line in lines
    }


def _row(number: int, entry: Entry) -> dict[str, object]:
    request = {"positivePrompt": "A kite", **({"model": entry.model} if entry.model else {})}
    return {
        "task_uuid": f"task-{number}",
        "fingerprint": entry.fingerprint,
        "attempt": number + 1,
        "is_simulated": entry.simulated,
        "state": entry.state,
        "number_results": max(1, len(entry.files)),
        "reserved_microusd": entry.reserved,
        "cost_microusd": entry.cost,
        "request": json.dumps(request),
        "results": json.dumps([{"sha256": each, "uri": "file:///v.mp4"} for each in entry.hashes]),
        "run_id": entry.run_id,
        "asset": entry.asset,
        "partition": entry.partition,
        "created_at": f"{entry.created}:00.000+00:00",
        "counted_at": f"{entry.counted}:59.999+00:00" if entry.counted else None,
        "tags": json.dumps(entry.tags, ensure_ascii=False, separators=(",", ":")),
    }


def _decision(number: int, one: Decided, entry: Entry) -> dict[str, object]:
    return {
        "number": number,
        "fingerprint": entry.fingerprint,
        "sha256": entry.hashes[one.result - 1],
        "result": one.result,
        "value": one.value,
        "labels": "[]",
        "note": "",
        "reviewer": one.reviewer,
        "source": "page",
        "rule": "",
        "decided_at": "2026-11-20T00:00:00.000+00:00",
        "key": f"key-{number}",
    }
