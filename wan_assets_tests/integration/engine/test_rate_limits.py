"""A concurrency limit of the account, which nobody tells: rows wait for it, and the number in flight finds it."""

import asyncio
import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import dagster as dg
import pytest
from cli_support import clean, wan_assets
from engine_support import errors_of, jobs_of, rows_of
from folders import SUPPORT
from hypothesis import given, settings
from hypothesis import strategies as st
from limited_api import LimitedApi, schedule_of
from patience import PATIENCE_S

from wan_assets import LedgerResource, RunwareResource, VideoStoreResource, build_video_assets
from wan_assets.client import HttpConfig, RunwareClient
from wan_assets.client.error_codes import class_of, is_over_capacity, refusal_of
from wan_assets.engine import Limits, Outcome, Recovered, RunSnapshot, VideoJob, generate, recover
from wan_assets.engine.concurrency import AdaptiveLimit, LimitConfig, LimitStatus, fair_share
from wan_assets.engine.progress import Progress, progress_line
from wan_assets.engine.slots import Slot, Slots, SlotState
from wan_assets.errors import ApiFault, RunwareBusyError
from wan_assets.ledger import LearnedLimit, Ledger, SharedLimit, account_of
from wan_assets.store import VideoStore

QUICK = HttpConfig(
    initial_poll_delay_s=0.1,
    max_poll_interval_s=0.3,
    initial_retry_delay_s=0.2,
    max_retry_delay_s=2.0,
    retry_jitter_s=0.0,
)
GENERATION_S = 1.0


