"""The simulator under faults, nonsense, crowds and crashes; numbers of cases are those of the API's reference."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from queue import Queue

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from python_process import PythonProcess
from simulator_support import KEY, ManualClock, receiving, running, speaking_garbage, task_of

from wan_assets.models.request import VideoRequest
from wan_assets.simulator import FAULTS, Behaviour, Journal
from wan_assets.simulator.faults import RESULT_FAULTS, TASK_FAULTS
from wan_assets.video import Expected, mismatches, properties_of

SERVER = """
import sys
from wan_assets.simulator import Behaviour, serve
serve(sys.argv[1], Behaviour(latency_s=0.0), on_ready=lambda url: print(url, flush=True))
"""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
TYPES = ["videoInference", "getResponse", "accountManagement", "mediaStorage", "getTaskDetails", "authentication"]
OPERATIONS = ["getDetails", "getUsageActivity", "upload", "delete"]
USAGE = task_of(0, taskType="accountManagement", operation="getUsageActivity")
USAGE |= {"startDate": "2026-11-01", "endDate": "2026-11-01"}
PARAMETERS = [name for name in task_of(0, width=1, height=1) if name != "taskType"]
PARAMETERS += ["inputs", "safety", "providerSettings", "seed", "ttl", "duration", "numberResults", "webhookURL"]
PARAMETERS += ["media", "startDate", "endDate", "models", "groupBy", "apiKey", "outputFormat"]
NEARLY_RIGHT = st.builds(
    lambda kind, operation, more: {**task_of(0), "taskType": kind, "operation": operation, **more},
    st.sampled_from(TYPES),
    st.sampled_from(OPERATIONS),
    st.dictionaries(st.sampled_from(PARAMETERS), JSON, max_size=4),
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One simulator for all claims that do not depend on what came before."""
    with running(tmp_path_factory.mktemp("shared")) as api:
        yield api


@pytest.fixture
def api(tmp_path):
    with running(tmp_path) as one:
        yield one


# Nonsense


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=JSON | st.lists(NEARLY_RIGHT, max_size=3))
@example(body=[task_of(0, taskUUID=[])])
@example(body=[task_of(0, taskUUID="\ud800")])
@example(body=[{"taskType": "getResponse", "taskUUID": "\ud800"}])
@example(body=[task_of(0, taskType="mediaStorage", operation="upload", media="\ud800")])
@example(body=[task_of(0, inputs=[[[[]]]], safety=[], providerSettings=0, webhookURL={})])
@example(body=[{**USAGE, "groupBy": [{}], "models": 5}])
def test_no_json_body_is_ever_a_server_error(shared, body):
    """Case 46."""
    answer = shared.http.post(shared.simulator.base_url, content=json.dumps(body), headers=KEY)

    assert answer.status_code < 500, (body, answer.text)
    assert answer.json().keys() <= {"data", "errors"}


@settings(max_examples=50, deadline=None)
@given(body=st.binary(max_size=200))
def test_no_bytes_are_ever_a_server_error(shared, body):
    """Case 46."""
    answer = shared.http.post(shared.simulator.base_url, content=body, headers=KEY)

    assert answer.status_code == 400
    assert answer.json()["errors"]


# Victims


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_s_victims_depend_on_the_seed_and_not_on_the_order(fault):
    keys = [task_of(number)["taskUUID"] for number in range(400)]
    shuffled = random.Random(1).sample(keys, len(keys))

    first, again, other = (Behaviour(faults={fault: 0.25}, seed=seed) for seed in (7, 7, 8))

    victims = {key for key in keys if first.has_fault(fault, key)}
    assert victims == {key for key in shuffled if again.has_fault(fault, key)}
    assert victims != {key for key in keys if other.has_fault(fault, key)}
    assert 60 <= len(victims) <= 140


