"""Local files that a table names: read once, as a whole, below a folder, and never through a link."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path, PurePath

MAX_BYTES = 50 << 20
"""A larger file would take several times its size in memory when it is uploaded."""

_PLAIN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_PLAIN |= getattr(os, "O_BINARY", 0)
_FOLDER = getattr(os, "O_PATH", 0) | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)


class LocalFileError(Exception):
    """A local file cannot be taken; the message says why, and goes on after its name."""


def content_below(folder: Path, place: PurePath) -> bytes:
    """The bytes of a file below a folder, opened part by part: no part of `place` may be a link.

    Raises `LocalFileError`, also for what is no regular file or too large.
    """
    try:
        return _content(_opened_below(folder, place))
    except OSError as error:
        raise LocalFileError(_reason(error)) from None


def content_known_as(path: Path, reference: str) -> bytes:
    """The bytes of a file if they still are what `sha256:…` says; raises `LocalFileError`."""
    content = content_below(path.parent, PurePath(path.name))
    if reference_to(content) != reference:
        raise LocalFileError("is not the file that was checked: it has changed since the table was read")
    return content


def reference_to(content: bytes) -> str:
    """What stands in a request for a file: `sha256:…`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _opened_below(folder: Path, place: PurePath) -> int:
    if os.open not in os.supports_dir_fd:
        return os.open(folder / place, os.O_RDONLY | _PLAIN)
    *folders, name = place.parts
    at = os.open(folder, os.O_RDONLY | _FOLDER)
    try:
        for part in folders:
            inner = os.open(part, os.O_RDONLY | _FOLDER | _PLAIN, dir_fd=at)
            os.close(at)
            at = inner
        return os.open(name, os.O_RDONLY | _PLAIN, dir_fd=at)
    finally:
        os.close(at)


def _content(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise LocalFileError("is no regular file")
        content = b"" if found.st_size > MAX_BYTES else file.read(MAX_BYTES + 1)
    if max(found.st_size, len(content)) > MAX_BYTES:
        raise LocalFileError(f"is larger than {MAX_BYTES >> 20} MB")
    return content


def _reason(error: OSError) -> str:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return "has become a link since the table was read"
    return f"cannot be read: {error.strerror}"
