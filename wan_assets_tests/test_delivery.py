"""Direct delivery: the API puts videos into the bucket itself, by addresses that nobody else gets to see."""

import json
import logging
import re
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from api_double import Prepared
from bent_api import FILE, PATIENT, POLL, SUBMIT, BentStudio, Call, bent, on
from engine_support import PRICE, Studio, errors_of, orders_of, request_of, studio
from s3_support import SECRET_KEY, files_in, fs

from wan_assets.errors import StoreError
from wan_assets.generation import Limits, Order
from wan_assets.inbox import MOST_VALID_S, Inbox
from wan_assets.store import VideoStore


@pytest.fixture
def store(bucket: str) -> VideoStore:
    return VideoStore(f"{bucket}/wan", direct_delivery=True)


def delivering(made: Any, store: VideoStore) -> Any:
    """A studio whose videos are delivered to a bucket."""
    made.place = store
    return made


def put(url: str, content: bytes) -> int:
    request = urllib.request.Request(url, content, {"Content-Type": "video/mp4"}, method="PUT")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return int(answer.status)


def tail(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def endpoints(made: BentStudio) -> list[str]:
    """The addresses that the submitted tasks named."""
    return [task["uploadEndpoint"] for call in made.calls(SUBMIT) for task in call.tasks if "uploadEndpoint" in task]


def until_delivered(store: VideoStore) -> Any:
    """A bend that lets a task run until its file has arrived."""

    def change(call: Call) -> Prepared | None:
        if store.is_delivered(f"{call.task_uuid}-1.mp4"):
            return None
        return Prepared(200, {"data": [{"taskUUID": call.task_uuid, "taskType": SUBMIT, "status": "processing"}]})

    return on(POLL, change)


def test_a_video_goes_to_the_bucket_without_being_downloaded(store: VideoStore, tmp_path: Path) -> None:
    with bent(tmp_path, until_delivered(store)) as made:
        (outcome,) = delivering(made, store).run(orders_of(1))

        assert (outcome.error, made.calls(FILE)) == (None, [])
        made.assert_paid_once()
        (video,) = outcome.stored.videos
        assert store.verifies(video)
        assert files_in(str(store.root)) == sorted(
            [video.uri.removeprefix(f"{store.root}/"), video.uri.removeprefix(f"{store.root}/").replace("-1.mp4", ".json")]
        )


def test_a_file_that_is_not_delivered_in_time_is_downloaded(store: VideoStore, tmp_path: Path) -> None:
    with studio(tmp_path, delivery_tries=0) as made:
        made.simulator.books.transaction
        (outcome,) = delivering(made, store).run(orders_of(1))

        assert outcome.stored is not None
        assert (made.paid, made.states()) == (1, ["stored"])
