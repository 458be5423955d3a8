"""What the API may write in odd ways, and what it may never do to a run: its words, numbers, sizes and silences."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import sqlite3
import threading
import time
import tracemalloc
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_double import KEY, NOTHING, TASK, ApiDouble, Prepared, U, V, ack, known, refused, run
from bent_api import POLL, SUBMIT, Bend, Call, bent, on
from click.testing import CliRunner
from engine_support import CHARGES_EVERY_COPY, PRICE, errors_of, jobs_of, request_of
from hostile_answers import MALFORMED
from hostile_api import FILE, HostileApi, Hostility, Wire, http
from hypothesis import given, settings
from hypothesis import strategies as st
from test_hostile_api import job_of
from test_hostile_api import run as run_against

from wan_assets.cli import cli
from wan_assets.client import HttpConfig, RunwareClient
from wan_assets.client.account import usage_in
from wan_assets.client.bounds import bounded, cost_in, seed_in
from wan_assets.client.error_codes import code_of_failure_status, is_success_status
from wan_assets.client.responses import refusal_in, response_of
from wan_assets.client.task_reports import reports_in
from wan_assets.engine import Limits
from wan_assets.errors import (
    LedgerError,
    OutputUnavailableError,
    RunwareBusyError,
    RunwareError,
    SubmissionUnconfirmedError,
    TaskFailedError,
    WrongAddressError,
)
from wan_assets.ledger import Ledger, Origin
from wan_assets.models.rules import uuid_in
from wan_assets.servers import http_server
from wan_assets.servers.file_server import files_app
from wan_assets.servers.webhook_receiver import PATH, receiver_app, task_uuids_in
from wan_assets.store import VideoStore

WRITTEN: dict[str, Callable[[str], str]] = {
    "upper case": str.upper,
    "braces": "{{{}}}".format,
    "URN": "urn:uuid:{}".format,
    "no dashes": lambda said: said.replace("-", ""),
    "spaces": "\t{}\n".format,
}
forms = pytest.mark.parametrize("write", WRITTEN.values(), ids=WRITTEN)
SECRET = "0123456789abcdef-secret"


def acknowledged(call: Call, *faults: dict[str, Any], status: int = 200) -> Prepared:
    """The API's word that it has a task, beside errors."""
    return Prepared({"data": [{"taskType": SUBMIT, "taskUUID": call.task_uuid}], "errors": list(faults)}, status)


def nameless(code: Any = "providerError") -> dict[str, Any]:
    return {"code": code, "message": "Something is wrong."}


# An acknowledgement beside an error (item 2).


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
@pytest.mark.parametrize("code", ["providerError", "invalidSeed", "insufficientCredits", "contentPolicyViolation", ""])
def test_an_acknowledgement_wins_over_an_error_that_names_no_task(code: str, status: int) -> None:
    with ApiDouble(Prepared({"data": [{"taskUUID": U}], "errors": [nameless(code)]}, status)) as api:
        run(api.client(), lambda client: client.submit(TASK))

    assert api.kinds == [SUBMIT]


@pytest.mark.slow
def test_three_runs_whose_acknowledgement_comes_with_an_error_buy_one_task_and_book_it(tmp_path: Path) -> None:
    bend = on(SUBMIT, lambda call: acknowledged(call, nameless()))
    with bent(tmp_path, bend, **CHARGES_EVERY_COPY) as made:
        outcomes = [made.run(jobs_of(1), limits=Limits(max_wait_s=20))[0] for _ in range(3)]

        made.assert_paid_once()
    assert errors_of(outcomes) == ["", "", ""]


def test_a_task_that_is_acknowledged_and_refused_by_name_is_asked_for_and_never_sent_again(tmp_path: Path) -> None:
    bend = on(SUBMIT, lambda call: acknowledged(call, {**nameless("invalidSeed"), "taskUUID": call.task_uuid.upper()}))
    with bent(tmp_path, bend, **CHARGES_EVERY_COPY) as made:
        (outcome,) = made.run(jobs_of(1))

        made.assert_paid_once()
    assert outcome.stored


def test_a_task_that_is_acknowledged_and_refused_and_never_found_keeps_its_reservation(tmp_path: Path) -> None:
    bend = on(SUBMIT, lambda call: acknowledged(call, {**nameless("invalidSeed"), "taskUUID": call.task_uuid}))
    with bent(tmp_path, bend, faults={"html": 1.0}, repeats=True) as made:
        (outcome,) = made.run(jobs_of(1))

        assert len(made.calls(SUBMIT)) == 1
        assert (made.paid, made.money) == (0, (0, PRICE, 0))
    assert isinstance(outcome.error, SubmissionUnconfirmedError)
    assert outcome.error.code == "invalidSeed"


