"""Cases 1, 5 and 26 to 50 of the API's reference: submissions, by client and engine against a real server."""

from __future__ import annotations

import json
import re
import time
import uuid
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from api_double import NOTHING, Prepared, V, ack, refused, run
from bent_api import PATIENT, POLL, SUBMIT, Bend, BentStudio, Call, bent, on
from crash_support import killed
from engine_support import CHARGES_EVERY_COPY, PRICE, Studio, errors_of, jobs_of, request_of, studio
from simulator_support import KEY, running, task_of

from wan_assets.client import HttpConfig
from wan_assets.engine import Limits, Outcome, VideoJob
from wan_assets.errors import AccessDeniedError, RequestRejectedError
from wan_assets.models.request import Inputs
from wan_assets.video import VideoProperties

NOT_ACCEPTED = {"faults": {"html": 1.0}}
"""The simulator accepts only a second submission of a task; what it says to the first is bent."""

NEVER_ACCEPTED = {**NOT_ACCEPTED, "repeats": True}
ONE_BY_ONE = Limits(max_in_flight=1)
TRUNCATED = Prepared(b'{"data":[{"taskTy')
HTML = Prepared(b"<html>Hello</html>", headers={"Content-Type": "text/html"})


def refusing(code: str, status: int = 400, **more: Any) -> Bend:
    """Refuses every submission in these words."""
    return on(SUBMIT, lambda call: refused(code, status, call.task_uuid, **more))


def saying(answer: Prepared, *, first: int = 10_000) -> Bend:
    """Answers the first few submissions with this."""
    return on(SUBMIT, lambda _: answer, first=first)


def assert_refused_at_once(made: BentStudio, outcomes: list[Outcome], kind: str) -> None:
    """One POST, no poll, nothing charged, nothing reserved."""
    assert errors_of(outcomes) == [kind] * len(outcomes)
    assert made.kinds == [SUBMIT]
    assert (made.paid, made.money, made.states()) == (0, (0, 0, 0), ["rejected"])


def assert_refused_without_a_reason(made: BentStudio, outcomes: list[Outcome], kind: str, states: list[str]) -> None:
    """So many POSTs, nothing charged; each task is asked for, and keeps its reservation, since it may be accepted."""
    assert errors_of(outcomes) == [kind] * len(outcomes)
    assert made.kinds == [SUBMIT, POLL, POLL] * len(states)
    assert (made.paid, made.money, made.states()) == (0, (0, len(states) * PRICE, 0), states)


def fault_of(outcome: Outcome) -> Any:
    """The API's own words."""
    return outcome.error.fault


# What is accepted.


def test_case_01_a_task_is_acknowledged_by_type_and_uuid_alone_and_becomes_its_video(tmp_path: Path) -> None:
    request = request_of(resolution=None, width=1280, height=720)

    with bent(tmp_path) as made:
        (outcome,) = made.run([VideoJob(request)])

        (submission,) = made.calls(SUBMIT)
        made.assert_paid_once()
    assert submission.status == 200
    assert submission.body == {"data": [{"taskType": SUBMIT, "taskUUID": submission.task_uuid}]}
    facts = VideoProperties.from_json(outcome.stored.videos[0].facts)
    assert (facts.width, facts.height, round(facts.duration_s)) == (1280, 720, 5)


def test_case_05_three_results_are_acknowledged_once_and_come_with_videos_and_seeds_of_their_own(
    tmp_path: Path,
) -> None:
    with bent(tmp_path) as made:
        (outcome,) = made.run(jobs_of(1, number_results=3))

        (submission,) = made.calls(SUBMIT)
        made.assert_paid_once(results=3)
    assert len(submission.body["data"]) == 1
    assert [len({getattr(video, each) for video in outcome.stored.videos}) for each in ("video_uuid", "seed")] == [3, 3]
    assert outcome.cost_microusd == 3 * PRICE


def assert_accepted_and_polled(folder: Path, answer: Prepared) -> None:
    """An odd acknowledgement of an accepted task is one: its video comes, and no copy is sent."""
    with bent(folder, saying(answer), **CHARGES_EVERY_COPY) as made:
        outcomes = made.run(jobs_of(1))

        assert made.kinds == [SUBMIT, POLL]
        made.assert_paid_once()
    assert errors_of(outcomes) == [""]


