"""The `wan-assets` command: its subcommands, its exit codes, and its error output."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click

from wan_assets import __version__
from wan_assets.cli import output_streams, signals
from wan_assets.cli.display import show_error, show_json
from wan_assets.cli.failures import Failure, failure_of, interruption
from wan_assets.cli.lazy import LazyCommand, LazyGroup
from wan_assets.errors import PromptTableError, WanAssetsError

_COMMANDS = {
    "demo": LazyCommand("materialize", "demo", "Generate the demo's videos on the simulator, through Dagster."),
    "materialize": LazyCommand("materialize", "materialize", "Generate a table's videos with the configured API."),
    "models": LazyCommand("models", "models", "List the models, their limits and prices; describe new ones."),
    "plan": LazyCommand("plan", "plan", "Validate and price a table; nothing is submitted."),
    "export": LazyCommand("export", "export", "Write a table's videos as a dataset, or update an earlier export."),
    "ledger": LazyCommand("ledger", "ledger", "Show money spent and reserved, and open tasks; reconcile and recover."),
    "gallery": LazyCommand("gallery", "gallery", "Write static pages that show a table's videos."),
    "review": LazyCommand("review", "review", "Approve, reject or send back a table's videos, in a browser."),
    "serve": LazyCommand("serve", "serve", "Serve the store's videos to browsers; Dagster's pages link to them."),
    "webhook": LazyCommand("webhook", "webhook", "Receive the API's webhooks for all runs that share a ledger."),
    "probe": LazyCommand("probe", "probe", "Test open questions about the API with one paid video; opt-in."),
    "simulator": LazyCommand("simulator", "simulator", "Serve the API locally, with optional faults."),
}


_OF_PLAN = "Correct the table or its path, then run `wan-assets plan` again; nothing was submitted."


class _Commands(LazyGroup):
    """Ends every command with an exit status and, after a failure, with the error and the action to take."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs a command to its end."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        output_streams.prepare()
        given = list(sys.argv[1:] if args is None else args)
        try:
            with signals.raise_interrupted():
                status = super().main(given, prog_name, complete_var, standalone_mode=False, **extra)
        except (click.ClickException, click.Abort, WanAssetsError) as error:
            status = _status_after(error, given)
        sys.exit(status if isinstance(status, int) else 0)


def _status_after(error: click.ClickException | click.Abort | WanAssetsError, given: Sequence[str]) -> int:
    """Prints why a command failed, and returns the exit status; 2 if it could not start."""
    if isinstance(error, WanAssetsError):
        failure, status = failure_of(error), 2
        if isinstance(error, PromptTableError) and "plan" in given[:1]:
            failure = replace(failure, hint=_OF_PLAN)
        show_error(failure)
    elif isinstance(error, click.ClickException):
        error.show()
        failure, status = (
            Failure(type(error).__name__, error.format_message(), "See `wan-assets --help`."),
            error.exit_code,
        )
    else:
        number = error.__cause__.signal if isinstance(error.__cause__, signals.Interrupted) else signal.SIGINT
        failure, status = interruption(number), signals.exit_code_of(number)
        click.echo(f"{failure.message}.", err=True)
    if "--json" in given:
        show_json({"error": failure.as_json()})
    return status


@click.group(cls=_Commands, lazy_commands=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wan-assets")
def cli() -> None:
    """Generate videos from prompt tables; each is paid for once, stored, and recorded to the cent."""


def main() -> None:
    """Runs the command as the main program of a process."""
    standard = output_streams.prepare_process()
    try:
        cli.main(prog_name="wan-assets")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    else:
        status = 0
    for stream in standard:
        stream.flush()
        if stream.file.failure:
            status = status or 1
            click.echo(f"error: cannot write the output: {stream.file.failure.strerror}", err=True)
    if signals.has_abandoned_work():
        os._exit(status)  # a blocked thread would keep the process alive
    sys.exit(status)
