"""How the command speaks: tables and amounts for people, one JSON object for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wan_assets.pricing import usd

ROWS_SHOWN = 50


def dollars(microusd: int | None) -> str:
    """An amount as it is shown: four digits, since prices have them."""
    return "unknown" if microusd is None else f"${usd(microusd):,.4f}"


def show_json(content: Mapping[str, Any]) -> None:
    """Prints one JSON object."""
    click.echo(json.dumps(content, ensure_ascii=False, indent=2, default=str))


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Prints a table; foreign text is text, and what is too long for the line is cut."""
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        align = "right" if column in right else "left"
        table.add_column(column, justify=align, overflow="ellipsis", no_wrap=True)
    for row in rows[:ROWS_SHOWN]:
        table.add_row(*(Text(_printable(cell)) for cell in row))
    console = Console(soft_wrap=False)
    console.print(table)
    if len(rows) > ROWS_SHOWN:
        console.print(f"… and {len(rows) - ROWS_SHOWN:,} more rows; --json has them all", highlight=False)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
