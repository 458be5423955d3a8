"""A generation before it starts: checked rows, the place where they are recorded, and the resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

import dagster as dg

from wan_assets.engine import FailureLog, Outcome, VideoJob
from wan_assets.ledger import Ledger, Origin, heartbeat
from wan_assets.orchestration.asset_names import Key
from wan_assets.orchestration.generator.generated_row import GeneratedRow, frame_of_rows
from wan_assets.orchestration.generator.step import Step
from wan_assets.orchestration.metadata import video
from wan_assets.orchestration.metadata.batch import RowResult, digest_of, failed_and_skipped
from wan_assets.orchestration.partitions.assignment import PartitionOf
from wan_assets.orchestration.resources import LedgerResource, RunwareResource, VideoStoreResource
from wan_assets.orchestration.run_context import OnBudgetAlert
from wan_assets.orchestration.runs.budget_alerts import AlertDelivery
from wan_assets.orchestration.runs.cost_reporting import CostReporter
from wan_assets.orchestration.runs.engine_thread import EngineRun
from wan_assets.orchestration.runs.row_recording import RowRecorder
from wan_assets.orchestration.tables.approved import with_ledger
from wan_assets.prompts import PromptRow, Prompts, PromptTable, index_of, run_tags_of
from wan_assets.store import VideoStore

if TYPE_CHECKING:
    import pandas as pd

OnError: TypeAlias = Literal["raise", "return"]


class GenerateKeywords(TypedDict, total=False):
    """Optional arguments of `VideoGenerator.generate`."""

    asset_key: Key | None
    partition_key_of: PartitionOf | None
    regenerate: str
    on_error: OnError | None
    on_budget_alert: OnBudgetAlert | None
    progress: bool


@dataclass(frozen=True)
class GenerateOptions:
    """The values of the optional arguments."""

    asset_key: Key | None = None
    partition_key_of: PartitionOf | None = None
    regenerate: str = ""
    on_error: OnError | None = None
    on_budget_alert: OnBudgetAlert | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        """Refuses unknown values, which a type checker finds and a notebook does not."""
        if self.on_error not in (None, "raise", "return"):
            raise ValueError(f"on_error={self.on_error!r} is neither 'raise' nor 'return'")


@dataclass(frozen=True)
class Resources:
    """The account, the store and the ledger of a generation, with their environment variables read."""

    runware: RunwareResource
    store: VideoStoreResource
    ledger: LedgerResource


@dataclass(frozen=True)
class GenerationPlan:
    """The videos to generate by partition, and everything that a generation uses.

    `index` is that of the DataFrame with the requests.
    """

    resources: Resources
    step: Step
    rows: Sequence[PromptRow]
    jobs: Mapping[str, Sequence[VideoJob]]
    media: Mapping[str, Path]
    options: GenerateOptions
    index: pd.Index[Any] | None = None

    @classmethod
    def of(cls, resources: Resources, step: Step, requests: Prompts, options: GenerateOptions) -> GenerationPlan:
        """Reads and checks all requests; raises `PromptTableError`, or a `Failure` in a step, if one has a problem."""
        table = PromptTable.load(with_ledger(requests, resources.ledger))
        jobs, problems = step.jobs_of(table.rows)
        table = replace(table, problems=(*table.problems, *problems))
        if table.problems and step.instance:
            raise video.refusal_of(table)
        table.refuse_problems("the table of requests")
        return cls(resources, step, table.rows, jobs, table.media, options, index_of(requests))

    @property
    def queue(self) -> list[VideoJob]:
        """All videos to generate, higher priorities first."""
        priorities = {row.prompt_id: row.priority for row in self.rows}
        jobs = [job for found in self.jobs.values() for job in found]
        return sorted(jobs, key=lambda job: -priorities[job.prompt_id])

    @property
    def raises(self) -> bool:
        """Whether rows without a video raise a `Failure` at the end: by default in Dagster only."""
        return (self.options.on_error or ("raise" if self.step.instance else "return")) == "raise"

    @contextmanager
    def opened(self) -> Iterator[OpenGeneration]:
        """Opens the ledger and the store; a run of Dagster is reported as lost if it is killed in the block."""
        with ExitStack() as stack:
            ledger = stack.enter_context(self.resources.ledger.open())
            if self.step.instance:
                stack.enter_context(heartbeat(ledger, self.step.run_id))
            store, limits = self.resources.store.open(), self.resources.runware.limits()
            step, purchase = self.step, self.options.regenerate
            origin = Origin(step.run_id, step.asset, purchase=purchase, run_tags=run_tags_of(step.run_tags))
            run = EngineRun(self.queue, self.resources.runware, store, ledger, limits, origin, self.media)
            reporter = CostReporter(ledger, self.step.instance, self.step.asset_key, self.step.asset)
            stack.callback(reporter.flush)
            recorder = self._recorder(ledger)
            if recorder:
                stack.callback(recorder.flush)
            alerts = AlertDelivery(ledger, step.log, step.run_id, self.options.on_budget_alert)
            stack.callback(alerts.finish)
            failures = FailureLog(step.log)
            yield OpenGeneration(run, store, reporter, failures, self._numbered, recorder, alerts)

    @property
    def _numbered(self) -> Mapping[str, tuple[int, PromptRow]]:
        return {row.prompt_id: (number, row) for number, row in enumerate(self.rows)}

    def _recorder(self, ledger: Ledger) -> RowRecorder | None:
        """Returns what records the rows of partitions, so that `load_videos` finds them."""
        step = self.step
        return (
            RowRecorder(ledger, step.asset_key, step.keys) if step.instance and step.asset_key and step.keys else None
        )

    def frame_of(self, results: Sequence[RowResult]) -> pd.DataFrame:
        """Returns the results in the order of the requests, with their index if there is a result for each row.

        The variants of a request have its index.
        """
        order = {row.prompt_id: number for number, row in enumerate(self.rows)}
        found = sorted(results, key=lambda result: order[result.job.prompt_id])
        index = None
        if self.index is not None and len(found) == len(self.rows):
            index = self.index.take([row.number - 1 for row in self.rows])
        return frame_of_rows(map(GeneratedRow.of, found), index)

    def failure_of(self, results: Sequence[RowResult]) -> dg.Failure | None:
        """Returns the failure that names each row without a video, or None."""
        failed, skipped = failed_and_skipped(results, self._name_of)
        return video.failure_of(failed, len(self.queue), skipped) if failed or skipped else None

    def _name_of(self, job: VideoJob) -> str:
        return f"{job.partition}/{job.prompt_id}" if self.step.keys else job.prompt_id


@dataclass(frozen=True)
class OpenGeneration:
    """A generation with its ledger and store open."""

    run: EngineRun
    store: VideoStore
    reporter: CostReporter
    failures: FailureLog
    numbered: Mapping[str, tuple[int, PromptRow]]
    recorder: RowRecorder | None
    alerts: AlertDelivery

    def result_of(self, outcome: Outcome) -> RowResult:
        """Returns the result of a row, with the cost that is still to be reported; logs the first failures, and
        delivers alerts of budgets.
        """
        self.alerts.poll()
        if outcome.error:
            self.failures.add(outcome.job.prompt_id, outcome.error, is_skipped=outcome.is_skipped)
        charged_microusd = self.reporter.charged_microusd(outcome, outcome.stored) if outcome.stored else 0
        return RowResult(outcome, charged_microusd)

    def reported(self, result: RowResult) -> None:
        """Marks the cost of a row as reported."""
        if result.outcome.stored:
            self.reporter.reported(result.outcome, result.outcome.stored)

    def recorded(self, key: str, results: Sequence[RowResult]) -> None:
        """Marks the costs of a partition as reported, and records its rows, after its event."""
        for result in results:
            self.reported(result)
        if self.recorder:
            stored = ((result.job.prompt_id, result.outcome.stored) for result in results)
            found = sorted(((*self.numbered[each], task) for each, task in stored if task), key=itemgetter(0))
            self.recorder.add(key, digest_of(results), [(row, task) for _, row, task in found])