def test_a_status_that_refuses_beside_errors_of_other_tasks_refuses_nothing(tmp_path: Path) -> None:
    bend = on(SUBMIT, lambda _: refused("invalidSeed", 400, V), first=1)
    with bent(tmp_path, bend, **CHARGES_EVERY_COPY) as made:
        (outcome,) = made.run(jobs_of(1))

        made.assert_paid_once()
    assert outcome.stored


def test_a_result_that_only_the_acknowledgement_holds_is_kept() -> None:
    whole = {"taskUUID": U, "status": "success", "videoUUID": V, "videoURL": "https://vm.runware.ai/v.mp4", "cost": 0.4}

    async def submitted_and_polled(client: RunwareClient) -> Any:
        await client.submit(TASK)
        return await client.poll([U])

    with ApiDouble(Prepared({"data": [whole], "errors": [nameless()]}), NOTHING) as api:
        found = run(api.client(), submitted_and_polled)

    assert [result.video_uuid for result in found[U].results] == [V]


def test_a_submission_that_is_answered_with_the_verdict_on_its_task_keeps_its_reservation(tmp_path: Path) -> None:
    bend = on(SUBMIT, lambda call: refused("timeoutProvider", 504, call.task_uuid, status="error"))
    with bent(tmp_path, bend) as made:
        (outcome,) = made.run(jobs_of(1), limits=Limits(max_attempts=1))

        assert (made.states(), made.money) == (["failed"], (0, PRICE, 1))
    assert isinstance(outcome.error, TaskFailedError)


def test_a_poll_that_says_that_a_task_runs_wins_over_an_error_that_names_no_task() -> None:
    body = {"data": [{"taskUUID": U, "status": "processing"}], "errors": [nameless("timeoutProvider")]}

    report = reports_in(response_of(200, json.dumps(body)), (U,))[U]

    assert (report.is_complete(1), report.faults) == (False, ())


def test_a_question_that_is_answered_beside_an_error_is_answered() -> None:
    with ApiDouble() as api:
        api._posts = [Prepared({"data": [{"taskUUID": V, "balance": 1}, {"balance": 7}], "errors": []})]
        balance = run(api.client(), lambda client: client.balance())

    assert balance == 1


# UUIDs in every form (item 4).


@given(st.uuids(), st.sampled_from(list(WRITTEN.values())), st.sampled_from(list(WRITTEN.values())))
def test_a_uuid_is_known_in_every_form(
    named: uuid.UUID, write: Callable[[str], str], again: Callable[[str], str]
) -> None:
    assert uuid_in(write(str(named))) == str(named)
    assert uuid_in(again(str(named)).upper()) == str(named)


@pytest.mark.parametrize(
    "said", [None, 7, True, [], {}, "", "no UUID", U[:-1], f"{U}0", U.replace("-", "_"), "x" * 10**6]
)
def test_what_is_no_uuid_is_none(said: Any) -> None:
    assert uuid_in(said) is None


def rewritten(write: Callable[[str], str]) -> Bend:
    """Every UUID of every answer in another form."""

    def change(call: Call) -> Prepared | None:
        if not call.tasks or not isinstance(call.body, dict):
            return None
        for item in (*call.body.get("data", ()), *call.body.get("errors", ())):
            item.update({key: write(item[key]) for key in ("taskUUID", "videoUUID") if key in item})
        return Prepared(call.body, call.status)

    return change


@pytest.mark.slow
@forms
def test_an_api_that_writes_uuids_in_another_form_is_understood(write: Callable[[str], str], tmp_path: Path) -> None:
    with bent(tmp_path, rewritten(write), **CHARGES_EVERY_COPY) as made:
        outcomes = made.run(jobs_of(3, number_results=2))

        made.assert_paid_once(3, 2)
    assert errors_of(outcomes) == [""] * 3
    assert all(uuid_in(video.video_uuid) == video.video_uuid for each in outcomes for video in each.stored.videos)


@forms
def test_a_refusal_that_names_our_task_in_another_form_is_ours(write: Callable[[str], str]) -> None:
    answer = response_of(200, json.dumps({"data": [], "errors": [{**nameless(), "context": {"taskUUID": write(U)}}]}))

    fault = refusal_in(answer, U)

    assert fault is not None
    assert fault.task_uuid == U


@forms
def test_a_webhook_names_its_task_in_every_form(write: Callable[[str], str]) -> None:
    assert task_uuids_in(json.dumps({"data": [{"taskUUID": write(U)}]}).encode()) == {U}


