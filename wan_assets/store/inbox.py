"""The inbox: the folder of a bucket to which the API uploads videos through signed URLs.

A signed URL allows writing one object until it expires, and allows no reading. Delivered files are not trusted: a file
is copied to its place in the store after it has been verified as the requested video.
"""

from __future__ import annotations

import shutil
import urllib.request
from pathlib import Path

from upath import UPath

from wan_assets.errors import StoreError
from wan_assets.ledger import new_owner

MAX_VALID_S = 7 * 24 * 3600
"""The maximum validity of an S3 signature (Signature Version 4, `X-Amz-Expires`)."""

_TRIAL_VALID_S = 300
_UPLOAD_TIMEOUT_S = 30.0


class Inbox:
    """One folder of an S3 bucket. Blocking; raises the errors of fsspec."""

    def __init__(self, folder: UPath) -> None:
        self._folder = folder

    def url_for(self, name: str, valid_s: float) -> str:
        """Returns a signed URL that accepts one PUT, with any headers, for `valid_s` seconds; it is a secret."""
        expiration = max(1, min(int(valid_s), MAX_VALID_S))
        return str(self._folder.fs.sign(self._path(name), expiration=expiration, client_method="put_object"))

    def verify_uploads(self) -> None:
        """Writes a file through a signed URL, reads it and removes it; raises `StoreError` if the content differs."""
        name = f"{new_owner()}~.trial"
        content = name.encode()
        request = urllib.request.Request(self.url_for(name, _TRIAL_VALID_S), content, method="PUT")
        request.add_header("Content-Type", "application/octet-stream")
        with urllib.request.urlopen(request, timeout=_UPLOAD_TIMEOUT_S):
            arrived = (self._folder / name).read_bytes()
        self.remove(name)
        if arrived != content:
            raise StoreError(f"a file written to a signed URL of {self._folder} was read back with different content")

    def holds(self, name: str) -> bool:
        """Returns whether a file with this name has been delivered."""
        return self._etag(name) is not None

    def fetch(self, name: str, path: Path) -> str | None:
        """Downloads a delivered file; returns its ETag, or None if it is missing or changed during the download."""
        etag = self._etag(name)
        if etag is None:
            return None
        with (self._folder / name).open("rb") as remote, path.open("wb") as file:
            shutil.copyfileobj(remote, file, 1 << 20)
        return etag if self._etag(name) == etag else None

    def is_copied(self, name: str, etag: str, target: UPath) -> bool:
        """Copies a fetched file within the bucket; returns False if it has been overwritten since."""
        self._folder.fs.cp_file(self._path(name), target.path)
        return self._etag(name) == etag

    def remove(self, name: str) -> None:
        """Removes a delivered file if it exists."""
        if self.holds(name):
            self._folder.fs.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return str((self._folder / name).path)

    def _etag(self, name: str) -> str | None:
        try:
            return str(self._folder.fs.info(self._path(name), refresh=True)["ETag"])
        except FileNotFoundError:
            return None
