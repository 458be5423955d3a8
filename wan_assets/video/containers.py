"""Detection of a file's container from its bytes, and verification of its outer structure."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wan_assets.errors import InvalidVideoError

_EBML, _SEGMENT, _CLUSTER, _DOCTYPE = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0x4282
_LEADING_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip")


@dataclass(frozen=True)
class _Element:
    """A box or EBML element: the start and end of its content; `end` is None if the size is unknown."""

    kind: int
    start: int
    end: int | None


def container_of(path: str | os.PathLike[str]) -> str:
    """Returns MP4, MOV, WEBM or MATROSKA.

    Raises InvalidVideoError for other files and for a file that ends before its boxes or elements do, because a
    truncated file may open and decode without an error.
    """
    with Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(12)
        if head[4:8] == b"ftyp" or head[4:8] in _LEADING_BOXES:
            _check_boxes(file, size)
            return "MOV" if head[4:8] != b"ftyp" or head[8:12] == b"qt  " else "MP4"
        if head[:4] == _EBML.to_bytes(4, "big"):
            return _matroska_of(file, size)
    raise InvalidVideoError("the file is empty" if not head else "the file is not an MP4, MOV or WebM file")


def _check_boxes(file: BinaryIO, size: int) -> None:
    kinds = {element.kind.to_bytes(4, "big") for element in _boxes(file, size)}
    if b"moov" not in kinds:
        raise InvalidVideoError("the file has no index (moov): it is cut off or broken")
    if not kinds & {b"mdat", b"moof"}:
        raise InvalidVideoError("the file has no media data (mdat): it is cut off or broken")


def _boxes(file: BinaryIO, size: int) -> Iterator[_Element]:
    """Yields the top-level boxes of an MP4 or MOV file, each of which must fit in the file."""
    at = 0
    while at < size:
        length, kind = _number(file, at, 4), _number(file, at + 4, 4)
        header = 8
        if length == 1:
            length, header = _number(file, at + 8, 8), 16
        if length == 0 and kind == int.from_bytes(b"mdat", "big"):
            length = size - at
        if length < header:
            raise InvalidVideoError(f"the file's structure is broken at byte {at}")
        _check_fits(at + length, size)
        yield _Element(kind, at + header, at + length)
        at += length


def _matroska_of(file: BinaryIO, size: int) -> str:
    doctype = ""
    header = _ebml_element(file, 0)
    at = header.start
    while header.end and at < header.end:
        element = _ebml_element(file, at)
        if element.end is None:
            raise InvalidVideoError("the file's header is broken")
        _check_fits(element.end, size)
        if element.kind == _DOCTYPE:
            doctype = _read(file, element.start, min(element.end - element.start, 64)).decode("latin-1")
        at = element.end
    _check_segment(file, at, size)
    return "WEBM" if doctype.rstrip("\0") == "webm" else "MATROSKA"


def _check_segment(file: BinaryIO, at: int, size: int) -> None:
    """Checks the children of the segment, and the content of children of unknown size, as in live streams."""
    segment = _ebml_element(file, at)
    if segment.kind != _SEGMENT:
        raise InvalidVideoError(f"the file's structure is broken at byte {at}")
    _check_fits(segment.end or segment.start, size)
    at, end = segment.start, segment.end or size
    while at < end:
        element = _ebml_element(file, at)
        if element.end is None and element.kind != _CLUSTER:
            raise InvalidVideoError(f"the file's structure is broken at byte {at}")
        at = element.start if element.end is None else element.end
        _check_fits(at, end)


def _ebml_element(file: BinaryIO, at: int) -> _Element:
    id_length = _vint_length(file, at)
    size_at = at + id_length
    length = _vint_length(file, size_at)
    mask = (1 << (7 * length)) - 1
    value = _number(file, size_at, length) & mask
    start = size_at + length
    return _Element(_number(file, at, id_length), start, None if value == mask else start + value)


def _vint_length(file: BinaryIO, at: int) -> int:
    first = _number(file, at, 1)
    if not first:
        raise InvalidVideoError(f"the file's structure is broken at byte {at}")
    return 9 - first.bit_length()


def _number(file: BinaryIO, at: int, length: int) -> int:
    return int.from_bytes(_read(file, at, length), "big")


def _read(file: BinaryIO, at: int, length: int) -> bytes:
    file.seek(at)
    data = file.read(length)
    _check_fits(at + length, at + len(data))
    return data


def _check_fits(end: int, size: int) -> None:
    if end > size:
        raise InvalidVideoError(f"the file is cut off: it should have {end} bytes or more and has {size}")
