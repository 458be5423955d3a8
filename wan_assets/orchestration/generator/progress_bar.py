"""A progress bar for scripts and notebooks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from tqdm import TqdmWarning

from wan_assets.engine import Progress, ProgressCallback, ignore_progress
from wan_assets.models import dollars


@contextmanager
def progress_bar(rows: int, *, is_shown: bool) -> Iterator[ProgressCallback]:
    """Yields a function that shows the progress of a run, as a widget in a notebook and as text elsewhere."""
    if not is_shown:
        yield ignore_progress
        return
    with _bar(rows) as bar:

        def show(progress: Progress) -> None:
            bar.set_postfix_str(", ".join(_words(progress)), refresh=False)
            bar.update(progress.ended - bar.n)

        yield show


def _words(progress: Progress) -> Iterator[str]:
    now = progress.snapshot
    skipped = f", {progress.skipped:,} skipped" if progress.skipped else ""
    ended = f"{progress.new:,} new, {progress.reused:,} reused, {progress.failed:,} failed{skipped}"
    yield f"{ended}, {now.in_flight:,} in flight"
    yield f"spent {dollars(now.spent_microusd)}{' (simulated)' if now.is_simulated else ''}"
    yield from progress.pending()[:1]


def _bar(rows: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TqdmWarning)  # without ipywidgets, the bar is text in a notebook too
        tqdm = import_module("tqdm.auto").tqdm
        return tqdm(total=rows, desc="videos", unit="row", dynamic_ncols=True, miniters=0)
