"""Cases 2 to 25 and 59 to 62 of the API's reference: polls and verdicts, by client and engine against a real server."""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

import pytest
from api_double import HTML_504, NOTHING, Prepared, V, known, refused, run
from bent_api import PATIENT, POLL, SUBMIT, Bend, BentStudio, Call, bent, on
from engine_support import PRICE, caps, errors_of, jobs_of
from simulator_support import ManualClock, running, task_of

from wan_assets.client import RunwareClient
from wan_assets.engine import Limits, Outcome

ONE_ATTEMPT = Limits(max_attempts=1, max_wait_s=20)
HASTY = Limits(max_attempts=1, max_wait_s=0.5)

Items = list[dict[str, Any]]


def showing(change: Callable[[Items], Items], *, first: int = 10_000) -> Bend:
    """Shows other items than those of the simulator in the first few polls."""
    return on(POLL, lambda call: Prepared({"data": change(call.body["data"])}), first=first)


def still_running(item: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What a poll says of a result before it has finished."""
    return {"taskType": SUBMIT, "taskUUID": item["taskUUID"], "status": "processing", **more}


def failing(status: int = 200, **more: Any) -> Bend:
    """Lets every poll say that its task has failed."""
    return on(POLL, lambda call: refused("timeoutProvider", status, call.task_uuid, **{"status": "error", **more}))


def assert_failed_at_the_first_poll(made: BentStudio, outcomes: list[Outcome], kind: str, code: str) -> None:
    """A final verdict: nothing stored, its cost unknown and reserved, and no further poll."""
    assert errors_of(outcomes) == [kind]
    assert outcomes[0].error.code == code
    assert made.kinds == [SUBMIT, POLL]
    assert (made.states(), made.money) == (["failed"], (0, PRICE, 1))
    assert [task.task_uuid for task in made.ledger().unknown_costs()] == [made.calls(SUBMIT)[0].task_uuid]


def video_uuids(outcome: Outcome) -> list[str]:
    """Of what was stored."""
    return [video.video_uuid for video in outcome.stored.videos]


# Running and finished.


def test_case_02_a_running_task_is_one_processing_item_without_errors_and_is_waited_for(tmp_path: Path) -> None:
    with bent(tmp_path, latency_s=0.2) as made:
        outcomes = made.run(jobs_of(1))

        *waiting, finished = made.calls(POLL)
        made.assert_paid_once()
    assert len(waiting) >= 1
    for call in waiting:
        assert (call.status, call.body) == (200, {"data": [still_running(call.tasks[0])]})
    assert finished.body["data"][0]["status"] == "success"
    assert errors_of(outcomes) == [""]


def test_case_03_a_finished_task_tells_its_video_its_seed_and_its_cost_and_all_are_kept(tmp_path: Path) -> None:
    with bent(tmp_path) as made:
        (outcome,) = made.run(jobs_of(1, seed=7))

        (item,) = made.calls(POLL)[-1].body["data"]
        made.assert_paid_once()
    assert (item["status"], item["seed"], item["cost"]) == ("success", 7, PRICE / 1e6)
    (video,) = outcome.stored.videos
    assert (video.video_uuid, video.seed, video.cost_microusd) == (item["videoUUID"], 7, PRICE)
    assert item["videoURL"].endswith(f"{item['videoUUID']}.mp4")


def test_case_03_the_cost_is_told_only_where_it_was_asked_for(tmp_path: Path) -> None:
    with running(tmp_path) as api:
        api.post(task_of(1), task_of(2, includeCost=False))

        asked, not_asked = api.finished(task_of(1)["taskUUID"], task_of(2)["taskUUID"]).json()["data"]

    assert ("cost" in asked, "cost" in not_asked) == (True, False)


@pytest.mark.slow
def test_case_04_a_finished_task_that_is_polled_again_tells_the_same_and_is_booked_once(tmp_path: Path) -> None:
    enough_for_two = caps(total_microusd=2 * PRICE)

    with bent(tmp_path) as made:
        (first,) = made.run(jobs_of(1), budget=enough_for_two)
        (tmp_path / "store").rename(tmp_path / "lost")
        (second,) = made.run(jobs_of(1), budget=enough_for_two)
        one, other = made.calls(POLL)
        both = made.run(jobs_of(2), budget=enough_for_two)

        made.assert_paid_once(2)
    assert one.body == other.body
    assert video_uuids(first) == video_uuids(second)
    assert (second.is_reused, second.submitted) == (True, 0)
    assert errors_of(both) == ["", ""]


@pytest.mark.parametrize(
    "change",
    [
        lambda items: [items[0], still_running(items[0]), still_running(items[0])],
        lambda items: [items[0], items[0], items[1]],
    ],
    ids=["two still running", "one shown twice"],
)
def test_case_06_a_task_that_has_finished_in_part_is_polled_on_and_no_result_comes_twice(
    tmp_path: Path, change: Callable[[Items], Items]
) -> None:
    with bent(tmp_path, showing(change, first=2)) as made:
        (outcome,) = made.run(jobs_of(1, number_results=3))

        assert made.kinds == [SUBMIT, POLL, POLL, POLL]
        made.assert_paid_once(results=3)
        shown = [item["videoUUID"] for item in made.calls(POLL)[-1].body["data"]]
    assert made.calls(POLL)[0].body["data"][0]["videoUUID"] in video_uuids(outcome)
    assert video_uuids(outcome) == shown
    assert len(set(shown)) == 3


@pytest.mark.parametrize(
    "change",
    [lambda items: [still_running(items[0])], lambda items: items[:1]],
    ids=["running", "finished"],
)
def test_case_07_one_placeholder_for_three_results_is_not_completion(
    tmp_path: Path, change: Callable[[Items], Items]
) -> None:
    with bent(tmp_path, showing(change, first=2)) as made:
        (outcome,) = made.run(jobs_of(1, number_results=3))

        assert made.kinds == [SUBMIT, POLL, POLL, POLL]
        made.assert_paid_once(results=3)
    assert len(outcome.stored.videos) == 3


# Verdicts.


def assert_half_is_kept(made: BentStudio, outcomes: list[Outcome]) -> None:
    """One of two results is stored and paid for, the other is told as missing, and its money stays reserved."""
    (outcome, again) = outcomes
    assert errors_of(outcomes) == ["", ""]
    assert (len(outcome.stored.videos), len(outcome.stored.missing)) == (1, 1)
    assert (outcome.cost_microusd, again.is_reused) == (None, True)
    assert len(made.calls(SUBMIT)) == 1
    assert made.journal.spent_microusd() == PRICE
    assert (made.states(), made.money) == (["stored"], (PRICE, PRICE, 1))


def two_with_one_failure(made: BentStudio) -> list[Outcome]:
    return [*made.run(jobs_of(1, number_results=2)), *made.run(jobs_of(1, number_results=2))]


def test_case_08_a_success_beside_an_error_of_the_same_task_is_kept_and_polling_stops(tmp_path: Path) -> None:
    with bent(tmp_path, faults={"partial": 1.0}) as made:
        outcomes = two_with_one_failure(made)

        (poll,) = made.calls(POLL)
        assert [len(poll.body[key]) for key in ("data", "errors")] == [1, 1]
        assert_half_is_kept(made, outcomes)
    assert poll.body["errors"][0]["code"] in outcomes[0].stored.missing[0]


def test_case_08_an_error_of_one_result_does_not_end_the_wait_for_the_other(tmp_path: Path) -> None:
    def change(call: Call) -> Prepared:
        return Prepared({**call.body, "data": [still_running(call.tasks[0])]})

    with bent(tmp_path, on(POLL, change, first=2), faults={"partial": 1.0}) as made:
        outcomes = two_with_one_failure(made)

        assert len(made.calls(POLL)) == 3
        assert_half_is_kept(made, outcomes)


def test_case_09_an_error_among_the_data_does_not_lose_the_success_beside_it(tmp_path: Path) -> None:
    def change(call: Call) -> Prepared:
        (error,) = call.body["errors"]
        nested = {"code": error["code"], "message": error["message"]}
        return Prepared({"data": [still_running(error, status="error", error=nested), *call.body["data"]]})

    with bent(tmp_path, on(POLL, change), faults={"partial": 1.0}) as made:
        outcomes = two_with_one_failure(made)

        (poll,) = made.calls(POLL)
        assert_half_is_kept(made, outcomes)
    assert poll.body["data"][0]["error"]["code"] in outcomes[0].stored.missing[0]


def test_case_10_a_task_whose_results_all_failed_is_final_at_once_with_its_timeout(tmp_path: Path) -> None:
    with bent(tmp_path, failing()) as made:
        outcomes = made.run(jobs_of(1), limits=ONE_ATTEMPT)

        assert made.calls(POLL)[0].body["data"] == []
        assert_failed_at_the_first_poll(made, outcomes, "TaskFailedError", "timeoutProvider")


def test_case_10_one_error_and_no_data_are_the_end_of_a_task_of_several_results(tmp_path: Path) -> None:
    with bent(tmp_path, failing()) as made:
        outcomes = made.run(jobs_of(1, number_results=3), limits=HASTY)

        assert (made.states(), made.money) == (["failed"], (0, 3 * PRICE, 1))
    assert errors_of(outcomes) == ["TaskFailedError"]


def test_case_11_a_504_with_the_task_s_own_verdict_is_no_gateway_s_trouble(tmp_path: Path) -> None:
    with bent(tmp_path, faults={"verdict_504": 1.0}) as made:
        outcomes = made.run(jobs_of(1), limits=ONE_ATTEMPT)

        assert made.calls(POLL)[0].status == 504
        assert_failed_at_the_first_poll(made, outcomes, "TaskFailedError", "failedProviderTimeout")


def test_case_12_a_504_in_html_says_nothing_of_the_task_which_is_polled_on(tmp_path: Path) -> None:
    with bent(tmp_path, on(POLL, lambda _: HTML_504, first=3)) as made:
        outcomes = made.run(jobs_of(1))

        assert made.kinds == [SUBMIT, *[POLL] * 4]
        made.assert_paid_once()
    assert errors_of(outcomes) == [""]


def test_case_12_a_task_whose_polls_all_met_a_504_is_kept_for_the_next_run(tmp_path: Path) -> None:
    with bent(tmp_path, on(POLL, lambda _: HTML_504)) as made:
        first = made.run(jobs_of(1), limits=HASTY)
        states, money = made.states(), made.money
    with bent(tmp_path) as made:
        second = made.run(jobs_of(1))

        assert made.kinds == [POLL]
        made.assert_paid_once()
    assert (errors_of(first), states, money) == (["RunwareBusyError"], ["submitted"], (0, PRICE, 0))
    assert errors_of(second) == [""]


@pytest.mark.parametrize(
    "answer",
    [refused("invalidApiKey", 401, None, taskType="authentication"), Prepared(b"", 401), Prepared(b"", 403)],
    ids=["401 JSON", "401 empty", "403 empty"],
)
def test_case_13_a_poll_that_is_refused_for_its_key_ends_polling_and_leaves_the_task_as_it_was(
    tmp_path: Path, answer: Prepared
) -> None:
    with bent(tmp_path, on(POLL, lambda _: answer, first=1)) as made:
        first = made.run(jobs_of(1))
        states, money, kinds = made.states(), made.money, made.kinds
        second = made.run(jobs_of(1))

        assert made.kinds == [SUBMIT, POLL, POLL]
        made.assert_paid_once()
    assert (errors_of(first), states, money) == (["AccessDeniedError"], ["submitted"], (0, PRICE, 0))
    assert kinds == [SUBMIT, POLL]
    assert (errors_of(second), second[0].submitted) == ([""], 0)


def test_case_14_polls_that_come_too_often_are_spaced_more_and_more_and_the_task_lives(tmp_path: Path) -> None:
    http_config = replace(PATIENT, initial_retry_delay_s=0.05, max_retry_delay_s=5.0)

    with bent(tmp_path, on(POLL, lambda _: refused("rateLimitExceeded", 429, None), first=3)) as made:
        outcomes = made.run(jobs_of(1), http_config=http_config)

        ats = [call.at for call in made.calls(POLL)]
        made.assert_paid_once()
    waits = [later - sooner for sooner, later in pairwise(ats)]
    assert [wait >= least for wait, least in zip(waits, (0.05, 0.1, 0.2), strict=True)] == [True] * 3
    assert errors_of(outcomes) == [""]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize("kind", [SUBMIT, POLL])
def test_case_15_the_wait_that_a_429_asks_for_is_kept(tmp_path: Path, kind: str, form: str) -> None:
    asked: list[float] = []

    def change(_: Call) -> Prepared:
        asked.append(time.time() + 1 if form == "seconds" else ceil(time.time() + 0.5))
        said = "1" if form == "seconds" else formatdate(asked[0], usegmt=True)
        return replace(refused("rateLimitExceeded", 429, None), headers={"Retry-After": said})

    faults = {"rate_limit": 1.0} if kind == SUBMIT else {}
    with bent(tmp_path, on(kind, change, first=1), faults=faults) as made:
        outcomes = made.run(jobs_of(1))

        refused_call, next_call = made.calls(kind)
        made.assert_paid_once()
    assert refused_call.task_uuid == next_call.task_uuid
    assert next_call.at >= asked[0]
    assert errors_of(outcomes) == [""]


@pytest.mark.parametrize("is_charged", [True, False])
def test_case_16_a_task_that_no_poll_knows_is_lost_at_its_deadline_and_not_bought_again(
    tmp_path: Path, is_charged: bool
) -> None:
    with bent(tmp_path, faults={"lost_task": 1.0}, is_loss_charged=is_charged) as made:
        made.assert_lost_and_sent_once()

        polls = made.calls(POLL)
    assert [call.body for call in polls] == [{"data": []}] * len(polls)
    assert len(polls) >= 4


def test_case_16_a_lost_task_that_turns_up_later_is_had_by_the_next_run_and_paid_once(tmp_path: Path) -> None:
    with bent(tmp_path, on(POLL, lambda _: NOTHING)) as made:
        first = made.run(jobs_of(1), limits=HASTY)
        states = made.states()
    with bent(tmp_path) as made:
        second = made.run(jobs_of(1))

        assert made.kinds == [POLL]
        made.assert_paid_once()
    assert (errors_of(first), states) == (["TaskUnknownError"], ["lost"])
    assert errors_of(second) == [""]


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("code", ["taskNotFound", "taskExpired", "taskCancelled", "taskFailedOrNotFound"])
def test_case_17_a_task_that_the_api_says_is_gone_is_lost_and_not_bought_again(
    tmp_path: Path, code: str, status: int
) -> None:
    with bent(tmp_path, on(POLL, lambda call: refused(code, status, call.task_uuid))) as made:
        made.assert_lost_and_sent_once()

        assert made.paid == 1


@pytest.mark.parametrize("code", ["taskNotFound", "taskExpired"])
def test_case_17_one_error_is_enough_to_tell_that_a_task_of_several_results_is_gone(tmp_path: Path, code: str) -> None:
    with bent(tmp_path, on(POLL, lambda call: refused(code, 200, call.task_uuid))) as made:
        outcomes = made.run(jobs_of(1, number_results=3), limits=HASTY)

        assert (made.states(), made.money) == (["lost"], (0, 3 * PRICE, 0))
    assert errors_of(outcomes) == ["TaskUnknownError"]


def test_case_17_the_simulator_s_own_error_about_an_unknown_task_is_the_same_verdict(tmp_path: Path) -> None:
    with bent(tmp_path, faults={"lost_task": 1.0}, unknown_task="error") as made:
        made.assert_lost_and_sent_once()

        assert made.calls(POLL)[0].body["errors"][0]["code"] == "taskNotFound"


# Odd but good answers.


def test_case_18_progress_is_told_by_the_client_and_does_not_end_the_engine_s_wait(tmp_path: Path) -> None:
    def change(call: Call) -> Prepared | None:
        progress = {1: 47, 2: 80}.get(call.number)
        return known(call.task_uuid, progress=progress) if progress else None

    async def reported(client: RunwareClient) -> list[int | None]:
        await client.submit(task)
        return [(await client.poll([uuid]))[uuid].progress for _ in range(3)]

    task = task_of(1)
    uuid = task["taskUUID"]
    with bent(tmp_path / "client", on(POLL, change)) as made:
        progress = run(made.client(), reported)
    with bent(tmp_path / "engine", on(POLL, change)) as made:
        outcomes = made.run(jobs_of(1))

        assert made.kinds == [SUBMIT, POLL, POLL, POLL]
        made.assert_paid_once()
    assert progress == [47, 80, None]
    assert errors_of(outcomes) == [""]


@pytest.mark.parametrize("status", ["queued", "newly invented"])
def test_case_19_an_unknown_status_is_running(tmp_path: Path, status: str) -> None:
    with bent(tmp_path, showing(lambda items: [still_running(items[0], status=status)], first=2)) as made:
        outcomes = made.run(jobs_of(1))

        assert made.kinds == [SUBMIT, POLL, POLL, POLL]
        made.assert_paid_once()
    assert errors_of(outcomes) == [""]


@pytest.mark.parametrize("status", ["queued", "completed", None])
def test_case_20_an_item_with_a_video_s_address_has_finished_whatever_its_status(
    tmp_path: Path, status: str | None
) -> None:
    with bent(tmp_path, showing(lambda items: [{**item, "status": status} for item in items])) as made:
        outcomes = made.run(jobs_of(1))

        assert made.kinds == [SUBMIT, POLL]
        made.assert_paid_once()
    assert errors_of(outcomes) == [""]


def test_case_21_a_success_without_an_address_is_polled_a_few_times_then_told_booked_and_not_bought_again(
    tmp_path: Path,
) -> None:
    with bent(tmp_path, faults={"no_url": 1.0}) as made:
        first = made.run(jobs_of(1))
        polls = len(made.calls(POLL))
        second = made.run(jobs_of(1))

        assert len(made.calls(SUBMIT)) == made.paid == 1
        assert (made.states(), made.money) == (["delivered"], (PRICE, 0, 0))
    assert 2 <= polls <= 10
    assert errors_of([*first, *second]) == ["OutputUnavailableError"] * 2
    assert first[0].error.code == "noOutput"


def without_url(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "videoURL"}


def test_case_21_an_address_that_comes_a_little_later_is_waited_for(tmp_path: Path) -> None:
    with bent(tmp_path, showing(lambda items: [*map(without_url, items)], first=2)) as made:
        outcomes = made.run(jobs_of(1), limits=Limits(max_wait_s=2))

        assert made.kinds == [SUBMIT, POLL, POLL, POLL]
        made.assert_paid_once()
    assert errors_of(outcomes) == [""]


def test_case_21_a_result_without_an_address_does_not_lose_the_paid_one_beside_it(tmp_path: Path) -> None:
    with bent(tmp_path, showing(lambda items: [items[0], without_url(items[1])])) as made:
        made.run(jobs_of(1, number_results=2))

        assert (made.paid, made.money) == (1, (2 * PRICE, 0, 0))
    assert len([*(tmp_path / "store" / "simulated").rglob("*.mp4")]) == 1


EXTRA = {"new": {"deep": [1, {"x": None}]}, "list": [], "status2": "error", "errorCount": 0}


@pytest.mark.parametrize("kind", [SUBMIT, POLL])
def test_case_22_fields_that_nobody_knows_are_ignored_at_every_level(tmp_path: Path, kind: str) -> None:
    def change(call: Call) -> Prepared:
        return Prepared({**EXTRA, "data": [{**item, **EXTRA} for item in call.body["data"]]})

    with bent(tmp_path, on(kind, change), has_extra_fields=True, latency_s=0.1) as made:
        outcomes = made.run(jobs_of(1))

        made.assert_paid_once()
    assert errors_of(outcomes) == [""]


def test_case_22_fields_that_nobody_knows_are_kept_with_an_error(tmp_path: Path) -> None:
    with bent(tmp_path, failing(**EXTRA)) as made:
        (outcome,) = made.run(jobs_of(1), limits=ONE_ATTEMPT)

    assert outcome.error.fault.detail.items() >= EXTRA.items()


def test_case_23_an_empty_list_of_errors_beside_data_is_no_error(tmp_path: Path) -> None:
    with bent(tmp_path, has_empty_errors=True) as made:
        outcomes = made.run(jobs_of(1))

        assert [call.body["errors"] for call in (*made.calls(SUBMIT), *made.calls(POLL))] == [[], []]
        made.assert_paid_once()
    assert errors_of(outcomes) == [""]


@pytest.mark.parametrize("code", ["providerError", "insufficientCredits"])
@pytest.mark.parametrize("kind", [SUBMIT, POLL])
def test_case_24_the_error_of_another_task_beside_our_data_is_not_ours(tmp_path: Path, kind: str, code: str) -> None:
    foreign = {"code": code, "message": "No.", "status": "error", "taskUUID": V}

    with bent(tmp_path, on(kind, lambda call: Prepared({**call.body, "errors": [foreign]}))) as made:
        outcomes = made.run(jobs_of(1), limits=ONE_ATTEMPT)

        assert made.kinds == [SUBMIT, POLL]
        made.assert_paid_once()
    assert errors_of(outcomes) == [""]


def test_case_25_an_error_that_names_no_task_refuses_the_only_task_of_a_submission(tmp_path: Path) -> None:
    bend = on(SUBMIT, lambda _: refused("invalidSeed", 400, None))

    with bent(tmp_path, bend, faults={"html": 1.0}, repeats=True) as made:
        outcomes = made.run(jobs_of(1))

        assert (made.kinds, made.states(), made.money) == ([SUBMIT], ["rejected"], (0, 0, 0))
    assert errors_of(outcomes) == ["RequestRejectedError"]


@pytest.mark.parametrize("more", [{"status": "error"}, {}], ids=["with status", "without"])
def test_case_25_an_error_that_names_no_task_is_the_verdict_of_the_only_task_of_a_poll(
    tmp_path: Path, more: dict[str, str]
) -> None:
    with bent(tmp_path, on(POLL, lambda _: refused("timeoutProvider", 200, None, **more))) as made:
        outcomes = made.run(jobs_of(1), limits=ONE_ATTEMPT)

        assert_failed_at_the_first_poll(made, outcomes, "TaskFailedError", "timeoutProvider")


def test_case_25_an_error_that_names_no_task_is_nobody_s_verdict_in_a_poll_about_two(tmp_path: Path) -> None:
    def change(call: Call) -> Prepared | None:
        return refused("timeoutProvider", 200, None, status="error") if len(call.tasks) > 1 else None

    with bent(tmp_path, on(POLL, change), latency_s=0.3) as made:
        outcomes = made.run(jobs_of(2), limits=ONE_ATTEMPT)

        assert max(len(call.tasks) for call in made.calls(POLL)) == 2
        made.assert_paid_once(2)
    assert errors_of(outcomes) == ["", ""]


# Time, moderation and details.


def test_case_59_a_task_whose_time_is_up_is_left_as_it_is_and_resumed_under_its_uuid(tmp_path: Path) -> None:
    clock = ManualClock()

    with bent(tmp_path, latency_s=10, clock=clock) as made:
        first = made.run(jobs_of(1), limits=HASTY)
        states, money = made.states(), made.money
        clock.now += 1000
        second = made.run(jobs_of(1))

        assert len(made.calls(SUBMIT)) == 1
        assert {call.task_uuid for call in made.calls(POLL)} == {made.calls(SUBMIT)[0].task_uuid}
        made.assert_paid_once()
    assert (errors_of(first), states, money) == (["TaskTimeoutError"], ["submitted"], (0, PRICE, 0))
    assert (errors_of(second), second[0].submitted, second[0].is_new) == ([""], 0, True)


def test_case_60_content_that_the_provider_refuses_is_final_and_its_cost_unknown(tmp_path: Path) -> None:
    with bent(tmp_path, faults={"verdict_safety": 1.0}) as made:
        outcomes = made.run(jobs_of(1))

        assert_failed_at_the_first_poll(made, outcomes, "ContentBlockedError", "invalidProviderContent")


@pytest.mark.parametrize(
    "code", ["invalidProviderContent", "contentPolicyViolation", "promptBlocked", "nsfwContentDetected"]
)
def test_case_60_content_that_is_refused_on_submission_is_final_and_frees_its_money(tmp_path: Path, code: str) -> None:
    bend = on(SUBMIT, lambda call: refused(code, 400, call.task_uuid))

    with bent(tmp_path, bend, faults={"html": 1.0}, repeats=True) as made:
        outcomes = made.run(jobs_of(1))

        assert (made.kinds, made.states(), made.money) == ([SUBMIT], ["rejected"], (0, 0, 0))
    assert errors_of(outcomes) == ["ContentBlockedError"]


@pytest.mark.parametrize("is_flagged", [True, False])
def test_case_60_the_flag_of_a_checked_video_is_kept_with_it(tmp_path: Path, is_flagged: bool) -> None:
    with bent(tmp_path, faults={"nsfw": float(is_flagged)}) as made:
        (outcome,) = made.run(jobs_of(1, safety={"mode": "fast"}))

        assert made.calls(POLL)[0].body["data"][0]["NSFWContent"] is is_flagged
        made.assert_paid_once()
    assert outcome.stored.videos[0].is_nsfw is is_flagged


def zipped(call: Call, *, up_to: int | None = None) -> Prepared:
    content = gzip.compress(json.dumps(call.body).encode())[:up_to]
    return Prepared(content, call.status, {"Content-Encoding": "gzip"})


def test_case_61_compressed_answers_are_read(tmp_path: Path) -> None:
    with bent(tmp_path, lambda call: zipped(call) if call.tasks else None) as made:
        outcomes = made.run(jobs_of(1))

        assert made.kinds == [SUBMIT, POLL]
        made.assert_paid_once()
    assert errors_of(outcomes) == [""]


@pytest.mark.parametrize("kind", [SUBMIT, POLL])
def test_case_61_a_compressed_answer_that_is_cut_is_trouble_on_the_way(tmp_path: Path, kind: str) -> None:
    with bent(tmp_path, on(kind, lambda call: zipped(call, up_to=30), first=1)) as made:
        outcomes = made.run(jobs_of(1))

        assert len(made.calls(SUBMIT)) == 1
        made.assert_paid_once()
    assert errors_of(outcomes) == [""]


@pytest.mark.parametrize("said", [{"provider": "alibaba", "reason": ["violence", {"score": 0.9}]}, "a sentence"])
@pytest.mark.parametrize("kind", [SUBMIT, POLL])
def test_case_62_the_provider_s_own_words_are_kept_with_the_error(tmp_path: Path, kind: str, said: Any) -> None:
    def change(call: Call) -> Prepared:
        return refused("invalidProviderContent", 400, call.task_uuid, status="error", responseContent=said)

    faults = {"html": 1.0} if kind == SUBMIT else {}
    with bent(tmp_path, on(kind, change), faults=faults, repeats=True) as made:
        (outcome,) = made.run(jobs_of(1))

    assert errors_of([outcome]) == ["ContentBlockedError"]
    assert outcome.error.fault.detail["responseContent"] == said


def test_every_case_of_the_reference_has_its_test() -> None:
    reported = "".join(path.read_text() for path in Path(__file__).parent.glob("test_cases_*.py"))

    numbers = {int(number) for number in re.findall(r"^def test_case_(\d\d)_", reported, re.MULTILINE)}

    assert numbers == set(range(1, 63))
