"""`wan-assets export`: writes a table's videos as a dataset."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from wan_assets.cli.display import counted, dollars, printable, show_json
from wan_assets.cli.options import TABLE, TableOptions, current_settings, json_option, table_options, url_option
from wan_assets.cli.suggestions import Suggestions
from wan_assets.dataset import WITHOUT_VIDEO
from wan_assets.export import FORMATS, ONLY, Exported, ExportOptions, Format, export_dataset
from wan_assets.ledger import DecisionValue, Ledger
from wan_assets.models import usd
from wan_assets.prompts import PromptTable
from wan_assets.store import VideoStore

_REASONS = {
    DecisionValue.UNDECIDED: "undecided",
    DecisionValue.REJECTED: "rejected",
    DecisionValue.RETAKE: "waiting for another take",
    WITHOUT_VIDEO: "without a video",
}


@click.command()
@click.argument("file", type=TABLE, required=False)
@click.option("--format", "format_", type=click.Choice(FORMATS), required=True, help="The format of the export.")
@click.option("--output", "root", help="The folder or URL to write to; ./wan_assets_data/exports/FORMAT by default.")
@click.option(
    "--validation",
    type=click.FloatRange(0, 1),
    default=ExportOptions.validation,
    show_default=True,
    help="The share of the videos used for validation.",
)
@click.option("--only", type=click.Choice(ONLY), help="Export only videos that are approved; all videos by default.")
@click.option("--link", "links", is_flag=True, help="Make hard links to the store's files where both are on one disk.")
@click.option(
    "--shard-mb",
    type=click.IntRange(1),
    default=500,
    show_default=True,
    help="The largest size of a shard in megabytes.",
)
@click.option("--title", default=ExportOptions.title, show_default=True, help="The dataset's title in its card.")
@click.option("--license", default=ExportOptions.license, show_default=True, help="The dataset's license in its card.")
@url_option
@click.option("--store", help="Root of the store; by default WAN_ASSETS_STORE, or ./wan_assets_data/videos.")
@table_options
@json_option
def export(
    file: str | Path | None,
    format_: Format,
    root: str | None,
    url: str | None,
    store: str | None,
    *,
    shard_mb: int,
    table_options: TableOptions,
    as_json: bool,
    **given: Any,
) -> None:
    """Write the videos of the table FILE as a dataset, or update an earlier export of it.

    FILE is WAN_ASSETS_PROMPTS, or the demo's table, by default. Nothing is submitted. Dagster is not needed.

    With --only approved, rows without an approved video are left out and counted, and do not change the exit status.

    Exit status: 0 every row's video is exported, 1 some rows have no video, 2 the export cannot be written.
    """
    options = _options(format_, shard_bytes=shard_mb * 1_000_000, **given)
    settings = current_settings(has_budgets=False)
    table = PromptTable.load(table_options.of_file_or_settings(file, settings))
    settings = replace(settings, ledger=url or settings.ledger, store=store or settings.store)
    with Ledger(settings.ledger, must_exist=True) as ledger:
        videos = VideoStore(settings.store)
        target = root or settings.folder / "exports" / format_
        exported = export_dataset(table, target, options, store=videos, ledger=ledger)
    if as_json:
        show_json(_as_json(exported))
    else:
        _show(exported, Suggestions.of(settings))
    sys.exit(1 if exported.missing else 0)


def _options(format_: Format, **given: Any) -> ExportOptions:
    try:
        return ExportOptions(format_, **given)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _show(exported: Exported, suggestions: Suggestions) -> None:
    changes = exported.changes
    split = ", ".join(f"{count:,} for {split}" for split, count in exported.rows.items())
    click.echo(f"{counted(sum(exported.rows.values()), 'video')} ({split}) exported to {printable(exported.uri)}")
    links = f" ({changes.linked:,} as links)" if changes.linked else ""
    written = counted(changes.written, "file")
    click.echo(f"{written} written{links}, {changes.unchanged:,} unchanged, {changes.removed:,} removed")
    kind = "simulated dollars, nothing was charged" if exported.is_simulated else "spent"
    unknown = (
        f"; the cost of {counted(exported.unknown_cost_count, 'video')} is unknown"
        if exported.unknown_cost_count
        else ""
    )
    click.echo(f"{kind}: {dollars(exported.cost_microusd)}{unknown}")
    if exported.unknown_cost_count:
        hint = suggestions.of_unknown_costs(simulated=exported.is_simulated)
        click.echo(f"  what to do  {printable(hint)}")
    if left_out := sum(exported.left_out.values()):
        reasons = ", ".join(f"{count:,} {_REASONS[reason]}" for reason, count in exported.left_out.items() if count)
        click.echo(f"{counted(left_out, 'row has', 'rows have')} no approved video: {reasons}")
        click.echo("  what to do  `wan-assets review TABLE` records decisions about videos")
    if exported.missing:
        kind = "approved video in the store" if exported.left_out else "video"
        click.echo(f"{counted(exported.missing, 'row has', 'rows have')} no {kind}")


def _as_json(exported: Exported) -> dict[str, Any]:
    return {
        "uri": exported.uri,
        "version": exported.version,
        "rows": exported.rows,
        "missing": exported.missing,
        "left_out": exported.left_out,
        "cost_usd": float(usd(exported.cost_microusd)),
        "unknown_cost_count": exported.unknown_cost_count,
        "simulated": exported.is_simulated,
        **asdict(exported.changes),
    }
