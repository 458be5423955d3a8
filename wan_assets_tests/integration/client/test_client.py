"""Downloads, uploads, balance and usage, and the client against the simulator."""

from __future__ import annotations

import asyncio
import base64
import json
import tracemalloc
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from api_double import KEY, NOTHING, QUICK, TASK, ApiDouble, Prepared, T, U, known, refused, run

from wan_assets import client as package
from wan_assets.client import DayOfUsage, HttpConfig, RunwareClient, TaskReport, UsageTotals
from wan_assets.client.error_codes import task_error_of
from wan_assets.errors import (
    AccessDeniedError,
    OutputUnavailableError,
    RequestRejectedError,
    RunwareBusyError,
    TaskFailedError,
    TaskUnknownError,
)
from wan_assets.models.pricing import microusd_of
from wan_assets.models.request import MODEL, task_uuid_of
from wan_assets.simulator import Behaviour, LocalSimulator

VIDEO = bytes(range(256)) * 4096
WHOLE = Prepared(VIDEO, headers={"Content-Type": "video/mp4"})
MEDIA_UUID = "989b53cd-1c80-47a5-a60c-a9e8d6f1b3a0"
UNREPEATED = HttpConfig(response_timeout_s=2.0, max_tries=1, max_download_tries=1)


def downloaded(api: ApiDouble, path: Path, url: str = "", **options: Any) -> bytes:
    run(api.client(**options), lambda client: client.download(url or f"{api.root}/video.mp4", path))
    return path.read_bytes()


def simulated(folder: Path, behaviour: Behaviour, use: Callable[[RunwareClient], Awaitable[T]]) -> T:
    with LocalSimulator(folder / "simulator", behaviour) as simulator:
        return run(RunwareClient(KEY, simulator.base_url, http_config=QUICK), use)


async def finished(client: RunwareClient, number_results: int = 1, task_uuid: str = U) -> TaskReport:
    for _ in range(500):
        report = (await client.poll([task_uuid])).get(task_uuid, TaskReport(task_uuid))
        if report.is_complete(number_results):
            return report
        await asyncio.sleep(client.http_config.initial_poll_delay_s)
    raise TimeoutError(task_uuid)


async def made(client: RunwareClient, **parameters: Any) -> TaskReport:
    await client.submit({**TASK, **parameters})
    return await finished(client, parameters.get("numberResults", 1))


# downloads


def test_a_download_is_the_file_byte_for_byte(tmp_path: Path) -> None:
    with ApiDouble(NOTHING, files=[WHOLE]) as api:
        content = downloaded(api, tmp_path / "video.mp4")

    assert content == VIDEO


@pytest.mark.parametrize(
    "broken",
    [
        [Prepared({}, 422), Prepared({}, 422)],
        [Prepared(b"<html>", 502)],
        [Prepared(b"", 429)],
        [Prepared(VIDEO, cut_at=70_000)],
        [Prepared(VIDEO, cut_at=0)],
        [Prepared(b"")],
    ],
    ids=["422 twice", "502", "429", "cut in the middle", "cut at once", "empty"],
)
def test_a_download_that_is_not_ready_or_cut_is_repeated(tmp_path: Path, broken: list[Prepared]) -> None:
    """Cases 51 and 52."""
    with ApiDouble(NOTHING, files=[*broken, WHOLE]) as api:
        content = downloaded(api, tmp_path / "video.mp4")

    assert content == VIDEO
    assert len(api.received) == len(broken) + 1


@pytest.mark.parametrize("status", [404, 410, 403, 204, 206])
def test_a_file_that_is_gone_is_unavailable_at_once(tmp_path: Path, status: int) -> None:
    """Case 53."""
    with ApiDouble(NOTHING, files=[Prepared(b"", status)]) as api, pytest.raises(OutputUnavailableError) as caught:
        downloaded(api, tmp_path / "video.mp4")

    assert caught.value.fault.http_status == status
    assert len(api.received) == 1


def test_a_download_that_stays_broken_is_unavailable_after_its_tries(tmp_path: Path) -> None:
    http_config = HttpConfig(
        initial_retry_delay_s=0.01, max_retry_delay_s=0.01, retry_jitter_s=0.0, max_download_tries=3
    )
    with ApiDouble(NOTHING, files=[Prepared(b"", 422)]) as api, pytest.raises(OutputUnavailableError):
        downloaded(api, tmp_path / "video.mp4", http_config=http_config)

    assert len(api.received) == 3


