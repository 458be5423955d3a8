"""Checks that users define: a function of a video that returns a verdict, a score, or both."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, overload

import dagster as dg

from wan_assets.dataset import Video
from wan_assets.orchestration.checks.dataset_checks import DATASET_CHECKS
from wan_assets.orchestration.checks.definition import PARTITION_CHECK

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_RESERVED = (*DATASET_CHECKS, PARTITION_CHECK)


@dataclass(frozen=True)
class VideoCheckResult:
    """The result of a check of one video.

    Args:
        passed: Whether the video passes. None if the check does not apply, such as without its model: the result is
            then "not measured".
        score: A finite number, for the manifest, the gallery and Dagster's metadata. None for no score.
        message: Reason, for people.

    Example:
        >>> from wan_assets import VideoCheckResult
        >>> VideoCheckResult(passed=False, score=0.2, message="blurred").passed
        False
    """

    passed: bool | None = True
    score: float | None = None
    message: str = ""


CheckFunction: TypeAlias = Callable[[Video], VideoCheckResult | bool | float | None]


@dataclass(frozen=True)
class VideoCheck:
    """A check of single videos, for `build_video_assets(video_checks=[…])`; it can be called like its function."""

    function: CheckFunction
    name: str
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.WARN
    timeout_s: float = 60.0
    code_version: str = ""

    def __call__(self, video: Video) -> VideoCheckResult | bool | float | None:
        return self.function(video)

    @property
    def description(self) -> str:
        """The first paragraph of the function's docstring."""
        return (inspect.getdoc(self.function) or f"The check {self.name} of each video.").split("\n\n")[0]


@overload
def video_check(function: CheckFunction) -> VideoCheck: ...


@overload
def video_check(
    *, name: str = "", severity: dg.AssetCheckSeverity = ..., timeout_s: float = 60.0, code_version: str = ""
) -> Callable[[CheckFunction], VideoCheck]: ...


def video_check(
    function: CheckFunction | None = None,
    *,
    name: str = "",
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.WARN,
    timeout_s: float = 60.0,
    code_version: str = "",
) -> VideoCheck | Callable[[CheckFunction], VideoCheck]:
    """Makes a check of a function that takes a `Video`. It runs when a video is stored.

    The function returns a bool (whether the video passes), a float (a score, which always passes), a `VideoCheckResult`
    (both), or None if the check does not apply. It runs in threads of the step, up to four videos at a time. A function
    that raises, or exceeds its time limit, fails only its own check of this video.

    Args:
        function: The function, if the decorator is used without arguments.
        name: Name of the asset check, of letters, digits and `_`. The default is the name of the function.
        severity: Severity of a failed check.
        timeout_s: Time limit for one video, in seconds.
        code_version: Version of the function. A stored video is checked again if it changes.

    Returns:
        A `VideoCheck`, or a decorator that returns one.

    Raises:
        ValueError: The name is not valid, or is that of a built-in check; or the time limit is not positive.

    Example:
        >>> from wan_assets import Video, video_check
        >>> @video_check
        ... def long_enough(video: Video) -> bool:
        ...     return (video.duration_s or 0) >= 5
        >>> long_enough(Video(uri="kite.mp4", prompt_id="kite", partition="kite", duration_s=5.0))
        True
    """

    def made(function: CheckFunction) -> VideoCheck:
        chosen = name or getattr(function, "__name__", "")
        if not _NAME.fullmatch(chosen):
            raise ValueError(f"video_check: {chosen!r} is not a name of letters, digits and _: give another name=")
        if chosen in _RESERVED:
            raise ValueError(f"video_check: there is a built-in check {chosen!r}: give another name=")
        if not timeout_s > 0:
            raise ValueError(f"video_check: timeout_s={timeout_s} of {chosen} is not a positive number of seconds")
        return VideoCheck(function, chosen, severity, timeout_s, code_version)

    return made if function is None else made(function)


def verified_checks(checks: Sequence[VideoCheck]) -> tuple[VideoCheck, ...]:
    """Returns checks with different names; raises `ValueError` or `TypeError` for others."""
    names = set()
    for check in checks:
        if not isinstance(check, VideoCheck):
            raise TypeError(f"video_checks: {check!r} is not a check: decorate the function with @video_check")
        if check.name in names:
            raise ValueError(f"video_checks: two checks are named {check.name!r}")
        names.add(check.name)
    return tuple(checks)


def video_check_specs(asset_key: dg.AssetKey, checks: Sequence[VideoCheck]) -> list[dg.AssetCheckSpec]:
    """Returns the specs of checks, for the asset's `check_specs`."""
    return [dg.AssetCheckSpec(check.name, asset=asset_key, description=check.description) for check in checks]