@forms
def test_the_archive_is_read_in_every_form(write: Callable[[str], str]) -> None:
    with ApiDouble(Prepared({"data": [{"taskUUID": V}, {"taskUUID": write(U), "response": {}}]})) as api:
        details = run(api.client(), lambda client: client.details(U))

    assert details == {"taskUUID": U, "response": {}}


# How tasks end (item 14).

ENDS = ("error", "failed", "failure", "expired", "cancelled", "canceled", "timeout", "timed out", "rejected", "aborted")
CASES = (str, str.upper, str.title, " {} ".format, "task_{}".format)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("word", ENDS)
@pytest.mark.parametrize("url", [None, "https://vm.runware.ai/v.mp4"])
def test_a_word_that_ends_a_task_ends_it_with_a_reason(word: str, url: str | None, case: Callable[[str], str]) -> None:
    item = {"taskUUID": U, "status": case(word), "videoURL": url}

    report = reports_in(response_of(200, json.dumps({"data": [item]})), (U,))[U]

    assert report.is_complete(1)
    assert (report.results, report.is_running) == ((), False)
    assert word in str(report.faults[0].message).lower()
    assert code_of_failure_status(case(word)) == report.faults[0].code


@pytest.mark.parametrize("word", ["SUCCESS", "Completed", "succeeded", "DONE", " finished "])
def test_a_word_that_ends_a_task_well_ends_it_in_every_case(word: str) -> None:
    report = reports_in(response_of(200, json.dumps({"data": [{"taskUUID": U, "status": word}]})), (U,))[U]

    assert (len(report.results), report.is_running) == (1, False)


@pytest.mark.parametrize("word", ["queued", "PENDING", "scheduled", "waiting", "retrying_after_error", "not finished"])
def test_a_word_that_ends_nothing_leaves_the_task_running(word: str) -> None:
    assert not is_success_status(word)
    assert code_of_failure_status(word) is None


@pytest.mark.parametrize("reason", ["Out of capacity", {"code": "providerError", "message": "Out of capacity"}])
def test_the_reason_of_a_failure_is_kept(reason: Any) -> None:
    item = {"taskUUID": U, "status": "FAILED", "error": reason}

    report = reports_in(response_of(200, json.dumps({"data": [item]})), (U,))[U]

    assert report.faults[0].message == "Out of capacity"


def finished(call: Call, *changes: dict[str, Any]) -> Prepared | None:
    """The first result of an answer to a poll, once for each change of it."""
    items = call.body.get("data", [])
    if not items or items[0].get("status") != "success":
        return None
    return Prepared({"data": [{**items[0], **change} for change in changes]})


