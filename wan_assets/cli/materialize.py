"""`wan-assets demo` and `wan-assets materialize`: a table's videos, made through Dagster."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import click

from wan_assets.cli.display import show_json
from wan_assets.cli.options import mismatch_option
from wan_assets.cli.run import run_table
from wan_assets.cli.summary import show_summary, summary_json
from wan_assets.generation import OnMismatch
from wan_assets.settings import DATA_FOLDER, DEMO_PROMPTS, Settings, settings_from

_OUT = click.option(
    "--out", type=click.Path(path_type=Path), help=f"The folder for everything; ./{DATA_FOLDER} by default."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.command()
@click.option(
    "--prompts",
    type=click.Path(path_type=Path),
    default=DEMO_PROMPTS,
    help="A table, a folder or a pattern; the demo's own if none.",
)
@_OUT
@mismatch_option
@_JSON
def demo(prompts: Path, out: Path | None, *, on_mismatch: OnMismatch, as_json: bool) -> None:
    """Make a table's videos on the simulator, through Dagster; nothing is charged.

    Exit status: 0 every video exists and verifies, 1 some do not, 2 it could not start.
    """
    settings = settings_from({}, out or Path(DATA_FOLDER))
    _make(replace(settings, prompts=prompts), on_mismatch, as_json=as_json, is_demo=True)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@_OUT
@mismatch_option
@_JSON
def materialize(file: Path, out: Path | None, *, on_mismatch: OnMismatch, as_json: bool) -> None:
    """Make the videos of the table FILE through Dagster, with what the environment configures.

    FILE may be a folder of tables, or a pattern in quotes.

    Exit status: 0 every row has its video, also where it deviates from its request, 1 some have not, 2 it could not
    start.
    """
    settings = settings_from(os.environ, out)
    _make(replace(settings, prompts=file), on_mismatch, as_json=as_json, is_demo=False)


def _make(settings: Settings, on_mismatch: OnMismatch, *, as_json: bool, is_demo: bool) -> None:
    run = run_table(settings, on_mismatch, is_quiet=as_json)
    broken = run.broken() if is_demo else []
    if as_json:
        show_json(summary_json(run))
    else:
        show_summary(run, settings, broken)
    sys.exit(0 if run.is_green and not broken else 1)