def test_a_stalled_download_is_repeated(tmp_path: Path) -> None:
    http_config = HttpConfig(initial_retry_delay_s=0.01, retry_jitter_s=0.0, download_read_timeout_s=0.1)
    with ApiDouble(NOTHING, files=[Prepared(VIDEO, pause_s=0.5), WHOLE]) as api:
        content = downloaded(api, tmp_path / "video.mp4", http_config=http_config)

    assert content == VIDEO


@pytest.mark.parametrize(
    "url",
    [
        "http://elsewhere.invalid/video.mp4",
        "https://evilrunware.ai/video.mp4",
        "https://vm.runware.ai.elsewhere.invalid/video.mp4",
        "https://vm.runware.ai@elsewhere.invalid/video.mp4",
        "ftp://vm.runware.ai/video.mp4",
        "file:///etc/passwd",
        "/etc/passwd",
        "https://vm.runware.ai:99999/video.mp4",
        "http://xn--/",
        "http://[::1",
        "",
    ],
)
def test_a_result_on_a_strange_host_or_without_a_real_address_is_not_fetched(tmp_path: Path, url: str) -> None:
    with ApiDouble(NOTHING, files=[WHOLE]) as api, pytest.raises(OutputUnavailableError) as caught:
        run(api.client(UNREPEATED), lambda client: client.download(url, tmp_path / "video.mp4"))

    assert caught.value.code in ("host", "url")
    assert api.received == []
    assert not (tmp_path / "video.mp4").exists()


def test_the_refusal_of_a_strange_host_says_how_to_allow_it(tmp_path: Path) -> None:
    with (
        ApiDouble(NOTHING) as api,
        pytest.raises(OutputUnavailableError, match=r"add cdn[.]example to allowed_download_hosts"),
    ):
        run(api.client(), lambda client: client.download("https://cdn.example/v.mp4", tmp_path / "v.mp4"))


def test_results_of_the_public_api_come_over_https_alone(tmp_path: Path) -> None:
    client = RunwareClient(KEY, http_config=UNREPEATED)

    with pytest.raises(OutputUnavailableError, match=r"http://vm[.]runware[.]ai is not an expected host"):
        run(client, lambda client: client.download("http://vm.runware.ai/v.mp4", tmp_path / "v.mp4"))


def test_a_redirect_to_another_host_is_refused(tmp_path: Path) -> None:
    """Case 54."""
    away = Prepared(b"", 302, {"Location": "http://elsewhere.invalid/video.mp4"})
    with ApiDouble(NOTHING, files=[away]) as api, pytest.raises(OutputUnavailableError, match=r"elsewhere[.]invalid"):
        downloaded(api, tmp_path / "video.mp4")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST"])
def test_a_host_that_was_named_is_allowed(tmp_path: Path, host: str) -> None:
    """Case 54, allowed."""
    with ApiDouble(NOTHING, files=[WHOLE]) as api:
        url = f"{api.root}/video.mp4".replace("127.0.0.1", "localhost")
        content = downloaded(api, tmp_path / "video.mp4", url, download_hosts=(host,))

    assert content == VIDEO


def test_a_redirect_on_the_same_host_is_followed_and_a_circle_is_not(tmp_path: Path) -> None:
    around = Prepared(b"", 302, {"Location": "elsewhere.mp4"})
    with ApiDouble(NOTHING, files=[around, WHOLE]) as api:
        content = downloaded(api, tmp_path / "video.mp4")
    with ApiDouble(NOTHING, files=[around]) as circle, pytest.raises(OutputUnavailableError, match="redirects"):
        downloaded(circle, tmp_path / "video.mp4")

    assert content == VIDEO
    assert [request.path for request in api.received] == ["video.mp4", "elsewhere.mp4"]


def test_a_redirect_to_what_is_no_address_is_refused(tmp_path: Path) -> None:
    nowhere = Prepared(b"", 302, {"Location": "http://nowhere:x/"})
    with (
        ApiDouble(NOTHING, files=[nowhere]) as api,
        pytest.raises(OutputUnavailableError, match="not a valid address"),
    ):
        downloaded(api, tmp_path / "video.mp4")

    assert len(api.received) == 1


