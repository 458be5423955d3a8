"""Command groups that import a subcommand when it is called, so that most commands start without Dagster."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click


class LazyCommand(NamedTuple):
    """The module and name of a command, and its description in one line."""

    module: str
    name: str
    about: str


class LazyGroup(click.Group):
    """A group of commands that are imported when they are called."""

    def __init__(self, *arguments: Any, lazy_commands: Mapping[str, LazyCommand], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._lazy_commands = lazy_commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names in their given order."""
        return list(self._lazy_commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports a command."""
        if cmd_name not in self._lazy_commands:
            return None
        lazy = self._lazy_commands[cmd_name]
        command: click.Command = getattr(import_module(f"wan_assets.cli.commands.{lazy.module}"), lazy.name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.about) for name, lazy in self._lazy_commands.items()])
