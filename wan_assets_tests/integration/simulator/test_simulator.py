"""The simulator, asked over real HTTP: what it answers, what it books, and how it misbehaves."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import signal
import subprocess
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue

import httpx
import pytest
from python_process import PythonProcess

from wan_assets import __version__
from wan_assets.models.pricing import list_price_microusd
from wan_assets.models.request import VideoRequest
from wan_assets.simulator import FAULTS, Behaviour, Journal, LocalSimulator, SimulatorError, parse_rates
from wan_assets.simulator.faults import (
    ACCEPTANCE_FAULTS,
    DEVIATIONS,
    DOWNLOAD_FAULTS,
    POLL_FAULTS,
    RESULT_FAULTS,
    SUBMISSION_FAULTS,
    TASK_FAULTS,
)
from wan_assets.video import properties_of

PAGE = Path(__file__).parent / "data" / "wan2.5-preview.md"
KEY = {"Authorization": "Bearer any"}
IMAGE = base64.b64encode(b"\x89PNG" + bytes(range(200))).decode()


class Clock:
    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Api:
    """A running simulator and a client that speaks to it."""

    def __init__(self, simulator: LocalSimulator, clock: Clock, http: httpx.Client) -> None:
        self.simulator, self.clock, self.http = simulator, clock, http
        self.journal, self.url = simulator.journal, simulator.base_url

    def post(self, *tasks, **options) -> httpx.Response:
        return self.http.post(self.url, json=list(tasks), headers=KEY, **options)

    def poll(self, *task_uuids: str) -> httpx.Response:
        return self.post(*({"taskType": "getResponse", "taskUUID": each} for each in task_uuids))

    def results(self, task_uuid: str) -> list[dict]:
        """What a poll tells once everything has finished."""
        self.clock.now += 1000
        return self.poll(task_uuid).json()["data"]

    def ask(self, task_type: str, **parameters) -> httpx.Response:
        return self.post({"taskType": task_type, "taskUUID": str(uuid.uuid4()), **parameters})


@contextmanager
def served(folder: Path, clock: Clock | None = None, **options):
    clock = clock or Clock()
    behaviour = Behaviour(**{"latency_s": 10.0, "clock": clock, "pause_s": 0.001, **options})
    with LocalSimulator(folder, behaviour) as simulator, httpx.Client(trust_env=False, timeout=10) as http:
        yield Api(simulator, clock, http)


@pytest.fixture
def api(tmp_path):
    with served(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One simulator for all claims that do not depend on what came before."""
    with served(tmp_path_factory.mktemp("shared")) as running:
        yield running


def task_of(number: int = 0, **parameters) -> dict:
    task_uuid = str(uuid.UUID(bytes=hashlib.sha256(str(number).encode()).digest()[:16], version=4))
    size = {} if parameters.keys() & {"width", "inputs", "resolution"} else {"resolution": "480p"}
    head = {"taskType": "videoInference", "taskUUID": task_uuid, "model": "runware:201@1"}
    return {**head, "positivePrompt": f"a red kite {number}", "includeCost": True, **size, **parameters}


def i2v(image, **parameters) -> dict:
    return task_of(inputs={"frameImages": [image]}, **parameters)


# Submission


def test_an_acknowledgement_holds_task_type_and_uuid_and_nothing_else(api):
    task = task_of(width=1280, height=720, resolution=None)

    answer = api.post({name: value for name, value in task.items() if value is not None})

    assert answer.status_code == 200
    assert answer.json() == {"data": [{"taskType": "videoInference", "taskUUID": task["taskUUID"]}]}


def test_three_results_are_acknowledged_once(api):
    answer = api.post(task_of(numberResults=3))

    assert len(answer.json()["data"]) == 1


def test_each_answer_says_that_it_is_simulated(api):
    answers = [api.post(task_of()), api.http.get(api.url), api.http.get(api.url + "/nowhere")]

    assert {answer.headers["X-Simulated-By"] for answer in answers} == {f"wan-assets/{__version__}"}


def test_a_wrong_path_is_404_and_a_get_405_both_in_json(shared):
    wrong_path, get = shared.http.post(shared.url + "/x", json=[]), shared.http.get(shared.url)

    assert (wrong_path.status_code, get.status_code) == (404, 405)
    assert wrong_path.json()["errors"]
    assert get.json()["errors"]


@pytest.mark.parametrize("body", [b"{", b"", b"[]", b'"text"', b"[1]", b'{"taskType": "poll"}', b"[NaN]"])
def test_a_body_that_is_no_array_of_tasks_is_400(shared, body):
    answer = shared.http.post(shared.url, content=body, headers=KEY)

    assert answer.status_code == 400
    assert answer.json()["data"] == []
    assert answer.json()["errors"][0]["code"]


def test_a_compressed_request_is_refused(shared):
    answer = shared.http.post(shared.url, content=b"x", headers={**KEY, "Content-Encoding": "gzip"})

    assert answer.status_code == 415


def test_a_large_answer_is_compressed_for_clients_that_accept_it(api):
    tasks = [task_of(number) for number in range(20)]
    api.post(*tasks)

    answer = api.poll(*(task["taskUUID"] for task in tasks))

    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.json()["data"]) == 20


def test_tasks_of_one_array_are_accepted_and_refused_one_by_one(api):
    answer = api.post(task_of(1), task_of(2, duration=7), task_of(3))

    assert answer.status_code == 200
    assert [item["taskUUID"] for item in answer.json()["data"]] == [task_of(n)["taskUUID"] for n in (1, 3)]
    assert [item["taskUUID"] for item in answer.json()["errors"]] == [task_of(2)["taskUUID"]]


def test_different_task_types_share_an_array(api):
    api.post(task_of(1))

    answer = api.post(
        task_of(2),
        {"taskType": "getResponse", "taskUUID": task_of(1)["taskUUID"]},
        {"taskType": "accountManagement", "taskUUID": str(uuid.uuid4()), "operation": "getDetails"},
    )

    assert [item["taskType"] for item in answer.json()["data"]] == [
        "videoInference",
        "videoInference",
        "accountManagement",
    ]


