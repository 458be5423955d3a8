"""The `wan-assets` command.

Each subcommand is imported when it is called, so that commands without Dagster start without importing it.
"""

from wan_assets.cli.app import cli, main

__all__ = [
    "cli",
    "main",
]
