"""The `wan-assets` command. Each subcommand is imported when it is called: what needs no Dagster starts without it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from wan_assets.errors import WanAssetsError
from wan_assets.version import __version__

_COMMANDS = {
    "demo": ("materialize", "demo", "Make the demo's videos on the simulator, through Dagster."),
    "materialize": ("materialize", "materialize", "Make a table's videos with what the environment configures."),
    "plan": ("plan", "plan", "Check and price a table; nothing is sent."),
    "ledger": ("ledger", "ledger", "Show what was spent, reserved and left open."),
    "simulator": ("simulator", "simulator", "Serve the API locally, with faults on request."),
}


class _LateCommands(click.Group):
    """Tells what a person can mend in two lines, and ends with status 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except WanAssetsError as error:
            click.echo(f"error: {error}\n  what to do: {error.advice}", err=True)
            ctx.exit(2)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name, _ = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"wan_assets.cli.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, _, about) in _COMMANDS.items()])


@click.group(cls=_LateCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wan-assets")
def cli() -> None:
    """Prompt tables become videos: each paid for once, kept, and booked to the cent."""


def main() -> None:
    """Runs the command."""
    cli(prog_name="wan-assets")
