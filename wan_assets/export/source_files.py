"""Access to stored files for an export: names derived from SHA-256, and verification during reading."""

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
    """Returns the suffix of a video file with its dot; raises `ExportError` for an unknown suffix."""
    suffix = video.uri.rpartition(".")[2].lower()
    if suffix not in SUFFIXES:
        raise ExportError(f"the file of video {video.video_uuid} does not end in one of {', '.join(SUFFIXES)}")
    return f".{suffix}"


def path_of(video: StoredVideo) -> str:
    """Returns a path derived from the SHA-256 of the file; raises `ExportError` if the sidecar has none."""
    if not re.fullmatch(r"[0-9a-f]{64}", video.sha256):
        raise ExportError(f"the sidecar of video {video.video_uuid} has no SHA-256")
    return f"{video.sha256[:2]}/{video.sha256}{suffix_of(video)}"


class VerifyingReader:
    """A stored file that is hashed while it is read."""

    def __init__(self, file: BinaryIO, video: StoredVideo) -> None:
        self._file = file
        self._video = video
        self._digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        """Reads the next bytes; raises `ExportError` if they cannot be read."""
        try:
            piece = self._file.read(size)
        except OSError as error:
            raise _unreadable(self._video, error) from error
        self._digest.update(piece)
        return piece

    def confirm(self) -> None:
        """Raises `ExportError` if the content does not match the SHA-256 of the sidecar."""
        if self._digest.hexdigest() != self._video.sha256:
            raise ExportError(f"the stored file of video {self._video.video_uuid} does not match its SHA-256")


@contextmanager
def verified_file(video: StoredVideo) -> Iterator[VerifyingReader]:
    """Opens a stored file that the block reads completely; raises `ExportError` if it is unreadable or has changed."""
    try:
        opened = UPath(video.uri).open("rb")
    except OSError as error:
        raise _unreadable(video, error) from error
    with opened as file:
        reader = VerifyingReader(file, video)
        yield reader
        reader.confirm()


def _unreadable(video: StoredVideo, error: OSError) -> ExportError:
    reason = error.strerror or type(error).__name__
    return ExportError(f"the stored file of video {video.video_uuid} cannot be read: {reason}")
