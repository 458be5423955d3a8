"""Reads response bodies in pieces, decompresses them, and enforces a maximum size."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, Iterator
from typing import Protocol

import httpx

_PIECE_BYTES = 1 << 18
_MAX_DIGITS = 18
_PLAIN = ("", "identity")


class TooLargeError(Exception):
    """A body is larger than its limit."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"it is larger than {max_bytes:,} bytes")


async def pieces_of(response: httpx.Response, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """Yields the decompressed body in pieces of at most 256 KiB.

    Raises `TooLargeError` as soon as the body exceeds `max_bytes`, and `httpx.HTTPError` if the body is cut off or
    cannot be decompressed.
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
        """Does nothing: a plain body has no trailer."""


class _Inflater:
    """Decompresses gzip and deflate in bounded pieces, because a small input may expand to gigabytes."""

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
        """Returns the window bits for zlib. Some servers send deflate without the zlib header."""
        if self._is_gzip:
            return zlib.MAX_WBITS | 16
        return zlib.MAX_WBITS if raw[:1] and raw[0] & 0x0F == zlib.DEFLATED else -zlib.MAX_WBITS


def _decoder_for(encoding: str) -> _Decoder:
    if encoding in _PLAIN:
        return _Plain()
    if encoding in ("gzip", "x-gzip", "deflate"):
        return _Inflater(is_gzip=encoding != "deflate")
    raise httpx.DecodingError(f"the body is encoded as {encoding[:40]!r}, which was not requested")
