"""The checks that a run records for each partition when it is generated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import dagster as dg

from wan_assets.dataset import MATCH_CHECK
from wan_assets.engine import Outcome
from wan_assets.ledger import PartitionRow
from wan_assets.orchestration.checks.definition import match_check, partition_check
from wan_assets.orchestration.checks.reviewed import review_check
from wan_assets.orchestration.run_context import RunContext
from wan_assets.store import StoredTask

_MAX_ALL_RECORDED = 100
"""Recording an event takes about 10 ms, half as long as everything else for a partition."""

_EVALUATIONS_SEARCHED = 5_000


class PartitionChecks:
    """Records whether each partition's videos match their requests, and the check `quality` if it is configured.

    A run over many partitions records a passed match only for partitions that failed before.
    """

    def __init__(self, run_context: RunContext) -> None:
        self._run_context = run_context

    def events(self, partition: str, outcomes: Sequence[Outcome]) -> Iterator[dg.AssetCheckEvaluation]:
        """Yields the evaluations of a partition."""
        run_context, severities = self._run_context, self._run_context.severities
        severity = (severities or {}).get(MATCH_CHECK, dg.AssetCheckSeverity.ERROR)
        matching = match_check(run_context.asset_key, partition, outcomes, severity)
        if not matching.passed or len(run_context.keys) <= _MAX_ALL_RECORDED or partition in self._failed_before:
            yield matching
        if severities is not None:
            yield partition_check(run_context.asset_key, partition, outcomes, severities)
        if run_context.takes_of is not None:
            rows = [_row_of(outcome.job.prompt_id, outcome.stored) for outcome in outcomes if outcome.stored]
            takes = zip((row.prompt_id for row in rows), run_context.takes_of(rows), strict=True)
            yield review_check(run_context.asset_key, partition, list(takes))

    @cached_property
    def _failed_before(self) -> frozenset[str | None]:
        """The partitions that failed the match check, among the latest evaluations."""
        key = dg.AssetCheckKey(self._run_context.asset_key, MATCH_CHECK)
        events = self._run_context.instance.event_log_storage
        history = events.get_asset_check_execution_history(key, limit=_EVALUATIONS_SEARCHED)
        return frozenset(record.partition for record in history if record.status.value == "FAILED")


def _row_of(prompt_id: str, stored: StoredTask) -> PartitionRow:
    return PartitionRow(prompt_id, stored.task_uuid, stored.fingerprint, stored.is_simulated)
