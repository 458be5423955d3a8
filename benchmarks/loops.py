"""What wan-assets is compared with: loops that keep nothing, book nothing, check nothing and repeat nothing.

Each submits a row, polls until it has finished and writes the file; `in_flight` rows at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
from httpx_aiohttp import HttpxAiohttpClient

from benchmarks.peers.bare import POLL_S, session_of, task_of

Post = Callable[[list[dict[str, Any]]], Awaitable[dict[str, Any]]]
Fetch = Callable[[str, Path], Awaitable[None]]


async def each_row(post: Post, fetch: Fetch, rows: int, in_flight: int, folder: Path) -> None:
    """One poll for each row."""
    places = asyncio.Semaphore(in_flight)

    async def row(number: int) -> None:
        async with places:
            task = task_of(number)
            await post([task])
            while True:
                await asyncio.sleep(POLL_S)
                answer = await post([{"taskType": "getResponse", "taskUUID": task["taskUUID"]}])
                (said,) = answer["data"]
                if said["status"] == "success":
                    break
        await fetch(said["videoURL"], folder / f"{number}.mp4")

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

        async def post(tasks: list[dict[str, Any]]) -> dict[str, Any]:
            async with session.post(base_url, json=tasks) as response:
                return await response.json()

        async def fetch(url: str, path: Path) -> None:
            async with session.get(url) as response:
                with path.open("wb") as file:
                    async for piece in response.content.iter_chunked(1 << 18):
                        file.write(piece)

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
