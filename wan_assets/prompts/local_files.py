"""Safe reading of local files: only below a given folder, never through a link, and at most 50 MB."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path, PurePath

MAX_BYTES = 50 << 20
"""The upload of a file takes several times its size in memory."""

_FILE_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_FILE_FLAGS |= getattr(os, "O_BINARY", 0)
_FOLDER_FLAGS = getattr(os, "O_PATH", 0) | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)


class LocalFileError(Exception):
    """A local file cannot be used; the message continues a sentence that starts with the file's name."""


def content_in_folder(folder: Path, place: PurePath) -> bytes:
    """Reads a file below a folder; opens the path part by part, since no part of `place` may be a link.

    Raises `LocalFileError`, also if the file is not a regular file or is too large.
    """
    try:
        return _content(_opened_below(folder, place))
    except OSError as error:
        raise LocalFileError(_reason(error)) from None


def verified_content(path: Path, reference: str) -> bytes:
    """Reads a file whose content must match the reference `sha256:…`; raises `LocalFileError` if it does not."""
    content = content_in_folder(path.parent, PurePath(path.name))
    if reference_to(content) != reference:
        raise LocalFileError("has changed since the table was read")
    return content


def reference_to(content: bytes) -> str:
    """Returns the reference `sha256:…` that represents a file in a request."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _opened_below(folder: Path, place: PurePath) -> int:
    if os.open not in os.supports_dir_fd:
        return os.open(folder / place, os.O_RDONLY | _FILE_FLAGS)
    *folders, name = place.parts
    at = os.open(folder, os.O_RDONLY | _FOLDER_FLAGS)
    try:
        for part in folders:
            inner = os.open(part, os.O_RDONLY | _FOLDER_FLAGS | _FILE_FLAGS, dir_fd=at)
            os.close(at)
            at = inner
        return os.open(name, os.O_RDONLY | _FILE_FLAGS, dir_fd=at)
    finally:
        os.close(at)


def _content(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise LocalFileError("is not a regular file")
        content = b"" if found.st_size > MAX_BYTES else file.read(MAX_BYTES + 1)
    if max(found.st_size, len(content)) > MAX_BYTES:
        raise LocalFileError(f"is larger than {MAX_BYTES >> 20} MB")
    return content


def _reason(error: OSError) -> str:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return "has become a link since the table was read"
    return f"cannot be read: {error.strerror}"
