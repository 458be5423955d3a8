"""The options of reports about money: what they group by, the time zone of their periods, and the file they write."""

from __future__ import annotations

from pathlib import Path

import click

from wan_assets.cli.table_files import FORMATS
from wan_assets.ledger import GROUPINGS, Grouping, month_span, zone_named


def _groupings(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> tuple[Grouping, ...]:
    try:
        return tuple(map(Grouping.of, given))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _zone(_: click.Context, __: click.Parameter, given: str) -> str:
    try:
        return zone_named(given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _month(_: click.Context, __: click.Parameter, given: str) -> str:
    try:
        month_span(given, "UTC")
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return given


def _table_file(_: click.Context, __: click.Parameter, given: Path | None) -> Path | None:
    if given and given.suffix.lower() not in FORMATS:
        raise click.BadParameter(f"{given.name!r} ends neither in {' nor in '.join(FORMATS)}")
    return given


by_option = click.option(
    "--by",
    multiple=True,
    metavar="NAME[,NAME]",
    callback=_groupings,
    help=f"Group by {', '.join(GROUPINGS)}, tag:COLUMN or run_tag:NAME, or by two of them, such as campaign,model; "
    "repeatable.",
)
time_zone_option = click.option(
    "--time-zone",
    default="UTC",
    show_default=True,
    callback=_zone,
    help="The time zone of days and months, such as Europe/Berlin.",
)
month_option = click.option("--month", required=True, callback=_month, metavar="MONTH", help="Such as 2026-11.")
table_file_option = click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_table_file,
    help="Write the table to a file that ends in .csv or .parquet.",
)
