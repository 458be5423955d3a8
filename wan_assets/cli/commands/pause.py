"""`wan-assets ledger pause` and `resume`: stop all runs from submitting tasks, and let them continue."""

from __future__ import annotations

import click

from wan_assets.cli.display import printable
from wan_assets.cli.options import open_ledger, url_option
from wan_assets.cli.suggestions import Suggestions


@click.command()
@click.option("--why", default="by hand", show_default=True, help="The reason that runs report.")
@url_option
@click.pass_context
def pause(context: click.Context, why: str, url: str | None) -> None:
    """Stop all runs from submitting tasks; tasks in flight complete."""
    suggestions = _switch(context, url, why)
    message = "paused: no run submits tasks; tasks in flight complete; `wan-assets ledger resume` ends the pause"
    click.echo(printable(suggestions.completed(message)))


@click.command()
@url_option
@click.pass_context
def resume(context: click.Context, url: str | None) -> None:
    """Let runs submit tasks again."""
    _switch(context, url, None)
    click.echo("runs may submit tasks again")


def _switch(context: click.Context, url: str | None, why: str | None) -> Suggestions:
    with open_ledger(url, context) as (ledger, settings):
        ledger.pause(why)
    return Suggestions.of(settings)
