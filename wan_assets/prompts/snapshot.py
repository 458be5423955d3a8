"""Snapshots: prompt tables that were accepted and stored as Parquet, and their rows exactly as they were read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from wan_assets.prompts.locations import location_of

if TYPE_CHECKING:
    from types import TracebackType

    import pyarrow as pa
    from upath import UPath

    from wan_assets.prompts.table import Chunk

SUFFIX = ".parquet"
MARKER = b"wan_assets.snapshot"
"""The key in the metadata of a Parquet file that marks it as a snapshot; its value is the version of the format."""

FORMAT = b"1"
HIDDEN = "wan_assets.hidden"
"""The key whose value names the first row with a secret that is left out."""


@dataclass(frozen=True)
class Snapshot:
    """An accepted table: one file, or one file for each part of a table, by the name of the part.

    The name of each file is the SHA-256 of its content, which is verified when the file is read. With `prompt_ids`,
    only the rows with these ids are read.
    """

    files: Mapping[str, UPath]
    prompt_ids: frozenset[str] | None = None

    @property
    def has_secrets_left_out(self) -> bool:
        """Whether rows lack addresses, which were not stored because they contain secrets. Such rows are problems."""
        files: Any = import_module("wan_assets.prompts.snapshot_files")
        return bool(files.has_secrets_left_out(self))


class SnapshotWriter(Protocol):
    """Writes the valid rows of a table to a local Parquet file, chunk by chunk. It is a context manager.

    `first_secret` names the first row with a secret in an address, which is left out; it is empty if there is none.
    """

    first_secret: str

    def __enter__(self) -> Self:
        """Opens the file."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Completes the file."""

    def add(self, chunk: Chunk) -> None:
        """Writes the rows of the next chunk."""

    def add_stored(self, rows: pa.Table, row: int, line: int) -> None:
        """Writes rows of another snapshot without secrets; adds `row` and `line` to their numbers."""


def snapshot_writer(path: Path) -> SnapshotWriter:
    """Opens a new local file for a snapshot."""
    writer: SnapshotWriter = import_module("wan_assets.prompts.snapshot_writer").ParquetSnapshotWriter(path)
    return writer


def snapshot_at(source: object) -> Snapshot | None:
    """Returns a snapshot, or the snapshot at a path or URL; None for any other source."""
    if isinstance(source, Snapshot):
        return source
    location = location_of(source)
    if location is None or not location.name.endswith(SUFFIX):
        return None
    files: Any = import_module("wan_assets.prompts.snapshot_files")
    found: UPath | None = files.file_of_snapshot(source)
    return None if found is None else Snapshot({"": found})
