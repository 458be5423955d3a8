"""Adapts the number of tasks at the API to the number that the API accepts.

The limit doubles at first, like TCP's slow start. When the API refuses a task, the number of tasks in flight becomes
the ceiling. From time to time, one extra task tests whether the ceiling has risen. The class has no clock, no I/O and
no locks: the time in seconds and the number of tasks in flight are parameters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from wan_assets.durations import duration_text
from wan_assets.ledger import LearnedLimit

_FIRST_S = 60.0
"""The first period of a run, in which it may use more refusals to find the limit."""

_MAX_DOUBLINGS = 30
_RECENT = 5
"""A refusal within this many pauses after another refusal has the same cause."""

_FAR_BELOW = 0.75
"""A ceiling below this share of the earlier highest number of tasks indicates that the API's limit changes."""


@dataclass(frozen=True)
class LimitConfig:
    """Parameters of the adaptive limit; times in seconds.

    `hold_s` is the pause after a refusal. It doubles up to `max_hold_s` while the API accepts nothing, and is at least
    as long as a shorter Retry-After. In the first minute, a share `first_share` of all submissions may be probes that
    the API refuses; later a share `later_share`. The distance between probes of the same ceiling grows by the factor
    `probe_growth`, up to `max_probe_distance_s`.
    """

    initial: int = 4
    growth_s: float = 0.2
    hold_s: float = 1.0
    max_hold_s: float = 30.0
    first_share: float = 0.08
    later_share: float = 0.015
    probe_growth: float = 1.5
    max_probe_distance_s: float = 900.0
    slow_s: float = 1.0


@dataclass(frozen=True)
class LimitStatus:
    """The limit for all runs at one moment, the share of this run, and the reason in words."""

    limit: int
    share: int
    why: str

    def __str__(self) -> str:
        """Returns a phrase for people."""
        share = f", {self.share} for this run" if self.share < self.limit else ""
        return f"limit {self.limit}{share}: {self.why}"


