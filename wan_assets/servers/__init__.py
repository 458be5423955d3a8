"""HTTP servers: the webhook receiver, the file server, and the review server that records decisions about videos."""

from wan_assets.servers.file_server import serve_files
from wan_assets.servers.review_access import ReviewAccess
from wan_assets.servers.review_server import ReviewFolder, serve_review
from wan_assets.servers.webhook_receiver import LEDGER_BUSY_S, MIN_SECRET, serve_webhook

__all__ = [
    "LEDGER_BUSY_S",
    "MIN_SECRET",
    "ReviewAccess",
    "ReviewFolder",
    "serve_files",
    "serve_review",
    "serve_webhook",
]
