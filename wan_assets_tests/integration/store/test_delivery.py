"""Direct delivery: the API puts videos into the bucket itself, by addresses that nobody else gets to see."""

import json
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from api_double import Prepared
from bent_api import FILE, PATIENT, POLL, SUBMIT, Bend, BentStudio, Call, bent, on
from engine_support import PRICE, errors_of, jobs_of, request_of, run_in_store
from s3_support import SECRET_KEY, clients_of_its_own, files_in, fs, use

from wan_assets.engine import Limits, VideoJob
from wan_assets.errors import StoreError
from wan_assets.store import VideoStore
from wan_assets.store.inbox import MAX_VALID_S

HASTY = replace(PATIENT, delivery_wait_s=0.0)
"""Waits for no delivery that has not arrived when the task has finished."""


@pytest.fixture
def store(bucket: str) -> VideoStore:
    return VideoStore(f"{bucket}/wan", direct_delivery=True)


@pytest.fixture
def plain(bucket: str) -> VideoStore:
    """The same place, for runs that do not ask for delivery."""
    return VideoStore(f"{bucket}/wan")


def put(url: str, content: bytes, kind: str = "video/mp4") -> None:
    request = urllib.request.Request(url, content, {"Content-Type": kind}, method="PUT")
    with urllib.request.urlopen(request, timeout=10):
        pass


def endpoints(made: BentStudio) -> list[str]:
    """The addresses that the tasks which were sent named."""
    return [task["uploadEndpoint"] for call in made.calls(SUBMIT) for task in call.tasks if "uploadEndpoint" in task]


def names_in(store: VideoStore) -> set[str]:
    """The names of all objects of a store that are no videos in their place and no sidecars."""
    return {name for name in files_in(str(store.root)) if not name.startswith("simulated/")}


def still_running(call: Call) -> Prepared:
    return Prepared({"data": [{"taskUUID": call.task_uuid, "taskType": SUBMIT, "status": "processing"}]})


def unknown(call: Call) -> Prepared:
    return Prepared({"errors": [{"code": "taskNotFound", "message": "no such task", "taskUUID": call.task_uuid}]})


def until_delivered(store: VideoStore, then: Bend = lambda _: None) -> Bend:
    """Lets a task run, as far as the API tells, until its file has arrived."""

    def change(call: Call) -> Prepared | None:
        return then(call) if store.is_delivered(f"{call.task_uuid}-1.mp4") else still_running(call)

    return on(POLL, change)


@pytest.mark.slow
def test_a_video_goes_to_the_bucket_and_is_not_downloaded(store: VideoStore, tmp_path: Path) -> None:
    with bent(tmp_path, until_delivered(store)) as made:
        (outcome,) = run_in_store(made, store)

        assert (outcome.error, made.calls(FILE)) == (None, [])
        made.assert_paid_once()
        (video,) = outcome.stored.videos
        assert store.verifies(video)
        assert (video.bytes, video.cost_microusd) == (fs().info(video.uri)["size"], PRICE)
        assert len(files_in(str(store.root))) == 3, "video, picture and sidecar"
        assert names_in(store) == set()


@pytest.mark.slow
def test_a_second_run_finds_the_delivered_video_and_sends_nothing(store: VideoStore, tmp_path: Path) -> None:
    with bent(tmp_path, until_delivered(store)) as made:
        (first,), (second,) = (run_in_store(made, store) for _ in range(2))

        assert second.is_reused
        assert first.stored == second.stored
        made.assert_paid_once()


def test_a_file_that_is_not_delivered_in_time_is_downloaded(store: VideoStore, tmp_path: Path) -> None:
    with bent(tmp_path, delivery_tries=0) as made:
        (outcome,) = run_in_store(made, store, http_config=HASTY)

        assert store.verifies(outcome.stored.videos[0])
        assert len(made.calls(FILE)) == 1
        made.assert_paid_once()


def test_a_delivery_that_is_late_is_waited_for(store: VideoStore, tmp_path: Path) -> None:
    http_config = replace(PATIENT, delivery_wait_s=30.0, webhook_poll_interval_s=0.1)

    with bent(tmp_path) as made:
        (outcome,) = run_in_store(made, store, http_config=http_config)

        assert outcome.error is None
        assert (made.calls(FILE), names_in(store)) == ([], set())


