"""HTTP servers: the webhook receiver, and the file server that serves videos to browsers."""

from wan_assets.servers.file_server import serve_files
from wan_assets.servers.webhook_receiver import LEDGER_BUSY_S, MIN_SECRET, serve_webhook

__all__ = [
    "LEDGER_BUSY_S",
    "MIN_SECRET",
    "serve_files",
    "serve_webhook",
]
