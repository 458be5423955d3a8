"""Computes how long an owner may rely on its lease on claimed tasks."""

from __future__ import annotations

import time
from functools import partial
from typing import NamedTuple, Self

_RELIABLE_SHARE = 0.75
"""The share of a lease that an owner relies on. The rest is a margin, because a decision takes effect a little
later.
"""

_boot_s = partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
"""Keeps running while the process is suspended and, if the system has such a clock, while the machine is suspended."""


class Instant(NamedTuple):
    """One moment on two clocks, in seconds: the time since boot, and the time since 1970."""

    boot_s: float
    wall_s: float

    @classmethod
    def now(cls) -> Self:
        """The moment of the call."""
        return cls(_boot_s(), time.time())

    def since(self, earlier: Instant) -> float:
        """Returns the seconds since an earlier moment by the clock that counts more, because each clock may have
        stopped.
        """
        return max(self.boot_s - earlier.boot_s, self.wall_s - earlier.wall_s)


class Lease:
    """An owner's lease on all its tasks, computed from its confirmed renewals without a database query.

    A renewal after the lease has expired confirms nothing, because another owner may have taken tasks meanwhile.
    """

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._confirmed: Instant | None = None
        self._broken: Instant | None = None

    def confirm(self, started: Instant, finished: Instant) -> None:
        """Records a renewal that the database has committed between two times."""
        if self._confirmed is None or finished.since(self._confirmed) >= self._lease_s:
            self._broken = finished
        self._confirmed = started

    def covers(self, claimed: Instant, now: Instant) -> bool:
        """Whether a task that was claimed at a moment certainly still belongs to its owner."""
        if self._broken and self._broken.since(claimed) >= self._lease_s:
            return False
        renewed = self._confirmed or claimed
        return min(now.since(claimed), now.since(renewed)) < self._lease_s * _RELIABLE_SHARE
