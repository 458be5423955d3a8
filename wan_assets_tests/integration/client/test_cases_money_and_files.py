"""Cases 51 to 58 of the API's reference: files, costs, the account and webhooks, against a real server."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from api_double import Prepared, run
from bent_api import FILE, PATIENT, POLL, SUBMIT, UPLOAD, Bend, BentStudio, Call, bent, on
from engine_support import KEY, PRICE, errors_of, jobs_of, request_of
from PIL import Image
from simulator_support import Receiver, receiving, running, task_of

from wan_assets.client import HttpConfig, RunwareClient
from wan_assets.engine import Limits, VideoJob
from wan_assets.errors import RequestRejectedError
from wan_assets.ledger import Origin

# Files.


def assert_whole(made: BentStudio) -> None:
    """The store holds the one file that the API has, and nothing that was begun and not ended."""
    (stored,) = (made.folder / "store" / "simulated").rglob("*.mp4")
    (rendered,) = (made.folder / "simulator").rglob("*.mp4")
    assert stored.read_bytes() == rendered.read_bytes()
    assert [*(made.folder / "store" / ".incoming").iterdir()] == []


def test_case_51_a_file_that_is_not_ready_twice_is_fetched_again_and_whole(tmp_path: Path) -> None:
    with bent(tmp_path, faults={"download_422": 1.0}) as made:
        outcomes = made.run(jobs_of(1))

        assert [call.status for call in made.calls(FILE)] == [422, 422, 200]
        made.assert_paid_once()
        assert_whole(made)
    assert errors_of(outcomes) == [""]


HTML = {"Content-Type": "text/html"}
BROKEN: dict[str, Callable[[Call], Prepared]] = {
    "502": lambda _: Prepared(b"<html>", 502, HTML),
    "cut in the middle": lambda call: Prepared(call.body, cut_at=len(call.body) // 2),
    "cut at once": lambda call: Prepared(call.body, cut_at=0),
    "one byte less than stated": lambda call: Prepared(call.body, cut_at=len(call.body) - 1),
    "half of it, and stated as the whole": lambda call: Prepared(call.body[: len(call.body) // 2]),
    "more than stated": lambda call: Prepared(call.body, headers={"Content-Length": "1000"}),
    "no video": lambda _: Prepared(b"<html>Sorry</html>", 200, HTML),
    "empty": lambda _: Prepared(b""),
}
HOPELESS = {name: BROKEN[name] for name in ("502", "half of it, and stated as the whole", "no video")}
HOPELESS["a piece that nobody asked for"] = lambda call: Prepared(call.body[500:], 206)


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN)
def test_case_52_a_file_that_comes_broken_is_fetched_again_and_never_stored_in_part(tmp_path: Path, name: str) -> None:
    with bent(tmp_path, on(FILE, BROKEN[name], first=1)) as made:
        outcomes = made.run(jobs_of(1))

        assert len(made.calls(FILE)) == 2
        made.assert_paid_once()
        assert_whole(made)
    assert errors_of(outcomes) == [""]


@pytest.mark.parametrize("name", HOPELESS)
def test_case_52_a_file_that_stays_broken_is_not_stored_and_had_by_a_later_run_at_no_cost(
    tmp_path: Path, name: str
) -> None:
    brief = replace(PATIENT, max_download_tries=2)

    with bent(tmp_path, on(FILE, HOPELESS[name])) as made:
        (first,) = made.run(jobs_of(1), http_config=brief)
        files, states, money = [*(tmp_path / "store").rglob("*.mp4")], made.states(), made.money
    with bent(tmp_path) as made:
        (second,) = made.run(jobs_of(1))

        assert made.kinds == [POLL]
        made.assert_paid_once()
        assert_whole(made)
    assert errors_of([first]) in (["OutputUnavailableError"], ["InvalidVideoError"])
    assert (files, states, money) == ([], ["delivered"], (PRICE, 0, 0))
    assert errors_of([second]) == [""]


def test_case_52_a_file_can_be_had_in_pieces_that_make_it_up(tmp_path: Path) -> None:
    with running(tmp_path) as api:
        api.post(task_of(1))
        url = api.finished(task_of(1)["taskUUID"]).json()["data"][0]["videoURL"]
        whole = api.http.get(url).content
        pieces = [api.http.get(url, headers={"Range": asked}) for asked in ("bytes=0-999", "bytes=1000-")]

    assert [piece.status_code for piece in pieces] == [206, 206]
    assert b"".join(piece.content for piece in pieces) == whole


@pytest.mark.parametrize("status", [404, 410])
def test_case_53_an_expired_file_is_told_and_bought_again_only_with_consent(tmp_path: Path, status: int) -> None:
    with bent(tmp_path, ttl_s=0.0, expired_status=status) as made:
        outcomes = [*made.run(jobs_of(1)), *made.run(jobs_of(1))]

        assert len(made.calls(SUBMIT)) == made.paid == 1
        assert [call.status for call in made.calls(FILE)] == [status, status]
        assert (made.states(), made.money) == (["delivered"], (PRICE, 0, 0))
    with bent(tmp_path) as made:
        agreed = made.run(jobs_of(1), origin=Origin(purchase="again"))

        assert (made.paid, made.states()) == (2, ["delivered", "stored"])
        assert made.money == (2 * PRICE, 0, 0)
    assert errors_of(outcomes) == ["OutputUnavailableError"] * 2
    assert "expired" in str(outcomes[0].error)
    assert "regenerate" in outcomes[0].error.hint
    assert errors_of(agreed) == [""]


class Trusting(BentStudio):
    """A studio that allows downloads from one more host."""

    def client(self, key: str = KEY, http_config: HttpConfig = PATIENT) -> RunwareClient:
        return RunwareClient(key, self.simulator.base_url, http_config=http_config, download_hosts=["localhost"])


def redirected(call: Call) -> Prepared:
    """To the same file under a host name of its own."""
    return Prepared(b"", 302, {"Location": call.url.replace("127.0.0.1", "localhost")})


def test_case_54_a_redirect_to_another_host_is_refused_until_that_host_is_allowed(tmp_path: Path) -> None:
    def change(call: Call) -> Prepared | None:
        return redirected(call) if "127.0.0.1" in call.url else None

    with bent(tmp_path, on(FILE, change)) as made:
        refused = made.run(jobs_of(1))
        fetched_before, money = len(made.calls(FILE)), made.money
        allowed = Trusting(tmp_path, made.simulator).run(jobs_of(1))

        assert len(made.calls(SUBMIT)) == 1
        made.assert_paid_once()
        assert_whole(made)
    assert (errors_of(refused), fetched_before, money) == (["OutputUnavailableError"], 1, (PRICE, 0, 0))
    assert "localhost" in str(refused[0].error)
    assert errors_of(allowed) == [""]


# Money.

ODD_COSTS = {"missing": None, "0": 0, "a string": "0.473", "NaN": float("nan"), "negative": -0.473}


def costing(cost: Any, *, number: int = 0) -> Bend:
    """Tells another cost of one result, or none."""

    def change(call: Call) -> Prepared:
        items = [dict(item) for item in call.body["data"]]
        items[number] |= {"cost": cost}
        return Prepared({"data": [{key: value for key, value in item.items() if value is not None} for item in items]})

    return on(POLL, change)


@pytest.mark.parametrize("name", ODD_COSTS)
def test_case_55_a_cost_that_is_none_is_unknown_and_keeps_its_money_reserved(tmp_path: Path, name: str) -> None:
    with bent(tmp_path, costing(ODD_COSTS[name])) as made:
        (outcome,) = made.run(jobs_of(1))
        (again,) = made.run(jobs_of(1))

        (unknown,) = made.ledger().unknown_costs()
        assert (made.journal.spent_microusd(), len(made.calls(SUBMIT))) == (PRICE, 1)
        assert (made.states(), made.money) == (["stored"], (0, PRICE, 1))
    assert (unknown.cost_microusd, unknown.reserved_microusd, unknown.is_cost_unknown) == (0, PRICE, True)
    assert (outcome.cost_microusd, outcome.stored.cost_microusd, again.cost_microusd) == (None, None, 0)


def test_case_55_one_unknown_cost_among_several_keeps_its_own_share_reserved(tmp_path: Path) -> None:
    with bent(tmp_path, costing(None, number=1)) as made:
        (outcome,) = made.run(jobs_of(1, number_results=3))

        assert made.money == (2 * PRICE, PRICE, 1)
    assert [video.cost_microusd for video in outcome.stored.videos] == [PRICE, None, PRICE]
    assert outcome.cost_microusd is None


@pytest.mark.parametrize("is_object", [True, False])
def test_case_56_the_balance_is_read_as_a_number_and_as_an_object_and_is_less_by_what_is_booked(
    tmp_path: Path, is_object: bool
) -> None:
    with bent(tmp_path, balance_usd=10.0, is_balance_object=is_object) as made:
        made.run(jobs_of(2))
        balance = run(made.client(), lambda client: client.balance())

        assert isinstance(made.calls("accountManagement")[0].body["data"][0]["balance"], dict) is is_object
        made.assert_paid_once(2)
        assert balance == 10 - Decimal(made.money[0]) / 1_000_000 == Decimal("9.054")


# Uploads.


def picture_in(folder: Path) -> tuple[str, Path]:
    """A local picture, and how a request refers to it."""
    path = folder / "kite.png"
    Image.new("RGB", (854, 480), "red").save(path)
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}", path


@pytest.mark.slow
@pytest.mark.parametrize("is_slow", [False, True], ids=["at once", "mediaUUID 1 at first"])
def test_case_57_a_local_picture_is_uploaded_once_for_all_rows_and_runs_and_sent_by_its_uuid(
    tmp_path: Path, is_slow: bool
) -> None:
    reference, path = picture_in(tmp_path)
    requests = [request_of(f"Kite {number}", inputs={"frame_images": [reference]}) for number in range(3)]
    jobs = [VideoJob(request, f"p{number}") for number, request in enumerate(requests)]

    with bent(tmp_path, is_upload_slow=is_slow) as made:
        first = made.run(jobs[:2], media={reference: path})
        second = made.run(jobs, media={reference: path})

        (upload,) = made.calls(UPLOAD)
        sent = {call.tasks[0]["inputs"]["frameImages"][0] for call in made.calls(SUBMIT)}
        assert (upload.body["data"][0]["mediaUUID"] == "1") is is_slow
        assert (made.paid, len(made.calls(SUBMIT))) == (3, 3)
        assert made.journal.charges_by_fingerprint() == {request.fingerprint(): 1 for request in requests}
        assert made.money == (made.journal.spent_microusd(), 0, 0)
    assert len(sent) == 1
    assert "1" not in sent
    assert errors_of([*first, *second]) == [""] * 5


@pytest.mark.parametrize("is_slow", [False, True], ids=["at once", "mediaUUID 1 at first"])
def test_case_57_an_upload_is_deleted_once_and_is_gone_afterwards(tmp_path: Path, is_slow: bool) -> None:
    _, path = picture_in(tmp_path)

    async def upload_and_delete(client: RunwareClient) -> str:
        media_uuid = await client.upload(path)
        await client.delete_upload(media_uuid)
        with pytest.raises(RequestRejectedError):
            await client.delete_upload(media_uuid)
        return media_uuid

    with bent(tmp_path, is_upload_slow=is_slow) as made:
        media_uuid = run(made.client(), upload_and_delete)
        (outcome,) = made.run([VideoJob(request_of(inputs={"frame_images": [media_uuid]}))])

        answers = [call.status for call in made.calls(UPLOAD)]
        assert (answers, made.paid, made.money) == ([200, 200, 400], 0, (0, 0, 0))
    assert (errors_of([outcome]), outcome.error.code) == (["RequestRejectedError"], "mediaNotFound")


@pytest.mark.slow
def test_case_57_an_upload_that_was_deleted_behind_our_back_is_uploaded_again(tmp_path: Path) -> None:
    reference, path = picture_in(tmp_path)
    jobs = [VideoJob(request_of(f"Kite {number}", inputs={"frame_images": [reference]})) for number in range(2)]

    with bent(tmp_path) as made:
        made.run(jobs[:1], media={reference: path})
        media_uuid = made.calls(UPLOAD)[0].body["data"][0]["mediaUUID"]
        run(made.client(), lambda client: client.delete_upload(media_uuid))
        outcomes = [*made.run(jobs[1:], media={reference: path}), *made.run(jobs[1:], media={reference: path})]

        assert made.paid == 2
    assert errors_of(outcomes)[-1] == ""


# Webhooks, which this package does not receive: a poll is what counts.


def deliveries_in(receiver: Receiver, number: int) -> list[dict[str, Any]]:
    """So many deliveries, without their wrapping."""
    reported = [json.loads(receiver.received.get(timeout=5)[1]) for _ in range(number)]
    return [(body.get("data") or body.get("errors") or [body])[0] for body in reported]


@contextmanager
def hooked(folder: Path, receiver: Receiver, bend: Bend = lambda _: None, **behaviour: Any) -> Iterator[Any]:
    """A studio, and orders of one row of three results that are also told to a receiver."""
    with bent(folder, bend, delivery_retry_s=0.02, **behaviour) as made:
        yield made, jobs_of(1, number_results=3, webhook_url=receiver.url)


@pytest.mark.slow
@pytest.mark.parametrize("is_wrapped", [False, True], ids=["flat", "wrapped"])
@pytest.mark.parametrize("statuses", [[], [500, 500]], ids=["in order", "out of order"])
def test_case_58_webhooks_with_duplicates_change_nothing_and_are_told_apart_by_task_and_video(
    tmp_path: Path, is_wrapped: bool, statuses: list[int]
) -> None:
    expected = 6 + len(statuses)

    with (
        receiving(*statuses) as receiver,
        hooked(tmp_path, receiver, is_webhook_wrapped=is_wrapped, webhook_copies=2) as (made, jobs),
    ):
        (outcome,) = made.run(jobs)
        reported = deliveries_in(receiver, expected)
        (again,) = made.run(jobs)

        (submission,) = made.calls(SUBMIT)
        assert len(made.calls(POLL)) >= 1
        made.assert_paid_once(results=3)
    assert submission.body == {"data": [{"taskType": SUBMIT, "taskUUID": submission.task_uuid}]}
    keys = Counter((item["taskUUID"], item["videoUUID"]) for item in reported)
    assert set(keys) == {(submission.task_uuid, video.video_uuid) for video in outcome.stored.videos}
    assert len(keys) == 3
    assert min(keys.values()) >= 2
    assert again.is_reused


@pytest.mark.parametrize("is_wrapped", [False, True], ids=["flat", "wrapped"])
def test_case_58_the_webhook_of_a_failure_comes_beside_those_of_the_successes_which_are_kept(
    tmp_path: Path, is_wrapped: bool
) -> None:
    with (
        receiving() as receiver,
        hooked(tmp_path, receiver, is_webhook_wrapped=is_wrapped, faults={"partial": 1.0}) as (made, jobs),
    ):
        (outcome,) = made.run(jobs)
        reported = deliveries_in(receiver, 3)

        assert (made.states(), made.money) == (["stored"], (2 * PRICE, PRICE, 1))
    assert sorted(item["status"] for item in reported) == ["error", "success", "success"]
    assert {item["taskUUID"] for item in reported} == {outcome.stored.task_uuid}
    assert (len(outcome.stored.videos), len(outcome.stored.missing)) == (2, 1)


@pytest.mark.slow
def test_case_58_what_a_webhook_tells_is_stored_only_when_a_poll_confirms_it(tmp_path: Path) -> None:
    def running_still(call: Call) -> Prepared:
        return Prepared({"data": [{"taskType": SUBMIT, "taskUUID": call.task_uuid, "status": "processing"}]})

    with receiving() as receiver, hooked(tmp_path, receiver, on(POLL, running_still)) as (made, jobs):
        first = made.run(jobs, limits=Limits(max_wait_s=0.5))
        reported = deliveries_in(receiver, 3)
        states, files = made.states(), made.calls(FILE)
    with bent(tmp_path) as made:
        second = made.run(jobs)

        assert made.kinds == [POLL]
        made.assert_paid_once(results=3)
    assert [item["status"] for item in reported] == ["success"] * 3
    assert (errors_of(first), states, files) == (["TaskTimeoutError"], ["submitted"], [])
    assert errors_of(second) == [""]
