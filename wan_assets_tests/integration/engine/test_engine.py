"""The engine against a real, local and misbehaving API: what is paid, what is stored, what is booked."""

import asyncio
import contextlib
import hashlib
import os
import shutil
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from api_double import Prepared
from bent_api import FILE, SUBMIT, bent, on
from engine_support import (
    CHARGES_EVERY_COPY,
    KEY,
    PRICE,
    Studio,
    caps,
    errors_of,
    jobs_of,
    mounted,
    request_of,
    studio,
)
from patience import PATIENCE_S
from PIL import Image
from simulator_support import ManualClock

from wan_assets.client import HttpConfig
from wan_assets.engine import Limits, Outcome, VideoJob
from wan_assets.engine.thread_iterator import iterate_in_thread
from wan_assets.errors import AccessDeniedError, LedgerError, RunwareBusyError, StoreError
from wan_assets.ledger import Origin
from wan_assets.simulator import FAULTS
from wan_assets.simulator.faults import ACCEPTANCE_FAULTS, DOWNLOAD_FAULTS, POLL_FAULTS, SUBMISSION_FAULTS
from wan_assets.store import VideoStore
from wan_assets.video import VideoProperties, mismatches
from wan_assets.video.expected_video import expected_of

PATIENT = Limits(max_wait_s=20)


def facts_in(outcome: Outcome) -> list[VideoProperties]:
    """What each file of an outcome was found to be."""
    assert outcome.stored
    return [VideoProperties.from_json(video.facts) for video in outcome.stored.videos]


def assert_paid_once(made: Studio, number: int) -> None:
    """Each request was charged once, and the ledger tells the same sum as the account."""
    paid = Counter(charge.fingerprint for charge in made.journal.charges() if charge.amount_microusd)
    assert Counter(paid.values()) == {1: number}
    assert made.ledger().totals().simulated.cost_microusd == made.journal.spent_microusd()


def assert_nothing_reserved(made: Studio) -> None:
    assert made.ledger().totals().simulated.reserved_microusd == 0


# What goes well.


@pytest.mark.slow
def test_requests_of_every_kind_become_the_videos_that_were_asked_for(tmp_path: Path) -> None:
    picture = tmp_path / "kite.png"
    Image.new("RGB", (854, 480), "red").save(picture)
    reference = f"sha256:{hashlib.sha256(picture.read_bytes()).hexdigest()}"
    requests = [
        request_of("sound", provider_settings=None),
        request_of("long", duration=10, output_format="MOV"),
        request_of("three", number_results=3, output_format="WEBM", seed=7),
        request_of("tall", resolution=None, width=480, height=854),
        request_of("picture", inputs={"frame_images": [reference]}),
    ]
    jobs = [VideoJob(request, f"p{number}") for number, request in enumerate(requests)]

    with studio(tmp_path) as made:
        begun = time.perf_counter()
        outcomes = made.run(jobs, media={reference: picture})
        took_s = time.perf_counter() - begun
        again = made.run(jobs, media={reference: picture})

        assert made.journal.submissions() == 5
        assert_paid_once(made, 5)
    found = [facts_in(outcome) for outcome in outcomes]
    assert [len(facts) for facts in found] == [1, 1, 3, 1, 1]
    assert [facts[0].container for facts in found] == ["MP4", "MOV", "WEBM", "MP4", "MP4"]
    assert [round(facts[0].duration_s) for facts in found] == [5, 10, 5, 5, 5]
    assert [facts[0].has_audio for facts in found] == [True, False, False, False, False]
    assert (found[3][0].width, found[3][0].height) == (480, 854)
    assert outcomes[2].stored
    assert outcomes[2].stored.videos[0].seed == 7
    assert len({video.sha256 for video in outcomes[2].stored.videos}) == 3
    assert [outcome.submitted for outcome in outcomes] == [1] * 5
    assert all(0 < outcome.stored.generation_s < took_s for outcome in outcomes if outcome.stored)
    assert [(outcome.is_reused, outcome.submitted, outcome.cost_microusd) for outcome in again] == [(True, 0, 0)] * 5


def test_twins_in_one_run_are_paid_once_and_both_get_the_video(tmp_path: Path) -> None:
    jobs = [VideoJob(request_of("twin"), f"p{number}") for number in range(3)]

    with studio(tmp_path) as made:
        outcomes = made.run(jobs)

        assert_paid_once(made, 1)
    assert len({outcome.stored and outcome.stored.task_uuid for outcome in outcomes}) == 1
    assert sorted(outcome.submitted for outcome in outcomes) == [0, 0, 1]
    assert sum(outcome.cost_microusd or 0 for outcome in outcomes) == PRICE


