"""One local file of a prompt table: its name in messages, its format, and its text, which may be compressed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import BinaryIO, TextIO

from wan_assets.prompts.compression import COMPRESSIONS, DecompressionError, decompressed, is_compressed
from wan_assets.prompts.records import unreadable


@dataclass(frozen=True)
class TableFile:
    """A file whose readers name it by `label`: the local path, or the URL of which it is a copy."""

    path: Path
    label: str
    suffix: str
    """The end of the name that tells the format, such as `.csv`."""
    compression: str = ""
    """The end of the name that tells the compression, such as `.gz`."""

    def __str__(self) -> str:
        return self.label

    @classmethod
    def of(cls, path: Path, label: str, name: str) -> TableFile:
        """Returns a file whose `name` tells its format."""
        suffix, compression = suffixes_of(name)
        return cls(path, label, suffix, compression)

    def copied_to(self, path: Path) -> TableFile:
        """Returns the file for a copy, which a server may have sent uncompressed (`Content-Encoding`)."""
        is_packed = bool(self.compression) and (not path.stat().st_size or is_compressed(path, self.compression))
        return replace(self, path=path, compression=self.compression if is_packed else "")

    @contextmanager
    def open(self, *, is_read_at_once: bool = False) -> Iterator[BinaryIO]:
        """Opens the uncompressed bytes. Raises `PromptTableError`, also when they are read, if the file is damaged."""
        if not self.compression:
            with self.path.open("rb") as file:
                yield file
            return
        try:
            with decompressed(self.path, self.compression, is_read_at_once=is_read_at_once) as file:
                yield file
        except DecompressionError as error:
            raise unreadable(self, str(error)) from error

    @contextmanager
    def open_text(self, *, newline: str | None = None, is_read_at_once: bool = False) -> Iterator[TextIO]:
        """Opens the text. Raises `PromptTableError` as `open` does."""
        with self.open(is_read_at_once=is_read_at_once) as file:
            yield io.TextIOWrapper(file, encoding="utf-8-sig", newline=newline)

    def head(self, size: int) -> bytes:
        """Returns the first uncompressed bytes; raises `PromptTableError` as `open` does."""
        with self.open() as file:
            return file.read(size)


def suffixes_of(name: str) -> tuple[str, str]:
    """Returns the ends of a file name that tell its format and its compression.

    >>> suffixes_of("prompts.CSV.gz"), suffixes_of("prompts.csv"), suffixes_of("archive.gz")
    (('.csv', '.gz'), ('.csv', ''), ('', '.gz'))
    """
    path = PurePath(name)
    last = path.suffix.lower()
    return (PurePath(path.stem).suffix.lower(), last) if last in COMPRESSIONS else (last, "")
