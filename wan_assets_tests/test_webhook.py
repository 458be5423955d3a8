"""Webhooks: what the receiver takes and refuses, what reaches the ledger, and runs that are woken by them."""

import asyncio
import contextlib
import json
import logging
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from engine_support import KEY, QUICK, Studio, errors_of, orders_of, request_of, rows_of, studio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wan_assets import RunwareResource
from wan_assets.cli import cli
from wan_assets.client import RunwareClient
from wan_assets.errors import ApiFault
from wan_assets.generation import Limits, generate
from wan_assets.ledger import Ledger, Origin
from wan_assets.settings import SettingsError
from wan_assets.webhook import PATH, WebhookError, _bound, receiver_app, server_of, task_uuids_in

SECRET = "s3cret-of-a-webhook+and/more"
QUOTED = "s3cret-of-a-webhook%2Band%2Fmore"
STRANGER = "5f0c1c9e-6a5e-4c53-9f5a-3b1d4c3b2a10"
FAULT = ApiFault("someCode", "some message")
SELDOM = replace(QUICK, poll_first_s=30.0, poll_most_s=30.0, wake_s=0.05)
"""Without a webhook, nothing is asked within any test's time."""


# The receiver.


@dataclass
class Hook:
    """A receiver that runs, and the ledger that it writes to."""

    ledger: Ledger
    root: str
    http: httpx.Client

    @property
    def url(self) -> str:
        return f"{self.root}{PATH}?secret={QUOTED}"

    def post(self, body: Any, url: str = "") -> int:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.post(url or self.url, content=content).status_code

    def noted(self) -> list[str]:
        return [row[0] for row in rows_of(self.ledger.url, "SELECT task_uuid FROM wan_wakes ORDER BY task_uuid")]


@contextlib.contextmanager
def hook(url: str) -> Iterator[Hook]:
    """Serves the receiver of a ledger on a free port, in a thread."""
    with (
        contextlib.closing(Ledger(url)) as ledger,
        _bound("127.0.0.1", 0) as listening,
        httpx.Client(trust_env=False, timeout=20) as http,
    ):
        server = server_of(receiver_app(ledger, SECRET))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        yield Hook(ledger, f"http://127.0.0.1:{listening.getsockname()[1]}", http)
        server.should_exit = True
        thread.join()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hook]:
    with hook(f"sqlite:///{tmp_path_factory.mktemp('receiver')}/ledger.db") as running:
        yield running


def submitted(ledger: Ledger, prompt: str = "A red kite") -> str:
    """A task that a run waits for."""
    task_uuid = ledger.claim(request_of(prompt), Origin(), "a", simulated=True).task.task_uuid
    ledger.mark_submitted(task_uuid)
    return task_uuid


def test_flat_wrapped_and_failed_results_wake_their_tasks(receiver: Hook) -> None:
    one, two, three = (submitted(receiver.ledger, f"flat or not {number}") for number in range(3))

    assert receiver.post({"taskType": "videoInference", "taskUUID": one, "status": "success"}) == 204
    assert receiver.ledger.take_wakes([one, two, three]) == {one}
    assert receiver.post({"data": [{"taskUUID": one}, {"taskUUID": two.upper()}]}) == 204
    assert receiver.ledger.take_wakes([one, two, three]) == {one, two}
    assert receiver.post({"errors": [{"code": "someCode", "taskUUID": three}, {"code": "about no task"}]}) == 204
    assert receiver.ledger.take_wakes([one, two, three]) == {three}
    assert receiver.noted() == []


def test_a_wake_is_told_once_however_often_the_webhook_comes(receiver: Hook) -> None:
    task_uuid = submitted(receiver.ledger, "twice")

    answers = [receiver.post({"taskUUID": task_uuid}) for _ in range(3)]

    assert answers == [204] * 3
    assert receiver.ledger.take_wakes([task_uuid]) == {task_uuid}
    assert receiver.ledger.take_wakes([task_uuid]) == set()


def test_a_stranger_is_taken_and_never_written(receiver: Hook) -> None:
    known = submitted(receiver.ledger, "known")

    assert receiver.post({"data": [{"taskUUID": STRANGER}, {"taskUUID": known}]}) == 204
    assert receiver.noted() == [known]
    assert receiver.ledger.task(STRANGER) is None
    receiver.ledger.take_wakes([known])