@pytest.mark.parametrize(
    "image",
    [
        "https://example.com/a.png",
        "aac49721-1964-481a-ae78-8a4e29b91402",
        f"data:image/png;base64,{IMAGE}",
        IMAGE,
        {"image": "https://example.com/a.png", "frame": "first"},
        {"image": "https://example.com/a.png", "frame": 0},
        {"image": IMAGE},
    ],
)
def test_pictures_are_taken_in_every_form(shared, image):
    answer = shared.post({**i2v(image), "taskUUID": str(uuid.uuid4())})

    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("wrong", "parameter"),
    [
        ({"duration": 7}, "duration"),
        ({"duration": "5"}, "duration"),
        ({"width": 1280, "height": 721}, "width"),
        ({"width": 1280}, "height"),
        ({"height": 720, "width": None}, "width"),
        ({"resolution": "720p", "width": 1280, "height": 720}, "resolution"),
        ({"resolution": "4k"}, "resolution"),
        ({"resolution": None}, "resolution"),
        (
            {
                "inputs": {"audio": str(uuid.uuid4())},
                "resolution": "720p",
                "providerSettings": {"alibaba": {"audio": True}},
            },
            "inputs.audio",
        ),
        ({"positivePrompt": ""}, "positivePrompt"),
        ({"positivePrompt": "x" * 2001}, "positivePrompt"),
        ({"numberResults": 0}, "numberResults"),
        ({"numberResults": 5}, "numberResults"),
        ({"seed": -1}, "seed"),
        ({"outputQuality": 100}, "outputQuality"),
        ({"outputFormat": "mp4"}, "outputFormat"),
        ({"ttl": 59}, "ttl"),
        ({"deliveryMethod": "sync"}, "deliveryMethod"),
        ({"inputs": {"frameImages": [IMAGE, IMAGE]}}, "inputs.frameImages"),
        ({"inputs": {"frameImages": [{"image": IMAGE, "frame": "last"}]}}, "inputs.frameImages.frame"),
        ({"inputs": {"frameImages": ["sha256:" + "0" * 64]}}, "inputs.frameImages"),
        ({"inputs": {"audio": "sha256:" + "0" * 64}, "resolution": "480p"}, "inputs.audio"),
        ({"taskUUID": "24cd5dff-0000-1000-8000-000000000000"}, "taskUUID"),
        ({"taskUUID": None}, "taskUUID"),
        ({"model": "runware:1@1"}, "model"),
        ({"negative_prompt": "rain"}, "negative_prompt"),
        ({"safety": {"check_content": True}}, "safety.check_content"),
        ({"CFGScale": 3}, "CFGScale"),
        ({"includeCost": "yes"}, "includeCost"),
    ],
)
def test_what_breaks_a_rule_is_400_with_its_parameter_and_costs_nothing(shared, wrong, parameter):
    task = {name: value for name, value in task_of(**wrong).items() if value is not None}
    spent = shared.journal.spent_microusd()

    answer = shared.post(task)

    assert answer.status_code == 400
    assert answer.json()["data"] == []
    errors = answer.json()["errors"]
    assert parameter in [error["parameter"] for error in errors]
    assert all(re.match("invalid|missing|unsupported|incompatible|unknown", each["code"]) for each in errors)
    assert all(error["message"] and error["documentation"] for error in errors)
    assert shared.journal.spent_microusd() == spent


NO_TASKS_UUID = [None, 5, [], {}, "\ud800", "x"]
NO_TASKS = [
    {"taskType": "videoInference", "model": {}},
    {"taskType": "videoInference", "inputs": {"frameImages": {"a": [None]}}},
    {"taskType": ["getResponse"]},
    {"taskType": "getTaskDetails"},
    {"taskType": "mediaStorage", "operation": "upload", "media": "aGFsbG8="},
    {"taskType": "mediaStorage", "operation": "delete", "media": "\ud800"},
]
USAGE = {"taskType": "accountManagement", "operation": "getUsageActivity"}
USAGE |= {"taskUUID": str(uuid.UUID(int=1 << 127, version=4))}
USAGE |= {"startDate": "2026-11-01", "endDate": "2026-11-01"}


@pytest.mark.parametrize(
    "task",
    [
        *({**task, "taskUUID": no_uuid} for task in NO_TASKS for no_uuid in NO_TASKS_UUID),
        {**USAGE, "models": 5},
        {**USAGE, "groupBy": [["date"]]},
        {**USAGE, "endDate": []},
    ],
)
def test_nonsense_is_refused_and_breaks_nothing(shared, task):
    answer = shared.http.post(shared.url, content=json.dumps([task]), headers=KEY)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"]


def test_an_unsupported_duration_is_told_as_the_documentation_shows(api):
    error = api.post(task_of(duration=7)).json()["errors"][0]

    assert (error["code"], error["parameter"], error["type"]) == ("unsupportedDuration", "duration", "float")
    assert error["allowedValues"] == [5, 10]
    assert error["taskUUID"] == task_of()["taskUUID"]


def test_a_duration_that_the_model_chooses_is_accepted_as_a_word(api):
    automatic = task_of(1, model="alibaba:wan@3.0", resolution=None, width=832, height=480, duration="auto")
    digits = {**automatic, "taskUUID": task_of(2)["taskUUID"], "duration": "5"}

    assert api.post(automatic).status_code == 200
    assert api.post(digits).json()["errors"][0]["parameter"] == "duration"


def test_an_unknown_task_type_is_refused(shared):
    assert shared.ask("dance").json()["errors"][0]["code"] == "unsupportedTaskType"


# Keys


def test_a_wrong_or_missing_key_is_401_as_header_and_as_task(tmp_path):
    as_task = {"taskType": "authentication", "apiKey": "wrong"}

    with served(tmp_path, api_key="right") as api:
        answers = [
            api.http.post(api.url, json=[task_of()], headers={"Authorization": "Bearer wrong"}),
            api.http.post(api.url, json=[as_task, task_of()]),
            api.http.post(api.url, json=[task_of()]),
        ]

    assert [answer.status_code for answer in answers] == [401, 401, 401]
    for answer in answers:
        error = answer.json()["errors"][0]
        assert error["code"] == "invalidApiKey"
        assert (error["parameter"], error["taskType"]) == ("apiKey", "authentication")


