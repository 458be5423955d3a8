"""Generates the videos of a table in one Dagster run in this process."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import dagster as dg

from wan_assets.cli.code_location import RUN_TAGS, assign_run
from wan_assets.cli.dagster_home import instance_in, locked
from wan_assets.cli.failures import Failure
from wan_assets.cli.options import TableOptions
from wan_assets.cli.pool import PROCESS_TAG, PoolSlot
from wan_assets.cli.progress import ProgressDisplay
from wan_assets.cli.signals import Interrupted, StopRequest
from wan_assets.cli.suggestions import Suggestions
from wan_assets.client import RunwareClient
from wan_assets.engine import OnMismatch, Outcome, Progress
from wan_assets.ledger import Ledger, new_owner
from wan_assets.orchestration import (
    REASON,
    AssetNames,
    Pilot,
    assets_of,
    partitioning_by_prompt,
    range_tags,
    resources_of,
    sync_table,
    table_id_of,
)
from wan_assets.prompts import PromptRow, PromptTable, RowSelection, name_of
from wan_assets.settings import Settings, SettingsError
from wan_assets.store import VideoStore

_NAMES = AssetNames.of()
_NAME = _NAMES.partitions
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class RunOptions:
    """Options of the command line for the rows of a run; `max_takes` is that of the resource `runware` if None."""

    on_mismatch: OnMismatch = "keep"
    resend_refused: bool = False
    table: TableOptions = field(default_factory=TableOptions)
    selection: RowSelection = field(default_factory=RowSelection)
    is_confirmed: bool = field(default=False, kw_only=True)
    max_takes: int | None = field(default=None, kw_only=True)
    retake_rejected: bool = field(default=False, kw_only=True)

    @property
    def limits(self) -> dict[str, Any]:
        """The fields of the resource `runware` that the options set."""
        given = {"max_takes": self.max_takes, "retake_rejected": self.retake_rejected or None}
        return {name: value for name, value in given.items() if value is not None}


@dataclass
class TableRun:
    """One run over a table. Its state can be reported at any time, whether or not the run was interrupted.

    `rows` are the rows that the run requests: all rows of the table, or the selected ones of a pilot run.
    `materialized` are the partitions that Dagster recorded, once it `has_result`. `outcomes` are the engine's results
    by row. `failure` is the error that ended the run before all rows were processed.
    """

    settings: Settings
    options: RunOptions = field(default_factory=RunOptions)
    table: PromptTable | None = None
    rows: Sequence[PromptRow] = ()
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    has_started: bool = False
    has_result: bool = False
    is_simulated: bool = False
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    materialized: set[str] = field(default_factory=set)
    failure: Failure | None = None
    signal: signal.Signals | None = None

    @property
    def left_out(self) -> int:
        """The number of rows of the table that the run does not request."""
        return len(self.table.rows) - len(self.rows) if self.table and self.rows else 0

    @property
    def suggestions(self) -> Suggestions:
        """The run's ledger and store."""
        return Suggestions.of(self.settings)

    def load(self) -> PromptTable:
        """Reads the table and selects the rows.

        Raises `PromptTableError` if the table is unreadable or has problems, and `SelectionError` if it has none of the
        selected rows.
        """
        prompts = self.settings.prompts
        self.table = table = PromptTable.load(self.options.table.of(prompts))
        table.refuse_problems(name_of(prompts))
        self.rows = self.options.selection.of_table(table.rows)
        return table

    def execute(self, show: ProgressDisplay, stop: StopRequest) -> None:
        """Generates the videos; raises a `WanAssetsError` before any submission if the run cannot start."""
        table, settings = self.table or self.load(), self.settings
        _check_settings(settings)
        VideoStore(settings.store).make_ready()
        stop.check()
        with Ledger(settings.ledger) as ledger, instance_in(settings.dagster_home) as instance:
            self._sync(instance, table)
            slot = PoolSlot(instance, ledger, self.run_id, _NAME, show.note)
            with slot.held(stop):
                stop.check()
                self.has_started = True
                result = self._execute(instance, show, stop)
                assign_run(instance, self.run_id)
        self.has_result = True
        self.materialized.update(_materialized(result))
        failure = _failure(result)
        self.failure = self.suggestions.failure(failure) if failure else None

    def end(self) -> None:
        """Reports to Dagster that an abandoned run has ended."""
        with instance_in(self.settings.dagster_home) as instance:
            run = instance.get_run_by_id(self.run_id)
            if run is not None and not run.is_finished:
                instance.report_run_canceled(run, "interrupted")
            instance.event_log_storage.free_concurrency_slots_for_run(self.run_id)

    def _sync(self, instance: dg.DagsterInstance, table: PromptTable) -> None:
        """Adds the partitions of all rows, also of those that are not requested. A pilot run retires none."""
        table_id, is_pilot = table_id_of(self.settings.prompts) or "", not self.options.selection.is_whole
        with locked(self.settings.dagster_home):
            keys = [row.prompt_id for row in table.rows]
            sync_table(instance, _NAME, table_id, keys, retires=not is_pilot)

    def _execute(
        self, instance: dg.DagsterInstance, show: ProgressDisplay, stop: StopRequest
    ) -> dg.ExecuteInProcessResult:
        """Executes one run over all requested rows. Its partitions are independent of those of other tables."""
        table = self.table or self.load()
        keys = [row.prompt_id for row in self.rows]
        partitioning = replace(
            partitioning_by_prompt(_NAME, table),
            retires_partitions=False,
            read_from=self.settings.prompts,
            pilot=self._pilot(),
        )
        assets = assets_of(
            _NAMES,
            partitioning,
            dg.StaticPartitionsDefinition(keys),
            on_mismatch=self.options.on_mismatch,
            on_outcome=self._outcome_handler(show),
            on_progress=self._progress_handler(instance, show, stop),
        )
        resources = resources_of(self.settings, **self.options.limits)
        definitions = dg.Definitions.merge(assets, dg.Definitions(resources=resources))
        return definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            asset_selection=[_NAMES.prompts, _NAMES.videos],
            run_id=self.run_id,
            run_config=self._run_config(),
            raise_on_error=False,
            tags={**range_tags(keys[0], keys[-1]), **RUN_TAGS, PROCESS_TAG: new_owner()},
        )

    def _pilot(self) -> Pilot | None:
        selection = self.options.selection
        return None if selection.is_whole else Pilot(str(selection), len(self.rows), self.left_out)

    def _run_config(self) -> dict[str, Any]:
        return {**_QUIET, "ops": {_NAME: {"config": {"resend_refused": self.options.resend_refused}}}}

    def _outcome_handler(self, show: ProgressDisplay) -> Callable[[Outcome], None]:
        def keep(outcome: Outcome) -> None:
            self.outcomes[outcome.job.partition] = outcome
            if outcome.stored:
                self.is_simulated = self.is_simulated or outcome.stored.is_simulated
            if outcome.error:
                show.fail(outcome.job.partition, outcome.error, is_skipped=outcome.is_skipped)

        return keep

    def _progress_handler(
        self, instance: dg.DagsterInstance, show: ProgressDisplay, stop: StopRequest
    ) -> Callable[[Progress], None]:
        def on_progress(progress: Progress) -> None:
            self.is_simulated = self.is_simulated or progress.snapshot.is_simulated
            show(progress)
            if stop.signal:
                if run := instance.get_run_by_id(self.run_id):
                    instance.report_run_canceling(run)
                raise dg.DagsterExecutionInterruptedError

        return on_progress


