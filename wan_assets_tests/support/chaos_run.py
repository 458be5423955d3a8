"""A run of the real assets that kills or suspends its own process at a named point.

Arguments: `FOLDER BASE_URL [POINT PASSES SIGNAL]`, with the name of a signal such as SIGKILL or SIGSTOP.

Everything is the product's own; the classes here only count how often a point is passed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import httpx

from wan_assets import LedgerResource, RunwareResource, VideoStoreResource, build_video_assets
from wan_assets.cli.dagster_home import instance_in
from wan_assets.client import HttpConfig, RunwareClient
from wan_assets.client.connections import Connections
from wan_assets.engine import Outcome
from wan_assets.ledger import Budgets, Claim, Ledger, Task
from wan_assets.orchestration.partitions.sync import sync_partitions
from wan_assets.prompts import PromptTable
from wan_assets.settings import sqlite_url
from wan_assets.store import StoredTask, VideoStore

POINTS = (
    "before the ledger's commit",
    "after the ledger's commit",
    "after the POST",
    "before the acknowledgement is booked",
    "before the settlement's commit",
    "during the download",
    "between file and sidecar",
    "between store and ledger",
    "before the event",
)
"""In the order in which a task passes them."""

SUSPENSIONS = (
    "before the POST",
    "after the POST",
    "before the acknowledgement is noted",
    "during the download",
    "between file and sidecar",
    "before the event",
)
"""Points outside the ledger's transactions: a process that is suspended within one keeps all others from writing."""

LEASE_S = 6.0
"""Much shorter than in use, so that suspensions need not be long."""

PACE = HttpConfig(
    response_timeout_s=3.0,
    download_read_timeout_s=3.0,
    max_retry_delay_s=4.0,
    initial_poll_delay_s=0.5,
    max_poll_interval_s=2.0,
)


class Trap:
    """Sends this process a signal when a point is passed for the n-th time, once it is set."""

    def __init__(self) -> None:
        self._point, self._left, self._signal = "", -1, signal.SIGKILL
        self.writing = threading.RLock()

    def set(self, point: str, passes: int, number: signal.Signals) -> None:
        self._point, self._left, self._signal = point, passes, number

    def passed(self, point: str) -> None:
        if point != self._point or self._left <= 0:
            return
        self._left -= 1
        if not self._left and self._signal is signal.SIGKILL:
            os.kill(os.getpid(), signal.SIGKILL)
        elif not self._left:
            with self.writing:
                os.kill(os.getpid(), self._signal)


TRAP = Trap()


class TrappedLedger(Ledger):
    """The ledger, with points around its commits."""

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        with TRAP.writing, super()._transaction() as connection:
            yield connection

    def claim(self, *arguments: Any, **settings: Any) -> Claim:
        claim = super().claim(*arguments, **settings)
        if claim.status == "new":
            TRAP.passed("after the ledger's commit")
        return claim

    def _insert(self, *arguments: Any, **settings: Any) -> Task:
        task = super()._insert(*arguments, **settings)
        TRAP.passed("before the ledger's commit")
        return task

    def mark_submitted(self, *arguments: Any) -> None:
        TRAP.passed("before the acknowledgement is booked")
        super().mark_submitted(*arguments)

    def _settled(self, *arguments: Any) -> dict[str, int]:
        money = super()._settled(*arguments)
        TRAP.passed("before the settlement's commit")
        return money


class TrappedStore(VideoStore):
    """The store, with points after the file and after the sidecar."""

    def put(self, *arguments: Any, **settings: Any) -> tuple[str, int, str]:
        placed = super().put(*arguments, **settings)
        TRAP.passed("between file and sidecar")
        return placed

    def commit(self, task: StoredTask) -> None:
        super().commit(task)
        TRAP.passed("between store and ledger")


class TrappedClient(RunwareClient):
    """The client, with a point where a task was accepted and nobody has noted it."""

    async def submit(self, *arguments: Any) -> None:
        await super().submit(*arguments)
        TRAP.passed("before the acknowledgement is noted")


class TrappedRunware(RunwareResource):
    """The client, with points where an answer has come and is not read yet."""

    def _client(self, base_url: str) -> RunwareClient:
        client = TrappedClient(self.api_key, base_url, http_config=PACE)
        client._transport._connections = TrappedConnections(32, has_proxies=False)
        return client


class TrappedConnections(Connections):
    """The client's connections, with points where an answer begins."""

    async def open(self, request: httpx.Request) -> httpx.Response:
        is_submission = request.method == "POST" and _is_checked_last(request)
        if is_submission:
            TRAP.passed("before the POST")
        response = await super().open(request)
        if request.method == "GET" and "/files/" in request.url.path:
            TRAP.passed("during the download")
        if is_submission:
            TRAP.passed("after the POST")
        return response


def _is_checked_last(request: httpx.Request) -> bool:
    """Whether a body is written only after a last look, as those of submissions are alone."""
    try:
        return not request.content
    except httpx.RequestNotRead:
        return True


class TrappedLedgerResource(LedgerResource):
    """Opens the ledger with its points; it reserves list prices, which are what the simulator charges."""

    def open(self) -> Ledger:
        return TrappedLedger(self.url, Budgets(price_margin=Decimal(0)), lease_s=LEASE_S)


class TrappedStoreResource(VideoStoreResource):
    """Opens the store with its points."""

    def open(self) -> VideoStore:
        return TrappedStore(self.root)


def _before_the_event(outcome: Outcome) -> None:
    if outcome.is_new:
        TRAP.passed("before the event")


def run(folder: Path, base_url: str) -> bool:
    """One run over every partition of the folder's table; whether it ended green."""
    table = PromptTable.load(folder / "prompts.jsonl")
    resources = {
        "runware": TrappedRunware(
            api_key="a-key-for-chaos", base_url=base_url, max_in_flight=1000, max_wait_s=45.0, resend_refused=True
        ),
        "store": TrappedStoreResource(root=str(folder / "store")),
        "ledger": TrappedLedgerResource(url=sqlite_url(folder / "ledger.db")),
    }
    with instance_in(folder / "dagster") as instance:
        sync_partitions(instance, "videos", [row.prompt_id for row in table.rows])
        keys = instance.get_dynamic_partitions("videos")
        assets = build_video_assets(prompts=table, on_outcome=_before_the_event)
        ranged = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
        result = dg.materialize(
            list(assets.assets or ()),
            instance=instance,
            resources=resources,
            selection="videos",
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
            tags=ranged,
        )
    return result.success


if __name__ == "__main__":
    folder, base_url, *trap = sys.argv[1:]
    warnings.simplefilter("ignore")
    if trap:
        TRAP.set(trap[0], int(trap[1]), signal.Signals[trap[2]])
    sys.exit(0 if run(Path(folder), base_url) else 1)