def assert_lost_and_never_sent_again(folder: Path, answer: Prepared) -> None:
    """An odd acknowledgement of a task that nobody has accepted is no reason for a second submission either."""
    with bent(folder, saying(answer), **NEVER_ACCEPTED) as made:
        made.assert_lost_and_sent_once()


def test_case_26_an_empty_list_is_an_acknowledgement_and_the_task_is_polled(tmp_path: Path) -> None:
    assert_accepted_and_polled(tmp_path, NOTHING)


def test_case_26_a_task_acknowledged_by_an_empty_list_that_never_comes_is_lost_and_not_sent_again(
    tmp_path: Path,
) -> None:
    assert_lost_and_never_sent_again(tmp_path, NOTHING)


BARE_ACKS = pytest.mark.parametrize("body", [{}, {"data": None}], ids=json.dumps)


@BARE_ACKS
def test_case_27_an_answer_without_data_is_an_acknowledgement_and_the_task_is_polled(tmp_path: Path, body: Any) -> None:
    assert_accepted_and_polled(tmp_path, Prepared(body))


@BARE_ACKS
def test_case_27_a_task_acknowledged_without_data_that_never_comes_is_lost_and_not_sent_again(
    tmp_path: Path, body: Any
) -> None:
    assert_lost_and_never_sent_again(tmp_path, Prepared(body))


def test_case_28_an_acknowledgement_of_another_uuid_is_followed_by_polls_for_our_own(tmp_path: Path) -> None:
    assert_accepted_and_polled(tmp_path, ack(V))


def test_case_28_a_task_acknowledged_under_another_uuid_that_never_comes_is_lost_and_not_sent_again(
    tmp_path: Path,
) -> None:
    assert_lost_and_never_sent_again(tmp_path, ack(V))


# What is refused.


def test_case_29_an_unsupported_duration_is_refused_with_what_is_allowed_after_one_post_and_no_poll(
    tmp_path: Path,
) -> None:
    wrong = request_of().model_copy(update={"duration": 7})

    with bent(tmp_path) as made:
        outcomes = made.run([VideoJob(wrong)])

        assert_refused_at_once(made, outcomes, "RequestRejectedError")
        assert made.calls(SUBMIT)[0].status == 400
    fault = fault_of(outcomes[0])
    assert (fault.code, fault.parameter, fault.allowed_values) == ("unsupportedDuration", "duration", (5, 10))
    assert "duration" in str(outcomes[0].error)
    assert "5, 10" in str(outcomes[0].error)


def test_case_30_a_refusal_may_name_a_list_of_parameters(tmp_path: Path) -> None:
    bend = refusing("incompatibleParameters", parameter=["width", "resolution"])

    with bent(tmp_path, bend, **NEVER_ACCEPTED) as made:
        outcomes = made.run(jobs_of(1))

        assert_refused_at_once(made, outcomes, "RequestRejectedError")
    assert fault_of(outcomes[0]).parameter == ("width", "resolution")
    assert "width, resolution" in str(outcomes[0].error)


@pytest.mark.parametrize("data", [{}, {"data": []}, {"data": None}], ids=json.dumps)
@pytest.mark.parametrize("is_named", [True, False])
def test_case_31_errors_refuse_a_task_although_the_status_is_200(tmp_path: Path, data: Any, is_named: bool) -> None:
    def change(call: Call) -> Prepared:
        named = {"taskUUID": call.task_uuid} if is_named else {}
        return Prepared({**data, "errors": [{"code": "invalidSeed", "message": "No.", **named}]})

    with bent(tmp_path, on(SUBMIT, change), **NEVER_ACCEPTED) as made:
        outcomes = made.run(jobs_of(1))

        assert_refused_at_once(made, outcomes, "RequestRejectedError")


@pytest.mark.parametrize("answer", [None, Prepared(b"", 401)], ids=["JSON", "empty"])
def test_case_32_a_wrong_key_is_refused_once_and_stops_all_that_would_follow(
    tmp_path: Path, answer: Prepared | None
) -> None:
    with bent(tmp_path, on(SUBMIT, lambda _: answer), api_key="another-key") as made:
        outcomes = made.run(jobs_of(5), limits=ONE_BY_ONE)

        assert_refused_at_once(made, outcomes, "AccessDeniedError")
    assert fault_of(outcomes[0]).http_status == 401


