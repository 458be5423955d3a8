"""Decompression of text files in pieces, which detects incomplete files and limits what they expand to."""

from __future__ import annotations

import io
import lzma
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

MAX_BYTES_AT_ONCE = 1 << 30
"""The longest line of a table, and the largest JSON file: both are held in memory."""

_BUFFER_BYTES = 256 * 1024

_BROKEN = (OSError, EOFError, RuntimeError, NotImplementedError, lzma.LZMAError, zipfile.BadZipFile)
"""Errors of the decompressors; `zipfile` raises the third and the fourth for encrypted and unusual files."""


class DecompressionError(Exception):
    """A file cannot be decompressed; the message continues a sentence that starts with the file's name."""


@dataclass(frozen=True)
class _Compression:
    name: str
    first_bytes: bytes
    open: Callable[[BinaryIO], Any]


@contextmanager
def decompressed(
    path: Path, suffix: str, *, is_read_at_once: bool, max_bytes: int = MAX_BYTES_AT_ONCE
) -> Iterator[BinaryIO]:
    """Opens a compressed file, whose name ends in `suffix`, for reading.

    Opening and reading raise `DecompressionError` if the file is incomplete, is damaged or expands to more than
    `max_bytes` in one line, or in total if the text is read at once.
    """
    compression = COMPRESSIONS[suffix]
    with path.open("rb") as file:
        _refuse_other(file, compression)
        with ExitStack() as opened:
            with _translated(compression):
                inner = opened.enter_context(compression.open(file))
            raw = _LimitedReader(inner, compression, max_bytes, is_read_at_once=is_read_at_once)
            yield cast("BinaryIO", io.BufferedReader(raw, _BUFFER_BYTES))


def is_compressed(path: Path, suffix: str) -> bool:
    """Whether a file begins as its name says, which ends in `suffix`."""
    with path.open("rb") as file:
        return re.match(COMPRESSIONS[suffix].first_bytes, file.read(8), re.DOTALL) is not None


def _refuse_other(file: BinaryIO, compression: _Compression) -> None:
    head = file.read(8)
    file.seek(0)
    if not head:
        raise DecompressionError(f"is empty, which no complete {compression.name} file is; write it again")
    if not re.match(compression.first_bytes, head, re.DOTALL):
        fix = "correct the end of its name, or compress it again"
        raise DecompressionError(f"is not compressed with {compression.name}; {fix}")


@contextmanager
def _translated(compression: _Compression) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        reason = str(error) or "it ends too early"
        raise DecompressionError(f"is not a complete {compression.name} file: {reason}; write it again") from error


class _LimitedReader(io.RawIOBase):
    """Reads from a decompressor; counts the bytes since the last line break, or since the beginning."""

    def __init__(self, inner: Any, compression: _Compression, max_bytes: int, *, is_read_at_once: bool) -> None:
        self._inner, self._compression, self._counts_all = inner, compression, is_read_at_once
        self._bytes, self._max_bytes = 0, max_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _translated(self._compression):
            piece: bytes = self._inner.read(len(buffer))
        end = -1 if self._counts_all else piece.rfind(b"\n")
        self._bytes = len(piece) - end - 1 if end >= 0 else self._bytes + len(piece)
        if self._bytes > self._max_bytes:
            what = "to more than" if self._counts_all else "to a line of more than"
            fix = "save the table as JSON Lines" if self._counts_all else "check its content"
            raise DecompressionError(f"expands {what} {self._max_bytes:,} bytes; {fix}")
        buffer[: len(piece)] = piece
        return len(piece)


class _XzReader:
    """Reads all streams of an xz file. `lzma.LZMAFile` would ignore a damaged second stream."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._stream, self._rest = file, lzma.LZMADecompressor(lzma.FORMAT_XZ), b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, size: int) -> bytes:
        while True:
            if self._stream.eof:
                self._rest = self._next_bytes(self._stream.unused_data).lstrip(b"\0")  # padding between streams
                if not self._rest:
                    return b""
                self._stream = lzma.LZMADecompressor(lzma.FORMAT_XZ)
            given = self._next_bytes(self._rest) if self._stream.needs_input else b""
            if self._stream.needs_input and not given:
                raise EOFError
            self._rest = b""
            if piece := self._stream.decompress(given, size):
                return piece

    def _next_bytes(self, rest: bytes) -> bytes:
        """Returns the bytes that were read but not used, or the next ones of the file; skips padding."""
        while not rest.strip(b"\0"):
            more = self._file.read(_BUFFER_BYTES)
            if not more:
                return b""
            rest = more if self._stream.eof else rest + more
        return rest


@contextmanager
def _only_member(file: BinaryIO) -> Iterator[Any]:
    with zipfile.ZipFile(file) as archive:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
        tables = [name for name in names if not name.startswith("__MACOSX/")]
        if len(tables) != 1:
            raise DecompressionError(f"contains {len(tables)} files instead of one table; unpack it into a folder")
        with archive.open(tables[0]) as member:
            yield member


def _by_arrow(codec: str) -> Callable[[BinaryIO], Any]:
    """Returns a function that opens a stream; unlike Python's modules, Arrow's streams refuse trailing bytes."""
    return lambda file: import_module("pyarrow").input_stream(file, compression=codec)


COMPRESSIONS: Mapping[str, _Compression] = {
    ".gz": _Compression("gzip", rb"\x1f\x8b", _by_arrow("gzip")),
    ".bz2": _Compression("bzip2", rb"BZh", _by_arrow("bz2")),
    ".xz": _Compression("xz", rb"\xfd7zXZ\0", _XzReader),
    ".zst": _Compression("Zstandard", rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", _by_arrow("zstd")),
    ".zip": _Compression("ZIP", rb"PK", _only_member),
}
"""How files with the ends of names are decompressed."""
