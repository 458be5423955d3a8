"""Approved drafts as a prompt table in Dagster: read with the run's ledger, and with the table of the drafts."""

from __future__ import annotations

from dataclasses import replace

import dagster as dg

from wan_assets.ledger import Ledger
from wan_assets.orchestration.asset_names import AssetNames
from wan_assets.orchestration.tables.accepted import accepted_table
from wan_assets.orchestration.tables.upstream import PromptsOrAsset
from wan_assets.prompts import ApprovedRows, ApprovedVideos, Prompts, PromptSource, PromptTable
from wan_assets.store import VideoStore

DECISIONS = "wan_assets/decisions"
"""Metadata of the table of approved drafts: the number of the latest decision in the ledger when it was read."""


def approved_videos_in(prompts: PromptsOrAsset) -> ApprovedVideos | None:
    """Returns the approved drafts that are the source of a table, or None."""
    source = prompts.source if isinstance(prompts, PromptSource) else prompts
    return source if isinstance(source, ApprovedVideos) else None


def with_approved_rows(
    source: Prompts, approved: ApprovedVideos, instance: dg.DagsterInstance, ledger: Ledger, store: VideoStore
) -> Prompts:
    """Returns the source of a table with the rows of the drafts that are approved now."""
    rows = _rows(approved, instance, ledger, store)
    return replace(source, source=rows) if isinstance(source, PromptSource) else rows


def _rows(approved: ApprovedVideos, instance: dg.DagsterInstance, ledger: Ledger, store: VideoStore) -> ApprovedRows:
    key = dg.AssetKey.from_user_string(approved.asset_name)
    partitions = instance.get_dynamic_partitions(AssetNames(key).partitions)
    given = approved.prompts
    if given is None and (accepted := accepted_table(instance, key, key)):
        given = accepted.snapshot(store)
    table = PromptTable.load(given) if given is not None else None
    return approved.rows(ledger, partitions=partitions or None, table=table)
