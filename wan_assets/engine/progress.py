"""How far work is: what a line about it says, when the next line is due, and how long it may still take."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol, TypeAlias

from wan_assets.engine.in_flight import Pending, RunSnapshot
from wan_assets.engine.jobs import Outcome
from wan_assets.engine.recovery import Recovered
from wan_assets.models import dollars

Clock: TypeAlias = Callable[[], float]
Update: TypeAlias = Outcome | Recovered | RunSnapshot


_LONGEST_REASON = 90
_PENDING_AFTER_S = 10.0
_PENDING_NAMED = 3


class Stage(Protocol):
    """TaskRunner at one moment: `ended` of `total` rows are done; without a total nobody knows how many there are."""

    @property
    def total(self) -> int | None: ...

    @property
    def ended(self) -> int: ...

    def counts(self) -> tuple[str, ...]:
        """What became of the rows, in a few words each."""

    def money(self) -> tuple[str, ...]:
        """What it costs, in a few words each."""

    def pending(self) -> tuple[str, ...]:
        """What it waits for, in a few words each."""


@dataclass(frozen=True)
class Progress:
    """TaskRunner on `total` rows: `new` ones brought a video, `reused` ones had theirs, `failed` ones have none."""

    total: int
    new: int = 0
    reused: int = 0
    failed: int = 0
    snapshot: RunSnapshot = field(default_factory=RunSnapshot)

    @property
    def ended(self) -> int:
        """How many rows nothing more comes of."""
        return self.new + self.reused + self.failed

    @property
    def worked(self) -> int:
        """How many of them took time."""
        return self.new + self.failed

    def after(self, reported: Update) -> Progress:
        """The progress once another row has ended, or something else is under way."""
        if isinstance(reported, RunSnapshot):
            return replace(self, snapshot=reported)
        if reported.stored is None:
            return replace(self, failed=self.failed + 1)
        if isinstance(reported, Outcome) and reported.is_reused:
            return replace(self, reused=self.reused + 1)
        return replace(self, new=self.new + 1)

    def counts(self) -> tuple[str, ...]:
        """What became of the rows, and what is becoming of others."""
        now = self.snapshot
        storing = (f"{now.storing:,} landing",) if now.storing else ()
        waiting = now.retries.waiting
        trouble = (f"{waiting:,} to be tried again ({_shortened(now.retries.why)})",) if waiting else ()
        limit = (str(now.limit),) if now.limit else ()
        ended = (f"{self.new:,} new", f"{self.reused:,} reused", f"{self.failed:,} failed")
        return (*ended, f"{now.in_flight:,} in flight", *limit, *storing, *trouble)

    def money(self) -> tuple[str, ...]:
        """What was spent and set aside, and what the caps leave."""
        now = self.snapshot
        room = (f"budget left {dollars(now.room_microusd)}",) if now.room_microusd is not None else ()
        kind = ("simulated dollars",) if now.is_simulated else ()
        return (f"spent {dollars(now.spent_microusd)}", f"reserved {dollars(now.reserved_microusd)}", *room, *kind)

    def pending(self) -> tuple[str, ...]:
        """Which rows were waited for longest, since when and until when, once that takes a while."""
        now = self.snapshot
        late = [one for one in now.pending if now.at - one.since >= _PENDING_AFTER_S][:_PENDING_NAMED]
        more = now.in_flight - len(late)
        named = [_waited_for(one) for one in late]
        if not named:
            return ()
        return (f"waiting for {named[0]}", *named[1:], *((f"and {more:,} more",) if more > 0 else ()))


def progress_line(stage: Stage, left: str = "") -> str:
    """A stage in one line; `left` says how long it may still take."""
    parts = [", ".join(stage.counts()), ", ".join(stage.money()), ", ".join(stage.pending()), left]
    of_all = "" if stage.total is None else f" of {stage.total:,}"
    return f"{stage.ended:,}{of_all} done: {'; '.join(filter(None, parts))}"


ProgressCallback: TypeAlias = Callable[[Progress], None]


def ignore_progress(_: Progress) -> None:
    """Nobody watches."""


class ProgressTracker:
    """Progress that is told of all that happens, and shows each step."""

    def __init__(self, first: Progress, show: ProgressCallback) -> None:
        self._progress, self._show = first, show
        show(first)

    def tell(self, reported: Update) -> None:
        """Shows the progress after this."""
        self._progress = self._progress.after(reported)
        self._show(self._progress)


class Estimate:
    """How long work may still take, from how long its rows took so far; reused ones take no time and tell nothing.

    Nothing is said before as many rows have ended as were under way at once: until then nobody knows how long one
    takes. `clock` gives seconds.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._began: float | None = None
        self._at_once = 1
        self._worked, self._worked_at = 0, 0.0
        self._rows = 0

    def note(self, progress: Progress) -> None:
        """Takes note of how far the work is."""
        now, snapshot = self._clock(), progress.snapshot.in_flight + progress.snapshot.storing
        self._at_once = max(self._at_once, snapshot)
        if self._began is None and (snapshot or progress.worked):
            self._began = now
        if progress.worked != self._worked:
            self._worked, self._worked_at = progress.worked, now
        self._rows = progress.total - progress.ended

    def left(self) -> str:
        """The time that is left, in words; empty where it is not known."""
        if self._began is None or self._worked < self._at_once or not self._rows:
            return ""
        row_s = (self._worked_at - self._began) / self._worked
        left_s = self._rows * row_s - (self._clock() - self._worked_at)
        return f"{_roughly(left_s)} left" if left_s > 0 else ""


class ReportSchedule:
    """When a line is due: the first after `first_s` seconds, later ones ever more rarely, at most `most_s` apart."""

    def __init__(self, *, first_s: float, most_s: float, clock: Clock = time.monotonic) -> None:
        self._first_s, self._most_s, self._clock = first_s, most_s, clock
        self._began = clock()
        self._due = self._began + first_s

    def is_due(self) -> bool:
        """Whether it is time for a line; it then counts as written."""
        now = self._clock()
        if now < self._due:
            return False
        self._due = now + min(self._most_s, max(self._first_s, (now - self._began) / 10))
        return True


def clock_text(seconds: float) -> str:
    """A length of time as hours, minutes and seconds."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def hour_of(moment: float) -> str:
    """The time of day of a moment in seconds since 1970, in UTC."""
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S")


def _waited_for(one: Pending) -> str:
    why = ", unknown to the API" if one.is_unknown else ""
    if one.until is None:
        return f"{one.row} since {hour_of(one.since)} UTC (another process works on task {one.task_uuid})"
    return f"{one.row} since {hour_of(one.since)} until {hour_of(one.until)} UTC (task {one.task_uuid}{why})"


def _shortened(said: str) -> str:
    """What the API said, on one line."""
    return textwrap.shorten(said, _LONGEST_REASON, placeholder=" ...")


def _roughly(seconds: float) -> str:
    """A length of time as exact as an estimate is."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "under a minute"
    return f"about {minutes} min" if minutes < 100 else f"about {round(minutes / 60)} h"