def fair_share(limit: int, wanted: int, others: Iterable[int]) -> int:
    """Returns a run's share of a limit. Each run gets what it wants, or as much as the runs that want more."""
    left, wants = limit, sorted((want, index) for index, want in enumerate((wanted, *others)))
    for number, (want, index) in enumerate(wants):
        share = min(want, -(-left // (len(wants) - number)))
        if index == 0:
            return share
        left -= share
    raise AssertionError("the run is one of the runs")


class AdaptiveLimit:
    """The limit for all tasks in flight of one account, as one run knows it.

    `limit` is the number of tasks that may be in flight. `ceiling` is the number that was in flight when the API
    refused another task; None means that the API has refused nothing.
    """

    def __init__(self, config: LimitConfig, now: float) -> None:
        self._config = config
        self._begun_at = self._grow_at = now
        self._hold_until = -math.inf
        self.limit = config.initial
        self.ceiling: int | None = None
        self.refused_at: float | None = None
        self.refusals = 0
        self.streak = 0
        self.is_learned = False
        self.has_shrunk = False
        self._retry_after_s = 0.0
        self._level = self._highest = 0
        self._accepted_since = 0
        self._rung = 0
        self._is_probing = False
        self._probe_from = now
        self._doubts = 0
        self._is_lone = False
        self._usual_s: float | None = None
        self._is_slow = False
        self._budget_used = [0, 0]
        self._accepted = [0, 0]

    @property
    def hold_until(self) -> float:
        """No task may be submitted before this time."""
        return self._hold_until

    def max_unanswered(self, now: float) -> int:
        """Returns how many submissions may wait for their acknowledgement; it is small, so that few can be refused."""
        if self._doubts:
            return 1
        if self._is_first(now):
            return max(1, min(2, self.limit // 8), self.limit // 16)
        return max(1, self._level // 32)

    def accepted(self, now: float, in_flight: int, latency_s: float) -> bool:
        """Records an acknowledgement; returns whether the API seems to hold more tasks than the ceiling.

        `in_flight` includes the new task. If the result is True, the caller polls all tasks and calls `measured_above`.
        """
        if self._usual_s is None:
            self._grow_at = now + self._config.growth_s
        self._note_latency(latency_s)
        # A single refusal below the ceiling had another cause and must not block a higher limit.
        is_lone = self._is_lone and self.streak == 1 and not self.has_shrunk
        self._budget_used[not self._is_first(now)] -= self._doubts + is_lone
        self._doubts, self._is_lone = 0, False
        self.streak = 0
        self.has_shrunk = False
        self._level = in_flight
        self._highest = max(self._highest, in_flight)
        self._accepted_since += 1
        self._accepted[not self._is_first(now)] += 1
        return self.ceiling is not None and in_flight > self.ceiling

    def refused(self, now: float, retry_after_s: float | None, ahead: int) -> bool:
        """Records a refusal with its Retry-After `retry_after_s`; returns whether it indicates a lack of capacity.

        If the result is True, the caller polls all tasks and calls `measured_at_refusal`. One refusal may have another
        cause. Therefore another task is tried at once before the refusal counts, and in the first minute two. Refusals
        during a pause belong to the refusal that started it, because their submissions were already sent.
        """
        is_doubtful = self._is_doubtful(now, retry_after_s, ahead)
        self.refusals += 1
        self._budget_used[not self._is_first(now)] += 1
        if is_doubtful:
            self._doubts += 1
            return False
        self._doubts = 0
        self._is_lone = self.ceiling is not None and not self._is_probing
        if now >= self._hold_until:
            self.streak += 1
        self.refused_at = now
        self._accepted_since = 0
        self._retry_after_s = min(retry_after_s or 0.0, self._config.max_hold_s)
        doubled_s = self._config.hold_s * 2 ** min(self.streak - 1, _MAX_DOUBLINGS)
        pause_s = max(min(doubled_s, self._config.max_hold_s), self._retry_after_s)
        self._hold_until = max(self._hold_until, now + pause_s)
        return True

    def measured_at_refusal(self, in_flight: int) -> None:
        """Sets the ceiling to the number of tasks in flight at a refusal.

        If the API held more tasks at its last acceptance, the first such refusal causes only the pause. At the second
        in a row, the API's limit has dropped to an unknown number: the limit is halved, once until the API accepts a
        task again.
        """
        is_same = self.ceiling is not None and abs(in_flight - self.ceiling) <= 1
        was_probing, self._is_probing = self._is_probing, False
        if was_probing and is_same:
            self._rung, self.limit = self._rung + 1, max(1, self.ceiling or 1)
            return
        is_fewer = in_flight < self._level
        if is_fewer and self.streak == 1:
            self.limit = int(min(self.limit, self._top))
            return
        self._rung = self._rung if is_same else 0
        self.is_learned, self.ceiling = False, in_flight
        if is_fewer and not self.has_shrunk:
            self.limit, self.has_shrunk = max(1, in_flight // 2), True
        else:
            self.limit = max(1, min(self.limit, in_flight) if self.has_shrunk else in_flight)

    def measured_above(self, now: float, in_flight: int) -> None:
        """Removes the ceiling if the API really holds more tasks. Some of those in flight may just have finished."""
        self._is_probing, self._probe_from = False, now + self._config.hold_s
        if self.ceiling is not None and in_flight > self.ceiling:
            self.ceiling, self.limit, self._rung = None, in_flight, 0
            self._grow_at = now
        else:
            self.limit = max(1, self.ceiling or 1)

    def tick(self, now: float, in_flight: int, ahead: int) -> None:
        """Raises the limit if it is used up and may rise; `ahead` is the number of rows still to be submitted.

        Up to the ceiling, the limit doubles each time all tasks were acknowledged. Above it, the limit rises by one
        task.
        """
        if now < self._hold_until or in_flight < self.limit or not ahead:
            return
        if self.limit < self._top:
            if not self.streak and not self._is_slow and now >= self._grow_at:
                self.limit = int(min(self._top, 2 * self.limit))
                self._grow_at = now + self._config.growth_s
        elif self.limit == self._top and self._may_probe(now, ahead):
            self.limit, self._is_probing = self.limit + 1, True

    def next_at(self, now: float) -> float:
        """Returns the next time at which `tick` may raise the limit without another event."""
        if now < self._hold_until:
            return self._hold_until
        if self.limit < self._top:
            return max(self._grow_at, now + self._config.growth_s / 4) if not self.streak else math.inf
        times = (self._probe_from, (self.refused_at or now) + self._config.max_probe_distance_s)
        return min((at for at in times if at > now), default=math.inf)

    def adopt(self, now: float, learned: LearnedLimit) -> None:
        """Continues with the limit that another run has learned."""
        self.limit, self.ceiling = max(1, learned.limit), learned.ceiling
        self.refused_at = None if learned.refused_ago_s is None else now - learned.refused_ago_s
        self.is_learned, self._level = True, self.limit
        self._highest = max(self._highest, self.limit)

    def learned(self, now: float) -> LearnedLimit:
        """Returns the state with which another run may continue."""
        limit = min(self.limit, self._top)
        refused_ago_s = None if self.refused_at is None else max(0.0, now - self.refused_at)
        return LearnedLimit(int(limit), self.ceiling, refused_ago_s)

    def describe(self, now: float, share: int) -> LimitStatus:
        """Returns the limit and its reason."""
        return LimitStatus(self.limit, max(0, share), self._why(now))

    def _why(self, now: float) -> str:
        if self.refused_at is None or self.ceiling is None:
            return "it was learned by an earlier run" if self.is_learned else "it grows while the API accepts tasks"
        refusal = f"the API refused the {_ordinal(self.ceiling + 1)} task {_whole(now - self.refused_at)} ago"
        if self._retry_after_s and now < self._hold_until:
            return f"{refusal} and asks to wait {_whole(self._hold_until - now)} more"
        if self._is_probing:
            return f"one more task than before is tried, {refusal}"
        return f"it was halved, {refusal}" if self.has_shrunk else refusal

    @property
    def _top(self) -> float:
        return math.inf if self.ceiling is None else max(1, self.ceiling)

    def _is_doubtful(self, now: float, retry_after_s: float | None, ahead: int) -> bool:
        """Whether a refusal may have another cause than the tasks in flight, so that another task is tried at once.

        A known ceiling is the likely cause.
        """
        maximum = 2 if self._is_first(now) else 1
        if retry_after_s or self.ceiling is not None or self.streak or self._doubts >= maximum:
            return False
        is_recent = self.refused_at is not None and now < self.refused_at + _RECENT * self._config.hold_s
        return not is_recent and self._has_budget(now, ahead, 2)

    def _may_probe(self, now: float, ahead: int) -> bool:
        if now < self._probe_from:
            return False
        if self.refused_at is None or now >= self.refused_at + self._config.max_probe_distance_s:
            return True
        if not self._has_budget(now, ahead) or now < self.refused_at + 20 * self._retry_after_s:
            return False
        rounds = self._config.probe_growth**self._rung
        return self._accepted_since >= rounds * self._top

    def _has_budget(self, now: float, ahead: int, refusals: int = 1) -> bool:
        """Whether this many more refusals stay within the permitted share of all submissions, including those ahead.

        An account that accepted many more tasks earlier is likely to do so again, so it is probed more often.
        """
        if self.ceiling is not None and self.ceiling < _FAR_BELOW * self._highest:
            return True
        part = not self._is_first(now)
        share = self._config.later_share if part else self._config.first_share
        return self._budget_used[part] + refusals <= share * (self._accepted[part] + ahead)

    def _is_first(self, now: float) -> bool:
        return now < self._begun_at + _FIRST_S

    def _note_latency(self, latency_s: float) -> None:
        usual_s = self._usual_s if self._usual_s is not None else latency_s
        self._is_slow = latency_s > max(self._config.slow_s, 3 * usual_s)
        self._usual_s = usual_s + (latency_s - usual_s) / 8


def _whole(seconds: float) -> str:
    return duration_text(round(seconds))


def _ordinal(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number:,}{'th' if number // 10 % 10 == 1 else endings.get(number % 10, 'th')}"
