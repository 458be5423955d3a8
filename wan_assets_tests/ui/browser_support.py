"""A real browser for tests: Debian's chromium, driven by Playwright; what lacks it is skipped and says so."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

SCREENSHOTS = Path(os.environ.get("WAN_ASSETS_SCREENSHOTS", "build/screenshots"))
_UNTIL = """() => new Promise((done, failed) => {
    const deadline = performance.now() + 10000;
    const look = () => {
        if (%s) done();
        else if (performance.now() > deadline) failed(new Error("never true: " + %s));
        else requestAnimationFrame(look);
    };
    look();
})"""
_NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """The browser, or a skipped test where it or what drives it is not installed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make test-ui")
    executable = next(filter(None, map(shutil.which, _NAMES)), None)
    if executable is None:
        pytest.skip(f"no browser is installed: none of {', '.join(_NAMES)} is on the PATH")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield running
        running.close()


def apart(function: Any, *arguments: Any, **options: Any) -> Any:
    """Calls a function in a thread of its own: in this one Playwright's event loop runs."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *arguments, **options).result()


@dataclass
class Visit:
    """A page that is open, what it has asked for, and what went wrong in it."""

    page: Any
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def open(self, index: Path) -> None:
        """Opens a gallery from the disk, and waits until it has read all its entries."""
        self.page.goto(index.as_uri())
        self.page.wait_for_selector("html[data-ready]")

    @property
    def found(self) -> str:
        """The line that says how many videos are shown."""
        return self.page.locator("#found").inner_text()

    def ids(self) -> list[str]:
        """The ids of the cards there are, in the order in which they stand."""
        order = "cards => cards.sort((a, b) => a.ariaPosInSet - b.ariaPosInSet)"
        return self.page.locator(".card").evaluate_all(f"{order}.map(c => c.querySelector('.id').textContent)")

    def search(self, text: str) -> None:
        """Types into the search, and waits until it counts."""
        self.change(lambda: self.page.fill("#words", text))

    def choose(self, name: str, value: str) -> None:
        """Chooses in a filter, and waits until it counts."""
        self.change(lambda: self.page.select_option(f"#{name}", value))

    def until(self, what: str) -> None:
        """Waits until an expression is true. Playwright's own waiting evaluates texts, which the page forbids."""
        self.page.evaluate(_UNTIL % (what, json.dumps(what)))

    def change(self, act: Any) -> None:
        """Does something that shows other videos, and waits until they are shown."""
        self.page.evaluate("document.querySelector('#found').textContent = ''")
        act()
        self.until("document.querySelector('#found').textContent !== ''")

    def shot(self, name: str) -> None:
        """Keeps a picture of the page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")


@contextlib.contextmanager
def visit(running: Any, **options: Any) -> Iterator[Visit]:
    """A fresh page; a test fails where the page's own code has."""
    with contextlib.closing(running.new_context(**{"viewport": {"width": 1280, "height": 860}, **options})) as context:
        seen = Visit(context.new_page())
        context.on("request", lambda request: seen.requests.append(request.url))
        seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
        yield seen
        assert seen.errors == []
