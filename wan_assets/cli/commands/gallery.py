"""`wan-assets gallery`: writes static pages that show all videos of a table."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from wan_assets.cli.display import counted, dollars, show_json
from wan_assets.cli.options import (
    TABLE,
    TableOptions,
    current_settings,
    data_dir_option,
    json_option,
    table_options,
    warn_overridden,
)
from wan_assets.gallery import Gallery, write_gallery
from wan_assets.ledger import Ledger, budgets_of
from wan_assets.models import usd
from wan_assets.prompts import PromptTable, location_of
from wan_assets.settings import local_path
from wan_assets.store import VideoStore


@click.command()
@click.argument("file", type=TABLE, required=False)
@data_dir_option
@click.option(
    "--output", type=click.Path(path_type=Path), help="The folder to write the gallery to; DATA_DIR/gallery by default."
)
@table_options
@json_option
def gallery(file: str | Path | None, output: Path | None, *, table_options: TableOptions, as_json: bool) -> None:
    """Write a gallery of the videos of the table FILE: open its index.html in a browser.

    FILE is WAN_ASSETS_PROMPTS, or the demo's table, by default. Nothing is submitted; an existing gallery is replaced.

    Exit status: 0 the gallery is written, 2 it cannot be written.
    """
    settings = current_settings()
    warn_overridden(os.environ, settings)
    source = file or settings.prompts
    with Ledger(settings.ledger, budgets_of(settings), must_exist=True) as ledger:
        found = write_gallery(
            local_path(str(output), "--output") if output else settings.folder / "gallery",
            PromptTable.load(table_options.of_file_or_settings(file, settings)),
            store=VideoStore(settings.store),
            ledger=ledger,
            title=location.name if (location := location_of(source)) else str(source),
            now=datetime.now(UTC),
        )
    if as_json:
        show_json(_as_json(found))
    else:
        _show(found)


def _show(found: Gallery) -> None:
    totals = found.totals
    fail = counted(totals.failed, "video fails", "videos fail")
    click.echo(f"{counted(totals.videos, 'video')} of {counted(found.rows, 'row')}; {fail} a check")
    if totals.deviating:
        deviate = counted(totals.deviating, "video deviates from its request", "videos deviate from their requests")
        click.echo(f"{deviate}; the filter `deviates from the request` shows them")
    if found.missing or found.problems:
        missing = counted(found.missing, "row has", "rows have")
        click.echo(f"{missing} no video; {counted(found.problems, 'row')} with problems left out")
    simulated = dollars(totals.simulated.cost_microusd)
    click.echo(f"cost: {dollars(totals.real.cost_microusd)}; simulated dollars, not charged: {simulated}")
    click.echo(f"open {found.index}")


def _as_json(found: Gallery) -> dict[str, Any]:
    totals = found.totals
    return {
        "index": str(found.index),
        "rows": found.rows,
        "videos": totals.videos,
        "missing": found.missing,
        "problems": found.problems,
        "failed_checks": totals.failed,
        "deviating": totals.deviating,
        "cost_usd": float(usd(totals.real.cost_microusd)),
        "simulated_cost_usd": float(usd(totals.simulated.cost_microusd)),
        "unknown_cost_count": totals.real.unknown + totals.simulated.unknown,
    }
