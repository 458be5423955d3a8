"""The inbox: the part of a bucket that the API itself puts videos into, by addresses that allow one PUT each.

Who has such an address can write that one object until it expires, and read nothing. What arrives is unchecked: it is
copied to its place in the store once it was found to be the video that was asked for.
"""

from __future__ import annotations

import shutil
import urllib.request
from pathlib import Path

from upath import UPath

from wan_assets.errors import StoreError
from wan_assets.ledger import new_owner

MAX_VALID_S = 7 * 24 * 3600
"""S3 signs for no longer than this (Signature Version 4, `X-Amz-Expires`)."""

_TRIAL_VALID_S = 300
_ANSWER_S = 30.0


class Inbox:
    """One folder of an S3 bucket. Blocking; raises what fsspec raises."""

    def __init__(self, folder: UPath) -> None:
        self._folder = folder

    def url_for(self, name: str, valid_s: float) -> str:
        """An address that takes one object by PUT, whatever its headers, for some seconds; a secret."""
        expiration = max(1, min(int(valid_s), MAX_VALID_S))
        return str(self._folder.fs.sign(self._path(name), expiration=expiration, client_method="put_object"))

    def try_out(self) -> None:
        """Puts a file by such an address, reads it and removes it; raises `StoreError` where that does not work."""
        name = f"{new_owner()}~.trial"
        content = name.encode()
        request = urllib.request.Request(self.url_for(name, _TRIAL_VALID_S), content, method="PUT")
        request.add_header("Content-Type", "application/octet-stream")
        with urllib.request.urlopen(request, timeout=_ANSWER_S):
            arrived = (self._folder / name).read_bytes()
        self.remove(name)
        if arrived != content:
            raise StoreError(f"what was put to a signed address of {self._folder} is not what lies there")

    def holds(self, name: str) -> bool:
        """Whether something has arrived under a name."""
        return self._etag(name) is not None

    def fetch(self, name: str, path: Path) -> str | None:
        """Reads what has arrived into a local file; gives its ETag, or None where nothing has."""
        etag = self._etag(name)
        if etag is None:
            return None
        with (self._folder / name).open("rb") as remote, path.open("wb") as file:
            shutil.copyfileobj(remote, file, 1 << 20)
        return etag if self._etag(name) == etag else None

    def is_copied(self, name: str, etag: str, target: UPath) -> bool:
        """Copies within the bucket what was fetched; False where something else has arrived since."""
        self._folder.fs.cp_file(self._path(name), target.path)
        return self._etag(name) == etag

    def remove(self, name: str) -> None:
        """Removes what has arrived under a name, if anything."""
        if self.holds(name):
            self._folder.fs.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return str((self._folder / name).path)

    def _etag(self, name: str) -> str | None:
        try:
            return str(self._folder.fs.info(self._path(name), refresh=True)["ETag"])
        except FileNotFoundError:
            return None
