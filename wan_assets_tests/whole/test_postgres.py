"""A ledger on Postgres: two at once at any point of a transaction, runs of the engine, and a server that goes away."""

import asyncio
import contextlib
import functools
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from engine_support import CHARGES_EVERY_COPY, PRICE, Studio, caps, errors_of, jobs_of, request_of, rows_of, studio
from folders import SUPPORT
from patience import PATIENCE_S
from postgres_support import Cluster, cluster

from wan_assets.engine import Limits, Outcome
from wan_assets.errors import ApiFault, BudgetExceededError, LedgerError
from wan_assets.ledger import (
    Approval,
    CheckRecord,
    Claim,
    DecisionValue,
    Ledger,
    NewDecision,
    Origin,
    PartitionRecord,
    PartitionRow,
    Source,
    TaskState,
    VideoKey,
)
from wan_assets.ledger.budget_sums import BudgetSums

FAULT = ApiFault("someCode", "some message")
MANY = range(40)
"""More than any transaction has statements."""

Deed = Callable[[Ledger, str, int], Any]
"""What somebody does with a ledger, under a name, in the round of a number."""


# Another one comes in before any statement of a transaction.


def interleaved(url: str, deed: Deed, other: Deed | None = None) -> list[tuple[Any, Any]]:
    """What two get who do something at once: in each round the other comes in one statement later than before.

    The last round is that in which the first has ended before it was the other's turn.
    """
    answers = []
    with (
        contextlib.closing(Ledger(url, caps())) as first,
        contextlib.closing(Ledger(url, caps())) as second,
        ThreadPoolExecutor(1) as aside,
    ):
        for number in MANY:
            come_in = Interloper(url, number, functools.partial(aside.submit, other or deed, second, "b", number))
            sa.event.listen(first._engine, "before_cursor_execute", come_in)
            answer = deed(first, "a", number)
            sa.event.remove(first._engine, "before_cursor_execute", come_in)
            if come_in.deed is None:
                return answers
            answers.append((answer, come_in.deed.result(timeout=PATIENCE_S)))
    raise AssertionError("a transaction has more statements than there are rounds")


class Interloper:
    """Starts something before the statement of a number; that waits until it is done, or waits for a lock itself."""

    def __init__(self, url: str, number: int, start: Callable[[], Future[Any]]) -> None:
        self.deed: Future[Any] | None = None
        self._url = url
        self._start = start
        self._statements_left = number

    def __call__(self, *_: Any) -> None:
        if self._statements_left == 0:
            self.deed = self._start()
            while not self.deed.done() and not self._waits_for_a_lock():
                wait([self.deed], 0.005)
        self._statements_left -= 1

    def _waits_for_a_lock(self) -> bool:
        here = "datname = current_database() AND wait_event_type = 'Lock'"
        return bool(rows_of(self._url, f"SELECT 1 FROM pg_stat_activity WHERE {here}"))


def claimed(ledger: Ledger, name: str, number: int, **origin: str) -> Claim:
    return ledger.claim(request_of(f"Kite {number}"), Origin(**origin), name, simulated=False)


def tasks_of(ledger: Ledger, state: TaskState, owner: str | None = None) -> list[str]:
    """A task in a state for each round, held by an owner or nobody."""
    made = [claimed(ledger, owner or "nobody", number).task.task_uuid for number in MANY]
    for task_uuid in made:
        if state is not TaskState.RESERVED:
            ledger.mark_submitted(task_uuid)
        if state is TaskState.LOST:
            ledger.mark_lost(task_uuid, FAULT)
        if owner is None:
            ledger.release_leases("nobody", task_uuid)
    return made


def assert_sum(url: str, microusd: int) -> None:
    """What the tasks cost and reserve together, and what is booked as committed."""
    (summed,) = rows_of(url, "SELECT coalesce(sum(cost_microusd + reserved_microusd), 0) FROM wan_tasks")
    booked = rows_of(url, "SELECT committed_microusd FROM wan_spend WHERE scope = 'real total'")
    assert (summed, booked) == ((microusd,), [(microusd,)])


def test_two_claims_of_a_request_share_one_task(postgres_url: str) -> None:
    pairs = interleaved(postgres_url, claimed)

    assert [sorted(claim.status for claim in pair) for pair in pairs] == [["locked", "new"]] * len(pairs)
    assert all(first.task.task_uuid == second.task.task_uuid for first, second in pairs)
    assert_sum(postgres_url, (len(pairs) + 1) * PRICE)