def test_verdicts_and_odd_results_strike_the_same_tasks_in_every_order(tmp_path):
    rates = dict.fromkeys([*TASK_FAULTS, *RESULT_FAULTS], 0.1)
    tasks = [task_of(number, numberResults=2, safety={"mode": "full"}) for number in range(40)]
    ids = [task["taskUUID"] for task in tasks]

    def reported(folder, job):
        with running(tmp_path / folder, faults=rates, seed=3) as api:
            for task in job:
                api.post(task)
            root, answer = api.simulator.base_url.removesuffix("v1"), api.finished(*ids).text
            return answer.replace(root, "")

    assert reported("a", tasks) == reported("b", tasks[::-1])


def test_a_rate_of_zero_strikes_nobody_and_one_strikes_all():
    keys = [str(number) for number in range(100)]

    never, always = (Behaviour(faults=dict.fromkeys(FAULTS, rate)) for rate in (0, 1))

    assert not any(never.has_fault(fault, key) for fault in FAULTS for key in keys)
    assert all(always.has_fault(fault, key) for fault in FAULTS for key in keys)


# Crowds and crashes


def test_of_many_copies_sent_at_once_one_is_accepted(api):
    """Cases 37 to 40."""
    with ThreadPoolExecutor(12) as crowd:
        statuses = list(crowd.map(lambda _: api.post(task_of(1)).status_code, range(36)))

    assert sorted(statuses) == [200] + [400] * 35
    assert len(api.simulator.journal.charges()) == 1


def test_a_crowd_cannot_spend_more_than_the_balance(tmp_path):
    """Case 33."""
    with running(tmp_path, balance_usd=2.0) as api, ThreadPoolExecutor(12) as crowd:
        statuses = list(crowd.map(lambda number: api.post(task_of(number)).status_code, range(36)))
        spent = api.simulator.journal.spent_microusd()

    assert sorted(statuses) == [200] * 4 + [402] * 32
    assert spent == 4 * 473_000


def _posted_until_it_dies(url: str, acknowledged: Queue[str], numbers: range) -> None:
    with httpx.Client(trust_env=False) as http, suppress(httpx.HTTPError):
        for number in numbers:
            answer = http.post(url, json=[task_of(number)], headers=KEY)
            acknowledged.put(answer.json()["data"][0]["taskUUID"])


def test_a_server_killed_amid_a_crowd_keeps_and_charges_once_all_that_it_acknowledged(tmp_path):
    """Case 41, from the server's side."""
    acknowledged: Queue[str] = Queue()
    command = ["-c", SERVER, tmp_path]
    with PythonProcess(command, stdout=subprocess.PIPE, text=True) as server, ThreadPoolExecutor(3) as crowd:
        url = server.stdout.readline().strip()
        for start in (0, 10_000, 20_000):
            crowd.submit(_posted_until_it_dies, url, acknowledged, range(start, start + 10_000))
        reported = {acknowledged.get(timeout=20) for _ in range(40)}
        os.kill(server.pid, signal.SIGKILL)

    reported |= set(acknowledged.queue)
    charged = [charge.task_uuid for charge in Journal(tmp_path).charges()]
    assert len(charged) == len(set(charged))
    assert reported <= set(charged)


def test_a_webhook_that_a_killed_server_owed_is_sent_by_the_next(tmp_path):
    """Case 58."""
    later = ManualClock(time.time() + 1000)
    with receiving(500) as receiver:
        with PythonProcess(["-c", SERVER, tmp_path], stdout=subprocess.PIPE, text=True) as server:
            url = server.stdout.readline().strip()
            httpx.post(url, json=[task_of(1, webhookURL=receiver.url)], headers=KEY, trust_env=False)
            refused = receiver.received.get(timeout=10)
            os.kill(server.pid, signal.SIGKILL)
        with running(tmp_path, later):
            taken = receiver.received.get(timeout=10)

    assert refused == taken
    assert json.loads(taken[1])["taskUUID"] == task_of(1)["taskUUID"]


# Deliveries


def test_a_receiver_that_speaks_no_http_does_not_stop_the_deliveries_to_others(tmp_path):
    """Case 58."""
    with speaking_garbage() as (bad, called), receiving() as good, running(tmp_path, latency_s=0.0) as api:
        api.post(task_of(1, webhookURL=bad))
        assert called.wait(10)
        api.post(task_of(2, webhookURL=good.url))

        assert json.loads(good.received.get(timeout=10)[1])["taskUUID"] == task_of(2)["taskUUID"]


