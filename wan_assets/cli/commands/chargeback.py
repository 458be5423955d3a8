"""`wan-assets ledger chargeback`: charges the tasks of one month to the values of a tag."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from wan_assets.cli.display import counted, dollars, printable, show_json
from wan_assets.cli.options import json_option, open_ledger, url_option
from wan_assets.cli.spend_options import month_option, table_file_option, time_zone_option
from wan_assets.cli.spend_tables import cells_of, file_columns, line_json, per_approved, show_lines
from wan_assets.cli.table_files import FileColumn, write_table
from wan_assets.ledger import WITHOUT_VALUE, Chargeback, Grouping, money_kind, tag_named

_COLUMNS = ("tasks", "videos", "approved", "spent", "reserved", "unknown", "per approved")


@dataclass(frozen=True)
class _Report:
    """A chargeback with the month, time zone and tag that it was asked for."""

    month: str
    time_zone: str
    tag: str
    found: Chargeback

    @property
    def kinds(self) -> list[bool]:
        """Whether the money of each part is simulated: real money first, and simulated money only if there is any."""
        return [False, *([True] if self.found.of(simulated=True) else [])]


@click.command()
@url_option
@month_option
@click.option(
    "--tag",
    required=True,
    metavar="NAME",
    help="A column of the row, such as x_team or campaign; team for the column team or x_team; or run_tag:NAME.",
)
@time_zone_option
@table_file_option
@json_option
@click.pass_context
def chargeback(
    context: click.Context, url: str | None, month: str, tag: str, time_zone: str, output: Path | None, *, as_json: bool
) -> None:
    """Charge the tasks of a month to the values of a tag; tasks without the tag are (none).

    The month of a task is that in which its budgets count it. Simulated money is a report of its own.
    """
    by = Grouping((tag_named(tag),), time_zone)
    with open_ledger(url, context) as (ledger, _):
        report = _Report(month, time_zone, tag, ledger.chargeback(month, by))
    if output:
        click.echo(write_table(output, _file_columns(report)), err=as_json)
    if as_json:
        show_json(_as_json(report))
    elif not output:
        _show(report)


def _show(report: _Report) -> None:
    if not report.found.lines:
        click.echo(f"The ledger has no tasks in {report.month} ({report.time_zone}).")
        return
    if all(line.key == WITHOUT_VALUE for line in report.found.lines):
        click.echo(f"No task of {report.month} has the tag {printable(report.tag)}: is its name correct?")
    for simulated in report.kinds:
        _show_kind(report, simulated=simulated)


def _show_kind(report: _Report, *, simulated: bool) -> None:
    lines, total = report.found.of(simulated=simulated), report.found.total(simulated=simulated)
    kind = "simulated money, not charged" if simulated else "real money"
    cells = cells_of(lines, _COLUMNS) | {"share": [_percent(line.share_of(total)) for line in lines]}
    if lines:
        title = f"{report.month} ({report.time_zone}) by {report.tag}, {kind}"
        name = f"tag {report.tag}" if report.tag in cells else report.tag
        show_lines(title, [name], lines, cells)
    unknown = f", the cost of {counted(total.unknown, 'task')} is unknown" if total.unknown else ""
    counts = f"{counted(total.tasks, 'task')}, {counted(total.videos, 'video')}, {total.approved:,} approved"
    click.echo(
        f"total, {kind}: {counts}; spent {dollars(total.cost_microusd)}, reserved {dollars(total.reserved_microusd)}, "
        f"{per_approved(total)} per approved{unknown}"
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _as_json(report: _Report) -> dict[str, Any]:
    return {
        "month": report.month,
        "time_zone": report.time_zone,
        "tag": report.tag,
        **{money_kind(simulated): _kind_json(report.found, simulated=simulated) for simulated in (False, True)},
    }


def _kind_json(found: Chargeback, *, simulated: bool) -> dict[str, Any]:
    total = found.total(simulated=simulated)
    lines = [line_json(line) | {"share": line.share_of(total)} for line in found.of(simulated=simulated)]
    return {"lines": lines, "total": line_json(total)}


def _file_columns(report: _Report) -> list[FileColumn]:
    """Returns the columns of a file; it has no line of totals, so that sums over its columns are right."""
    kinds = [
        (report.found.of(simulated=simulated), report.found.total(simulated=simulated)) for simulated in (False, True)
    ]
    lines = [line for some, _ in kinds for line in some]
    shares = [line.share_of(total) for some, total in kinds for line in some]
    asked = {"month": report.month, "time_zone": report.time_zone, "tag": report.tag}
    return [
        *(FileColumn(name, "text", [text] * len(lines)) for name, text in asked.items()),
        *file_columns(["value"], lines),
        FileColumn("share", "share", shares),
    ]
