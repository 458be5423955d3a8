"""A run over many partitions by prompt: passes jobs to the engine and converts outcomes to Dagster events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from wan_assets.engine import FailureLog, Outcome
from wan_assets.errors import PromptTableError, WanAssetsError
from wan_assets.orchestration.checks import PartitionChecks
from wan_assets.orchestration.metadata import video
from wan_assets.orchestration.metadata.drafts import draft_metadata
from wan_assets.orchestration.partitions.data_versions import Lineage
from wan_assets.orchestration.run_context import Event, RunContext
from wan_assets.orchestration.runs.cost_reporting import CostReporter
from wan_assets.orchestration.runs.row_recording import RowRecorder
from wan_assets.prompts import PromptRow
from wan_assets.store import StoredTask, VideoStore


@dataclass(frozen=True)
class PromptRun:
    """The partitions of one run with their rows, and the objects needed to report on them."""

    run_context: RunContext
    rows: Mapping[str, Sequence[PromptRow]]
    lineage: Lineage

    def events(
        self, outcomes: Iterator[Outcome], cost_reporter: CostReporter, row_recorder: RowRecorder, store: VideoStore
    ) -> Iterator[Event]:
        """Yields a materialization when a video is stored; raises one `Failure` for all rows without a video."""
        failures, checks = FailureLog(self.run_context.log), PartitionChecks(self.run_context)
        failed = [(key, _no_row(key)) for key, rows in self.rows.items() if not rows]
        skipped: list[tuple[str, WanAssetsError]] = []
        try:
            for outcome in outcomes:
                self.run_context.on_outcome(outcome)
                if outcome.stored:
                    charged_microusd = cost_reporter.charged_microusd(outcome, outcome.stored)
                    event = self._materialization(outcome, outcome.stored, charged_microusd, store)
                    yield event
                    cost_reporter.reported(outcome, outcome.stored)
                    row_recorder.recorded(event, [(self.rows[outcome.job.partition][0], outcome.stored)])
                    yield from checks.events(outcome.job.partition, [outcome])
                elif outcome.error:
                    left = skipped if outcome.is_skipped else failed
                    left.append((outcome.job.partition, outcome.error))
                    failures.add(outcome.job.partition, outcome.error, is_skipped=outcome.is_skipped)
        except WanAssetsError as error:
            raise video.failure_to_start(error) from None
        finally:
            cost_reporter.flush()
            row_recorder.flush()
        if failed or skipped:
            raise video.failure_of(failed, len(self.rows), skipped)

    def _materialization(
        self, outcome: Outcome, stored: StoredTask, charged_microusd: int | None, store: VideoStore
    ) -> dg.AssetMaterialization:
        if stored.missing:
            self.run_context.log.warning(
                "%s: missing results (%d): %s", outcome.job.partition, len(stored.missing), stored.missing
            )
        return dg.AssetMaterialization(
            asset_key=self.run_context.asset_key,
            partition=outcome.job.partition,
            metadata={
                **video.video_metadata(outcome, stored, charged_microusd, store),
                "wan_assets/row": str(self.rows[outcome.job.partition][0].number),
                **draft_metadata(self.rows[outcome.job.partition][0]),
                **self.run_context.pilot_metadata(outcome.job.partition),
            },
            tags=self.lineage.tags(outcome.job.partition, stored.videos[0].sha256),
        )


def _no_row(key: str) -> WanAssetsError:
    return PromptTableError(f"the table has no row with the prompt_id {key}")
