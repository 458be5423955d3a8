"""The official SDK over REST."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from runware import Runware

from benchmarks.peers.bare import fetched, session_of, task_of


@contextmanager
def ready(url: str, folder: Path) -> Iterator[Callable[[int, int], None]]:
    """Each row through the SDK, and its file fetched as in the bare loops."""
    yield lambda rows, in_flight: asyncio.run(_made(url, folder, rows, in_flight))


async def _made(url: str, folder: Path, rows: int, in_flight: int) -> None:
    places = asyncio.Semaphore(in_flight)
    async with Runware(api_key="key", transport="rest", http_base_url=url) as client, session_of() as session:

        async def row(number: int) -> None:
            async with places:
                (found,) = await client.run(task_of(number))
            await fetched(session, found["videoURL"], folder / f"{number}.mp4")

        await asyncio.gather(*map(row, range(rows)))
