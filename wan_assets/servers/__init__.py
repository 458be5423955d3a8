"""HTTP servers: the receiver of webhooks, and the file server that shows videos to a browser."""

from wan_assets.servers.file_server import serve_files
from wan_assets.servers.webhook_receiver import LEDGER_BUSY_S, MIN_SECRET, serve_webhook

__all__ = [
    "LEDGER_BUSY_S",
    "MIN_SECRET",
    "serve_files",
    "serve_webhook",
]