def test_a_delivery_that_is_no_video_is_downloaded_instead(
    store: VideoStore, plain: VideoStore, tmp_path: Path
) -> None:
    def broken(call: Call) -> None:
        put(store.delivery_url(f"{call.task_uuid}-1.mp4", 60), b"<html>no video</html>")

    with bent(tmp_path, on(POLL, broken), delivery_tries=0) as made:
        (outcome,) = run_in_store(made, plain)

        assert plain.verifies(outcome.stored.videos[0])
        assert len(made.calls(FILE)) == 1
        assert names_in(plain) == set()


def test_a_result_without_an_address_is_kept_when_its_file_was_delivered(store: VideoStore, tmp_path: Path) -> None:
    def without_url(call: Call) -> Prepared:
        said = json.loads(json.dumps(call.body))
        for item in said["data"]:
            item.pop("videoURL", None)
        return Prepared(said)

    with bent(tmp_path, until_delivered(store, without_url)) as made:
        (outcome,) = run_in_store(made, store)

        assert outcome.error is None
        made.assert_paid_once()


@pytest.mark.slow
def test_a_delivered_video_of_a_task_that_the_api_forgot_is_not_bought_again(store: VideoStore, tmp_path: Path) -> None:
    with bent(tmp_path, until_delivered(store, unknown)) as made:
        (outcome,) = run_in_store(made, store, limits=Limits(max_wait_s=0.5, on_lost="resubmit"))

        assert store.verifies(outcome.stored.videos[0])
        assert (made.paid, made.states(), len(made.calls(SUBMIT))) == (1, ["stored"], 1)
        assert made.money == (0, PRICE, 1), "its cost was never told, and stays reserved"


def test_a_delivered_video_whose_download_has_expired_is_kept_with_its_cost(store: VideoStore, tmp_path: Path) -> None:
    with bent(tmp_path, until_delivered(store), ttl_s=0.0) as made:
        (outcome,) = run_in_store(made, store)

        assert outcome.stored.cost_microusd == PRICE
        made.assert_paid_once()


@pytest.mark.slow
def test_what_was_settled_and_forgotten_by_the_api_comes_out_of_the_inbox(plain: VideoStore, tmp_path: Path) -> None:
    with bent(tmp_path, on(FILE, lambda _: Prepared(status=404))) as made:
        assert errors_of(run_in_store(made, plain, http_config=replace(PATIENT, max_download_tries=1))) == [
            "OutputUnavailableError"
        ]
        (task,) = made.ledger().open_tasks()
        video = next((made.folder / "simulator").rglob("*.mp4")).read_bytes()
        put(plain.delivery_url(f"{task.task_uuid}-1.mp4", 60), video)

    with bent(tmp_path, on(POLL, unknown)) as made:
        (outcome,) = run_in_store(made, plain)

        assert outcome.stored.cost_microusd == PRICE
        made.assert_paid_once()


@pytest.mark.slow
def test_a_delivered_task_whose_submission_was_not_answered_is_not_sent_again(
    plain: VideoStore, tmp_path: Path
) -> None:
    first, second = jobs_of(2)
    unsure = replace(PATIENT, max_tries=1)

    def unheard(call: Call) -> Prepared | None:
        """Answers nothing of use about the second task."""
        if call.tasks[0].get("positivePrompt") == first.request.positive_prompt:
            return None
        return Prepared(status=502) if call.kind == SUBMIT else unknown(call) if made.calls(SUBMIT)[1:] else None

    with bent(tmp_path, lambda call: unheard(call) if call.tasks else None) as made:
        like_it = run_in_store(made, plain, [first])[0].stored.videos[0]
        assert errors_of(run_in_store(made, plain, [second], http_config=unsure)) == ["RunwareBusyError"]
        (task,) = made.ledger().open_tasks()
        assert task.state == "reserved"
        put(plain.delivery_url(f"{task.task_uuid}-1.mp4", 60), fs().cat(like_it.uri))

        (outcome,) = run_in_store(made, plain, [second])

        assert (outcome.error, len(made.calls(SUBMIT))) == (None, 2)