@pytest.mark.parametrize(
    "query",
    ["", "?secret=", "?secret=wrong", f"?secret={QUOTED}x", f"?Secret={QUOTED}", f"?secret={QUOTED}&secret={QUOTED}"]
    + ["?secret=%ff%fe", "?" + "&".join("a=1" for _ in range(30)), f"?secret={QUOTED[:-1]}", "?secret=\u20ac"],
)
def test_who_does_not_know_the_secret_is_refused_and_nothing_is_read(receiver: Hook, query: str) -> None:
    task_uuid = submitted(receiver.ledger, "locked")

    assert receiver.post({"taskUUID": task_uuid}, receiver.root + PATH + query) == 403
    assert receiver.post({"taskUUID": task_uuid}, f"{receiver.root}/elsewhere{query}") == 403
    assert receiver.noted() == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe\x00", 400),
        (b"[" * 100_000, 400),
        (b'{"taskUUID": ' + b"9" * 5_000 + b"}", 400),
        (b"[]", 400),
        (b'"text"', 400),
        (b"{}", 400),
        ({"data": []}, 400),
        ({"data": [1]}, 400),
        ({"data": "text"}, 400),
        ({"taskUUID": "no UUID"}, 400),
        ({"taskUUID": {"deep": []}}, 400),
        ({"taskUUID": f"{{{STRANGER}}}"}, 400),
        ({"taskUUID": STRANGER.replace("-", "")}, 400),
        ({"data": [{"taskUUID": STRANGER}, {"taskUUID": 7}]}, 400),
        ({"data": [{"taskUUID": str(uuid.uuid4())} for _ in range(1_001)]}, 413),
        (b" " * 1_000_001, 413),
    ],
    ids=range(18),
)
def test_what_is_no_webhook_is_refused(receiver: Hook, body: Any, status: int) -> None:
    assert receiver.post(body) == status
    assert receiver.noted() == []


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.just(STRANGER),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["taskUUID", "data", "errors"]) | st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200) | JSON.map(lambda told: json.dumps(told).encode()))
def test_no_body_is_too_odd_for_an_answer(receiver: Hook, body: bytes) -> None:
    assert receiver.post(body) in (204, 400)
    assert receiver.noted() == []


def test_other_methods_and_places_are_refused(receiver: Hook) -> None:
    secret = f"?secret={QUOTED}"

    assert receiver.http.get(receiver.root + PATH + secret).status_code == 405
    assert receiver.http.post(receiver.root + "/other" + secret, content=b"{}").status_code == 404


def test_a_ledger_that_does_not_answer_makes_the_api_send_it_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with hook(f"sqlite:///{tmp_path}/ledger.db") as running:
        rows_of(running.ledger.url, "DROP TABLE wan_wakes")

        assert running.post({"taskUUID": STRANGER}) == 503
    assert "will be sent again" in caplog.text
    assert SECRET not in caplog.text
    assert QUOTED not in caplog.text


