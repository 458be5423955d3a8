"""How far long work is, as a pipe and a run's log tell it."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import dagster_support
import pytest
from engine_support import PRICE, QUICK, Studio, caps, jobs_of, studio
from log_support import logger
from simulator_support import ManualClock

from wan_assets.cli.progress import progress_display
from wan_assets.client import RetryStatus
from wan_assets.engine import Limits, RunSnapshot
from wan_assets.engine.progress import Estimate, Progress, ProgressTracker, ReportSchedule, progress_line
from wan_assets.engine.run_log import FailureLog, progress_logged
from wan_assets.errors import ApiFault, PromptTableError, TaskFailedError
from wan_assets.ledger import Origin

SLOW = {"latency_s": 2.5}
"""Longer than the engine's beat, so that it is told of tasks while they are in flight."""

# What the engine tells.


def partition_key_by(made: Studio, rows: int = 3, **settings: Any) -> list[RunSnapshot]:
    """What a run tells that it has under way, from its start to its end."""
    reported: list[RunSnapshot] = []
    made.run(jobs_of(rows), on_progress=reported.append, **settings)
    return reported


@pytest.mark.slow
def test_a_run_tells_what_is_in_flight_and_in_the_end_what_it_cost(tmp_path: Path) -> None:
    with studio(tmp_path, **SLOW) as made:
        reported = partition_key_by(made, budget=caps(total_microusd=4 * PRICE))

    busiest = max(reported, key=lambda now: now.in_flight)
    assert busiest == RunSnapshot(3, 0, 0, 3 * PRICE, PRICE, is_simulated=True)
    assert reported[-1] == RunSnapshot(0, 0, 3 * PRICE, 0, PRICE, is_simulated=True)


@pytest.mark.slow
def test_a_run_tells_what_keeps_it_waiting_at_the_api(tmp_path: Path) -> None:
    slow = replace(QUICK, initial_retry_delay_s=1.2, max_retry_delay_s=1.2)  # longer than the engine's beat
    with studio(tmp_path, faults={"rate_limit": 1.0}) as made:
        refused = partition_key_by(made, http_config=slow)
    with studio(tmp_path / "other", faults={"poll_429": 1.0}) as made:
        unpolled = partition_key_by(made, http_config=slow)
    with studio(tmp_path / "third", faults={"download_422": 1.0}) as made:
        not_ready = partition_key_by(made, http_config=slow)

    # Where a task is refused, the next ones may wait for it and not be tried.
    expected = (refused, "rateLimitExceeded", 1), (unpolled, "rateLimitExceeded", 1), (not_ready, "not ready yet", 1)
    for reported, why, least in expected:
        worst = max((now.retries for now in reported), key=lambda trouble: trouble.waiting)
        assert least <= worst.waiting <= 3
        assert why in worst.why
        assert reported[-1].retries == RetryStatus()


