"""The CSV files whose rows can be indexed."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Self

import pydantic

from wan_assets import __version__
from wan_assets.errors import PromptTableError
from wan_assets.models import catalog
from wan_assets.prompts.columns import SEEDS
from wan_assets.prompts.delimited_files import DELIMITERS, header_of, names_in, rows_of
from wan_assets.prompts.identity import PromptIds
from wan_assets.prompts.layout import Layouts
from wan_assets.prompts.local_media import LocalMedia
from wan_assets.prompts.locations import location_of
from wan_assets.prompts.prompt_source import PromptSource, prompt_source_of
from wan_assets.prompts.rows import RowReader
from wan_assets.prompts.sources import files_of, sheets_of
from wan_assets.prompts.table import Prompts, row_reader
from wan_assets.prompts.table_blocks import IndexUnusableError

_INDEX_FORMAT = 1
_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True)
class IndexedFile:
    """A CSV file whose rows can be indexed: each depends on its own record only.

    `key` identifies everything else that decides how a record is read: the header, the options, the release, and the
    descriptions of models.
    """

    path: Path
    given: PromptSource
    delimiter: str
    names: tuple[str, ...]
    header: bytes
    key: str
    stat: tuple[int, ...]

    @classmethod
    def of(cls, prompts: Prompts, partitioning: str, smallest_bytes: int) -> Self | None:
        """Returns the file of a table, or None; `partitioning` identifies how rows are assigned to partitions."""
        if callable(prompts) or (isinstance(prompts, PromptSource) and callable(prompts.source)):
            return None
        given = prompt_source_of(prompts)
        location = location_of(given.source)
        if not isinstance(location, Path) or given.seeds is not None or given.variants:
            return None
        try:
            if location.suffix.lower() not in DELIMITERS or files_of(location)[1] != [location]:
                return None
            with location.open("rb") as file:
                stat = _stat_of(file)
                return cls._of(location, given, partitioning, file, stat) if stat[2] >= smallest_bytes else None
        except (OSError, ValueError, PromptTableError, csv.Error):
            return None  # the reader of the table reports the error

    @classmethod
    def _of(
        cls, path: Path, given: PromptSource, partitioning: str, file: BinaryIO, stat: tuple[int, ...]
    ) -> Self | None:
        delimiter = DELIMITERS[path.suffix.lower()]
        read: list[bytes] = []
        names = names_in(header_of(rows_of(_header_lines(file, read), delimiter)))
        header = b"".join(read)
        layout = Layouts(given).of(names)
        if layout.refused or layout.fields or layout.has(SEEDS) or header.count(b"\r") != header.count(b"\r\n"):
            return None
        releases = (_INDEX_FORMAT, __version__, sys.version, pydantic.VERSION, catalog().digest)
        options = (delimiter, header, given.columns, given.defaults, given.extra, partitioning)
        key = sha256(repr((releases, options)).encode(errors="surrogatepass")).hexdigest()
        return cls(path, given, delimiter, names, header, key, stat)

    @property
    def header_lines(self) -> int:
        """The number of lines before the first record."""
        return self.header.count(b"\n")

    @contextmanager
    def records(self) -> Iterator[BinaryIO]:
        """Opens the file after its header; raises `IndexUnusableError` if it changed since, or changes meanwhile."""
        with self.path.open("rb", buffering=_BUFFER_BYTES) as file:
            if file.read(len(self.header)) != self.header or _stat_of(file) != self.stat:
                raise IndexUnusableError
            yield file
            if _stat_of(file) != self.stat:
                raise IndexUnusableError

    def reader(self) -> RowReader:
        """Returns the reader of the records."""
        ids = PromptIds()
        ids.begin("", 0)
        (sheet,) = sheets_of(self.path)
        folder = Path(self.given.base_dir) if self.given.base_dir is not None else sheet.folder
        return row_reader(self.given, sheet, ids, LocalMedia(folder), {})


def _stat_of(file: BinaryIO) -> tuple[int, ...]:
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _header_lines(file: BinaryIO, read: list[bytes]) -> Iterator[str]:
    for line in file:
        read.append(line)
        yield line.decode("utf-8-sig" if len(read) == 1 else "utf-8")
