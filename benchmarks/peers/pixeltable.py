"""Pixeltable: the bare row as a computed column, on the Postgres that it brings, which is not counted as its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pixeltable

from benchmarks.peers.bare import video_of


@contextmanager
def ready(url: str, folder: Path) -> Iterator[Callable[[int, int], None]]:
    """The table, empty; its server is started before and ended afterwards, which Pixeltable leaves to others."""
    os.environ["PIXELTABLE_HOME"] = str(folder / "home")
    table = pixeltable.create_table("videos", {"number": pixeltable.Int})
    table.add_computed_column(video=pixeltable.udf(video_of)(table.number, url, str(folder)))

    def made(rows: int, _: int) -> None:
        status = table.insert([{"number": number} for number in range(rows)])
        if status.num_excs:
            raise RuntimeError(f"{status.num_excs} rows have no video")

    try:
        yield made
    finally:
        (server,) = (folder / "home").rglob("postmaster.pid")
        os.kill(int(server.read_text().split()[0]), signal.SIGINT)