@dataclass
class Account:
    """A folder with ledger and store, and a server with a limit that it does not tell."""

    folder: Path
    api: LimitedApi
    url: str = ""
    reported: list[RunSnapshot] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.url = self.url or f"sqlite:///{self.folder / 'ledger.db'}"

    async def outcomes(self, jobs: list[VideoJob], http_config: HttpConfig = QUICK, **limits: Any) -> list[Outcome]:
        """All outcomes of one run."""
        ledger = Ledger(self.url)
        means: dict[str, Any] = {"store": VideoStore(self.folder / "store"), "ledger": ledger}
        means |= {"limits": Limits(**limits), "on_progress": self.reported.append}
        async with RunwareClient("key", self.api.base_url, http_config=http_config) as client:
            found = [outcome async for outcome in generate(jobs, client=client, **means)]
        ledger.close()
        return found

    def run(self, jobs: list[VideoJob], http_config: HttpConfig = QUICK, **limits: Any) -> list[Outcome]:
        return asyncio.run(asyncio.wait_for(self.outcomes(jobs, http_config, **limits), PATIENCE_S))

    def assert_each_paid_once(self, rows: int) -> None:
        """Each row has one task, which the API has accepted once."""
        assert len(self.api.done_at) == rows
        accepted = Counter(each.task_uuid for each in self.api.submissions if each.is_accepted)
        assert set(accepted.values()) == {1}
        assert self.states() == {"stored": rows}

    def wait_for_refusal(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not self.api.refused and time.monotonic() < deadline:
            time.sleep(0.05)

    def states(self) -> dict[str, int]:
        return dict(Counter(row[0] for row in rows_of(self.url, "SELECT state FROM wan_tasks")))


@contextlib.contextmanager
def account(folder: Path, video: bytes, limit: str, url: str = "", **server: Any) -> Iterator[Account]:
    """An account whose limit is that of a schedule, such as `12` or `6,3:2,6:12`."""
    given = {"generation_s": GENERATION_S, **server}
    with LimitedApi(schedule_of(limit), video=video, **given) as api:
        yield Account(folder, api, url)


# Against a server.


@pytest.mark.slow
@pytest.mark.parametrize(
    "refusal",
    [
        {},
        {"status": 503, "code": "serviceUnavailable"},
        {"status": 200},
        {"status": 400, "code": "tooManyConcurrentRequests"},
        {"status": 500, "code": "providerRateLimitExceeded"},
        {"headers": {"Retry-After": "1"}},
    ],
    ids=str,
)
def test_no_row_fails_because_the_account_runs_few_tasks_at_once(
    tmp_path: Path, video: bytes, refusal: dict[str, Any]
) -> None:
    with account(tmp_path, video, "6", **refusal) as made:
        outcomes = made.run(jobs_of(36))

        made.assert_each_paid_once(36)
    assert set(errors_of(outcomes)) == {""}
    assert made.api.share_refused() <= 0.1
    assert max(each.running for each in made.api.submissions) == 6


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["1", "3", "none"])
def test_the_number_in_flight_finds_any_limit(tmp_path: Path, video: bytes, limit: str) -> None:
    rows = {"1": 8, "3": 20, "none": 40}[limit]

    with account(tmp_path, video, limit) as made:
        outcomes = made.run(jobs_of(rows), max_in_flight=20)

        made.assert_each_paid_once(rows)
    assert set(errors_of(outcomes)) == {""}
    assert len(made.api.refused) <= max(1, rows // 10)
    assert max(each.running for each in made.api.submissions) + 1 == {"1": 2, "3": 4, "none": 20}[limit]


@pytest.mark.slow
def test_a_limit_that_falls_and_rises_is_found_again(tmp_path: Path, video: bytes) -> None:
    with account(tmp_path, video, "8,4:3,8:16", jitter=0.3) as made:
        outcomes = made.run(jobs_of(120))

        made.assert_each_paid_once(120)
    assert set(errors_of(outcomes)) == {""}
    assert made.api.share_refused() <= 0.16
    assert max(each.running for each in made.api.submissions) == 16
    assert made.api.stats()["makespan_s"] <= 25.0


@pytest.mark.slow
def test_a_run_starts_with_few_tasks_and_asks_for_more_as_they_are_accepted(tmp_path: Path, video: bytes) -> None:
    with account(tmp_path, video, "none", generation_s=3.0) as made:
        made.run(jobs_of(30), max_in_flight=30)

    ats = [each.at for each in made.api.submissions]
    assert ats[4] - ats[0] >= 0.2, "the limit rises at most every 0.2 s"
    assert ats[8] - ats[0] >= 0.4
    assert ats[16] - ats[0] >= 0.6
    assert ats[-1] < 2.0


@pytest.mark.slow
def test_a_refused_task_is_sent_again_under_its_own_uuid_and_not_at_once(tmp_path: Path, video: bytes) -> None:
    with account(tmp_path, video, "3") as made:
        made.run(jobs_of(18), http_config=replace(QUICK, initial_retry_delay_s=0.5))

    sent = defaultdict(list)
    for each in made.api.submissions:
        sent[each.task_uuid].append(each.at)
    assert len(sent) == 18
    assert any(len(ats) > 1 for ats in sent.values())
    assert all(later - earlier >= 0.5 for ats in sent.values() for earlier, later in pairwise(ats))


@pytest.mark.slow
def test_nothing_is_sent_for_as_long_as_the_api_asks(tmp_path: Path, video: bytes) -> None:
    with account(tmp_path, video, "4", headers={"Retry-After": "2"}) as made:
        made.run(jobs_of(16))

    ats = [(each.at, each.is_accepted) for each in made.api.submissions]
    waits = [later[0] - earlier[0] for earlier, later in pairwise(ats) if not earlier[1]]
    assert waits
    assert all(wait >= 1.9 or wait <= 0.1 for wait in waits), "what was on the way already comes at once"


@pytest.mark.slow
def test_a_long_wait_that_one_task_is_given_holds_up_no_other(tmp_path: Path, video: bytes) -> None:
    barred = "Kite 3"
    server = {"accepts": lambda task: task["positivePrompt"] != barred, "headers": {"Retry-After": "86400"}}

    with account(tmp_path, video, "none", **server) as made:
        outcomes = made.run(jobs_of(12), http_config=replace(QUICK, max_retry_after_s=5.0), max_stall_s=2.0)

    assert Counter(errors_of(outcomes)) == {"": 11, "RunwareBusyError": 1}
    assert made.states() == {"stored": 11, "rejected": 1}


@pytest.mark.slow
def test_a_task_that_alone_is_refused_lets_all_others_pass_and_fails_when_nothing_else_moves(
    tmp_path: Path, video: bytes
) -> None:
    server = {"accepts": lambda task: task["positivePrompt"] != "Kite 0"}

    with account(tmp_path, video, "none", **server) as made:
        outcomes = made.run(jobs_of(30), max_in_flight=1, max_stall_s=2.0)

    failed = [outcome.job.partition for outcome in outcomes if outcome.error]
    assert failed == ["p0"]
    assert outcomes[-1].job.partition == "p0"


@pytest.mark.slow
def test_rows_fail_only_when_the_api_has_accepted_nothing_for_long_and_the_next_run_takes_them_up(
    tmp_path: Path, video: bytes
) -> None:
    with account(tmp_path, video, "0,6:none") as made:
        begun = time.monotonic()
        first = made.run(jobs_of(5), max_stall_s=2.0)
        took_s, states = time.monotonic() - begun, made.states()
        time.sleep(max(0.0, 6.1 - (time.monotonic() - (made.api.begun_at or 0))))
        second = made.run(jobs_of(5))

        assert len(made.api.done_at) == 5
        accepted = Counter(each.task_uuid for each in made.api.submissions if each.is_accepted)
        assert set(accepted.values()) == {1}
    assert set(errors_of(first)) == {"RunwareBusyError"}
    assert "the API has accepted and finished no task for 2 s, and refuses new ones: Too many" in str(first[0].error)
    assert took_s >= 2.0
    assert set(states) == {"rejected"}
    assert set(errors_of(second)) == {""}


@pytest.mark.slow
def test_polls_that_are_refused_slow_polling_and_not_submissions(tmp_path: Path, video: bytes) -> None:
    with account(tmp_path, video, "none", polls_refused=True) as made:
        outcomes = made.run(jobs_of(24), max_in_flight=12)

        made.assert_each_paid_once(24)
    assert set(errors_of(outcomes)) == {""}
    assert max(each.running for each in made.api.submissions) == 11
    # Not every gap: a busy server may see a poll late, together with one that was sent before its refusal arrived.
    gaps_s = [later - earlier for earlier, later in pairwise(made.api.polls)]
    assert median(gaps_s[::2]) >= QUICK.initial_retry_delay_s


@pytest.mark.slow
def test_what_ends_a_run_ends_the_rows_that_wait_for_capacity_too(tmp_path: Path, video: bytes) -> None:
    async def paused(made: Account) -> list[Outcome]:
        running = asyncio.create_task(made.outcomes(jobs_of(20)))
        await asyncio.to_thread(made.wait_for_refusal)
        ledger = Ledger(made.url)
        ledger.pause("a test")
        found = await asyncio.wait_for(running, PATIENCE_S)
        ledger.pause(None)
        ledger.close()
        return found

    with account(tmp_path, video, "2") as made:
        outcomes = asyncio.run(paused(made))

    ended = Counter(errors_of(outcomes))
    assert set(ended) == {"", "PausedError"}
    assert ended["PausedError"] >= 14
    assert sum(outcome.is_skipped for outcome in outcomes) == ended["PausedError"]
    assert made.states().get("reserved", 0) <= 2


# Runs that share a ledger.


async def _two_runs(made: Account, rows: int) -> list[list[Outcome]]:
    jobs = jobs_of(rows)
    halves = jobs[::2], jobs[1::2]
    return await asyncio.gather(*(made.outcomes(half) for half in halves))


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_runs_that_share_a_ledger_share_the_limit(
    tmp_path: Path, video: bytes, database: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url") if database == "postgres" else ""

    with account(tmp_path, video, "6", url) as made:
        found = asyncio.run(asyncio.wait_for(_two_runs(made, 60), PATIENCE_S))

        made.assert_each_paid_once(60)
    assert {error for outcomes in found for error in errors_of(outcomes)} == {""}
    assert made.api.share_refused() <= 0.15


@pytest.mark.slow
def test_the_next_run_starts_from_what_the_last_one_has_learned(tmp_path: Path, video: bytes) -> None:
    with account(tmp_path, video, "7") as made:
        made.run(jobs_of(30))
        first = len(made.api.submissions)
        made.run(jobs_of(60)[30:], http_config=replace(QUICK, initial_retry_delay_s=0.05))

        made.assert_each_paid_once(60)
        later = made.api.submissions[first:]
    assert all(each.is_accepted for each in later[:7])
    assert later[6].at - later[0].at < 0.9, "it does not grow from 4 again"
    assert rows_of(made.url, "SELECT count(*) FROM wan_waiting_runs")[0][0] == 0


@pytest.mark.slow
def test_what_a_killed_process_has_at_the_api_is_waited_for_and_not_sent_again(tmp_path: Path, video: bytes) -> None:
    program = (
        "import asyncio, sys; sys.path[:0] = sys.argv[1].split()\n"
        "from test_rate_limits import *\n"
        "made = Account(Path(sys.argv[2]), LimitedApi(schedule_of('3'), 1.0, b'', port=int(sys.argv[3])))\n"
        "made.run(jobs_of(12))\n"
    )
    with account(tmp_path, video, "3", generation_s=3.0) as made:
        arguments = [f"{SUPPORT} {Path(__file__).parent}", str(tmp_path), str(made.api.port)]
        process = subprocess.Popen([sys.executable, "-c", program, *arguments])
        deadline = time.monotonic() + PATIENCE_S
        while len(made.api.done_at) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        recovered = asyncio.run(_recovered(made))
        sent = len(made.api.submissions)
        outcomes = made.run(jobs_of(12))

        made.assert_each_paid_once(12)
    assert sum(each.stored is not None for each in recovered) == 3
    assert sent <= 5
    assert set(errors_of(outcomes)) == {""}


async def _recovered(made: Account) -> list[Recovered]:
    ledger = Ledger(made.url)
    async with RunwareClient("key", made.api.base_url, http_config=QUICK) as client:
        found = recover(client=client, store=VideoStore(made.folder / "store"), ledger=ledger)
        return [each async for each in found]


# Through Dagster and the command.


@pytest.mark.slow
@pytest.mark.parametrize("by_batch", [False, True])
def test_a_dagster_run_completes_at_an_account_with_a_small_limit(tmp_path: Path, video: bytes, by_batch: bool) -> None:
    shards = dg.StaticPartitionsDefinition(["a", "b"])
    silent = {"resolution": "480p", "provider_settings.alibaba.audio": False}
    rows = [
        {"prompt_id": f"r{each}", "positive_prompt": f"Kite {each}", "shard": "ab"[each % 2], **silent}
        for each in range(14)
    ]
    table = tmp_path / "prompts.csv"
    names = list(rows[0])
    table.write_text("\n".join(",".join(map(str, line)) for line in [names, *(row.values() for row in rows)]))
    partitions: dict[str, Any] = {"partitions": shards} if by_batch else {}
    assets = build_video_assets(prompts=table, **partitions).assets or ()

    with account(tmp_path, video, "3") as made, dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("videos", [row["prompt_id"] for row in rows])
        ends = ("a", "b") if by_batch else ("r0", "r13")
        result = dg.materialize(
            list(assets),
            instance=instance,
            selection="videos",
            resources={
                "runware": RunwareResource(api_key="key", base_url=made.api.base_url, initial_poll_delay_s=0.2),
                "store": VideoStoreResource(root=str(tmp_path / "store")),
                "ledger": LedgerResource(url=made.url),
            },
            tags={
                "dagster/asset_partition_range_start": ends[0],
                "dagster/asset_partition_range_end": ends[1],
            },
            raise_on_error=False,
        )

        made.assert_each_paid_once(14)
    assert result.success
    assert len(made.api.refused) <= 3


@pytest.mark.slow
def test_the_command_tells_the_limit_and_why(tmp_path: Path, video: bytes) -> None:
    table = tmp_path / "prompts.csv"
    lines = [f"Kite {number},480p,false" for number in range(26)]
    table.write_text("\n".join(["positive_prompt,resolution,provider_settings.alibaba.audio", *lines]))

    with account(tmp_path, video, "3", generation_s=2.0) as made:
        means = {"RUNWARE_API_KEY": "key", "RUNWARE_BASE_URL": made.api.base_url}
        done = wan_assets("materialize", table, "--data-dir", tmp_path / "out", cwd=tmp_path, **clean(**means))

    assert done.returncode == 0, done.stderr
    assert "3 in flight, limit 3: the API refused the 4th task" in done.stderr


def test_progress_names_the_limit_only_while_it_keeps_rows_waiting() -> None:
    limit = LimitStatus(12, 12, "the API refused the 13th task 40 s ago")
    shared = LimitStatus(12, 5, "it grows while the API accepts tasks")

    said = progress_line(Progress(100, snapshot=RunSnapshot(in_flight=12, limit=limit)))
    assert "12 in flight, limit 12: the API refused the 13th task 40 s ago; spent" in said
    assert str(shared) == "limit 12, 5 for this run: it grows while the API accepts tasks"
    assert "limit" not in progress_line(Progress(100, snapshot=RunSnapshot(in_flight=12)))


# The rules alone.


@dataclass
class Model:
    """A server and a run in steps of 50 ms, which has no other delays: rows wait, run `generation_s`, and end."""

    capacity: Callable[[float], int]
    generation_s: float
    rows: int
    maximum: int = 1000
    limit: AdaptiveLimit = field(default_factory=lambda: AdaptiveLimit(LimitConfig(), 0.0))
    refused: list[float] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)

    def run(self) -> float:
        """The makespan; the API answers before the next step."""
        running: list[float] = []
        now, waiting = 0.0, self.rows
        while waiting or running:
            running = [end for end in running if end > now]
            self.limit.tick(now, len(running), waiting)
            while waiting and now >= self.limit.hold_until and len(running) < min(self.maximum, self.limit.limit):
                self.sent.append(now)
                if len(running) >= self.capacity(now):
                    self.refused.append(now)
                    if self.limit.refused(now, None, waiting):
                        self.limit.measured_at_refusal(len(running))
                else:
                    running.append(now + self.generation_s)
                    waiting -= 1
                    if self.limit.accepted(now, len(running), 0.05):
                        self.limit.measured_above(now, len(running))
                assert self.limit.limit >= 1
            now += 0.05
            assert now < 100_000, "the run does not end"
        return now


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.integers(1, 250), st.sampled_from([5.0, 20.0, 60.0]), st.integers(2, 12))
def test_any_constant_limit_costs_little_time_and_few_refusals(capacity: int, generation_s: float, waves: int) -> None:
    rows = capacity * waves
    model = Model(lambda _: capacity, generation_s, rows)

    makespan = model.run()

    assert makespan <= waves * generation_s * 1.15 + 5
    assert len(model.refused) <= max(1, 0.1 * len(model.sent))
    late = [at for at in model.sent if at >= 60]
    assert sum(at >= 60 for at in model.refused) <= 0.02 * len(late) + 1e-9


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.floats(1, 90)), min_size=1, max_size=6),
    st.floats(1, 60),
    st.integers(1, 300),
)
def test_a_run_ends_whatever_the_limit_does(steps: list[tuple[int, float]], generation_s: float, rows: int) -> None:
    ends = [sum(length for _, length in steps[: number + 1]) for number in range(len(steps))]

    def capacity(now: float) -> int:
        return next((limit for (limit, _), end in zip(steps, ends, strict=True) if now < end), 10)

    Model(capacity, generation_s, rows).run()


