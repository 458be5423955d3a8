"""A generation without Dagster, in a script or a notebook, synchronous or asynchronous."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, aclosing, contextmanager
from typing import TYPE_CHECKING

from wan_assets.engine import progress_logged
from wan_assets.errors import WanAssetsError
from wan_assets.orchestration.generator.plan import GenerationPlan, OpenGeneration
from wan_assets.orchestration.generator.progress_bar import progress_bar
from wan_assets.orchestration.metadata.batch import RowResult

if TYPE_CHECKING:
    import pandas as pd

_STACK_LEVEL = 4
"""The frames between a warning and the line of the user."""


def generate_frame(plan: GenerationPlan) -> pd.DataFrame:
    """Generates all videos in a thread with its own event loop, and returns the rows as a DataFrame."""
    with ExitStack() as stack:
        stack.enter_context(_explained())
        opened = stack.enter_context(plan.opened())
        bar = stack.enter_context(progress_bar(len(plan.queue), is_shown=plan.options.progress))
        on_progress = stack.enter_context(progress_logged(plan.step.log, bar))
        results = [
            opened.result_of(outcome)
            for outcome in stack.enter_context(opened.run.outcomes(opened.alerts.polled_by(on_progress)))
        ]
        return _finished(plan, results, opened)


async def generate_frame_async(plan: GenerationPlan) -> pd.DataFrame:
    """Generates all videos in the running event loop, and returns the rows as a DataFrame."""
    with ExitStack() as stack:
        stack.enter_context(_explained())
        opened = await asyncio.to_thread(stack.enter_context, plan.opened())
        is_shown = plan.options.progress and plan.step.instance is None
        bar = stack.enter_context(progress_bar(len(plan.queue), is_shown=is_shown))
        on_progress = stack.enter_context(progress_logged(plan.step.log, bar))
        async with aclosing(opened.run.outcomes_here(on_progress)) as outcomes:
            results = [await asyncio.to_thread(opened.result_of, outcome) async for outcome in outcomes]
        await asyncio.to_thread(opened.alerts.finish)
        return _finished(plan, results, opened)


def _finished(plan: GenerationPlan, results: Sequence[RowResult], opened: OpenGeneration) -> pd.DataFrame:
    failure = plan.failure_of(results)
    if failure and plan.raises:
        raise failure
    if failure:
        missing, skipped = (sum(map(bool, found)) for found in zip(*map(_missing, results), strict=True))
        those = f", {skipped} of them skipped" if skipped else ""
        message = f"{missing} of {len(results)} rows have no video{those}: the column `error` has the reasons"
        warnings.warn(message, stacklevel=_STACK_LEVEL)
    for result in results:
        opened.reported(result)
    return plan.frame_of(results)


def _missing(result: RowResult) -> tuple[bool, bool]:
    """Returns whether a row has no video, and whether it was skipped."""
    return result.error is not None, result.is_skipped


@contextmanager
def _explained() -> Iterator[None]:
    """Adds to an error or an interruption what the user can do."""
    try:
        yield
    except WanAssetsError as error:
        error.add_note(error.hint)
        raise
    except (KeyboardInterrupt, asyncio.CancelledError) as interruption:
        interruption.add_note("Submitted tasks stay in the ledger: run the same call again to fetch their videos.")
        raise
