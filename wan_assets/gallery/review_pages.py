"""The pages of a table for the review server. The videos stay in the store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from more_itertools import chunked

from wan_assets.gallery.folder import SUMMARY, GalleryFolder
from wan_assets.gallery.pages import content_of
from wan_assets.gallery.writer import Gallery, write_pages
from wan_assets.ledger import Ledger, TaskState, VideoKey
from wan_assets.prompts import PromptTable
from wan_assets.store import VideoStore

_ROWS_AT_ONCE = 250


class ReviewPages:
    """The pages of a table in a local folder, with all takes of each row. `table` reads the table again.

    Blocking; safe for threads. Raises `GalleryError`, `PromptTableError`, `StoreError` and `LedgerError`.
    """

    def __init__(
        self,
        root: Path,
        table: Callable[[], PromptTable],
        *,
        store: VideoStore,
        ledger: Ledger,
        title: str,
        counted_every_s: float = 10.0,
    ) -> None:
        self._folder = GalleryFolder(root)
        self._read_table = table
        self._store = store
        self._ledger = ledger
        self._title = title
        self._lock = threading.Lock()
        self._fingerprints: list[str] = []
        self._shown: set[VideoKey] = set()
        self._counted_every_s = counted_every_s
        self._counted_at, self._new = time.monotonic(), 0

    @property
    def root(self) -> Path:
        """The folder with the pages."""
        return self._folder.root

    def write(self) -> Gallery:
        """Writes the pages with the videos and decisions that exist now."""
        with self._lock:
            table = self._read_table()
            fingerprints = list(dict.fromkeys(row.fingerprint for row in table.rows))
            shown = set(self._videos(fingerprints))
            gallery = write_pages(
                self._folder,
                table,
                store=self._store,
                ledger=self._ledger,
                title=self._title,
                now=datetime.now(UTC),
                served=True,
            )
            self._fingerprints, self._shown = fingerprints, shown
            self._counted_at, self._new = time.monotonic(), 0
            return gallery

    def new_videos(self) -> int:
        """Returns the number of the table's videos that are newer than the pages, counted now and then.

        While another thread counts or writes, the former number is returned at once.
        """
        if time.monotonic() - self._counted_at >= self._counted_every_s and self._lock.acquire(blocking=False):
            try:
                self._new = len(set(self._videos(self._fingerprints)) - self._shown)
                self._counted_at = time.monotonic()
            finally:
                self._lock.release()
        return self._new

    def clips(self, page: int) -> list[dict[str, Any]] | None:
        """Returns the records of one page of clips, from 0, by the names of their fields; None if there is none."""
        summary = content_of(self.root / SUMMARY)
        if not 0 <= page < summary["pages"]:
            return None
        records = content_of(self.root / summary["folder"] / f"index-{page}.js")
        return [dict(zip(summary["fields"], record, strict=True)) for record in records]

    def _videos(self, fingerprints: Sequence[str]) -> Iterator[VideoKey]:
        """Yields the videos in the ledger of rows with these fingerprints, of all takes."""
        for simulated in (False, True):
            for some in chunked(fingerprints, _ROWS_AT_ONCE):
                taken = self._ledger.takes(some, simulated=simulated)
                further = [take.fingerprint for takes in taken.values() for take in takes.takes]
                tasks = self._ledger.latest(list(dict.fromkeys([*some, *further])), simulated=simulated)
                for task in tasks.values():
                    if task.state is TaskState.STORED:
                        yield from task.videos
