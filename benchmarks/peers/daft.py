"""Daft: the bare row as an asynchronous function over a column; it decides itself how many run at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import daft

from benchmarks.peers.bare import video_of


@contextmanager
def ready(url: str, folder: Path) -> Iterator[Callable[[int, int], None]]:
    video = daft.func(video_of)

    def made(rows: int, _: int) -> None:
        column = video(daft.col("number"), daft.lit(url), daft.lit(str(folder)))
        table = daft.from_pydict({"number": list(range(rows))}).with_column("video", column).collect()
        if None in table.to_pydict()["video"]:
            raise RuntimeError("rows have no video")

    yield made
