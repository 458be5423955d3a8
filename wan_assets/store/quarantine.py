"""The quarantine: paid files that are not a row's video until `wan-assets ledger adopt` or a later run accepts them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from upath import UPath

_NAME = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-[0-9]+\.[a-z0-9]+")
_SUFFIXES = (".mp4", ".mov", ".webm", ".mkv")


class Quarantine:
    """The folder `set_aside` of a store. Blocking; raises the errors of fsspec."""

    def __init__(self, folder: UPath) -> None:
        self.folder = folder

    def tasks(self) -> set[str]:
        """Returns the UUIDs of tasks with quarantined files."""
        files = self.folder.iterdir() if self.folder.is_dir() else ()
        return {found[1] for file in files if (found := _NAME.fullmatch(file.name))}

    def find(self, name: str, place: UPath) -> UPath | None:
        """Finds a file by name in the quarantine, or in the folder `place` with any container suffix; else None."""
        stem = name.rpartition(".")[0]
        candidates = (self.folder / name, *(place / f"{stem}{suffix}" for suffix in _SUFFIXES))
        return next((file for file in candidates if file.is_file()), None)

    def remove(self, task_uuid: str) -> None:
        """Removes all quarantined files of a task."""
        if self.folder.is_dir():
            for file in list(self.folder.iterdir()):
                if file.name.startswith(f"{task_uuid}-"):
                    file.unlink()


def copy(file: UPath, path: Path) -> None:
    """Downloads a file of the store to a local path."""
    with file.open("rb") as source, path.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
