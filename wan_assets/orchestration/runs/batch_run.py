"""A run over partitions of many rows: a batch is materialized when each row has a video or is refused permanently."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from wan_assets.engine import FailureLog, Outcome, VideoJob
from wan_assets.errors import WanAssetsError
from wan_assets.orchestration.checks import PartitionChecks
from wan_assets.orchestration.metadata import video
from wan_assets.orchestration.metadata.batch import RowResult, batch_metadata, digest_of, failed_and_skipped
from wan_assets.orchestration.metadata.drafts import drafts_metadata
from wan_assets.orchestration.partitions.data_versions import Lineage
from wan_assets.orchestration.run_context import Event, RunContext
from wan_assets.orchestration.runs.cost_reporting import CostReporter
from wan_assets.orchestration.runs.row_recording import RowRecorder
from wan_assets.prompts import PromptRow
from wan_assets.store import VideoStore


@dataclass(frozen=True)
class BatchRun:
    """The rows of each partition of one run, and the objects needed to report on them."""

    run_context: RunContext
    batches: Mapping[str, Sequence[PromptRow]]
    lineage: Lineage

    def events(
        self, outcomes: Iterator[Outcome], cost_reporter: CostReporter, row_recorder: RowRecorder, store: VideoStore
    ) -> Iterator[Event]:
        """Yields a materialization when a batch is complete; raises one `Failure` for all retryable rows."""
        failures, checks = FailureLog(self.run_context.log), PartitionChecks(self.run_context)
        results: dict[str, list[RowResult]] = {key: [] for key in self.batches}
        without: list[RowResult] = []
        try:
            for key in (key for key, rows in self.batches.items() if not rows):
                empty = self._materialization(key, [], store)
                yield empty
                row_recorder.recorded(empty, [])
            for outcome in outcomes:
                self.run_context.on_outcome(outcome)
                key = outcome.job.partition
                results[key].append(self._result(outcome, cost_reporter))
                if outcome.error:
                    failures.add(outcome.job.prompt_id, outcome.error, is_skipped=outcome.is_skipped)
                if len(results[key]) == len(self.batches[key]):
                    failing = [result for result in results[key] if result.error and not result.is_refused]
                    without += failing
                    if failing or self._is_incomplete(key):
                        self._observe(key, results.pop(key), store)
                    else:
                        event = self._materialization(key, results[key], store)
                        yield event
                        self._record(event, results[key], cost_reporter, row_recorder)
                        yield from checks.events(key, [result.outcome for result in results.pop(key)])
        except WanAssetsError as error:
            raise video.failure_to_start(error) from None
        finally:
            cost_reporter.flush()
            row_recorder.flush()
        if without:
            failed, skipped = failed_and_skipped(without, _name_of)
            raise video.failure_of(failed, sum(map(len, self.batches.values())), skipped)

    def _is_incomplete(self, key: str) -> bool:
        pilot = self.run_context.pilot
        return pilot is not None and key in pilot.by_partition

    def _result(self, outcome: Outcome, cost_reporter: CostReporter) -> RowResult:
        charged_microusd = cost_reporter.charged_microusd(outcome, outcome.stored) if outcome.stored else 0
        return RowResult(outcome, charged_microusd)

    def _observe(self, key: str, results: list[RowResult], store: VideoStore) -> None:
        """Records the progress of a batch with failed rows, or with rows that a pilot run left out. It is neither
        materialized nor checked.

        It charges nothing: the materialization of the complete batch charges all its rows.
        """
        metadata = batch_metadata(results, store, is_charged=False) | self.run_context.pilot_metadata(key)
        self.run_context.log_event(
            dg.AssetObservation(asset_key=self.run_context.asset_key, partition=key, metadata=metadata)
        )

    def _record(
        self,
        event: dg.AssetMaterialization,
        results: list[RowResult],
        cost_reporter: CostReporter,
        row_recorder: RowRecorder,
    ) -> None:
        """Records in the ledger what the event of a batch has reported."""
        stored = {result.job.prompt_id: result.outcome.stored for result in results if result.outcome.stored}
        for result in results:
            if result.outcome.stored:
                cost_reporter.reported(result.outcome, result.outcome.stored)
        refused_takes = {result.job.prompt_id for result in results if result.error and result.job.take > 1}
        rows = [row for row in self.batches[event.partition or ""] if row.prompt_id in stored.keys() | refused_takes]
        row_recorder.recorded(event, [(row, stored.get(row.prompt_id)) for row in rows])

    def _materialization(self, key: str, results: list[RowResult], store: VideoStore) -> dg.AssetMaterialization:
        return dg.AssetMaterialization(
            asset_key=self.run_context.asset_key,
            partition=key,
            metadata=batch_metadata(results, store)
            | drafts_metadata(self.batches[key])
            | self.run_context.pilot_metadata(key),
            tags=self.lineage.tags(key, digest_of(results)),
        )


def _name_of(job: VideoJob) -> str:
    return f"{job.partition}/{job.prompt_id}"
