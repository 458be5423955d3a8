"""Galleries for tests: videos that a simulator made or that are booked as paid for, and what a page is told of them."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any

from engine_support import PRICE, stored_task, stored_video

from wan_assets.gallery import Gallery, write_gallery
from wan_assets.ledger import Ledger, Origin
from wan_assets.models.request import VideoRequest
from wan_assets.prompts import PromptRow, PromptTable
from wan_assets.settings import sqlite_url
from wan_assets.store import VideoStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
_SCRIPT = re.compile(r'wanGallery\.take\("(\w+)",(\d+),JSON\.parse\((".*")\)\);\n', re.DOTALL)


def table_of(*requests: VideoRequest, problems: int = 0, extra: Sequence[Mapping[str, str]] = ()) -> PromptTable:
    """Rows `p1`, `p2`, … with their extra columns, and some more that are not valid."""
    given = zip_longest(requests, extra, fillvalue={})
    rows = tuple(PromptRow(number, f"p{number}", *row) for number, row in enumerate(given, 1))
    return PromptTable(rows, (), len(rows) + problems)


def gallery_of(folder: Path, table: PromptTable, *, store: VideoStore | None = None) -> Gallery:
    """A gallery in a studio's folder."""
    ledger = Ledger(sqlite_url(folder / "ledger.db"))
    store = store or VideoStore(folder / "store")
    gallery = write_gallery(folder / "gallery", table, store=store, ledger=ledger, title="prompts.csv", now=NOW)
    ledger.close()
    return gallery


def paid(folder: Path, request: VideoRequest, *, content: bytes = b"", cost: int | None = PRICE, **video: Any) -> Path:
    """A video as it is kept that was really paid for; gives its place."""
    ledger, store = Ledger(sqlite_url(folder / "ledger.db")), VideoStore(folder / "store")
    task = ledger.claim(request, Origin(run_id="run-1", asset="videos"), "me", simulated=False).task
    ledger.mark_submitted(task.task_uuid)
    held = ledger.settle(task.task_uuid, [], [cost]).reserved_microusd
    with store.incoming(".mp4") as path:
        path.write_bytes(content or task.task_uuid.encode())
        place = store.put(path, f"{task.task_uuid}-1.mp4", task.fingerprint, simulated=False)
    kept = stored_video(*place, cost)
    said = {"is_simulated": False, "videos": (type(kept)(**{**vars(kept), **video}),), "reserved_microusd": held}
    store.commit(stored_task(task.fingerprint, task.task_uuid, **said))
    ledger.mark_stored(task.task_uuid, [])
    ledger.close()
    return Path(place[0])


def content_of(script: Path) -> Any:
    """What a script hands to the page, read as the browser does: a text that holds JSON."""
    _, _, text = _SCRIPT.fullmatch(script.read_bytes().decode("ascii")).groups()
    return json.loads(json.loads(text))


def summary_of(gallery: Gallery) -> dict[str, Any]:
    return content_of(gallery.index.parent / "summary.js")


def records_of(gallery: Gallery) -> list[dict[str, Any]]:
    """What the grid is told of each file."""
    reported, folder = summary_of(gallery), gallery.index.parent
    pages = [content_of(folder / reported["folder"] / f"index-{page}.js") for page in range(reported["pages"])]
    return [dict(zip(reported["fields"], record, strict=True)) for page in pages for record in page]


def audits_of(gallery: Gallery) -> list[dict[str, str]]:
    """What the audit card of each file is told."""
    reported, folder = summary_of(gallery), gallery.index.parent
    names = [name for name, _, _ in reported["columns"]]
    count = len(list((folder / reported["folder"]).glob("audit-*.js")))
    pages = [content_of(folder / reported["folder"] / f"audit-{page}.js") for page in range(count)]
    return [dict(zip(names, values, strict=True)) for page in pages for values, _ in page]


def written_in(gallery: Gallery) -> dict[str, bytes]:
    """Every file of a gallery, by its name from the root."""
    root = gallery.index.parent
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
