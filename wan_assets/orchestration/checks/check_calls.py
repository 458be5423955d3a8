"""Calls the functions of users' checks, with a time limit, and converts what they return."""

from __future__ import annotations

import math
from collections import Counter
from numbers import Real
from threading import Thread
from types import TracebackType
from typing import Any, Self

import numpy as np

from wan_assets.dataset import Video
from wan_assets.ledger import CheckRecord
from wan_assets.models import public_text
from wan_assets.orchestration.checks.video_check import VideoCheck, VideoCheckResult

_MAX_TIMEOUTS = 3
"""Each call that exceeds its limit keeps its thread until the process ends."""

_MAX_MESSAGE_CHARACTERS = 500


class _Call:
    """One call of a function; an error does not leave the block, because it must fail nothing else."""

    def __init__(self) -> None:
        self.has_ended = False
        self.returned: Any = None
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.error, self.has_ended = error, True
        return True

    def make(self, check: VideoCheck, video: Video) -> None:
        with self:
            self.returned = check.function(video)


class CheckCalls:
    """The calls of one run. A check that exceeds its time limit several times is not called any more."""

    def __init__(self) -> None:
        self._timeouts: Counter[str] = Counter()

    def result(self, check: VideoCheck, video: Video) -> CheckRecord:
        """Returns the result of a check of one video; an error or a timeout is a failed result."""
        if self._timeouts[check.name] >= _MAX_TIMEOUTS:
            return _record(check, video, _failed("not run: it exceeded its time limit for other videos"), is_error=True)
        call = _Call()
        thread = Thread(target=call.make, args=(check, video), name=f"video-check-{check.name}", daemon=True)
        thread.start()
        thread.join(check.timeout_s)
        if not call.has_ended:
            self._timeouts[check.name] += 1
            return _record(check, video, _failed(f"exceeded its time limit of {check.timeout_s:g} s"), is_error=True)
        if call.error is not None:
            reason = f"raised {type(call.error).__name__}: {call.error}"
            return _record(check, video, _failed(reason), is_error=True)
        try:
            return _record(check, video, _result_of(call.returned))
        except TypeError as error:
            return _record(check, video, _failed(str(error)), is_error=True)


def _result_of(returned: Any) -> VideoCheckResult:
    """Converts what a function returned; raises `TypeError` for anything but verdicts and finite scores."""
    if returned is None:
        return VideoCheckResult(passed=None)
    if isinstance(returned, (bool, np.bool_)):
        return VideoCheckResult(bool(returned))
    if isinstance(returned, Real):
        return VideoCheckResult(score=_finite(returned))
    if not isinstance(returned, VideoCheckResult):
        raise TypeError(f"returned {type(returned).__name__}, not a bool, a float or a VideoCheckResult")
    passed = None if returned.passed is None else bool(returned.passed)
    score = None if returned.score is None else _finite(returned.score)
    return VideoCheckResult(passed, score, str(returned.message))


def _finite(score: Any) -> float:
    if not isinstance(score, Real) or not math.isfinite(score):
        raise TypeError(f"returned the score {score!r}, which is not a finite number")
    return float(score)


def _failed(message: str) -> VideoCheckResult:
    return VideoCheckResult(passed=False, message=message)


def _record(check: VideoCheck, video: Video, found: VideoCheckResult, *, is_error: bool = False) -> CheckRecord:
    public = public_text(found.message)  # the error of a call to a service may repeat the address with its key
    text = "".join(letter if letter.isprintable() else " " for letter in public[:_MAX_MESSAGE_CHARACTERS])
    return CheckRecord(
        video.task_uuid, video.number, check.name, found.passed, found.score, text, check.code_version, is_error
    )
