"""Records in the ledger which rows each partition consists of, so that the partition's videos can be loaded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import TypeAlias

import dagster as dg

from wan_assets.errors import LedgerError
from wan_assets.ledger import Ledger, PartitionRecord, PartitionRow
from wan_assets.orchestration.partitions.data_versions import DATA_VERSION
from wan_assets.prompts import PromptRow
from wan_assets.store import StoredTask

OnRecorded: TypeAlias = Callable[[str, Sequence[tuple[PartitionRow, StoredTask]]], None]
"""A function of a partition and its rows with their videos."""

_PARTITIONS_PER_WRITE = 50


class RowRecorder:
    """Writes the rows of partitions after their events, in batches, and only those that changed.

    A run may be killed between the event and the record. The record has the data version of its event, so that an
    outdated record is detected.
    """

    def __init__(
        self,
        ledger: Ledger,
        asset_key: dg.AssetKey,
        keys: Collection[str],
        on_recorded: OnRecorded = lambda _, __: None,
    ) -> None:
        self._ledger = ledger
        self._on_recorded = on_recorded
        self._asset = asset_key.to_user_string()
        self._known = ledger.recorded_partitions(self._asset, keys)
        self._changed: dict[str, PartitionRecord] = {}

    @property
    def task_uuids(self) -> set[str]:
        """The tasks whose videos the partitions had before the run."""
        return {row.task_uuid for record in self._known.values() for row in record.rows}

    def recorded(self, event: dg.AssetMaterialization, rows: Iterable[tuple[PromptRow, StoredTask | None]]) -> None:
        """Adds a partition whose event is recorded, with its rows in table order and their videos.

        A row without a video keeps the one of an earlier run, such as an earlier take of a row whose new take was
        refused.
        """
        self.add(event.partition or "", (event.tags or {})[DATA_VERSION], rows)

    def add(self, key: str, version: str, rows: Iterable[tuple[PromptRow, StoredTask | None]]) -> None:
        """Adds a partition, whose event has the given data version."""
        before = {row.prompt_id: row for row in self._known[key].rows} if key in self._known else {}
        of_rows = [(_row_of(row, stored) if stored else before.get(row.prompt_id), stored) for row, stored in rows]
        found = [(row, stored) for row, stored in of_rows if row and stored]
        record = PartitionRecord(version, tuple(row for row, _ in of_rows if row))
        if record != self._known.get(key):
            self._changed[key] = record
        if len(self._changed) >= _PARTITIONS_PER_WRITE:
            self.flush()
        self._on_recorded(key, found)

    def flush(self) -> None:
        """Writes the remaining partitions; if that fails, the next run over them writes them."""
        if not self._changed:
            return
        with suppress(LedgerError):
            self._ledger.record_partitions(self._asset, self._changed)
            self._known |= self._changed
            self._changed.clear()


def _row_of(row: PromptRow, stored: StoredTask) -> PartitionRow:
    return PartitionRow(row.prompt_id, stored.task_uuid, stored.fingerprint, stored.is_simulated, dict(row.extra))
