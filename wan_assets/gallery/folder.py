"""The folder that a gallery is, and how files come into it and go.

::

    <root>/index.html, …          the page, the same for every gallery
    <root>/summary.js             totals, and the name of the data folder; written last, which makes the data count
    <root>/data-<digest>/…        the entries, in pages
    <root>/videos/<sha256>.mp4    hard links to the store's files where that can be, else copies
    <root>/posters/<sha256>.webp
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path

from upath import UPath

from wan_assets.errors import WanAssetsError
from wan_assets.ledger import is_surely_dead, new_owner
from wan_assets.store import StoredVideo

SUMMARY = "summary.js"
_INDEX = "index.html"
_MARK = b'<meta name="generator" content="wan-assets gallery">'
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SUFFIXES = (".mp4", ".mov", ".webm", ".mkv")


class GalleryError(WanAssetsError):
    """The gallery cannot be written where it should be."""

    hint = "Name an empty folder, or an older gallery, that can be written to and has room."


class GalleryFolder:
    """A gallery's folder. Blocking; raises `GalleryError`."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root).absolute()

    def make_ready(self) -> None:
        """Puts the page there; what is neither empty nor a gallery is left as it is."""
        with self._translated():
            self.root.mkdir(parents=True, exist_ok=True)
            if any(self.root.iterdir()) and not self._is_gallery():
                raise GalleryError(f"{self.root} has other files, and no gallery")
            for part in ("videos", "posters"):
                (self.root / part).mkdir(exist_ok=True)
            page = (file for file in files(__package__).joinpath("page").iterdir() if file.is_file())
            for file in sorted(page, key=lambda file: file.name != _INDEX):
                self.put(file.name, file.read_bytes())

    def put(self, name: str, content: bytes) -> None:
        """Writes a file, visible only when whole."""
        with self._incoming(self.root / name) as path:
            path.write_bytes(content)

    def bring(self, video: StoredVideo) -> str:
        """Links or copies a video, unless it is there; gives its name in `videos`."""
        name = _digest_of(video) + _suffix_of(video)
        target, source = self.root / "videos" / name, UPath(video.uri)
        if target.is_file() and target.stat().st_size == video.bytes:
            return name
        with self._incoming(target) as path:
            if not _is_linked(source, path):
                with source.open("rb") as stored, path.open("wb") as copy:
                    shutil.copyfileobj(stored, copy, 1 << 20)
        return name

    @contextmanager
    def new_data(self) -> Iterator[Path]:
        """A folder for pages; removed afterwards unless it was named by `settle`."""
        path = self.root / f".{new_owner()}~data"
        with self._translated():
            path.mkdir()
            try:
                yield path
            finally:
                shutil.rmtree(path, ignore_errors=True)

    def settle(self, pages: Path, digest: str) -> str:
        """Gives a folder of pages its name, unless the same pages are there."""
        name = f"data-{digest[:16]}"
        if not (self.root / name).is_dir():
            pages.rename(self.root / name)
        return name

    def sweep(self, kept: Collection[str]) -> None:
        """Removes what the gallery does not show, and what dead writers left; `kept` are names from the root."""
        with self._translated():
            for part in ("videos", "posters"):
                for path in (self.root / part).iterdir():
                    if not path.name.startswith(".") and f"{part}/{path.name}" not in kept:
                        path.unlink(missing_ok=True)
            for path in self.root.glob("data-*"):
                if path.name not in kept:
                    shutil.rmtree(path, ignore_errors=True)
            for path in list(self.root.rglob(".*~*")):
                if is_surely_dead(path.name[1:].partition("~")[0]):
                    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def _is_gallery(self) -> bool:
        index = self.root / _INDEX
        return index.is_file() and _MARK in index.read_bytes()

    @contextmanager
    def _incoming(self, target: Path) -> Iterator[Path]:
        path = target.with_name(f".{new_owner()}~part")
        with self._translated():
            try:
                yield path
                path.replace(target)
            finally:
                path.unlink(missing_ok=True)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = error.filename or self.root
            raise GalleryError(f"cannot write the gallery: {where}: {error.strerror or error}") from error


def _is_linked(source: UPath, target: Path) -> bool:
    """Links a local file; another disk, or one without links, has to copy."""
    if source.protocol in ("", "file"):
        with suppress(OSError):
            target.hardlink_to(source.path)
            return True
    return False


def _digest_of(video: StoredVideo) -> str:
    """The sidecar's digest, which names files here; what a sidecar says is not taken for a name as it is."""
    if not _DIGEST.fullmatch(video.sha256):
        raise GalleryError(f"the sidecar of {video.uri} has no SHA-256")
    return video.sha256


def _suffix_of(video: StoredVideo) -> str:
    suffix = UPath(video.uri).suffix.lower()
    return suffix if suffix in _SUFFIXES else ".mp4"
