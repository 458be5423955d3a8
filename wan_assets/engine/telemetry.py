"""Exports metrics and traces to OpenTelemetry, if it is installed.

This is the only module that imports it. The caller of the engine configures the exporters. Prompts, addresses and error
texts are never exported.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

from wan_assets import __version__
from wan_assets.engine.jobs import Outcome
from wan_assets.errors import RunwareError
from wan_assets.ledger import Origin

_SCOPE = "wan_assets"
_SECONDS = (5, 10, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1200)


class _Silence:
    """Replaces meter, tracer, instruments and spans if OpenTelemetry is not installed."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: self


def _api(part: str) -> Any:
    try:
        return import_module(f"opentelemetry.{part}")
    except ImportError:
        return _Silence()


class Instruments:
    """The metrics; `money` is `real` or `simulated`."""

    def __init__(self) -> None:
        meter = _api("metrics").get_meter(_SCOPE, __version__)
        self._in_flight = meter.create_up_down_counter(
            "wan_assets.tasks.in_flight", unit="{task}", description="Tasks that are at the API."
        )
        self._refused = meter.create_counter(
            "wan_assets.submissions.refused",
            unit="{submission}",
            description="Submissions that the API refused for lack of capacity.",
        )
        self._spent = meter.create_counter(
            "wan_assets.spend", unit="{microdollar}", description="Cost of settled tasks, in millionths of $1."
        )
        self._rows = meter.create_counter(
            "wan_assets.rows", unit="{row}", description="Rows by result: stored, reused, skipped or an error."
        )
        self._generation = meter.create_histogram(
            "wan_assets.engine.duration",
            unit="s",
            description="Time from a task's acknowledgement to its result.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )

    def change_in_flight(self, tasks: int, *, simulated: bool) -> None:
        """Counts tasks that reach or leave the API."""
        self._in_flight.add(tasks, _money(simulated=simulated))

    def refuse(self) -> None:
        """Counts a submission that the API refused because it accepts no more tasks."""
        self._refused.add(1)

    def spend(self, microusd: int, *, simulated: bool) -> None:
        """Counts the cost of a settled task, in µ$."""
        self._spent.add(microusd, _money(simulated=simulated))

    def record(self, outcome: Outcome, *, simulated: bool) -> None:
        """Counts a row, and the generation time of its video if it is new."""
        money = _money(simulated=simulated)
        self._rows.add(1, {**money, "result": result_label(outcome)})
        if outcome.stored and outcome.is_new:
            self._generation.record(outcome.stored.generation_s, money)


@cache
def instruments() -> Instruments:
    """Returns the instruments of this process."""
    return Instruments()


def result_label(outcome: Outcome) -> str:
    """Returns `stored`, `reused`, or the error's class with the API's code, after `skipped` for a skipped row."""
    if outcome.error is None:
        return "reused" if outcome.is_reused else "stored"
    code = outcome.error.code if isinstance(outcome.error, RunwareError) else ""
    skipped = "skipped" if outcome.is_skipped else ""
    return " ".join(filter(None, (skipped, type(outcome.error).__name__, code)))


class Trace:
    """The span of one run; each new video is a child span, and each row without a video an event."""

    def __init__(self, span: Any, within: Any, *, simulated: bool) -> None:
        self._span = span
        self._within = within
        self._simulated = simulated

    def record(self, outcome: Outcome) -> None:
        """Records the outcome of one row."""
        instruments().record(outcome, simulated=self._simulated)
        row = {"wan_assets.partition": outcome.job.partition, "wan_assets.prompt_id": outcome.job.prompt_id}
        if outcome.stored is None:
            self._span.add_event("no video", {**row, "wan_assets.result": result_label(outcome)})
        elif outcome.is_new:
            tracer, now = _api("trace").get_tracer(_SCOPE, __version__), time.time_ns()
            row |= {"wan_assets.task_uuid": outcome.stored.task_uuid}
            row |= {"wan_assets.fingerprint": outcome.stored.fingerprint}
            started = now - int(outcome.stored.generation_s * 1e9)
            tracer.start_span("video", context=self._within, start_time=started, attributes=row).end(now)


@contextmanager
def run_span(origin: Origin, *, simulated: bool) -> Iterator[Trace]:
    """Opens the span of a run for the duration of the block."""
    trace = _api("trace")
    about = {"wan_assets.run_id": origin.run_id, "wan_assets.asset": origin.asset}
    span = trace.get_tracer(_SCOPE, __version__).start_span(
        "generate", attributes={**about, "wan_assets.money": _money(simulated=simulated)["money"]}
    )
    try:
        yield Trace(span, trace.set_span_in_context(span), simulated=simulated)
    finally:
        span.end()


def _money(*, simulated: bool) -> dict[str, str]:
    return {"money": "simulated" if simulated else "real"}
