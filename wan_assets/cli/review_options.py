"""Options of `wan-assets review` that record or show decisions without a browser."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any

import click

from wan_assets.ledger import DecisionValue

DECIDING = {
    "approve": DecisionValue.APPROVED,
    "reject": DecisionValue.REJECTED,
    "retake": DecisionValue.RETAKE,
    "undecide": DecisionValue.UNDECIDED,
}
"""The options that decide, with the decision of each."""

_OF_DECISIONS = ("note", "rating", "label", "take")
_FILE = click.Path(path_type=Path)


@dataclass(frozen=True)
class ReviewActions:
    """What the command does instead of serving the page; nothing by default.

    `take` is the number of the take that the ids name, by default the row's chosen one. If the command decides,
    `reviewers` has at most one name.
    """

    approve: tuple[str, ...] = ()
    reject: tuple[str, ...] = ()
    retake: tuple[str, ...] = ()
    undecide: tuple[str, ...] = ()
    note: str = ""
    rating: int | None = None
    label: tuple[str, ...] = ()
    reviewers: tuple[str, ...] = ()
    take: int | None = None
    is_list: bool = False
    only: DecisionValue | None = None
    history: str | None = None
    import_from: Path | None = None
    policy: Path | None = None
    is_dry_run: bool = False

    @property
    def kind(self) -> str:
        """The name of the action; empty if the command serves the page."""
        return next(iter(self._kinds()), "")

    @property
    def reviewer(self) -> str:
        """The name of the reviewer who decides; empty for the user of this machine."""
        return next(iter(self.reviewers), "")

    @property
    def decided(self) -> Iterator[tuple[str, DecisionValue]]:
        """Yields each id with the decision about it."""
        for name, value in DECIDING.items():
            yield from ((each, value) for each in getattr(self, name))

    def verify(self) -> None:
        """Raises `click.UsageError` for options that do not go together."""
        kinds = list(self._kinds())
        if len(kinds) > 1:
            first = next((name for name in DECIDING if getattr(self, name)), kinds[0])
            raise click.UsageError(f"--{first} and --{kinds[1]} are both given: run them one after the other")
        for names, kind in ((_OF_DECISIONS, "decide"), (("only",), "list")):
            given = [name for name in names if getattr(self, name) not in (None, "", ())]
            if given and kinds != [kind]:
                needed = "--approve, --reject, --retake or --undecide" if kind == "decide" else "--list"
                raise click.UsageError(f"--{given[0]} needs {needed}")
        if self.reviewers and kinds not in ([], ["decide"]):
            raise click.UsageError(f"--reviewer has no meaning with --{kinds[0]}")
        if len(self.reviewers) > 1 and kinds == ["decide"]:
            raise click.UsageError("--reviewer is given twice: the decisions of a command have one reviewer")
        if self.is_dry_run and kinds not in (["policy"], ["import"]):
            raise click.UsageError("--dry-run needs --policy or --import")

    def _kinds(self) -> Iterator[str]:
        if any(getattr(self, name) for name in DECIDING):
            yield "decide"
        if self.is_list:
            yield "list"
        for kind, value in (("history", self.history), ("import", self.import_from), ("policy", self.policy)):
            if value is not None:
                yield kind


def review_actions(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options, and passes them to the command as `actions`."""
    names = [field.name for field in fields(ReviewActions)]

    @wraps(command)
    def read(*arguments: Any, **options: Any) -> Any:
        actions = ReviewActions(**{name: options.pop(name) for name in names})
        actions.verify()
        return command(*arguments, actions=actions, **options)

    for option in reversed(_OPTIONS):
        read = option(read)
    return read


class ReviewCommand(click.Command):
    """A command whose deciding options take several ids after the table: `--approve kite boat --reject tram`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeats such an option for each of its ids."""
        options = (each for each in self.params if isinstance(each, click.Option) and not each.is_flag)
        with_value = {name for option in options for name in option.opts}
        return super().parse_args(ctx, list(_repeated(args, with_value)))


def _repeated(args: Sequence[str], with_value: Collection[str]) -> Iterator[str]:
    """Yields arguments with each deciding option repeated for its further ids.

    >>> list(_repeated(["a.csv", "--approve", "kite", "boat", "--json"], {"--approve"}))
    ['a.csv', '--approve', 'kite', '--approve', 'boat', '--json']
    """
    option, has_table, is_value = "", False, False
    for argument in args:
        if argument.startswith("-") and not is_value:
            option = argument if argument.removeprefix("--") in DECIDING else ""
            is_value = argument in with_value
        elif is_value:
            is_value = False
        elif option and has_table:
            yield option
        else:
            has_table = True
        yield argument


def _ids(name: str, about: str) -> Callable[..., Any]:
    return click.option(f"--{name}", multiple=True, metavar="ID", help=about)


def _decision(_: click.Context, __: click.Parameter, given: str | None) -> DecisionValue | None:
    return None if given is None else DecisionValue(given)


_OPTIONS = (
    _ids("approve", "Approve the videos of a row, or with ID:NUMBER one of its results; repeatable."),
    _ids("reject", "Reject them; repeatable."),
    _ids("retake", "Ask for another take of the row: the next run generates it with another seed; repeatable."),
    _ids("undecide", "Withdraw the decision about them; repeatable."),
    click.option("--note", default="", help="Note of these decisions."),
    click.option("--rating", type=click.IntRange(1, 5), help="Rating of the videos, 1 to 5."),
    click.option("--label", multiple=True, help="Label of the videos; repeatable."),
    click.option(
        "--reviewer",
        "reviewers",
        multiple=True,
        metavar="NAME",
        help="Name of the reviewer, by default that of the user; for the page repeatable.",
    ),
    click.option("--take", type=click.IntRange(1), help="The take of the rows; by default the chosen one."),
    click.option("--list", "is_list", is_flag=True, help="List the videos with their decisions."),
    click.option(
        "--only",
        type=click.Choice([value.value for value in DecisionValue]),
        callback=_decision,
        help="With --list, only videos with this decision.",
    ),
    click.option("--history", metavar="ID", help="Show all decisions about all takes of a row."),
    click.option("--import", "import_from", type=_FILE, help="Record the decisions of a JSON file of the gallery."),
    click.option("--policy", type=_FILE, help="Decide by the rules of a TOML file."),
    click.option(
        "--dry-run", "is_dry_run", is_flag=True, help="With --policy or --import, show the result and record nothing."
    ),
)
