"""Options that several commands share, and the settings that result from them."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from wan_assets.cli.display import printable
from wan_assets.cli.suggestions import Suggestions
from wan_assets.errors import WanAssetsError
from wan_assets.ledger import DatabaseUrlError, Ledger, budgets_of, is_file, url_of
from wan_assets.prompts import MAX_VARIANTS, Extra, PromptSource, prompt_source_from
from wan_assets.settings import (
    BUDGET_VARIABLES,
    DATA_FOLDER,
    LEDGER_VARIABLE,
    PathError,
    Settings,
    expanded,
    is_url,
    settings_from,
)

Command = TypeVar("Command", bound=Callable[..., Any])

_DATA_DIR = "wan_assets.data_dir"


def _keep(context: click.Context, _: click.Parameter, folder: Path | None) -> None:
    if folder:
        context.meta[_DATA_DIR] = folder


data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    expose_value=False,
    callback=_keep,
    help=f"The folder with store, ledger and Dagster home; ./{DATA_FOLDER} by default.",
)


def url_option(command: Command) -> Command:
    """Adds `--url`, the ledger of a command, and `--data-dir`."""
    about = "SQLAlchemy URL; by default WAN_ASSETS_LEDGER, or ledger.db in the data folder."
    return data_dir_option(click.option("--url", help=about)(command))


class _TableLocation(click.ParamType[str | Path]):
    """A path, or a URL as text, because a `Path` would change it."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | Path:
        return value if isinstance(value, Path) or is_url(value) else Path(value)


TABLE = _TableLocation()

