"""The body of an answer: read in pieces, decompressed on the way, and never longer than it may be."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, Iterator
from typing import Protocol

import httpx

_PIECE_BYTES = 1 << 18
_MAX_DIGITS = 18
_PLAIN = ("", "identity")


class TooLargeError(Exception):
    """A body is longer than it may be."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"it is larger than {max_bytes:,} bytes")


async def pieces_of(response: httpx.Response, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """The body as it is after decompression, in pieces of at most 256 KiB.

    Raises `TooLargeError` as soon as there is more than `max_bytes`, and `httpx.HTTPError` for a body that is cut off
    or that cannot be decompressed.
    """
    stated = response.headers.get("Content-Length", "")
    if stated.isdecimal() and (len(stated) > _MAX_DIGITS or int(stated) > max_bytes):
        raise TooLargeError(max_bytes)
    decoder, size = _decoder_for(response.headers.get("Content-Encoding", "").strip().lower()), 0
    async for raw in response.aiter_raw():
        for piece in decoder.read(raw):
            size += len(piece)
            if size > max_bytes:
                raise TooLargeError(max_bytes)
            yield piece
    decoder.end()


class _Decoder(Protocol):
    def read(self, raw: bytes) -> Iterator[bytes]: ...

    def end(self) -> None: ...


class _Plain:
    def read(self, raw: bytes) -> Iterator[bytes]:
        yield raw

    def end(self) -> None:
        """Nothing is left over."""


class _Inflater:
    """Decompresses gzip and deflate, a bounded piece at a time: a small input may hold gigabytes."""

    def __init__(self, *, is_gzip: bool) -> None:
        self._is_gzip = is_gzip
        self._stream: zlib._Decompress | None = None

    def read(self, raw: bytes) -> Iterator[bytes]:
        stream = self._stream = self._stream or zlib.decompressobj(self._format_of(raw))
        piece = b""
        while not stream.eof and (raw or len(piece) == _PIECE_BYTES):
            try:
                piece = stream.decompress(raw, _PIECE_BYTES)
            except zlib.error as error:
                raise httpx.DecodingError(f"the body cannot be decompressed: {error}") from None
            raw = stream.unconsumed_tail
            yield piece

    def end(self) -> None:
        if self._stream and not self._stream.eof:
            raise httpx.DecodingError("the compressed body is cut off")

    def _format_of(self, raw: bytes) -> int:
        """What zlib is told to expect; some servers send deflate without the header that belongs to it."""
        if self._is_gzip:
            return zlib.MAX_WBITS | 16
        return zlib.MAX_WBITS if raw[:1] and raw[0] & 0x0F == zlib.DEFLATED else -zlib.MAX_WBITS


def _decoder_for(encoding: str) -> _Decoder:
    if encoding in _PLAIN:
        return _Plain()
    if encoding in ("gzip", "x-gzip", "deflate"):
        return _Inflater(is_gzip=encoding != "deflate")
    raise httpx.DecodingError(f"the body is encoded as {encoding[:40]!r}, which was not asked for")
