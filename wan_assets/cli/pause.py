"""`wan-assets ledger pause` and `resume`: the switch that keeps runs from sending more."""

from __future__ import annotations

from contextlib import closing

import click

from wan_assets.cli.options import opened, url_option


@click.command()
@click.option("--why", default="by hand", show_default=True, help="What runs say of it.")
@url_option
@click.pass_context
def pause(context: click.Context, why: str, url: str | None) -> None:
    """Let no run send anything more; what is in flight lands."""
    _switch(context, url, why)
    click.echo("paused: nothing more is sent, and what is in flight lands; `wan-assets ledger resume` ends it")


@click.command()
@url_option
@click.pass_context
def resume(context: click.Context, url: str | None) -> None:
    """Let runs send again."""
    _switch(context, url, None)
    click.echo("runs may send again")


def _switch(context: click.Context, url: str | None, why: str | None) -> None:
    book, _ = opened(url, context)
    with closing(book):
        book.pause(why)