def test_case_33_an_account_without_credit_stops_the_submissions_and_keeps_what_it_paid_for(tmp_path: Path) -> None:
    with bent(tmp_path, balance_usd=2 * PRICE / 1e6) as made:
        outcomes = made.run(jobs_of(5), limits=ONE_BY_ONE)

        assert len(made.calls(SUBMIT)) == 3
        assert made.calls(SUBMIT)[-1].status == 402
        assert (made.paid, made.money) == (2, (2 * PRICE, 0, 0))
        assert made.states() == ["stored", "stored", "rejected"]
    assert errors_of(outcomes) == ["", "", *["AccessDeniedError"] * 3]


@pytest.mark.parametrize("code", ["insufficientCredits", "providerInsufficientCredits", "quotaExceeded"])
def test_case_33_every_code_of_a_used_up_quota_stops_the_submissions(tmp_path: Path, code: str) -> None:
    with bent(tmp_path, refusing(code, 402), **NEVER_ACCEPTED) as made:
        outcomes = made.run(jobs_of(5), limits=ONE_BY_ONE)

        assert_refused_at_once(made, outcomes, "AccessDeniedError")


@pytest.mark.parametrize(
    "bend",
    [refusing("insufficientPermissions", 403), refusing("organizationSuspended", 403)],
    ids=["insufficientPermissions", "organizationSuspended"],
)
def test_case_34_a_missing_permission_is_refused_once_and_stops_all_that_would_follow(
    tmp_path: Path, bend: Bend
) -> None:
    with bent(tmp_path, bend, **NEVER_ACCEPTED) as made:
        outcomes = made.run(jobs_of(5), limits=ONE_BY_ONE)

        assert_refused_at_once(made, outcomes, "AccessDeniedError")


def test_case_34_a_bare_403_stops_all_that_would_follow_when_it_comes_twice(tmp_path: Path) -> None:
    with bent(tmp_path, saying(Prepared(b"", 403)), **NEVER_ACCEPTED) as made:
        outcomes = made.run(jobs_of(5), limits=ONE_BY_ONE)

        assert_refused_without_a_reason(made, outcomes, "AccessDeniedError", ["reserved", "reserved"])


def test_case_35_a_wrong_path_is_refused_and_costs_nothing(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        wrong = SimpleNamespace(base_url=made.simulator.base_url.replace("/v1", "/v2"))
        outcomes = Studio(tmp_path, wrong).run(jobs_of(1))

        assert (made.journal.submissions(), made.paid, made.states()) == (0, 0, ["rejected"])
    assert errors_of(outcomes) == ["WrongAddressError"]


NOT_HERE = pytest.mark.parametrize(
    "answer",
    [replace(HTML, status=404), Prepared(b"", 405), refused("invalidMethod", 405, None)],
    ids=["404 HTML", "405 empty", "405 JSON"],
)


@NOT_HERE
def test_case_35_an_address_that_takes_no_tasks_is_not_tried_again(tmp_path: Path, answer: Prepared) -> None:
    with bent(tmp_path, saying(answer), **NEVER_ACCEPTED) as made:
        outcomes = made.run(jobs_of(1))

        assert_refused_without_a_reason(made, outcomes, "WrongAddressError", ["reserved"])


@NOT_HERE
def test_case_35_the_error_of_a_wrong_address_names_the_address_and_not_the_table(
    tmp_path: Path, answer: Prepared
) -> None:
    with bent(tmp_path, saying(answer), **NEVER_ACCEPTED) as made:
        (outcome,) = made.run(jobs_of(1))

        assert made.simulator.base_url in str(outcome.error)


def test_case_35_a_get_is_answered_405_in_json(tmp_path: Path) -> None:
    with running(tmp_path) as api:
        answer = api.http.get(api.simulator.base_url)

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (405, "invalidMethod")


# What may have been accepted.

CODES = {500: "internalServerError", 502: "providerBadGateway", 503: "serviceUnavailable"}
CODES |= {504: "providerGatewayTimeout"}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["JSON", "HTML"])
@pytest.mark.parametrize("status", CODES)
def test_case_36_a_task_that_a_5xx_kept_out_is_asked_for_and_sent_again_under_its_uuid(
    tmp_path: Path, status: int, form: str
) -> None:
    answer = replace(HTML, status=status) if form == "HTML" else refused(CODES[status], status, None)

    with bent(tmp_path, saying(answer, first=1), **NOT_ACCEPTED, **CHARGES_EVERY_COPY) as made:
        outcomes = made.run(jobs_of(1))

        assert made.kinds == [SUBMIT, POLL, POLL, SUBMIT, POLL]
        assert len({call.task_uuid for call in made.calls(SUBMIT)}) == 1
        made.assert_paid_once()
    assert errors_of(outcomes) == [""]


