"""The review page: writes the pages of a table, and serves them until the command is stopped."""

from __future__ import annotations

import getpass
import hashlib
from collections.abc import Sequence

import click

from wan_assets.cli.display import counted, printable
from wan_assets.gallery import Gallery, ReviewPages
from wan_assets.ledger import Ledger
from wan_assets.prompts import PromptSource, PromptTable, location_of
from wan_assets.servers import ReviewAccess, serve_review
from wan_assets.settings import Settings
from wan_assets.store import VideoStore

_FOLDER, _ACCESS_FILE = "review", "review-access.json"
"""The folder with the pages of each table, and the access tokens, in the data folder."""


def serve_pages(
    table: PromptSource, settings: Settings, ledger: Ledger, *, reviewers: Sequence[str], host: str, port: int
) -> None:
    """Serves the review page of a table to some reviewers, by default to the user of this machine."""
    access = ReviewAccess.kept_in(settings.folder / _ACCESS_FILE, reviewers or [login_name()])
    store = VideoStore(settings.store)
    title = location.name if (location := location_of(table.source)) else str(table.source)
    root = settings.folder / _FOLDER / hashlib.sha256(str(table.source).encode()).hexdigest()[:12]
    pages = ReviewPages(root, lambda: PromptTable.load(table), store=store, ledger=ledger, title=title)
    _show(pages.write())
    serve_review(pages, store=store, ledger=ledger, access=access, host=host, port=port, on_ready=_announce)


def login_name() -> str:
    """Returns the name of the user of this machine, who is the reviewer by default."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "reviewer"


def _show(gallery: Gallery) -> None:
    totals = gallery.totals
    undecided = totals.decisions["undecided"]
    click.echo(f"{counted(totals.videos, 'video')} of {counted(gallery.rows, 'row')}; {undecided} undecided")


def _announce(links: dict[str, str]) -> None:
    for name, link in links.items():
        click.echo(f"{printable(name)}: {link}")
    click.echo("Each link is a secret of its reviewer. Press Ctrl-C to stop.")
