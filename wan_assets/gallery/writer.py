"""A gallery written: every file of a table's rows, real and simulated, with its picture and its record."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import merge
from pathlib import Path

from wan_assets.dataset import Entries, Entry, quality_results_of
from wan_assets.errors import DecoderError, InvalidVideoError
from wan_assets.gallery.folder import SUMMARY, GalleryFolder
from wan_assets.gallery.items import FIELDS, Item, columns_told, poster_in
from wan_assets.gallery.pages import AUDIT_PAGE, INDEX_PAGE, PageWriter, script_of
from wan_assets.gallery.statistics import Tally, ledger_told
from wan_assets.ledger import Ledger
from wan_assets.prompts import PromptTable
from wan_assets.store import VideoStore
from wan_assets.video import Verifier


@dataclass(frozen=True)
class Gallery:
    """What was written; `missing` counts valid rows without a video, `problems` rows that are not valid."""

    index: Path
    rows: int
    missing: int
    problems: int
    tally: Tally


def write_gallery(
    folder: str | os.PathLike[str], table: PromptTable, *, store: VideoStore, ledger: Ledger, title: str, now: datetime
) -> Gallery:
    """Writes a gallery of all valid rows to a local folder, or makes the one that is there new.

    It shows what there is of real and of simulated videos. A page that is open meanwhile keeps its old data until it
    is loaded again. Raises `GalleryError`, `StoreError` and `LedgerError`.
    """
    place = GalleryFolder(folder)
    place.make_ready()
    work = _Work(place)
    name, pages = work.write(_entries(table, store, ledger))
    asyncio.run(_make_posters(place, work.without_poster))
    missing = len(table.rows) - len(work.tally.rows)
    said = {
        "title": title,
        "written_at": f"{now.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        "folder": name,
        "pages": pages,
        "audit_page": AUDIT_PAGE,
        "fields": FIELDS,
        "columns": columns_told(),
        "rows": table.row_count,
        "missing": missing,
        "problems": table.row_count - len(table.rows),
        **work.tally.reported(),
        "ledger": ledger_told(ledger),
    }
    place.put(SUMMARY, script_of("summary", 0, said))
    place.sweep({name, *work.kept})
    return Gallery(place.root / "index.html", table.row_count, missing, said["problems"], work.tally)


def _entries(table: PromptTable, store: VideoStore, ledger: Ledger) -> Iterator[Entry]:
    """Yields what there is of real and of simulated videos, in the table's order, of a row the real ones first."""
    both = (Entries(table, store=store, ledger=ledger, simulated=simulated) for simulated in (False, True))
    return merge(*both, key=lambda entry: entry.dataset_row.row.number)


class _Work:
    """One writing: what it has seen and what is to be kept."""

    def __init__(self, place: GalleryFolder) -> None:
        self.tally = Tally()
        self.kept: set[str] = set()
        self.without_poster: dict[str, str] = {}
        self._place = place
        self._payers: dict[str, str] = {}

    def write(self, entries: Iterable[Entry]) -> tuple[str, int]:
        """Writes all pages; gives the name of their folder, and how many the index has."""
        with self._place.new_data() as folder:
            index, audit = PageWriter(folder, "index", INDEX_PAGE), PageWriter(folder, "audit", AUDIT_PAGE)
            for item in map(self._item, entries):
                self.tally.add(item)
                index.add(item.record())
                audit.add(item.audit())
            digest = hashlib.sha256((index.end() + audit.end()).encode()).hexdigest()
            return self._place.settle(folder, digest), index.pages

    def _item(self, entry: Entry) -> Item:
        prompt_id = entry.dataset_row.row.prompt_id
        payer = self._payers.setdefault(entry.stored.task_uuid, prompt_id)
        cost = entry.dataset_row.task.known_cost_microusd if entry.dataset_row.task else None
        file = self._place.bring(entry.video)
        poster = self._poster(entry, file)
        self.kept |= {f"videos/{file}", f"posters/{poster}"}
        quality_results = quality_results_of(entry.request, entry.stored, cost_microusd=cost)
        return Item(entry, quality_results, file, poster, "" if payer == prompt_id else payer)

    def _poster(self, entry: Entry, file: str) -> str:
        """Puts the sidecar's picture there, or notes that one is to be made."""
        name = f"{entry.video.sha256}.webp"
        if not (self._place.root / "posters" / name).is_file():
            picture = poster_in(entry.video.poster)
            if picture is None:
                self.without_poster[file] = name
            else:
                self._place.put(f"posters/{name}", picture)
        return name


async def _make_posters(place: GalleryFolder, wanted: dict[str, str]) -> None:
    """Pictures of videos whose sidecars have none; a video that cannot be decoded is shown without one."""
    async with Verifier() as verifier:
        for file, name in wanted.items():
            with suppress(InvalidVideoError, DecoderError):
                place.put(f"posters/{name}", await verifier.poster_of(place.root / "videos" / file))