def assert_found_by_the_poll(folder: Path, **behaviour: Any) -> None:
    """An accepted task whose answer is lost is not sent again: the API would charge every copy."""
    with studio(folder, **behaviour, **CHARGES_EVERY_COPY) as made:
        outcomes = made.run(jobs_of(1))

        assert dict(made.journal.outcomes()) == {"accepted": 1}
        assert (made.paid, made.states()) == (1, ["stored"])
        assert made.ledger().totals().simulated.cost_microusd == PRICE
    assert errors_of(outcomes) == [""]


def assert_acknowledged_by_a_conflict(folder: Path, fault: str, duplicates: str) -> None:
    """A copy that is sent because two polls are early meets a conflict, which is as good as an acknowledgement."""
    with bent(folder, on(POLL, lambda _: NOTHING, first=2), faults={fault: 1.0}, duplicates=duplicates) as made:
        outcomes = made.run(jobs_of(1))

        assert dict(made.journal.outcomes()) == {"accepted": 1, "known": 1}
        assert (made.paid, made.states()) == (1, ["stored"])
        assert made.ledger().totals().simulated.cost_microusd == PRICE
    assert errors_of(outcomes) == [""]


ERRORS_AFTER = pytest.mark.parametrize(
    "fault", ["error_500_after_accept", "error_503_after_accept", "error_504_after_accept"]
)


@ERRORS_AFTER
def test_case_37_a_task_accepted_with_a_5xx_is_found_by_the_poll_and_charged_once(tmp_path: Path, fault: str) -> None:
    assert_found_by_the_poll(tmp_path, faults={fault: 1.0})


@ERRORS_AFTER
def test_case_37_the_conflict_after_a_5xx_is_an_acknowledgement_and_there_is_one_charge(
    tmp_path: Path, fault: str
) -> None:
    assert_acknowledged_by_a_conflict(tmp_path, fault, "conflict_400")


def test_case_38_a_task_accepted_with_a_dropped_connection_is_found_by_the_poll_and_charged_once(
    tmp_path: Path,
) -> None:
    assert_found_by_the_poll(tmp_path, faults={"drop_after_accept": 1.0})


def test_case_38_the_conflict_after_a_dropped_connection_is_an_acknowledgement(tmp_path: Path) -> None:
    assert_acknowledged_by_a_conflict(tmp_path, "drop_after_accept", "conflict_400")


@pytest.mark.parametrize("fault", ["error_500_after_accept", "drop_after_accept"])
@pytest.mark.parametrize("duplicates", ["conflict_409", "conflict_200"])
def test_case_39_a_conflict_is_an_acknowledgement_with_status_409_and_with_200(
    tmp_path: Path, fault: str, duplicates: str
) -> None:
    assert_acknowledged_by_a_conflict(tmp_path, fault, duplicates)


def test_case_40_a_conflict_on_the_first_try_of_a_derived_uuid_is_an_acknowledgement(tmp_path: Path) -> None:
    with bent(tmp_path / "one machine") as made:
        made.run(jobs_of(1))
        elsewhere = BentStudio(tmp_path / "another machine", made.simulator)
        elsewhere.folder.mkdir()
        outcomes = elsewhere.run(jobs_of(1))

        assert len(made.calls(SUBMIT)) == 2
        made.assert_paid_once()
        elsewhere.assert_paid_once()
    assert errors_of(outcomes) == [""]


def test_case_40_a_conflict_about_a_task_that_no_poll_knows_is_lost_and_never_bought_again(tmp_path: Path) -> None:
    with bent(tmp_path, refusing("conflictTaskUUID"), **NEVER_ACCEPTED) as made:
        made.assert_lost_and_sent_once()