def test_a_run_without_a_cap_tells_of_no_room(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        assert {now.room_microusd for now in partition_key_by(made)} == {None}


@pytest.mark.slow
def test_the_room_is_that_of_the_tightest_cap_whoever_uses_it_up(tmp_path: Path) -> None:
    both = caps(per_run_microusd=9 * PRICE, total_microusd=5 * PRICE)
    with studio(tmp_path) as made:
        made.run(jobs_of(2), budget=both, origin=Origin("another-run"))

        reported = partition_key_by(made, 3, budget=both, origin=Origin("this-run"))

    assert (reported[0].room_microusd, reported[-1].room_microusd) == (3 * PRICE, 2 * PRICE)


def test_what_the_api_gave_up_stays_reserved_and_what_it_refused_does_not(tmp_path: Path) -> None:
    once = Limits(max_attempts=1, max_wait_s=20)
    with studio(tmp_path / "given-up", faults={"verdict_in_data": 1.0}) as made:
        given_up = partition_key_by(made, limits=once)[-1]
    with studio(tmp_path / "refused", api_key="another-key") as made:
        refused = partition_key_by(made)[-1]

    assert (given_up.spent_microusd, given_up.reserved_microusd, given_up.in_flight) == (0, 3 * PRICE, 0)
    assert (refused.spent_microusd, refused.reserved_microusd, refused.in_flight) == (0, 0, 0)


@pytest.mark.slow
def test_a_run_that_takes_over_tells_the_money_of_what_it_took_over_and_not_of_what_it_reuses(tmp_path: Path) -> None:
    with studio(tmp_path, **SLOW) as made:
        made.run(jobs_of(1))
        asyncio.run(left_early(made))

        reported = partition_key_by(made)

        assert made.paid == 3
    assert reported[-1] == RunSnapshot(spent_microusd=2 * PRICE, is_simulated=True)


async def left_early(made: Studio) -> None:
    """A run that is stopped as soon as all that it has to send is in flight."""
    in_flight = asyncio.Event()

    def see(now: RunSnapshot) -> None:
        if now.in_flight == 2:
            in_flight.set()

    async def read() -> None:
        async with made.running(jobs_of(3), on_progress=see) as outcomes:
            async for _ in outcomes:
                continue

    reading = asyncio.create_task(read())
    await in_flight.wait()
    reading.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reading


# What is made of it.


def test_a_line_names_everything_a_reader_asks_for() -> None:
    now = RunSnapshot(50, 4, 5_941_000, 23_650_000, 420_000)

    said = progress_line(Progress(2000, 11, 34, 1, now), "about 3 min left")

    assert said == (
        "46 of 2,000 done: 11 new, 34 reused, 1 failed, 50 in flight, 4 being stored; "
        "spent $5.9410, reserved $23.6500, budget left $0.4200; about 3 min left"
    )


def estimated(clock: ManualClock, estimate: Estimate, after_s: float, progress: Progress) -> str:
    clock.now += after_s
    estimate.note(progress)
    return estimate.left()


def test_the_time_left_is_that_of_the_rows_so_far_and_counts_down() -> None:
    clock = ManualClock()
    estimate, waiting = Estimate(clock), Progress(200, snapshot=RunSnapshot(in_flight=50))

    said = [
        estimated(clock, estimate, 0, waiting),
        estimated(clock, estimate, 600, replace(waiting, new=1)),
        estimated(clock, estimate, 0, replace(waiting, new=50)),
        estimated(clock, estimate, 300, replace(waiting, new=50)),
        estimated(clock, estimate, 1490, replace(waiting, new=50)),
        estimated(clock, estimate, 100, replace(waiting, new=50)),
        estimated(clock, estimate, 0, replace(waiting, new=190, failed=10)),
    ]

    assert said == ["", "", "about 30 min left", "about 25 min left", "under a minute left", "", ""]


def test_reused_rows_make_nobody_believe_that_new_ones_are_as_quick() -> None:
    clock = ManualClock()
    estimate = Estimate(clock)
    reused = Progress(20_000, reused=10_000, snapshot=RunSnapshot(in_flight=1))

    estimated(clock, estimate, 1, replace(reused, snapshot=RunSnapshot()))
    estimated(clock, estimate, 300, reused)

    assert estimated(clock, estimate, 60, replace(reused, new=1)) == "about 167 h left"


def test_lines_come_ever_more_rarely_and_never_more_than_a_minute_apart() -> None:
    clock = ManualClock()
    spacing, began = ReportSchedule(first_s=10, most_s=60, clock=clock), clock.now
    due = []
    for second in range(1, 5 * 3600):
        clock.now = began + second
        if spacing.is_due():
            due.append(second)

    gaps = [later - earlier for earlier, later in pairwise(due)]
    assert (due[0], gaps[0], max(gaps)) == (10, 10, 60)
    assert gaps == sorted(gaps)
    assert len(due) < 330


# Where there is no terminal.


@contextlib.contextmanager
def piped() -> Iterator[int]:
    """Standard error as a pipe; gives the end to read from."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stderr, contextlib.redirect_stderr(stderr):
        yield reading


def followed(made: Studio, rows: int, clock: ManualClock, *, each_s: float = 30.0) -> None:
    """A run of the engine that is watched, and for which time passes at whatever it tells."""

    async def run() -> None:
        with progress_display("videos", Progress(rows), is_quiet=False, clock=clock) as show:

            def see(progress: Progress) -> None:
                clock.now += each_s
                show(progress)

            following = ProgressTracker(Progress(rows), see)
            async with made.running(jobs_of(rows), on_progress=following.update) as outcomes:
                async for outcome in outcomes:
                    following.update(outcome)

    asyncio.run(run())


@pytest.mark.slow
def test_a_long_run_writes_plain_lines_to_a_pipe(tmp_path: Path) -> None:
    with studio(tmp_path, **SLOW) as made, piped() as reading:
        followed(made, 3, ManualClock())
        said = os.read(reading, 65536).decode()
    os.close(reading)

    assert said.startswith("[0:00:30] videos 0 of 3 done: 0 new, 0 reused, 0 failed, 0 in flight; spent $0.0000")
    assert "3 in flight; spent $0.0000, reserved $1.4190, simulated dollars\n" in said
    assert said.splitlines()[-1].endswith(
        "3 of 3 done: 3 new, 0 reused, 0 failed, 0 in flight; spent $1.4190, reserved $0.0000, simulated dollars"
    )
    assert not set(said) & {"\r", "\x1b"}


def test_a_run_goes_on_when_whoever_reads_its_lines_goes_away(tmp_path: Path) -> None:
    with studio(tmp_path) as made, piped() as reading:
        os.close(reading)

        followed(made, 3, ManualClock())

        assert made.states() == ["stored"] * 3


# In a run's log.


@pytest.fixture
def root_log() -> Iterator[None]:
    """Leaves the log of all tests as it was: Dagster changes its level for as long as the process lives."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


def log_of(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """What the log of a run says besides Dagster's own events."""
    return [entry.user_message for entry in instance.all_logs(run_id) if entry.dagster_event is None]


@pytest.mark.slow
@pytest.mark.usefixtures("root_log")
def test_the_log_of_a_run_says_what_came_of_it_and_nothing_of_polls(tmp_path: Path) -> None:
    settings = {"python_logs": {"managed_python_loggers": ["root"], "python_log_level": "INFO"}}
    with dg.instance_for_test(overrides=settings) as instance, dagster_support.studio(tmp_path, **SLOW) as made:
        table = dagster_support.written(tmp_path, dagster_support.table_of("A kite", "A boat", "A pier"))

        result = replace(made, instance=instance).run(table, budget_usd_total=2)

        said = log_of(instance, result.run_id)
    money = "spent $1.4190, reserved $0.0000, budget left $0.5810, simulated dollars"
    ended = f"3 of 3 done: 3 new, 0 reused, 0 failed, 0 in flight; {money}"
    assert [line for line in said if "rows requested" in line or "done:" in line] == ["3 rows requested", ended]
    assert not [line for line in said if "HTTP" in line or "127.0.0.1" in line]


def test_the_log_of_a_long_run_gets_a_line_every_few_minutes() -> None:
    clock, (log, said) = ManualClock(), logger()

    with progress_logged(log, lambda _: None, clock) as on_progress:
        for _ in range(10 * 3600):
            clock.now += 1
            on_progress(Progress(200, snapshot=RunSnapshot(in_flight=50)))

    assert said[1].startswith("0 of 200 done")
    assert 10 * 3600 / 300 < len(said) < 180


def test_the_log_names_each_kind_of_trouble_when_it_is_first_met() -> None:
    log, said = logger()
    reported = [
        RetryStatus(12, "connection: refused"),
        RetryStatus(),
        RetryStatus(9, "connection: reset"),
        RetryStatus(1, "http_502: no"),
    ]
    with progress_logged(log, lambda _: None, ManualClock()) as on_progress:
        for trouble in reported:
            on_progress(Progress(200, snapshot=RunSnapshot(retries=trouble)))

    _, first, second, last = said
    assert first == "calls to the API wait to be retried, 12 now: connection: refused"
    assert second == "calls to the API wait to be retried, 1 now: http_502: no"
    assert "0 in flight, 1 to be retried (http_502: no);" in last


def test_a_reason_that_fills_the_screen_is_cut() -> None:
    reported = Progress(2, snapshot=RunSnapshot(retries=RetryStatus(2, "html:\n" + "very long " * 40)))
    assert all(len(part) < 120 and "\n" not in part for part in reported.counts())


def test_rows_that_fail_for_one_reason_are_named_a_few_times_and_each_reason_is() -> None:
    log, said = logger()
    failures = FailureLog(log)

    for number in range(100):
        failures.add(f"row-{number}", PromptTableError("is gone"))
    failures.add("row-100", OddTableError("is odd"))

    assert len(said) == 7
    assert said[0] == "row-0 has no video: is gone"
    assert "counted but not logged" in said[5]
    assert said[6] == "row-100 has no video: is odd"


def test_records_carry_what_they_say_as_fields(caplog: pytest.LogCaptureFixture) -> None:
    log, _ = logger()
    with progress_logged(log, lambda _: None, ManualClock()) as on_progress:
        on_progress(Progress(200, new=3, snapshot=RunSnapshot(in_flight=50, spent_microusd=7)))
    FailureLog(log).add("row-1", TaskFailedError(ApiFault("providerError", "no", task_uuid="t-1")))

    *progress, failure = (record.wan_assets for record in caplog.records)
    assert (progress[-1]["total"], progress[-1]["new"]) == (200, 3)
    assert (progress[-1]["snapshot"]["in_flight"], progress[-1]["snapshot"]["spent_microusd"]) == (50, 7)
    reported = {"partition": "row-1", "error": "TaskFailedError", "code": "providerError", "task_uuid": "t-1"}
    assert failure == reported


class OddTableError(PromptTableError):
    """Another reason."""
