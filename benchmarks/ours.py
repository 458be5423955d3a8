"""wan-assets itself: its client and poller alone, the whole engine, and runs through Dagster."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

from wan_assets.client import HttpConfig, RunwareClient
from wan_assets.engine import Limits, VideoJob, generate
from wan_assets.engine.poller import Poller
from wan_assets.ledger import Ledger
from wan_assets.models.request import VideoRequest
from wan_assets.settings import sqlite_url
from wan_assets.store import VideoStore

_KEPT = 10_000
"""A longer run writes over its first files: what is measured is memory there, and no disk holds them all."""


def job_of(number: int) -> VideoJob:
    """A row: 480p, 5 s, without sound."""
    silent = {"alibaba": {"audio": False}}
    asked = {"positive_prompt": f"Kite {number}", "resolution": "480p", "provider_settings": silent}
    return VideoJob(VideoRequest.model_validate(asked), f"p{number}")


def pace_of(scale: float) -> HttpConfig:
    """The client's own pace, for a clock that runs `scale` times as fast."""
    usual = HttpConfig()
    scaled = (
        "initial_poll_delay_s",
        "max_poll_interval_s",
        "webhook_poll_interval_s",
        "initial_retry_delay_s",
        "max_retry_delay_s",
        "retry_jitter_s",
    )
    return replace(usual, **{name: getattr(usual, name) / scale for name in scaled})


async def without_ledger_and_store(
    base_url: str, rows: int, in_flight: int, folder: Path, scale: float, **client_has: int
) -> None:
    """Client and poller as the engine uses them; files go to a folder, unchecked."""
    limits = Limits(max_in_flight=in_flight)
    begun, places, downloads = map(asyncio.Semaphore, (limits.max_active_rows, in_flight, limits.max_downloads))
    async with RunwareClient("key", base_url, http_config=pace_of(scale)) as client:
        vars(client).update(client_has)
        poller = Poller(client)

        async def row(number: int) -> None:
            async with places:
                task_uuid = str(uuid.uuid4())
                await client.submit(job_of(number).request.to_task(task_uuid))
                report = await poller.finished(task_uuid, 1, 600.0)
            async with downloads:
                await client.download(report.results[0].url or "", folder / f"{number % _KEPT}.mp4")
            begun.release()

        polling = asyncio.create_task(poller.run())
        async with asyncio.TaskGroup() as group:
            for number in range(rows):
                await begun.acquire()
                group.create_task(row(number))
        polling.cancel()


async def engine(base_url: str, rows: int, in_flight: int, folder: Path, scale: float, **store: Any) -> None:
    """The whole engine; every row has its video at the end."""
    ledger = Ledger(sqlite_url(folder / "ledger.db"))
    means: dict[str, Any] = {"store": VideoStore(folder / "store", **store), "ledger": ledger}
    async with RunwareClient("key", base_url, http_config=pace_of(scale)) as client:
        outcomes = generate(map(job_of, range(rows)), client=client, limits=Limits(max_in_flight=in_flight), **means)
        stored = 0
        async with aclosing(outcomes):
            async for outcome in outcomes:
                stored += outcome.stored is not None
    ledger.close()
    if stored != rows:
        raise RuntimeError(f"{stored} of {rows} rows have their video")
