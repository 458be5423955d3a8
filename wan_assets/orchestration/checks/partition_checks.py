"""The checks that a run records for each partition as it is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import dagster as dg

from wan_assets.dataset import MATCH_CHECK
from wan_assets.engine import Outcome
from wan_assets.orchestration.checks.definition import match_check, partition_check
from wan_assets.orchestration.run_context import Errand

_MOST_ALL_RECORDED = 100
"""Recording an event takes about 10 ms, half as long as all else that a partition takes."""

_EVALUATIONS_SEARCHED = 5_000


class PartitionChecks:
    """Records whether each partition's videos match their requests, and what else the errand wants to have judged.

    A run over many partitions records of those that match only the ones that were found not to match before.
    """

    def __init__(self, errand: Errand) -> None:
        self._errand = errand

    def events(self, partition: str, outcomes: Sequence[Outcome]) -> Iterator[dg.AssetCheckEvaluation]:
        """Yields the evaluations of a partition."""
        errand, severities = self._errand, self._errand.severities
        severity = (severities or {}).get(MATCH_CHECK, dg.AssetCheckSeverity.ERROR)
        matching = match_check(errand.asset_key, partition, outcomes, severity)
        if not matching.passed or len(errand.keys) <= _MOST_ALL_RECORDED or partition in self._failed_before:
            yield matching
        if severities is not None:
            yield partition_check(errand.asset_key, partition, outcomes, severities)

    @cached_property
    def _failed_before(self) -> frozenset[str | None]:
        """Partitions whose videos were found not to match, of the latest that were looked at."""
        key = dg.AssetCheckKey(self._errand.asset_key, MATCH_CHECK)
        events = self._errand.instance.event_log_storage
        history = events.get_asset_check_execution_history(key, limit=_EVALUATIONS_SEARCHED)
        return frozenset(record.partition for record in history if record.status.value == "FAILED")
