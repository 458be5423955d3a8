"""What the client makes of the API's answers, and how it behaves on the way: submissions and polls."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from api_double import (
    CONFLICT,
    HTML_504,
    KEY,
    NOTHING,
    QUICK,
    TASK,
    ApiDouble,
    Prepared,
    U,
    V,
    ack,
    known,
    refused,
    run,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from wan_assets.client import HttpConfig, RunwareClient, TaskReport
from wan_assets.client.account import usage_in
from wan_assets.client.error_codes import task_error_of
from wan_assets.client.responses import refusal_in, response_of
from wan_assets.client.task_reports import reports_in
from wan_assets.errors import (
    AccessDeniedError,
    ContentBlockedError,
    RequestRejectedError,
    RunwareBusyError,
    RunwareError,
    SubmissionUnconfirmedError,
    TaskFailedError,
    TaskUnknownError,
    WanAssetsError,
    WrongAddressError,
)
from wan_assets.models.pricing import microusd_of
from wan_assets.simulator import Behaviour, LocalSimulator

WAITING = 0.3
SUBMIT, POLL = "videoInference", "getResponse"
LATER = 30.0


def submitted(api: ApiDouble, http_config: HttpConfig = QUICK) -> None:
    run(api.client(http_config), lambda client: client.submit(TASK))


def polled(api: ApiDouble, *task_uuids: str) -> dict[str, TaskReport]:
    return run(api.client(), lambda client: client.poll(task_uuids or (U,)))


def report(body: Any, status: int = 200, *task_uuids: str) -> dict[str, TaskReport]:
    return reports_in(response_of(status, json.dumps(body)), task_uuids or (U,))


def success(video_uuid: str = "v1", task_uuid: str = U, **more: Any) -> dict[str, Any]:
    url = {"videoURL": f"https://vm.runware.ai/{video_uuid}.mp4"}
    return {"taskUUID": task_uuid, "status": "success", "videoUUID": video_uuid, **url, "seed": 7, **more}


def failure(code: str = "timeoutProvider", task_uuid: str = U, **more: Any) -> dict[str, Any]:
    return {"code": code, "message": "It failed.", "status": "error", "taskUUID": task_uuid, **more}


# submissions that are accepted


def test_a_submission_is_one_post_of_one_task_that_asks_for_its_cost() -> None:
    """Case 1."""
    with ApiDouble(ack()) as api:
        submitted(api)

    assert [request.tasks for request in api.posts] == [[{**TASK, "deliveryMethod": "async", "includeCost": True}]]


@pytest.mark.parametrize("body", [{"data": []}, {}, {"data": None}, {"data": [], "errors": []}])
def test_an_acknowledgement_without_rows_is_an_acceptance(body: Any) -> None:
    """Cases 26, 27 and 23."""
    with ApiDouble(Prepared(body)) as api:
        submitted(api)

    assert api.kinds == [SUBMIT]


def test_an_acknowledgement_of_another_uuid_is_not_submitted_again() -> None:
    """Case 28."""
    with ApiDouble(ack(V)) as api:
        submitted(api)

    assert api.kinds == [SUBMIT]


def test_the_error_of_another_task_refuses_nothing() -> None:
    """Case 24, on submission."""
    with ApiDouble(Prepared({"data": [{"taskUUID": U}], "errors": [failure("invalidSeed", V)]})) as api:
        submitted(api)

    assert api.kinds == [SUBMIT]


@pytest.mark.parametrize("status", [200, 400, 409, 500])
def test_a_conflict_on_any_status_is_an_acknowledgement(status: int) -> None:
    """Cases 39 and 40."""
    with ApiDouble(refused("conflictTaskUUID", status)) as api:
        submitted(api)

    assert api.kinds == [SUBMIT]


def test_a_compressed_answer_is_read() -> None:
    """Case 61."""
    body = gzip.compress(json.dumps({"data": [success()]}).encode())
    with ApiDouble(Prepared(body, headers={"Content-Encoding": "gzip"})) as api:
        reports = polled(api)

    assert reports[U].results[0].video_uuid == "v1"


@pytest.mark.parametrize("kind", ["application/json; charset=hex", "text/plain; charset=utf-16", "nonsense"])
def test_an_answer_is_json_whatever_its_header_claims(kind: str) -> None:
    body = "\ufeff" + json.dumps({"data": [success("日本")]}, ensure_ascii=False)
    with ApiDouble(Prepared(body.encode(), headers={"Content-Type": kind})) as api:
        reports = polled(api)

    assert reports[U].results[0].video_uuid == "日本"


# submissions that are refused


def test_a_refused_parameter_is_named_with_what_is_allowed_and_not_sent_again() -> None:
    """Case 29."""
    answer = refused("unsupportedDuration", parameter="duration", allowedValues=[5, 10])
    with ApiDouble(answer) as api, pytest.raises(RequestRejectedError) as caught:
        submitted(api)

    assert (caught.value.fault.parameter, caught.value.fault.allowed_values) == ("duration", (5, 10))
    assert (caught.value.fault.http_status, caught.value.fault.task_uuid) == (400, U)
    assert api.kinds == [SUBMIT]


def test_a_list_of_parameters_is_kept() -> None:
    """Case 30."""
    with (
        ApiDouble(refused("incompatibleParameters", parameter=["width", "resolution"])) as api,
        pytest.raises(RequestRejectedError, match="parameter width, resolution") as caught,
    ):
        submitted(api)

    assert caught.value.fault.parameter == ("width", "resolution")


@pytest.mark.parametrize("task_uuid", [U, None])
def test_errors_refuse_a_task_although_the_status_is_200(task_uuid: str | None) -> None:
    """Cases 31 and 25."""
    with ApiDouble(refused("invalidSeed", 200, task_uuid)) as api, pytest.raises(RequestRejectedError):
        submitted(api)

    assert api.kinds == [SUBMIT]


@pytest.mark.parametrize(
    "answer",
    [
        refused("invalidApiKey", 401, None, parameter="apiKey", taskType="authentication"),
        Prepared(b"", 401),
        refused("insufficientCredits", 402),
        refused("insufficientPermissions", 403),
    ],
)
def test_a_key_or_account_that_is_refused_is_not_tried_again(answer: Prepared) -> None:
    """Cases 32, 33, 34 and 47."""
    with ApiDouble(answer) as api, pytest.raises(AccessDeniedError):
        submitted(api)

    assert api.kinds == [SUBMIT]


@pytest.mark.parametrize("answer", [Prepared(b"", 402), Prepared(b"<html>", 403), Prepared({"message": "No"}, 403)])
def test_a_refusal_without_a_reason_is_not_tried_again_and_the_task_is_asked_for(answer: Prepared) -> None:
    with ApiDouble(answer, NOTHING) as api, pytest.raises(AccessDeniedError) as refusal:
        submitted(api)

    assert api.kinds == [SUBMIT, POLL, POLL]
    assert refusal.value.may_be_accepted


@pytest.mark.parametrize(
    "answer", [Prepared(b"", 403), Prepared(b"<html>", 404), Prepared(b"", 302), Prepared(b"", 413)]
)
def test_an_address_that_has_never_answered_as_the_api_does_has_accepted_nothing(answer: Prepared) -> None:
    with ApiDouble(answer) as api, pytest.raises(RunwareError) as refusal:
        submitted(api)

    assert not refusal.value.may_be_accepted


@pytest.mark.parametrize("status", [404, 405])
def test_a_wrong_address_is_not_tried_again(status: int) -> None:
    """Case 35."""
    with (
        ApiDouble(Prepared(b"<html>not here</html>", status)) as api,
        pytest.raises(WrongAddressError, match=r"does not accept tasks \(40"),
    ):
        submitted(api)

    assert api.kinds == [SUBMIT, POLL, POLL]


def test_a_redirected_submission_is_refused_and_not_followed() -> None:
    with (
        ApiDouble(Prepared(b"", 307, {"Location": "/elsewhere"})) as api,
        pytest.raises(WrongAddressError, match="redirects"),
    ):
        submitted(api)

    assert [request.path for request in api.received] == ["v1"] * 3
    assert api.kinds == [SUBMIT, POLL, POLL]


@pytest.mark.parametrize(
    "address", ["http://[::1", "http://127.0.0.1:99999/v1", "http://xn--/v1", "ftp://127.0.0.1/v1", "nonsense", ""]
)
def test_an_address_that_is_none_is_said_so(address: str) -> None:
    with pytest.raises(WrongAddressError, match="not the API's address"):
        run_at(address)


def run_at(address: str) -> None:
    async def balance() -> None:
        async with RunwareClient(KEY, address, http_config=QUICK) as client:
            await client.balance()

    asyncio.run(balance())


def test_a_moderated_prompt_is_not_sent_again_and_keeps_the_providers_words() -> None:
    """Cases 60 and 62."""
    said = {"provider": "alibaba", "reason": ["violence"]}
    with (
        ApiDouble(refused("invalidProviderContent", responseContent=said)) as api,
        pytest.raises(ContentBlockedError) as caught,
    ):
        submitted(api)

    assert caught.value.fault.detail["responseContent"] == said
    assert api.kinds == [SUBMIT]


# submissions that may have been accepted

AMBIGUOUS = {
    "500": refused("internalServerError", 500),
    "502 HTML": Prepared(b"<html>", 502),
    "503": refused("serviceUnavailable", 503),
    "504 HTML": HTML_504,
    "504 with a gateway's code": refused("providerGatewayTimeout", 504),
    "408 with a code": refused("requestTimeout", 408),
    "500 with the provider's code": refused("providerError", 500),
    "200 HTML": Prepared(b"<html>"),
    "200 truncated": Prepared(b'{"data":[{"taskTy'),
    "200 empty": Prepared(b""),
    "200 list": Prepared([]),
    "cut": Prepared({"data": []}, cut_at=5),
}
trouble = pytest.mark.parametrize("answer", AMBIGUOUS.values(), ids=AMBIGUOUS)


@trouble
def test_after_trouble_the_task_is_asked_for_and_sent_again_if_it_is_unknown(answer: Prepared) -> None:
    """Cases 36 and 44."""
    with ApiDouble(answer, NOTHING, NOTHING, ack()) as api:
        submitted(api)

    assert api.kinds == [SUBMIT, POLL, POLL, SUBMIT]
    assert {request.tasks[0]["taskUUID"] for request in api.posts} == {U}


@trouble
def test_a_task_that_the_poll_knows_is_never_sent_again(answer: Prepared) -> None:
    """Cases 37, 38 and 44."""
    with ApiDouble(answer, known()) as api:
        submitted(api)

    assert api.kinds == [SUBMIT, POLL]


def test_a_task_that_failed_meanwhile_is_known_and_never_sent_again() -> None:
    with ApiDouble(HTML_504, Prepared({"data": [], "errors": [failure()]})) as api:
        submitted(api)

    assert api.kinds == [SUBMIT, POLL]


@pytest.mark.parametrize("task_uuid", [U, None])
@pytest.mark.parametrize("status", [200, 404])
def test_a_task_that_the_poll_says_was_not_found_is_sent_again(status: int, task_uuid: str | None) -> None:
    """Cases 17 and 36 together."""
    with ApiDouble(HTML_504, *[refused("taskNotFound", status, task_uuid)] * 2, ack()) as api:
        submitted(api)

    assert api.kinds == [SUBMIT, POLL, POLL, SUBMIT]


def test_a_conflict_after_trouble_is_an_acknowledgement() -> None:
    """Case 37, where the poll does not know the task yet."""
    with ApiDouble(refused("internalServerError", 500), NOTHING, NOTHING, CONFLICT) as api:
        submitted(api)

    assert api.kinds == [SUBMIT, POLL, POLL, SUBMIT]


def test_nothing_is_sent_again_while_the_poll_itself_is_in_trouble() -> None:
    with ApiDouble(HTML_504) as api, pytest.raises(RunwareBusyError):
        submitted(api)

    assert api.kinds == [SUBMIT, POLL, POLL, POLL]


@pytest.mark.parametrize(
    "refusal", [refused("invalidSeed"), refused("invalidApiKey", 401), refused("insufficientCredits", 402)]
)
def test_a_refusal_after_an_ambiguous_try_leaves_the_submission_unconfirmed(refusal: Prepared) -> None:
    with ApiDouble(HTML_504, NOTHING, NOTHING, refusal) as api, pytest.raises(SubmissionUnconfirmedError) as caught:
        submitted(api)

    assert caught.value.code == refusal.body["errors"][0]["code"]


@pytest.mark.parametrize(
    "refusal", [refused("invalidTaskType"), refused("invalidApiKey", 401), Prepared(b"", 403), Prepared(b"", 404)]
)
def test_a_refused_poll_after_an_ambiguous_try_leaves_the_submission_unconfirmed(refusal: Prepared) -> None:
    with ApiDouble(HTML_504, refusal) as api, pytest.raises(SubmissionUnconfirmedError):
        submitted(api)

    assert api.kinds == [SUBMIT, POLL]


def test_a_refusal_after_too_many_requests_is_a_plain_refusal() -> None:
    with (
        ApiDouble(refused("rateLimitExceeded", 429), refused("invalidSeed")) as api,
        pytest.raises(RequestRejectedError),
    ):
        submitted(api)

    assert api.kinds == [SUBMIT, SUBMIT]


def test_a_verdict_in_a_504_to_a_submission_is_no_gateways() -> None:
    with ApiDouble(refused("failedProviderTimeout", 504, status="error")) as api, pytest.raises(TaskFailedError):
        submitted(api)

    assert api.kinds == [SUBMIT]


def test_the_tries_of_a_submission_are_counted() -> None:
    with ApiDouble(refused("rateLimitExceeded", 429)) as api, pytest.raises(RunwareBusyError):
        submitted(api)

    assert api.kinds == [SUBMIT] * QUICK.max_tries


def test_an_answer_that_does_not_come_in_time_is_trouble() -> None:
    """Case 45, by a total deadline."""
    hasty = HttpConfig(response_timeout_s=0.1, initial_retry_delay_s=0.01, retry_jitter_s=0.0, max_tries=2)
    with ApiDouble(Prepared({"data": []}, pause_s=0.5), known()) as api:
        submitted(api, hasty)

    assert api.kinds == [SUBMIT, POLL]


def test_an_answer_that_comes_byte_by_byte_is_not_waited_for_without_end(tmp_path: Path) -> None:
    """Case 45: each byte comes in time, and the whole does not."""
    hasty = HttpConfig(response_timeout_s=0.2, initial_retry_delay_s=0.01, retry_jitter_s=0.0)
    behaviour = Behaviour(latency_s=LATER, faults={"slow_body": 1.0}, pause_s=0.05)
    with LocalSimulator(tmp_path, behaviour) as simulator:
        started = time.monotonic()
        run(RunwareClient(KEY, simulator.base_url, http_config=hasty), lambda client: client.submit(TASK))
        took_s = time.monotonic() - started

    assert took_s < 2
    assert len(simulator.journal.charges()) == 1


def test_a_server_that_is_not_there_is_busy() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        client = RunwareClient(KEY, f"http://127.0.0.1:{closed.getsockname()[1]}/v1", http_config=QUICK)

        with pytest.raises(RunwareBusyError) as caught:
            run(client, lambda client: client.submit(TASK))

    assert caught.value.code == "connection"


# waiting


@pytest.mark.parametrize("status", [429, 503])
def test_the_seconds_that_the_api_asks_for_are_waited(status: int) -> None:
    """Case 15."""
    answers = refused("rateLimitExceeded", status).body, status, {"Retry-After": "1"}
    with ApiDouble(Prepared(*answers), ack()) as api:
        submitted(api)

    assert api.posts[-1].at - api.posts[0].at >= 1.0


def test_the_date_that_the_api_asks_for_is_waited_for() -> None:
    """Case 15, as an HTTP date."""
    then = (datetime.now(UTC) + timedelta(seconds=2)).replace(microsecond=0)
    headers = {"Retry-After": format_datetime(then, usegmt=True)}
    with ApiDouble(Prepared(b"", 429, headers), ack()) as api:
        submitted(api)

    assert datetime.now(UTC) >= then
    assert api.kinds == [SUBMIT, SUBMIT]


@pytest.mark.parametrize("said", ["soon", "-3", "Fri, 99 Foo", "²", "", "Tue, 01 Jan 2019 00:00:00 GMT"])
def test_a_retry_after_that_says_nothing_is_not_waited_for(said: str) -> None:
    with ApiDouble(Prepared(b"", 429, {"Retry-After": said}), ack()) as api:
        submitted(api)

    assert api.kinds == [SUBMIT, SUBMIT]


def test_without_retry_after_the_waits_grow() -> None:
    """Case 14, on submission."""
    http_config = HttpConfig(initial_retry_delay_s=0.05, retry_jitter_s=0.0, max_retry_delay_s=5.0, max_tries=4)
    with ApiDouble(refused("rateLimitExceeded", 429)) as api, pytest.raises(RunwareBusyError):
        submitted(api, http_config)

    first, second, third, last = (request.at for request in api.posts)
    assert second - first >= 0.05
    assert third - second >= 0.1
    assert last - third >= 0.2


def test_trouble_is_not_repeated_sooner_than_the_first_wait() -> None:
    """Case 42: two copies that come faster might both be accepted."""
    http_config = HttpConfig(initial_retry_delay_s=WAITING, retry_jitter_s=0.0)
    headers = {"Retry-After": "0"}
    with ApiDouble(Prepared(b"", 503, headers), NOTHING, NOTHING, ack()) as api:
        submitted(api, http_config)

    assert api.posts[-1].at - api.posts[0].at >= WAITING
    assert HttpConfig().initial_retry_delay_s >= 1.0


# polls


def test_a_running_task_is_known_and_not_complete() -> None:
    """Case 2."""
    found = report({"data": [{"taskUUID": U, "status": "processing"}]})

    assert (found[U].is_known, found[U].is_complete(1)) == (True, False)


def test_a_finished_task_tells_its_video() -> None:
    """Cases 3 and 22."""
    found = report({"data": [success(cost=0.473, extra={"deep": [1]})], "more": 1})[U]

    (video,) = found.results
    assert found.is_complete(1)
    assert (video.video_uuid, video.url, video.seed) == ("v1", "https://vm.runware.ai/v1.mp4", 7)
    assert (video.cost, video.is_nsfw) == (0.473, None)


def test_empty_errors_beside_data_are_no_error() -> None:
    """Case 23."""
    assert report({"data": [success()], "errors": []})[U].faults == ()


def test_data_may_be_one_object() -> None:
    assert report({"data": success()})[U].is_complete(1)


def test_results_are_counted_and_never_doubled() -> None:
    """Cases 5, 6 and 7."""
    running = {"taskUUID": U, "status": "processing"}

    placeholder = report({"data": [running]})[U]
    partial = report({"data": [success("v1"), running, running]})[U]
    doubled = report({"data": [success("v1"), success("v1"), success("v2")]})[U]
    complete = report({"data": [success("v1"), success("v2"), success("v3")]})[U]

    assert [each.is_complete(3) for each in (placeholder, partial, doubled, complete)] == [False, False, True, True]
    assert (doubled.may_change(3), complete.may_change(3)) == (True, False)
    assert [video.video_uuid for video in doubled.results] == ["v1", "v2"]


@pytest.mark.parametrize(
    "body",
    [
        {"data": [success()], "errors": [failure("providerError")]},
        {"data": [success(), {"taskUUID": U, "status": "error", "error": {"code": "providerError", "message": "x"}}]},
    ],
)
def test_a_success_is_kept_when_another_result_fails(body: Any) -> None:
    """Cases 8 and 9."""
    found = report(body)[U]

    assert found.is_complete(2)
    assert [video.video_uuid for video in found.results] == ["v1"]
    assert [fault.code for fault in found.faults] == ["providerError"]


@pytest.mark.parametrize(
    ("status", "code"), [(200, "timeoutProvider"), (504, "failedProviderTimeout"), (500, "internalServerError")]
)
def test_an_error_with_the_status_error_is_a_verdict_whatever_the_http_status(status: int, code: str) -> None:
    """Cases 10 and 11."""
    with ApiDouble(refused(code, status, status="error")) as api:
        found = polled(api)[U]

    assert found.is_complete(1)
    assert isinstance(task_error_of(found.faults[0]), TaskFailedError)


@pytest.mark.parametrize(
    "answer",
    [HTML_504, refused("providerGatewayTimeout", 504), refused("rateLimitExceeded", 429), Prepared(b"<html>")],
)
def test_trouble_with_a_poll_says_nothing_of_the_task(answer: Prepared) -> None:
    """Cases 12 and 14."""
    with ApiDouble(answer) as api, pytest.raises(RunwareBusyError):
        polled(api)

    assert api.kinds == [POLL]


@pytest.mark.parametrize("answer", [refused("invalidApiKey", 401, None), Prepared(b"", 401)])
def test_a_poll_that_is_refused_for_its_key_is_no_verdict(answer: Prepared) -> None:
    """Case 13."""
    with ApiDouble(answer) as api, pytest.raises(AccessDeniedError):
        polled(api)

    assert api.kinds == [POLL]


def test_a_task_that_the_api_does_not_know_is_left_out() -> None:
    """Case 16."""
    with ApiDouble(NOTHING) as api:
        reports = polled(api)

    assert reports == {}


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("code", ["taskNotFound", "taskExpired", "taskCancelled"])
def test_a_task_that_is_gone_is_a_verdict(code: str, status: int) -> None:
    """Case 17."""
    with ApiDouble(refused(code, status)) as api:
        found = polled(api)[U]

    assert isinstance(task_error_of(found.faults[0]), TaskUnknownError)
    assert found.is_known is (code != "taskNotFound")


def test_one_task_that_was_not_found_does_not_hide_another() -> None:
    body = {"data": [success(task_uuid=V)], "errors": [failure("taskNotFound", U)]}
    with ApiDouble(Prepared(body, 404)) as api:
        reports = polled(api, U, V)

    assert set(reports) == {U, V}
    assert api.kinds == [POLL]


@pytest.mark.parametrize(
    ("said", "progress"), [(47, 47), (80.5, 80), ("47", None), (None, None), (float("nan"), None), (float("inf"), None)]
)
def test_progress_is_told(said: Any, progress: int | None) -> None:
    """Case 18."""
    assert report({"data": [{"taskUUID": U, "status": "processing", "progress": said}]})[U].progress == progress


@pytest.mark.parametrize("status", ["queued", "pending", "", None, 3, ["x"]])
def test_an_unknown_status_is_running(status: Any) -> None:
    """Case 19."""
    found = report({"data": [{"taskUUID": U, "status": status}]})[U]

    assert (found.is_known, found.results, found.faults) == (True, (), ())


def test_an_unknown_status_with_an_address_is_finished() -> None:
    """Case 20."""
    assert report({"data": [success(status="queued")]})[U].is_complete(1)


def test_a_success_without_address_keeps_its_cost() -> None:
    """Case 21."""
    (video,) = report({"data": [success(videoURL=None, cost=0.5)]})[U].results

    assert (video.url, video.cost) == (None, 0.5)


def test_the_errors_of_foreign_tasks_are_ignored() -> None:
    """Case 24."""
    found = report({"data": [success()], "errors": [failure(task_uuid=V), "odd", 3, None]})

    assert found[U].faults == ()
    assert set(found) == {U}


def test_a_fault_that_names_no_task_is_that_of_the_only_task_asked_for() -> None:
    """Case 25, on a poll."""
    unnamed = {"data": [], "errors": [{"code": "timeoutProvider", "status": "error"}]}

    assert report(unnamed)[U].faults
    assert report(unnamed, 200, U, V) == {}


@pytest.mark.parametrize("cost", ["NaN", '"0.473"', "0", "null", "-1", "true", "Infinity", "[]"])
def test_a_cost_that_is_no_price_is_unknown(cost: str) -> None:
    """Case 55."""
    body = json.dumps({"data": [success(cost="COST")]}).replace('"COST"', cost)

    (video,) = reports_in(response_of(200, body), (U,))[U].results

    assert microusd_of(video.cost) is None


@pytest.mark.parametrize(("said", "flag"), [(True, True), (False, False), ("yes", None), (None, None)])
def test_the_flag_of_moderation_is_told(said: Any, flag: bool | None) -> None:
    """Case 60."""
    assert report({"data": [success(NSFWContent=said)]})[U].results[0].is_nsfw is flag


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": "invalidSeed", "message": "x"}},
        {"error": [{"errorId": "invalidSeed"}]},
        {"errors": {"code": "invalidSeed", "context": {"taskUUID": U}}},
    ],
)
def test_older_shapes_of_errors_are_read(body: Any) -> None:
    fault = refusal_in(response_of(400, json.dumps(body)), U)

    assert fault is not None
    assert fault.code == "invalidSeed"


def test_a_bare_sentence_is_an_error_too() -> None:
    fault = refusal_in(response_of(400, '{"error": "Go away."}'), U)

    assert fault is not None
    assert (fault.code, fault.message) == ("http_400", "Go away.")


# shared polls


def uuids(count: int) -> list[str]:
    return [f"5f0c1c9e-6a5e-4c53-9f5a-{number:012d}" for number in range(count)]


def test_many_tasks_share_a_post() -> None:
    asked = uuids(150)
    with ApiDouble(
        *(Prepared({"data": [success(task_uuid=u) for u in part]}) for part in (asked[:100], asked[100:]))
    ) as api:
        reports = polled(api, *asked)

    assert list(map(len, (request.tasks for request in api.posts))) == [100, 50]
    assert set(reports) == set(asked)


def test_tasks_that_are_unknown_cost_one_more_poll_and_sharing_goes_on() -> None:
    a, b = uuids(2)
    with ApiDouble(known(a), NOTHING, known(a), NOTHING) as api:
        reports = run(api.client(), lambda client: polled_twice(client, (a, b)))

    assert [set(each) for each in reports] == [{a}, {a}]
    assert [len(request.tasks) for request in api.posts] == [2, 1, 2, 1]


async def polled_twice(client: RunwareClient, asked: tuple[str, ...]) -> list[dict[str, TaskReport]]:
    return [await client.poll(asked), await client.poll(asked)]


@pytest.mark.parametrize("shared", [refused("arrayTooLong", 400, None), Prepared(b"<html>", 413)])
def test_a_refused_shared_poll_falls_back_to_one_each_for_good(shared: Prepared) -> None:
    a, b = uuids(2)
    with ApiDouble(shared, known(b), known(a), known(b), known(a), known(b)) as api:
        reports = run(api.client(), lambda client: polled_twice(client, (a, b)))

    assert [set(each) for each in reports] == [{a, b}, {a, b}]
    assert [len(request.tasks) for request in api.posts] == [2, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("answered", [1, 2])
def test_polls_fall_back_to_one_each_for_good_where_only_some_are_answered(
    tmp_path_factory: pytest.TempPathFactory, answered: int
) -> None:
    asked = uuids(4)
    behaviour = Behaviour(latency_s=LATER, polls_answered=answered)
    with LocalSimulator(tmp_path_factory.mktemp("simulator"), behaviour) as simulator:
        client = RunwareClient(KEY, simulator.base_url, http_config=QUICK)
        found, per_post = run(client, lambda client: submitted_and_polled(client, asked))

    assert set(found) == set(asked)
    assert per_post == 1


async def submitted_and_polled(client: RunwareClient, asked: list[str]) -> tuple[dict[str, TaskReport], int]:
    for task_uuid in asked:
        await client.submit({**TASK, "taskUUID": task_uuid})
    return await client.poll(asked), client.polls_per_post


# the key


def test_the_key_goes_with_every_post_in_one_header_alone() -> None:
    with ApiDouble(HTML_504, NOTHING, NOTHING, ack()) as api:
        submitted(api)

    assert {request.headers["authorization"] for request in api.posts} == {f"Bearer {KEY}"}
    assert not [request for request in api.posts if KEY.encode() in request.body]


@pytest.mark.parametrize(
    "answer",
    [
        refused("invalidApiKey", 401, None, message=f"The key {KEY} is wrong", parameter=KEY, allowedValues=[KEY]),
        refused(KEY, 401, None, context={"key": [KEY]}),
        Prepared(f"<html>{KEY}</html>".encode(), 403),
        Prepared(("x" * 110 + KEY).encode(), 403),
        Prepared({"data": [], "error": f"no {KEY}"}, 400),
    ],
)
def test_a_key_that_the_server_echoes_is_in_no_error(answer: Prepared) -> None:
    with ApiDouble(answer) as api, pytest.raises(RunwareError) as caught:
        submitted(api)

    assert KEY[:10] not in f"{caught.value}{caught.value.fault}{caught.value!r}"


def test_a_key_that_is_echoed_in_a_verdict_among_the_data_is_in_no_error() -> None:
    item = {"taskUUID": U, "status": "error", "error": {"code": "providerError", "message": f"key {KEY}"}}
    with ApiDouble(Prepared({"data": [item]})) as api:
        found = polled(api)[U]

    assert KEY not in repr(found)


@pytest.mark.parametrize("key", ["secret-key-0123\n", "secret key 0123", "secret-ключ-0123", "secret-key\r\nX-A: b"])
def test_a_key_that_cannot_be_one_is_refused_without_being_quoted_or_sent(key: str) -> None:
    with ApiDouble(ack()) as api, pytest.raises(AccessDeniedError) as caught:
        run(api.client(api_key=key), lambda client: client.submit(TASK))

    assert "secret" not in f"{caught.value}{caught.value.fault}"
    assert api.received == []


# anything at all

json_bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(U),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.sampled_from(
        ["data", "errors", "error", "taskUUID", "status", "code", "errorId", "message", "parameter", "allowedValues",
         "context", "videoURL", "videoUUID", "seed", "cost", "progress", "NSFWContent"]
    ), part, max_size=5),
    max_leaves=12,
)  # fmt: skip
items = st.lists(st.fixed_dictionaries({"taskUUID": st.just(U)}, optional={
    "status": st.sampled_from(["error", "success", "processing"]) | json_bodies,
    "progress": json_bodies, "error": json_bodies, "seed": json_bodies, "videoUUID": json_bodies,
    "code": json_bodies, "parameter": json_bodies,
}), max_size=3)  # fmt: skip
envelopes = st.fixed_dictionaries({"data": items, "errors": items}) | json_bodies
statuses = st.sampled_from([200, 202, 204, 301, 400, 401, 404, 409, 429, 500, 504])
thorough = settings(deadline=None, max_examples=100)


@pytest.mark.slow
@thorough
@given(envelopes.map(json.dumps) | st.text(), statuses)
def test_no_body_raises_anything_but_our_errors(text: str, status: int) -> None:
    try:
        answer = response_of(status, text)
    except WanAssetsError:
        return

    fault = refusal_in(answer, U)
    reports = reports_in(answer, (U, V))

    assert fault is None or str(task_error_of(fault))
    assert all(isinstance(each.is_complete(1), bool) for each in reports.values())
    assert all(microusd_of(video.cost) is None or video.cost > 0 for each in reports.values() for video in each.results)


@pytest.mark.parametrize("depth", [300, 3_000, 200_000])
@pytest.mark.parametrize("form", ["{}", '{{"data": {}}}', '{{"errors": [{{"message": {}}}]}}'])
def test_no_depth_of_nesting_breaks_the_reader(form: str, depth: int) -> None:
    text = form.format("[" * depth + "]" * depth)

    try:
        answer = response_of(200, text)
        reported = str(refusal_in(answer, U)) + str(reports_in(answer, (U,)))
    except RunwareBusyError as error:
        reported = str(error)

    assert reported


@thorough
@given(st.fixed_dictionaries({"usage": st.fixed_dictionaries({"timeseries": st.fixed_dictionaries({"data": st.lists(
    st.fixed_dictionaries({}, optional={"date": json_bodies, "spend": json_bodies, "count": json_bodies}) | json_bodies,
    max_size=3,
) | json_bodies}) | json_bodies}) | json_bodies}))  # fmt: skip
def test_no_usage_raises_anything_but_our_errors(answer: Any) -> None:
    try:
        days = usage_in(answer)
    except WanAssetsError:
        return

    assert list(days) == sorted(days, key=lambda usage: usage.day)


def test_the_readers_of_a_large_answer_are_quick() -> None:
    body = json.dumps({"data": [success(task_uuid=each, more="x" * 500) for each in uuids(2_000)]})
    started = time.monotonic()

    reports = reports_in(response_of(200, body), tuple(uuids(2_000)))

    assert len(reports) == 2_000
    assert time.monotonic() - started < 2
