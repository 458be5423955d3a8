"""Approved drafts as a prompt table in Dagster: read with the run's ledger, and with the table of the drafts."""

from __future__ import annotations

from dataclasses import replace

import dagster as dg

from wan_assets.ledger import Ledger
from wan_assets.orchestration.asset_names import AssetNames
from wan_assets.orchestration.resources import LedgerResource
from wan_assets.orchestration.tables.accepted import accepted_table
from wan_assets.orchestration.tables.upstream import PromptsOrAsset, last_event
from wan_assets.prompts import ApprovedRows, ApprovedVideos, Prompts, PromptSource, PromptTable
from wan_assets.store import VideoStore

_DECISIONS, _DRAFTS_EVENT = "wan_assets/last_decision", "wan_assets/drafts_event"
"""Metadata of the table of approved drafts: the numbers of the latest decision in the ledger, and of the latest
materialization of the drafts, when it was read.
"""


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


def with_ledger(source: Prompts, ledger: LedgerResource) -> Prompts:
    """Returns a source whose approved drafts are read with a ledger, unless they name another one."""
    if isinstance(source, PromptSource):
        return replace(source, source=with_ledger(source.source, ledger))
    return replace(source, ledger=ledger) if isinstance(source, ApprovedVideos) and source.ledger is None else source


def state_of_approvals(instance: dg.DagsterInstance, approved: ApprovedVideos, ledger: Ledger) -> dict[str, int]:
    """Returns the metadata that identify the state of the drafts and of the decisions about them."""
    drafts = last_event(instance, dg.AssetKey.from_user_string(approved.asset_name))
    return {_DECISIONS: ledger.last_decision(approved.approved_for_s), _DRAFTS_EVENT: drafts}


def newer_approvals(
    instance: dg.DagsterInstance, approved: ApprovedVideos, table: dg.AssetKey, ledger: Ledger
) -> str | None:
    """Returns a text that identifies the state of drafts and decisions if the table has not read it; else None."""
    state = state_of_approvals(instance, approved, ledger)
    records = instance.fetch_materializations(table, limit=1).records
    event = records[0].asset_materialization if records else None
    read = {name: value.value for name, value in event.metadata.items() if name in state} if event else {}
    return None if read == state else "/".join(map(str, state.values()))


def _rows(approved: ApprovedVideos, instance: dg.DagsterInstance, ledger: Ledger, store: VideoStore) -> ApprovedRows:
    key = dg.AssetKey.from_user_string(approved.asset_name)
    partitions = frozenset(instance.get_dynamic_partitions(AssetNames(key).partitions))
    given = approved.prompts
    if given is None and (accepted := accepted_table(instance, key, key)):
        given = accepted.snapshot(store)
    table = PromptTable.load(given) if given is not None else None
    return approved.rows(ledger, partitions=partitions or None, table=table)
