"""When the poller asks: soon where tasks are quick, together where they are many, and not while it is told to wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from api_double import refused
from bent_api import PATIENT, POLL, BentStudio, bent, on
from engine_support import KEY, request_of

from wan_assets.client import HttpConfig, RunwareClient
from wan_assets.engine.poller import Poller

UUIDS = tuple(f"770a3ef5-2dc8-4ed1-9f7d-47a8e9df10{number:02}" for number in range(40))
BEAT_S = 0.5


def polled(
    made: BentStudio,
    http_config: HttpConfig,
    apart_s: float,
    then: Callable[[Poller], Any] = lambda _: None,
    *,
    tasks: int = 3,
    polls_per_post: int = 100,
) -> list[float]:
    """When it asked for tasks that were waited for one after the other, in seconds after the first of those polls."""

    async def waited() -> None:
        async with RunwareClient(KEY, made.simulator.base_url, http_config=http_config) as client:
            client.polls_per_post = polls_per_post
            poller = Poller(client)
            polling = asyncio.create_task(poller.run())
            waits = []
            for task_uuid in UUIDS[:tasks]:
                await client.submit(request_of().to_task(task_uuid))
                waits.append(asyncio.create_task(poller.finished(task_uuid, 1, 20.0)))
                await asyncio.sleep(apart_s)
                then(poller)
            await asyncio.gather(*waits)
            polling.cancel()

    asyncio.run(waited())
    ats = [call.at for call in made.calls(POLL)]
    return [at - ats[0] for at in ats]


def test_quick_tasks_that_began_a_moment_apart_are_found_a_moment_apart(tmp_path: Path) -> None:
    http_config = replace(HttpConfig(), initial_poll_delay_s=4 * BEAT_S, webhook_poll_interval_s=2 * BEAT_S)

    with bent(tmp_path) as made:
        ats = polled(made, http_config, 0.15)

    assert len(ats) == 3
    assert ats[-1] < 2 * BEAT_S, "they began 0.3 s apart; a beat after each poll would be 1 s in all"


def test_tasks_that_are_woken_a_moment_apart_share_the_polls_of_a_beat(tmp_path: Path) -> None:
    http_config = replace(HttpConfig(), initial_poll_delay_s=60.0, webhook_poll_interval_s=2 * BEAT_S)

    with bent(tmp_path) as made:
        ats = polled(made, http_config, 0.15, lambda poller: poller.poll_soon(UUIDS))

    assert len(ats) == 2
    assert ats[-1] >= BEAT_S


def test_a_task_that_comes_while_the_api_wants_no_polls_waits_too(tmp_path: Path) -> None:
    busy = replace(refused("rateLimitExceeded", 429, None), headers={"Retry-After": "1"})
    http_config = replace(PATIENT, initial_poll_delay_s=0.05, initial_retry_delay_s=0.05)

    with bent(tmp_path, on(POLL, lambda _: busy, first=1)) as made:
        ats = polled(made, http_config, 0.3)

    assert len(ats) >= 2
    assert ats[1] >= 1.0


def test_the_more_tasks_there_are_the_longer_each_is_left_alone(tmp_path: Path) -> None:
    http_config = replace(PATIENT, initial_poll_delay_s=0.02, max_poll_interval_s=10.0)

    with bent(tmp_path, latency_s=1.5) as made:
        ats = polled(made, http_config, 0.0, tasks=len(UUIDS), polls_per_post=1)

    assert 2 * len(UUIDS) <= len(ats) <= 100 * ats[-1] + len(UUIDS)