def test_the_limit_is_halved_once_where_the_api_takes_fewer_tasks_than_it_did() -> None:
    limit = AdaptiveLimit(LimitConfig(), 0.0)
    limit.adopt(0.0, LearnedLimit(40, 40, 10.0))
    limit.accepted(1.0, 40, 0.1)

    limits = []
    for now, in_flight in ((100.0, 39), (102.0, 38), (105.0, 18)):
        limit.refused(now, None, 100)
        limit.refused(now + 0.1, None, 100)
        limit.measured_at_refusal(in_flight)
        limits.append(limit.limit)

    assert limits == [40, 19, 18]
    assert limit.describe(106.0, 18) == LimitStatus(18, 18, "it was halved, the API refused the 19th task 1 s ago")


def test_slow_acknowledgements_stop_the_growth() -> None:
    limit = AdaptiveLimit(LimitConfig(), 0.0)
    for now, latency_s in ((1.0, 0.2), (2.0, 0.2), (3.0, 4.0), (4.0, 4.0)):
        limit.accepted(now, limit.limit, latency_s)
        limit.tick(now + 0.5, limit.limit, 100)

    assert limit.limit == 16
    limit.accepted(5.0, 16, 0.2)
    limit.tick(5.0, 16, 100)
    assert limit.limit == 32


