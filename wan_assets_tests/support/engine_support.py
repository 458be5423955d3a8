"""A small studio without Dagster: ledger, store, simulator and client in one folder, and runs of the engine in it."""

import asyncio
import contextlib
import itertools
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from wan_assets.client import HttpConfig, RunwareClient
from wan_assets.engine import Limits, OnProgress, Outcome, VideoJob, generate
from wan_assets.ledger import Budgets, Ledger, Origin
from wan_assets.models import usd
from wan_assets.models.request import VideoRequest, task_uuid_of
from wan_assets.settings import sqlite_url
from wan_assets.simulator import Behaviour, LocalSimulator
from wan_assets.store import StoredTask, StoredVideo, VideoStore

KEY = "rw-0123456789-secret-key"
PRICE = 473_000
"""Of 5 s at 720p, the lowest resolution with a published price, in µ$."""

CHARGES_EVERY_COPY: dict[str, Any] = {"duplicates": "race", "race_s": 3600.0}
"""An API that takes a second submission of a task for a second order, as the real one may."""

QUICK = HttpConfig(
    response_timeout_s=5.0,
    initial_poll_delay_s=0.05,
    max_poll_interval_s=0.1,
    initial_retry_delay_s=0.02,
    max_retry_delay_s=0.05,
    retry_jitter_s=0.0,
    download_read_timeout_s=5.0,
)


def caps(**microusd: int) -> Budgets:
    """Budgets in µ$; what is reserved is the list price alone, so that tests can count in whole prices."""
    amounts = {name.removesuffix("_microusd"): usd(amount) for name, amount in microusd.items()}
    return Budgets.of(**amounts, price_margin=Decimal(0))


def request_of(prompt: str = "A red kite", **parameters: Any) -> VideoRequest:
    """A cheap request: 720p, 5 s, without sound."""
    silent = {"alibaba": {"audio": False}}
    return VideoRequest.model_validate(
        {"positive_prompt": prompt, "resolution": "720p", "provider_settings": silent, **parameters}
    )


def jobs_of(number: int, **parameters: Any) -> list[VideoJob]:
    """Orders of different prompts, with partitions `p0`, `p1` and so on."""
    return [VideoJob(request_of(f"Kite {index}", **parameters), f"p{index}") for index in range(number)]


def uuids_of(jobs: list[VideoJob]) -> list[str]:
    """The UUIDs of the first tasks of some orders."""
    return [task_uuid_of(order.request.fingerprint(), 1, "wan-assets simulated") for order in jobs]


def seed_that(strikes: Callable[[list[bool]], bool], fault: str, rate: float, jobs: list[VideoJob]) -> dict[str, Any]:
    """A behaviour in which a fault strikes just those orders that it is meant to strike."""
    for seed in itertools.count():
        behaviour = Behaviour(faults={fault: rate}, seed=seed)
        if strikes([behaviour.has_fault(fault, task_uuid) for task_uuid in uuids_of(jobs)]):
            return {"faults": {fault: rate}, "seed": seed}
    raise AssertionError("the seeds have no end")


def stored_task(fingerprint: str = "f" * 64, task_uuid: str = "u-1", **changes: Any) -> StoredTask:
    """What a sidecar tells of a task, without any video unless given."""
    fields: dict[str, Any] = {
        "task_uuid": task_uuid,
        "fingerprint": fingerprint,
        "is_simulated": True,
        "prompt": "A red kite",
        "videos": (),
        "missing": (),
        "reserved_microusd": 0,
        "generation_s": 1.0,
        "stored_at": "2026-01-01T00:00:00.000+00:00",
        "request": {"positivePrompt": "A red kite"},
        "package_version": "0",
    }
    return StoredTask(**{**fields, **changes})


def stored_video(uri: str, size: int, sha256: str, cost_microusd: int | None = PRICE) -> StoredVideo:
    """What a sidecar tells of a file."""
    return StoredVideo(uri, size, sha256, "v-1", 7, cost_microusd, None, {"frames": 120}, "")


