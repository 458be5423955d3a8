"""Webhooks: what the receiver takes and refuses, what reaches the ledger, and runs that are woken by them."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dagster as dg
import dagster_support
import httpx
import pytest
import sqlalchemy as sa
import uvicorn
from api_double import Prepared
from bent_api import POLL, SUBMIT, Bend, BentStudio, Call, bent, on
from click.testing import CliRunner
from engine_support import KEY, PRICE, QUICK, Studio, errors_of, jobs_of, request_of, rows_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ports import free_port
from python_process import PythonProcess
from simulator_support import ManualClock, receiving
from starlette.applications import Starlette

from wan_assets import RunwareResource
from wan_assets.cli import cli
from wan_assets.client import HttpConfig, RunwareClient
from wan_assets.engine import Limits, Outcome, generate, recover
from wan_assets.engine.poller import Poller
from wan_assets.errors import ApiFault
from wan_assets.ledger import Ledger, Origin
from wan_assets.ledger.migrations import SCHEMA_VERSION
from wan_assets.orchestration import resources_of
from wan_assets.servers.http_server import _bound, server_of
from wan_assets.servers.webhook_receiver import PATH, WebhookError, receiver_app, task_uuids_in
from wan_assets.settings import SettingsError, settings_from

SECRET = "s3cret-of-a-webhook+and/more"
QUOTED = "s3cret-of-a-webhook%2Band%2Fmore"
STRANGER = "5f0c1c9e-6a5e-4c53-9f5a-3b1d4c3b2a10"
FAULT = ApiFault("someCode", "some message")
SELDOM = replace(QUICK, initial_poll_delay_s=30.0, max_poll_interval_s=30.0, webhook_poll_interval_s=0.05)
"""Without a webhook, nothing is asked within any test's time."""
SOON_S = 15.0
"""Half of that, which is much on any machine."""


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
def hook(url: str, serve: Callable[[Starlette], uvicorn.Server] = server_of) -> Iterator[Hook]:
    """Serves the receiver of a ledger on a free port, in a thread."""
    with (
        contextlib.closing(Ledger(url)) as ledger,
        _bound("127.0.0.1", 0) as listening,
        httpx.Client(trust_env=False, timeout=20) as http,
    ):
        server = serve(receiver_app(ledger, SECRET))
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
    assert receiver.ledger.take_hints([one, two, three]) == {one}
    assert receiver.post({"data": [{"taskUUID": one}, {"taskUUID": two.upper()}]}) == 204
    assert receiver.ledger.take_hints([one, two, three]) == {one, two}
    assert receiver.post({"errors": [{"code": "someCode", "taskUUID": three}, {"code": "about no task"}]}) == 204
    assert receiver.ledger.take_hints([one, two, three]) == {three}
    assert receiver.noted() == []


def test_a_wake_is_told_once_however_often_the_webhook_comes(receiver: Hook) -> None:
    task_uuid = submitted(receiver.ledger, "twice")

    answers = [receiver.post({"taskUUID": task_uuid}) for _ in range(3)]

    assert answers == [204] * 3
    assert receiver.ledger.take_hints([task_uuid]) == {task_uuid}
    assert receiver.ledger.take_hints([task_uuid]) == set()


