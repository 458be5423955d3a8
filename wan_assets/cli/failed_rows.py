"""Output of failed rows: each kind of failure once, with its rows, messages and hints."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import click

from wan_assets.cli.display import counted, printable
from wan_assets.cli.failures import Failure
from wan_assets.prompts import PromptRow

_ROWS_SHOWN = 10
_MESSAGES_SHOWN = 3
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

Failures = Sequence[tuple[PromptRow, Failure]]


def show_failures(failures: Failures, state: str = "failed") -> None:
    """Prints each kind of failure once, with its rows, their state and the action to take."""
    kinds: dict[tuple[str, str], list[tuple[PromptRow, Failure]]] = {}
    for row, failure in failures:
        kinds.setdefault((failure.kind, failure.code), []).append((row, failure))
    for (kind, code), found in kinds.items():
        named = ", ".join(row.prompt_id for row, _ in found[:_ROWS_SHOWN])
        more = f" and {len(found) - _ROWS_SHOWN:,} more" if len(found) > _ROWS_SHOWN else ""
        verb = "interrupted" if kind == "Interrupted" else state
        click.echo(f"{len(found):,} {verb}: {kind}{f' [{code}]' if code else ''}")
        click.echo(f"  {'rows' if len(found) > 1 else 'row':10}  {printable(named)}{more}")
        _show_messages([f"interrupted by {code}"] if kind == "Interrupted" and code else _messages(found))
        for hint in dict.fromkeys(failure.hint for _, failure in found):
            click.echo(f"  what to do  {printable(hint)}")
        click.echo()


def _messages(found: Failures) -> list[str]:
    """Returns the messages that differ in more than the task UUID, with the number of rows if there are several."""
    alike: dict[str, list[Failure]] = {}
    for _, failure in found:
        alike.setdefault(_UUID.sub("", failure.message), []).append(failure)
    if len(alike) == 1:
        return [found[0][1].message]
    return [f"{counted(len(same), 'row')}: {same[0].message}" for same in alike.values()]


def _show_messages(messages: Sequence[str]) -> None:
    """Prints the first messages, and their number if there are several."""
    if len(messages) == 1:
        click.echo(f"  message     {printable(messages[0])}")
        return
    click.echo(f"  messages    {len(messages):,} different ones")
    for line in _first(messages):
        click.echo(f"              {printable(line)}")


def _first(messages: Sequence[str]) -> Iterator[str]:
    yield from messages[:_MESSAGES_SHOWN]
    if len(messages) > _MESSAGES_SHOWN:
        yield f"and {counted(len(messages) - _MESSAGES_SHOWN, 'more message')}, which --json lists"