@pytest.mark.slow
def test_case_41_a_run_killed_between_post_and_acknowledgement_is_resumed_by_a_poll_and_charged_once(
    tmp_path: Path,
) -> None:
    with bent(tmp_path, faults={"stalled_body": 1.0}, **CHARGES_EVERY_COPY) as made:
        end = killed(made, 1, when=lambda: made.paid == 1)
        states_between, kinds_before = made.states(), made.kinds
        outcomes = made.run(jobs_of(1))

        assert (end, states_between, kinds_before) == (-9, ["reserved"], [SUBMIT])
        assert made.kinds[1:] == [POLL, POLL]
        assert {call.task_uuid for call in made.calls(POLL)} == {made.calls(SUBMIT)[0].task_uuid}
        made.assert_paid_once()
    assert (errors_of(outcomes), outcomes[0].submitted) == ([""], 0)


@pytest.mark.slow
def test_case_41_a_run_killed_before_its_task_was_accepted_sends_it_after_a_poll_under_the_same_uuid(
    tmp_path: Path,
) -> None:
    with bent(tmp_path, faults={"error_503": 1.0}, repeats=True) as made:
        end = killed(made, 1, when=lambda: made.journal.submissions() >= 1)
        sent = made.calls(SUBMIT)[0].task_uuid
    with bent(tmp_path, **CHARGES_EVERY_COPY) as made:
        states_between = made.states()
        outcomes = made.run(jobs_of(1))

        assert (end, states_between) == (-9, ["reserved"])
        assert (made.kinds[0], made.kinds.count(SUBMIT)) == (POLL, 1)
        assert {call.task_uuid for call in made.simulator.calls if call.tasks} == {sent}
        made.assert_paid_once()
    assert errors_of(outcomes) == [""]


REAL_DISTANCE = replace(PATIENT, initial_retry_delay_s=1.0, max_retry_delay_s=1.0)
LATE_POLLS = on(POLL, lambda _: NOTHING, first=2)
RACE = {"faults": {"drop_after_accept": 1.0}, "duplicates": "race", "race_s": 1.0}
"""An accepted task that the next two polls do not know yet, and a copy that is charged if it comes within a second."""


def test_case_42_an_api_may_run_and_charge_two_copies_that_come_within_a_second(tmp_path: Path) -> None:
    with running(tmp_path, duplicates="race") as api:
        answers = [api.post(task_of(1)), api.post(task_of(1))]

        assert [answer.status_code for answer in answers] == [200, 200]
        assert len(api.simulator.journal.charges()) == 2


def test_case_42_copies_of_a_task_keep_a_second_s_distance_and_are_charged_once(tmp_path: Path) -> None:
    with bent(tmp_path, LATE_POLLS, **RACE) as made:
        outcomes = made.run(jobs_of(1), http_config=REAL_DISTANCE)

        first, second = made.calls(SUBMIT)
        made.assert_paid_once()
    assert first.task_uuid == second.task_uuid
    assert second.at - first.at >= REAL_DISTANCE.initial_retry_delay_s
    assert HttpConfig().initial_retry_delay_s >= 1.0
    assert errors_of(outcomes) == [""]


def test_case_42_a_run_that_follows_at_once_keeps_the_distance_to_the_copy_of_the_one_before(tmp_path: Path) -> None:
    with bent(tmp_path, LATE_POLLS, **RACE) as made:
        made.run(jobs_of(1), http_config=replace(REAL_DISTANCE, max_tries=1))
        outcomes = made.run(jobs_of(1), http_config=REAL_DISTANCE)

        made.assert_paid_once()
    assert errors_of(outcomes) == [""]


@pytest.mark.parametrize(("duplicates", "status", "charges"), [("conflict_400", 400, 1), ("rerun", 200, 2)])
def test_case_43_an_api_may_refuse_or_run_and_charge_a_copy_of_a_finished_task(
    tmp_path: Path, duplicates: str, status: int, charges: int
) -> None:
    with running(tmp_path, duplicates=duplicates) as api:
        api.post(task_of(1))
        api.clock.now += 1000
        again = api.post(task_of(1))

        assert again.status_code == status
        assert len(api.simulator.journal.charges()) == charges