def test_the_pause_after_a_refusal_doubles_while_nothing_is_accepted_and_honours_what_the_api_asks() -> None:
    limit, waits = AdaptiveLimit(LimitConfig(), 0.0), []
    now = 0.0
    for asked_s in (None, None, None, 20.0, None, None, None):
        limit.refused(now, asked_s, 0)
        limit.measured_at_refusal(0)
        waits.append(limit.hold_until - now)
        now = limit.hold_until

    assert waits == [1, 2, 4, 20, 16, 30, 30]


def test_a_single_refusal_that_another_task_does_not_meet_changes_nothing() -> None:
    limit = AdaptiveLimit(LimitConfig(), 0.0)
    limit.adopt(0.0, LearnedLimit(32))
    for number in range(10):
        assert not limit.refused(1.0 + number, None, 100)
        assert limit.hold_until < 0
        limit.accepted(1.1 + number, 20, 0.1)

    assert limit.learned(20.0) == LearnedLimit(32)


@given(st.integers(0, 500), st.lists(st.integers(0, 200), min_size=1, max_size=6))
def test_runs_share_a_limit_fairly(limit: int, wants: list[int]) -> None:
    shares = [fair_share(limit, want, [*wants[:place], *wants[place + 1 :]]) for place, want in enumerate(wants)]

    assert all(0 <= share <= want for share, want in zip(shares, wants, strict=True))
    assert sum(sorted(shares)) <= limit + len(wants), "equal runs may each take the odd one"
    assert min(limit, sum(wants)) <= sum(shares)
    unmet = [share for share, want in zip(shares, wants, strict=True) if share < want]
    assert all(share >= math.floor(limit / len(wants)) for share in unmet)


