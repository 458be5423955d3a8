"""`wan-assets review`: serves the page of reviewers, or records and shows decisions without a browser."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from wan_assets.cli.options import (
    TABLE,
    TableOptions,
    json_option,
    open_ledger,
    table_options,
    url_option,
    warn_overridden,
)
from wan_assets.cli.review_actions import Review, decide, show_history, show_list
from wan_assets.cli.review_batches import apply, import_file
from wan_assets.cli.review_options import ReviewActions, ReviewCommand, review_actions
from wan_assets.cli.review_page import serve_pages
from wan_assets.prompts import PromptTable
from wan_assets.settings import REVIEW_SERVER_PORT
from wan_assets.store import VideoStore


@click.command(cls=ReviewCommand)
@click.argument("file", type=TABLE, required=False)
@review_actions
@click.option("--port", type=click.IntRange(1, 65535), default=REVIEW_SERVER_PORT, show_default=True, help="The port.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@url_option
@click.option("--store", "root", help="Root of the store; by default WAN_ASSETS_STORE, or videos in the data folder.")
@table_options
@json_option
@click.pass_context
def review(
    context: click.Context,
    /,
    file: str | Path | None,
    *,
    url: str | None,
    root: str | None,
    actions: ReviewActions,
    table_options: TableOptions,
    as_json: bool,
    **address: Any,
) -> None:
    """Review the videos of the table FILE in a browser: approve, reject, or ask for another take.

    FILE is WAN_ASSETS_PROMPTS, or the demo's table, by default. The command prints a secret link for each reviewer; the
    links stay the same when it is started again. Nothing is submitted. Stop it with Ctrl-C.

    With one of the options --approve, --reject, --retake, --undecide, --list, --history, --import and --policy, the
    command needs no browser. An ID is a prompt_id; ID:NUMBER is one result of a row with several. If an ID is unknown,
    nothing is recorded.

    Exit status: 0 done, or stopped, 1 decisions of the imported file are not valid or about unknown videos, 2 nothing
    was recorded, or the page could not be served.
    """
    if as_json and not actions.kind:
        raise click.UsageError("--json needs an option such as --list: the page has no JSON output")
    with open_ledger(url, context, root, has_budgets=True) as (ledger, settings):
        warn_overridden(os.environ, settings)
        if actions.import_from:
            is_complete = import_file(ledger, actions.import_from, is_dry_run=actions.is_dry_run, as_json=as_json)
            sys.exit(0 if is_complete else 1)
        table = table_options.of_file_or_settings(file, settings)
        if not actions.kind:
            serve_pages(table, settings, ledger, reviewers=actions.reviewers, **address)
            return
        _run(Review(PromptTable.load(table), VideoStore(settings.store), ledger), actions, as_json=as_json)


def _run(reviewed: Review, actions: ReviewActions, *, as_json: bool) -> None:
    """Runs the action that the options name."""
    if actions.policy:
        apply(reviewed, actions.policy, is_dry_run=actions.is_dry_run, as_json=as_json)
    elif actions.history is not None:
        show_history(reviewed, actions.history, as_json=as_json)
    elif actions.is_list:
        show_list(reviewed, actions, as_json=as_json)
    else:
        decide(reviewed, actions, as_json=as_json)