@pytest.mark.parametrize("lost", [["store"], ["ledger.db"]], ids="+".join)
def test_case_43_a_finished_task_is_never_sent_again_to_an_api_that_would_charge_it_again(
    tmp_path: Path, lost: list[str]
) -> None:
    with bent(tmp_path, duplicates="rerun") as made:
        made.run(jobs_of(1))
        for name in lost:
            for path in tmp_path.glob(f"{name}*"):
                path.rename(tmp_path / f"lost {path.name}")
        outcomes = made.run(jobs_of(1))

        assert made.paid == made.journal.submissions() == 1
    assert errors_of(outcomes) == [""]


def test_case_43_a_failed_task_is_followed_by_another_uuid_and_never_by_its_own(tmp_path: Path) -> None:
    with bent(tmp_path, faults={"verdict_error": 1.0}, duplicates="rerun") as made:
        outcomes = [*made.run(jobs_of(1)), *made.run(jobs_of(1))]

        assert len({call.task_uuid for call in made.calls(SUBMIT)}) == len(made.calls(SUBMIT)) == 6
        assert made.states() == ["failed"] * 6
    assert errors_of(outcomes) == ["TaskFailedError"] * 2


UNREADABLE = {"html_after_accept": HTML, "truncated_json": TRUNCATED, "empty_body": Prepared(b"")}


@pytest.mark.parametrize("fault", UNREADABLE)
def test_case_44_after_an_unreadable_200_an_accepted_task_is_polled_and_not_sent_again(
    tmp_path: Path, fault: str
) -> None:
    with bent(tmp_path, faults={fault: 1.0}, **CHARGES_EVERY_COPY) as made:
        outcomes = made.run(jobs_of(1))

        assert made.kinds == [SUBMIT, POLL, POLL]
        made.assert_paid_once()
    assert errors_of(outcomes) == [""]


@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE)
def test_case_44_after_an_unreadable_200_a_task_that_was_not_accepted_is_polled_before_it_is_sent_again(
    tmp_path: Path, answer: Prepared
) -> None:
    with bent(tmp_path, saying(answer, first=1), **NOT_ACCEPTED, **CHARGES_EVERY_COPY) as made:
        outcomes = made.run(jobs_of(1))

        assert made.kinds == [SUBMIT, POLL, POLL, SUBMIT, POLL]
        made.assert_paid_once()
    assert errors_of(outcomes) == [""]


def test_case_45_an_acknowledgement_that_comes_byte_by_byte_in_time_is_read(tmp_path: Path) -> None:
    with studio(tmp_path, faults={"slow_body": 1.0}, pause_s=0.001, **CHARGES_EVERY_COPY) as made:
        outcomes = made.run(jobs_of(1), http_config=replace(PATIENT, response_timeout_s=5.0))

        assert dict(made.journal.outcomes()) == {"accepted": 1}
        assert (made.paid, made.states()) == (1, ["stored"])
    assert errors_of(outcomes) == [""]


@pytest.mark.parametrize("fault", ["slow_body", "stalled_body"])
def test_case_45_an_acknowledgement_that_does_not_end_is_given_up_as_a_whole_and_its_task_found_by_the_poll(
    tmp_path: Path, fault: str
) -> None:
    started = time.monotonic()

    with studio(tmp_path, faults={fault: 1.0}, pause_s=0.01, **CHARGES_EVERY_COPY) as made:
        outcomes = made.run(jobs_of(1), http_config=replace(PATIENT, response_timeout_s=0.3))
        took_s = time.monotonic() - started

        assert dict(made.journal.outcomes()) == {"accepted": 1}
        assert (made.paid, made.states()) == (1, ["stored"])
    assert errors_of(outcomes) == [""]
    assert took_s < 4


@pytest.mark.slow
def test_case_45_a_poll_that_stalls_is_given_up_and_says_nothing_of_its_task(tmp_path: Path) -> None:
    with bent(tmp_path, on(POLL, lambda call: Prepared(call.body, pause_s=2.5), first=1)) as made:
        outcomes = made.run(jobs_of(1), http_config=replace(PATIENT, response_timeout_s=1.5))

        assert made.kinds == [SUBMIT, POLL, POLL]
        made.assert_paid_once()
    assert errors_of(outcomes) == [""]


# What a client may do wrong.

NO_ARRAYS = [b"", b"{", b"[", b"nonsense", b"null", b"[]", b"[1]", b"[[]]", b'"text"', b"\xff\xfe", b"[NaN]"]