def test_two_who_give_up_a_lost_task_buy_it_again_once(postgres_url: str) -> None:
    lost = tasks_of(Ledger(postgres_url, caps()), TaskState.LOST)

    def rebought(ledger: Ledger, name: str, number: int) -> Claim:
        request = request_of(f"Kite {number}")
        return ledger.claim(request, Origin(), name, simulated=False, instead_of=lost[number])

    pairs = interleaved(postgres_url, rebought)

    assert [sorted(claim.status for claim in pair) for pair in pairs] == [["locked", "new"]] * len(pairs)
    assert {claim.task.attempt for pair in pairs for claim in pair} == {2}
    assert_sum(postgres_url, (len(MANY) + len(pairs) + 1) * PRICE)


def test_two_purchases_get_a_task_each(postgres_url: str) -> None:
    pairs = interleaved(postgres_url, lambda ledger, name, number: claimed(ledger, name, number, purchase=name))

    assert {claim.status for pair in pairs for claim in pair} == {"new"}
    assert [sorted(claim.task.attempt for claim in pair) for pair in pairs] == [[1, 2]] * len(pairs)
    assert_sum(postgres_url, (2 * len(pairs) + 1) * PRICE)


def test_a_task_that_nobody_holds_is_taken_by_one_of_two(postgres_url: str) -> None:
    tasks_of(Ledger(postgres_url, caps()), TaskState.SUBMITTED)

    pairs = interleaved(postgres_url, claimed)

    assert [sorted(claim.status for claim in pair) for pair in pairs] == [["locked", "resumed"]] * len(pairs)


def test_the_last_money_goes_to_one_of_two(postgres_url: str) -> None:
    def got_in(ledger: Ledger, name: str, number: int) -> bool:
        ledger._sums = BudgetSums(caps(total_microusd=(number + 1) * PRICE))
        try:
            ledger.claim(request_of(f"{name} {number}"), Origin(), name, simulated=False)
        except BudgetExceededError:
            return False
        return True

    pairs = interleaved(postgres_url, got_in)

    assert [sum(pair) for pair in pairs] == [1] * len(pairs)
    assert_sum(postgres_url, (len(pairs) + 1) * PRICE)


