"""Rows of a snapshot as they are stored, which are copied to the snapshot of a later table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from itertools import accumulate, pairwise

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from wan_assets.errors import PromptTableError, file_system_errors
from wan_assets.prompts.snapshot import FORMAT, HIDDEN, MARKER
from wan_assets.prompts.snapshot_files import verified
from wan_assets.prompts.table_blocks import IndexUnusableError

_GROUPS_KEPT = 4
_MOST_READINGS = 4
"""Rows in another order make the same groups be read again and again."""


class StoredRows:
    """The rows of an open snapshot, in groups."""

    def __init__(self, file: pq.ParquetFile) -> None:
        self._file = file
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        self._ranges = list(pairwise(accumulate(sizes, initial=0)))
        self._group = lru_cache(_GROUPS_KEPT)(partial(file.read_row_group, use_threads=False))
        self.count = file.metadata.num_rows

    def taken(self, start: int, stop: int) -> Iterator[pa.Table]:
        """Yields the rows from `start` to before `stop`; raises `IndexUnusableError` if groups are read too often."""
        for number, (begin, end) in enumerate(self._ranges):
            first, last = max(start, begin), min(stop, end)
            if first < last:
                yield self._group(number).slice(first - begin, last - first)
        if self._group.cache_info().misses > _MOST_READINGS * len(self._ranges):
            raise IndexUnusableError


@contextmanager
def stored_rows(file: UPath) -> Iterator[StoredRows]:
    """Opens a snapshot; raises `IndexUnusableError` if it cannot be read, or has rows with secrets."""
    try:
        with verified(file) as content, pq.ParquetFile(content) as found:
            metadata = found.metadata.metadata or {}
            if (found.schema_arrow.metadata or {}).get(MARKER) != FORMAT or metadata.get(HIDDEN.encode()):
                raise IndexUnusableError
            yield StoredRows(found)
    except (pa.ArrowException, PromptTableError, *file_system_errors()) as error:
        raise IndexUnusableError from error