def test_a_download_never_carries_the_key(tmp_path: Path) -> None:
    around = Prepared(b"", 302, {"Location": "elsewhere.mp4"})
    with ApiDouble(known(), files=[around, Prepared(b"", 422), WHOLE]) as api:
        run(api.client(), lambda client: polled_and_downloaded(client, f"{api.root}/v.mp4", tmp_path / "v.mp4"))

    fetches = [request for request in api.received if request.method == "GET"]
    assert len(fetches) == 3
    assert not [request for request in fetches if KEY in str(request)]


async def polled_and_downloaded(client: RunwareClient, url: str, path: Path) -> None:
    await client.poll([U])
    await client.download(url, path)


def test_a_download_is_streamed_with_bounded_memory(tmp_path: Path) -> None:
    size = 24 << 20
    with ApiDouble(NOTHING, files=[Prepared(bytes(size))]) as api:
        run(api.client(), lambda client: client.download(f"{api.root}/first.mp4", tmp_path / "first.mp4"))
        tracemalloc.start()
        run(api.client(), lambda client: client.download(f"{api.root}/second.mp4", tmp_path / "second.mp4"))
        _, maximum = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert (tmp_path / "second.mp4").stat().st_size == size
    assert maximum < size / 2


# uploads


def uploaded(api: ApiDouble, folder: Path) -> str:
    (folder / "hill.png").write_bytes(b"\x89PNG picture")
    return run(api.client(), lambda client: client.upload(folder / "hill.png"))


def stored(media_uuid: Any = MEDIA_UUID) -> Prepared:
    item = {"taskType": "mediaStorage", "taskUUID": U, "operation": "upload", "mediaUUID": media_uuid}
    return Prepared({"data": [item]})


def test_an_upload_sends_the_file_as_a_data_uri_and_gives_its_uuid(tmp_path: Path) -> None:
    """Case 57."""
    with ApiDouble(stored()) as api:
        media_uuid = uploaded(api, tmp_path)

    ((task,),) = (request.tasks for request in api.posts)
    assert media_uuid == MEDIA_UUID
    assert (task["taskType"], task["operation"]) == ("mediaStorage", "upload")
    assert base64.b64decode(task["media"].removeprefix("data:image/png;base64,")) == b"\x89PNG picture"


@pytest.mark.parametrize("said", ["1", 1, None, ""])
def test_an_upload_that_is_still_processed_is_asked_for(tmp_path: Path, said: Any) -> None:
    """Case 57, `mediaUUID: "1"`."""
    with ApiDouble(stored(said), stored(said), NOTHING, stored()) as api:
        media_uuid = uploaded(api, tmp_path)

    assert media_uuid == MEDIA_UUID
    assert api.kinds == ["mediaStorage", "getResponse", "getResponse", "getResponse"]
    assert len({request.tasks[0]["taskUUID"] for request in api.posts}) == 1


def test_an_upload_whose_first_copy_arrived_is_asked_for(tmp_path: Path) -> None:
    with ApiDouble(Prepared(b"<html>", 502), refused("conflictTaskUUID", 400, None), stored()) as api:
        media_uuid = uploaded(api, tmp_path)

    assert media_uuid == MEDIA_UUID
    assert api.kinds == ["mediaStorage", "mediaStorage", "getResponse"]


def test_a_refused_upload_is_not_repeated(tmp_path: Path) -> None:
    with ApiDouble(refused("invalidMedia", 400, None, parameter="media")) as api, pytest.raises(RequestRejectedError):
        uploaded(api, tmp_path)

    assert api.kinds == ["mediaStorage"]


def test_the_refusal_of_an_upload_that_was_processed_is_told(tmp_path: Path) -> None:
    with ApiDouble(stored("1"), refused("invalidApiKey", 401, None)) as api, pytest.raises(AccessDeniedError):
        uploaded(api, tmp_path)

    assert api.kinds == ["mediaStorage", "getResponse"]