def test_a_stranger_is_taken_and_never_written(receiver: Hook) -> None:
    known = submitted(receiver.ledger, "known")

    assert receiver.post({"data": [{"taskUUID": STRANGER}, {"taskUUID": known}]}) == 204
    assert receiver.noted() == [known]
    assert receiver.ledger.task(STRANGER) is None
    receiver.ledger.take_hints([known])


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?secret=",
        "?secret=wrong",
        "?secret=%ff%fe",
        "?secret=\u20ac",
        f"?secret={QUOTED}x",
        f"?secret={QUOTED[:-1]}",
        f"?Secret={QUOTED}",
        f"?secret={QUOTED}&secret={QUOTED}",
        "?" + "&".join("a=1" for _ in range(30)),
    ],
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
        ({"taskUUID": f"{{{STRANGER}"[:30]}, 400),
        ({"taskUUID": STRANGER.replace("-", "")[1:]}, 400),
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
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["taskUUID", "data", "errors"]) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200) | JSON.map(lambda reported: json.dumps(reported).encode()))
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
    def talkative(app: Starlette) -> uvicorn.Server:
        return uvicorn.Server(uvicorn.Config(app, log_config=None, log_level="info", access_log=True, lifespan="off"))

    caplog.set_level(logging.DEBUG)
    with hook(f"sqlite:///{tmp_path}/ledger.db", talkative) as running:
        running.post({"taskUUID": STRANGER})
        running.post(b"{")
        running.post(b"{", running.root + "/other?secret=" + QUOTED)
        running.post(b"{", running.url + "x")
    said = [record.getMessage() for record in caplog.records if record.name.startswith(("uvicorn", "wan_assets"))]

    assert len([line for line in said if "POST" in line]) == 4
    assert "s3cret" not in "".join(said)


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

    assert ledger.add_hints([mine, other, STRANGER]) == {mine, other}

    assert ledger.take_hints([mine, STRANGER]) == {mine}
    assert Ledger(url).take_hints([other]) == {other}
    assert ledger.take_hints([mine, other]) == set()


def test_many_tasks_are_woken_at_once(url: str) -> None:
    ledger = Ledger(url)
    mine = submitted(ledger)
    others = [str(uuid.UUID(int=number)) for number in range(999)]

    assert ledger.add_hints([mine, *others]) == {mine}
    assert ledger.take_hints([mine, *others]) == {mine}


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
    ledger.add_hints([task_uuid])

    end(ledger, task_uuid)

    assert rows_of(url, "SELECT * FROM wan_wakes") == []


def test_a_task_that_ends_while_its_webhook_comes_is_not_noted(postgres_url: str) -> None:
    ledger = Ledger(postgres_url)
    task_uuid = submitted(ledger)
    engine = sa.create_engine(postgres_url)
    cost_reporter = threading.Thread(target=ledger.add_hints, args=([task_uuid],))

    with engine.begin() as ending, engine.connect() as watching:
        ending.execute(sa.text("UPDATE wan_tasks SET state = 'failed' WHERE task_uuid = :task"), {"task": task_uuid})
        cost_reporter.start()
        waits = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        while cost_reporter.is_alive() and not watching.scalar(waits):
            watching.rollback()
    cost_reporter.join(timeout=20)
    engine.dispose()

    assert rows_of(postgres_url, "SELECT * FROM wan_wakes") == []


def test_a_webhook_for_what_is_settled_is_known_and_not_noted(url: str) -> None:
    ledger = Ledger(url)
    task_uuid = submitted(ledger)
    ledger.settle(task_uuid, [], [473_000])

    assert ledger.add_hints([task_uuid]) == {task_uuid}
    assert rows_of(url, "SELECT * FROM wan_wakes") == []


def test_what_nobody_has_asked_for_in_a_day_is_dropped(url: str) -> None:
    moments = iter([1_790_000_000.0] * 20)
    ledger = Ledger(url, clock=lambda: next(moments))
    old = submitted(ledger, "old")
    ledger.add_hints([old])
    later = Ledger(url, clock=lambda: 1_790_000_000.0 + 24 * 3600 + 1)

    later.add_hints([STRANGER])

    assert rows_of(url, "SELECT * FROM wan_wakes") == []


def test_a_ledger_of_version_2_is_brought_up_to_date_and_keeps_its_tasks(url: str) -> None:
    task_uuid = submitted(Ledger(url))
    rows_of(url, "DROP TABLE wan_wakes")
    rows_of(url, "UPDATE wan_ledger SET value = '2' WHERE name = 'schema_version'")

    ledger = Ledger(url)

    assert ledger.add_hints([task_uuid]) == ledger.take_hints([task_uuid]) == {task_uuid}
    assert rows_of(url, "SELECT value FROM wan_ledger WHERE name = 'schema_version'") == [(str(SCHEMA_VERSION),)]
    assert ledger.task(task_uuid).state == "submitted"