@pytest.mark.parametrize("bad", ["http://127.0.0.1:x/", "http://127.0.0.1:99999/", "http://127.0.0.1/\0"])
def test_an_address_that_is_none_does_not_stop_the_deliveries_to_others(tmp_path, bad):
    with receiving() as good, running(tmp_path, delivery_tries=1) as api:
        reported = []
        for numbered in ({1: bad, 2: good.url}, {3: good.url}):
            for number, url in numbered.items():
                api.post(task_of(number, webhookURL=url))
            api.clock.now += 11
            reported.append(json.loads(good.received.get(timeout=5)[1])["taskUUID"])

        assert reported == [task_of(2)["taskUUID"], task_of(3)["taskUUID"]]


def test_a_file_is_put_again_after_a_500_and_is_whole(tmp_path):
    with receiving(500) as receiver, running(tmp_path, latency_s=0.0, delivery_retry_s=0.0) as api:
        api.post(task_of(1, uploadEndpoint=receiver.url))
        (method, first), (_, second) = (receiver.received.get(timeout=10) for _ in range(2))
        url = api.poll(task_of(1)["taskUUID"]).json()["data"][0]["videoURL"]

        assert method == "PUT"
        assert first == second == api.http.get(url).content


# Results and files


@pytest.mark.parametrize(
    ("safety", "is_told"),
    [
        (None, False),
        ({"mode": "none"}, False),
        ({"mode": None}, False),
        ({"checkContent": True, "mode": "none"}, False),
        ({"checkContent": False}, False),
        ({"checkContent": True}, True),
        ({"mode": "fast"}, True),
        ({"checkContent": False, "mode": "full"}, True),
    ],
)
def test_content_is_told_of_only_where_a_check_is_on_and_mode_wins(api, safety, is_told):
    """Case 60."""
    api.post(task_of(1, safety=safety))

    (item,) = api.finished(task_of(1)["taskUUID"]).json()["data"]

    assert ("NSFWContent" in item) == is_told


@pytest.mark.parametrize(
    "parameters",
    [
        {"width": 1280, "height": 720, "duration": 10},
        {"width": 480, "height": 854, "outputFormat": "MOV", "providerSettings": {"alibaba": {"audio": False}}},
        {"width": 640, "height": 640, "outputFormat": "WEBM"},
        {"inputs": {"frameImages": [str(uuid.UUID(int=1 << 127, version=4))]}, "width": 720, "height": 1280},
    ],
)
def test_a_file_has_the_container_size_length_and_sound_that_were_asked_for(api, tmp_path, parameters):
    """Cases 3 and 50."""
    request = VideoRequest.model_validate(task := task_of(1, **parameters))
    api.post(task)

    (item,) = api.finished(task["taskUUID"]).json()["data"]
    (path := tmp_path / "file").write_bytes(api.http.get(item["videoURL"]).content)

    sides = (request.width, request.height)
    asked = Expected(request.output_format, *sides, request.duration, request.has_audio)
    assert mismatches(properties_of(path), asked) == (), asdict(asked)


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [("bytes=0-0", 206, slice(0, 1)), ("bytes=1000-", 206, slice(1000, None)), ("bytes=-100", 206, slice(-100, None))],
)
def test_a_file_comes_in_any_range_and_uncompressed(api, asked, status, part):
    """Case 52."""
    api.post(task_of(1))
    url = api.finished(task_of(1)["taskUUID"]).json()["data"][0]["videoURL"]

    whole, answer = api.http.get(url), api.http.get(url, headers={"Range": asked})
    beyond = api.http.get(url, headers={"Range": f"bytes={len(whole.content)}-"})

    assert (answer.status_code, answer.content) == (status, whole.content[part])
    assert "Content-Encoding" not in whole.headers
    assert beyond.status_code == 416