def test_the_partition_and_run_of_each_task_are_in_the_ledger(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        made.run(jobs_of(1), origin=Origin("run-1", "videos"))

        assert made.rows("SELECT run_id, asset, partition FROM wan_tasks") == [("run-1", "videos", "p0")]


@pytest.mark.slow
def test_many_rows_go_through_few_places(tmp_path: Path) -> None:
    with studio(tmp_path, latency_s=0.0) as made:
        outcomes = made.run(jobs_of(7), limits=Limits(max_in_flight=2, max_downloads=1))

        assert_paid_once(made, 7)
    assert errors_of(outcomes) == [""] * 7


@pytest.mark.slow
def test_rows_that_wait_for_the_store_leave_their_places_in_flight_to_as_many_others(tmp_path: Path) -> None:
    pause_s = 3.0
    slow = on(FILE, lambda call: Prepared(call.body, pause_s=pause_s), first=1)

    with bent(tmp_path, slow) as made:
        outcomes = made.run(jobs_of(12), limits=Limits(max_in_flight=4, max_downloads=1))

        first = made.calls(FILE)[0].at
        sent = [call for call in made.calls(SUBMIT) if call.at < first + pause_s]
        made.assert_paid_once(12)
    assert len(sent) == 8
    assert errors_of(outcomes) == [""] * 12


# Temporary errors.

HARMLESS = [*SUBMISSION_FAULTS, *ACCEPTANCE_FAULTS, *POLL_FAULTS, *DOWNLOAD_FAULTS]
for refused in ("forbidden", "poll_401", "download_redirect"):
    HARMLESS.remove(refused)


@pytest.mark.slow
@pytest.mark.parametrize("fault", HARMLESS)
def test_trouble_on_the_way_costs_no_second_task(tmp_path: Path, fault: str) -> None:
    with studio(tmp_path, faults={fault: 1.0}, **CHARGES_EVERY_COPY) as made:
        outcomes = made.run(jobs_of(1), limits=PATIENT)

        assert errors_of(outcomes) == [""]
        assert_paid_once(made, 1)
        assert made.states() == ["stored"]
        assert_nothing_reserved(made)


@pytest.mark.slow
def test_everything_on_the_way_at_once_costs_no_second_task(tmp_path: Path) -> None:
    faults = dict.fromkeys(HARMLESS, 0.05)

    with studio(tmp_path, faults=faults, repeats=True, seed=3) as made:
        outcomes = made.run(jobs_of(12), limits=PATIENT)

        assert errors_of(outcomes) == [""] * 12
        assert_paid_once(made, 12)


@pytest.mark.parametrize("duplicates", ["conflict_200", "conflict_409"])
def test_a_conflict_is_an_acknowledgement_whatever_its_status(tmp_path: Path, duplicates: str) -> None:
    faults = {"drop_after_accept": 1.0, "poll_empty": 1.0}

    with studio(tmp_path, faults=faults, duplicates=duplicates) as made:
        outcomes = made.run(jobs_of(2), limits=PATIENT)

        assert errors_of(outcomes) == ["", ""]
        assert_paid_once(made, 2)


def test_a_task_that_was_never_accepted_is_sent_where_the_api_says_it_is_not_found(tmp_path: Path) -> None:
    with studio(tmp_path, faults={"error_503": 1.0}, unknown_task="error") as made:
        outcomes = made.run(jobs_of(1))

        assert errors_of(outcomes) == [""]
        assert_paid_once(made, 1)


def test_a_lost_acknowledgement_and_a_refused_poll_together_keep_the_task(tmp_path: Path) -> None:
    with studio(tmp_path, faults={"drop_after_accept": 1.0, "poll_401": 1.0}) as made:
        first = made.run(jobs_of(1))
        reserved = made.ledger().totals().simulated.reserved_microusd
        second = made.run(jobs_of(1))
        third = made.run(jobs_of(1))

        assert made.paid == 1
        assert reserved == PRICE
    assert errors_of(first) == ["SubmissionUnconfirmedError"]
    assert errors_of(second + third)[-1] == ""


def test_a_refused_poll_leaves_the_task_for_the_next_run(tmp_path: Path) -> None:
    with studio(tmp_path, faults={"poll_401": 1.0}) as made:
        first = made.run(jobs_of(1))
        states = made.states()
        second = made.run(jobs_of(1))

        assert_paid_once(made, 1)
    assert (errors_of(first), states) == (["AccessDeniedError"], ["submitted"])
    assert errors_of(second) == [""]


def test_a_download_from_another_host_is_refused_and_had_by_the_next_run(tmp_path: Path) -> None:
    with studio(tmp_path, faults={"download_redirect": 1.0}) as made:
        first = made.run(jobs_of(1))
        second = made.run(jobs_of(1))

        assert_paid_once(made, 1)
    assert errors_of(first) == ["OutputUnavailableError"]
    assert (errors_of(second), second[0].submitted, second[0].is_new) == ([""], 0, True)


def test_every_fault_of_the_simulator_has_its_test() -> None:
    reported = Path(__file__).read_text() + Path(__file__).with_name("test_deviations.py").read_text()

    assert [fault for fault in FAULTS if fault not in HARMLESS and f'"{fault}"' not in reported] == []


# Verdicts.


@pytest.mark.parametrize("fault", ["verdict_error", "verdict_in_data", "verdict_504"])
def test_what_the_provider_fails_is_tried_a_few_times_and_each_try_is_booked(tmp_path: Path, fault: str) -> None:
    with studio(tmp_path, faults={fault: 1.0}, is_failure_charged=True) as made:
        outcomes = made.run(jobs_of(1), limits=Limits(max_attempts=3))
        totals = made.ledger().totals().simulated

        assert made.paid == made.journal.submissions() == 3
    assert errors_of(outcomes) == ["TaskFailedError"]
    assert made.states() == ["failed"] * 3
    assert (totals.cost_microusd, totals.reserved_microusd, totals.unknown) == (0, 3 * PRICE, 3)


@pytest.mark.slow
def test_a_new_attempt_after_a_failure_brings_the_video(tmp_path: Path) -> None:
    with studio(tmp_path, faults={"verdict_error": 0.5}, seed=1) as made:
        outcomes = made.run(jobs_of(6), limits=Limits(max_attempts=9))

        assert errors_of(outcomes) == [""] * 6
        assert_paid_once(made, 6)
        states = Counter(made.states())
    assert states["stored"] == 6
    assert states["failed"] == sum(outcome.submitted for outcome in outcomes) - 6 > 0


@pytest.mark.slow
def test_a_moderated_prompt_is_final_and_does_not_lose_its_siblings(tmp_path: Path) -> None:
    with studio(tmp_path, faults={"verdict_safety": 0.4}, seed=3) as made:
        outcomes = made.run(jobs_of(5))

        assert made.journal.submissions() == 5
        states = Counter(made.states())
    errors = Counter(errors_of(outcomes))
    assert 0 < errors["ContentBlockedError"] < 5
    assert errors == {"ContentBlockedError": states["failed"], "": states["stored"]}


def test_a_request_that_the_api_refuses_is_final_and_frees_its_money(tmp_path: Path) -> None:
    bad = request_of("bad").model_copy(update={"duration": 7})

    with studio(tmp_path) as made:
        outcomes = made.run([VideoJob(bad, "bad"), *jobs_of(2)])

        assert made.journal.submissions() == 3
        assert_nothing_reserved(made)
        assert_paid_once(made, 2)
    assert errors_of(outcomes) == ["RequestRejectedError", "", ""]


def test_what_the_api_has_refused_is_sent_again_only_where_that_is_wanted(tmp_path: Path) -> None:
    bad = request_of("bad").model_copy(update={"duration": 7})
    jobs = [VideoJob(bad, "bad"), *jobs_of(1)]

    with studio(tmp_path) as made:
        first = made.run(jobs)
        held = made.run(jobs)
        submissions_then = made.journal.submissions()
        again = made.run(jobs, limits=Limits(resend_refused=True))

        assert (submissions_then, made.journal.submissions()) == (2, 3)
        assert_paid_once(made, 1)
    assert errors_of(first) == errors_of(held) == errors_of(again) == ["RequestRejectedError", ""]
    assert (held[0].error.code, held[0].error.fault.task_uuid) == (first[0].error.code, first[0].error.fault.task_uuid)


def test_a_local_picture_that_is_gone_refuses_its_row_alone(tmp_path: Path) -> None:
    reference = f"sha256:{'0' * 64}"
    gone = request_of("gone", inputs={"frame_images": [reference]})

    with studio(tmp_path) as made:
        outcomes = made.run([VideoJob(gone, "gone"), *jobs_of(1)], media={reference: tmp_path / "gone.png"})

        assert_paid_once(made, 1)
        assert_nothing_reserved(made)
    assert errors_of(outcomes) == ["RequestRejectedError", ""]


def test_several_results_keep_their_successes_when_one_fails(tmp_path: Path) -> None:
    with studio(tmp_path, faults={"partial": 1.0}) as made:
        (outcome,) = made.run(jobs_of(1, number_results=3))
        (again,) = made.run(jobs_of(1, number_results=3))
        totals = made.ledger().totals().simulated

        assert made.journal.submissions() == 1
        assert totals.cost_microusd == made.journal.spent_microusd() == 2 * PRICE
    assert outcome.stored
    assert (len(outcome.stored.videos), len(outcome.stored.missing)) == (2, 1)
    assert (totals.reserved_microusd, totals.unknown) == (PRICE, 1)
    assert outcome.cost_microusd is None
    assert again.is_reused


@pytest.mark.parametrize("fault", ["cost_missing", "cost_zero", "cost_string", "cost_nan"])
def test_a_cost_that_is_no_number_is_unknown_and_stays_reserved(tmp_path: Path, fault: str) -> None:
    with studio(tmp_path, faults={fault: 1.0}) as made:
        (outcome,) = made.run(jobs_of(1))
        unknown = made.ledger().unknown_costs()

    assert outcome.stored
    assert outcome.cost_microusd is None
    assert [(task.cost_microusd, task.reserved_microusd) for task in unknown] == [(0, PRICE)]


def test_a_flagged_video_is_kept_with_its_flag(tmp_path: Path) -> None:
    with studio(tmp_path, faults={"nsfw": 1.0}) as made:
        (outcome,) = made.run(jobs_of(1, safety={"mode": "fast"}))

    assert outcome.stored
    assert outcome.stored.videos[0].is_nsfw is True


def test_a_success_without_a_file_is_booked_with_its_cost_and_not_bought_again(tmp_path: Path) -> None:
    with studio(tmp_path, faults={"no_url": 1.0}) as made:
        outcomes = [*made.run(jobs_of(1)), *made.run(jobs_of(1))]

        assert made.journal.submissions() == 1
        assert_paid_once(made, 1)
        assert made.states() == ["delivered"]
    assert errors_of(outcomes) == ["OutputUnavailableError"] * 2


# Money and keys.


def test_a_wrong_key_stops_the_run_and_nothing_is_reserved(tmp_path: Path) -> None:
    with studio(tmp_path, api_key="another-key-altogether") as made:
        outcomes = made.run(jobs_of(30), limits=Limits(max_in_flight=3))

        assert (made.paid, made.journal.submissions()) == (0, 0)
        assert_nothing_reserved(made)
        attempts = len(made.states())
    assert errors_of(outcomes) == ["AccessDeniedError"] * 30
    assert attempts <= 3


def test_a_key_without_permission_stops_the_run(tmp_path: Path) -> None:
    with studio(tmp_path, faults={"forbidden": 1.0}, repeats=True) as made:
        outcomes = made.run(jobs_of(30), limits=Limits(max_in_flight=3))

        assert made.journal.submissions() <= 3
        assert_nothing_reserved(made)
    assert errors_of(outcomes) == ["AccessDeniedError"] * 30


@pytest.mark.slow
def test_an_account_without_credit_stops_new_tasks_and_lets_those_in_flight_finish(tmp_path: Path) -> None:
    with studio(tmp_path, balance_usd=4 * PRICE / 1e6, latency_s=0.5) as made:
        outcomes = made.run(jobs_of(30), limits=Limits(max_in_flight=6))

        assert made.journal.submissions() <= 12
        assert_paid_once(made, 4)
        assert_nothing_reserved(made)
        assert Counter(made.states())["stored"] == 4
    assert Counter(errors_of(outcomes)) == {"": 4, "AccessDeniedError": 26}


@pytest.mark.slow
def test_rows_beyond_the_budget_are_not_sent(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        outcomes = made.run(jobs_of(6), budget=caps(per_run_microusd=4 * PRICE))

        assert made.journal.submissions() == 4
        assert_paid_once(made, 4)
    assert Counter(errors_of(outcomes)) == {"": 4, "BudgetExceededError": 2}


def test_what_costs_more_than_reserved_is_booked_in_full(tmp_path: Path) -> None:
    with studio(tmp_path, cost_factor=2.0) as made:
        made.run(jobs_of(2), budget=caps(total_microusd=2 * PRICE))
        outcomes = made.run([VideoJob(request_of("one more"))], budget=caps(total_microusd=2 * PRICE))

        assert_paid_once(made, 2)
        assert made.journal.spent_microusd() == 4 * PRICE
    assert errors_of(outcomes) == ["BudgetExceededError"]


@pytest.mark.slow
def test_the_key_is_nowhere_but_in_the_requests(tmp_path: Path) -> None:
    with studio(tmp_path, faults={"drop_after_accept": 0.5, "verdict_error": 0.3}, api_key=KEY) as made:
        outcomes = made.run(jobs_of(4))
        refused = made.run([VideoJob(request_of("refused"))], key=f"{KEY}-wrong")

        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert KEY not in "".join(str(outcome.error) for outcome in [*outcomes, *refused])
    assert errors_of(refused) == ["AccessDeniedError"]


# Tasks that do not come.


class Gateway(BaseHTTPRequestHandler):
    """Stands before an API that is down."""

    def do_GET(self) -> None:
        self.answer(200)

    def do_POST(self) -> None:
        self.answer(502)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("X-Simulated-By", "a test")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextlib.contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server that lasts as long as the block."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        serving.join()


@pytest.mark.slow
def test_a_lost_task_is_booked_as_lost_and_bought_again_only_when_told_so(tmp_path: Path) -> None:
    hasty = Limits(max_wait_s=0.3, max_attempts=2)

    with studio(tmp_path, faults={"lost_task": 1.0}) as made:
        first = made.run(jobs_of(1), limits=hasty)
        second = made.run(jobs_of(1), limits=hasty)
        paid_before = made.paid
        states_before = made.states()
    with studio(tmp_path) as made:
        third = made.run(jobs_of(1), limits=replace(hasty, on_lost="resubmit", max_wait_s=2))

        assert made.paid == 2
        assert made.ledger().totals().simulated.reserved_microusd == PRICE
    assert errors_of([*first, *second]) == ["TaskUnknownError"] * 2
    assert (paid_before, states_before) == (1, ["lost"])
    assert (errors_of(third), made.states()) == ([""], ["lost", "stored"])


def test_a_task_is_not_taken_for_lost_while_polls_go_unanswered(tmp_path: Path) -> None:
    late = Limits(max_wait_s=0.2, on_lost="resubmit")
    with studio(tmp_path, latency_s=30) as made:
        made.run(jobs_of(1), limits=late)

    with served(Gateway) as base_url:
        outcomes = Studio(tmp_path, SimpleNamespace(base_url=base_url)).run(jobs_of(1), limits=late)

    assert errors_of(outcomes) == ["RunwareBusyError"]
    assert made.states() == ["submitted"]


def test_a_task_that_may_have_been_sent_waits_for_an_api_that_answers(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        made.ledger().claim(request_of("Kite 0"), Origin(), "gone", simulated=True)
        made.ledger().release_leases("gone")

    with served(Gateway) as base_url:
        outcomes = Studio(tmp_path, SimpleNamespace(base_url=base_url)).run(jobs_of(1))

    assert errors_of(outcomes) == ["RunwareBusyError"]
    assert made.states() == ["reserved"]


def test_a_task_whose_time_is_up_is_found_again_by_the_next_run(tmp_path: Path) -> None:
    clock = ManualClock()
    with studio(tmp_path, clock=clock, latency_s=60) as made:
        (first,) = made.run(jobs_of(1), limits=Limits(max_wait_s=0.3))
        states = made.states()
        clock.now += 60
        (second,) = made.run(jobs_of(1), limits=PATIENT)

        assert_paid_once(made, 1)
        assert made.journal.submissions() == 1
    assert (errors_of([first]), states) == (["TaskTimeoutError"], ["submitted"])
    assert second.stored
    assert (second.is_new, second.submitted) == (True, 0)


def test_a_dead_api_ends_the_run_with_a_clear_error(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        made.run(jobs_of(1))
    brief = HttpConfig(
        connect_timeout_s=0.2,
        response_timeout_s=0.2,
        initial_retry_delay_s=0.01,
        max_retry_delay_s=0.01,
        retry_jitter_s=0.0,
        max_tries=2,
    )

    with pytest.raises(RunwareBusyError):
        made.run(jobs_of(2), http_config=brief)

    assert made.states() == ["stored"]


# Runs that end early, and runs side by side.


@pytest.mark.slow
def test_closing_the_iterator_stops_sending_and_the_next_run_pays_for_the_rest_alone(tmp_path: Path) -> None:
    async def read_two(made: Studio) -> None:
        async with made.running(jobs_of(24), limits=Limits(max_in_flight=3)) as outcomes:
            async for _ in outcomes:
                if made.paid >= 2:
                    return

    with studio(tmp_path) as made:
        asyncio.run(read_two(made))
        sent_at_first = made.journal.submissions()
        still_owned = made.rows("SELECT task_uuid FROM wan_tasks WHERE owner IS NOT NULL")
        outcomes = made.run(jobs_of(24))

        assert sent_at_first < 24
        assert still_owned == []
        assert_paid_once(made, 24)
        assert_nothing_reserved(made)
    assert errors_of(outcomes) == [""] * 24


@pytest.mark.slow
def test_two_runs_at_once_on_the_same_requests_pay_once_and_both_get_all(tmp_path: Path) -> None:
    results: list[list[Outcome]] = []

    with studio(tmp_path) as made:
        runs = [threading.Thread(target=lambda: results.append(made.run(jobs_of(30)))) for _ in range(2)]
        for run in runs:
            run.start()
        for run in runs:
            run.join()

        assert_paid_once(made, 30)
        assert made.journal.submissions() == 30
    assert [errors_of(outcomes) for outcomes in results] == [[""] * 30] * 2
    assert sum(outcome.cost_microusd or 0 for outcomes in results for outcome in outcomes) == 30 * PRICE


def test_a_run_that_finds_a_task_in_flight_joins_it(tmp_path: Path) -> None:
    async def both(made: Studio) -> list[list[Outcome]]:
        async def one() -> list[Outcome]:
            async with made.running(jobs_of(1)) as outcomes:
                return [outcome async for outcome in outcomes]

        return list(await asyncio.gather(one(), one()))

    with studio(tmp_path) as made:
        (first,), (second,) = asyncio.run(both(made))

        assert_paid_once(made, 1)
    assert first.stored == second.stored
    assert first.submitted + second.submitted == first.is_new + second.is_new == 1


@pytest.mark.slow
def test_runs_at_once_keep_to_the_cap_that_the_ledger_sets_for_all_of_them(tmp_path: Path) -> None:
    results: list[list[Outcome]] = []

    with studio(tmp_path, latency_s=0.3) as made:
        tables = [jobs_of(4), [VideoJob(request_of(f"Boat {number}"), f"b{number}") for number in range(4)]]
        runs = [
            threading.Thread(target=lambda jobs=jobs: results.append(made.run(jobs, max_in_flight=2)))
            for jobs in tables
        ]
        for run in runs:
            run.start()
        for run in runs:
            run.join()

        assert_paid_once(made, 8)
        accepted = sorted(charge.charged_at for charge in made.journal.charges())
    assert [errors_of(outcomes) for outcomes in results] == [[""] * 4] * 2
    # A third task may come only when one of the two before it has finished.
    assert all(later - earlier >= 0.3 for earlier, later in zip(accepted, accepted[2:], strict=False))


@pytest.mark.slow
def test_a_run_that_is_paused_lets_what_is_in_flight_land_and_names_the_rest(tmp_path: Path) -> None:
    async def paused_after_one(made: Studio) -> list[Outcome]:
        async with made.running(jobs_of(12), limits=Limits(max_in_flight=3)) as outcomes:
            first = await anext(outcomes)
            made.ledger().pause("tea")
            return [first, *[outcome async for outcome in outcomes]]

    with studio(tmp_path, latency_s=0.3) as made:
        first = asyncio.run(paused_after_one(made))
        paid_at_first = made.paid
        made.ledger().pause(None)
        second = made.run(jobs_of(12))

        assert_paid_once(made, 12)
    errors = Counter(errors_of(first))
    assert errors == {"": paid_at_first, "PausedError": 12 - paid_at_first}
    assert 3 <= paid_at_first < 12
    assert errors_of(second) == [""] * 12


def test_a_pause_also_holds_what_an_earlier_run_booked_and_never_sent(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        made.ledger().claim(request_of("Kite 0"), Origin(), "gone", simulated=True)
        made.ledger().release_leases("gone")
        made.ledger().pause("tea")
        paused = made.run(jobs_of(1))
        sent = made.journal.submissions()
        made.ledger().pause(None)
        resumed = made.run(jobs_of(1))

        assert sent == 0
        assert_paid_once(made, 1)
    assert (errors_of(paused), errors_of(resumed)) == (["PausedError"], [""])


# What the store and the ledger have, or lost.


def test_a_video_that_was_deleted_is_fetched_again_at_no_cost(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        (first,) = made.run(jobs_of(1))
        assert first.stored
        Path(first.stored.videos[0].uri).unlink()
        (second,) = made.run(jobs_of(1))

        assert made.journal.submissions() == 1
        assert_paid_once(made, 1)
    assert second.stored
    assert second.is_reused
    assert second.stored.videos[0].sha256 == first.stored.videos[0].sha256


def test_a_video_that_has_expired_is_not_bought_again(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        made.run(jobs_of(1))
    shutil.rmtree(tmp_path / "store")

    with studio(tmp_path, ttl_s=0.0) as made:
        outcomes = made.run(jobs_of(1))

        assert_paid_once(made, 1)
    assert errors_of(outcomes) == ["OutputUnavailableError"]


def test_a_ledger_that_was_lost_does_not_make_stored_videos_paid_again(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        made.run(jobs_of(2))
        for file in tmp_path.glob("ledger.db*"):
            file.unlink()
        outcomes = made.run(jobs_of(2))

        assert made.journal.submissions() == 2
    assert all(outcome.is_reused for outcome in outcomes)


@pytest.mark.slow
def test_ledger_and_store_both_lost_cost_nothing_while_the_api_remembers_the_tasks(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        made.run(jobs_of(2))
        shutil.rmtree(tmp_path / "store")
        for file in tmp_path.glob("ledger.db*"):
            file.unlink()
        outcomes = made.run(jobs_of(2))

        assert_paid_once(made, 2)
    assert errors_of(outcomes) == ["", ""]


@pytest.mark.slow
def test_regeneration_buys_once_under_each_name(tmp_path: Path) -> None:
    def bought(made: Studio, purchase: str) -> tuple[int, int]:
        (outcome,) = made.run(jobs_of(1), origin=Origin(purchase=purchase))
        assert outcome.stored
        return outcome.submitted, made.paid

    with studio(tmp_path) as made:
        history = [bought(made, purchase) for purchase in ("", "spring", "spring", "autumn", "spring", "")]

    assert history == [(1, 1), (1, 2), (0, 2), (1, 3), (0, 3), (0, 3)]


@pytest.mark.slow
def test_a_video_that_is_not_what_was_asked_for_is_set_aside_and_does_not_count(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        made.run(jobs_of(1))
        shutil.rmtree(tmp_path / "store")
        (wrong,) = (tmp_path / "simulator" / "media").iterdir()
        (donor,) = made.run([VideoJob(request_of("long", duration=10))])
        assert donor.stored
        shutil.copy(donor.stored.videos[0].uri, wrong)
        outcomes = made.run(jobs_of(1), limits=Limits(on_mismatch="fail"))

        assert made.journal.submissions() == 2
        assert Counter(made.states()) == {"stored": 2}
    assert errors_of(outcomes) == ["InvalidVideoError"]
    (aside,) = (tmp_path / "store" / "set_aside").iterdir()
    assert str(aside) in str(outcomes[0].error)
    assert made.store.find(request_of("Kite 0").fingerprint(), simulated=True) is None


@pytest.mark.parametrize(
    ("parameters", "facts", "wrong"),
    [
        ({}, {}, []),
        ({}, {"width": 1280, "height": 720}, ["size"]),
        ({"resolution": None, "width": 640, "height": 640}, {}, ["854"]),
        ({"duration": 10}, {}, ["5"]),
        ({"output_format": "WEBM"}, {}, ["MP4"]),
        ({}, {"audio_codec": "aac", "audio_s": 5.0}, ["audio"]),
        ({"provider_settings": None}, {}, ["audio"]),
        ({}, {"width": 832}, ["832x480", "854x480", "640x640"]),
    ],
)
def test_a_request_says_what_its_video_must_be(parameters: Any, facts: Any, wrong: list[str]) -> None:
    plain = VideoProperties("MP4", "h264", 854, 480, 5.0, 24.0, 120, None, None)

    said = mismatches(replace(plain, **facts), expected_of(request_of(**{"resolution": "480p", **parameters})))

    assert bool(said) == bool(wrong)
    assert all(word in " ".join(said) for word in wrong)


# Means that are not usable.


def test_a_locked_ledger_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        made.ledger().close()
        with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")

            with pytest.raises(LedgerError, match="locked"):
                made.run(jobs_of(1), busy_s=0.1)

        assert made.journal.submissions() == 0


@pytest.mark.slow
def test_a_ledger_that_is_locked_on_the_way_stops_sending_and_loses_nothing(tmp_path: Path) -> None:
    async def lock_after_one(made: Studio) -> list[Outcome]:
        async with made.running(jobs_of(8), limits=Limits(max_in_flight=2), busy_s=0.1, lease_s=1) as outcomes:
            first = await anext(outcomes)
            with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                return [first, *[outcome async for outcome in outcomes]]

    with studio(tmp_path) as made:
        first = asyncio.run(lock_after_one(made))
        second = made.run(jobs_of(8))

        assert_paid_once(made, 8)
    assert {"", "LedgerError"} == set(errors_of(first))
    assert errors_of(second) == [""] * 8


def test_a_ledger_that_cannot_be_asked_on_the_way_still_gives_every_row_its_outcome(tmp_path: Path) -> None:
    with studio(tmp_path) as made, contextlib.ExitStack() as lock:

        def jobs() -> Iterator[VideoJob]:
            yield from (VideoJob(request_of("Kite 0"), f"p{number:03}") for number in range(200))
            other = lock.enter_context(
                contextlib.closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None))
            )
            other.execute("BEGIN IMMEDIATE")
            yield VideoJob(request_of("Kite 1"), "p200")

        first = made.run(jobs(), busy_s=0.1, lease_s=1)
        lock.close()
        second = made.run(jobs_of(2))

        assert_paid_once(made, 2)
    assert len(first) == 201
    assert errors_of(first)[-1] == "LedgerError"
    assert errors_of(second) == ["", ""]


def test_an_unwritable_store_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file is in the way")

    with studio(tmp_path) as made:
        with pytest.raises(StoreError, match="cannot write to the store"):
            made.run(jobs_of(1))

        assert made.journal.submissions() == 0


@pytest.fixture
def small_store(tmp_path: Path) -> Iterator[Path]:
    """A store on a disk with room for few videos."""
    with mounted(tmp_path / "store", "150k") as store:
        yield store


@pytest.mark.slow
def test_a_full_disk_stops_sending_and_the_next_run_fetches_what_was_paid(tmp_path: Path, small_store: Path) -> None:
    with studio(tmp_path) as made:
        first = made.run(jobs_of(12), limits=Limits(max_in_flight=2))
        paid_at_first = made.paid
        halves = [path for path in small_store.rglob("*.mp4") if path.stat().st_size == 0]
        subprocess.run(["mount", "-o", "remount,size=50m", small_store], check=True)
        second = made.run(jobs_of(12))

        assert paid_at_first < 12
        assert_paid_once(made, 12)
    assert set(errors_of(first)) == {"", "StoreError"}
    assert halves == []
    assert errors_of(second) == [""] * 12


def test_a_store_that_only_fsspec_reaches_takes_videos_too(tmp_path: Path) -> None:
    class Remote(Studio):
        store = VideoStore(f"memory://{os.urandom(8).hex()}")

    with studio(tmp_path) as made:
        remote = Remote(made.folder, made.simulator)
        first = remote.run(jobs_of(1))
        again = remote.run(jobs_of(1))

        assert_paid_once(made, 1)
    assert first[0].stored
    assert first[0].stored.videos[0].uri.startswith("memory://")
    assert again[0].is_reused


def test_the_error_that_stopped_a_run_says_what_to_do(tmp_path: Path) -> None:
    with studio(tmp_path, api_key="another-key-altogether") as made:
        (outcome,) = made.run(jobs_of(1))

    assert isinstance(outcome.error, AccessDeniedError)
    assert "RUNWARE_API_KEY" in outcome.error.hint


# Read from a thread without an event loop.


async def counting(ended: list[str], *, fails: bool = False) -> AsyncGenerator[int, None]:
    """Yields two numbers, and then fails or waits for ever."""
    try:
        yield 1
        yield 2
        if fails:
            raise ValueError("as planned")
        await asyncio.Event().wait()
    finally:
        ended.append("cleaned up")


def test_leaving_early_stops_the_source_and_waits_for_its_clean_up() -> None:
    ended: list[str] = []

    with iterate_in_thread(lambda _: counting(ended)) as numbers:
        first = next(numbers)

    assert (first, ended) == (1, ["cleaned up"])


def test_leaving_at_once_does_not_wait_for_the_source_to_end() -> None:
    before = set(threading.enumerate())

    for _ in range(20):
        with iterate_in_thread(lambda _: counting([])):
            pass

    assert set(threading.enumerate()) <= before


def test_what_the_source_raises_is_raised_where_it_is_read() -> None:
    ended: list[str] = []
    read: list[int] = []

    with (
        pytest.raises(ValueError, match="as planned"),
        iterate_in_thread(lambda _: counting(ended, fails=True)) as numbers,
    ):
        read.extend(numbers)

    assert ended == ["cleaned up"]


def test_two_runs_that_gave_up_on_rows_of_each_other_do_not_wait_for_each_other(tmp_path: Path) -> None:
    jobs, limits = jobs_of(2), Limits(max_in_flight=1, max_wait_s=0.5)

    async def run(made: Studio, jobs: list[VideoJob]) -> list[str]:
        async with made.running(jobs, limits=limits) as outcomes:
            return errors_of([outcome async for outcome in outcomes])

    async def both(made: Studio) -> list[list[str]]:
        async with asyncio.timeout(PATIENCE_S):
            return await asyncio.gather(run(made, jobs), run(made, jobs[::-1]))

    with studio(tmp_path, latency_s=3600.0) as made:
        errors = asyncio.run(both(made))

        assert made.journal.submissions() == 2
    assert errors == [["TaskTimeoutError"] * 2] * 2
    assert made.states() == ["submitted"] * 2