@pytest.mark.parametrize("code", ["rateLimitExceeded", "tooManyRequests", "concurrencyLimitReached", "modelOverloaded"])
def test_codes_that_tell_of_a_lack_of_capacity_are_known(code: str) -> None:
    for status in (200, 400, 429, 500, 503):
        error = refusal_of(ApiFault(code, "No.", http_status=status))
        assert is_over_capacity(error)
        assert class_of(code, status) is RunwareBusyError


@pytest.mark.parametrize(
    ("code", "status"),
    [("tooManyImages", 400), ("inferenceRateLimitRequestTooLarge", 429), ("insufficientCredits", 429), ("odd", 502)],
)
def test_other_codes_are_no_lack_of_capacity(code: str, status: int) -> None:
    assert not is_over_capacity(refusal_of(ApiFault(code, "No.", http_status=status)))


def test_the_name_of_an_account_holds_no_secret() -> None:
    address = "https://user:password@api.example.com:8443/v1/?token=secret"

    assert account_of(address, simulated=False) == "real api.example.com:8443/v1"


def test_a_task_that_the_api_does_not_know_takes_up_no_capacity() -> None:
    async def let_in() -> tuple[bool, bool]:
        unknown: set[str] = set()
        slots = Slots(4, QUICK, refreshed, unknown=unknown, stall_s=60.0)
        learned = LearnedLimit(1, 1, 0.0)
        slots.apply_shared(SharedLimit(learned, ()))
        first, second = Slot(), Slot()
        await slots.moved(first, SlotState.SENDING)
        slots.move(first, SlotState.IN_FLIGHT)
        waiting = asyncio.create_task(slots.moved(second, SlotState.SENDING))
        await asyncio.sleep(0)
        before = waiting.done()
        unknown.add("the first task")
        slots.admit_waiting()
        await asyncio.sleep(0)
        after = waiting.done()
        slots.close()
        waiting.cancel()
        return before, after

    async def refreshed() -> None:
        """Nothing is polled."""

    assert asyncio.run(let_in()) == (False, True)