@pytest.mark.parametrize("other", ["settled", "failed", "lost", "released"])
@pytest.mark.parametrize("one", ["settled", "released"])
def test_a_task_that_two_end_is_booked_by_one(postgres_url: str, one: str, other: str) -> None:
    ends: dict[str, Any] = {
        "settled": lambda ledger, task_uuid: ledger.settle(task_uuid, [], [PRICE // 2]),
        "failed": lambda ledger, task_uuid: ledger.mark_failed(task_uuid, FAULT),
        "lost": lambda ledger, task_uuid: ledger.mark_lost(task_uuid, FAULT),
        "released": lambda ledger, task_uuid: ledger.release(task_uuid, FAULT),
    }
    ledger = Ledger(postgres_url, caps())
    task_uuids = tasks_of(ledger, TaskState.RESERVED if one == "released" else TaskState.SUBMITTED)

    pairs = interleaved(
        postgres_url,
        lambda ledger, _, number: ends[one](ledger, task_uuids[number]),
        lambda ledger, _, number: ends[other](ledger, task_uuids[number]),
    )

    assert pairs
    totals = ledger.totals().real
    assert_sum(postgres_url, totals.cost_microusd + totals.reserved_microusd)


def test_a_claim_of_a_task_that_is_just_ending_buys_nothing(postgres_url: str) -> None:
    task_uuids = tasks_of(Ledger(postgres_url, caps()), TaskState.SUBMITTED)

    def ended(ledger: Ledger, _: str, number: int) -> None:
        ledger.settle(task_uuids[number], [], [PRICE])
        ledger.mark_stored(task_uuids[number], [])

    pairs = interleaved(postgres_url, claimed, ended)

    assert {claim.status for claim, _ in pairs} <= {"resumed", "stored"}
    assert_sum(postgres_url, len(MANY) * PRICE)


def test_an_upload_may_be_remembered_by_two(postgres_url: str) -> None:
    def remembered(ledger: Ledger, name: str, number: int) -> None:
        ledger.remember_upload(f"sha256:{number}", "https://one", name)

    pairs = interleaved(postgres_url, remembered)

    uploaded = [
        Ledger(postgres_url, caps()).uploaded(f"sha256:{number}", "https://one") for number in range(len(pairs))
    ]
    assert set(uploaded) <= {"a", "b"}


# Runs of the engine.


def assert_paid_once(made: Studio, number: int) -> None:
    """Each request was charged once, and the ledger tells the same sum as the account."""
    totals = made.ledger().totals().simulated
    assert Counter(charge.fingerprint for charge in made.journal.charges()) == {
        job.request.fingerprint(): 1 for job in jobs_of(number)
    }
    assert (totals.cost_microusd, totals.reserved_microusd) == (made.journal.spent_microusd(), 0)
    assert Counter(made.states()) == {"stored": number}


def test_a_run_pays_once_for_each_row_and_the_next_reuses_all(tmp_path: Path, postgres_url: str) -> None:
    with studio(tmp_path, postgres_url, **CHARGES_EVERY_COPY) as made:
        outcomes = made.run(jobs_of(20))
        again = made.run(jobs_of(20))

        assert_paid_once(made, 20)
    assert errors_of(outcomes) == [""] * 20
    assert all(outcome.is_reused for outcome in again)


def test_two_runs_at_once_on_the_same_rows_pay_once_and_both_get_all(tmp_path: Path, postgres_url: str) -> None:
    with studio(tmp_path, postgres_url, **CHARGES_EVERY_COPY) as made, ThreadPoolExecutor(2) as both:
        results = list(both.map(made.run, [jobs_of(20)] * 2))

        assert_paid_once(made, 20)
    assert [errors_of(outcomes) for outcomes in results] == [[""] * 20] * 2


RUN = """
import sys
from pathlib import Path
from types import SimpleNamespace
from engine_support import Studio, jobs_of
Studio(Path(sys.argv[1]), SimpleNamespace(base_url=sys.argv[2]), sys.argv[3]).run(jobs_of(20))
"""


def test_a_run_that_was_killed_is_taken_over_and_nothing_is_paid_twice(tmp_path: Path, postgres_url: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(SUPPORT)}

    with studio(tmp_path, postgres_url, latency_s=0.2, **CHARGES_EVERY_COPY) as made:
        command = [sys.executable, "-c", RUN, made.folder, made.simulator.base_url, made.url]
        with subprocess.Popen(command, env=environment) as process:
            while made.paid < 5 and process.returncode is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.003)
            process.kill()
        outcomes = made.run(jobs_of(20))

        assert_paid_once(made, 20)
    assert process.returncode == -9
    assert errors_of(outcomes) == [""] * 20


# A server that goes away, or was never there.


def test_a_server_that_stops_on_the_way_stops_the_run_and_nothing_is_lost(tmp_path: Path) -> None:
    rows = 40  # more than a busy machine makes while it stops the server

    async def stopped_after_one(made: Studio, server: Cluster) -> list[Outcome]:
        async with made.running(jobs_of(rows), limits=Limits(max_in_flight=3, max_wait_s=20), lease_s=1) as outcomes:
            first = await anext(outcomes)
            await asyncio.to_thread(server.stop)
            return [first, *[outcome async for outcome in outcomes]]

    slow = {**CHARGES_EVERY_COPY, "latency_s": 0.5}
    with cluster() as server, server.database() as url, studio(tmp_path, url, **slow) as made:
        first = asyncio.run(stopped_after_one(made, server))
        paid_at_first = made.paid
        server.start()
        second = made.run(jobs_of(rows))

        assert paid_at_first < rows
        assert_paid_once(made, rows)
    assert set(errors_of(first)) == {"", "LedgerError"}
    assert len(first) == rows
    assert errors_of(second) == [""] * rows


def test_a_server_that_restarts_between_two_calls_is_not_noticed() -> None:
    with cluster() as server, server.database() as url:
        ledger = Ledger(url)
        first = claimed(ledger, "me", 1)
        server.stop()
        server.start()
        again = claimed(ledger, "me", 1)

    assert (first.status, again.status) == ("new", "resumed")


def test_a_database_that_is_not_there_is_a_clear_error(postgres_url: str) -> None:
    url = sa.make_url(postgres_url).set(database="none").render_as_string()

    with pytest.raises(LedgerError, match=r'/none: .*database "none" does not exist') as refused:
        Ledger(url)

    assert "\n" not in str(refused.value)


# What partitions consist of, and what users' checks found.


def test_two_that_record_the_same_partitions_and_checks_both_end_and_one_of_them_counts(postgres_url: str) -> None:
    keys = ["b", "a", "c"]

    def record(ledger: Ledger, name: str, number: int) -> None:
        row = PartitionRow("kite", "t", "f", is_simulated=True, extra={"note": f"{name} \u0000 ü"})
        order = keys if name == "a" else keys[::-1]
        ledger.record_partitions("videos", {key: PartitionRecord(str(number), (row,)) for key in order})
        ledger.record_checks([CheckRecord("t", place, "sharp", passed=None, score=0.5) for place in (2, 1)])

    interleaved(postgres_url, record)

    with contextlib.closing(Ledger(postgres_url, caps())) as ledger:
        found = ledger.recorded_partitions("videos", keys)
        checks = ledger.recorded_checks(["t", "other"])
    assert sorted(found) == sorted(keys)
    assert {record.rows[0].extra["note"][1:] for record in found.values()} == {" \u0000 ü"}
    assert [(check.number, check.passed, check.score) for check in checks["t"]] == [(1, None, 0.5), (2, None, 0.5)]


def stored_videos(ledger: Ledger) -> list[VideoKey]:
    """A stored video for each round."""
    results = [{"sha256": "0" * 64}]
    videos = []
    for number in MANY:
        task = claimed(ledger, "me", number).task
        ledger.mark_submitted(task.task_uuid)
        ledger.settle(task.task_uuid, results, [PRICE])
        ledger.mark_stored(task.task_uuid, results)
        videos.append(VideoKey(task.fingerprint, "0" * 64))
    return videos


def approved(*videos: VideoKey) -> list[NewDecision]:
    return [NewDecision(video, DecisionValue.APPROVED, "ada") for video in videos]


def test_a_reader_of_new_decisions_misses_none_that_is_recorded_at_the_same_time(postgres_url: str) -> None:
    with Ledger(postgres_url, caps()) as ledger:
        videos = stored_videos(ledger)

    def decide(ledger: Ledger, name: str, number: int) -> list[int]:
        ledger.decide(approved(videos[number - (name == "b")]))
        return [decision.number for decision in ledger.decisions_after(0)]

    seen = [numbers for pair in interleaved(postgres_url, decide) for numbers in pair]

    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in seen)


