"""The folder of an export, local or in an object store, and its existing files.

An existing file that is named by its SHA-256 and has the right size is not written again. All other files are recorded
with version and size in `.wan-assets-export.json`, which also marks a folder as an export. An export is not written to
a folder with other files. It replaces and removes only files of the export, and ignores hidden files.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from upath import UPath

from wan_assets.errors import ExportError
from wan_assets.export.options import Format
from wan_assets.export.source_files import SUFFIXES, verified_file
from wan_assets.export.splits import SPLITS
from wan_assets.ledger import is_surely_dead, new_owner
from wan_assets.models import public_part_of, without_secrets_of
from wan_assets.settings import LOCAL_PROTOCOLS, expanded
from wan_assets.store import StoredVideo

CARD = "README.md"

_MARKER = ".wan-assets-export.json"
_PARTIAL = ".partial~"
_PIECE = 1 << 20
_SPLIT = "|".join(SPLITS)
_EXPORT_FILES = re.compile(
    rf"{re.escape(CARD)}|data/(?:{_SPLIT})\.parquet|(?:{_SPLIT})/(?:metadata\.jsonl|shard(?:-[01]+)?\.tar)"
    rf"|(?:{_SPLIT}|videos)/[0-9a-f]{{2}}/[0-9a-f]{{64}}\.(?:{'|'.join(SUFFIXES)})"
)
"""All file names of an export; none of them is outside its folder."""


@dataclass
class Changes:
    """The file changes of an export; `written` includes `linked` files, and `written_bytes` does not."""

    written: int = 0
    linked: int = 0
    unchanged: int = 0
    removed: int = 0
    written_bytes: int = 0


class Target:
    """The folder of one export. Blocking; raises `ExportError`, also if the folder contains other files."""

    def __init__(self, root: str | os.PathLike[str], format_: Format, *, links: bool = False) -> None:
        self.changes = Changes()
        if isinstance(root, str):
            root = expanded(root, "the export's folder")
        self._address = str(root)
        self._format = format_
        self._links = links
        self._current: set[str] = set()
        with self._translated((OSError, ImportError, ValueError, TypeError, AttributeError, LookupError)):
            self.root = UPath(root)
        self._is_local = self.root.protocol in LOCAL_PROTOCOLS
        if self._is_local:
            self.root = UPath(Path(self.root.path).absolute())
        with self._translated():
            self._marker = ""
            self._versions: dict[str, list[str | int]] = {}
            self._existing = self._listed()
            self._open_export()

    @property
    def uri(self) -> str:
        """The address of the folder without parts that may be secret."""
        return public_part_of(str(self.root))

    @property
    def version(self) -> str:
        """A digest of the content of the export, without the card."""
        versions = sorted((name, version) for name, (version, _) in self._versions.items() if name != CARD)
        return hashlib.sha256(json.dumps(versions).encode()).hexdigest()

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """Yields a path for a temporary file, on the disk of a local target; the file is removed afterwards."""
        folder = Path(self.root.path) if self._is_local else Path(tempfile.gettempdir())
        path = folder / f"{_PARTIAL}{new_owner()}"
        with self._translated():
            path.touch()
            try:
                yield path
            finally:
                path.unlink(missing_ok=True)

    def has_version(self, name: str, version: str) -> bool:
        """Returns whether a file exists in this version, and registers it as part of the export."""
        self._register(name)
        is_unchanged = name in self._existing and self._versions.get(name) == [version, self._existing[name]]
        self.changes.unchanged += is_unchanged
        return is_unchanged

    def put(self, name: str, version: str, path: Path) -> None:
        """Moves a finished file to its place, atomically in a local folder."""
        self._register(name)
        with self._translated():
            size = path.stat().st_size
            self._move(path, name)
            self._versions[name] = [version, size]
            self._count(size)
            self._write_marker()

    def put_draft(self, name: str, path: Path) -> None:
        """Moves a finished file to its place, unless it exists with the same content."""
        with path.open("rb") as file:
            version = hashlib.file_digest(file, "sha256").hexdigest()
        if not self.has_version(name, version):
            self.put(name, version, path)

    def put_text(self, name: str, text: str) -> None:
        """Writes a text file, unless it exists with the same content."""
        with self.draft() as path:
            path.write_text(text, encoding="utf-8")
            self.put_draft(name, path)

    def put_video(self, name: str, video: StoredVideo) -> None:
        """Links or copies a video to a name derived from its SHA-256, unless it exists."""
        if name in self._current:
            return
        self._register(name)
        if self._existing.get(name) == video.bytes:
            self.changes.unchanged += 1
        elif self._links and self._link(video, name):
            self.changes.written += 1
            self.changes.linked += 1
        else:
            self._copy(video, name)
            self._count(video.bytes)

    def finish(self) -> None:
        """Removes files that no longer belong to the export. Called after all other files are written."""
        gone = sorted(self._existing.keys() - self._current)
        with self._translated():
            for name in gone:
                self._remove(name)
            if gone:
                self._write_marker()

    def _register(self, name: str) -> None:
        if not _EXPORT_FILES.fullmatch(name):
            raise ExportError(f"{name!r} is not a valid file name in an export")
        self._current.add(name)

    def _count(self, size: int) -> None:
        self.changes.written += 1
        self.changes.written_bytes += size

    def _listed(self) -> dict[str, int]:
        """Returns the sizes of existing files that are not hidden; removes temporary files of dead processes."""
        self.root.fs.invalidate_cache()
        base = self.root.path.rstrip("/")
        found = self.root.fs.find(base, detail=True)
        names = {path.removeprefix(base).lstrip("/"): facts["size"] for path, facts in found.items()}
        for name in names if self._is_local else ():
            if name.startswith(_PARTIAL) and is_surely_dead(name.removeprefix(_PARTIAL)):
                (self.root / name).unlink(missing_ok=True)
        return {name: size for name, size in names.items() if not re.search(r"(?:^|/)\.", name)}

    def _open_export(self) -> None:
        marker = self.root / _MARKER
        if marker.exists():
            self._read_marker(marker)
            self._existing = {name: size for name, size in self._existing.items() if _EXPORT_FILES.fullmatch(name)}
        elif self._existing:
            raise ExportError(f"{self.uri} is not an export and contains other files, such as {min(self._existing)!r}")
        else:
            self.root.mkdir(parents=True, exist_ok=True)
            self._write_marker()

    def _read_marker(self, marker: UPath) -> None:
        try:
            self._marker = marker.read_text(encoding="utf-8")
            content = json.loads(self._marker)
            format_, self._versions = content["format"], dict(content["files"])
        except (ValueError, KeyError, TypeError):
            raise ExportError(
                f"{self.uri}/{_MARKER} is damaged, so the existing files are unknown; use another folder"
            ) from None
        if format_ != self._format:
            raise ExportError(f"{self.uri} contains an export in the format {format_!r}, not {self._format!r}")

    def _write_marker(self) -> None:
        content = json.dumps({"format": self._format, "files": self._versions}, indent=1, sort_keys=True)
        if content != self._marker:
            with self.draft() as path:
                path.write_text(content, encoding="utf-8")
                self._move(path, _MARKER)
            self._marker = content

    def _move(self, path: Path, name: str) -> None:
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if self._is_local:
            path.replace(target.path)
            return
        with path.open("rb") as file, target.open("wb") as remote:
            shutil.copyfileobj(file, remote, _PIECE)

    def _link(self, video: StoredVideo, name: str) -> bool:
        """Creates a hard link if both files are on one disk; returns whether it was created."""
        source = UPath(video.uri)
        if not self._is_local or source.protocol not in LOCAL_PROTOCOLS:
            return False
        with self.draft() as path:
            path.unlink()
            try:
                os.link(source.path, path)
            except OSError:
                return False
            self._move(path, name)
        return True

    def _copy(self, video: StoredVideo, name: str) -> None:
        with self.draft() as path:
            with verified_file(video) as file, path.open("wb") as copy:
                shutil.copyfileobj(file, copy, _PIECE)
            self._move(path, name)

    def _remove(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)
        self._versions.pop(name, None)
        self.changes.removed += 1
        if self._is_local:
            with suppress(OSError):  # usually the folder is not empty
                Path(self.root.path, name).parent.rmdir()

    @contextmanager
    def _translated(self, kinds: tuple[type[Exception], ...] = (OSError,)) -> Iterator[None]:
        try:
            yield
        except kinds as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            where = public_part_of(self._address)
            message = f"cannot write the export {where}: {without_secrets_of(self._address, reason)}"
            raise ExportError(message) from error