def test_the_right_key_is_accepted_as_header_and_as_task(tmp_path):
    as_task = {"taskType": "authentication", "apiKey": "right"}

    with served(tmp_path, api_key="right") as api:
        header = api.http.post(api.url, json=[task_of(1)], headers={"Authorization": "Bearer right"})
        task = api.http.post(api.url, json=[as_task, task_of(2)])

    assert header.status_code == task.status_code == 200
    assert [item["taskUUID"] for item in task.json()["data"]] == [task_of(2)["taskUUID"]]


def test_any_key_will_do_where_none_is_set_but_none_will_not(api):
    assert api.post(task_of()).status_code == 200
    assert api.http.post(api.url, json=[task_of(2)]).status_code == 401


# Polling


def test_a_running_task_is_one_processing_item_without_errors(api):
    api.post(task := task_of())

    answer = api.poll(task["taskUUID"]).json()

    (item,) = answer.pop("data")
    assert item == {"taskType": "videoInference", "taskUUID": task["taskUUID"], "status": "processing"}
    assert answer == {}


def test_a_finished_task_tells_its_video_seed_and_cost(api):
    api.post(task := task_of(seed=7))

    (item,) = api.results(task["taskUUID"])

    assert (item["taskType"], item["taskUUID"]) == ("videoInference", task["taskUUID"])
    assert item["status"] == "success"
    assert item["seed"] == 7
    assert item["cost"] == 0.473
    assert item["simulated"] is True
    assert uuid.UUID(item["videoUUID"]).version == 4
    assert item["videoURL"] == api.url.removesuffix("v1") + f"files/{item['videoUUID']}.mp4"


def test_the_cost_is_told_only_on_request_and_drawn_seeds_fit_32_bits(api):
    api.post(task := {**task_of(), "includeCost": False})

    (item,) = api.results(task["taskUUID"])

    assert "cost" not in item
    assert 0 <= item["seed"] < 2**32


def test_polling_again_tells_the_same(api):
    api.post(task := task_of(numberResults=2))

    assert api.results(task["taskUUID"]) == api.results(task["taskUUID"])
    assert len(api.journal.charges()) == 1


def test_results_finish_one_after_another_and_differ_in_video_and_seed(api):
    api.post(task := task_of(numberResults=3, seed=7))

    reported = []
    for seconds in (0, 10.0, 1.0, 1.0):
        api.clock.now += seconds
        reported.append(api.poll(task["taskUUID"]).json()["data"])

    assert [sum(item["status"] == "success" for item in items) for items in reported] == [0, 1, 2, 3]
    assert all(len(items) == 3 for items in reported)
    assert len({item["videoUUID"] for item in reported[-1]}) == len({item["seed"] for item in reported[-1]}) == 3
    assert reported[-1][0]["seed"] == 7
    assert reported[1][0] == reported[-1][0]


def test_an_early_poll_may_show_one_placeholder_for_all_results(tmp_path):
    with served(tmp_path, has_one_placeholder=True) as api:
        api.post(task := task_of(numberResults=3))

        assert len(api.poll(task["taskUUID"]).json()["data"]) == 1
        assert len(api.results(task["taskUUID"])) == 3


def test_progress_unknown_statuses_extra_fields_and_empty_errors_can_be_had(tmp_path):
    odd = {"has_progress": True, "has_extra_fields": True, "has_empty_errors": True}

    with served(tmp_path, running_status="queued", **odd) as api:
        api.post(task := task_of())
        api.clock.now += 4.7
        answer = api.poll(task["taskUUID"]).json()

    (item,) = answer["data"]
    assert (item["progress"], item["status"], answer["errors"]) == (47, "queued", [])
    assert "modelVersion" in item


def test_an_unknown_task_is_answered_by_nothing_or_by_an_error(tmp_path):
    with served(tmp_path / "a") as api, served(tmp_path / "b", unknown_task="error") as strict:
        nothing, error = api.poll(str(uuid.uuid4())), strict.poll(str(uuid.uuid4()))

    assert (nothing.status_code, nothing.json()) == (200, {"data": []})
    assert error.json()["errors"][0]["code"] == "taskNotFound"


def test_many_tasks_are_polled_in_one_post_unless_only_some_are_answered(tmp_path):
    uuids = [task_of(number)["taskUUID"] for number in range(5)]
    with served(tmp_path / "a") as api, served(tmp_path / "b", polls_answered=1) as single:
        for each in (api, single):
            each.post(*(task_of(number) for number in range(5)))

        assert [item["taskUUID"] for item in api.poll(*uuids).json()["data"]] == uuids
        assert [item["taskUUID"] for item in single.poll(*uuids).json()["data"]] == uuids[:1]


def test_content_is_flagged_only_where_a_check_was_asked_for(api):
    tasks = [
        task_of(1, safety={"checkContent": True}),
        task_of(2, safety={"mode": "full"}, positivePrompt="an nsfw kite"),
        task_of(3, safety={"checkContent": True, "mode": "none"}),
        task_of(4),
    ]
    api.post(*tasks)

    flags = [api.results(task["taskUUID"])[0].get("NSFWContent") for task in tasks]

    assert flags == [False, True, None, None]


def test_the_archive_tells_request_and_response(api):
    api.post(task := task_of())
    api.clock.now += 1000

    (item,) = api.post({"taskType": "getTaskDetails", "taskUUID": task["taskUUID"]}).json()["data"]

    assert item["request"] == [task]
    assert item["response"]["data"][0]["status"] == "success"


# Duplicates


@pytest.mark.parametrize("status", [400, 409, 200])
def test_a_known_uuid_is_a_conflict_and_charged_once(tmp_path, status):
    with served(tmp_path, duplicates=f"conflict_{status}") as api:
        api.post(task_of())
        again = api.post(task_of())

        assert again.status_code == status
        assert again.json()["data"] == []
        assert again.json()["errors"][0]["code"] == "conflictTaskUUID"
        assert again.json()["errors"][0]["taskUUID"] == task_of()["taskUUID"]
        assert len(api.journal.charges()) == 1
        assert api.journal.submissions() == 2


