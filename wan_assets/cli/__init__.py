"""The `wan-assets` command. Each subcommand is imported when it is called: what needs no Dagster starts without it."""

from __future__ import annotations

from typing import Any

import click

from wan_assets.cli.late import Late, LateGroup
from wan_assets.errors import WanAssetsError
from wan_assets.version import __version__

_COMMANDS = {
    "demo": Late("materialize", "demo", "Make the demo's videos on the simulator, through Dagster."),
    "materialize": Late("materialize", "materialize", "Make a table's videos with what the environment configures."),
    "plan": Late("plan", "plan", "Check and price a table; nothing is sent."),
    "export": Late("export", "export", "Write a table's videos as a dataset, or bring it up to date."),
    "ledger": Late("ledger", "ledger", "Show what was spent, reserved and left open; reconcile and recover it."),
    "gallery": Late("gallery", "gallery", "Write a folder of static pages that shows a table's videos."),
    "files": Late("files", "files", "Show a browser the store's videos, which Dagster's pages link to."),
    "webhook": Late("webhook", "webhook", "Take the API's webhooks, which wake the runs that share a ledger."),
    "probe": Late("probe", "probe", "Ask the API what its documentation leaves open; priced, and opt-in."),
    "simulator": Late("simulator", "simulator", "Serve the API locally, with faults on request."),
}


class _Commands(LateGroup):
    """Tells what a person can mend in two lines, and ends with status 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except WanAssetsError as error:
            click.echo(f"error: {error}\n  what to do: {error.advice}", err=True)
            ctx.exit(2)


@click.group(cls=_Commands, late=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wan-assets")
def cli() -> None:
    """Prompt tables become videos: each paid for once, kept, and booked to the cent."""


def main() -> None:
    """Runs the command."""
    cli(prog_name="wan-assets")
