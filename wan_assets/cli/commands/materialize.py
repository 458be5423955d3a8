"""`wan-assets demo` and `wan-assets materialize`: generate a table's videos through Dagster."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from wan_assets.cli import signals
from wan_assets.cli.confirmation import confirm_price
from wan_assets.cli.display import show_error, show_json
from wan_assets.cli.failures import failure_of, interruption
from wan_assets.cli.options import (
    TABLE,
    TableOptions,
    current_settings,
    data_dir,
    data_dir_option,
    mismatch_option,
    table_options,
    warn_overridden,
)
from wan_assets.cli.progress import ProgressDisplay, progress_display
from wan_assets.cli.run import RunOptions, TableRun, unexpected_failure
from wan_assets.cli.run_summary import Summary, show_summary, summary_json
from wan_assets.cli.selection_options import selection_options
from wan_assets.engine import Limits, OnMismatch, Progress
from wan_assets.errors import WanAssetsError
from wan_assets.prompts import RowSelection
from wan_assets.settings import DATA_FOLDER, DEMO_PROMPTS, Settings, settings_from

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, however the command ends.")
_END_S = 5.0
"""The longest time, in seconds, to report an abandoned run to Dagster."""


@click.command()
@click.option(
    "--prompts",
    type=TABLE,
    default=DEMO_PROMPTS,
    help="A table, a folder, a pattern or a URL; the demo's own table by default.",
)
@table_options
@selection_options
@data_dir_option
@mismatch_option
@_JSON
def demo(
    prompts: str | Path,
    *,
    table_options: TableOptions,
    selection: RowSelection,
    on_mismatch: OnMismatch,
    as_json: bool,
) -> None:
    """Generate a table's videos on the simulator, through Dagster; nothing is charged.

    Exit status: 0 every video exists and verifies, 1 some do not, 2 it could not start, 130 and 143 after the signals
    INT and TERM.
    """
    settings = settings_from({}, data_dir() or Path(DATA_FOLDER))
    options = RunOptions(on_mismatch, table=table_options, selection=selection)
    _make(replace(settings, prompts=prompts), options, as_json=as_json, is_demo=True)


@click.command()
@click.argument("file", type=TABLE)
@table_options
@selection_options
@data_dir_option
@mismatch_option
@_JSON
@click.option(
    "--resend-refused", is_flag=True, help="Submit rows again that the provider has refused for their content."
)
@click.option(
    "--max-takes",
    type=click.IntRange(1),
    help="The most takes of a row: videos with the decision retake are generated again up to this number; 3 by "
    "default.",
)
@click.option("--retake-rejected", is_flag=True, help="Generate rejected videos again too, within --max-takes.")
@click.option("--yes", "is_confirmed", is_flag=True, help="Pay without a confirmation, also if no budget is set.")
def materialize(
    file: str | Path,
    *,
    table_options: TableOptions,
    selection: RowSelection,
    on_mismatch: OnMismatch,
    resend_refused: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Generate the videos of the table FILE through Dagster, with the configuration of the environment.

    FILE may be a folder of tables, a pattern in quotes, or a URL. The whole table is validated; with --limit,
    --sample, --select or --ids, only the selected rows are requested.

    With an API key, and without a budget, the command shows the price and asks before it submits anything, unless the
    address of the API is on this machine. Without a terminal it then needs --yes.

    Exit status: 0 every row has its video, even if it deviates from its request, 1 some have none, 2 it could not
    start, 130 and 143 after the signals INT and TERM.
    """
    settings = current_settings()
    warn_overridden(os.environ, settings)
    run_options = RunOptions(on_mismatch, resend_refused, table_options, selection, **options)
    _make(replace(settings, prompts=file), run_options, as_json=as_json, is_demo=False)


def _make(settings: Settings, options: RunOptions, *, as_json: bool, is_demo: bool) -> None:
    """Generates the videos, and reports from the ledger even after an interruption."""
    run = TableRun(settings, options)
    status = 1
    try:
        run.load()
        limits = Limits(**options.limits)
        confirm_price(run.rows, settings, is_confirmed=options.is_confirmed, limits=limits)
        status = _made(run, is_quiet=as_json)
    except WanAssetsError as error:
        run.failure, status = run.suggestions.failure(failure_of(error)), 1 if run.has_started else 2
        if not run.has_started:
            show_error(run.failure)
    except signals.Interrupted as error:
        run.signal = error.signal
    if run.signal:
        run.failure, status = interruption(run.signal), signals.exit_code_of(run.signal)
    summary = Summary.of(run)
    damaged_files = summary.damaged_files() if is_demo and not status else []
    if as_json:
        show_json(summary_json(summary))
    elif run.has_started or run.signal:
        show_summary(summary, damaged_files)
    sys.exit(1 if damaged_files else status)


def _made(run: TableRun, *, is_quiet: bool) -> int:
    """Executes the run in a thread and returns the exit status; raises the error if the run could not start."""
    rows = len(run.rows)
    with progress_display("videos", Progress(rows), is_quiet=is_quiet, completed=run.suggestions.completed) as show:
        ended = signals.run_supervised(partial(run.execute, show), on_signal=partial(_say_stopping, show))
    run.signal = ended.signal
    if ended.is_abandoned:
        _end_in_dagster(run)
    if isinstance(ended.error, WanAssetsError):
        raise ended.error
    if ended.error is not None and not run.signal:
        run.failure = unexpected_failure(ended.error)
        show_error(run.failure)
        return 1 if run.has_started else 2
    return 0 if len(run.materialized) == rows else 1


def _say_stopping(show: ProgressDisplay, number: signal.Signals) -> None:
    show.note(
        f"{number.name} received: no more tasks are submitted, and the run stops. A second signal ends it at once."
    )


def _end_in_dagster(run: TableRun) -> None:
    def end() -> None:
        with suppress(Exception):  # an error here must not prevent the report
            run.end()

    thread = threading.Thread(target=end, daemon=True)
    thread.start()
    thread.join(_END_S)