@dataclass
class Studio:
    """A folder with a ledger and a store, and the simulator that runs there; ledger and store may lie elsewhere."""

    folder: Path
    simulator: LocalSimulator
    url: str = ""
    place: VideoStore | None = None

    def __post_init__(self) -> None:
        self.url = self.url or sqlite_url(self.folder / "ledger.db")

    @property
    def store(self) -> VideoStore:
        return self.place or VideoStore(self.folder / "store")

    @property
    def journal(self) -> Any:
        return self.simulator.journal

    @property
    def paid(self) -> int:
        """How many tasks the account was charged for."""
        return len(self.journal.charges())

    def ledger(self, budget: Budgets | None = None, **settings: Any) -> Ledger:
        return Ledger(self.url, budget or caps(), **settings)

    def client(self, key: str = KEY, http_config: HttpConfig = QUICK) -> RunwareClient:
        return RunwareClient(key, self.simulator.base_url, http_config=http_config)

    @contextlib.asynccontextmanager
    async def running(
        self,
        jobs: Iterable[VideoJob],
        *,
        limits: Limits | None = None,
        budget: Budgets | None = None,
        origin: Origin | None = None,
        media: Mapping[str, Path] | None = None,
        on_progress: OnProgress | None = None,
        key: str = KEY,
        http_config: HttpConfig = QUICK,
        **ledger: Any,
    ) -> AsyncIterator[AsyncIterator[Outcome]]:
        """A run of the engine, to be read outcome by outcome."""
        book = self.ledger(budget, **ledger)
        means: dict[str, Any] = {"store": self.store, "ledger": book, "limits": limits or Limits(max_wait_s=20)}
        async with self.client(key, http_config) as client:
            outcomes = generate(jobs, client=client, origin=origin, media=media, on_progress=on_progress, **means)
            async with contextlib.aclosing(outcomes):
                yield outcomes
        book.close()

    def run(self, jobs: Iterable[VideoJob], **settings: Any) -> list[Outcome]:
        """A whole run of the engine; its outcomes by partition."""

        async def read() -> list[Outcome]:
            async with self.running(jobs, **settings) as outcomes:
                return [outcome async for outcome in outcomes]

        return sorted(asyncio.run(read()), key=lambda outcome: outcome.job.partition)

    def wait_for_submissions(self, count: int, within_s: float) -> bool:
        """Waits until so many tasks were submitted; whether they were."""
        end = time.monotonic() + within_s
        while self.journal.submissions() < count and time.monotonic() < end:
            time.sleep(0.01)
        return self.journal.submissions() >= count

    def run_while_busy(self, jobs: Iterable[VideoJob], event: Callable[[], object]) -> list[Outcome]:
        """The outcomes of a run during which an event happens after the first submission that the API refuses."""

        def later() -> None:
            self.wait_for_submissions(2, within_s=30)
            event()

        async def outcomes() -> list[Outcome]:
            async with asyncio.TaskGroup() as group, self.running(jobs) as running:
                group.create_task(asyncio.to_thread(later))
                return [outcome async for outcome in running]

        return asyncio.run(outcomes())

    def states(self) -> list[str]:
        """States of all tasks in the ledger, in order of creation."""
        return [row[0] for row in self.rows("SELECT state FROM wan_tasks ORDER BY created_at, attempt")]

    def rows(self, query: str) -> list[Any]:
        """What the ledger's database answers to a query."""
        return rows_of(self.url, query)


@contextlib.contextmanager
def studio(folder: Path, url: str = "", **behaviour: Any) -> Iterator[Studio]:
    """A studio whose simulator is quick, and behaves otherwise as told."""
    with LocalSimulator(folder / "simulator", Behaviour(**{"latency_s": 0.1, **behaviour})) as simulator:
        yield Studio(folder, simulator, url)


def rows_of(url: str, query: str) -> list[Any]:
    """What a database answers to a query, or nothing where it is no question."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        answer = connection.execute(sa.text(query))
        return list(answer) if answer.returns_rows else []


@contextlib.contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """A small disk of its own in the place of a folder; skips the test where none may be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a disk that is full or cannot be written to needs the right to mount one")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def errors_of(outcomes: Iterable[Outcome]) -> list[str]:
    """The names of the errors' classes; an empty name where there is none."""
    return [type(outcome.error).__name__ if outcome.error else "" for outcome in outcomes]


def run_in_store(made: Studio, store: VideoStore, jobs: list[VideoJob] | None = None, **settings: Any) -> list[Outcome]:
    made.place = store
    return made.run(jobs or jobs_of(1), **settings)