def test_an_upload_that_never_gets_ready_is_busy(tmp_path: Path) -> None:
    with ApiDouble(stored("1")) as api, pytest.raises(RunwareBusyError, match="still being processed"):
        uploaded(api, tmp_path)

    assert len(api.posts) == 1 + QUICK.max_tries


@pytest.mark.parametrize("is_slow", [False, True])
def test_the_simulator_takes_an_upload_and_deletes_it_once(tmp_path: Path, is_slow: bool) -> None:
    """Case 57."""
    (tmp_path / "hill.png").write_bytes(b"\x89PNG picture")

    async def upload_and_delete(client: RunwareClient) -> str:
        media_uuid = await client.upload(tmp_path / "hill.png")
        await client.delete_upload(media_uuid)
        with pytest.raises(RequestRejectedError):
            await client.delete_upload(media_uuid)
        return media_uuid

    assert len(simulated(tmp_path, Behaviour(is_upload_slow=is_slow), upload_and_delete)) == 36


# the account


@pytest.mark.parametrize(
    ("said", "balance"),
    [
        (2450.75, Decimal("2450.75")),
        ({"amount": 2450.75, "currency": "USD"}, Decimal("2450.75")),
        ({"amount": "12.50", "freeBalance": 3}, Decimal("12.50")),
        (0, Decimal(0)),
        (None, None),
        ({}, None),
        ("much", None),
        (True, None),
        ([], None),
    ],
)
def test_a_balance_is_read_in_both_its_forms(said: Any, balance: Decimal | None) -> None:
    """Case 56."""
    with ApiDouble(Prepared({"data": [{"taskType": "accountManagement", "balance": said}]})) as api:
        found = run(api.client(), lambda client: client.balance())

    assert found == balance


@pytest.mark.parametrize("is_object", [True, False])
def test_the_simulators_balance_is_less_by_what_was_spent(tmp_path: Path, is_object: bool) -> None:
    """Case 56."""

    async def spent(client: RunwareClient) -> Decimal | None:
        await client.submit(TASK)
        return await client.balance()

    behaviour = Behaviour(balance_usd=10.0, is_balance_object=is_object)

    assert simulated(tmp_path, behaviour, spent) == Decimal("9.527")


def test_an_empty_answer_about_the_account_is_asked_for_again() -> None:
    with ApiDouble(NOTHING, Prepared({"data": {"balance": 3}})) as api:
        found = run(api.client(), lambda client: client.balance())

    assert found == 3


def usage_of(*rows: Any) -> Prepared:
    return Prepared({"data": [{"usage": {"timeseries": {"data": list(rows)}}}]})


def test_usage_is_told_by_day_in_order() -> None:
    rows = {"date": "2026-10-02T00:00:00Z", "count": 3, "spend": 1.419}, {"date": "2026-10-01", "spend": "0.473"}
    with ApiDouble(usage_of(*rows)) as api:
        days = run(api.client(), lambda client: client.usage(date(2026, 10, 1), date(2026, 10, 2), MODEL))

    (task,) = api.posts[0].tasks
    assert days == (
        DayOfUsage(date(2026, 10, 1), 0, Decimal("0.473")),
        DayOfUsage(date(2026, 10, 2), 3, Decimal("1.419")),
    )
    assert task == {
        "taskType": "accountManagement",
        "taskUUID": task["taskUUID"],
        "operation": "getUsageActivity",
        "startDate": "2026-10-01",
        "endDate": "2026-10-02",
        "timezone": "UTC",
        "models": [MODEL],
        "groupBy": ["date"],
    }
    assert str(uuid.UUID(task["taskUUID"], version=4)) == task["taskUUID"]