def _check_settings(settings: Settings) -> None:
    """Raises errors of addresses, proxies and locations before money is spent."""
    for place in (settings.store, settings.ledger, str(settings.dagster_home)):
        if not _is_unicode(place):
            shown = place.encode("utf-8", "backslashreplace").decode()
            raise SettingsError(f"{shown} is not valid UTF-8, which databases need: use a folder with another name")
    if not settings.is_simulated:
        RunwareClient(settings.api_key, settings.base_url)  # validates its arguments


def _is_unicode(text: str) -> bool:
    """Whether a text has no surrogates, which represent bytes of a file name that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def unexpected_failure(error: BaseException) -> Failure:
    """Describes an unexpected error in one line."""
    if isinstance(error, Interrupted):
        return Failure("Interrupted", f"interrupted by {error.signal.name}", "", error.signal.name)
    message = next(iter(str(error).strip().splitlines()), "")
    return Failure(type(error).__name__, message or type(error).__name__, "Run the same command again.")


def _materialized(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    for event in result.get_asset_materialization_events():
        if event.partition is not None:
            yield event.partition


def _failure(result: dg.ExecuteInProcessResult) -> Failure | None:
    """Returns the error of the failed step; None if no step failed."""
    failed = result.filter_events(lambda event: event.is_step_failure)
    for event in failed:
        data = event.step_failure_data
        reason = data.user_failure_data.metadata.get(REASON) if data.user_failure_data else None
        if isinstance(reason, dg.TableMetadataValue):
            row = {name: str(value) for name, value in reason.records[0].data.items()}
            return Failure(row["class"], row["message"], row["hint"], row["code"])
        if data.error and not data.user_failure_data:
            return _innermost(data.error, result.run_id)
    for event in () if failed else result.filter_events(lambda event: event.is_failure):
        if event.event_type_value == "PIPELINE_FAILURE" and event.job_failure_data.error:
            return _innermost(event.job_failure_data.error, result.run_id)
    return None


def _innermost(error: Any, run_id: str) -> Failure:
    """Returns the original error below Dagster's wrappers."""
    while error.cause:
        error = error.cause
    name = error.cls_name or "Error"
    message = error.message.strip().splitlines()[0] if error.message.strip() else name
    hint = f"Run the same command again. The log of run {run_id} in the Dagster UI has the details."
    return Failure(name, message.removeprefix(f"{name}: "), hint)
