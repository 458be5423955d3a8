"""The store's files as an export takes them: named by what they hold, and held against it as they are read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from upath import UPath

from wan_assets.errors import ExportError
from wan_assets.store import StoredVideo

SUFFIXES = ("mp4", "mov", "webm", "mkv")


def suffix_of(video: StoredVideo) -> str:
    """The suffix of a video's file with its dot; raises `ExportError` for one that no video has."""
    suffix = video.uri.rpartition(".")[2].lower()
    if suffix not in SUFFIXES:
        raise ExportError(f"the file of video {video.video_uuid} is no {', '.join(SUFFIXES)} by its name")
    return f".{suffix}"


def place_of(video: StoredVideo) -> str:
    """A path made of what the file holds, and of nothing that a table says; raises `ExportError`."""
    if not re.fullmatch(r"[0-9a-f]{64}", video.sha256):
        raise ExportError(f"the sidecar of video {video.video_uuid} does not tell its SHA-256")
    return f"{video.sha256[:2]}/{video.sha256}{suffix_of(video)}"


class Checked:
    """A stored file that is hashed as it is read."""

    def __init__(self, file: BinaryIO, video: StoredVideo) -> None:
        self._file = file
        self._video = video
        self._digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes; raises `ExportError` if they cannot be read."""
        try:
            piece = self._file.read(size)
        except OSError as error:
            raise _unreadable(self._video, error) from error
        self._digest.update(piece)
        return piece

    def confirm(self) -> None:
        """Raises `ExportError` if what was read is not what was stored."""
        if self._digest.hexdigest() != self._video.sha256:
            raise ExportError(f"the store's file of video {self._video.video_uuid} is not what was stored")


@contextmanager
def checked(video: StoredVideo) -> Iterator[Checked]:
    """A stored file, to be read to its end; raises `ExportError` if it cannot be, or is not what was stored."""
    try:
        opened = UPath(video.uri).open("rb")
    except OSError as error:
        raise _unreadable(video, error) from error
    with opened as file:
        reader = Checked(file, video)
        yield reader
        reader.confirm()


def _unreadable(video: StoredVideo, error: OSError) -> ExportError:
    said = error.strerror or type(error).__name__
    return ExportError(f"the store's file of video {video.video_uuid} cannot be read: {said}")
