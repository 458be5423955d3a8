"""The faults that the simulator can inject, by name, and the error of a simulator that cannot start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from wan_assets.errors import WanAssetsError
from wan_assets.models import closest_name

SUBMISSION_FAULTS: Mapping[str, str] = {
    "rate_limit": "submission: 429 without Retry-After, not accepted",
    "rate_limit_retry_after": "submission: 429 with Retry-After in seconds or as a date, not accepted",
    "error_500": "submission: 500, not accepted",
    "error_502_html": "submission: 502 with HTML, not accepted",
    "error_503": "submission: 503, not accepted",
    "drop_before_accept": "submission: connection closed without a byte, not accepted",
    "html": "submission: 200 with HTML, not accepted",
    "forbidden": "submission: 403, not accepted",
}

ACCEPTANCE_FAULTS: Mapping[str, str] = {
    "error_500_after_accept": "submission: accepted, then 500",
    "error_503_after_accept": "submission: accepted, then 503",
    "error_504_after_accept": "submission: accepted, then 504 with HTML",
    "drop_after_accept": "submission: accepted, then connection closed without a byte",
    "html_after_accept": "submission: accepted, then 200 with HTML",
    "truncated_json": "submission: accepted, then half of the answer",
    "empty_body": "submission: accepted, then 200 with nothing",
    "slow_body": "submission: accepted, then the answer byte by byte",
    "stalled_body": "submission: accepted, then half of the answer and no more data",
    "ack_empty": "submission: accepted, acknowledged with an empty list",
    "ack_bare": "submission: accepted, acknowledged with {}",
    "ack_upper_case": "submission: accepted, acknowledged with the UUID in upper case",
    "ack_with_error": "submission: accepted, acknowledged together with an error without a task UUID",
    "malformed_after_accept": "submission: accepted, then an answer that is not valid HTTP",
}

POLL_FAULTS: Mapping[str, str] = {
    "poll_401": "poll: 401",
    "poll_429": "poll: 429",
    "poll_502_html": "poll: 502 with HTML",
    "poll_504_html": "poll: 504 with HTML",
    "poll_empty": "poll: an empty response although the tasks exist",
    "poll_malformed": "poll: an answer that is not valid HTTP",
}

TASK_FAULTS: Mapping[str, str] = {
    "verdict_error": "task fails: a code of the provider class in `errors`",
    "verdict_in_data": "task fails: providerError in `data` with status error",
    "verdict_504": "task fails: failedProviderTimeout, alone in an HTTP 504",
    "verdict_safety": "task fails: invalidProviderContent",
    "lost_task": "task is acknowledged and charged, but unknown to every poll",
    "partial": "one result fails, if several were requested",
}

RESULT_FAULTS: Mapping[str, str] = {
    "no_url": "result has no file URL",
    "nsfw": "result is flagged as NSFW, if a check was requested",
    "cost_missing": "result does not report its cost",
    "cost_zero": "result reports a cost of 0",
    "cost_string": "result reports its cost as text",
    "cost_nan": "result reports a cost of NaN",
}

DEVIATIONS: Mapping[str, str] = {
    "rounded_size": "video: width and height rounded down to multiples of 32, such as 832x480 for 854x480",
    "missing_audio": "video: no audio, if audio was requested",
    "extra_audio": "video: audio, if none was requested",
    "longer_clip": "video: two seconds longer than requested",
    "short_audio": "video: audio that ends in the first second, if audio was requested",
}
"""Faults that make a playable video deviate from its request; one video may have several of them."""

DOWNLOAD_FAULTS: Mapping[str, str] = {
    "download_422": "file: 422 twice, as if not ready",
    "download_502": "file: 502 once",
    "download_cut": "file: connection closed in the middle, once",
    "download_broken": "file: complete by its length but damaged, once",
    "download_stalled": "file: half of it, then no more data, once",
    "download_redirect": "file: redirect to another host, once",
    "download_malformed": "file: an answer that is not valid HTTP, once",
    "download_slow": "file: sent in small pieces with pauses, once",
}

FAULTS: Mapping[str, str] = {
    **SUBMISSION_FAULTS,
    **ACCEPTANCE_FAULTS,
    **POLL_FAULTS,
    **TASK_FAULTS,
    **RESULT_FAULTS,
    **DEVIATIONS,
    **DOWNLOAD_FAULTS,
}
"""The description of every fault by name; within a group, the first fault that occurs is used."""

_ALIASES = {
    "drop": "drop_before_accept",
    "lost_acknowledgement": "drop_after_accept",
    "poll_502": "poll_502_html",
    "size_rounded": "rounded_size",
    "audio_missing": "missing_audio",
    "audio_extra": "extra_audio",
    "clip_longer": "longer_clip",
    "audio_short": "short_audio",
}


class SimulatorError(WanAssetsError):
    """The simulator cannot be started with these options."""

    hint = "See `wan-assets simulator --help`."


def rates_of(given: Mapping[str, float]) -> Mapping[str, float]:
    """Returns rates by canonical fault names; raises `SimulatorError` for unknown names and invalid rates."""
    rates = {_ALIASES.get(name, name): rate for name, rate in given.items()}
    for name, rate in rates.items():
        if name not in FAULTS:
            hint = closest_name(name, FAULTS)
            raise SimulatorError(f"there is no fault {name!r}" + (f"; did you mean {hint}?" if hint else ""))
        if not 0 <= rate <= 1:
            raise SimulatorError(f"the rate of {name} is {rate}, but must be between 0 and 1")
    return rates


def parse_rates(texts: Iterable[str]) -> dict[str, float]:
    """Parses `NAME=RATE`, or `NAME` for a rate of 1; raises `SimulatorError` for other text."""
    rates = {}
    for text in texts:
        name, _, rate = text.partition("=")
        try:
            rates[name.strip()] = float(rate or 1)
        except ValueError:
            raise SimulatorError(f"{text!r} is not a fault: write NAME=RATE, such as rate_limit=0.05") from None
    return dict(rates_of(rates))
