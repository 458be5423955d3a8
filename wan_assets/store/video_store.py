"""One door to the files, wherever they lie."""

from __future__ import annotations

import errno
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from upath import UPath

from wan_assets.errors import StoreAddressError, StoreError
from wan_assets.ledger import is_surely_dead, new_owner
from wan_assets.store import object_store, quarantine
from wan_assets.store.inbox import Inbox
from wan_assets.store.sidecar import LONGEST_SIDECAR, StoredTask, StoredVideo, as_json, from_json

_INCOMING_KEPT_S = 3600
_STRIP = ".webp"
_LONGEST_STRIP = 1 << 20
_LOG = logging.getLogger(__name__)


class VideoStore:
    """Videos under one root, a local folder or any URL that fsspec knows. Blocking; raises `StoreError`.

    With `direct_delivery` the API uploads videos to the bucket itself; this requires S3 or a compatible service.
    `public_base_url` is the address at which `wan-assets serve` serves the store. Without `pictures`, videos have
    thumbnails only.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        direct_delivery: bool = False,
        public_base_url: str = "",
        pictures: bool = True,
    ) -> None:
        self.root = object_store.opened(root)
        self.delivers = direct_delivery
        self.has_pictures = pictures
        self._public_base_url = public_base_url.rstrip("/")
        self._unreadable: set[str] = set()
        self._is_local = self.root.protocol in object_store.LOCAL
        self._inbox = Inbox(self.root / "inbox") if self.root.protocol in object_store.S3 else None
        if self._is_local:
            self.root = UPath(Path(self.root.path).absolute())
        self._aside = quarantine.Aside(self.root / "set_aside")

    def make_ready(self) -> None:
        """Writes and removes a file, so that a store that cannot be written is known before money is spent."""
        with self._translated("write to"):
            trial = self.root / ".incoming" / f"{new_owner()}~.trial"
            self._make_folder_of(trial)
            trial.fs.pipe_file(trial.path, b"wan-assets" * 1000)
            trial.unlink()
            self._sweep()
        if self.delivers:
            with self._translated("be given a file by a signed address of"):
                self._needed_inbox().try_out()

    def delivery_url(self, name: str, valid_s: float) -> str:
        """An address that the API can put one file to, for some seconds; a secret, to be kept nowhere."""
        with self._translated("sign an address of"):
            return self._needed_inbox().url_for(name, valid_s)

    @property
    def has_inbox(self) -> bool:
        """Whether the API may have put files here, now or when an earlier run had it do so."""
        return self._inbox is not None

    def is_delivered(self, name: str) -> bool:
        """Whether the API has put a file here."""
        with self._translated("read"):
            return self._inbox is not None and self._inbox.holds(name)

    def delivered(self, name: str, path: Path) -> str | None:
        """Reads what the API has put here into a local file; gives its ETag, or None where there is nothing."""
        with self._translated("read"):
            return self._needed_inbox().fetch(name, path)

    def forget_delivery(self, name: str) -> None:
        """Removes what the API has put here, once it is in its place."""
        with self._translated("write to"):
            self._needed_inbox().remove(name)

    def find(self, fingerprint: str, *, simulated: bool, former: str | None = None) -> StoredTask | None:
        """The newest whole task of a request, or None; it may be kept under a `former` fingerprint."""
        with self._translated("read"):
            found = [task for print_ in (fingerprint, former) if print_ for task in self._all(print_, simulated)]
        newest = max(found, key=lambda task: task.stored_at, default=None)
        return replace(newest, fingerprint=fingerprint) if newest else None

    def task(
        self, fingerprint: str, task_uuid: str, *, simulated: bool, former: str | None = None
    ) -> StoredTask | None:
        """One task's files if all are there at their recorded size, or None; they may be under a `former` fingerprint.

        What older releases have stored stays where it is, and is told under the present fingerprint.
        """
        with self._translated("read"):
            for print_ in (fingerprint, former):
                if print_ and (found := self._read(self._folder(print_, simulated=simulated) / f"{task_uuid}.json")):
                    return replace(found, fingerprint=fingerprint)
        return None

    def verifies(self, video: StoredVideo) -> bool:
        """Whether a file is there and holds what was stored, byte for byte."""
        try:
            return object_store.sha256_of(self._file_of(video)) == video.sha256
        except OSError:
            return False

    @contextmanager
    def incoming(self, suffix: str) -> Iterator[Path]:
        """A local path to download to, on the store's own disk where it has one; removed afterwards."""
        with self._translated("write to"):
            folder = Path(self.root.path) / ".incoming" if self._is_local else Path(tempfile.gettempdir())
            folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{new_owner()}~{suffix}.part"
        try:
            yield path
        except OSError as error:
            raise self._error("write to", error) from error
        finally:
            path.unlink(missing_ok=True)

    def put(
        self, incoming: Path, name: str, fingerprint: str, *, simulated: bool, etag: str | None = None
    ) -> tuple[str, int, str]:
        """Moves a checked file to its place, visible only when whole; gives its URI, bytes and SHA-256.

        With the `etag` of its delivery the bucket copies it by itself, and nothing is uploaded.
        """
        with self._translated("write to"):
            target = self._folder(fingerprint, simulated=simulated) / name
            if etag and self._inbox and self._inbox.is_copied(name, etag, target):
                return str(target), incoming.stat().st_size, object_store.sha256_of(UPath(incoming))
            return self._moved(incoming, target)

    def put_strip(self, strip: bytes, name: str, fingerprint: str, *, simulated: bool) -> None:
        """Puts the picture that goes with a video beside it; `name` is the video's."""
        with self._translated("write to"):
            target = (self._folder(fingerprint, simulated=simulated) / name).with_suffix(_STRIP)
            self._make_folder_of(target)
            self._write(target, strip)

    def strip_of(self, video: StoredVideo) -> bytes | None:
        """The picture that goes with a video, if it has one."""
        with self._translated("read"):
            try:
                with self._file_of(video).with_suffix(_STRIP).open("rb") as file:
                    strip: bytes = file.read(_LONGEST_STRIP + 1)
            except FileNotFoundError:
                return None
            return strip if len(strip) <= _LONGEST_STRIP else None

    def link_to(self, video: StoredVideo) -> str | None:
        """Where a browser finds a video, as far as the store is served; no secret, and good for as long as it is."""
        return f"{self._public_base_url}/{quote(self._place_of(video))}" if self._public_base_url else None

    def file_at(self, place: str, valid_s: float, kind: str) -> Path | str:
        """A file by its path below the root: a local one, or an address that shows it for some seconds; a secret.

        Who asks sees to it that `place` is one of a video. `kind` is what a browser is told that it is.
        """
        if self._is_local:
            return Path(self.root.path) / place
        with self._translated("sign an address of"):
            reported = {"ResponseContentType": kind} if self._inbox else {}
            return str(self.root.fs.sign((self.root / place).path, expiration=int(valid_s), **reported))

    def set_aside(self, incoming: Path, name: str) -> str:
        """Keeps a file that was paid for and does not count as the row's video; gives its URI."""
        with self._translated("write to"):
            return self._moved(incoming, self._aside.folder / name)[0]

    def kept(self, name: str, fingerprint: str, *, simulated: bool) -> str:
        """The URI of a file that is set aside, or in its place without a sidecar; nothing where there is none."""
        with self._translated("read"):
            return str(self._aside.find(name, self._folder(fingerprint, simulated=simulated)) or "")

    def copy_kept(self, name: str, path: Path, fingerprint: str, *, simulated: bool) -> str:
        """Copies such a file to a local path; gives its URI."""
        with self._translated("read"):
            found = self._aside.find(name, self._folder(fingerprint, simulated=simulated))
            if found is not None:
                quarantine.copy(found, path)
            return str(found or "")

    def aside_tasks(self) -> set[str]:
        """The tasks of which files are set aside."""
        with self._translated("read"):
            return self._aside.tasks()

    def forget_aside(self, task_uuid: str) -> None:
        """Removes what is set aside of a task, once it is in its place."""
        with self._translated("write to"):
            self._aside.remove(task_uuid)

    def put_dataset(self, incoming: Path, name: str) -> tuple[str, int, str]:
        """Puts a finished file in the place of the dataset's last; gives its URI, bytes and SHA-256."""
        with self._translated("write to"):
            return self._moved(incoming, self.root / "datasets" / name)

    def commit(self, task: StoredTask) -> None:
        """Writes the sidecar, which makes the task's files count."""
        with self._translated("write to"):
            sidecar = self._folder(task.fingerprint, simulated=task.is_simulated) / f"{task.task_uuid}.json"
            self._write(sidecar, json.dumps(as_json(task), ensure_ascii=False, indent=1).encode())

    def _folder(self, fingerprint: str, *, simulated: bool) -> UPath:
        return self.root / f"{'simulated' if simulated else 'videos'}/{fingerprint[:2]}/{fingerprint}"

    def _all(self, fingerprint: str, simulated: bool) -> Iterator[StoredTask]:
        folder = self._folder(fingerprint, simulated=simulated)
        sidecars = folder.glob("*.json") if folder.is_dir() else []
        yield from filter(None, map(self._read, sidecars))

    def _file_of(self, video: StoredVideo) -> UPath:
        return self.root / self._place_of(video)

    def _place_of(self, video: StoredVideo) -> str:
        """The path below the root."""
        return "/".join(video.uri.split("/")[-4:])

    def _read(self, sidecar: UPath) -> StoredTask | None:
        """What a sidecar tells, if its files are all there; what is no sidecar is named once, and does not count."""
        try:
            with sidecar.open("rb") as file:
                content = file.read(LONGEST_SIDECAR + 1)
        except (FileNotFoundError, IsADirectoryError):
            return None
        try:
            task = from_json(content, sidecar.parent)
        except ValueError as error:
            self._name_once(sidecar, error)
            return None
        return task if task.videos and all(map(self._is_whole, task.videos)) else None

    def _is_whole(self, video: StoredVideo) -> bool:
        try:
            return bool(self._file_of(video).stat().st_size == video.bytes)
        except FileNotFoundError:
            return False

    def _name_once(self, sidecar: UPath, error: ValueError) -> None:
        if str(sidecar) not in self._unreadable:
            self._unreadable.add(str(sidecar))
            _LOG.warning("The sidecar %s cannot be read, so its videos do not count: %s", sidecar, error)

    def _moved(self, incoming: Path, target: UPath) -> tuple[str, int, str]:
        self._make_folder_of(target)
        if not self._is_local:
            return str(target), *object_store.put(incoming, target)
        size, sha256 = incoming.stat().st_size, object_store.sha256_of(UPath(incoming))
        with incoming.open("rb") as file:
            os.fsync(file.fileno())
        incoming.replace(target.path)
        return str(target), size, sha256

    def _make_folder_of(self, target: UPath) -> None:
        if not object_store.is_bucket(self.root):
            target.parent.mkdir(parents=True, exist_ok=True)

    def _write(self, target: UPath, content: bytes) -> None:
        if not self._is_local:
            target.fs.pipe_file(target.path, content)
            return
        with self.incoming(".json") as path:
            with path.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            path.replace(target.path)

    def _sweep(self) -> None:
        """Removes what dead processes of this machine left, and whatever is old."""
        if self._is_local:
            for left in Path(self.root.path, ".incoming").iterdir():
                with suppress(FileNotFoundError):  # another process may be done with it, or sweep too
                    is_old = left.stat().st_mtime < time.time() - _INCOMING_KEPT_S
                    if is_old or is_surely_dead(left.name.partition("~")[0]):
                        left.unlink()

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except object_store.troubles() as error:
            raise self._error(what, error) from error

    def _needed_inbox(self) -> Inbox:
        if self._inbox is None:
            raise StoreError(f"direct delivery needs a store on S3, such as s3://bucket/folder, and not {self.root}")
        return self._inbox

    def _error(self, what: str, error: Exception) -> StoreError:
        if object_store.lacks_account(error):
            return StoreAddressError(
                f"cannot {what} the store {self.root}: no storage account is named: set AZURE_STORAGE_ACCOUNT_NAME or "
                "AZURE_STORAGE_CONNECTION_STRING"
            )
        said = error.strerror if isinstance(error, OSError) and error.strerror else object_store.first_line_of(error)
        full = ": free some space" if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) else ""
        return StoreError(f"cannot {what} the store {self.root}: {said}{full}")