def test_a_known_uuid_may_run_again_after_it_finished(tmp_path):
    with served(tmp_path, duplicates="rerun") as api:
        api.post(task := task_of())
        while_running = api.post(task)
        (first,) = api.results(task["taskUUID"])
        afterwards = api.post(task)
        (second,) = api.results(task["taskUUID"])

        assert (while_running.status_code, afterwards.status_code) == (400, 200)
        assert first["videoUUID"] != second["videoUUID"]
        assert set(api.journal.charges_by_fingerprint().values()) == {2}


def test_two_copies_within_a_second_may_both_be_charged(tmp_path):
    with served(tmp_path, duplicates="race") as api:
        statuses = [api.post(task_of()).status_code, api.post(task_of()).status_code]
        api.clock.now += 1.5
        statuses.append(api.post(task_of()).status_code)

        assert statuses == [200, 200, 400]
        assert len(api.journal.charges()) == 2


# Money


def test_the_page_s_examples_are_accepted_and_charged_at_list_price(api):
    examples = _examples()

    for example in examples:
        api.post({**example, "includeCost": True})
    reported = [api.results(example["taskUUID"])[0] for example in examples]

    assert [item["cost"] for item in reported] == [1.476, 0.946, 0.946, 0.946]
    assert [item["seed"] for item in reported] == [example["seed"] for example in examples]
    charged = [charge.amount_microusd for charge in api.journal.charges()]
    assert charged == [1_476_000, 946_000, 946_000, 946_000]


@pytest.mark.parametrize(
    ("parameters", "cost"),
    [
        ({"resolution": "480p"}, 0.473),
        ({"width": 960, "height": 960}, 0.473),
        ({"resolution": "1080p", "duration": 10}, 1.476),
        ({"inputs": {"frameImages": [IMAGE]}}, 0.738),
        ({"inputs": {"frameImages": [IMAGE]}, "width": 1280, "height": 720}, 0.738),
        ({"inputs": {"frameImages": [IMAGE]}, "resolution": "720p"}, 0.473),
    ],
)
def test_prices_follow_the_page(api, parameters, cost):
    api.post(task := task_of(**parameters))

    assert api.results(task["taskUUID"])[0]["cost"] == cost


def test_results_tell_exactly_what_the_account_was_charged(tmp_path):
    with served(tmp_path, cost_factor=0.95657) as api:
        api.post(task := task_of(numberResults=3))
        reported = sum(round(item["cost"] * 1_000_000) for item in api.results(task["taskUUID"]))

        assert reported == api.journal.spent_microusd() == api.journal.charges()[0].amount_microusd


def test_an_account_without_credit_gets_402_and_is_not_charged(tmp_path):
    with served(tmp_path, balance_usd=1.0) as api:
        answers = [api.post(task_of(number)) for number in range(3)]

        assert [answer.status_code for answer in answers] == [200, 200, 402]
        assert answers[2].json()["errors"][0]["code"] == "insufficientCredits"
        assert api.journal.spent_microusd() == 946_000
        assert api.poll(task_of(2)["taskUUID"]).json() == {"data": []}


@pytest.mark.parametrize(
    ("is_object", "balance"),
    [(True, {"amount": 99.527, "currency": "USD"}), (False, 99.527)],
)
def test_the_balance_is_a_number_or_an_object(tmp_path, is_object, balance):
    with served(tmp_path, balance_usd=100, is_balance_object=is_object) as api:
        api.post(task_of())

        (item,) = api.ask("accountManagement", operation="getDetails").json()["data"]

    assert item["balance"] == balance
    assert item["usage"]["today"] == item["usage"]["total"] == {"credits": 0.473, "requests": 1}


def test_usage_is_told_by_day_and_by_model(api):
    api.post(task_of(1))
    api.post(task_of(2, numberResults=2))
    api.clock.now += 24 * 3600
    api.post(task_of(3, resolution="1080p"))

    days = {"startDate": "2026-09-20", "endDate": "2026-09-30", "groupBy": ["date", "model"]}
    (item,) = api.ask("accountManagement", operation="getUsageActivity", **days).json()["data"]

    rows = item["usage"]["timeseries"]["data"]
    assert [(row["date"], row["count"], row["spend"]) for row in rows] == [
        ("2026-09-21", 2, 1.419),
        ("2026-09-22", 1, 0.738),
    ]
    assert item["usage"]["timeseries"]["meta"] == {
        "totalRequests": 3,
        "totalResults": 4,
        "totalSpend": 2.157,
        "avgDailySpend": 0.196091,
        "projectedSpend": 2.157,
    }
    assert item["usage"]["model"]["data"][0]["spend"] == 2.157


@pytest.mark.parametrize(
    "days",
    [("2026-09-01", "2026-10-01"), ("2026-09-02", "2026-09-01"), ("soon", "2026-09-01")],
)
def test_usage_of_more_than_30_days_is_refused(shared, days):
    asked = {"startDate": days[0], "endDate": days[1]}

    assert shared.ask("accountManagement", operation="getUsageActivity", **asked).status_code == 400


# Uploads


def test_an_uploaded_picture_is_booked_under_the_fingerprint_of_its_content(api):
    content = b"a picture of a kite" * 9
    media = f"data:image/png;base64,{base64.b64encode(content).decode()}"

    (stored,) = api.ask("mediaStorage", operation="upload", media=media).json()["data"]
    api.post(i2v(stored["mediaUUID"], resolution="720p"))

    local = i2v("sha256:" + hashlib.sha256(content).hexdigest(), resolution="720p")
    assert stored["operation"] == "upload"
    assert stored["mediaURL"]
    assert api.journal.charges()[0].fingerprint == VideoRequest.model_validate(local).fingerprint()


def test_a_deleted_upload_is_not_found_afterwards(api):
    (stored,) = api.ask("mediaStorage", operation="upload", media=IMAGE).json()["data"]

    deleted = api.ask("mediaStorage", operation="delete", media=stored["mediaUUID"])
    again = api.ask("mediaStorage", operation="delete", media=stored["mediaUUID"])
    used = api.post(i2v(stored["mediaUUID"]))

    assert deleted.json()["data"][0]["mediaUUID"] == stored["mediaUUID"]
    assert again.json()["errors"][0]["code"] == used.json()["errors"][0]["code"] == "mediaNotFound"


