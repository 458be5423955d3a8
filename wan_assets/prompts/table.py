"""The prompt table with its valid rows and its problems, read as a whole or in chunks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Self, TypeAlias

from wan_assets.errors import PromptTableError
from wan_assets.models import VideoRequest
from wan_assets.prompts.approved_videos import ApprovedRows, ApprovedVideos
from wan_assets.prompts.column_use import ColumnUse
from wan_assets.prompts.defaults import merged_defaults
from wan_assets.prompts.findings import findings_of
from wan_assets.prompts.formats import Sheet
from wan_assets.prompts.identity import PromptIds
from wan_assets.prompts.layout import Layouts
from wan_assets.prompts.local_media import LocalMedia
from wan_assets.prompts.locations import label_of
from wan_assets.prompts.problems import Problem, printable
from wan_assets.prompts.prompt_row import PromptRow
from wan_assets.prompts.prompt_source import PromptSource, prompt_source_of
from wan_assets.prompts.records import count_of, in_chunks
from wan_assets.prompts.row_batch import RowBatch, Rows
from wan_assets.prompts.rows import Found, RowReader
from wan_assets.prompts.snapshot import Snapshot, snapshot_at
from wan_assets.prompts.sources import Source, sheets_of

Prompts: TypeAlias = "Source | PromptSource | PromptTable | Snapshot | Callable[[], PromptTable]"
"""Sources of prompts. A path may be a folder or a pattern. A function is called at each reading."""


@dataclass(frozen=True)
class Chunk:
    """The next rows of a table: the valid rows, the problems of the others, and the number of all rows.

    `source_count` is the number of rows in the source, from which variants make more; None if it is the same. `media`
    contains the local file of each reference in the valid rows. `columns` tells how the columns of the rows so far are
    used, if they were read from a source.
    """

    rows: Sequence[PromptRow]
    problems: tuple[Problem, ...]
    row_count: int
    media: Mapping[str, Path] = field(default_factory=dict)
    columns: ColumnUse = field(default_factory=ColumnUse)
    source_count: int | None = None

    @property
    def source_rows(self) -> int:
        """The number of rows in the source."""
        return self.row_count if self.source_count is None else self.source_count


@dataclass(frozen=True, eq=False)
class PromptTable:
    """Holds a checked prompt table. Its rows may be submitted if `problems` is empty.

    Args:
        rows: The valid rows, in the order of the table.
        problems: The problems of all other rows, each with its row, column and rule.
        row_count: The number of all rows, with and without problems.
        media: The local file for each reference `sha256:…` in a request.

    Example:
        >>> import pandas as pd
        >>> from wan_assets import PromptTable
        >>> table = PromptTable.load(pd.DataFrame({"positive_prompt": ["A red kite"], "resolution": ["480"]}))
        >>> [(problem.row, problem.column, problem.rule) for problem in table.problems]
        [(1, 'resolution', "input should be '480p', '720p' or '1080p'")]
    """

    rows: tuple[PromptRow, ...]
    problems: tuple[Problem, ...]
    row_count: int
    media: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def load(
        cls,
        source: Prompts,
        *,
        base_dir: str | os.PathLike[str] | None = None,
        defaults: Mapping[str, Any] | None = None,
        keep: Callable[[PromptRow], bool] | None = None,
    ) -> PromptTable:
        """Reads and checks a whole table.

        Args:
            source: The path or URL of a file, a folder or a pattern, a DataFrame (pandas, or any table with Arrow's C
                stream, such as polars), a dataset of Hugging Face, a `SqlQuery`, a list of `VideoRequest` or of
                mappings, a `PromptTable`, the path or URL of a snapshot, a `PromptSource` with columns and defaults, or
                a function that returns a source.
            base_dir: The folder of the local files that rows name. The default is the folder of each file of the table.
            defaults: Values for columns that a row leaves empty, such as `{"resolution": "480p"}`. Snapshots contain
                the values already.
            keep: A filter for the rows to hold. All rows are checked.

        Returns:
            The valid rows and all problems.

        Raises:
            PromptTableError: The table cannot be read, or has no rows.
        """
        source = source() if callable(source) else source
        if isinstance(source, PromptTable):
            return replace(source, rows=tuple(filter(keep, source.rows))) if keep else source
        return cls._joined(scan(source, base_dir=base_dir, defaults=defaults), keep)

    @classmethod
    def _joined(cls, chunks: Iterator[Chunk], keep: Callable[[PromptRow], bool] | None) -> Self:
        rows: list[PromptRow] = []
        problems: list[Problem] = []
        media: dict[str, Path] = {}
        row_count = 0
        for chunk in chunks:
            rows += filter(keep, chunk.rows) if keep else chunk.rows
            problems += chunk.problems
            row_count += chunk.row_count
            media |= chunk.media
        return cls(tuple(rows), tuple(problems), row_count, media)

    def __len__(self) -> int:
        return len(self.rows)

    def refuse_problems(self, name: str) -> None:
        """Raises `PromptTableError` with the first kinds of problems if there are any; `name` is the table's name."""
        if self.problems:
            raise PromptTableError(f"{name} has {findings_of(self.problems).listed()}")

    def chunk(self) -> Chunk:
        """Returns the whole table as one chunk."""
        return Chunk(self.rows, self.problems, self.row_count, self.media)

    @cached_property
    def requests(self) -> tuple[VideoRequest, ...]:
        """The requests of the valid rows in table order."""
        return tuple(row.request for row in self.rows)

    @cached_property
    def by_id(self) -> Mapping[str, PromptRow]:
        """The valid rows by `prompt_id`."""
        return {row.prompt_id: row for row in self.rows}


