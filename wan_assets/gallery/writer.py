"""The function that writes a gallery of all videos of a table, real and simulated."""

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

from upath import UPath

from wan_assets.dataset import Entries, Entry, quality_results_of, recorded_result
from wan_assets.errors import DecoderError, InvalidVideoError
from wan_assets.gallery.budgets import budget_charts
from wan_assets.gallery.folder import SUMMARY, GalleryFolder, digest_of
from wan_assets.gallery.items import FIELDS, Item, audit_columns, poster_in
from wan_assets.gallery.pages import AUDIT_PAGE, INDEX_PAGE, PageWriter, script_of
from wan_assets.gallery.statistics import GalleryTotals, ledger_totals
from wan_assets.ledger import MAX_NOTE, Ledger
from wan_assets.prompts import PromptTable
from wan_assets.settings import LOCAL_PROTOCOLS
from wan_assets.store import StoredVideo, VideoStore
from wan_assets.video import Verifier


@dataclass(frozen=True)
class Gallery:
    """A written gallery; `missing` counts valid rows without a video, and `problems` counts invalid rows."""

    index: Path
    rows: int
    missing: int
    problems: int
    totals: GalleryTotals


def write_gallery(
    folder: str | os.PathLike[str], table: PromptTable, *, store: VideoStore, ledger: Ledger, title: str, now: datetime
) -> Gallery:
    """Writes a gallery of all valid rows to a local folder, or updates an existing gallery.

    The gallery shows real and simulated videos. A page that is open during the update shows its old data until it is
    reloaded. Raises `GalleryError`, `StoreError` and `LedgerError`.
    """
    return write_pages(GalleryFolder(folder), table, store=store, ledger=ledger, title=title, now=now)


def write_pages(
    gallery_folder: GalleryFolder,
    table: PromptTable,
    *,
    store: VideoStore,
    ledger: Ledger,
    title: str,
    now: datetime,
    served: bool = False,
) -> Gallery:
    """Writes a gallery. If it is `served`, a server provides the videos by their paths in the store."""
    gallery_folder.make_ready(served=served)
    last_decision = ledger.last_decision()
    build = _GalleryBuild(gallery_folder, store if served else None)
    name, pages = build.write(_entries(table, store, ledger))
    asyncio.run(_make_posters(gallery_folder, build.without_poster))
    missing = len(table.rows) - len(build.totals.rows)
    summary = {
        "title": title,
        "served": served,
        "last_decision": last_decision,
        "max_note": MAX_NOTE,
        "written_at": f"{now.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        "folder": name,
        "pages": pages,
        "audit_page": AUDIT_PAGE,
        "fields": FIELDS,
        "columns": audit_columns(),
        "rows": table.row_count,
        "missing": missing,
        "problems": table.row_count - len(table.rows),
        **build.totals.reported(),
        "ledger": ledger_totals(ledger),
        "budgets": budget_charts(ledger),
    }
    gallery_folder.put(SUMMARY, script_of("summary", 0, summary))
    gallery_folder.remove_obsolete({name, *build.kept})
    return Gallery(gallery_folder.root / "index.html", table.row_count, missing, summary["problems"], build.totals)


def _entries(table: PromptTable, store: VideoStore, ledger: Ledger) -> Iterator[Entry]:
    """Yields all takes, real and simulated, in table order; within a row, real videos come first."""
    both = (
        Entries(table, store=store, ledger=ledger, simulated=simulated, all_takes=True) for simulated in (False, True)
    )
    positions = {row.prompt_id: position for position, row in enumerate(table.rows)}
    return merge(*both, key=lambda entry: positions[entry.dataset_row.row.prompt_id])


class _GalleryBuild:
    """The state of one gallery build: totals, files to keep, and videos without a poster."""

    def __init__(self, gallery_folder: GalleryFolder, served_from: VideoStore | None) -> None:
        self.totals = GalleryTotals()
        self.kept: set[str] = set()
        self.without_poster: dict[Path, str] = {}
        self._folder = gallery_folder
        self._served_from = served_from
        self._payers: dict[str, str] = {}

    def write(self, entries: Iterable[Entry]) -> tuple[str, int]:
        """Writes all pages; returns the name of their folder and the number of index pages."""
        with self._folder.new_data() as folder:
            index, audit = PageWriter(folder, "index", INDEX_PAGE), PageWriter(folder, "audit", AUDIT_PAGE)
            for item in map(self._item, entries):
                self.totals.add(item)
                index.add(item.record())
                audit.add(item.audit())
            digest = hashlib.sha256((index.end() + audit.end()).encode()).hexdigest()
            return self._folder.publish(folder, digest), index.pages

    def _item(self, entry: Entry) -> Item:
        prompt_id = entry.dataset_row.row.prompt_id
        payer = self._payers.setdefault(entry.stored.task_uuid, prompt_id)
        cost = entry.dataset_row.task.known_cost_microusd if entry.dataset_row.task else None
        file = self._file(entry.video)
        poster = self._poster(entry, file)
        self.kept |= {f"videos/{file}", f"posters/{poster}"}
        quality_results = (
            *quality_results_of(entry.request, entry.stored, cost_microusd=cost),
            *map(recorded_result, entry.checks),
        )
        return Item(entry, quality_results, file, poster, "" if payer == prompt_id else payer)

    def _file(self, video: StoredVideo) -> str:
        """Returns the name of a video below `videos`, after adding it to the folder unless it is served."""
        return self._served_from.relative_path(video) if self._served_from else self._folder.add_video(video)

    def _poster(self, entry: Entry, file: str) -> str:
        """Writes the poster of the sidecar, or records that one must be created; returns its name."""
        name = f"{digest_of(entry.video)}.webp"
        if not (self._folder.root / "posters" / name).is_file():
            poster = poster_in(entry.video.poster)
            if poster is None:
                own = self._folder.root / "videos" / file
                source = UPath(entry.video.uri) if self._served_from else UPath(own)
                if source.protocol in LOCAL_PROTOCOLS:
                    self.without_poster[Path(source.path)] = name
            else:
                self._folder.put(f"posters/{name}", poster)
        return name


async def _make_posters(gallery_folder: GalleryFolder, wanted: dict[Path, str]) -> None:
    """Creates posters for videos whose sidecars have none; a video that cannot be decoded has no poster."""
    async with Verifier() as verifier:
        for file, name in wanted.items():
            with suppress(InvalidVideoError, DecoderError):
                gallery_folder.put(f"posters/{name}", await verifier.poster_of(file))