@pytest.mark.parametrize("body", [*NO_ARRAYS, json.dumps(task_of(1)).encode()], ids=lambda body: repr(body[:12]))
def test_case_46_a_body_that_is_no_array_of_tasks_is_400_with_errors(tmp_path: Path, body: bytes) -> None:
    with running(tmp_path) as api:
        answer = api.http.post(api.simulator.base_url, content=body, headers=KEY)

        assert answer.status_code == 400
        assert answer.json()["errors"][0]["code"]
        assert api.simulator.journal.submissions() == 0


@pytest.mark.parametrize(
    ("headers", "first"),
    [
        ({"Authorization": "Bearer wrong"}, []),
        ({}, [{"taskType": "authentication", "apiKey": "wrong"}]),
        ({}, []),
        ({"Authorization": "Bearer wrong"}, [{"taskType": "authentication", "apiKey": "right"}]),
    ],
    ids=["header", "task", "neither", "wrong header, right task"],
)
def test_case_47_a_wrong_key_is_told_alike_as_a_header_and_as_a_task(
    tmp_path: Path, headers: dict[str, str], first: list[dict[str, str]]
) -> None:
    with running(tmp_path, api_key="right") as api:
        answer = api.http.post(api.simulator.base_url, json=[*first, task_of(1)], headers=headers)

        (error,) = answer.json()["errors"]
        assert answer.status_code == 401
        assert [error[key] for key in ("code", "parameter", "taskType")] == [
            "invalidApiKey",
            "apiKey",
            "authentication",
        ]
        assert api.simulator.journal.charges() == []


def test_case_47_the_engine_tells_a_wrong_key_by_its_parameter(tmp_path: Path) -> None:
    with bent(tmp_path, api_key="another-key") as made:
        (outcome,) = made.run(jobs_of(1))

    assert isinstance(outcome.error, AccessDeniedError)
    assert (fault_of(outcome).code, fault_of(outcome).parameter) == ("invalidApiKey", "apiKey")


def test_case_48_a_key_as_the_first_task_takes_the_rest_of_the_array(tmp_path: Path) -> None:
    first = {"taskType": "authentication", "apiKey": "right"}

    with running(tmp_path, api_key="right") as api:
        answer = api.http.post(api.simulator.base_url, json=[first, task_of(1), task_of(2)])

        reported = [item["taskUUID"] for item in answer.json()["data"] if item["taskType"] == SUBMIT]
        assert (answer.status_code, reported) == (200, [task_of(number)["taskUUID"] for number in (1, 2)])
        assert len(api.simulator.journal.charges()) == 2


PICTURE = "https://example.com/a.png"
WITH_SOUND = {"inputs": {"audio": str(uuid.UUID(int=0, version=4))}, "resolution": "480p"}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"duration": 7}, "duration"),
    ({"width": 1280, "height": 721}, "width"),
    ({"width": 1280}, "height"),
    ({"resolution": "720p", "width": 1280, "height": 720}, "resolution"),
    ({**WITH_SOUND, "providerSettings": {"alibaba": {"audio": True}}}, "inputs.audio"),
    ({"positivePrompt": ""}, "positivePrompt"),
    ({"positivePrompt": "x" * 2001}, "positivePrompt"),
    ({"numberResults": 0}, "numberResults"),
    ({"numberResults": 5}, "numberResults"),
    ({"seed": -1}, "seed"),
    ({"outputQuality": 100}, "outputQuality"),
    ({"ttl": 59}, "ttl"),
    ({"deliveryMethod": "sync"}, "deliveryMethod"),
    ({"resolution": None}, "resolution"),
    ({"inputs": {"frameImages": [PICTURE, PICTURE]}}, "inputs.frameImages"),
    ({"inputs": {"frameImages": [{"image": PICTURE, "frame": "last"}]}}, "inputs.frameImages.frame"),
    ({"taskUUID": "24cd5dff-0000-1000-8000-000000000000"}, "taskUUID"),
]


@pytest.mark.parametrize(("wrong", "parameter"), WRONG, ids=lambda part: str(part)[:40])
def test_case_49_what_breaks_a_rule_is_400_with_its_parameter_and_costs_nothing(
    tmp_path: Path, wrong: dict[str, Any], parameter: str
) -> None:
    task = {name: value for name, value in task_of(1, **wrong).items() if value is not None}

    with running(tmp_path) as api:
        answer = api.post(task)

        errors = answer.json()["errors"]
        assert answer.status_code == 400
        assert [error["parameter"] for error in errors] == [parameter]
        assert re.match("invalid|missing|unsupported|incompatible|value|array|max", errors[0]["code"])
        assert api.simulator.journal.charges() == []


