"""`wan-assets serve`: serves the store's videos to browsers."""

from __future__ import annotations

import click

from wan_assets.cli.display import printable
from wan_assets.cli.options import current_settings, data_dir_option
from wan_assets.servers import serve_files
from wan_assets.settings import FILE_SERVER_PORT
from wan_assets.store import VideoStore


@click.command()
@data_dir_option
@click.option("--port", type=click.IntRange(1, 65535), default=FILE_SERVER_PORT, show_default=True, help="The port.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--store", "root", help="Root of the store; by default WAN_ASSETS_STORE, or ./wan_assets_data/videos.")
def serve(*, port: int, host: str, root: str | None) -> None:
    """Serve the store's videos to browsers; Dagster's pages link to them. Read-only. Stop it with Ctrl-C."""
    store = VideoStore(root or current_settings(has_budgets=False).store)
    serve_files(
        store,
        host=host,
        port=port,
        on_ready=lambda address: click.echo(f"serving {printable(str(store.root))} at {address}"),
    )
