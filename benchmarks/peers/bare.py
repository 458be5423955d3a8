"""A row as the bare loops make it: a task is sent, polled until it has finished, and its file written."""

from __future__ import annotations

import asyncio
import uuid
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp

POLL_S = 1.0


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


async def video_of(number: int, url: str, folder: str) -> str:
    """The path of a row's file."""
    session, task = _session(), task_of(number)
    await _posted(session, url, task)
    said: dict[str, Any] = {}
    while said.get("status") != "success":
        await asyncio.sleep(POLL_S)
        said = await _posted(session, url, {"taskType": "getResponse", "taskUUID": task["taskUUID"]})
    path = Path(folder) / f"{number}.mp4"
    async with session.get(said["videoURL"]) as response:
        path.write_bytes(await response.read())
    return str(path)


@cache
def _session() -> aiohttp.ClientSession:
    """One for the process, in the event loop that first asks."""
    return session_of()


async def _posted(session: aiohttp.ClientSession, url: str, task: dict[str, Any]) -> dict[str, Any]:
    async with session.post(url, json=[task]) as response:
        (said,) = (await response.json())["data"]
    return said
