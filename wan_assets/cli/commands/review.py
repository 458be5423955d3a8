"""`wan-assets review`: decide which videos of a table are approved."""

from __future__ import annotations

import os
from pathlib import Path

import click

from wan_assets.cli.options import TABLE, TableOptions, open_ledger, table_options, url_option, warn_overridden
from wan_assets.cli.review_page import serve_pages
from wan_assets.settings import REVIEW_SERVER_PORT


@click.command()
@click.argument("file", type=TABLE, required=False)
@url_option
@click.option("--store", "root", help="Root of the store; by default WAN_ASSETS_STORE, or videos in the data folder.")
@click.option("--reviewer", "reviewers", multiple=True, help="The name of a reviewer; repeatable. Default: your login.")
@click.option("--port", type=click.IntRange(1, 65535), default=REVIEW_SERVER_PORT, show_default=True, help="The port.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@table_options
@click.pass_context
def review(
    context: click.Context,
    file: str | Path | None,
    *,
    url: str | None,
    root: str | None,
    reviewers: tuple[str, ...],
    port: int,
    host: str,
    table_options: TableOptions,
) -> None:
    """Review the videos of the table FILE in a browser: approve, reject, or ask for another take.

    FILE is WAN_ASSETS_PROMPTS, or the demo's table, by default. The command prints a secret link for each reviewer; the
    links stay the same when it is started again. Nothing is submitted. Stop it with Ctrl-C.

    Exit status: 0 the command was stopped, 2 it could not start.
    """
    with open_ledger(url, context, root) as (ledger, settings):
        warn_overridden(os.environ, settings)
        table = table_options.of_file_or_settings(file, settings)
        serve_pages(table, settings, ledger, reviewers=reviewers, host=host, port=port)