# Runs that are woken.


@contextlib.contextmanager
def hooked(
    folder: Path, bend: Callable[[BentStudio, Hook], Bend] | None = None, *, url: str = "", **behaviour: Any
) -> Iterator[tuple[BentStudio, Hook]]:
    """A studio and the receiver of its ledger, where answers are bent by what is made of both."""
    late: list[Bend] = []
    with bent(folder, lambda call: late[0](call) if late else None, **{"latency_s": 0.1, **behaviour}) as made:
        made.url = url or made.url
        with hook(made.url) as running:
            late.extend([bend(made, running)] if bend else [])
            yield made, running


async def generated(made: Studio, jobs: Any, hook_url: str, http_config: HttpConfig, limits: Limits) -> list[Outcome]:
    with contextlib.closing(made.ledger()) as ledger:
        async with RunwareClient(KEY, made.simulator.base_url, http_config=http_config, webhook_url=hook_url) as client:
            outcomes = generate(jobs, client=client, store=made.store, ledger=ledger, limits=limits)
            return [outcome async for outcome in outcomes]


def woken(
    made: Studio, hook_url: str, jobs: Any, http_config: HttpConfig = SELDOM, **limits: Any
) -> tuple[list[Outcome], float]:
    """A run whose tasks the API tells of at an address: its outcomes by partition, and the seconds it took."""
    began = time.monotonic()
    found = asyncio.run(generated(made, jobs, hook_url, http_config, Limits(**{"max_wait_s": 60.0, **limits})))
    return sorted(found, key=lambda outcome: outcome.job.partition), time.monotonic() - began


@pytest.mark.slow
def test_a_run_that_polls_every_half_minute_ends_at_once_thanks_to_the_webhook(tmp_path: Path, url: str) -> None:
    with hooked(tmp_path, url=url, webhook_copies=2) as (made, running):
        outcomes, took_s = woken(made, running.url, jobs_of(3, number_results=2))

        made.assert_paid_once(3, results=2)
        assert made.calls(SUBMIT)[0].tasks[0]["webhookURL"] == running.url
        assert running.noted() == []
    assert errors_of(outcomes) == [""] * 3
    assert took_s < SOON_S


@pytest.mark.parametrize("is_wrapped", [False, True], ids=["flat", "wrapped"])
def test_the_webhook_of_a_failure_wakes_too(tmp_path: Path, is_wrapped: bool) -> None:
    failing = {"faults": {"verdict_safety": 1.0}, "is_webhook_wrapped": is_wrapped}

    with hooked(tmp_path, **failing) as (made, running):
        outcomes, took_s = woken(made, running.url, jobs_of(1))

        assert made.states() == ["failed"]
    assert errors_of(outcomes) == ["ContentBlockedError"]
    assert took_s < SOON_S


def test_a_forged_webhook_makes_a_poll_and_settles_nothing(tmp_path: Path) -> None:
    clock, seen = ManualClock(), []

    def forging(made: BentStudio, running: Hook) -> Bend:
        """Tells of a success at once; it is true only after the second poll, when the API tells of it, too."""

        def bend(call: Call) -> None:
            if call.kind == POLL:
                seen.append((made.states(), made.money))
                clock.now += 1000.0 * (call.number == 2)
            if call.kind == SUBMIT:
                running.post({"taskUUID": call.task_uuid, "status": "success", "videoURL": "http://x.example/"})

        return bend

    with hooked(tmp_path, forging, latency_s=100.0, clock=clock) as (made, running):
        outcomes, took_s = woken(made, running.url, jobs_of(1))

        made.assert_paid_once()
        assert len(made.calls(POLL)) >= 3
    assert seen[:3] == [(["submitted"], (0, PRICE, 0))] * 3
    assert errors_of(outcomes) == [""]
    assert took_s < SOON_S


