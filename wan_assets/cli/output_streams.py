"""Standard output and error streams that accept any text in any encoding, and survive the exit of their reader."""

from __future__ import annotations

import codecs
import errno
import io
import sys
from contextlib import suppress
from typing import Any

_ERRORS = "wan_assets.readable"
_ASCII = "wan_assets_ascii"
"""ASCII under another name: click writes UTF-8 to a stream whose encoding is called ASCII."""

_REPLACEMENTS = {
    **dict.fromkeys("\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}", "-"),
    **dict.fromkeys("\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}", "'"),
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{MICRO SIGN}": "u",
    "\N{BOX DRAWINGS HEAVY HORIZONTAL}": "-",
    "\N{BOX DRAWINGS LIGHT HORIZONTAL}": "-",
}
_READER_EXITED = (errno.EPIPE, errno.EIO, errno.ECONNRESET)


class StandardFile(io.FileIO):
    """A standard stream that never ends a run: a run that pays for videos continues if nobody reads its output.

    `failure` is the error of a failed write, unless the reader has exited.
    """

    failure: OSError | None = None

    def write(self, content: Any) -> int:
        """Writes, or drops content that cannot be written."""
        try:
            return super().write(content)
        except OSError as error:
            if error.errno not in _READER_EXITED:
                self.failure = error
            return len(memoryview(content).cast("B"))


class StandardStream(io.TextIOWrapper):
    """A standard stream on a file descriptor."""

    def __init__(self, number: int, encoding: str, *, closefd: bool = True) -> None:
        self.file = StandardFile(number, "w", closefd=closefd)
        encoding = _ASCII if is_ascii(encoding) else encoding
        super().__init__(io.BufferedWriter(self.file), encoding=encoding, errors=_ERRORS, line_buffering=True)


def open_standard(number: int, encoding: str | None) -> StandardStream:
    """Opens a stream on a file descriptor and closes the descriptor with it."""
    return StandardStream(number, encoding or "utf-8")


def prepare_process() -> tuple[StandardStream, ...]:
    """Replaces both standard streams of this process, and returns those that are open."""
    streams = []
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        try:
            stream.flush()
            standard = StandardStream(stream.fileno(), stream.encoding, closefd=False)
        except (AttributeError, OSError, ValueError):  # the parent process closed it
            setattr(sys, name, io.StringIO())
        else:
            setattr(sys, name, standard)
            streams.append(standard)
    return tuple(streams)


def prepare() -> None:
    """Makes the current standard streams accept any text."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(ValueError, io.UnsupportedOperation):
                stream.reconfigure(errors=_ERRORS)


def supports_unicode(stream: Any) -> bool:
    """Whether a stream can encode every character."""
    try:
        return codecs.lookup(getattr(stream, "encoding", None) or "ascii").name.startswith("utf")
    except LookupError:
        return False


def is_ascii(encoding: str) -> bool:
    """Whether an encoding is ASCII, under any of its names."""
    try:
        return codecs.lookup(encoding).name == "ascii"
    except LookupError:
        return False


def _readable(error: UnicodeError) -> tuple[str, int]:
    """Replaces characters that an encoding lacks: with similar ones if known, otherwise with escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(_REPLACEMENTS.get(letter) or _escaped(letter) for letter in letters), error.end


def _escaped(letter: str) -> str:
    return letter.encode("ascii", "backslashreplace").decode()


def _ascii_codec(name: str) -> codecs.CodecInfo | None:
    if name != _ASCII:
        return None
    found = codecs.lookup("ascii")
    return codecs.CodecInfo(
        found.encode,
        found.decode,
        found.streamreader,
        found.streamwriter,
        found.incrementalencoder,
        found.incrementaldecoder,
        name=_ASCII,
    )


codecs.register_error(_ERRORS, _readable)
codecs.register(_ascii_codec)
