"""The folder of a gallery and its files.

::

    <root>/index.html, …          the pages, the same for every gallery
    <root>/summary.js             totals and the name of the data folder; written last to activate the data
    <root>/data-<digest>/…        the entries, in pages
    <root>/videos/<sha256>.mp4    hard links to the store's files if possible, otherwise copies
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
from wan_assets.settings import LOCAL_PROTOCOLS
from wan_assets.store import StoredVideo

SUMMARY = "summary.js"
_INDEX = "index.html"
_MARK = b'<meta name="generator" content="wan-assets gallery">'
_POLICY = re.compile(rb'<meta http-equiv="Content-Security-Policy"[^>]*>\n')
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SUFFIXES = (".mp4", ".mov", ".webm", ".mkv")


class GalleryError(WanAssetsError):
    """The gallery cannot be written to its folder."""

    hint = "Choose an empty folder or an existing gallery that is writable, on a disk with free space."


class GalleryFolder:
    """The folder of a gallery. Blocking; raises `GalleryError`."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root).absolute()

    def make_ready(self, *, served: bool = False) -> None:
        """Writes the static pages; refuses a folder that is neither empty nor a gallery.

        The pages of a `served` folder contain no security policy: the server sends one that names the store's bucket.
        """
        with self._translated():
            self.root.mkdir(parents=True, exist_ok=True)
            if any(self.root.iterdir()) and not self._is_gallery():
                raise GalleryError(f"{self.root} contains other files and is not a gallery")
            for part in ("videos", "posters"):
                (self.root / part).mkdir(exist_ok=True)
            page = (file for file in files(__package__).joinpath("page").iterdir() if file.is_file())
            for file in sorted(page, key=lambda file: file.name != _INDEX):
                content = file.read_bytes()
                self.put(file.name, _POLICY.sub(b"", content) if served else content)

    def put(self, name: str, content: bytes) -> None:
        """Writes a file atomically."""
        with self._incoming(self.root / name) as path:
            path.write_bytes(content)

    def add_video(self, video: StoredVideo) -> str:
        """Links or copies a video unless it exists; returns its name in `videos`."""
        name = digest_of(video) + _suffix_of(video)
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
        """Yields a temporary folder for pages; it is removed afterwards unless `publish` has renamed it."""
        path = self.root / f".{new_owner()}~data"
        with self._translated():
            path.mkdir()
            try:
                yield path
            finally:
                shutil.rmtree(path, ignore_errors=True)

    def publish(self, pages: Path, digest: str) -> str:
        """Renames a folder of pages to its final name, unless the same pages exist; returns the name."""
        name = f"data-{digest[:16]}"
        if not (self.root / name).is_dir():
            pages.rename(self.root / name)
        return name

    def remove_obsolete(self, kept: Collection[str]) -> None:
        """Removes obsolete files and temporary files of dead processes; `kept` are paths relative to the root."""
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
    """Creates a hard link to a local file; returns False if it must be copied instead."""
    if source.protocol in LOCAL_PROTOCOLS:
        with suppress(OSError):
            target.hardlink_to(source.path)
            return True
    return False


def digest_of(video: StoredVideo) -> str:
    """Returns the SHA-256 of the sidecar for use as a file name, after validation."""
    if not _DIGEST.fullmatch(video.sha256):
        raise GalleryError(f"the sidecar of {video.uri} has no SHA-256")
    return video.sha256


def _suffix_of(video: StoredVideo) -> str:
    suffix = UPath(video.uri).suffix.lower()
    return suffix if suffix in _SUFFIXES else ".mp4"
