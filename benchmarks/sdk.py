"""The official SDK (runware-sdk 1.8), in an environment of its own: `python sdk.py --url … --rows … --in-flight …`."""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import time
import uuid
from pathlib import Path

import aiohttp
from runware import Runware


async def made(url: str, rows: int, in_flight: int, folder: Path) -> None:
    """Each row through the SDK, and its file fetched as in the bare loops."""
    places = asyncio.Semaphore(in_flight)
    async with (
        Runware(api_key="key", transport="rest", http_base_url=url) as client,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session,
    ):

        async def row(number: int) -> None:
            task = {
                "taskType": "videoInference",
                "taskUUID": str(uuid.uuid4()),
                "model": "alibaba:wan@2.5-preview",
                "positivePrompt": f"Kite {number}",
                "resolution": "480p",
                "deliveryMethod": "async",
                "includeCost": True,
            }
            async with places:
                (found,) = await client.run(task)
            async with session.get(found["videoURL"]) as response:
                (folder / f"{number}.mp4").write_bytes(await response.read())

        await asyncio.gather(*map(row, range(rows)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    its = parser.parse_args()
    begun_s = time.perf_counter()
    asyncio.run(made(its.url, its.rows, its.in_flight, its.folder))
    used = resource.getrusage(resource.RUSAGE_SELF)
    wall_s = time.perf_counter() - begun_s
    print(json.dumps({"wall_s": wall_s, "cpu_s": used.ru_utime + used.ru_stime, "peak_mb": _peak_mb()}))


def _peak_mb() -> float:
    """Of this program: what `getrusage` tells begins with the memory of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