@pytest.mark.slow
def test_a_flood_of_webhooks_polls_a_task_at_most_once_a_beat(tmp_path: Path) -> None:
    http_config = replace(SELDOM, webhook_poll_interval_s=0.3)

    def cost_reporter(_: BentStudio, running: Hook) -> Bend:
        """Every answer is followed by a wake, and so is every submission."""
        return lambda call: reported(running, call) if call.kind in (SUBMIT, POLL) else None

    def reported(running: Hook, call: Call) -> None:
        for _ in range(3):
            running.post({"taskUUID": call.task_uuid})

    with hooked(tmp_path, cost_reporter, latency_s=2.0) as (made, running):
        outcomes, took_s = woken(made, running.url, jobs_of(1), http_config)

        polls = len(made.calls(POLL))
    assert errors_of(outcomes) == [""]
    assert 3 <= polls <= took_s / http_config.webhook_poll_interval_s + 1


@pytest.mark.slow
def test_a_poller_that_is_woken_without_end_polls_once_a_beat(tmp_path: Path) -> None:
    http_config = replace(SELDOM, webhook_poll_interval_s=0.2)

    async def flooded(made: BentStudio) -> None:
        async with RunwareClient(KEY, made.simulator.base_url, http_config=http_config) as client:
            await client.submit(request_of().to_task(STRANGER))
            poller = Poller(client)
            polling = asyncio.create_task(poller.run())
            waiting = asyncio.create_task(poller.finished(STRANGER, 1, 60.0))
            while not waiting.done():
                poller.poll_soon({STRANGER})
                await asyncio.sleep(0)
            polling.cancel()

    with bent(tmp_path, latency_s=1.0) as made:
        began = time.monotonic()
        asyncio.run(flooded(made))

        assert 2 <= len(made.calls(POLL)) <= (time.monotonic() - began) / http_config.webhook_poll_interval_s + 1


def test_a_result_that_the_api_tells_of_after_its_webhook_is_asked_for_again_soon(tmp_path: Path) -> None:
    def running_still(call: Call) -> Prepared:
        return Prepared({"data": [{"taskType": SUBMIT, "taskUUID": call.task_uuid, "status": "processing"}]})

    with hooked(tmp_path, lambda *_: on(POLL, running_still, first=2)) as (made, running):
        outcomes, took_s = woken(made, running.url, jobs_of(1))

        made.assert_paid_once()
    assert errors_of(outcomes) == [""]
    assert took_s < SOON_S


def test_wakes_do_not_use_up_the_patience_with_a_result_that_has_no_address_yet(tmp_path: Path) -> None:
    http_config = replace(SELDOM, webhook_poll_interval_s=0.2)

    def without_url(_: BentStudio, running: Hook) -> Bend:
        def bend(call: Call) -> Prepared | None:
            running.post({"taskUUID": call.task_uuid})
            items = [{key: value for key, value in item.items() if key != "videoURL"} for item in call.body["data"]]
            return Prepared({"data": items})

        return on(POLL, bend)

    with hooked(tmp_path, without_url, latency_s=0.0) as (made, running):
        outcomes, _ = woken(made, running.url, jobs_of(1), http_config)
        polls = [call.at for call in made.calls(POLL)]
    assert errors_of(outcomes) == ["OutputUnavailableError"]
    assert len(polls) == 4
    assert polls[-1] - polls[0] > 1.2, "1.25, 1.56 and 1.95 times two beats, and not one beat each"


@pytest.mark.slow
@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1/webhook?secret=" + QUOTED, "{root}/webhook?secret=wrong-secret-wrong"]
)
def test_lost_webhooks_cost_only_time(tmp_path: Path, address: str) -> None:
    with hooked(tmp_path) as (made, running):
        outcomes, _ = woken(made, address.format(root=running.root), jobs_of(3), QUICK)

        made.assert_paid_once(3)
    assert errors_of(outcomes) == [""] * 3


