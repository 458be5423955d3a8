"""`wan-assets review`: records decisions about the videos of a table."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from wan_assets.cli.options import TABLE, TableOptions, current_settings, json_option, table_options, url_option
from wan_assets.cli.review_actions import Review, decide, show_history, show_list
from wan_assets.cli.review_batches import apply, import_file
from wan_assets.cli.review_options import ReviewActions, review_actions
from wan_assets.ledger import Ledger
from wan_assets.prompts import PromptTable
from wan_assets.store import VideoStore


@click.command()
@click.argument("file", type=TABLE, required=False)
@review_actions
@url_option
@click.option("--store", help="Root of the store; by default WAN_ASSETS_STORE, or ./wan_assets_data/videos.")
@table_options
@json_option
def review(
    file: str | Path | None,
    url: str | None,
    store: str | None,
    *,
    actions: ReviewActions,
    table_options: TableOptions,
    as_json: bool,
) -> None:
    """Review the videos of the table FILE, and record decisions about them.

    FILE is WAN_ASSETS_PROMPTS, or the demo's table, by default. An ID is a prompt_id; ID:NUMBER is one result of a row
    with several. The options decide, list, import or apply a policy without a browser. If an ID is unknown, nothing is
    recorded. Nothing is submitted.

    Exit status: 0 done, 1 decisions of the imported file are not valid or about unknown videos, 2 nothing was recorded.
    """
    settings = current_settings()
    settings = replace(settings, ledger=url or settings.ledger, store=store or settings.store)
    if not actions.kind:
        raise click.UsageError("the page is not served: pass --approve, --reject, --list, --import or --policy")
    with Ledger(settings.ledger, must_exist=True) as ledger:
        if actions.import_from:
            is_complete = import_file(ledger, actions.import_from, is_dry_run=actions.is_dry_run, as_json=as_json)
            sys.exit(0 if is_complete else 1)
        table = PromptTable.load(table_options.of_file_or_settings(file, settings))
        _run(Review(table, VideoStore(settings.store), ledger), actions, as_json=as_json)


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
