"""Writes the log of a run: progress at growing intervals, each kind of retried error once, and the first failures.

A record also has its values as fields, under `wan_assets`, for handlers that write JSON.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from logging import Logger
from typing import Any

from wan_assets.client import RetryStatus
from wan_assets.engine.in_flight import RunSnapshot
from wan_assets.engine.progress import (
    Clock,
    Estimate,
    Progress,
    ProgressCallback,
    ReportSchedule,
    hour_of,
    progress_line,
)
from wan_assets.errors import RunwareError, WanAssetsError

_FIRST_S = 30.0
_MAX_S = 300.0
_FAILURES_OF_A_KIND = 5
_UNKNOWN_AFTER_S = 10.0
_UNKNOWN_NAMED = 10
_FIELDS = "wan_assets"


@contextmanager
def progress_logged(
    log: Logger, forward: ProgressCallback, clock: Clock = time.monotonic
) -> Iterator[ProgressCallback]:
    """Yields a function that logs progress and passes it to `forward`.

    The log gets a line at the start, at intervals, and at the end.
    """
    spacing, estimate = ReportSchedule(first_s=_FIRST_S, most_s=_MAX_S, clock=clock), Estimate(clock)
    last: list[Progress] = []
    retry_log, unknown = _RetryLog(log), PendingLog(log)

    def on_progress(progress: Progress) -> None:
        if not last:
            log.info(
                "%s requested", f"{progress.total:,} row{'' if progress.total == 1 else 's'}", extra=_fields(progress)
            )
        last[:] = [progress]
        estimate.note(progress)
        retry_log.add(progress.snapshot.retries)
        unknown.add(progress.snapshot)
        if spacing.is_due():
            log.info("%s", progress_line(progress, estimate.left()), extra=_fields(progress))
        forward(progress)

    try:
        yield on_progress
    finally:
        if last:
            log.info("%s", progress_line(last[0]), extra=_fields(last[0]))


def _fields(progress: Progress) -> dict[str, Any]:
    return {_FIELDS: asdict(progress)}


class _RetryLog:
    """Logs each kind of retried error once; progress lines report how many calls wait."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._seen: set[str] = set()

    def add(self, status: RetryStatus) -> None:
        """Logs that calls wait for a retry, unless the same kind of error was logged before."""
        kind = status.why.partition(":")[0]
        if status.waiting and kind not in self._seen:
            self._seen.add(kind)
            reported = {"code": kind, "waiting": status.waiting}
            message = "calls to the API wait to be retried, %d now: %s"
            self._log.warning(message, status.waiting, status.why, extra={_FIELDS: reported})


class PendingLog:
    """Logs the first few awaited tasks that the API does not know."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._seen: set[str] = set()

    def add(self, snapshot: RunSnapshot) -> None:
        """Logs unknown tasks, each once."""
        for one in snapshot.pending:
            is_late = snapshot.at - one.since >= _UNKNOWN_AFTER_S
            if one.is_unknown and is_late and one.task_uuid not in self._seen and len(self._seen) < _UNKNOWN_NAMED:
                self._seen.add(one.task_uuid)
                until = one.until or one.since
                reported = {"partition": one.partition, "task_uuid": one.task_uuid, "until": until}
                message = "%s: the API does not know task %s, awaited since %s; it is polled until %s UTC"
                times = hour_of(one.since), hour_of(until)
                self._log.warning(message, one.row, one.task_uuid, *times, extra={_FIELDS: reported})


class FailureLog:
    """Logs the first rows of each kind of failure; the run's own failure counts all of them."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._seen: Counter[tuple[str, str]] = Counter()

    def add(self, row: str, error: WanAssetsError, *, is_skipped: bool = False) -> None:
        """Logs that a row has no video, or was skipped, unless enough rows with the same reason were logged."""
        kind = (type(error).__name__, error.code if isinstance(error, RunwareError) else "")
        self._seen[kind] += 1
        if self._seen[kind] <= _FAILURES_OF_A_KIND:
            task_uuid = error.fault.task_uuid if isinstance(error, RunwareError) else None
            reported = {"partition": row, "error": kind[0], "code": kind[1], "task_uuid": task_uuid}
            message = "%s was skipped: %s" if is_skipped else "%s has no video: %s"
            self._log.warning(message, row, error, extra={_FIELDS: reported})
        if self._seen[kind] == _FAILURES_OF_A_KIND:
            message = "further rows without a video for the same reason, %s, are counted but not logged"
            self._log.warning(message, " ".join(filter(None, kind)))
