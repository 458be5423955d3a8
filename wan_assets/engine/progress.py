"""Describes the progress of a run: a line of text, the schedule of such lines, and the estimated remaining time."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol, TypeAlias

from wan_assets.engine.in_flight import Pending, RunSnapshot
from wan_assets.engine.jobs import Outcome, Recovered
from wan_assets.models import dollars

Clock: TypeAlias = Callable[[], float]
Update: TypeAlias = Outcome | Recovered | RunSnapshot


_LONGEST_REASON = 90
_PENDING_AFTER_S = 10.0
_PENDING_NAMED = 3


class Stage(Protocol):
    """The progress at one moment: `ended` of `total` rows are done; `total` is None if it is unknown."""

    @property
    def total(self) -> int | None: ...

    @property
    def ended(self) -> int: ...

    def counts(self) -> tuple[str, ...]:
        """Returns the counts of rows, as short phrases."""

    def money(self) -> tuple[str, ...]:
        """Returns the amounts, as short phrases."""

    def pending(self) -> tuple[str, ...]:
        """Returns what the run waits for, as short phrases."""


@dataclass(frozen=True)
class Progress:
    """The progress on `total` rows: `new` rows got a video, `reused` rows already had one, `failed` rows have none.

    `skipped` rows have none because of a budget or a pause.
    """

    total: int
    new: int = 0
    reused: int = 0
    failed: int = 0
    snapshot: RunSnapshot = field(default_factory=RunSnapshot)
    skipped: int = 0

    @property
    def ended(self) -> int:
        """The number of rows that are finished."""
        return self.new + self.reused + self.failed + self.skipped

    @property
    def worked(self) -> int:
        """The number of finished rows that took time."""
        return self.new + self.failed

    def after(self, reported: Update) -> Progress:
        """Returns the progress after a finished row or a new snapshot."""
        if isinstance(reported, RunSnapshot):
            return replace(self, snapshot=reported)
        if isinstance(reported, Outcome) and reported.is_skipped:
            return replace(self, skipped=self.skipped + 1)
        if reported.stored is None:
            return replace(self, failed=self.failed + 1)
        if isinstance(reported, Outcome) and reported.is_reused:
            return replace(self, reused=self.reused + 1)
        return replace(self, new=self.new + 1)

    def counts(self) -> tuple[str, ...]:
        """Returns the counts of finished rows and of rows in progress."""
        now = self.snapshot
        storing = (f"{now.storing:,} being stored",) if now.storing else ()
        waiting = now.retries.waiting
        retries = (f"{waiting:,} to be retried ({_shortened(now.retries.why)})",) if waiting else ()
        limit = (str(now.limit),) if now.limit else ()
        skipped = (f"{self.skipped:,} skipped",) if self.skipped else ()
        ended = (f"{self.new:,} new", f"{self.reused:,} reused", f"{self.failed:,} failed", *skipped)
        return (*ended, f"{now.in_flight:,} in flight", *limit, *storing, *retries)

    def money(self) -> tuple[str, ...]:
        """Returns the spent and reserved amounts, and the remaining budget."""
        now = self.snapshot
        room = (f"budget left {dollars(now.room_microusd)}",) if now.room_microusd is not None else ()
        kind = ("simulated dollars",) if now.is_simulated else ()
        return (f"spent {dollars(now.spent_microusd)}", f"reserved {dollars(now.reserved_microusd)}", *room, *kind)

    def pending(self) -> tuple[str, ...]:
        """Returns the rows with the longest wait, with their times, once the wait is long."""
        now = self.snapshot
        late = [one for one in now.pending if now.at - one.since >= _PENDING_AFTER_S][:_PENDING_NAMED]
        more = now.in_flight - len(late)
        named = [_waited_for(one) for one in late]
        if not named:
            return ()
        return (f"waiting for {named[0]}", *named[1:], *((f"and {more:,} more",) if more > 0 else ()))


def progress_line(stage: Stage, left: str = "") -> str:
    """Returns a stage as one line; `left` is the estimated remaining time."""
    parts = [", ".join(stage.counts()), ", ".join(stage.money()), ", ".join(stage.pending()), left]
    of_all = "" if stage.total is None else f" of {stage.total:,}"
    return f"{stage.ended:,}{of_all} done: {'; '.join(filter(None, parts))}"


ProgressCallback: TypeAlias = Callable[[Progress], None]


def ignore_progress(_: Progress) -> None:
    """Does nothing with the progress."""


class ProgressTracker:
    """Computes the progress from each update, and shows it."""

    def __init__(self, first: Progress, show: ProgressCallback) -> None:
        self._progress, self._show = first, show
        show(first)

    def update(self, reported: Update) -> None:
        """Shows the progress after an update."""
        self._progress = self._progress.after(reported)
        self._show(self._progress)


class Estimate:
    """Estimates the remaining time from the time of finished rows; reused rows take no time and are not counted.

    There is no estimate until as many rows have finished as were in progress at once, because the time of a row is
    unknown until then. `clock` returns seconds.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._began: float | None = None
        self._at_once = 1
        self._worked, self._worked_at = 0, 0.0
        self._rows = 0

    def note(self, progress: Progress) -> None:
        """Records the progress."""
        now, snapshot = self._clock(), progress.snapshot.in_flight + progress.snapshot.storing
        self._at_once = max(self._at_once, snapshot)
        if self._began is None and (snapshot or progress.worked):
            self._began = now
        if progress.worked != self._worked:
            self._worked, self._worked_at = progress.worked, now
        self._rows = progress.total - progress.ended

    def left(self) -> str:
        """Returns the remaining time in words; empty if it is unknown."""
        if self._began is None or self._worked < self._at_once or not self._rows:
            return ""
        row_s = (self._worked_at - self._began) / self._worked
        left_s = self._rows * row_s - (self._clock() - self._worked_at)
        return f"{_roughly(left_s)} left" if left_s > 0 else ""


class ReportSchedule:
    """Schedules progress lines: the first after `first_s` seconds, later ones at growing intervals up to `most_s`."""

    def __init__(self, *, first_s: float, most_s: float, clock: Clock = time.monotonic) -> None:
        self._first_s, self._most_s, self._clock = first_s, most_s, clock
        self._began = clock()
        self._due = self._began + first_s

    def is_due(self) -> bool:
        """Whether a line is due; if so, it counts as written."""
        now = self._clock()
        if now < self._due:
            return False
        self._due = now + min(self._most_s, max(self._first_s, (now - self._began) / 10))
        return True


def clock_text(seconds: float) -> str:
    """Formats a duration as hours, minutes and seconds."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def hour_of(moment: float) -> str:
    """Formats the time of day of a moment in seconds since 1970, in UTC."""
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S")


def _waited_for(one: Pending) -> str:
    why = ", unknown to the API" if one.is_unknown else ""
    if one.until is None:
        return f"{one.row} since {hour_of(one.since)} UTC (another process works on task {one.task_uuid})"
    return f"{one.row} since {hour_of(one.since)} until {hour_of(one.until)} UTC (task {one.task_uuid}{why})"


def _shortened(text: str) -> str:
    """Returns an error text on one line."""
    return textwrap.shorten(text, _LONGEST_REASON, placeholder=" ...")


def _roughly(seconds: float) -> str:
    """Formats an estimated duration with suitable precision."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "under a minute"
    return f"about {minutes} min" if minutes < 100 else f"about {round(minutes / 60)} h"