def test_the_archive_is_asked_for_the_task_by_its_own_uuid() -> None:
    with ApiDouble(Prepared({"data": [{"taskType": "getTaskDetails", "taskUUID": U, "request": {"a": 1}}]})) as api:
        found = run(api.client(), lambda client: client.details(U))

    assert api.posts[0].tasks == [{"taskType": "getTaskDetails", "taskUUID": U}]
    assert found == {"taskType": "getTaskDetails", "taskUUID": U, "request": {"a": 1}}


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ({"totalSpend": 12.5, "avgDailySpend": "0.5", "projectedSpend": 15}, ("12.5", "0.5", "15")),
        ({"totalSpend": 12.5, "projectedSpend": "soon"}, ("12.5", None, None)),
        (None, (None, None, None)),
        ([], (None, None, None)),
    ],
)
def test_the_accounts_own_projection_is_of_all_models_and_none_where_it_is_missing(meta: Any, expected: Any) -> None:
    answer = Prepared({"data": [{"usage": {"timeseries": {"data": [], "meta": meta}}}]})
    with ApiDouble(answer) as api:
        totals = run(api.client(), lambda client: client.usage_totals(date(2026, 10, 1), date(2026, 10, 2)))

    assert totals == UsageTotals(*(Decimal(text) if text else None for text in expected))
    assert "models" not in api.posts[0].tasks[0]


@pytest.mark.parametrize("row", [{"spend": 1}, {"spend": 1, "date": "soon"}, {"spend": 1, "date": None}, 3])
def test_usage_that_cannot_be_read_is_said_so(row: Any) -> None:
    with ApiDouble(usage_of(row)) as api, pytest.raises(RunwareBusyError, match="usage cannot be read"):
        run(api.client(), lambda client: client.usage(date(2026, 10, 1), date(2026, 10, 2), MODEL))


def test_usage_of_more_than_30_days_is_not_asked_for() -> None:
    with ApiDouble(usage_of()) as api:
        run(api.client(), lambda client: client.usage(date(2026, 10, 1), date(2026, 10, 30), MODEL))
        with pytest.raises(ValueError, match="30 days"):
            run(api.client(), lambda client: client.usage(date(2026, 10, 1), date(2026, 10, 31), MODEL))

    assert len(api.posts) == 1


def test_the_simulators_usage_is_what_was_spent(tmp_path: Path) -> None:
    today = datetime.now(UTC).date()

    async def usage(client: RunwareClient) -> tuple[DayOfUsage, ...]:
        await client.submit(TASK)
        return await client.usage(today - timedelta(days=1), today + timedelta(days=1), MODEL)

    (day,) = simulated(tmp_path, Behaviour(), usage)

    assert (day.count, day.spend_usd) == (1, Decimal("0.473"))


# who answers


def test_only_an_api_that_says_so_is_simulated(tmp_path: Path) -> None:
    with ApiDouble(NOTHING, files=[Prepared(b"", 405)]) as api:
        is_double_simulated = run(api.client(), lambda client: client.is_simulated())
    is_public_simulated = run(RunwareClient(KEY), lambda client: client.is_simulated())
    is_simulator_simulated = simulated(tmp_path, Behaviour(), lambda client: client.is_simulated())

    assert (is_double_simulated, is_public_simulated, is_simulator_simulated) == (False, False, True)
    assert "authorization" not in api.received[0].headers


def test_the_public_names_of_the_client() -> None:
    assert sorted(package.__all__) == [
        "ApiResponse",
        "DayOfUsage",
        "HttpConfig",
        "ResponseHook",
        "Result",
        "RetryStatus",
        "RunwareClient",
        "TaskReport",
        "UPLOAD_IS_GONE",
        "UsageTotals",
        "WaitForCapacity",
        "clean_text",
        "code_of_failure_status",
        "is_api_refusal",
        "is_out_of_credit",
        "is_over_capacity",
        "task_error_of",
    ]


# against the simulator


def test_a_finished_task_is_told_the_same_again(tmp_path: Path) -> None:
    """Cases 3 and 4."""

    async def twice(client: RunwareClient) -> list[TaskReport]:
        return [await made(client, seed=7), await finished(client)]

    first, second = simulated(tmp_path, Behaviour(latency_s=0.02), twice)

    assert first == second
    assert (first.results[0].seed, microusd_of(first.results[0].cost)) == (7, 473_000)


def test_three_results_have_videos_and_seeds_of_their_own(tmp_path: Path) -> None:
    """Cases 5, 6 and 7."""
    behaviour = Behaviour(latency_s=0.1, has_one_placeholder=True, has_extra_fields=True, has_empty_errors=True)

    report = simulated(tmp_path, behaviour, lambda client: made(client, numberResults=3))

    assert len({video.video_uuid for video in report.results}) == 3
    assert len({video.seed for video in report.results}) == 3


