"""A row as the bare loops make it: a task is sent, polled until it has finished, and its file written."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import aiohttp

POLL_S = 1.0
Post = Callable[[list[dict[str, Any]]], Awaitable[dict[str, Any]]]


def task_of(number: int) -> dict[str, Any]:
    """A task: 480p, 5 s, without sound."""
    return {
        "taskType": "videoInference",
        "taskUUID": str(uuid.uuid4()),
        "model": "alibaba:wan@2.5-preview",
        "positivePrompt": f"Kite {number}",
        "resolution": "480p",
        "deliveryMethod": "async",
        "includeCost": True,
    }


def session_of() -> aiohttp.ClientSession:
    """A session with as many connections as all the loops have."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64))


async def posted(session: aiohttp.ClientSession, url: str, tasks: list[dict[str, Any]]) -> dict[str, Any]:
    """What the API answers to some tasks."""
    async with session.post(url, json=tasks) as response:
        return await response.json()


async def fetched(session: aiohttp.ClientSession, url: str, path: Path) -> None:
    """Writes a result's file."""
    async with session.get(url) as response:
        with path.open("wb") as file:
            async for piece in response.content.iter_chunked(1 << 18):
                file.write(piece)


async def finished(number: int, post: Post) -> str:
    """The address of a row's video, once it has one."""
    task = task_of(number)
    await post([task])
    while True:
        await asyncio.sleep(POLL_S)
        (said,) = (await post([{"taskType": "getResponse", "taskUUID": task["taskUUID"]}]))["data"]
        if said["status"] == "success":
            return said["videoURL"]


async def video_of(number: int, url: str, folder: str) -> str:
    """The path of a row's file, for those who take a row as a function."""
    session, path = _session(), Path(folder) / f"{number}.mp4"
    await fetched(session, await finished(number, partial(posted, session, url)), path)
    return str(path)


@cache
def _session() -> aiohttp.ClientSession:
    """One for the process, in the event loop that first asks."""
    return session_of()
