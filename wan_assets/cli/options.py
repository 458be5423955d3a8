"""What the commands of the ledger have in common."""

from __future__ import annotations

import os

import click

from wan_assets.ledger import Ledger
from wan_assets.settings import Settings, settings_from

url_option = click.option("--url", help="SQLAlchemy URL; by default WAN_ASSETS_LEDGER, or ./wan_assets_data/ledger.db.")
mismatch_option = click.option(
    "--on-mismatch",
    type=click.Choice(("keep", "fail")),
    default="keep",
    show_default=True,
    help="Store a playable video that deviates from its request, or set it aside and fail its row.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def opened(url: str | None, context: click.Context) -> tuple[Ledger, Settings]:
    """The ledger that is named here, before the subcommand, or by the environment; and all that that configures.

    Raises `LedgerError` where there is none.
    """
    settings = settings_from(os.environ)
    before = context.parent.params.get("url") if context.parent else None
    return Ledger(url or before or settings.ledger, must_exist=True), settings
