"""The video store: all access to stored videos, sidecars and deliveries, in a folder or a bucket."""

from __future__ import annotations

import errno
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from upath import UPath

from wan_assets.errors import StoreAddressError, StoreError, file_system_errors
from wan_assets.ledger import is_surely_dead, new_owner
from wan_assets.settings import LOCAL_PROTOCOLS
from wan_assets.store import object_store, quarantine
from wan_assets.store.inbox import Inbox
from wan_assets.store.sidecar import MAX_SIDECAR_BYTES, StoredTask, StoredVideo, as_json, from_json

_INCOMING_KEPT_S = 3600
_CONTACT_SHEET_SUFFIX = ".webp"
_MAX_CONTACT_SHEET_BYTES = 1 << 20
_LOG = logging.getLogger(__name__)


class VideoStore:
    """Videos under one root: a local folder or any URL that fsspec supports. Blocking; raises `StoreError`.

    With `direct_delivery` the API uploads videos to the bucket itself; this requires S3 or a compatible service.
    `public_base_url` is the URL at which `wan-assets serve` serves the store. Without `pictures`, videos have
    thumbnails but no contact sheets.
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
        self.has_direct_delivery = direct_delivery
        self.has_pictures = pictures
        self._public_base_url = public_base_url.rstrip("/")
        self._unreadable: set[str] = set()
        self._is_local = self.root.protocol in LOCAL_PROTOCOLS
        self._inbox = Inbox(self.root / "inbox") if self.root.protocol in object_store.S3 else None
        if self._is_local:
            self.root = UPath(Path(self.root.path).absolute())
        self._quarantine = quarantine.Quarantine(self.root / "set_aside")

    def make_ready(self) -> None:
        """Writes and removes a file, to detect a store that is not writable before money is spent."""
        with self._translated("write to"):
            trial = self.root / ".incoming" / f"{new_owner()}~.trial"
            self._make_folder_of(trial)
            trial.fs.pipe_file(trial.path, b"wan-assets" * 1000)
            trial.unlink()
            self._sweep()
        if self.has_direct_delivery:
            with self._translated("receive a file through a signed URL of"):
                self._needed_inbox().verify_uploads()

    def delivery_url(self, name: str, valid_s: float) -> str:
        """Returns a URL to which the API can upload one file for `valid_s` seconds; a secret that is not recorded."""
        with self._translated("sign a URL of"):
            return self._needed_inbox().url_for(name, valid_s)

    @property
    def has_inbox(self) -> bool:
        """Whether the API can have delivered files to this store, in this run or an earlier one."""
        return self._inbox is not None

    def is_delivered(self, name: str) -> bool:
        """Returns whether the API has delivered a file with this name."""
        with self._translated("read"):
            return self._inbox is not None and self._inbox.holds(name)

    def fetch_delivery(self, name: str, path: Path) -> str | None:
        """Downloads a delivered file; returns its ETag, or None if it is missing or changed during the download."""
        with self._translated("read"):
            return self._needed_inbox().fetch(name, path)

    def remove_delivery(self, name: str) -> None:
        """Removes a delivered file after it has been stored."""
        with self._translated("write to"):
            self._needed_inbox().remove(name)

    def find(self, fingerprint: str, *, simulated: bool, former: str | None = None) -> StoredTask | None:
        """Returns the newest complete task of a request, or None; it may be stored under a `former` fingerprint."""
        with self._translated("read"):
            found = [task for print_ in (fingerprint, former) if print_ for task in self._all(print_, simulated)]
        newest = max(found, key=lambda task: task.stored_at, default=None)
        return replace(newest, fingerprint=fingerprint) if newest else None

    def task(
        self, fingerprint: str, task_uuid: str, *, simulated: bool, former: str | None = None
    ) -> StoredTask | None:
        """Returns a task if all its files exist with the recorded size, or None.

        The task may be stored under a `former` fingerprint, which an older release used. It is returned with the
        current fingerprint.
        """
        with self._translated("read"):
            for print_ in (fingerprint, former):
                if print_ and (found := self._read(self._folder(print_, simulated=simulated) / f"{task_uuid}.json")):
                    return replace(found, fingerprint=fingerprint)
        return None

    def file_of(self, video: StoredVideo) -> UPath:
        """Returns the file of a video, with the store's options."""
        return self.root / self.relative_path(video)

    def relative_path(self, video: StoredVideo) -> str:
        """Returns the path of a video below the root."""
        return "/".join(video.uri.split("/")[-4:])

    def verifies(self, video: StoredVideo) -> bool:
        """Returns whether a file exists and matches the SHA-256 of its sidecar."""
        try:
            return object_store.sha256_of(self.file_of(video)) == video.sha256
        except OSError:
            return False

    @contextmanager
    def incoming(self, suffix: str) -> Iterator[Path]:
        """Yields a local path for a download, on the disk of a local store; the file is removed afterwards."""
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
        """Stores a verified file atomically; returns its URI, its size in bytes and its SHA-256.

        With the `etag` of its delivery, the file is copied within the bucket and not uploaded.
        """
        with self._translated("write to"):
            target = self._folder(fingerprint, simulated=simulated) / name
            if etag and self._inbox and self._inbox.is_copied(name, etag, target):
                return str(target), incoming.stat().st_size, object_store.sha256_of(UPath(incoming))
            return self._stored(incoming, target)

    def put_contact_sheet(self, contact_sheet: bytes, name: str, fingerprint: str, *, simulated: bool) -> None:
        """Stores the contact sheet of a video next to it; `name` is the name of the video file."""
        with self._translated("write to"):
            target = (self._folder(fingerprint, simulated=simulated) / name).with_suffix(_CONTACT_SHEET_SUFFIX)
            self._make_folder_of(target)
            self._write(target, contact_sheet)

    def contact_sheet_of(self, video: StoredVideo) -> bytes | None:
        """Returns the contact sheet of a video, or None."""
        with self._translated("read"):
            try:
                with self.file_of(video).with_suffix(_CONTACT_SHEET_SUFFIX).open("rb") as file:
                    contact_sheet: bytes = file.read(_MAX_CONTACT_SHEET_BYTES + 1)
            except FileNotFoundError:
                return None
            return contact_sheet if len(contact_sheet) <= _MAX_CONTACT_SHEET_BYTES else None

    def link_to(self, video: StoredVideo) -> str | None:
        """Returns the URL of a video if the store is served; the URL is not a secret and does not expire."""
        return f"{self._public_base_url}/{quote(self.relative_path(video))}" if self._public_base_url else None

    def file_at(self, place: str, valid_s: float, kind: str) -> Path | str:
        """Returns the local path of a file, or a signed URL that is valid for `valid_s` seconds and is a secret.

        The caller ensures that `place`, a path below the root, is the path of a video. `kind` is the media type for
        browsers.
        """
        if self._is_local:
            return Path(self.root.path) / place
        with self._translated("sign a URL of"):
            reported = {"ResponseContentType": kind} if self._inbox else {}
            return str(self.root.fs.sign((self.root / place).path, expiration=int(valid_s), **reported))

    def put_quarantined(self, incoming: Path, name: str) -> str:
        """Quarantines a paid file that does not count as the row's video; returns its URI."""
        with self._translated("write to"):
            return self._stored(incoming, self._quarantine.folder / name)[0]

    def quarantined_uri(self, name: str, fingerprint: str, *, simulated: bool) -> str:
        """Returns the URI of a quarantined file, or of a stored file without a sidecar; empty if there is none."""
        with self._translated("read"):
            return str(self._quarantine.find(name, self._folder(fingerprint, simulated=simulated)) or "")

    def copy_quarantined(self, name: str, path: Path, fingerprint: str, *, simulated: bool) -> str:
        """Downloads such a file to a local path; returns its URI, or empty text if there is none."""
        with self._translated("read"):
            found = self._quarantine.find(name, self._folder(fingerprint, simulated=simulated))
            if found is not None:
                quarantine.copy(found, path)
            return str(found or "")

    def quarantined_tasks(self) -> set[str]:
        """Returns the UUIDs of tasks with quarantined files."""
        with self._translated("read"):
            return self._quarantine.tasks()

    def remove_quarantined(self, task_uuid: str) -> None:
        """Removes the quarantined files of a task after it has been stored."""
        with self._translated("write to"):
            self._quarantine.remove(task_uuid)

    def put_dataset(self, incoming: Path, name: str) -> tuple[str, int, str]:
        """Replaces a dataset file atomically; returns its URI, its size in bytes and its SHA-256."""
        with self._translated("write to"):
            return self._stored(incoming, self.root / "datasets" / name)

    def put_table(self, incoming: Path, asset: Sequence[str]) -> UPath:
        """Stores a snapshot of a prompt table under its SHA-256, once; returns its file."""
        with self._translated("write to"):
            target = self.table(asset, object_store.sha256_of(UPath(incoming)))
            if not target.exists():
                self._stored(incoming, target)
            return target

    def table(self, asset: Sequence[str], version: str) -> UPath:
        """Returns the file of a snapshot of the prompt table `asset`, whether or not it exists."""
        return self.root / "tables" / "/".join(quote(part, safe="") for part in asset) / f"{version}.parquet"

    def put_table_index(self, incoming: Path, asset: Sequence[str]) -> None:
        """Replaces the index of the last snapshot of a prompt table atomically."""
        with self._translated("write to"):
            self._stored(incoming, self.table_index(asset))

    def table_index(self, asset: Sequence[str]) -> UPath:
        """Returns the file of the index of the prompt table `asset`, whether or not it exists."""
        *folders, name = (quote(part, safe="") for part in asset)
        return self.root.joinpath("table_indexes", *folders, f"{name}.arrow")

    def commit(self, task: StoredTask) -> None:
        """Writes the sidecar. From then on the task counts as stored."""
        with self._translated("write to"):
            sidecar = self._folder(task.fingerprint, simulated=task.is_simulated) / f"{task.task_uuid}.json"
            self._write(sidecar, json.dumps(as_json(task), ensure_ascii=False, indent=1).encode())

    def _folder(self, fingerprint: str, *, simulated: bool) -> UPath:
        return self.root / f"{'simulated' if simulated else 'videos'}/{fingerprint[:2]}/{fingerprint}"

    def _all(self, fingerprint: str, simulated: bool) -> Iterator[StoredTask]:
        folder = self._folder(fingerprint, simulated=simulated)
        sidecars = folder.glob("*.json") if folder.is_dir() else []
        yield from filter(None, map(self._read, sidecars))

    def _read(self, sidecar: UPath) -> StoredTask | None:
        """Reads a sidecar; returns None if files are missing, or if it is invalid, which is logged once."""
        try:
            with sidecar.open("rb") as file:
                content = file.read(MAX_SIDECAR_BYTES + 1)
        except (FileNotFoundError, IsADirectoryError):
            return None
        try:
            task = from_json(content, sidecar.parent)
        except ValueError as error:
            self._warn_once(sidecar, error)
            return None
        return task if task.videos and all(map(self._is_whole, task.videos)) else None

    def _is_whole(self, video: StoredVideo) -> bool:
        try:
            return bool(self.file_of(video).stat().st_size == video.bytes)
        except FileNotFoundError:
            return False

    def _warn_once(self, sidecar: UPath, error: ValueError) -> None:
        if str(sidecar) not in self._unreadable:
            self._unreadable.add(str(sidecar))
            _LOG.warning("The sidecar %s cannot be read; its videos are ignored: %s", sidecar, error)

    def _stored(self, incoming: Path, target: UPath) -> tuple[str, int, str]:
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
        """Removes temporary files of dead processes on this machine, and files that are older than one hour."""
        if self._is_local:
            for left in Path(self.root.path, ".incoming").iterdir():
                with suppress(FileNotFoundError):  # another process may remove it at the same time
                    is_old = left.stat().st_mtime < time.time() - _INCOMING_KEPT_S
                    if is_old or is_surely_dead(left.name.partition("~")[0]):
                        left.unlink()

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except file_system_errors() as error:
            raise self._error(what, error) from error

    def _needed_inbox(self) -> Inbox:
        if self._inbox is None:
            raise StoreError(f"direct delivery requires a store on S3, such as s3://bucket/folder, not {self.root}")
        return self._inbox

    def _error(self, what: str, error: Exception) -> StoreError:
        if object_store.lacks_account(error):
            return StoreAddressError(
                f"cannot {what} the store {self.root}: no storage account is configured: set "
                "AZURE_STORAGE_ACCOUNT_NAME or AZURE_STORAGE_CONNECTION_STRING"
            )
        reason = error.strerror if isinstance(error, OSError) and error.strerror else object_store.first_line_of(error)
        full = ": free some space" if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) else ""
        return StoreError(f"cannot {what} the store {self.root}: {reason}{full}")
