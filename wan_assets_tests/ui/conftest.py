"""What the browser tests share: one browser, and galleries that are written once."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_support import Visit, apart, browser, visit
from gallery_pages import gallery_of_variants, mixed_gallery
from patience import PATIENCE_S


@pytest.fixture(scope="session", autouse=True)
def chromium() -> Iterator[Any]:
    """One browser for all tests; where there is none, no gallery is made for it either."""
    with browser() as running:
        yield running


@pytest.fixture
def seen(chromium: Any) -> Iterator[Visit]:
    """A page of a desktop's size."""
    with visit(chromium) as page:
        yield page


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gallery of the demo's videos, as the commands make them."""
    out = tmp_path_factory.mktemp("demo")
    for command in ("demo", "gallery"):
        call = [sys.executable, "-m", "wan_assets", command, "--data-dir", out]
        subprocess.run(call, check=True, capture_output=True, timeout=PATIENCE_S)
    return out / "gallery" / "index.html"


@pytest.fixture(scope="session")
def variants(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of two prompts with two variants each."""
    return apart(gallery_of_variants, tmp_path_factory.mktemp("variants"))


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of real and simulated videos, with failed checks, unknown costs and prompts that look like code."""
    return apart(mixed_gallery, tmp_path_factory.mktemp("mixed"))