mismatch_option = click.option(
    "--on-mismatch",
    type=click.Choice(("keep", "fail")),
    default="keep",
    show_default=True,
    help="Store a playable video that deviates from its request, or quarantine it and fail its row.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@dataclass(frozen=True)
class TableOptions:
    """How a command reads the table: the columns of parameters, default values, columns that are no parameters, and
    variants.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    extra: Extra = "keep"
    seeds: int | None = None
    variants: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, file: str | Path) -> PromptSource:
        """Returns a table with these options; raises `PromptTableError` if one is not valid."""
        return PromptSource(file, self.columns, self.defaults, self.extra, seeds=self.seeds, variants=self.variants)

    def of_file_or_settings(self, file: str | Path | None, settings: Settings) -> PromptSource:
        """Returns the table `file`, or that of the environment, whose options apply if the command has none."""
        if file or self != TableOptions():
            return self.of(file or settings.prompts)
        return prompt_source_from(settings.prompts, settings.table_options)

    @property
    def as_json(self) -> str:
        """The options as the environment variable contains them; empty if there are none."""
        given = {
            "columns": self.columns,
            "defaults": self.defaults,
            "extra": self.extra,
            "seeds": self.seeds,
            "variants": self.variants,
        }
        found = {name: value for name, value in given.items() if value and value != "keep"}
        return json.dumps(found) if found else ""


def table_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--column`, `--default`, `--extra`, `--seeds` and `--variant`, and passes them to the command as
    `table_options`.
    """

    @wraps(command)
    def read(
        *args: Any,
        column: Mapping[str, str],
        default: Mapping[str, str],
        extra: Extra,
        seeds: int | None,
        variant: Mapping[str, tuple[str, ...]],
        **options: Any,
    ) -> Any:
        return command(*args, table_options=TableOptions(column, default, extra, seeds, variant), **options)

    for option in reversed(_OF_TABLE):
        read = option(read)
    return read


def pairs(_: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Returns the values of an option `NAME=VALUE`, which may be repeated."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise click.BadParameter(f"{text!r} is not of the form {parameter.metavar}")
        if name.strip() in found:
            raise click.BadParameter(f"{name.strip()} is given twice")
        found[name.strip()] = value.strip()
    return found


def _lists(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Returns the values of an option `NAME=VALUE,…`; values with commas are in quotation marks, as in CSV."""
    try:
        return {
            name: tuple(map(str.strip, next(csv.reader([values], skipinitialspace=True, strict=True))))
            for name, values in pairs(context, parameter, given).items()
        }
    except csv.Error as error:
        raise click.BadParameter(str(error)) from None


_OF_TABLE = (
    click.option(
        "--column",
        multiple=True,
        callback=pairs,
        metavar="PARAMETER=COLUMN",
        help="The column of a parameter, such as positive_prompt=prompt_en or seed=meta.seed; repeatable.",
    ),
    click.option(
        "--default",
        multiple=True,
        callback=pairs,
        metavar="PARAMETER=VALUE",
        help="The value of a parameter in rows that have none, such as resolution=720p; repeatable.",
    ),
    click.option(
        "--extra",
        type=click.Choice(("keep", "refuse")),
        default="keep",
        show_default=True,
        help="Keep columns that are no parameters with their row, or report them as problems.",
    ),
    click.option(
        "--seeds",
        type=click.IntRange(1, MAX_VARIANTS),
        help="Make this number of rows of each row, with different seeds.",
    ),
    click.option(
        "--variant",
        multiple=True,
        callback=_lists,
        metavar="PARAMETER=VALUE,VALUE",
        help="Make a row of each row for each of these values, such as resolution=480p,720p; repeatable.",
    ),
)


def data_dir() -> Path | None:
    """Returns the folder given by `--data-dir`, in this command or in its parent group."""
    folder: Path | None = click.get_current_context().meta.get(_DATA_DIR)
    return folder


def current_settings(*, has_budgets: bool = True) -> Settings:
    """Returns the settings from the environment and `--data-dir`; raises `SettingsError`, also for wrong budgets.

    Without `has_budgets` budgets are not read: a command such as `pause` must work although they are wrong.
    """
    if not has_budgets:
        environment = {name: value for name, value in os.environ.items() if name not in BUDGET_VARIABLES}
        return settings_from(environment, data_dir())
    settings = settings_from(os.environ, data_dir())
    budgets_of(settings)
    return settings


@contextmanager
def open_ledger(
    url: str | None, context: click.Context, store: str | None = None, *, has_budgets: bool = False
) -> Iterator[tuple[Ledger, Settings]]:
    """Opens the ledger given by this command, its parent groups or the environment, and yields it with the settings.

    With `has_budgets`, it has the budgets of the environment; otherwise they are not read. Commands in error hints get
    the options of this ledger and of `store`. Raises `LedgerError` if there is no ledger.
    """
    settings = current_settings(has_budgets=has_budgets)
    before = next(filter(None, (group.params.get("url") for group in _groups(context))), None)
    settings = replace(settings, ledger=url or before or settings.ledger, store=store or settings.store)
    try:
        budgets = budgets_of(settings) if has_budgets else None
        with Ledger(settings.ledger, budgets, must_exist=True) as ledger:
            yield ledger, settings
    except WanAssetsError as error:
        error.hint = Suggestions.of(settings).completed(error.hint)
        raise


def _groups(context: click.Context) -> Iterator[click.Context]:
    """Yields the groups of a command, the nearest one first."""
    while context.parent is not None:
        context = context.parent
        yield context


def warn_overridden(environment: Mapping[str, str], settings: Settings) -> None:
    """Prints on standard error which environment variables are not used because `--data-dir` is given."""
    if data_dir() is None:
        return
    used = {
        LEDGER_VARIABLE: settings.ledger,
        "WAN_ASSETS_STORE": settings.store,
        "DAGSTER_HOME": str(settings.dagster_home),
    }
    given = {name: environment[name] for name in used if environment.get(name)}
    ignored = [name for name, place in given.items() if _place_of(place, name) != _place_of(used[name], name)]
    if ignored:
        named = f"{', '.join(ignored)} {'is' if len(ignored) == 1 else 'are'} not used"
        message = f"--data-dir is given: the ledger is {settings.ledger} and the store is {settings.store}; {named}."
        click.echo(printable(message), err=True)


def _place_of(text: str, name: str) -> str:
    """Returns a location in a canonical form for comparison; unreadable text is unchanged."""
    try:
        if name == LEDGER_VARIABLE:
            url = url_of(text, name)
            return os.path.realpath(url.database or "") if is_file(url) else text
        path = expanded(text, name).removeprefix("file://")
    except (DatabaseUrlError, PathError):
        return text
    return path if "://" in path else os.path.realpath(path)
