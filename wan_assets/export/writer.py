"""The function that exports a table's videos."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from wan_assets.dataset import Entries
from wan_assets.errors import PromptTableError
from wan_assets.export.card import card_of
from wan_assets.export.options import ExportOptions
from wan_assets.export.parquet import write_parquet
from wan_assets.export.splits import Split
from wan_assets.export.statistics import ExportStatistics
from wan_assets.export.target import CARD, Changes, Target
from wan_assets.export.videofolder import write_videofolder
from wan_assets.export.webdataset import write_webdataset
from wan_assets.ledger import Ledger
from wan_assets.prompts import PromptTable, findings_of
from wan_assets.store import VideoStore


@dataclass(frozen=True)
class Exported:
    """The content and the file changes of an export; `missing` counts rows without a video, and money is in µ$.

    With `only="approved"`, `left_out` counts the rows without an approved video, by reason. Exports with the same
    content have the same `version`.
    """

    uri: str
    version: str
    rows: Mapping[Split, int]
    missing: int
    cost_microusd: int
    unknown_cost_count: int
    is_simulated: bool
    card: str
    changes: Changes
    left_out: Mapping[str, int] = field(default_factory=dict)


def export_dataset(
    table: PromptTable,
    root: str | os.PathLike[str],
    options: ExportOptions,
    *,
    store: VideoStore,
    ledger: Ledger,
) -> Exported:
    """Writes a table's videos to the folder `root`, or updates an existing export.

    Only changed files are written, and obsolete files are removed at the end. Only one process at a time may write to a
    folder. Raises `PromptTableError` for a table with problems, and `ExportError`.
    """
    if table.problems:
        raise PromptTableError(f"the table has {findings_of(table.problems)}")
    entries, statistics = Entries(table, store=store, ledger=ledger, only=options.only), ExportStatistics()
    target = Target(root, options.format, links=options.links)
    _write(entries, statistics, target, options)
    card = card_of(statistics, entries.totals, options, is_simulated=entries.is_simulated)
    target.put_text(CARD, card)
    target.finish()
    return Exported(
        target.uri,
        target.version,
        rows={split: counts.files for split, counts in statistics.splits.items()},
        missing=entries.totals.missing,
        cost_microusd=entries.totals.cost_microusd,
        unknown_cost_count=entries.totals.unknown_cost_count,
        is_simulated=entries.is_simulated,
        card=card,
        changes=target.changes,
        left_out=entries.totals.left_out,
    )


def _write(entries: Entries, statistics: ExportStatistics, target: Target, options: ExportOptions) -> None:
    counting = statistics.counting(entries, options.validation)
    if options.format == "videofolder":
        write_videofolder(counting, target)
    elif options.format == "parquet":
        write_parquet(counting, target)
    else:
        write_webdataset(counting, target, options.shard_bytes)
