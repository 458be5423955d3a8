"""The index of an accepted CSV file: its blocks, and what a full reading found in each row.

It saves time only. A changed table is compared with it block by block, and rows of known blocks are not read again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from upath import UPath

from wan_assets.errors import file_system_errors
from wan_assets.models import FINGERPRINT_BYTES, VideoRequest
from wan_assets.prompts.column_use import ColumnUse
from wan_assets.prompts.prompt_row import PromptRow
from wan_assets.prompts.table_blocks import Block, IndexUnusableError
from wan_assets.prompts.table_summary import Summary

Numbers: TypeAlias = npt.NDArray[np.int32]

DIGEST_BYTES = 32
_WORD_BYTES = 8
_ROWS_AT_ONCE = 10_000
_METADATA = b"wan_assets.index"


class RowGroup(NamedTuple):
    """What rows of equal prices and column types have in common. `settings` is the JSON of their other parameters."""

    settings: str
    campaign: str | None
    has_negative: bool
    has_seed: bool
    extra: tuple[str, ...]

    def example(self) -> PromptRow:
        """Returns a row of the group with other texts."""
        given = {**json.loads(self.settings), "positivePrompt": "A red kite"}
        if self.has_negative:
            given["negativePrompt"] = "blurry"
        if self.has_seed:
            given["seed"] = 0
        return PromptRow(1, "a", VideoRequest.model_validate(given), dict.fromkeys(self.extra, "x"))


class RowColumns(NamedTuple):
    """Columns of rows: ids, fingerprints in binary, the numbers of their groups and of their partitions."""

    ids: pa.Array
    fingerprints: npt.NDArray[np.uint8]
    groups: Numbers
    partitions: Numbers

    def __len__(self) -> int:
        return len(self.groups)

    def taken(self, start: int, stop: int) -> RowColumns:
        """Returns some of the rows."""
        part = slice(start, stop)
        return RowColumns(self.ids[part], self.fingerprints[part], self.groups[part], self.partitions[part])

    @classmethod
    def joined(cls, parts: list[RowColumns]) -> RowColumns:
        """Returns the rows of all parts. The list is emptied, so that a million rows are in memory once."""
        columns = [list(column) for column in zip(*parts, strict=True)]
        parts.clear()
        joined = []
        for join in (pa.concat_arrays, np.concatenate, np.concatenate, np.concatenate):
            joined.append(join(columns[0]))
            del columns[0]
        return cls(*joined)

    def hexadecimal(self) -> list[str]:
        """Returns the fingerprints as text."""
        parts = (self.fingerprints[at : at + _ROWS_AT_ONCE].tobytes() for at in range(0, len(self), _ROWS_AT_ONCE))
        return [part[at : at + DIGEST_BYTES].hex() for part in parts for at in range(0, len(part), DIGEST_BYTES)]


@dataclass(frozen=True, eq=False)
class TableIndex:
    """The rows of an accepted table.

    `key` identifies how the table was read, `version` is that of its snapshot, and `header_lines` is the number of
    lines before the blocks. `partitions` are the partition keys by number, and `request_versions` their digests; both
    are empty if each row is a partition.
    """

    key: str
    header_lines: int
    blocks: Sequence[Block]
    groups: Sequence[RowGroup]
    rows: RowColumns
    partitions: Sequence[str] = ()
    version: str = ""
    request_versions: Mapping[str, str] = field(default_factory=dict)

    def versions(self) -> Mapping[str, str]:
        """Returns the digest of the requests of each partition."""
        if self.partitions:
            return self.request_versions
        return dict(zip(self.rows.ids.to_pylist(), self.rows.hexadecimal(), strict=True))

    def used_partitions(self) -> list[str]:
        """Returns the partitions that have rows, in the order of their first rows."""
        return [self.partitions[number] for number, _ in _counted(self.rows.partitions)]

    def keyed(self, rows: RowColumns) -> Iterator[tuple[str, str, str]]:
        """Yields the partition, the id and the fingerprint of rows of this table, or of the one before."""
        keys = map(self.partitions.__getitem__, rows.partitions.tolist())
        return zip(keys, rows.ids.to_pylist(), rows.hexadecimal(), strict=True)

    def summary(self, columns: ColumnUse, first: Sequence[PromptRow]) -> Summary:
        """Returns the summary of the table, whose first rows are `first`."""
        total = len(self.rows)
        summary = Summary(rows=total, source_rows=total, valid=total, columns=columns, first=list(first))
        summary.add_types(self.groups[number].example() for number, _ in _counted(self.rows.groups))
        distinct = self.rows.groups[_first_of_each(self.rows.fingerprints)]
        for number, count in _counted(distinct):
            group = self.groups[number]
            summary.prices.add(group.example().request, group.campaign, count=count, new=count)
        summary.distinct_before = len(distinct)
        return summary

    def save(self, path: Path) -> None:
        """Writes the index to a local file."""
        described = {name: getattr(self, name) for name in _DESCRIBED}
        binary = pa.py_buffer(np.ascontiguousarray(self.rows.fingerprints))
        columns = {
            "prompt_id": self.rows.ids,
            "fingerprint": pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(DIGEST_BYTES), len(self.rows), [None, binary]
            ),
            "group": self.rows.groups,
            "partition": self.rows.partitions,
        }
        table = pa.table(columns).replace_schema_metadata({_METADATA: json.dumps(described)})
        with path.open("wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        with path.open("r+b") as written:
            written.write(file_digest(written, "sha256").digest())

    @classmethod
    def load(cls, file: UPath) -> Self | None:
        """Reads an index; returns None if it is missing or damaged."""
        try:
            with file.open("rb") as opened:
                content = memoryview(opened.read())
        except file_system_errors():
            return None
        content, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
        return cls._of(content) if sha256(content).digest() == digest else None

    @classmethod
    def _of(cls, content: memoryview) -> Self | None:
        try:
            table = pa.ipc.open_file(pa.BufferReader(content)).read_all()
            described: dict[str, Any] = json.loads(table.schema.metadata[_METADATA])
            blocks = [Block(*block) for block in described.pop("blocks")]
            groups = [RowGroup(*group)._replace(extra=tuple(group[-1])) for group in described.pop("groups")]
            return cls(blocks=blocks, groups=groups, rows=_columns_of(table), **described)
        except (pa.ArrowException, KeyError, TypeError, ValueError):
            return None  # another release wrote it


_DESCRIBED = ("key", "header_lines", "blocks", "groups", "partitions", "version", "request_versions")


def _columns_of(table: pa.Table) -> RowColumns:
    ids, fingerprints, groups, partitions = (table.column(at).combine_chunks() for at in range(4))
    at = fingerprints.offset * DIGEST_BYTES
    binary = np.frombuffer(fingerprints.buffers()[1], np.uint8)[at : at + len(ids) * DIGEST_BYTES]
    return RowColumns(ids, binary.reshape(-1, DIGEST_BYTES), groups.to_numpy(), partitions.to_numpy())


def _counted(numbers: Numbers) -> Iterator[tuple[int, int]]:
    """Yields each number in the order of its first occurrence, and how often it occurs."""
    counts = np.bincount(numbers)
    first = np.full(len(counts), len(numbers))
    first[numbers[::-1]] = np.arange(len(numbers))[::-1]  # the last of several assignments remains
    order = np.argsort(first)[: np.count_nonzero(counts)]
    return zip(order.tolist(), counts[order].tolist(), strict=True)


def _first_of_each(fingerprints: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Returns the positions of the rows whose request no earlier row has, in order.

    Raises `IndexUnusableError` if two requests differ, but not in their first bytes.
    """
    words = np.ascontiguousarray(fingerprints[:, :_WORD_BYTES]).view(np.uint64).ravel()
    in_order = np.sort(words)
    if (in_order[1:] != in_order[:-1]).all():  # usually no request occurs twice, and positions need not be sorted
        return np.arange(len(words))
    _, first, inverse = np.unique(words, return_index=True, return_inverse=True)
    if (fingerprints != fingerprints[first[inverse]])[:, :FINGERPRINT_BYTES].any():
        raise IndexUnusableError
    return np.sort(first)