def test_a_task_that_fails_in_part_keeps_its_paid_results(tmp_path: Path) -> None:
    """Case 8."""
    behaviour = Behaviour(latency_s=0.02, faults={"partial": 1.0})

    report = simulated(tmp_path, behaviour, lambda client: made(client, numberResults=2))

    assert (len(report.results), len(report.faults)) == (1, 1)


@pytest.mark.parametrize("verdict", ["verdict_error", "verdict_in_data", "verdict_504"])
def test_a_verdict_in_every_shape_ends_the_task(tmp_path: Path, verdict: str) -> None:
    """Cases 9, 10 and 11."""
    report = simulated(tmp_path, Behaviour(latency_s=0.02, faults={verdict: 1.0}), made)

    assert report.results == ()
    assert isinstance(task_error_of(report.faults[0]), TaskFailedError)


def test_a_task_that_was_never_sent_is_unknown_in_both_variants(tmp_path: Path) -> None:
    """Cases 16 and 17."""
    nothing = simulated(tmp_path / "a", Behaviour(), lambda client: client.poll([U]))
    error = simulated(tmp_path / "b", Behaviour(unknown_task="error"), lambda client: client.poll([U]))

    assert nothing == {}
    assert error[U].is_known is False
    assert isinstance(task_error_of(error[U].faults[0]), TaskUnknownError)


BEFORE = [
    "rate_limit",
    "rate_limit_retry_after",
    "error_500",
    "error_502_html",
    "error_503",
    "drop_before_accept",
    "html",
]
AFTER = ["error_500_after_accept", "error_503_after_accept", "error_504_after_accept", "drop_after_accept"]
AFTER += ["html_after_accept", "truncated_json", "empty_body", "slow_body", "stalled_body", "ack_empty", "ack_bare"]
AFTER += ["ack_upper_case", "ack_with_error", "malformed_after_accept"]


@pytest.mark.slow
@pytest.mark.parametrize("unknown_task", ["nothing", "error"])
@pytest.mark.parametrize("fault", [*BEFORE, *AFTER])
def test_every_fault_of_a_submission_ends_in_one_charge(tmp_path: Path, fault: str, unknown_task: Any) -> None:
    """Cases 14, 15, 26, 27, 36, 37, 38, 44 and 45."""
    behaviour = Behaviour(
        latency_s=0.02, faults={fault: 1.0}, unknown_task=unknown_task, retry_after_s=0, pause_s=0.001
    )
    with LocalSimulator(tmp_path / "simulator", behaviour) as simulator:
        http_config = HttpConfig(
            response_timeout_s=0.4, initial_retry_delay_s=0.01, retry_jitter_s=0.0, initial_poll_delay_s=0.02
        )
        report = run(RunwareClient(KEY, simulator.base_url, http_config=http_config), made)

    assert report.is_complete(1)
    assert len(simulator.journal.charges()) == 1


@pytest.mark.parametrize("variant", ["conflict_400", "conflict_409", "conflict_200"])
def test_a_task_that_is_sent_twice_is_charged_once_whatever_the_status_of_the_conflict(
    tmp_path: Path, variant: Any
) -> None:
    """Cases 37, 39, 40 and 43."""

    async def twice(client: RunwareClient) -> None:
        await made(client)
        await client.submit(TASK)

    with LocalSimulator(tmp_path, Behaviour(latency_s=0.02, duplicates=variant)) as simulator:
        run(RunwareClient(KEY, simulator.base_url, http_config=QUICK), twice)

    assert len(simulator.journal.charges()) == 1


@pytest.mark.parametrize("variant", ["rerun", "race"])
def test_where_copies_are_charged_none_is_sent(tmp_path: Path, variant: Any) -> None:
    """Cases 42 and 43: the lost acknowledgement is followed by a poll and no second copy."""
    behaviour = Behaviour(latency_s=0.02, duplicates=variant, faults={"drop_after_accept": 1.0})
    with LocalSimulator(tmp_path, behaviour) as simulator:
        run(RunwareClient(KEY, simulator.base_url, http_config=QUICK), made)

    assert len(simulator.journal.charges()) == 1


