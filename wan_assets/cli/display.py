"""Output of the command: tables and amounts for people, one JSON object for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

import click
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, JustifyMethod, OverflowMethod
from rich.table import Table
from rich.text import Text

from wan_assets.cli.failures import Failure
from wan_assets.cli.output_streams import supports_unicode
from wan_assets.models import dollars

__all__ = [
    "ROWS_SHOWN",
    "console_on",
    "counted",
    "dollars",
    "printable",
    "show_error",
    "show_json",
    "show_json_with_list",
    "show_table",
]

ROWS_SHOWN = 50
_MAX_WIDTH = 40
_MIN_WIDTH = 10
_GAP = 3


def show_json(content: Mapping[str, Any]) -> None:
    """Prints one JSON object that is valid in any encoding."""
    click.echo(json.dumps(content, ensure_ascii=not supports_unicode(sys.stdout), indent=2, default=str))


def show_json_with_list(content: Mapping[str, Any], name: str, items: Iterable[Mapping[str, Any]]) -> None:
    """Prints one JSON object like `show_json`, with a last field whose items are written one by one."""
    is_ascii = not supports_unicode(sys.stdout)
    head = json.dumps(content, ensure_ascii=is_ascii, indent=2, default=str).removesuffix("\n}")
    click.echo(f"{head},\n  {json.dumps(name)}: [", nl=False)
    separator = "\n    "
    for item in items:
        click.echo(f"{separator}{json.dumps(item, ensure_ascii=is_ascii, default=str)}", nl=False)
        separator = ",\n    "
    click.echo("\n  ]\n}" if separator.startswith(",") else "]\n}")


def show_error(failure: Failure) -> None:
    """Prints an error and the action to take on standard error."""
    message = f"{failure.code}: {failure.message}" if failure.code else failure.message
    click.echo(f"error: {printable(message, keep=chr(10))}\n  what to do: {failure.hint}", err=True)


def console_on(file: IO[str] | None = None) -> Console:
    """Returns a console that writes no colours if NO_COLOR is set."""
    console = Console(file=file)
    return Console(file=file, color_system=None) if console.no_color else console


def counted(count: int, noun: str, plural: str = "") -> str:
    """Returns a number with its noun: `1 row`, `2 rows`."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def show_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    flexible: Sequence[str] = (),
    folded: Sequence[str] = (),
    optional: Sequence[str] = (),
    more: str = "--json lists all",
) -> None:
    """Prints a table that fits the terminal, or one field per line if it does not fit.

    Cells are printed as plain text. If a line is too long, `optional` columns are left out, the first one first, if the
    table fits then; and `flexible` columns are cut, or wrapped at spaces if they are also `folded`. Columns in `right`
    contain numbers, are right-aligned and never cut. `more` says where the rest of a long table is available.
    """
    shown = [[printable(cell) for cell in row] for row in rows[:ROWS_SHOWN]]
    console = console_on()
    for left_out in (optional[:count] for count in range(len(optional) + 1)):
        kept = [at for at, name in enumerate(columns) if name not in left_out]
        names, cells = [columns[at] for at in kept], [[row[at] for at in kept] for row in shown]
        widths = _widths(console.width, names, cells, right=right, flexible=flexible, folded=folded)
        if widths is not None:
            _show_columns(console, title, widths, cells, right=right, folded=folded)
            break
    else:
        left_out = ()
        _show_stacked(console, title, columns, shown)
    if left_out:
        click.echo(f"not shown at this width: {', '.join(left_out)}")
    if len(rows) > ROWS_SHOWN:
        console.print(f"... and {counted(len(rows) - ROWS_SHOWN, 'more row')}; {more}", highlight=False, markup=False)


def _widths(
    width: int,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str],
    flexible: Sequence[str],
    folded: Sequence[str],
) -> Mapping[str, int] | None:
    """Returns the maximum width of each column so that a table fits; None if it does not fit."""
    widths = [max([cell_len(name), *(cell_len(row[at]) for row in rows)]) for at, name in enumerate(columns)]
    whole = {
        name: needed if name in right else min(needed, _MAX_WIDTH) for name, needed in zip(columns, widths, strict=True)
    }
    rigid = sum(needed + _GAP for name, needed in whole.items() if name not in flexible)
    cut = {name: needed for name, needed in whole.items() if name in flexible}
    room = width - rigid - _GAP * len(cut) + (0 if cut else _GAP)
    maximum = whole | _shares(cut, room)
    least = _least_width(columns, rows, folded)
    if room < 0 or any(maximum[name] < min(needed, least) for name, needed in cut.items()):
        return None
    return maximum


def _shares(widths: Mapping[str, int], room: int) -> dict[str, int]:
    """Divides cells among columns: narrow columns keep their width, and the wide ones share the rest."""
    shares = {}
    for place, name in enumerate(sorted(widths, key=widths.__getitem__)):
        shares[name] = min(widths[name], room // (len(widths) - place))
        room -= shares[name]
    return shares


def _least_width(columns: Sequence[str], rows: Sequence[Sequence[str]], folded: Sequence[str]) -> int:
    """Returns the width at which no word of a folded column is broken, up to a limit."""
    cells = [row[at] for at, name in enumerate(columns) if name in folded for row in rows]
    words = [cell_len(word) for cell in cells for word in cell.split()]
    return max([_MIN_WIDTH, *(min(width, _MAX_WIDTH) for width in words)])


def _show_columns(
    console: Console,
    title: str,
    widths: Mapping[str, int],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str],
    folded: Sequence[str],
) -> None:
    # As texts, titles and headers cannot contain markup: they may be names of the user's columns.
    table = Table(title=Text(title, "bold"), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name, width in widths.items():
        side: JustifyMethod = "right" if name in right else "left"
        is_cut = name not in folded
        overflow: OverflowMethod = "ellipsis" if is_cut else "fold"
        table.add_column(Text(name), justify=side, overflow=overflow, no_wrap=is_cut, max_width=width)
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _show_stacked(console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints each row as lines of a name and a value; long values are wrapped."""
    console.print(Text(title, style="bold"))
    for row in rows:
        fields = Table.grid(padding=(0, 2, 0, 0))
        fields.add_column(no_wrap=True)
        fields.add_column(overflow="fold")
        for name, cell in zip(columns, row, strict=True):
            if cell:
                fields.add_row(Text(name), Text(cell))
        console.print(fields)
        console.print()


def printable(text: str, keep: str = "") -> str:
    """Returns a text without characters that move the cursor or change colours."""
    return "".join(letter if letter.isprintable() or letter in keep else " " for letter in text)
