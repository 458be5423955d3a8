"""A store and a ledger with videos that nothing rendered, and exports of them read back."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from engine_support import PRICE, request_of, stored_task

os.environ["HF_HUB_OFFLINE"] = "1"
from wan_assets.export import Exported, ExportOptions, export_dataset, split_of
from wan_assets.ledger import Ledger, Origin
from wan_assets.models.request import VideoRequest
from wan_assets.prompts import PromptRow, PromptTable
from wan_assets.settings import sqlite_url
from wan_assets.store import StoredVideo, VideoStore

SHARE = 0.4
"""Of what is for validation, unless another is named."""

FACTS: dict[str, Any] = {
    "container": "MP4",
    "video_codec": "h264",
    "width": 854,
    "height": 480,
    "duration_s": 5.0,
    "fps": 24.0,
    "frames": 120,
    "audio_codec": None,
    "audio_s": None,
}


def row_of(prompt_id: str, request: VideoRequest | None = None, number: int = 1, **extra: str) -> PromptRow:
    """A row of its own prompt, unless a request is given."""
    return PromptRow(number, prompt_id, request or request_of(f"The prompt of {prompt_id}"), extra)


def row_in(split: str, prompt_id: str, prompt: str = "", share: float = SHARE) -> PromptRow:
    """A row whose seed brings it into a split."""
    asked = (request_of(prompt or f"The prompt of {prompt_id}", seed=seed) for seed in count())
    request = next(each for each in asked if split_of(each.fingerprint(), share) == split)
    return row_of(prompt_id, request)


def table_of(*rows: PromptRow) -> PromptTable:
    """A table of rows."""
    return PromptTable(rows, (), len(rows))


def files_in(folder: Path) -> dict[str, tuple[int, int, int]]:
    """All files with what changes when one is written: inode, time and size."""
    found = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    return {
        str(path.relative_to(folder)): (facts.st_ino, facts.st_mtime_ns, facts.st_size) for path, facts in found.items()
    }


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """The files that are new, gone, or written anew."""
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


@dataclass
class Shelf:
    """A folder with a store and a ledger, and exports beside them."""

    folder: Path
    root: str = ""
    ledger: Ledger = field(init=False)
    store: VideoStore = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger(sqlite_url(self.folder / "ledger.db"))
        self.store = VideoStore(self.root or self.folder / "store")

    def buy(self, *rows: PromptRow, simulated: bool = False, **video: Any) -> PromptTable:
        """Stores a video for each result of each row; what `video` names is told of each."""
        for row in rows:
            claim = self.ledger.claim(row.request, Origin("run-1", "videos", row.prompt_id), "me", simulated=simulated)
            if claim.task.state == "stored":
                continue
            uuid, results = claim.task.task_uuid, row.request.number_results
            self.ledger.mark_submitted(uuid)
            self.ledger.settle(uuid, [], [PRICE] * results)
            said = {"is_simulated": simulated, "videos": tuple(self._files(row, uuid, results, video, simulated))}
            self.store.commit(stored_task(claim.task.fingerprint, uuid, **said))
            self.ledger.mark_stored(uuid, [])
        return table_of(*rows)

    def _files(self, row: PromptRow, uuid: str, results: int, video: dict[str, Any], simulated: bool) -> Any:
        suffix = row.request.output_format.lower()
        for number in range(1, results + 1):
            with self.store.incoming(f".{suffix}") as path:
                path.write_bytes(f"video {number} of {uuid}".encode() * 50)
                name = f"{uuid}-{number}.{suffix}"
                place = self.store.put(path, name, row.fingerprint, simulated=simulated)
            reported = {"video_uuid": f"v-{number}", "seed": 7, "cost_microusd": PRICE, "is_nsfw": None, "facts": FACTS}
            yield StoredVideo(*place, **{**reported, "poster": "", **video})

    def export(self, table: PromptTable, format_: str, root: Any = None, **options: Any) -> Exported:
        """Exports to the folder `out`, unless another is named."""
        chosen = ExportOptions(format_, **{"validation": SHARE, **options})
        return export_dataset(table, root or self.folder / "out", chosen, store=self.store, ledger=self.ledger)

    def digests(self) -> set[str]:
        """The SHA-256 of all files in a local store."""
        files = [path for path in (self.folder / "store").rglob("*") if path.suffix in (".mp4", ".mov", ".webm")]
        return {hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


ROWS = tuple(row_of(f"p{number}", number=number) for number in range(1, 13))
SMALL = {"shard_bytes": 9_000}
"""The size of shards that contain few of these videos."""
