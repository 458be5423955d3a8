"""`wan-assets ledger pause` and `resume`: the switch that keeps runs from sending more."""

from __future__ import annotations

from contextlib import closing

import click

from wan_assets.cli.options import opened, url_option


@click.command()
@click.option("--why", default="by hand", show_default=True, help="The reason that runs report.")
@url_option
@click.pass_context
def pause(context: click.Context, why: str, url: str | None) -> None:
    """Stop all runs from submitting tasks; tasks in flight complete."""
    _switch(context, url, why)
    click.echo("paused: no run submits tasks; tasks in flight complete; `wan-assets ledger resume` ends the pause")


@click.command()
@url_option
@click.pass_context
def resume(context: click.Context, url: str | None) -> None:
    """Let runs submit tasks again."""
    _switch(context, url, None)
    click.echo("runs may submit tasks again")


def _switch(context: click.Context, url: str | None, why: str | None) -> None:
    book, _ = opened(url, context)
    with closing(book):
        book.pause(why)
