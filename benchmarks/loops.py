"""What wan-assets is compared with: loops that keep nothing, book nothing, check nothing and repeat nothing.

Each submits a row, polls until it has finished and writes the file; `in_flight` rows at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from httpx_aiohttp import HttpxAiohttpClient

from benchmarks.peers.bare import POLL_S, Post, fetched, finished, posted, session_of, task_of

Fetch = Callable[[str, Path], Awaitable[None]]


async def each_row(post: Post, fetch: Fetch, rows: int, in_flight: int, folder: Path) -> None:
    """One poll for each row."""
    places = asyncio.Semaphore(in_flight)

    async def row(number: int) -> None:
        async with places:
            url = await finished(number, post)
        await fetch(url, folder / f"{number}.mp4")

    await asyncio.gather(*map(row, range(rows)))


async def in_batches(post: Post, fetch: Fetch, rows: int, in_flight: int, folder: Path) -> None:
    """Polls for a hundred rows at once."""
    places = asyncio.Semaphore(in_flight)
    waiting: dict[str, asyncio.Future[str]] = {}

    async def poll() -> None:
        while True:
            await asyncio.sleep(POLL_S)
            asked = list(waiting)
            for start in range(0, len(asked), 100):
                some = [{"taskType": "getResponse", "taskUUID": each} for each in asked[start : start + 100]]
                for said in (await post(some))["data"]:
                    if said["status"] == "success":
                        waiting.pop(said["taskUUID"]).set_result(said["videoURL"])

    async def row(number: int) -> None:
        async with places:
            task = task_of(number)
            await post([task])
            waiting[task["taskUUID"]] = finished = asyncio.Future()
            url = await finished
        await fetch(url, folder / f"{number}.mp4")

    polling = asyncio.create_task(poll())
    await asyncio.gather(*map(row, range(rows)))
    polling.cancel()


async def with_aiohttp(base_url: str, rows: int, in_flight: int, folder: Path, *, batched: bool) -> None:
    """A bare loop on aiohttp."""
    async with session_of() as session:
        post, fetch = partial(posted, session, base_url), partial(fetched, session)
        await (in_batches if batched else each_row)(post, fetch, rows, in_flight, folder)


async def with_httpx(base_url: str, rows: int, in_flight: int, folder: Path, *, over_aiohttp: bool) -> None:
    """A bare loop on httpx, held at 32 calls at once: its own pool is slower still when many wait in it."""
    gate, limits = asyncio.Semaphore(32), httpx.Limits(max_connections=64)
    async with (HttpxAiohttpClient if over_aiohttp else httpx.AsyncClient)(timeout=60, limits=limits) as client:

        async def post(tasks: list[dict[str, Any]]) -> dict[str, Any]:
            async with gate:
                return (await client.post(base_url, json=tasks)).json()

        async def fetch(url: str, path: Path) -> None:
            async with gate, client.stream("GET", url) as response:
                with path.open("wb") as file:
                    async for piece in response.aiter_bytes(1 << 18):
                        file.write(piece)

        await each_row(post, fetch, rows, in_flight, folder)