@pytest.mark.slow
def test_the_address_is_written_down_nowhere(store: VideoStore, tmp_path: Path, caplog: Any) -> None:
    caplog.set_level("INFO")
    jobs = [VideoJob(request_of(f"Kite {number}"), f"p{number}") for number in range(3)]

    def refused(call: Call) -> Prepared | None:
        said = f"cannot reach {call.tasks[0]['uploadEndpoint']}"
        fault = {"code": "invalidUploadEndpoint", "message": said, "taskUUID": call.task_uuid, "asked": call.tasks}
        return Prepared({"errors": [fault]}, 400) if call.number == 1 else None

    with bent(tmp_path, on(SUBMIT, refused)) as made:
        outcomes = run_in_store(made, store, jobs)
        signatures = {url.partition("X-Amz-Signature=")[2].partition("&")[0] for url in endpoints(made)}
        errors = [error for outcome in outcomes if (error := outcome.error)]

    assert len(signatures) == 3
    assert [error.code for error in errors] == ["invalidUploadEndpoint"]
    logged = [record.getMessage() for record in caplog.records if record.name != "werkzeug"]  # the bucket's own server
    written = repr([*logged, *(vars(error.fault) for error in errors)]).encode()
    written += b"".join(path.read_bytes() for path in tmp_path.glob("ledger.db*"))
    written += b"".join(fs().cat(path) for path in fs().find(str(store.root)))
    assert b"cannot reach" in written
    for secret in (*signatures, SECRET_KEY, "X-Amz-Credential=AKIA"):
        assert secret.encode() not in written


@pytest.mark.parametrize(
    "parameters",
    [{"upload_endpoint": "http://127.0.0.1:9/mine"}, {"number_results": 2}],
    ids=["its own", "two results"],
)
def test_a_row_with_an_address_of_its_own_or_several_results_has_none_of_ours(
    store: VideoStore, tmp_path: Path, parameters: dict[str, Any]
) -> None:
    with bent(tmp_path, delivery_tries=1) as made:
        (outcome,) = run_in_store(made, store, jobs_of(1, **parameters))

        assert endpoints(made) == [url for url in [parameters.get("upload_endpoint")] if url]
        assert len(made.calls(FILE)) == len(outcome.stored.videos) == parameters.get("number_results", 1)


def test_an_address_takes_any_content_type_and_nothing_without_its_signature(store: VideoStore) -> None:
    url = store.delivery_url("a-1.mp4", 60)

    put(url, b"first", "video/mp4")
    put(url, b"second", "application/octet-stream")

    assert store.is_delivered("a-1.mp4")
    assert fs().cat(f"{store.root}/inbox/a-1.mp4") == b"second"
    assert "X-Amz-SignedHeaders=host&" in url


def test_an_address_holds_for_as_long_as_was_asked_and_at_most_a_week(store: VideoStore) -> None:
    assert "X-Amz-Expires=60&" in store.delivery_url("a", 60.4)
    assert f"X-Amz-Expires={MAX_VALID_S}&" in store.delivery_url("a", 1e9)


def test_what_arrives_while_its_forerunner_is_read_is_not_taken_for_it(store: VideoStore, tmp_path: Path) -> None:
    put(store.delivery_url("a-1.mp4", 60), b"checked")
    etag = store.fetch_delivery("a-1.mp4", tmp_path / "a.mp4")
    put(store.delivery_url("a-1.mp4", 60), b"unchecked")

    uri, size, _ = store.put(tmp_path / "a.mp4", "a-1.mp4", "ab" * 32, simulated=True, etag=etag)

    assert (fs().cat(uri), size) == (b"checked", 7)


def test_a_delivery_is_copied_within_the_bucket(store: VideoStore, tmp_path: Path) -> None:
    put(store.delivery_url("a-1.mp4", 60), b"from the API")
    etag = store.fetch_delivery("a-1.mp4", tmp_path / "a.mp4")
    (tmp_path / "a.mp4").write_bytes(b"from the run")

    uri, _, _ = store.put(tmp_path / "a.mp4", "a-1.mp4", "ab" * 32, simulated=True, etag=etag)

    assert fs().cat(uri) == b"from the API"


def test_a_store_is_tried_out_and_left_clean(store: VideoStore) -> None:
    store.make_ready()

    assert files_in(str(store.root)) == []


@pytest.mark.parametrize("root", ["folder", "memory://somewhere/store"])
def test_only_a_bucket_can_be_delivered_to(root: str, tmp_path: Path) -> None:
    store = VideoStore(tmp_path / root if root == "folder" else root, direct_delivery=True)

    with pytest.raises(StoreError, match=r"direct delivery requires a store on S3, such as s3://bucket/folder, not"):
        store.make_ready()


def test_a_bucket_that_cannot_be_reached_is_told_as_such(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use("http://127.0.0.1:9", monkeypatch)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

    refusal = r"cannot write to the store s3://.*127\.0\.0\.1:9"
    with clients_of_its_own(), pytest.raises(StoreError, match=refusal):
        VideoStore(bucket, direct_delivery=True).make_ready()


def test_missing_credentials_are_told_as_such(bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))

    with clients_of_its_own(), pytest.raises(StoreError, match="credentials"):
        VideoStore(bucket, direct_delivery=True).make_ready()