def test_a_client_that_died_before_the_acknowledgement_is_followed_by_one_that_asks(tmp_path: Path) -> None:
    """Case 41, the client's part."""
    with LocalSimulator(tmp_path, Behaviour(latency_s=0.02)) as simulator:
        run(RunwareClient(KEY, simulator.base_url, http_config=QUICK), lambda client: client.submit(TASK))
        report = run(RunwareClient(KEY, simulator.base_url, http_config=QUICK), finished)

    assert report.is_complete(1)
    assert len(simulator.journal.charges()) == 1


@pytest.mark.parametrize(("fault", "cost"), [("cost_zero", 0), ("cost_missing", None), ("cost_string", "0.4730")])
def test_an_odd_cost_is_kept_as_it_was_written(tmp_path: Path, fault: str, cost: Any) -> None:
    """Case 55."""
    report = simulated(tmp_path, Behaviour(latency_s=0.02, faults={fault: 1.0}), made)

    assert (report.results[0].cost == cost) or fault == "cost_string"
    assert microusd_of(report.results[0].cost) is None


def test_the_key_is_refused_alike_in_the_header_and_in_a_task(tmp_path: Path) -> None:
    """Case 47."""
    with LocalSimulator(tmp_path, Behaviour(api_key="another-key")) as simulator:
        client = RunwareClient(KEY, simulator.base_url, http_config=QUICK)
        with pytest.raises(AccessDeniedError) as caught:
            run(client, lambda client: client.submit(TASK))

    assert (caught.value.code, caught.value.fault.parameter) == ("invalidApiKey", "apiKey")
    assert simulator.journal.charges() == []


@pytest.mark.parametrize(
    "picture",
    [
        "https://example.com/a.png",
        "aac49721-1964-481a-ae78-8a4e29b91402",
        "data:image/png;base64,iVBORw0KGgo=",
        "iVBORw0KGgo" * 10,
        {"image": "https://example.com/a.png"},
        {"image": "https://example.com/a.png", "frame": "first"},
        {"image": "https://example.com/a.png", "frame": 0},
    ],
)
def test_every_form_of_picture_is_accepted(tmp_path: Path, picture: Any) -> None:
    """Case 50."""
    with LocalSimulator(tmp_path, Behaviour()) as simulator:
        task = {**TASK, "inputs": {"frameImages": [picture]}}
        run(RunwareClient(KEY, simulator.base_url, http_config=QUICK), lambda client: client.submit(task))

    assert len(simulator.journal.charges()) == 1


DOWNLOAD_FAULTS = ["download_422", "download_502", "download_cut", "download_slow", "download_malformed"]


@pytest.mark.parametrize("fault", DOWNLOAD_FAULTS)
def test_every_fault_of_a_download_ends_in_the_whole_file(tmp_path: Path, fault: str) -> None:
    """Cases 51 and 52."""
    path = tmp_path / "video.mp4"

    async def fetched(client: RunwareClient) -> None:
        report = await made(client)
        await client.download(str(report.results[0].url), path)

    simulated(tmp_path, Behaviour(latency_s=0.02, faults={fault: 1.0}, pause_s=0.0), fetched)

    (kept,) = (tmp_path / "simulator").rglob("*.mp4")
    assert path.read_bytes() == kept.read_bytes()


@pytest.mark.parametrize("status", [404, 410])
def test_an_expired_file_is_unavailable(tmp_path: Path, status: int) -> None:
    """Case 53."""

    async def fetched(client: RunwareClient) -> None:
        report = await made(client)
        await asyncio.sleep(0.02)
        await client.download(str(report.results[0].url), tmp_path / "video.mp4")

    with pytest.raises(OutputUnavailableError):
        simulated(tmp_path, Behaviour(latency_s=0.02, ttl_s=0.001, expired_status=status), fetched)


def test_a_task_uuid_of_ours_is_accepted_as_version_4(tmp_path: Path) -> None:
    ours = task_uuid_of("a" * 64, 1, "tests")

    report = simulated(tmp_path, Behaviour(latency_s=0.02), lambda client: made_under(client, ours))

    assert json.dumps(report.task_uuid) == json.dumps(ours)


async def made_under(client: RunwareClient, task_uuid: str) -> TaskReport:
    await client.submit({**TASK, "taskUUID": task_uuid})
    return await finished(client, 1, task_uuid)
