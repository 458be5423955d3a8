"""Review servers for tests, and reviewers who decide about videos by keys in a browser's page."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from patience import PATIENCE_S

from wan_assets.gallery import ReviewPages
from wan_assets.ledger import Ledger
from wan_assets.prompts import PromptTable
from wan_assets.servers import ReviewAccess
from wan_assets.servers.file_server import LOOPBACK
from wan_assets.servers.http_server import server_of
from wan_assets.servers.review_server import review_app
from wan_assets.settings import sqlite_url
from wan_assets.store import VideoStore

_RECORDED = "document.querySelector('#status').dataset.state === 'saved' && !wanGallery.review.sync.unsent().length"


_UNTIL = """async what => {
    const deadline = performance.now() + 15000;
    while (!(WHAT)) {
        if (performance.now() > deadline) throw new Error('never true: ' + what);
        await new Promise(done => setTimeout(done, 20));
    }
}"""


@dataclass
class ServedReview:
    """A review server in this process, with the secret link of each reviewer."""

    address: str
    links: Mapping[str, str]
    access: ReviewAccess
    pages: ReviewPages
    ledger: Ledger


@contextlib.contextmanager
def served_review(
    folder: Path, table: PromptTable, *reviewers: str, store: VideoStore | None = None, port: int = 0
) -> Iterator[ServedReview]:
    """The review server of a studio's folder."""
    store = store or VideoStore(folder / "store")
    with Ledger(sqlite_url(folder / "ledger.db")) as ledger, socket.create_server(("127.0.0.1", port)) as listening:
        access = ReviewAccess.kept_in(folder / "review-access.json", reviewers or ("ada",))
        pages = ReviewPages(
            folder / "review", lambda: table, store=store, ledger=ledger, title="prompts.csv", counted_every_s=0
        )
        with ThreadPoolExecutor(1) as pool:
            pool.submit(pages.write).result()  # in the thread of a test, Playwright's event loop may run
        server = server_of(review_app(pages, store=store, ledger=ledger, access=access, hosts=LOOPBACK))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        links = {name: f"{address}/?token={token}" for name, token in access.tokens.items()}
        try:
            yield ServedReview(address, links, access, pages, ledger)
        finally:
            server.should_exit = True
            thread.join()


@dataclass
class ReviewCommand:
    """`wan-assets review` in a process of its own, with the secret link of each reviewer."""

    process: subprocess.Popen[str]
    links: Mapping[str, str]

    def kill(self) -> None:
        """Ends the process without any chance to finish its work."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)


@contextlib.contextmanager
def review_command(table: Path, port: int, reviewers: Sequence[str], *options: str) -> Iterator[ReviewCommand]:
    """The command on a table; `options` name the data folder or the ledger and the store."""
    named = [option for name in reviewers for option in ("--reviewer", name)]
    command = [sys.executable, "-m", "wan_assets", "review", str(table), "--port", str(port), *named, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            lines = [process.stdout.readline().strip() for _ in reviewers]
            yield ReviewCommand(process, dict(line.split(": ", 1) for line in lines))
        finally:
            process.terminate()


@dataclass
class ReviewerPage:
    """The review page of one reviewer; `page` is Playwright's."""

    page: Any

    def open(self, link: str, fragment: str = "") -> None:
        """Opens a link, and waits until all clips are read."""
        self.page.goto(f"{link}#{fragment}" if fragment else link)
        self.page.wait_for_selector("html[data-ready]")

    @property
    def title(self) -> str:
        """The title of the current clip."""
        return self.page.evaluate("wanGallery.review.entry?.title ?? ''")

    def press(self, *keys: str) -> None:
        """Presses keys, and waits until the page shows the result."""
        for key in keys:
            self.page.keyboard.press(key)
            self.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def go_to(self, prompt_id: str) -> None:
        """Opens the clip of a row by its link."""
        self.page.evaluate("wanGallery.flushLink()")
        self.page.evaluate(f"location.hash = {json.dumps('clip=' + quote(prompt_id) + '&simulated=1')}")
        self.until(f"wanGallery.review.entry?.prompt_id === {json.dumps(prompt_id)}")

    def until(self, what: str) -> None:
        """Waits until an expression is true. Playwright's own waiting evaluates texts, which the page forbids."""
        self.page.evaluate(_UNTIL.replace("WHAT", what), what)

    def until_recorded(self) -> None:
        """Waits until the ledger has all decisions of this page."""
        self.until(_RECORDED)

    def value_of(self, prompt_id: str) -> str:
        """The decision about a row's video, as the page knows it."""
        found = f"wanGallery.entries.find(each => each.prompt_id === {json.dumps(prompt_id)})"
        return self.page.evaluate(f"wanGallery.valueOf({found})")


def review_by_two(
    start: Callable[[], AbstractContextManager[ReviewCommand]],
    pages: Sequence[ReviewerPage],
    keys: Mapping[str, str],
) -> None:
    """Two reviewers decide about half of the rows each, in turns; the server is killed in between and started again.

    `start` starts the command for the reviewers `ada` and `bob`, each time on the same port. `keys` has the key that
    decides about each row. At the end all decisions are in the ledger, each under the name of its reviewer.
    """
    rows = list(keys.items())
    shares = [dict(rows[0::2]), dict(rows[1::2])]
    halves = [(dict(islice(share.items(), len(share) // 2)), share) for share in shares]
    with start() as command:
        for page, name, (first, _) in zip(pages, ("ada", "bob"), halves, strict=True):
            page.open(command.links[name])
            decide_by_keys(page, first)
        pages[0].until_recorded()
        command.kill()
        for page, (first, share) in zip(pages, halves, strict=True):
            rest = [item for item in share.items() if item[0] not in first]
            decide_by_keys(page, dict(rest[: len(rest) // 2]))
    with start():
        for page, (first, share) in zip(pages, halves, strict=True):
            rest = [item for item in share.items() if item[0] not in first]
            decide_by_keys(page, dict(rest[len(rest) // 2 :]))
        for page in pages:
            page.until_recorded()


def decide_by_keys(page: ReviewerPage, keys: Mapping[str, str]) -> None:
    """Decides about the videos of some rows: `keys` has the key of each row's id, such as `a`, `r` or `t`."""
    for prompt_id, key in keys.items():
        page.go_to(prompt_id)
        page.press(key)