def test_decisions_about_many_videos_and_finals_of_them_do_not_wait_for_each_other(postgres_url: str) -> None:
    with Ledger(postgres_url, caps()) as ledger:
        one, other = sorted(stored_videos(ledger)[:2])
        ledger.decide(approved(one, other))

    def claim(ledger: Ledger, _: str, number: int) -> int:
        with ledger.one_transaction():
            for video in (other, one):
                approval = Approval(video.fingerprint, video.sha256).as_text()
                final = request_of(f"Final {number} of {video.fingerprint}")
                ledger.claim(final, Origin(approval=approval), "me", simulated=False)
        return number

    def decide(ledger: Ledger, _: str, number: int) -> int:
        ledger.decide(approved(one, other))
        return number

    pairs = interleaved(postgres_url, decide, claim)

    assert pairs == [(number, number) for number in range(len(pairs))]


def test_a_policy_never_overrides_a_person_who_decides_at_the_same_time(postgres_url: str) -> None:
    with Ledger(postgres_url, caps()) as ledger:
        videos = stored_videos(ledger)

        def decided(source: Source) -> Deed:
            return lambda ledger, _, number: ledger.decide(
                [NewDecision(videos[number], DecisionValue.APPROVED, source, source=source)]
            )

        pairs = interleaved(postgres_url, decided("policy"), decided("page"))
        made = ledger.decisions(videos[: len(pairs)])
        (costs,) = ledger.take_costs()

    assert [decisions[-1].source for decisions in made.values()] == ["page"] * len(pairs)
    assert {len(decisions) for decisions in made.values()} == {1, 2}
    assert (costs.approved, costs.cost_microusd, costs.retakes) == (len(pairs) + 1, (len(pairs) + 1) * PRICE, 0)
