"""Standard output and error that take any text in any encoding, and whose reader may go away."""

from __future__ import annotations

import codecs
import errno
import io
import sys
from contextlib import suppress
from typing import Any

_ERRORS = "wan_assets.readable"
_ASCII = "wan_assets_ascii"
"""ASCII by another name: click writes UTF-8 to a stream that calls its encoding ASCII."""

_PLAIN = {
    **dict.fromkeys("\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}", "-"),
    **dict.fromkeys("\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}", "'"),
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{MICRO SIGN}": "u",
    "\N{BOX DRAWINGS HEAVY HORIZONTAL}": "-",
    "\N{BOX DRAWINGS LIGHT HORIZONTAL}": "-",
}
_READER_IS_GONE = (errno.EPIPE, errno.EIO, errno.ECONNRESET)


class StandardFile(io.FileIO):
    """A standard stream that never ends a run: a run that pays for videos goes on when nobody reads what it says.

    `failure` is why something was not written, unless the reader has gone away.
    """

    failure: OSError | None = None

    def write(self, content: Any) -> int:
        """Writes, or drops what cannot be written."""
        try:
            return super().write(content)
        except OSError as error:
            if error.errno not in _READER_IS_GONE:
                self.failure = error
            return len(memoryview(content).cast("B"))


class Standard(io.TextIOWrapper):
    """A standard stream, by the number of its file."""

    def __init__(self, number: int, encoding: str, *, closefd: bool = True) -> None:
        self.file = StandardFile(number, "w", closefd=closefd)
        encoding = _ASCII if is_ascii(encoding) else encoding
        super().__init__(io.BufferedWriter(self.file), encoding=encoding, errors=_ERRORS, line_buffering=True)


def open_standard(number: int, encoding: str | None) -> Standard:
    """A stream on an open file that is ours to close."""
    return Standard(number, encoding or "utf-8")


def prepare_process() -> tuple[Standard, ...]:
    """Replaces both standard streams of this process; gives those that there are."""
    streams = []
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        try:
            stream.flush()
            standard = Standard(stream.fileno(), stream.encoding, closefd=False)
        except (AttributeError, OSError, ValueError):  # it was closed by whoever started us
            setattr(sys, name, io.StringIO())
        else:
            setattr(sys, name, standard)
            streams.append(standard)
    return tuple(streams)


def prepare() -> None:
    """Has both standard streams, whatever they are now, take any text."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(ValueError, io.UnsupportedOperation):
                stream.reconfigure(errors=_ERRORS)


def speaks_unicode(stream: Any) -> bool:
    """Whether a stream takes every character as it is."""
    try:
        return codecs.lookup(getattr(stream, "encoding", None) or "ascii").name.startswith("utf")
    except LookupError:
        return False


def is_ascii(encoding: str) -> bool:
    """Whether an encoding has nothing but ASCII, under whatever name."""
    try:
        return codecs.lookup(encoding).name == "ascii"
    except LookupError:
        return False


def _readable(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that an encoding lacks: plain ones for ours, escapes for the rest."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(_PLAIN.get(letter) or _escaped(letter) for letter in letters), error.end


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
