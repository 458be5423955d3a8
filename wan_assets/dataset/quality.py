"""Quality checks of one stored task, evaluated from its sidecar and its request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wan_assets.ledger import CheckRecord
from wan_assets.models import VideoRequest, has_list_price, lowest_price_microusd, usd, worst_price_microusd
from wan_assets.store import StoredTask, StoredVideo
from wan_assets.video import VideoProperties, audio_mismatches, expected_of, mismatches

MATCH_CHECK = "matches_request"
COST_TOLERANCE = 0.25
_BLACK_BELOW_LUMA = 32.0
_FROZEN_BELOW_LUMA = 4.0
_SILENT_BELOW_PEAK = 0.001
"""A thousandth of full scale, -60 dB."""


@dataclass(frozen=True)
class QualityResult:
    """The result of one check of one task; a check that cannot be evaluated passes with `is_measured` False."""

    name: str
    passed: bool = True
    message: str = ""
    is_measured: bool = True


def quality_results_of(
    request: VideoRequest,
    stored: StoredTask,
    *,
    cost_microusd: int | None = None,
    cost_tolerance: float = COST_TOLERANCE,
) -> tuple[QualityResult, ...]:
    """Evaluates all checks of a task's videos; returns one result for each of `VIDEO_CHECKS`, in this order.

    `cost_microusd` is the cost in the ledger; by default, the cost that the results reported is used.
    """
    cost = stored.cost_microusd if cost_microusd is None else cost_microusd
    by_video = (_result(name, stored, check, request) for name, check in _CHECKS.items())
    return (*by_video, _cost_result(request, cost, cost_tolerance))


def request_result(request: VideoRequest, stored: StoredTask) -> QualityResult:
    """Evaluates whether a task's videos match the request."""
    return _result(MATCH_CHECK, stored, _request_fault, request)


def recorded_result(check: CheckRecord) -> QualityResult:
    """Converts the result of a check that a user defines; its score is part of the message."""
    score = "" if check.score is None else f"score {check.score:g}"
    message = "; ".join(text for text in (check.message, score) if text)
    return QualityResult(check.check_name, check.passed is not False, message, is_measured=check.passed is not None)


def _request_fault(request: VideoRequest, video: StoredVideo) -> str | None:
    facts = _facts_of(video)
    if facts is None:
        return "; ".join(video.differences) or None
    return "; ".join(mismatches(facts, expected_of(request)))


def _audio_fault(request: VideoRequest, video: StoredVideo) -> str | None:
    facts = _facts_of(video)
    return None if facts is None else "; ".join(audio_mismatches(facts, has_audio=request.has_audio))


def _facts_of(video: StoredVideo) -> VideoProperties | None:
    try:
        return VideoProperties.from_json(video.facts)
    except TypeError:
        return None


def _black_fault(video: StoredVideo) -> str | None:
    luma = _number(video.facts, "brightest_luma")
    if luma is None or luma >= _BLACK_BELOW_LUMA:
        return None if luma is None else ""
    return f"is black: its brightest spot is {luma:.0f} of 255"


def _frozen_fault(video: StoredVideo) -> str | None:
    change = _number(video.facts, "change_luma")
    if change is None or change >= _FROZEN_BELOW_LUMA:
        return None if change is None else ""
    return f"is frozen: no spot changes by more than {change:.0f} of 255"


def _silence_fault(request: VideoRequest, video: StoredVideo) -> str | None:
    """Ignores a missing audio track, which `audio_matches_request` reports."""
    if not request.has_audio:
        return ""
    peak = _number(video.facts, "audio_peak")
    if peak is None or peak >= _SILENT_BELOW_PEAK:
        return None if peak is None else ""
    return f"is silent: its audio peak is {peak:.5f} of full scale"


def _flag_fault(video: StoredVideo) -> str | None:
    if video.is_nsfw is None:
        return None
    return "is flagged as NSFW by the provider" if video.is_nsfw else ""


_Check = Callable[[VideoRequest, StoredVideo], "str | None"]
_CHECKS: Mapping[str, _Check] = {
    MATCH_CHECK: _request_fault,
    "audio_matches_request": _audio_fault,
    "not_black": lambda _, video: _black_fault(video),
    "not_frozen": lambda _, video: _frozen_fault(video),
    "not_silent": _silence_fault,
    "not_nsfw": lambda _, video: _flag_fault(video),
}
"""Each check returns the fault of a video, empty text if there is none, or None if it cannot be evaluated."""

VIDEO_CHECKS = (*_CHECKS, "cost_within_estimate")


def _result(name: str, stored: StoredTask, check: _Check, request: VideoRequest) -> QualityResult:
    faults = [check(request, video) for video in stored.videos]
    messages = [_numbered(fault, number, len(faults)) for number, fault in enumerate(faults, 1) if fault]
    if name == MATCH_CHECK:
        messages += _missing_results(stored)
    is_measured = bool(messages) or all(fault is not None for fault in faults)
    return QualityResult(name, not messages, "; ".join(messages) if is_measured else "not measured", is_measured)


def _numbered(fault: str, number: int, videos: int) -> str:
    return fault if videos == 1 else f"video {number} {fault}"


def _missing_results(stored: StoredTask) -> Iterator[str]:
    if stored.missing:
        requested = len(stored.videos) + len(stored.missing)
        yield f"{len(stored.missing)} of {requested} results are missing: {stored.missing[0]}"


def _cost_result(request: VideoRequest, cost_microusd: int | None, tolerance: float) -> QualityResult:
    name = "cost_within_estimate"
    if cost_microusd is None:
        return QualityResult(name, message="not measured: the cost is unknown", is_measured=False)
    if not has_list_price(request):
        message = f"not measured: {request.model} has no published price for {request.tier}"
        return QualityResult(name, message=message, is_measured=False)
    low, high = _estimate_microusd(request)
    if low * (1 - tolerance) <= cost_microusd <= high * (1 + tolerance):
        return QualityResult(name)
    estimate = f"${usd(low)}" if low == high else f"${usd(low)} to ${usd(high)}"
    return QualityResult(name, passed=False, message=f"cost ${usd(cost_microusd)}, the estimate is {estimate}")


def _estimate_microusd(request: VideoRequest) -> tuple[int, int]:
    """Returns the range from the lowest price to the worst price; both are the list price if it is determined."""
    return lowest_price_microusd(request), worst_price_microusd(request)


def _number(facts: Mapping[str, Any], name: str) -> float | None:
    value = facts.get(name)
    return float(value) if isinstance(value, (int, float)) else None