@pytest.mark.parametrize("media", [None, "", "no base64!", 5])
def test_an_upload_of_nothing_is_refused(shared, media):
    assert shared.ask("mediaStorage", operation="upload", media=media).status_code == 400


def test_an_upload_may_first_answer_1_and_tell_its_uuid_on_polling(tmp_path):
    with served(tmp_path, is_upload_slow=True) as api:
        (first,) = api.ask("mediaStorage", operation="upload", media=IMAGE).json()["data"]
        (then,) = api.poll(first["taskUUID"]).json()["data"]

    assert first["mediaUUID"] == "1"
    assert uuid.UUID(then["mediaUUID"])


# Files


def test_a_file_is_what_was_asked_for(api, tmp_path):
    api.post(task := task_of(outputFormat="MOV", width=480, height=854))

    (item,) = api.results(task["taskUUID"])
    answer = api.http.get(item["videoURL"])
    (path := tmp_path / "video.mov").write_bytes(answer.content)

    facts = properties_of(path)
    assert answer.headers["Content-Type"] == "video/quicktime"
    assert (facts.container, facts.width, facts.height, facts.has_audio) == ("MOV", 480, 854, True)
    assert abs(facts.duration_s - 5) < 0.3


def test_a_file_can_be_had_in_ranges(api):
    url = _url_of_a_video(api)

    whole = api.http.get(url).content
    part = api.http.get(url, headers={"Range": "bytes=100-199"})

    assert part.status_code == 206
    assert part.content == whole[100:200]
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(whole)}"


def test_a_download_that_carries_the_key_is_refused(api):
    assert api.http.get(_url_of_a_video(api), headers=KEY).status_code == 400


def test_a_file_is_there_from_its_finish_to_its_ttl(api):
    api.post(task := task_of(ttl=60))
    video_uuid = Journal(api.simulator._state).task(task["taskUUID"]).plan[0]["video_uuid"]
    url = api.url.removesuffix("v1") + f"files/{video_uuid}.mp4"

    statuses = []
    for seconds in (0, 10, 60, 1):
        api.clock.now += seconds
        statuses.append(api.http.get(url).status_code)

    assert statuses == [404, 200, 200, 410]


def test_a_file_may_expire_by_default_and_with_404(tmp_path):
    with served(tmp_path, ttl_s=100, expired_status=404) as api:
        url = _url_of_a_video(api)

        assert api.http.get(url).status_code == 404


def test_an_unknown_file_is_404(shared):
    assert shared.http.get(f"{shared.url.removesuffix('v1')}files/{uuid.uuid4()}.mp4").status_code == 404


# Faults


def test_every_fault_of_submissions_and_polls_is_tested():
    submissions = {*SUBMISSION_ANSWERS, *BROKEN_CONNECTIONS, "slow_body"}

    assert submissions == {*SUBMISSION_FAULTS, *ACCEPTANCE_FAULTS}
    assert {*POLL_STATUS, "poll_malformed"} == POLL_FAULTS.keys()
    assert FAULTS.keys() == {*submissions, *POLL_FAULTS, *TASK_FAULTS, *RESULT_FAULTS, *DEVIATIONS, *DOWNLOAD_FAULTS}


SUBMISSION_ANSWERS = {
    "rate_limit": (429, "rateLimitExceeded"),
    "rate_limit_retry_after": (429, "rateLimitExceeded"),
    "error_500": (500, "internalServerError"),
    "error_502_html": (502, "<html>"),
    "error_503": (503, "serviceUnavailable"),
    "html": (200, "<html>"),
    "forbidden": (403, "insufficientPermissions"),
    "error_500_after_accept": (500, "internalServerError"),
    "error_503_after_accept": (503, "serviceUnavailable"),
    "error_504_after_accept": (504, "<html>"),
    "html_after_accept": (200, "<html>"),
    "truncated_json": (200, '{"data"'),
    "empty_body": (200, ""),
    "ack_empty": (200, '{"data": []}'),
    "ack_bare": (200, "{}"),
    "ack_upper_case": (200, '"taskUUID"'),
    "ack_with_error": (200, "internalServerError"),
}
BROKEN_CONNECTIONS = {
    "drop_before_accept": httpx.RemoteProtocolError,
    "drop_after_accept": httpx.RemoteProtocolError,
    "malformed_after_accept": httpx.RemoteProtocolError,
    "stalled_body": httpx.ReadTimeout,
}
PROVIDER_CODES = {"providerError", "timeoutProvider", "providerInternalError", "inferenceError"}
POLL_STATUS = {
    "poll_401": 401,
    "poll_429": 429,
    "poll_502_html": 502,
    "poll_504_html": 504,
    "poll_empty": 200,
}


@pytest.mark.parametrize("fault", [*SUBMISSION_ANSWERS, *BROKEN_CONNECTIONS])
def test_a_fault_strikes_a_submission_once_and_charges_only_what_was_accepted(tmp_path, fault):
    with served(tmp_path, faults={fault: 1.0}) as api:
        if fault in BROKEN_CONNECTIONS:
            with pytest.raises(BROKEN_CONNECTIONS[fault]):
                api.post(task_of(), timeout=0.5)
        else:
            answer = api.post(task_of())
            assert answer.status_code == SUBMISSION_ANSWERS[fault][0]
            assert SUBMISSION_ANSWERS[fault][1] in answer.text
        charged = len(api.journal.charges())
        again = api.post(task_of())

        assert charged == (fault in ACCEPTANCE_FAULTS)
        assert again.status_code == (400 if fault in ACCEPTANCE_FAULTS else 200)
        assert len(api.journal.charges()) == 1
        assert api.journal.submissions() == 2


def test_a_slow_body_arrives_in_pieces_and_is_whole(tmp_path):
    with (
        served(tmp_path, faults={"slow_body": 1.0}) as api,
        api.http.stream("POST", api.url, json=[task_of()], headers=KEY) as answer,
    ):
        pieces = list(answer.iter_raw())

    assert len(pieces) > 10
    assert json.loads(b"".join(pieces))["data"]


