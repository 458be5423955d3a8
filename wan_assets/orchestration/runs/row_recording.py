"""Records in the ledger which rows each partition consists of, so that the partition's videos can be loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress

import dagster as dg

from wan_assets.errors import LedgerError
from wan_assets.ledger import Ledger, PartitionRecord, PartitionRow
from wan_assets.orchestration.partitions.data_versions import DATA_VERSION
from wan_assets.prompts import PromptRow
from wan_assets.store import StoredTask

_PARTITIONS_PER_WRITE = 50


class RowRecorder:
    """Writes the rows of partitions after their events, in batches, and only those that changed.

    A run may be killed between the event and the record. The record has the data version of its event, so that an
    outdated record is detected.
    """

    def __init__(self, ledger: Ledger, asset_key: dg.AssetKey, keys: Collection[str]) -> None:
        self._ledger = ledger
        self._asset = asset_key.to_user_string()
        self._known = ledger.recorded_partitions(self._asset, keys)
        self._changed: dict[str, PartitionRecord] = {}

    def recorded(self, event: dg.AssetMaterialization, rows: Iterable[tuple[PromptRow, StoredTask]]) -> None:
        """Adds a partition whose event is recorded, with its rows in table order and their videos."""
        key = event.partition or ""
        record = PartitionRecord((event.tags or {})[DATA_VERSION], tuple(_row_of(row, stored) for row, stored in rows))
        if record != self._known.get(key):
            self._changed[key] = record
        if len(self._changed) >= _PARTITIONS_PER_WRITE:
            self.flush()

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
