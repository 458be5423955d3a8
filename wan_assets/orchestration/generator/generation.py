"""A generation in a step of Dagster: its results as events, as rows or as a DataFrame."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import dagster as dg

from wan_assets.engine import ignore_progress, progress_logged
from wan_assets.errors import WanAssetsError
from wan_assets.orchestration.configured_resources import warn_if_simulated
from wan_assets.orchestration.generator.generated_row import GeneratedRow
from wan_assets.orchestration.generator.plan import GenerationPlan, OpenGeneration
from wan_assets.orchestration.metadata.batch import RowResult, batch_metadata, digest_of
from wan_assets.orchestration.metadata.video import failure_to_start
from wan_assets.orchestration.partitions.data_versions import DATA_VERSION
from wan_assets.orchestration.run_context import RECORDED_ALREADY

if TYPE_CHECKING:
    import pandas as pd

GenerationEvent: TypeAlias = "dg.AssetMaterialization | dg.MaterializeResult[None] | dg.Output[pd.DataFrame]"

_UNUSED = "a generation was not iterated, and nothing was submitted: write `yield from generation.stream()`"
"""Not written to Dagster's log: the object may be deleted while Dagster writes an event."""


class VideoGeneration:
    """Generates the videos of one call of `VideoGenerator.generate` in an asset or op, while it is iterated.

    Choose one of `stream`, `rows` and `frame`; iteration is the same as `stream`. Until then nothing is submitted.

    Args:
        plan: The checked requests, and the step that they are recorded under.

    Example:
        >>> import dagster as dg
        >>> from wan_assets import VideoGeneration, VideoGenerator
        >>> @dg.asset
        ... def trailers(context, generator: VideoGenerator):
        ...     generation: VideoGeneration = generator.generate(context=context, requests="prompts.csv")
        ...     yield from generation.stream()
    """

    def __init__(self, plan: GenerationPlan) -> None:
        self._plan = plan
        self._done: list[RowResult] = []
        self._is_started = False

    def __iter__(self) -> Iterator[GenerationEvent]:
        return self.stream()

    def __del__(self) -> None:
        if not self._is_started:
            warnings.warn(_UNUSED, RuntimeWarning, stacklevel=2)

    def __reduce__(self) -> NoReturn:
        """Refuses to be the stored value of an asset that returns a generation and does not iterate it."""
        self._is_started = True
        raise TypeError("a generation is not a value: write `yield from generation.stream()`, or return its frame()")

    def stream(self) -> Iterator[GenerationEvent]:
        """Yields the events for the asset that calls it, with `yield from`.

        An asset without partitions, or with one partition in the run, gets one `MaterializeResult` at the end. In a run
        over several partitions, each gets an `AssetMaterialization` when all its rows have videos. An op gets an
        `Output` with the DataFrame of `frame`.

        Returns:
            An iterator of events, which Dagster records.

        Raises:
            dagster.Failure: Rows have no video; it names them. The partitions of all other rows are recorded.
            RuntimeError: The generation was iterated before.
        """
        results: dict[str, list[RowResult]] = {key: [] for key in self._plan.jobs}
        with self._opened() as opened:
            yield from self._complete(results, [key for key, jobs in self._plan.jobs.items() if not jobs], opened)
            for result in self._results(opened):
                key = result.job.partition
                results[key].append(result)
                if len(results[key]) == len(self._plan.jobs[key]):
                    yield from self._complete(results, [key], opened)
            self._raise_if_failed()
            if self._plan.step.is_ranged:
                yield dg.MaterializeResult(asset_key=self._plan.step.asset_key, metadata=RECORDED_ALREADY)

    def rows(self) -> Iterator[GeneratedRow]:
        """Yields each row as it finishes, for assets and ops that return a value of their own.

        Returns:
            An iterator of rows. Leaving the loop stops submissions, and tasks in flight stay in the ledger.

        Raises:
            dagster.Failure: Rows have no video, unless `on_error` is "return". It is raised after the last row.
            RuntimeError: The generation was iterated before.
        """
        with self._opened() as opened:
            for result in self._results(opened):
                yield GeneratedRow.of(result)
                opened.reported(result)
        self._raise_if_failed()

    def frame(self) -> pd.DataFrame:
        """Generates all videos, unless `stream` or `rows` did, and returns the rows.

        Returns:
            A DataFrame in the order of the requests, with their index if they are a DataFrame.

        Raises:
            dagster.Failure: Rows have no video, unless `on_error` is "return".
        """
        if not self._is_started:
            for _ in self.rows():
                pass
        return self._plan.frame_of(self._done)

    @contextmanager
    def _opened(self) -> Iterator[OpenGeneration]:
        if self._is_started:
            raise RuntimeError("this generation was iterated before: call generate() again, or frame() for its rows")
        self._is_started = True
        try:
            with self._plan.opened() as opened:
                warn_if_simulated(self._plan.resources.runware, self._plan.step.log)
                yield opened
        except WanAssetsError as error:
            raise failure_to_start(error) from None

    def _results(self, opened: OpenGeneration) -> Iterator[RowResult]:
        with (
            progress_logged(self._plan.step.log, ignore_progress) as on_progress,
            opened.run.outcomes(opened.alerts.polled_by(on_progress)) as outcomes,
        ):
            for outcome in outcomes:
                result = opened.result_of(outcome)
                self._done.append(result)
                yield result

    def _raise_if_failed(self) -> None:
        failure = self._plan.failure_of(self._done) if self._plan.raises else None
        if failure:
            raise failure

    def _complete(
        self, results: dict[str, list[RowResult]], keys: list[str], opened: OpenGeneration
    ) -> Iterator[GenerationEvent]:
        """Yields the event of each partition; one with failed rows is not materialized if they raise a failure."""
        for key in keys:
            found = results[key]
            if self._plan.raises and any(result.error for result in found):
                self._observe(key, batch_metadata(found, opened.store, is_charged=False))
                continue
            yield self._event(key, found, batch_metadata(found, opened.store))
            opened.recorded(key, found)

    def _observe(self, key: str, metadata: dict[str, Any]) -> None:
        """Records what was done in a partition that is not complete."""
        step = self._plan.step
        if step.asset_key and step.log_event:
            partition = key if step.keys else None
            step.log_event(dg.AssetObservation(asset_key=step.asset_key, partition=partition, metadata=metadata))

    def _event(self, key: str, results: list[RowResult], metadata: dict[str, Any]) -> GenerationEvent:
        step = self._plan.step
        if step.asset_key is None:
            return dg.Output(self._plan.frame_of(results), metadata=metadata)
        version = digest_of(results)
        if step.is_ranged:
            tags = {DATA_VERSION: version}
            return dg.AssetMaterialization(asset_key=step.asset_key, partition=key, metadata=metadata, tags=tags)
        return dg.MaterializeResult(asset_key=step.asset_key, metadata=metadata, data_version=dg.DataVersion(version))
