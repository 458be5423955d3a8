"""How the command speaks: tables and amounts for people, one JSON object for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, JustifyMethod, OverflowMethod
from rich.table import Table
from rich.text import Text

from wan_assets.pricing import dollars

__all__ = ["ROWS_SHOWN", "dollars", "printable", "show_json", "show_table"]

ROWS_SHOWN = 50
_MOST_WIDTH = 40
_LEAST_WIDTH = 10
_GAP = 3


def show_json(content: Mapping[str, Any]) -> None:
    """Prints one JSON object."""
    click.echo(json.dumps(content, ensure_ascii=False, indent=2, default=str))


def show_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    flexible: Sequence[str] = (),
    folded: Sequence[str] = (),
) -> None:
    """Prints a table; foreign text is text, and where the line is too short the `flexible` columns are cut.

    Those of them that are `folded` go on in the next line instead. What stands to the right are numbers: those are
    never cut.
    """
    shown = [[printable(cell) for cell in row] for row in rows[:ROWS_SHOWN]]
    widths = [max([cell_len(name), *(cell_len(row[at]) for row in shown)]) for at, name in enumerate(columns)]
    whole = {
        name: width if name in right else min(width, _MOST_WIDTH) for name, width in zip(columns, widths, strict=True)
    }
    rigid = sum(width + _GAP for name, width in whole.items() if name not in flexible)
    room = max(_LEAST_WIDTH, (Console().width - rigid) // max(1, len(flexible)) - _GAP)
    console = Console(width=max(Console().width, rigid + len(flexible) * (room + _GAP)))
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for name, width in whole.items():
        most = min(width, room) if name in flexible else width
        side: JustifyMethod = "right" if name in right else "left"
        is_cut = name not in folded
        overflow: OverflowMethod = "ellipsis" if is_cut else "fold"
        table.add_column(name, justify=side, overflow=overflow, no_wrap=is_cut, max_width=most)
    for row in shown:
        table.add_row(*map(Text, row))
    console.print(table)
    if len(rows) > ROWS_SHOWN:
        console.print(f"… and {len(rows) - ROWS_SHOWN:,} more rows; --json has them all", highlight=False)


def printable(text: str) -> str:
    """Foreign text without what would move the cursor or change colours."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