PICTURE = {"taskType": "imageInference", "videoUUID": V, "videoURL": None, "imageURL": "http://127.0.0.1/a.png"}
UNENDING = Limits(max_wait_s=600.0, max_attempts=1)
"""A task that is polled until its deadline takes longer than any test."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("results", "changes", "videos", "missing"),
    [
        (2, ({}, {}), 1, ["duplicateResult"]),
        (2, ({}, {"videoURL": None}), 1, ["noOutput"]),
        (2, ({}, PICTURE), 1, ["noOutput"]),
        (2, ({}, {"status": "Expired", "videoUUID": V}), 1, ["taskExpired"]),
        (1, ({}, {}), 1, []),
        (1, (PICTURE, {}), 1, []),
        (1, ({"videoUUID": V, "videoURL": "http://127.0.0.1/a.png"}, {}), 1, []),
        (1, ({}, {"videoUUID": V}, {"videoUUID": U, "status": "error"}), 1, []),
    ],
)
def test_odd_lists_of_results_end_the_task_with_its_videos_and_the_reasons(
    results: int, changes: Any, videos: int, missing: list[str], tmp_path: Path
) -> None:
    with bent(tmp_path, on(POLL, lambda call: finished(call, *changes))) as made:
        (outcome,) = made.run(jobs_of(1, number_results=results), limits=UNENDING)

        spent, reserved, _ = made.money
        assert spent + reserved == results * PRICE == made.journal.spent_microusd()
    assert [len(outcome.stored.videos), *(each.split(":")[0] for each in outcome.stored.missing)] == [videos, *missing]


@pytest.mark.slow
@pytest.mark.parametrize("word", ["failed", "EXPIRED", "cancelled", "ERROR", "SUCCESS", "timeout", "rejected"])
@pytest.mark.parametrize("has_address", [True, False])
def test_a_task_that_has_ended_can_be_settled(word: str, has_address: bool, tmp_path: Path) -> None:
    change = {"status": word} if has_address and word != "SUCCESS" else {"status": word, "videoURL": None}
    with bent(tmp_path, on(POLL, lambda call: finished(call, change))) as made:
        (outcome,) = made.run(jobs_of(1), limits=UNENDING)
        task_uuid = made.calls(SUBMIT)[0].task_uuid

        settled = CliRunner().invoke(cli, ["ledger", "settle", task_uuid, "--cost", "0.1", "--url", made.url])

        assert made.money == (100_000, 0, 0)
    assert outcome.error is not None
    assert word.lower() in str(outcome.error).lower() or outcome.error.code == "noOutput"
    assert (settled.exit_code, made.states()) == (0, ["failed"])


def test_a_task_whose_files_another_process_still_fetches_is_not_settled(tmp_path: Path) -> None:
    with closing(Ledger(f"sqlite:///{tmp_path}/ledger.db")) as ledger:
        task = ledger.claim(request_of(), Origin(), "somewhere/1/x", simulated=False).task
        ledger.mark_submitted(task.task_uuid)
        ledger.settle(task.task_uuid, [], [PRICE])

        with pytest.raises(LedgerError, match="still works on task"):
            ledger.record_cost(task.task_uuid, 0)
        ledger.release_leases("somewhere/1/x")
        settled = ledger.record_cost(task.task_uuid, 0)

    assert (settled.state, settled.cost_microusd) == ("failed", 0)


# What is no HTTP (item 26).

IMPATIENT = HttpConfig(
    response_timeout_s=0.5,
    max_response_bytes=1 << 20,
    initial_retry_delay_s=0.01,
    max_retry_delay_s=0.01,
    retry_jitter_s=0.0,
    max_tries=1,
    max_download_tries=1,
    download_read_timeout_s=0.5,
    download_window_s=0.5,
    max_download_bytes=1 << 20,
)
malformed = pytest.mark.parametrize("wire", MALFORMED.values(), ids=MALFORMED)


@contextmanager
def answering(wire: Wire) -> Iterator[str]:
    """A server that gives one answer to everything; its address."""
    with HostileApi(b"", {}) as api:
        api._said_to = lambda *_: wire
        yield api.root


@pytest.mark.slow
@malformed
def test_a_malformed_answer_to_a_poll_is_trouble_of_this_poll(wire: Wire) -> None:
    async def polled(client: RunwareClient) -> Any:
        try:
            return await client.poll([U])
        except RunwareError as error:
            return str(error)

    with answering(wire) as root:
        assert run(RunwareClient(KEY, f"{root}/v1", http_config=IMPATIENT), polled) is not None


@pytest.mark.slow
@malformed
def test_a_malformed_download_is_trouble_of_this_file(wire: Wire, tmp_path: Path) -> None:
    async def downloaded(client: RunwareClient) -> str:
        try:
            await client.download(f"{client.base_url}/files/a.mp4", tmp_path / "a.mp4")
        except OutputUnavailableError as error:
            return str(error)
        return "a file"

    with answering(wire) as root:
        assert run(RunwareClient(KEY, f"{root}/v1", http_config=IMPATIENT), downloaded)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["long header", "length abc", "two lengths", "bad chunk size", "status abc", "nothing"]
)
def test_one_bad_download_among_many_rows_costs_that_row_alone(name: str, tmp_path: Path, video: bytes) -> None:
    jobs = [job_of(f"Well {index}") for index in range(12)] + [job_of("Bad")]
    with HostileApi(video, {"Bad": Hostility("Bad", FILE, MALFORMED[name])}) as api:
        outcomes = run_against(tmp_path, api, jobs)

    assert [prompt for prompt, outcome in outcomes.items() if outcome.stored is None] == ["Bad"]
    assert isinstance(outcomes["Bad"].error, OutputUnavailableError)


def test_an_error_of_our_own_is_not_taken_for_the_servers(tmp_path: Path) -> None:
    with answering(Wire([http(b"content")])) as root, pytest.raises(IsADirectoryError):
        run(RunwareClient(KEY, f"{root}/v1"), lambda client: client.download(f"{root}/files/a.mp4", tmp_path))


def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one() -> None:
    stray = http({"errors": [nameless("invalidSeed")]}, 400)
    taken = [Wire([http({"data": []}), 0.02, stray], is_kept=True), http({"data": []})]

    async def submitted_twice(client: RunwareClient) -> None:
        await client.submit(TASK)
        await asyncio.sleep(0.3)  # the stray answer is on its way
        await client.submit({**TASK, "taskUUID": V})

    with HostileApi(b"", {}) as api:
        api._said_to = lambda *_: taken.pop(0)
        run(RunwareClient(KEY, api.base_url, http_config=IMPATIENT), submitted_twice)

    assert taken == []


def test_no_cookie_is_kept_or_sent_back() -> None:
    async def twice(client: RunwareClient) -> None:
        await client.poll([U])
        await client.poll([U])

    with ApiDouble(replace(known(), headers={"Set-Cookie": "a=b"})) as api:
        run(RunwareClient(KEY, api.base_url.replace("127.0.0.1", "localhost"), http_config=IMPATIENT), twice)

    assert ["cookie" in request.headers for request in api.posts] == [False, False]


# What no database, file or terminal holds (item 27).

odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20) | st.just("\ud800"),
    lambda part: (
        st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5) | st.just("\ud800"), part, max_size=3)
    ),
)


@pytest.mark.slow
@settings(deadline=None)
@given(odd)
def test_every_value_can_be_written_once_it_is_bounded(value: Any) -> None:
    text = json.dumps(bounded(value), ensure_ascii=False)

    assert text.encode().decode() == text
    assert "\\u0000" not in text
    sqlite3.connect(":memory:").execute("SELECT ?", (text,)).fetchone()


@pytest.mark.parametrize("said", [-1, 2**63, 10**400, 1.5, "7", True, None, [], float("nan")])
def test_a_seed_that_no_database_holds_is_none(said: Any) -> None:
    assert seed_in(said) is None


@pytest.mark.parametrize(
    "said", [10**400, -(10**400), 1e16, 1e13, 9e12, float("inf"), float("nan"), [], {}, "x" * 10**5]
)
def test_a_cost_that_is_none_is_kept_as_a_short_text(said: Any) -> None:
    assert isinstance(cost_in(said), str)
    assert len(cost_in(said)) <= 40


@pytest.mark.parametrize("digits", [5, 400, 5_000, 100_000])
def test_a_number_of_any_length_is_read(digits: int) -> None:
    text = f'{{"data":[{{"taskUUID":"{U}","status":"success","seed":{"9" * digits},"cost":-{"9" * digits}}}]}}'

    (result,) = reports_in(response_of(200, text), (U,))[U].results

    assert result.seed == (99_999 if digits == 5 else None)


@pytest.mark.slow
@pytest.mark.parametrize(
    "said", ["a\ud800b", "a\x00b", "\x1b[31m", "\u202eabc", "x" * 100_000, {"a": "\ud800"}, ["\x00"]]
)
@pytest.mark.parametrize("stage", [SUBMIT, POLL])
def test_a_fault_of_odd_words_is_booked_and_stops_nothing(said: Any, stage: str, tmp_path: Path) -> None:
    def fault(call: Call) -> Prepared | None:
        is_first = call.task_uuid == made.calls(SUBMIT)[0].task_uuid
        odd = {"code": said, "message": said, "taskUUID": call.task_uuid, "parameter": said}
        whole = odd | ({"status": "error"} if stage == POLL else {"code": "invalidSeed"})
        return Prepared({"errors": [whole]}, 400 if stage == SUBMIT else 200) if is_first else None

    one_by_one = Limits(max_in_flight=1, max_attempts=1, max_wait_s=20)
    with bent(tmp_path, on(stage, fault)) as made:
        outcomes = made.run(jobs_of(3), limits=one_by_one)

        assert sorted(made.states()) == ["failed" if stage == POLL else "rejected", "stored", "stored"]
    assert sorted(errors_of(outcomes))[:2] == ["", ""]


@pytest.mark.parametrize(
    "said",
    [
        *("9" * 400, "-5", "NaN", "inf", "1e5", "\u0665", "x" * 5_000),
        *("Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 99999 23:59:59 GMT", "Fri, 31 Feb 2027 99:99:99 GMT"),
        "Fri, 31 Dec 2027 23:59:59 +99999999999999999999",
    ],
)
def test_a_wait_that_nobody_can_mean_is_not_waited_for(said: str) -> None:
    header = {"Retry-After": said.encode("ascii", "replace").decode()}
    with ApiDouble(Prepared(b"", 429, header), ack()) as api:
        run(api.client(), lambda client: client.submit(TASK))

    assert api.kinds == [SUBMIT, SUBMIT]


def test_a_poll_that_asks_for_a_wait_of_hours_delays_no_other_task(tmp_path: Path) -> None:
    bend = on(POLL, lambda _: Prepared(b"", 429, {"Retry-After": "7200"}), first=2)
    with bent(tmp_path, bend) as made:
        started = time.monotonic()
        outcomes = made.run(jobs_of(3), limits=Limits(max_wait_s=60))

    assert errors_of(outcomes) == [""] * 3
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("spend", ["1e300", 1e300, 10**400, "NaN", "\ud800", {}, True])
def test_an_amount_of_usage_that_is_none_is_left_out(spend: Any) -> None:
    rows = [{"date": "2026-01-01", "spend": spend, "count": 1}, {"date": "2026-01-02", "spend": 1.5, "count": 2}]

    (day,) = usage_in({"usage": {"timeseries": {"data": rows}}})

    assert (day.count, day.spend_usd) == (2, 1.5)


@pytest.mark.slow
def test_a_refusal_of_one_row_does_not_stop_rows_that_the_api_takes(tmp_path: Path) -> None:
    refusal = refused("invalidApiKey", 401, None)
    with bent(tmp_path, on(SUBMIT, lambda call: refusal if call.number == 3 else None)) as made:
        outcomes = made.run(jobs_of(8), limits=Limits(max_in_flight=1))

        assert sorted(made.states()) == ["rejected"] + ["stored"] * 7
    assert sorted(errors_of(outcomes))[:7] == [""] * 7


PAGE = b"<html>No"
FINAL = (301, 302, 303, 307, 308, 400, 402, 403, 404, 405, 413, 422)
WITHOUT_A_REASON = [
    *(Prepared(PAGE, status) for status in (400, 402, 403, 404, 405, 406, 410, 411, 413, 414, 415, 422, 451)),
    *(Prepared(b"", status) for status in (400, 403, 404, 413)),
    *(Prepared(b"", status, {"Location": "/elsewhere"}) for status in (301, 302, 303, 307, 308)),
    Prepared({"message": "Forbidden"}, 403),
    Prepared({"error": "Bad Request"}, 400),
    Prepared([{"code": "invalidSeed"}], 400),
]
without_a_reason = pytest.mark.parametrize("answer", WITHOUT_A_REASON, ids=lambda each: f"{each.status} {each.body!r}")


@pytest.mark.slow
@without_a_reason
def test_a_task_that_was_accepted_and_answered_by_something_else_than_the_api_is_paid_once(
    answer: Prepared, tmp_path: Path
) -> None:
    with bent(tmp_path, on(SUBMIT, lambda _: answer), **CHARGES_EVERY_COPY) as made:
        (outcome,) = made.run(jobs_of(1))

        made.assert_paid_once()
    assert outcome.stored


@pytest.mark.slow
@pytest.mark.parametrize("answer", [each for each in WITHOUT_A_REASON if each.status in FINAL], ids=str)
def test_a_task_that_is_found_only_by_the_next_run_is_paid_once(answer: Prepared, tmp_path: Path) -> None:
    def forgetful(call: Call) -> Prepared | None:
        if call.kind == SUBMIT:
            return answer
        return NOTHING if call.kind == POLL and call.number <= 2 else None

    with bent(tmp_path, forgetful, **CHARGES_EVERY_COPY) as made:
        (first,) = made.run(jobs_of(1))
        assert (made.states(), made.money) == (["reserved"], (0, PRICE, 0))
        (second,) = made.run(jobs_of(1))

        made.assert_paid_once()
    assert first.error is not None
    assert second.stored


@pytest.mark.parametrize("answer", [Prepared(PAGE, 504), Prepared(b"", 500), Prepared(PAGE, 200)], ids=str)
def test_a_task_that_one_poll_says_nothing_of_is_not_submitted_again(answer: Prepared, tmp_path: Path) -> None:
    def forgetful(call: Call) -> Prepared | None:
        if call.kind == SUBMIT:
            return answer
        return NOTHING if call.kind == POLL and call.number == 1 else None

    with bent(tmp_path, forgetful, **CHARGES_EVERY_COPY) as made:
        (outcome,) = made.run(jobs_of(1))

        made.assert_paid_once()
    assert outcome.stored


@pytest.mark.slow
def test_tasks_that_shared_polls_say_nothing_of_are_not_submitted_again(tmp_path: Path) -> None:
    """The first two polls of a single task say nothing either: those which the client sends to test shared ones."""
    alone: list[str] = []

    def forgetful(call: Call) -> Prepared | None:
        if call.kind == SUBMIT:
            return Prepared(PAGE, 400)
        if call.kind == POLL and is_restarted and len(call.tasks) == 1:
            alone.append(call.task_uuid)
        is_forgotten = not is_restarted or len(call.tasks) > 1 or len(alone) <= 2
        return NOTHING if call.kind == POLL and is_forgotten else None

    is_restarted = False
    with bent(tmp_path, forgetful, **CHARGES_EVERY_COPY) as made:
        made.run(jobs_of(5))
        assert made.states() == ["reserved"] * 5
        is_restarted = True
        outcomes = made.run(jobs_of(5))

        made.assert_paid_once(5)
    assert errors_of(outcomes) == [""] * 5


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 3])
@without_a_reason
def test_a_page_in_the_place_of_one_answer_stops_no_other_row(answer: Prepared, number: int, tmp_path: Path) -> None:
    with bent(tmp_path, on(SUBMIT, lambda call: answer if call.number == number else None)) as made:
        outcomes = made.run(jobs_of(6), limits=Limits(max_in_flight=1))

    assert sorted(errors_of(outcomes))[:5] == [""] * 5


def test_results_that_were_not_requested_are_named_with_their_cost(tmp_path: Path) -> None:
    with bent(tmp_path, on(POLL, lambda call: finished(call, {}, {"videoUUID": V, "cost": 0.5}))) as made:
        (outcome,) = made.run(jobs_of(1))

        (task,) = made.ledger().tasks_where()
        made.assert_paid_once()
    assert len(outcome.stored.videos) == 1
    assert task.error_code == "unrequestedResult"
    assert f"{V} at $0.5000" in task.error_message


@pytest.mark.slow
def test_files_that_never_come_do_not_hold_up_those_that_do(tmp_path: Path) -> None:
    never: list[str] = []

    def first_eight(call: Call) -> Prepared | None:
        if len(never) < 8 and call.url not in never:
            never.append(call.url)
        return Prepared(b"", 502) if call.url in never else None

    http_config = replace(
        HttpConfig(), initial_retry_delay_s=3.0, retry_jitter_s=0.0, initial_poll_delay_s=0.05, max_download_tries=3
    )
    with bent(tmp_path, on(FILE, first_eight)) as made:
        outcomes = made.run(jobs_of(20), http_config=http_config, limits=Limits(max_in_flight=50, max_downloads=8))
        asked_for = [call.url for call in made.calls(FILE)]

    assert len(set(asked_for[:20])) == 20
    assert sorted(errors_of(outcomes)) == [""] * 12 + ["OutputUnavailableError"] * 8


def test_a_key_that_is_refused_twice_in_a_row_stops_the_run(tmp_path: Path) -> None:
    with bent(
        tmp_path, on(SUBMIT, lambda call: refused("invalidApiKey", 401, None) if call.number >= 3 else None)
    ) as made:
        outcomes = made.run(jobs_of(20), limits=Limits(max_in_flight=1))

        assert len(made.calls(SUBMIT)) == 4
    assert errors_of(outcomes).count("") == 2


# Size and time (item 28).


@pytest.mark.slow
def test_an_answer_of_400_mb_of_gzip_is_cut_off_early() -> None:
    bomb = gzip.compress(b" " * (400 << 20), 1)
    with answering(Wire([http(bomb, headers={"Content-Encoding": "gzip"})])) as root:
        client = RunwareClient(KEY, f"{root}/v1", http_config=HttpConfig(max_tries=1))
        tracemalloc.start()
        with pytest.raises(RunwareBusyError, match="larger than 8,388,608 bytes"):
            run(client, lambda client: client.poll([U]))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert peak < 64 << 20


def test_an_answer_without_end_is_cut_off_early() -> None:
    with answering(Wire([b"HTTP/1.1 200 OK\r\n\r\n", b" " * (1 << 20)], is_endless=True)) as root:
        started = time.monotonic()
        with pytest.raises(RunwareBusyError, match="larger than"):
            run(RunwareClient(KEY, f"{root}/v1"), lambda client: client.poll([U]))

    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    "wire",
    [
        Wire([b"HTTP/1.1 200 OK\r\n\r\n", b" " * (1 << 20)], is_endless=True),
        Wire([http(b"", length=10**14)]),
        Wire([http(gzip.compress(b" " * (40 << 20)), headers={"Content-Encoding": "gzip"})]),
    ],
)
def test_a_file_that_is_too_large_is_given_up_at_once(wire: Wire, tmp_path: Path) -> None:
    with answering(wire) as root, pytest.raises(OutputUnavailableError, match="larger than 1,048,576 bytes"):
        run(
            RunwareClient(KEY, f"{root}/v1", http_config=IMPATIENT),
            lambda client: client.download(f"{root}/files/a.mp4", tmp_path / "a.mp4"),
        )

    assert (tmp_path / "a.mp4").stat().st_size <= 1 << 20


def test_a_download_of_a_byte_now_and_then_is_given_up(tmp_path: Path) -> None:
    dribble = Wire([b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"a", 0.05], is_endless=True)
    http_config = replace(IMPATIENT, download_read_timeout_s=30.0, download_window_s=0.4, min_download_bytes=100)
    with (
        answering(dribble) as root,
        pytest.raises(OutputUnavailableError, match=r"within 0\.4 s; the minimum is 100"),
    ):
        run(
            RunwareClient(KEY, f"{root}/v1", http_config=http_config),
            lambda client: client.download(f"{root}/files/a.mp4", tmp_path / "a.mp4"),
        )


def test_a_download_that_takes_too_long_in_all_is_given_up(tmp_path: Path) -> None:
    steady = Wire([b"HTTP/1.1 200 OK\r\n\r\n", b"a" * 1_000, 0.02], is_endless=True)
    http_config = replace(IMPATIENT, download_window_s=30.0, download_timeout_s=0.5, min_download_bytes=1)
    with answering(steady) as root, pytest.raises(OutputUnavailableError, match=r"did not arrive within 0.5 s"):
        run(
            RunwareClient(KEY, f"{root}/v1", http_config=http_config),
            lambda client: client.download(f"{root}/files/a.mp4", tmp_path / "a.mp4"),
        )


@contextmanager
def served(app: Any, **patience: Any) -> Iterator[int]:
    """An application of ours on a free port."""
    with http_server._bound("127.0.0.1", 0) as listening:
        server = http_server.server_of(app, **patience)
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(20)


@contextmanager
def our_server(kind: str, folder: Path, **patience: Any) -> Iterator[tuple[int, str]]:
    """The receiver of webhooks or the file server: its port, and what may be asked of it."""
    with ExitStack() as stack:
        ledger = stack.enter_context(closing(Ledger(f"sqlite:///{folder}/ledger.db")))
        app = receiver_app(ledger, SECRET) if kind == "webhook" else files_app(VideoStore(folder / "store"))
        port = stack.enter_context(served(app, **patience))
        yield port, f"http://127.0.0.1:{port}{PATH if kind == 'webhook' else '/nothing'}"


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side ends a connection within some seconds."""
    connection.settimeout(10)
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def bytes_until_closed(connection: socket.socket) -> int:
    """How many bytes can be sent, one in each twentieth of a second, before the other side ends the connection."""
    connection.settimeout(0.05)
    for sent in range(400):
        try:
            connection.sendall(b"G")
            if not connection.recv(1):
                return sent
        except TimeoutError:
            continue
        except ConnectionError:
            return sent
    return 400