def test_a_ledger_without_wakes_costs_only_time(tmp_path: Path) -> None:
    renamed = {SUBMIT: "wan_wakes RENAME TO gone", POLL: "gone RENAME TO wan_wakes"}

    def broken(made: BentStudio, _: Hook) -> Bend:
        """The table is away between the submission and the first poll."""

        def bend(call: Call) -> None:
            if call.kind in renamed and call.number == 1:
                rows_of(made.url, f"ALTER TABLE {renamed[call.kind]}")

        return bend

    with hooked(tmp_path, broken) as (made, running):
        outcomes, _ = woken(made, running.url, jobs_of(1), replace(QUICK, initial_poll_delay_s=0.5))

        made.assert_paid_once()
    assert errors_of(outcomes) == [""]


@pytest.mark.parametrize("has_webhook", [True, False])
def test_the_ledger_is_asked_for_wakes_only_where_a_webhook_is_configured(tmp_path: Path, has_webhook: bool) -> None:
    asked: list[str] = []

    class Watched(BentStudio):
        def ledger(self, *arguments: Any, **given: Any) -> Ledger:
            ledger = super().ledger(*arguments, **given)
            sa.event.listen(ledger._engine, "before_cursor_execute", lambda *reported: asked.append(reported[2]))
            return ledger

    with hooked(tmp_path, latency_s=0.5) as (made, running):
        watched = Watched(tmp_path, made.simulator)
        woken(watched, running.url if has_webhook else "", jobs_of(1), replace(QUICK, webhook_poll_interval_s=0.05))

    assert any("SELECT wan_wakes" in statement for statement in asked) is has_webhook


def test_a_webhook_that_came_before_anybody_waited_wakes_the_recovery(tmp_path: Path) -> None:
    async def recovered(made: BentStudio, running: Hook) -> list[Any]:
        ledger = running.ledger
        async with RunwareClient(KEY, made.simulator.base_url, http_config=SELDOM, webhook_url=running.url) as client:
            task = ledger.claim(request_of(), Origin(), "a", simulated=True).task
            await client.submit(request_of().to_task(task.task_uuid))
            ledger.mark_submitted(task.task_uuid)
            ledger.release_leases("a")
            await asyncio.to_thread(running.post, {"taskUUID": task.task_uuid})
            found = recover(client=client, store=made.store, ledger=ledger)
            return [each async for each in found]

    with hooked(tmp_path, latency_s=0.0) as (made, running):
        began = time.monotonic()
        (found,) = asyncio.run(recovered(made, running))

        made.assert_paid_once()
    assert found.stored
    assert time.monotonic() - began < SOON_S


def test_a_row_with_a_webhook_of_its_own_keeps_it(tmp_path: Path) -> None:
    with hooked(tmp_path) as (made, running), receiving() as own:
        woken(made, running.url, jobs_of(1, webhook_url=own.url), QUICK)

        assert made.calls(SUBMIT)[0].tasks[0]["webhookURL"] == own.url
        assert own.received.get(timeout=5)


# The secret.