SENT_ANYWAY: list[tuple[dict[str, Any], str]] = [
    ({"duration": 7}, "duration"),
    ({"resolution": None, "width": 1280}, "height"),
    ({"width": 1280, "height": 720}, "resolution"),
    ({"positive_prompt": ""}, "positivePrompt"),
    ({"positive_prompt": "x" * 2001}, "positivePrompt"),
    ({"number_results": 0}, "numberResults"),
    ({"number_results": 5}, "numberResults"),
    ({"seed": -1}, "seed"),
    ({"output_quality": 100}, "outputQuality"),
    ({"ttl": 59}, "ttl"),
    ({"resolution": None}, "resolution"),
    ({"inputs": Inputs.model_construct(frame_images=(PICTURE, PICTURE))}, "inputs.frameImages"),
]


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # of requests that break the rules on purpose
def test_case_49_each_broken_rule_refuses_its_row_alone_after_one_post_and_no_poll(tmp_path: Path) -> None:
    rows = [request_of(f"Kite {number}").model_copy(update=wrong) for number, (wrong, _) in enumerate(SENT_ANYWAY)]
    jobs = [VideoJob(row, f"p{number:02}") for number, row in enumerate([*rows, request_of("A whole kite")])]

    with bent(tmp_path) as made:
        *refused_rows, whole = made.run(jobs)

        assert len(made.calls(SUBMIT)) == len(jobs)
        assert {call.task_uuid for call in made.calls(POLL)} == {made.journal.charges()[0].task_uuid}
        assert made.money == (PRICE, 0, 0)
        assert sorted(made.states()) == [*["rejected"] * len(rows), "stored"]
    assert errors_of([*refused_rows, whole]) == [*["RequestRejectedError"] * len(rows), ""]
    assert [fault_of(outcome).parameter for outcome in refused_rows] == [parameter for _, parameter in SENT_ANYWAY]


def test_case_49_our_client_asks_for_asynchronous_delivery_whatever_the_task_says(tmp_path: Path) -> None:
    task = {**task_of(1), "deliveryMethod": "sync"}

    with bent(tmp_path) as made:
        run(made.client(), lambda client: client.submit(task))

        assert made.calls(SUBMIT)[0].tasks[0]["deliveryMethod"] == "async"
        assert made.paid == 1


def test_case_49_a_uuid_that_is_no_version_4_is_refused_to_our_client_once(tmp_path: Path) -> None:
    task = {**task_of(1), "taskUUID": "24cd5dff-0000-1000-8000-000000000000"}

    with bent(tmp_path) as made, pytest.raises(RequestRejectedError) as caught:
        run(made.client(), lambda client: client.submit(task))

    assert caught.value.fault.parameter == "taskUUID"
    assert made.kinds == [SUBMIT]


FORMS = [PICTURE, "aac49721-1964-481a-ae78-8a4e29b91402", "data:image/png;base64,iVBORw0KGgo=", "iVBORw0KGgo" * 10]


@pytest.mark.slow
def test_case_50_a_picture_is_taken_as_url_uuid_data_uri_and_base64_alone_and_as_an_object(tmp_path: Path) -> None:
    objects = [{"image": form} for form in FORMS]
    named = [{"image": PICTURE, "frame": frame} for frame in ("first", 0)]
    pictures = [*FORMS, *objects, *named]
    requests = [request_of(f"Kite {number}", inputs={"frame_images": [one]}) for number, one in enumerate(pictures)]

    with bent(tmp_path) as made:
        outcomes = made.run([VideoJob(request) for request in requests])

        sent = {call.tasks[0]["positivePrompt"]: call.tasks[0]["inputs"] for call in made.calls(SUBMIT)}
        assert sent == {f"Kite {number}": {"frameImages": [one]} for number, one in enumerate(pictures)}
        assert (made.paid, len(made.calls(SUBMIT))) == (len(pictures), len(pictures))
        assert made.money == (made.journal.spent_microusd(), 0, 0)
    assert errors_of(outcomes) == [""] * len(pictures)