def test_retry_after_is_told_in_seconds_and_as_a_date(tmp_path):
    with served(tmp_path, Clock(784111777.0), faults={"rate_limit_retry_after": 1.0}, retry_after_s=7) as api:
        reported = {api.post(task_of(number)).headers["Retry-After"] for number in range(12)}

    assert reported == {"7", "Sun, 06 Nov 1994 08:49:44 GMT"}


def test_a_submission_s_fault_may_strike_again_on_request(tmp_path):
    with served(tmp_path, faults={"error_500": 1.0}, repeats=True) as api:
        assert [api.post(task_of()).status_code for _ in range(3)] == [500, 500, 500]


@pytest.mark.parametrize("fault", POLL_STATUS)
def test_a_fault_strikes_a_poll_but_not_the_next(tmp_path, fault):
    with served(tmp_path, faults={fault: 1.0}) as api:
        api.post(task := task_of())
        answers = [api.poll(task["taskUUID"]) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [POLL_STATUS[fault], 200, POLL_STATUS[fault], 200]
    assert "processing" not in answers[0].text
    assert "processing" in answers[1].text


@pytest.mark.parametrize("number", range(12))
def test_a_malformed_answer_is_no_http_and_the_next_is(tmp_path, number):
    with served(tmp_path, faults={"poll_malformed": 1.0}) as api:
        api.post(task := task_of(number))
        with pytest.raises(httpx.RemoteProtocolError):
            api.poll(task["taskUUID"])
        again = api.poll(task["taskUUID"])

    assert again.json()["data"][0]["status"] == "processing"


def test_tasks_are_named_in_upper_case_on_request(tmp_path):
    with served(tmp_path, has_upper_case_uuids=True) as api:
        said = [api.post(task := task_of()), api.poll(task["taskUUID"])]

    assert {answer.json()["data"][0]["taskUUID"] for answer in said} == {task["taskUUID"].upper()}


@pytest.mark.parametrize(
    ("fault", "status", "codes"),
    [
        ("verdict_error", 200, PROVIDER_CODES),
        ("verdict_504", 504, {"failedProviderTimeout"}),
        ("verdict_safety", 200, {"invalidProviderContent"}),
    ],
)
def test_a_failed_task_leaves_data_and_stands_in_errors_for_each_result(tmp_path, fault, status, codes):
    with served(tmp_path, faults={fault: 1.0}) as api:
        api.post(task := task_of(numberResults=2))
        running = api.poll(task["taskUUID"])
        api.clock.now += 1000
        answer = api.poll(task["taskUUID"])

        assert (running.status_code, running.json()["data"][0]["status"]) == (200, "processing")
        assert answer.status_code == status
        assert answer.json()["data"] == []
        assert len(errors := answer.json()["errors"]) == 2
        assert {(error["taskUUID"], error["status"]) for error in errors} == {(task["taskUUID"], "error")}
        assert {error["code"] for error in errors} <= codes
        assert isinstance(errors[0]["responseContent"], dict)
        assert [charge.amount_microusd for charge in api.journal.charges()] == [0]


def test_a_failed_task_may_stand_in_data_with_a_nested_error(tmp_path):
    with served(tmp_path, faults={"verdict_in_data": 1.0}) as api:
        api.post(task := task_of())

        (item,) = api.results(task["taskUUID"])

    assert item["status"] == "error"
    assert item["error"]["code"] == "providerError"


def test_the_status_of_a_failed_task_s_poll_can_be_chosen(tmp_path):
    with served(tmp_path, faults={"verdict_error": 1.0}, failed_poll_status=500) as api:
        api.post(task := task_of())
        api.clock.now += 1000

        assert api.poll(task["taskUUID"]).status_code == 500


def test_a_verdict_of_504_does_not_spoil_a_poll_of_several(tmp_path):
    with served(tmp_path, faults={"verdict_504": 1.0}) as api:
        api.post(task_of(1), task_of(2))
        api.clock.now += 1000
        answer = api.poll(task_of(1)["taskUUID"], task_of(2)["taskUUID"])

    assert answer.status_code == 200
    assert len(answer.json()["errors"]) == 2


def test_failures_are_charged_on_request(tmp_path):
    with served(tmp_path, faults={"verdict_error": 1.0}, is_failure_charged=True) as api:
        api.post(task_of())

        assert api.journal.spent_microusd() == 473_000


def test_one_of_several_results_may_fail_and_is_not_charged(tmp_path):
    with served(tmp_path, faults={"partial": 1.0}) as api:
        api.post(task_of(1), task_of(2, numberResults=3))
        api.clock.now += 1000
        alone, several = api.poll(task_of(1)["taskUUID"]).json(), api.poll(task_of(2)["taskUUID"]).json()

        assert len(alone["data"]) == 1
        assert "errors" not in alone
        assert (len(several["data"]), len(several["errors"])) == (2, 1)
        assert [charge.amount_microusd for charge in api.journal.charges()] == [473_000, 946_000]


def test_a_lost_task_is_charged_and_never_told_of_but_its_uuid_is_taken(tmp_path):
    with served(tmp_path, faults={"lost_task": 1.0}) as api:
        acknowledged = api.post(task := task_of())

        assert acknowledged.status_code == 200
        assert api.results(task["taskUUID"]) == []
        assert api.post(task).json()["errors"][0]["code"] == "conflictTaskUUID"
        assert api.journal.spent_microusd() == 473_000


@pytest.mark.parametrize(
    ("fault", "cost"),
    [("cost_missing", None), ("cost_zero", 0), ("cost_string", "0.473"), ("cost_nan", "NaN")],
)
def test_a_cost_may_be_told_wrongly_and_is_charged_rightly(tmp_path, fault, cost):
    with served(tmp_path, faults={fault: 1.0}) as api:
        api.post(task := task_of())
        (item,) = api.results(task["taskUUID"])

        assert item.get("cost") == cost or str(item["cost"]).lower() == str(cost).lower()
        assert api.journal.spent_microusd() == 473_000
        assert [charge.number_results for charge in api.journal.charges()] == [1]
        assert [day.results for day in api.journal.usage("2026-01-01", "2026-12-31")] == [1]


def test_a_result_may_name_no_file_or_be_flagged(tmp_path):
    with served(tmp_path, faults={"no_url": 1.0, "nsfw": 1.0}) as api:
        api.post(task := task_of(safety={"mode": "fast"}))
        (item,) = api.results(task["taskUUID"])

    assert item["status"] == "success"
    assert "videoURL" not in item
    assert item["NSFWContent"] is True


@pytest.mark.parametrize(
    ("fault", "statuses"),
    [("download_422", [422, 422, 200]), ("download_502", [502, 200]), ("download_redirect", [302, 200])],
)
def test_a_download_is_refused_for_a_while(tmp_path, fault, statuses):
    with served(tmp_path, faults={fault: 1.0}) as api:
        url = _url_of_a_video(api)

        assert [api.http.get(url).status_code for _ in statuses] == statuses


@pytest.mark.parametrize(
    ("fault", "error"), [("download_cut", httpx.RemoteProtocolError), ("download_stalled", httpx.ReadTimeout)]
)
def test_a_download_breaks_in_the_middle_once(tmp_path, fault, error):
    with served(tmp_path, faults={fault: 1.0}) as api:
        url = _url_of_a_video(api)
        received: list[bytes] = []
        with api.http.stream("GET", url, timeout=1) as answer, pytest.raises(error):
            received.extend(answer.iter_raw())
        whole = api.http.get(url).content

    assert len(b"".join(received)) == int(answer.headers["Content-Length"]) // 2
    assert len(whole) == int(answer.headers["Content-Length"])


def test_a_download_may_be_slow_or_broken_inside(tmp_path):
    with served(tmp_path / "a", faults={"download_slow": 1.0}) as slow:
        url = _url_of_a_video(slow)
        contents = [slow.http.get(url).content for _ in range(2)]
    with served(tmp_path / "b", faults={"download_broken": 1.0}) as broken:
        url = _url_of_a_video(broken)
        first, then = broken.http.get(url), broken.http.get(url)

    assert contents[0] == contents[1]
    assert int(first.headers["Content-Length"]) == len(first.content) == len(then.content) // 2


def test_faults_are_repeatable_by_seed_whatever_the_order(tmp_path):
    def struck(folder: str, job, seed: int) -> dict[int, int]:
        with served(tmp_path / folder, faults={"error_500": 0.2, "rate_limit": 0.2}, seed=seed) as api:
            return {number: api.post(task_of(number)).status_code for number in job}

    forwards, backwards = struck("a", range(60), 5), struck("b", reversed(range(60)), 5)

    assert forwards == backwards != struck("c", range(60), 6)
    assert 4 <= sum(status == 500 for status in forwards.values()) <= 24


def test_unknown_faults_and_rates_that_are_none_are_refused_with_a_hint():
    with pytest.raises(SimulatorError, match="did you mean rate_limit"):
        Behaviour(faults={"rate_limits": 0.1})
    with pytest.raises(SimulatorError, match="between 0 and 1"):
        Behaviour(faults={"rate_limit": 1.5})
    with pytest.raises(SimulatorError, match="NAME=RATE"):
        parse_rates(["rate_limit=often"])


def test_faults_are_read_from_text_and_known_by_other_names():
    assert parse_rates(["drop=0.5", "lost_acknowledgement", "poll_502=1"]) == {
        "drop_before_accept": 0.5,
        "drop_after_accept": 1.0,
        "poll_502_html": 1.0,
    }


def test_every_fault_is_described():
    assert all(FAULTS.values())
    assert FAULTS.keys() >= {*SUBMISSION_FAULTS, *ACCEPTANCE_FAULTS, *POLL_FAULTS}


# Deliveries


class Receiver(BaseHTTPRequestHandler):
    def answer(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.put((self.command, self.path, body))
        statuses = self.server.statuses
        self.send_response(statuses.pop(0) if statuses else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def __getattr__(self, name: str):
        """Answers every method alike."""
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def receiver():
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        server.received, server.statuses = Queue(), []
        server.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def test_each_result_is_sent_to_the_webhook_once_as_a_flat_object(api, receiver):
    api.post(task := task_of(numberResults=2, webhookURL=receiver.url + "/hook?secret=1"))

    results = api.results(task["taskUUID"])
    sent = [receiver.received.get(timeout=5) for _ in range(2)]

    assert {(method, path) for method, path, _ in sent} == {("POST", "/hook?secret=1")}
    key = "videoUUID"
    assert sorted((json.loads(body) for *_, body in sent), key=lambda item: item[key]) == sorted(
        results, key=lambda item: item[key]
    )


def test_a_webhook_may_be_wrapped_doubled_and_is_told_of_failures(tmp_path, receiver):
    odd = {"is_webhook_wrapped": True, "webhook_copies": 2, "faults": {"verdict_error": 1.0}}

    with served(tmp_path, **odd) as api:
        api.post(task_of(webhookURL=receiver.url))
        api.clock.now += 1000
        sent = [json.loads(receiver.received.get(timeout=5)[2]) for _ in range(2)]

    assert sent[0] == sent[1]
    assert sent[0]["errors"][0]["status"] == "error"


def test_a_webhook_is_sent_again_until_it_is_taken(tmp_path, receiver):
    receiver.statuses[:] = [500, 302, 200]

    with served(tmp_path, latency_s=0.0, delivery_retry_s=0.0) as api:
        api.post(task_of(webhookURL=receiver.url))
        bodies = {receiver.received.get(timeout=5)[2] for _ in range(3)}

    assert len(bodies) == 1
    assert receiver.received.empty()


def test_the_file_is_put_to_the_upload_endpoint(api, receiver):
    api.post(task := task_of(uploadEndpoint=receiver.url + "/bucket/video.mp4"))

    (item,) = api.results(task["taskUUID"])
    method, path, body = receiver.received.get(timeout=10)

    assert (method, path) == ("PUT", "/bucket/video.mp4")
    assert body == api.http.get(item["videoURL"]).content


def test_a_delivery_outlives_its_server(tmp_path, receiver):
    clock = Clock()
    with served(tmp_path, clock) as api:
        api.post(task_of(webhookURL=receiver.url))

    clock.now += 1000
    with served(tmp_path, clock):
        reported = json.loads(receiver.received.get(timeout=5)[2])

    assert reported["status"] == "success"
    assert reported["videoURL"].startswith("http://127.0.0.1")


# State


def test_a_new_server_over_the_same_folder_goes_on_where_the_old_one_ended(tmp_path):
    clock = Clock()
    with served(tmp_path, clock) as before:
        before.post(task := task_of())

    with served(tmp_path, clock) as after:
        again, (item,) = after.post(task), after.results(task["taskUUID"])

        assert again.json()["errors"][0]["code"] == "conflictTaskUUID"
        assert item["videoURL"].startswith(after.url.removesuffix("v1"))
        assert len(after.journal.charges()) == 1


def test_the_books_tell_what_a_request_was_charged(api):
    task = task_of(numberResults=2, resolution="720p")
    api.post(task, task_of(2, duration=7))

    (charge,) = api.journal.charges()
    request = VideoRequest.model_validate(task)
    assert (charge.task_uuid, charge.fingerprint) == (task["taskUUID"], request.fingerprint())
    assert (charge.amount_microusd, charge.number_results) == (list_price_microusd(request), 2)
    assert charge.charged_at == api.clock.now
    assert api.journal.submissions() == 2
    assert api.journal.outcomes() == {"accepted": 1, "refused": 1}


SERVER = """
import sys
from wan_assets.simulator import Behaviour, serve
serve(sys.argv[1], Behaviour(latency_s=0.0), on_ready=lambda url: print(url, flush=True))
"""


@contextmanager
def another_process(folder: Path):
    with PythonProcess(["-c", SERVER, folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.slow
def test_two_processes_over_one_folder_accept_no_uuid_twice(tmp_path):
    tasks = [task_of(number) for number in range(60)]

    def statuses_of(url: str) -> list[int]:
        with httpx.Client(trust_env=False, timeout=30) as http:
            return [http.post(url, json=[task], headers=KEY).status_code for task in tasks]

    with (
        another_process(tmp_path) as (_, one),
        another_process(tmp_path) as (_, other),
        ThreadPoolExecutor() as both,
    ):
        pairs = list(zip(*both.map(statuses_of, (one, other)), strict=True))

    assert {tuple(sorted(pair)) for pair in pairs} == {(200, 400)}
    assert len(Journal(tmp_path).charges()) == len(tasks)


def test_files_are_served_while_a_submission_waits_for_another_writer_of_the_books(api, tmp_path):
    url = _url_of_a_video(api)

    with ThreadPoolExecutor() as other:
        with Journal(tmp_path).transaction():
            waiting = other.submit(httpx.post, api.url, json=[task_of(2)], headers=KEY, timeout=10)
            file = api.http.get(url)
            is_waiting = not waiting.done()

        assert (file.status_code, is_waiting) == (200, True)
        assert waiting.result().status_code == 200


@pytest.mark.slow
def test_a_killed_server_loses_no_task_that_it_acknowledged(tmp_path):
    with another_process(tmp_path) as (process, url), httpx.Client(trust_env=False) as http:
        answers = [http.post(url, json=[task_of(number)], headers=KEY) for number in range(30)]
        acknowledged = [item["taskUUID"] for answer in answers for item in answer.json()["data"]]
        os.kill(process.pid, signal.SIGKILL)

    with served(tmp_path) as api:
        reported = api.poll(*acknowledged).json()["data"]

        assert len(acknowledged) == 30
        assert {item["taskUUID"] for item in reported} == set(acknowledged)
        assert {charge.task_uuid for charge in api.journal.charges()} == set(acknowledged)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_quietly_and_well(tmp_path, number):
    with another_process(tmp_path) as (process, url), httpx.Client(trust_env=False) as http:
        http.get(url)
        process.send_signal(number)
        _, said = process.communicate(timeout=5)

    assert (process.returncode, said) == (0, "")


def test_a_local_simulator_says_nothing_and_ends_though_a_client_waits(tmp_path, caplog):
    caplog.set_level("DEBUG")

    with (
        served(tmp_path, faults={"stalled_body": 1.0}) as api,
        api.http.stream("POST", api.url, json=[task_of()], headers=KEY) as answer,
    ):
        api.simulator.__exit__(None, None, None)
        api.simulator.__exit__(None, None, None)

    assert answer.status_code == 200

    assert [record.message for record in caplog.records if record.name.startswith("uvicorn")] == []


def test_a_port_in_use_and_a_folder_that_is_none_are_errors_one_can_mend(tmp_path, api):
    port = int(api.url.split(":")[2].removesuffix("/v1"))
    (tmp_path / "file").write_text("")

    with pytest.raises(SimulatorError, match="in use"):
        LocalSimulator(tmp_path / "other", port=port).__enter__()
    with pytest.raises(SimulatorError, match="cannot open the journal"):
        LocalSimulator(tmp_path / "file").__enter__()


def test_books_that_are_no_books_are_an_error_one_can_mend(tmp_path):
    (tmp_path / "simulator.db").write_bytes(b"no database" * 100)

    with pytest.raises(SimulatorError, match="cannot open the journal"):
        Journal(tmp_path)


def test_books_can_be_opened_by_many_at_once(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        journal = list(pool.map(lambda _: Journal(tmp_path / "new"), range(16)))

    assert {each.spent_microusd() for each in journal} == {0}


def _url_of_a_video(api: Api) -> str:
    api.post(task := task_of())
    return api.results(task["taskUUID"])[0]["videoURL"]


def _examples() -> list[dict]:
    t2v = task_of(
        width=1280,
        height=720,
        duration=10,
        providerSettings={"alibaba": {"promptExtend": True, "audio": True}},
    )
    picture = {"image": "https://assets.runware.ai/a.jpg", "frame": "first"}
    heads = [
        ("ba5cf08d-a52b-44ca-bb54-da1f3d835108", 81567, {"inputs": {"frameImages": [picture]}}),
        ("be8fd83d-7116-4984-b37e-391df5ee434e", 43365, {}),
        ("abc21c3b-dd34-4269-82cc-df02c9760d99", 63746, {}),
        ("0d1a7cb5-8bfc-4049-97fe-8d2f73d41474", 38581, {}),
    ]
    return [{**t2v, "taskUUID": task_uuid, "seed": seed, **more} for task_uuid, seed, more in heads]