def written_in(folder: Path) -> bytes:
    """All that lies in the ledger and the store."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file() and "simulator" not in path.parts)


def test_the_secret_is_written_nowhere_also_where_the_api_repeats_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    def refusing(call: Call) -> Prepared:
        said = f"webhookURL {call.tasks[0]['webhookURL']} or {SECRET} is not reachable"
        return Prepared({"errors": [{"code": "invalidWebhookURL", "message": said, "taskUUID": call.task_uuid}]}, 400)

    with hooked(tmp_path, lambda *_: on(SUBMIT, refusing, first=1)) as (made, running):
        (refused,), _ = woken(made, running.url, jobs_of(1))
        (stored,), _ = woken(made, running.url, jobs_of(1))

        assert made.calls(SUBMIT)[1].tasks[0]["webhookURL"] == running.url
    assert errors_of([refused, stored]) == ["RequestRejectedError", ""]
    assert "is not reachable" in str(refused.error)
    # httpx, which speaks for the API here when it calls the receiver, tells of each request.
    logged = "".join(record.getMessage() for record in caplog.records if PATH not in record.getMessage())
    assert "s3cret" not in repr(refused) + repr(stored) + str(refused.error) + repr(refused.error.fault) + logged
    assert b"s3cret" not in written_in(tmp_path)
    assert STRANGER.encode() not in written_in(tmp_path)


def test_dagster_is_told_nothing_of_the_secret(tmp_path: Path) -> None:
    with dagster_support.studio(tmp_path) as made, hook(f"sqlite:///{tmp_path / 'ledger.db'}") as running:
        account = RunwareResource(
            api_key="a-key-for-tests",
            base_url=made.simulator.base_url,
            webhook_url=running.url,
            initial_poll_delay_s=30.0,
            max_poll_interval_s=30.0,
        )
        dagster_support.sync_partitions(made.instance, "videos", ["a"])
        table = dagster_support.written(tmp_path, dagster_support.table_of("A red kite"))
        definitions = dagster_support.build_video_assets(prompts=table)
        began = time.monotonic()
        result = dg.materialize(
            list(definitions.assets or ()),
            instance=made.instance,
            resources={**made.resources(), "runware": account},
            partition_key="a",
            selection="videos",
        )
        took_s = time.monotonic() - began
        events = [str(event) for event in made.instance.all_logs(result.run_id)]

    assert result.success
    assert took_s < SOON_S
    assert "a" in dagster_support.materialized(result)
    assert "s3cret" not in "".join(events)


def test_a_webhook_that_is_no_address_is_refused_and_not_repeated() -> None:
    account = RunwareResource(api_key="a-key-for-tests", webhook_url=f"example.com/webhook?secret={QUOTED}")

    with pytest.raises(SettingsError, match="must be an http or https URL") as refused:
        account.connect()

    assert "s3cret" not in str(refused.value)


# The command.


def test_the_command_does_not_start_without_a_secret_or_a_ledger(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/none.db"
    asked = ["webhook", "--url", url, "--port", "1"]

    for secret, words in (("", "not set"), ("fifteen letters", "16 characters"), (SECRET, "no ledger")):
        result = CliRunner().invoke(cli, asked, env={"WAN_ASSETS_WEBHOOK_SECRET": secret})
        assert (result.exit_code, words in result.stderr) == (2, True), result.output
        assert "what to do" in result.stderr
        assert not secret or secret not in result.output
    assert list(tmp_path.iterdir()) == []


def test_the_command_takes_webhooks_on_loopback_and_never_prints_the_secret(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    task_uuid = submitted(Ledger(url))
    port = free_port()
    command = ["-m", "wan_assets", "webhook", "--url", url, "--port", str(port)]
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    environment = {**os.environ, "WAN_ASSETS_WEBHOOK_SECRET": SECRET}

    with PythonProcess(command, env=environment, **piped) as process:
        announced = process.stdout.readline()
        address = f"http://127.0.0.1:{port}{PATH}?secret="
        answers = [
            httpx.post(address + secret, json={"taskUUID": task_uuid}, trust_env=False).status_code
            for secret in (QUOTED, "wrong")
        ]
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()

    assert f"http://127.0.0.1:{port}{PATH}" in announced
    assert (answers, process.returncode) == ([204, 403], 0)
    assert "s3cret" not in announced + said
    assert said == ""
    assert Ledger(url).take_hints([task_uuid]) == {task_uuid}


@pytest.mark.slow
def test_the_receiver_needs_no_dagster() -> None:
    script = "import sys; import wan_assets.cli.commands.webhook; sys.exit('dagster' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("address", ["", "https://hooks.example.com/webhook?secret=0123456789abcdef"])
def test_the_environment_gives_the_address_and_nothing_keeps_it(address: str) -> None:
    settings = settings_from({"RUNWARE_API_KEY": "a-key", "WAN_ASSETS_WEBHOOK_URL": address})

    account = resources_of(settings)["runware"]

    assert isinstance(account, RunwareResource)
    assert account.webhook_url == (dg.EnvVar("WAN_ASSETS_WEBHOOK_URL") if address else "")
    assert "0123456789abcdef" not in f"{settings} {account}"