def test_the_secret_is_in_no_line_of_an_access_log(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    with hook(f"sqlite:///{tmp_path}/ledger.db") as running:
        access = logging.getLogger("uvicorn.access")
        access.setLevel(logging.INFO)
        running.post({"taskUUID": STRANGER})
        running.post(b"{")
        running.post(b"{", running.root + "/other?secret=" + QUOTED)
        running.post(b"{", running.url + "x")
    receiving = [record.getMessage() for record in caplog.records if not record.name.startswith("http")]

    assert not [line for line in receiving if "s3cret" in line]


def test_a_short_secret_is_refused(tmp_path: Path) -> None:
    with contextlib.closing(Ledger(f"sqlite:///{tmp_path}/ledger.db")) as ledger, pytest.raises(WebhookError):
        receiver_app(ledger, "fifteen letters")


def test_names_are_read_wherever_they_stand() -> None:
    others = [str(uuid.UUID(int=number)) for number in range(3)]
    body = {"taskUUID": others[0], "data": [{"taskUUID": others[1]}], "errors": {"taskUUID": others[2]}}

    assert task_uuids_in(json.dumps(body).encode()) == set(others)


# The ledger.


def test_a_run_is_told_of_its_own_tasks_alone(url: str) -> None:
    ledger = Ledger(url)
    mine, other = submitted(ledger, "mine"), submitted(ledger, "other")

    assert ledger.wake([mine, other, STRANGER]) == {mine, other}

    assert ledger.take_wakes([mine, STRANGER]) == {mine}
    assert Ledger(url).take_wakes([other]) == {other}
    assert ledger.take_wakes([mine, other]) == set()


def test_many_tasks_are_woken_at_once(url: str) -> None:
    ledger = Ledger(url)
    mine = submitted(ledger)
    others = [str(uuid.UUID(int=number)) for number in range(999)]

    assert ledger.wake([mine, *others]) == {mine}
    assert ledger.take_wakes([mine, *others]) == {mine}


@pytest.mark.parametrize(
    "end",
    [
        lambda ledger, task_uuid: ledger.settle(task_uuid, [], [473_000]),
        lambda ledger, task_uuid: ledger.mark_failed(task_uuid, FAULT),
        lambda ledger, task_uuid: ledger.mark_lost(task_uuid, FAULT),
    ],
    ids=["settled", "failed", "lost"],
)
def test_what_has_ended_is_no_longer_noted(url: str, end: Any) -> None:
    ledger = Ledger(url)
    task_uuid = submitted(ledger)
    ledger.wake([task_uuid])

    end(ledger, task_uuid)

    assert rows_of(url, "SELECT * FROM wan_wakes") == []


def test_a_webhook_for_what_is_settled_is_known_and_not_noted(url: str) -> None:
    ledger = Ledger(url)
    task_uuid = submitted(ledger)
    ledger.settle(task_uuid, [], [473_000])

    assert ledger.wake([task_uuid]) == {task_uuid}
    assert rows_of(url, "SELECT * FROM wan_wakes") == []


def test_what_nobody_has_asked_for_in_a_day_is_dropped(url: str) -> None:
    moments = iter([1_790_000_000.0] * 20)
    ledger = Ledger(url, clock=lambda: next(moments))
    old = submitted(ledger, "old")
    ledger.wake([old])
    later = Ledger(url, clock=lambda: 1_790_000_000.0 + 24 * 3600 + 1)

    later.wake([STRANGER])

    assert rows_of(url, "SELECT * FROM wan_wakes") == []


def test_a_ledger_of_version_2_is_brought_up_to_date_and_keeps_its_tasks(url: str) -> None:
    task_uuid = submitted(Ledger(url))
    rows_of(url, "DROP TABLE wan_wakes")
    rows_of(url, "UPDATE wan_ledger SET value = '2'")

    ledger = Ledger(url)

    assert ledger.wake([task_uuid]) == ledger.take_wakes([task_uuid]) == {task_uuid}
    assert rows_of(url, "SELECT value FROM wan_ledger") == [("3",)]
    assert ledger.task(task_uuid).state == "submitted"


# Runs that are woken.


def polls_of(made: Studio) -> int:
    """How often the simulator was asked for results."""
    return int(made.books.polls())


def woken(made: Studio, hook_url: str, orders: Any, pace: Any = SELDOM, **limits: Any) -> list[Any]:
    """A run whose tasks the API tells of at an address; its outcomes by partition."""

    async def read() -> list[Any]:
        ledger = made.ledger()
        async with RunwareClient(KEY, made.simulator.base_url, pace=pace, webhook_url=hook_url) as client:
            means = {"client": client, "store": made.store, "ledger": ledger}
            outcomes = generate(orders, **means, limits=Limits(**{"max_wait_s": 60.0, **limits}))
            found = [outcome async for outcome in outcomes]
        ledger.close()
        return found

    return sorted(asyncio.run(read()), key=lambda outcome: outcome.order.partition)


def test_a_run_that_polls_every_half_minute_ends_at_once_thanks_to_the_webhook(tmp_path: Path) -> None:
    with studio(tmp_path) as made, hook(made.url) as running:
        began = time.monotonic()

        outcomes = woken(made, running.url, orders_of(3, number_results=2))

        took_s = time.monotonic() - began
        assert (made.paid, running.noted()) == (3, [])
    assert errors_of(outcomes) == [""] * 3
    assert took_s < 15, "the first poll by time comes after 30 s"