servers = pytest.mark.parametrize("kind", ["webhook", "files"])
OPENINGS = [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX-", b"POST /webhook HTTP/1.1\r\n"]


@servers
@pytest.mark.parametrize("opening", OPENINGS)
def test_a_connection_without_a_whole_request_is_closed(kind: str, opening: bytes, tmp_path: Path) -> None:
    with our_server(kind, tmp_path, idle_s=0.3) as (port, _), socket.create_connection(("127.0.0.1", port)) as waiting:
        waiting.sendall(opening)

        assert is_closed(waiting)


@servers
def test_headers_that_come_byte_by_byte_do_not_keep_a_connection(kind: str, tmp_path: Path) -> None:
    with our_server(kind, tmp_path, idle_s=0.5) as (port, _), socket.create_connection(("127.0.0.1", port)) as slow:
        sent = bytes_until_closed(slow)

    assert sent < 200


@servers
def test_idle_connections_block_nobody(kind: str, tmp_path: Path) -> None:
    with our_server(kind, tmp_path, idle_s=60.0, maximum=10) as (port, address), ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(40)]
        answer = httpx.get(address, timeout=10, trust_env=False)

        assert is_closed(idle[0])
    assert answer.status_code in (403, 404)


def test_who_reads_nothing_of_a_file_is_cut_off() -> None:
    cut_off = threading.Event()

    async def left(receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def endless(_: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        watching = asyncio.create_task(left(receive))
        while not watching.done():
            await send({"type": "http.response.body", "body": b"a" * (1 << 20), "more_body": True})
        cut_off.set()

    with served(endless, stall_s=0.3) as port, socket.create_connection(("127.0.0.1", port)) as stalled:
        stalled.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")

        assert cut_off.wait(20)


def test_an_address_with_a_user_is_refused_at_the_start_and_its_password_is_not_repeated() -> None:
    with pytest.raises(WrongAddressError, match="it contains a user or a password") as refused:
        RunwareClient("a-key-for-tests", "http://user:hunter2secret@127.0.0.1:1/v1")

    assert "hunter2secret" not in str(refused.value)
