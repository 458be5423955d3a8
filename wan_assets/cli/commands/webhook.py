"""`wan-assets webhook`: receives the API's webhooks."""

from __future__ import annotations

import logging
import os

import click

from wan_assets.cli.options import current_settings, url_option
from wan_assets.ledger import Ledger
from wan_assets.servers import LEDGER_BUSY_S, MIN_SECRET, serve_webhook
from wan_assets.settings import SettingsError

_VARIABLE = "WAN_ASSETS_WEBHOOK_SECRET"


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), required=True, help="The port to listen on.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@url_option
def webhook(*, port: int, host: str, url: str | None) -> None:
    """Receive the API's webhooks for all runs that share a ledger. Stop it with Ctrl-C.

    The secret, of 16 characters or more, is read from WAN_ASSETS_WEBHOOK_SECRET.
    """
    secret = os.environ.get(_VARIABLE, "").strip()
    if len(secret) < MIN_SECRET:
        raise SettingsError(f"{_VARIABLE} is not set, or has less than {MIN_SECRET} characters")
    logging.basicConfig(format="%(levelname)s %(message)s")
    address = url or current_settings(has_budgets=False).ledger
    with Ledger(address, must_exist=True, busy_s=LEDGER_BUSY_S) as ledger:
        serve_webhook(ledger, secret, host=host, port=port, on_ready=_announce)


def _announce(address: str) -> None:
    click.echo(f"receiving webhooks at {address}?secret=... ({_VARIABLE})")