def scan(
    source: Prompts,
    chunk_rows: int = 10_000,
    *,
    base_dir: str | os.PathLike[str] | None = None,
    defaults: Mapping[str, Any] | None = None,
    part: str = "",
) -> Iterator[Chunk]:
    """Yields a table in chunks, with bounded memory. The first chunk of a file contains the problems of its header.

    Accepts the arguments of `PromptTable.load`. With `part`, the source is one part of a larger table: it may have no
    rows, and its derived ids differ from those of other parts. Raises `PromptTableError` when chunks are read.
    """
    given = prompt_source_of(source)
    found = _read_before(given)
    if isinstance(found, PromptTable):
        yield found.chunk()
    elif isinstance(found, Snapshot):
        yield from import_module("wan_assets.prompts.snapshot_files").chunks_of_snapshot(found, chunk_rows)
    else:
        yield from _chunks_of_source(given, chunk_rows, base_dir or given.base_dir, defaults or {}, part)


def _read_before(given: PromptSource) -> PromptTable | Snapshot | None:
    """Returns a table that was read before, or None; raises `PromptTableError` for options that would be ignored."""
    source = given.source
    found = source if isinstance(source, PromptTable) else snapshot_at(source)
    if found is not None and given.has_options:
        kind = "PromptTable" if isinstance(found, PromptTable) else "snapshot"
        names = "columns, defaults, seeds and variants"
        raise PromptTableError(f"{names} have no effect on a {kind}, which was read before; remove them")
    return found


def _chunks_of_source(
    given: PromptSource,
    chunk_rows: int,
    base_dir: str | os.PathLike[str] | None,
    defaults: Mapping[str, Any],
    part: str,
) -> Iterator[Chunk]:
    sheets = [replace(sheet, file=part or sheet.file) for sheet in sheets_of(given.source)]
    ids, media_in = PromptIds(part), cache(LocalMedia)
    total = 0
    for sheet in sheets:
        ids.begin(sheet.file, total)
        media = media_in(Path(base_dir) if base_dir is not None else sheet.folder)
        reader = row_reader(given, sheet, ids, media, defaults)
        for chunk in _chunks_of(sheet, reader, chunk_rows, media.files):
            total += chunk.source_rows
            yield chunk
    if not total and not part and not isinstance(given.source, (ApprovedRows, ApprovedVideos)):
        label = sheets[0].label if len(sheets) == 1 else printable(label_of(given.source) or str(given.source))
        raise PromptTableError(f"{label} has no rows; add at least one prompt")


def row_reader(
    given: PromptSource, sheet: Sheet, ids: PromptIds, media: LocalMedia, defaults: Mapping[str, Any]
) -> RowReader:
    """Returns the reader for the records of a file."""
    return RowReader(
        Layouts(given, label=sheet.label, is_keyed=sheet.is_keyed),
        has_header=sheet.has_header,
        defaults=merged_defaults(sheet.defaults, {**given.defaults, **defaults}),
        media=media,
        ids=ids,
        variants=given.expansion,
        file=sheet.file,
    )


def _chunks_of(sheet: Sheet, reader: RowReader, chunk_rows: int, files: Mapping[str, Path]) -> Iterator[Chunk]:
    row_count = 0
    with closing(sheet.records):
        for records in in_chunks(sheet.records, chunk_rows):
            if not row_count:
                reader.check_sources(records)
            is_first = sheet.has_header and not row_count
            header = tuple(reader.problems_of_header(records[0].names)) if is_first else ()
            found = _Found(chunk_rows, count_of(records), header, files)
            for each in reader.read(row_count + 1, records):
                if found.is_full:
                    yield found.chunk(reader.use)
                found.add(each)
            yield found.chunk(reader.use)
            row_count += count_of(records)


class _Found:
    """The rows and problems of the next chunk. Variants make more rows of some records than a chunk has."""

    def __init__(
        self, chunk_rows: int, source_rows: int, header: tuple[Problem, ...], files: Mapping[str, Path]
    ) -> None:
        self._chunk_rows, self._files, self._source_rows = chunk_rows, files, source_rows
        self._clear(header)

    def _clear(self, problems: tuple[Problem, ...] = ()) -> None:
        self._parts: list[RowBatch | list[PromptRow]] = []
        self._problems = [*problems]
        self._media: dict[str, Path] = {}
        self._row_count = 0

    @property
    def is_full(self) -> bool:
        return self._row_count >= self._chunk_rows

    def add(self, found: Found) -> None:
        """Adds rows in columns, one row, or the problems of one row."""
        if isinstance(found, RowBatch):
            self._parts.append(found)
        elif isinstance(found, PromptRow):
            self._parts.append([found])
            self._media |= {reference: self._files[reference] for reference in found.request.uploads}
        else:
            self._problems += found
        self._row_count += len(found) if isinstance(found, RowBatch) else 1

    def chunk(self, use: ColumnUse) -> Chunk:
        """Returns the chunk, and starts the next one. The first counts all rows of the source."""
        rows, source_rows = Rows(self._parts), self._source_rows
        chunk = Chunk(rows, tuple(self._problems), self._row_count, self._media, use, source_rows)
        self._source_rows = 0
        self._clear()
        return chunk
