"""The options that select rows for a pilot run, and the output about the rows that are left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click

from wan_assets.cli.display import counted, printable
from wan_assets.errors import SelectionError
from wan_assets.prompts import RowSelection, shortened

_IDS_SHOWN = 10


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--limit`, `--sample`, `--select` and `--ids`, and passes them to the command as `selection`."""

    @wraps(command)
    def read(
        *args: Any,
        limit: int | None,
        sample: int | None,
        select: tuple[str, ...],
        ids: tuple[str, ...],
        **options: Any,
    ) -> Any:
        selection = _selection(limit, sample, select, ids)
        return command(*args, selection=selection, **options)

    for option in reversed(_OPTIONS):
        read = option(read)
    return read


def _selection(limit: int | None, sample: int | None, select: tuple[str, ...], ids: tuple[str, ...]) -> RowSelection:
    named = [prompt_id for text in ids for prompt_id in _ids_in(text)]
    if ids and not named:
        raise click.UsageError("--ids names no id")
    try:
        return RowSelection.of(limit=limit, sample=sample, select=select, ids=named)
    except SelectionError as error:
        raise click.UsageError(str(error)) from None


def _ids_in(text: str) -> Iterator[str]:
    """Yields the ids of one option: separated by commas, or the lines of a file after `@`."""
    if not text.startswith("@"):
        yield from filter(None, map(str.strip, text.split(",")))
        return
    try:
        content = Path(text[1:]).read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise click.UsageError(f"--ids {printable(text)}: the file cannot be read: {reason}") from None
    yield from filter(None, map(str.strip, content.splitlines()))


def show_selection(selection: RowSelection, ids: Sequence[str], left_out: int) -> None:
    """Prints which rows are selected, and how many are left out; nothing if all rows are selected."""
    if selection.is_whole:
        return
    rows = f"{len(ids):,} of {counted(len(ids) + left_out, 'row')}, {left_out:,} left out"
    click.echo(f"selection ({printable(str(selection))}): {rows}")
    more = f" and {len(ids) - _IDS_SHOWN:,} more, which --json lists" if len(ids) > _IDS_SHOWN else ""
    click.echo(f"selected: {printable(', '.join(map(shortened, ids[:_IDS_SHOWN])))}{more}")


def selection_json(selection: RowSelection, ids: Sequence[str], left_out: int) -> dict[str, Any] | None:
    """Returns the selection as `--json` prints it; None if all rows are selected."""
    if selection.is_whole:
        return None
    return {
        "limit": selection.limit,
        "sample": selection.sample,
        "select": list(map(str, selection.select)),
        "ids": list(selection.ids),
        "selected": len(ids),
        "left_out": left_out,
        "prompt_ids": list(ids),
    }


_OPTIONS = (
    click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N rows."),
    click.option(
        "--sample",
        type=click.IntRange(1),
        metavar="N",
        help="Only a sample of N rows, which depends on their ids: a larger sample contains a smaller one.",
    ),
    click.option(
        "--select",
        multiple=True,
        metavar="CONDITION",
        help="Only rows that fulfil a condition, such as 'split=val' or 'campaign!=a,b'; repeatable: all must hold.",
    ),
    click.option(
        "--ids",
        multiple=True,
        metavar="ID[,ID…]",
        help="Only the rows with these ids; @FILE reads one id per line; repeatable.",
    ),
)
