"""Where an export is written: a folder of its own, local or in an object store, and what is in it already.

A file named by its SHA-256 is right where it is there in its size. All others are listed with version and size in
`.wan-assets-export.json`, which also tells that a folder is an export: nothing is written to one that holds anything
else, and nothing but an export's own files is ever replaced or removed. Hidden files are left alone.
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
from wan_assets.export.source_files import SUFFIXES, checked
from wan_assets.export.splits import SPLITS
from wan_assets.ledger import is_surely_dead, new_owner
from wan_assets.models import public_part_of, without_secrets_of
from wan_assets.settings import expanded
from wan_assets.store import StoredVideo

CARD = "README.md"

_MARKER = ".wan-assets-export.json"
_PARTIAL = ".partial~"
_PIECE = 1 << 20
_SPLIT = "|".join(SPLITS)
_OURS = re.compile(
    rf"{re.escape(CARD)}|data/(?:{_SPLIT})\.parquet|(?:{_SPLIT})/(?:metadata\.jsonl|shard(?:-[01]+)?\.tar)"
    rf"|(?:{_SPLIT}|videos)/[0-9a-f]{{2}}/[0-9a-f]{{64}}\.(?:{'|'.join(SUFFIXES)})"
)
"""All names that an export may hold; none of them leads out of its folder."""


@dataclass
class Changes:
    """What an export did to its files; `linked` ones are among those written, which `written_bytes` leaves out."""

    written: int = 0
    linked: int = 0
    kept: int = 0
    removed: int = 0
    written_bytes: int = 0


class Target:
    """One export's folder. Blocking; raises `ExportError`, also where the folder holds anything else."""

    def __init__(self, root: str | os.PathLike[str], format_: Format, *, links: bool = False) -> None:
        self.changes = Changes()
        if isinstance(root, str):
            root = expanded(root, "the export's folder")
        self._address = str(root)
        self._format = format_
        self._links = links
        self._wanted: set[str] = set()
        with self._translated((OSError, ImportError, ValueError, TypeError, AttributeError, LookupError)):
            self.root = UPath(root)
        self._is_local = self.root.protocol in ("", "file")
        if self._is_local:
            self.root = UPath(Path(self.root.path).absolute())
        with self._translated():
            self._marker = ""
            self._versions: dict[str, list[str | int]] = {}
            self._present = self._listed()
            self._begin()

    @property
    def uri(self) -> str:
        """The folder's address, without what may be a secret."""
        return public_part_of(str(self.root))

    @property
    def version(self) -> str:
        """A digest of all that the export holds; its card, which tells the same in words, does not count."""
        said = sorted((name, version) for name, (version, _) in self._versions.items() if name != CARD)
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """A local path for a file in the making, on the target's own disk where it has one; removed afterwards."""
        folder = Path(self.root.path) if self._is_local else Path(tempfile.gettempdir())
        path = folder / f"{_PARTIAL}{new_owner()}"
        with self._translated():
            path.touch()
            try:
                yield path
            finally:
                path.unlink(missing_ok=True)

    def keeps(self, name: str, version: str) -> bool:
        """Whether a file is there in this very version; it is wanted from now on."""
        self._want(name)
        is_kept = name in self._present and self._versions.get(name) == [version, self._present[name]]
        self.changes.kept += is_kept
        return is_kept

    def put(self, name: str, version: str, path: Path) -> None:
        """Puts a finished file in its place; readers of a local folder see the old one until then."""
        self._want(name)
        with self._translated():
            size = path.stat().st_size
            self._move(path, name)
            self._versions[name] = [version, size]
            self._count(size)
            self._write_marker()

    def put_draft(self, name: str, path: Path) -> None:
        """Puts a finished file in its place, unless one with the same content is there."""
        with path.open("rb") as file:
            version = hashlib.file_digest(file, "sha256").hexdigest()
        if not self.keeps(name, version):
            self.put(name, version, path)

    def put_text(self, name: str, text: str) -> None:
        """Puts a text in its place, unless it is there."""
        with self.draft() as path:
            path.write_text(text, encoding="utf-8")
            self.put_draft(name, path)

    def put_video(self, name: str, video: StoredVideo) -> None:
        """Links or copies a video to a name that is made of its SHA-256, unless it is there."""
        if name in self._wanted:
            return
        self._want(name)
        if self._present.get(name) == video.bytes:
            self.changes.kept += 1
        elif self._links and self._link(video, name):
            self.changes.written += 1
            self.changes.linked += 1
        else:
            self._copy(video, name)
            self._count(video.bytes)

    def finish(self) -> None:
        """Removes what no longer belongs to the export, after all else is in its place."""
        gone = sorted(self._present.keys() - self._wanted)
        with self._translated():
            for name in gone:
                self._remove(name)
            if gone:
                self._write_marker()

    def _want(self, name: str) -> None:
        if not _OURS.fullmatch(name):
            raise ExportError(f"{name!r} is no name of an export's file")
        self._wanted.add(name)

    def _count(self, size: int) -> None:
        self.changes.written += 1
        self.changes.written_bytes += size

    def _listed(self) -> dict[str, int]:
        """The files that are there with their sizes, but for hidden ones; sweeps up after dead processes."""
        self.root.fs.invalidate_cache()
        base = self.root.path.rstrip("/")
        found = self.root.fs.find(base, detail=True)
        names = {path.removeprefix(base).lstrip("/"): facts["size"] for path, facts in found.items()}
        for name in names if self._is_local else ():
            if name.startswith(_PARTIAL) and is_surely_dead(name.removeprefix(_PARTIAL)):
                (self.root / name).unlink(missing_ok=True)
        return {name: size for name, size in names.items() if not re.search(r"(?:^|/)\.", name)}

    def _begin(self) -> None:
        marker = self.root / _MARKER
        if marker.exists():
            self._read_marker(marker)
            self._present = {name: size for name, size in self._present.items() if _OURS.fullmatch(name)}
        elif self._present:
            raise ExportError(f"{self.uri} holds files that are no export, such as {min(self._present)!r}")
        else:
            self.root.mkdir(parents=True, exist_ok=True)
            self._write_marker()

    def _read_marker(self, marker: UPath) -> None:
        try:
            self._marker = marker.read_text(encoding="utf-8")
            said = json.loads(self._marker)
            format_, self._versions = said["format"], dict(said["files"])
        except (ValueError, KeyError, TypeError):
            raise ExportError(f"{self.uri}/{_MARKER} is broken, so that it is unknown what is there") from None
        if format_ != self._format:
            raise ExportError(f"{self.uri} holds an export as {format_!r}, not as {self._format!r}")

    def _write_marker(self) -> None:
        said = json.dumps({"format": self._format, "files": self._versions}, indent=1, sort_keys=True)
        if said != self._marker:
            with self.draft() as path:
                path.write_text(said, encoding="utf-8")
                self._move(path, _MARKER)
            self._marker = said

    def _move(self, path: Path, name: str) -> None:
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if self._is_local:
            path.replace(target.path)
            return
        with path.open("rb") as file, target.open("wb") as remote:
            shutil.copyfileobj(file, remote, _PIECE)

    def _link(self, video: StoredVideo, name: str) -> bool:
        """Whether a hard link could be made, which takes one disk for both."""
        source = UPath(video.uri)
        if not self._is_local or source.protocol not in ("", "file"):
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
            with checked(video) as file, path.open("wb") as copy:
                shutil.copyfileobj(file, copy, _PIECE)
            self._move(path, name)

    def _remove(self, name: str) -> None:
        (self.root / name).unlink(missing_ok=True)
        self._versions.pop(name, None)
        self.changes.removed += 1
        if self._is_local:
            with suppress(OSError):  # it is not empty, as a rule
                Path(self.root.path, name).parent.rmdir()

    @contextmanager
    def _translated(self, kinds: tuple[type[Exception], ...] = (OSError,)) -> Iterator[None]:
        try:
            yield
        except kinds as error:
            said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            where = public_part_of(self._address)
            raise ExportError(f"cannot write the export {where}: {without_secrets_of(self._address, said)}") from error
