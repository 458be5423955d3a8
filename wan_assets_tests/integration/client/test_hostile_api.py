"""Whatever an API answers about one row, all other rows complete, and the ledger has what the API has in its books."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from engine_support import KEY, QUICK, request_of
from hostile_answers import CATALOGUE
from hostile_api import ALWAYS, FILE, POLL, SUBMIT, HostileApi, Hostility

from wan_assets.client import RunwareClient
from wan_assets.engine import Limits, Outcome, VideoJob, generate
from wan_assets.ledger import Ledger, Task, TaskState
from wan_assets.store import VideoStore

PACE = replace(
    QUICK,
    response_timeout_s=0.6,
    max_response_bytes=1 << 20,
    max_retry_after_s=0.3,
    max_tries=6,
    max_download_tries=3,
    download_read_timeout_s=0.8,
    download_window_s=0.8,
    download_timeout_s=5.0,
    max_download_bytes=4 << 20,
)
LIMITS = Limits(max_in_flight=200, max_attempts=1, max_wait_s=4.0, max_stall_s=4.0, max_downloads=60)
WELL_TREATED = 4
TOGETHER = 110
SHARING = 14
"""Malformed answers to polls spoil those of other rows too, until each is asked for alone."""


def groups() -> list[list[Hostility]]:
    """The catalogue in runs: many answers share one, save those that must not meet."""
    alone = [[each] for each in CATALOGUE if each.is_alone]
    malformed = list(batched([each for each in CATALOGUE if each.is_malformed], SHARING))
    rest = [each for each in CATALOGUE if not (each.is_alone or each.is_malformed)]
    shared = [
        some for stage in (SUBMIT, POLL, FILE) for some in batched([e for e in rest if e.stage == stage], TOGETHER)
    ]
    return [*shared, *malformed, *alone]


def batched(some: list[Hostility], maximum: int) -> list[list[Hostility]]:
    return [some[start : start + maximum] for start in range(0, len(some), maximum)]


def job_of(prompt: str, number_results: int = 1) -> VideoJob:
    return VideoJob(request_of(prompt, number_results=number_results), prompt)


def run(folder: Path, api: HostileApi, jobs: Sequence[VideoJob], limits: Limits = LIMITS) -> dict[str, Outcome]:
    """One run of the engine; what became of each row by its prompt."""

    async def outcomes() -> list[Outcome]:
        async with RunwareClient(KEY, api.base_url, http_config=PACE) as client:
            means = {"store": VideoStore(folder / "store"), "ledger": ledger, "limits": limits}
            async with aclosing(generate(jobs, client=client, **means)) as found:
                return [outcome async for outcome in found]

    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    try:
        return {outcome.job.partition: outcome for outcome in asyncio.run(outcomes())}
    finally:
        ledger.close()


def tasks_of(folder: Path) -> dict[str, list[Task]]:
    """The ledger's tasks by row."""
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    found: dict[str, list[Task]] = {}
    for task in ledger.tasks_where():
        found.setdefault(task.origin.partition, []).append(task)
    ledger.close()
    return found


def wrong_books(api: HostileApi, tasks: dict[str, list[Task]]) -> list[str]:
    """Rows of which the ledger has less than was charged, or something else where it holds nothing back."""
    wrong = []
    for prompt, mine in tasks.items():
        cost, reserved = sum(each.cost_microusd for each in mine), sum(each.reserved_microusd for each in mine)
        charged = api.charged(prompt)
        if cost + reserved < charged or (not reserved and cost != charged):
            states = [each.state.value for each in mine]
            wrong.append(f"{prompt}: charged {charged}, cost {cost}, reserved {reserved}, {states}")
    return wrong


def test_the_catalogue_has_more_than_two_hundred_answers() -> None:
    assert len({each.name for each in CATALOGUE}) == len(CATALOGUE) >= 200
    assert {each.stage for each in CATALOGUE} == {SUBMIT, POLL, FILE}


@pytest.mark.slow
@pytest.mark.parametrize("hostile", groups(), ids=lambda some: f"{some[0].name} and {len(some) - 1} more")
def test_whatever_is_answered_about_some_rows_the_others_complete_and_the_books_are_equal(
    hostile: list[Hostility], video: bytes, tmp_path: Path
) -> None:
    well = [f"Well {index}" for index in range(WELL_TREATED)]
    jobs = [job_of(prompt) for prompt in well] + [job_of(each.name, each.number_results) for each in hostile]
    with HostileApi(video, {each.name: each for each in hostile}) as api:
        first = run(tmp_path, api, jobs)

        assert {prompt: str(first[prompt].error) for prompt in well if first[prompt].stored is None} == {}
        assert wrong_books(api, tasks_of(tmp_path)) == []
        behaves = [each.name for each in hostile if each.times < ALWAYS and each.stage != FILE and each.accepts]
        assert {name: str(first[name].error) for name in behaves if first[name].stored is None} == {}

        api.is_reformed = True
        second = run(tmp_path, api, jobs)

        tasks = tasks_of(tmp_path)
        assert wrong_books(api, tasks) == []
        assert (
            len(api.submitted) - len(set(api.submitted)) <= sum(not each.accepts for each in hostile) * PACE.max_tries
        )
        assert all(len(set(charges)) == 1 for charges in api.charges.values())
    files = [each.name for each in hostile if each.stage == FILE]
    assert {name: str(second[name].error) for name in [*well, *files] if second[name].stored is None} == {}
    close_what_is_open(tmp_path)


def close_what_is_open(folder: Path) -> None:
    """Settles each task that has ended without a video or without its cost, as a person would."""
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    for task in ledger.tasks_where():
        if task.state is TaskState.DELIVERED or task.is_lost or task.is_cost_unknown:
            assert ledger.record_cost(task.task_uuid, 0).reserved_microusd == 0
    assert not [task.state for task in ledger.open_tasks() if task.state in (TaskState.DELIVERED, TaskState.LOST)]
    ledger.close()
