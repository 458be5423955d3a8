"""A gallery of 10,000 entries: how soon it is seen, and that it scrolls and answers without stalls.

`wan_assets_tests/ui/test_gallery_of_ten_thousand.py -s` prints the figures of docs/gallery.md.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_support import Visit, apart, visit
from gallery_pages import large_gallery

COUNT = 10_000
FIRST_PAINT_MS = 1000
LONGEST_FRAME_MS = 200
MAX_NODES = 2000

_FRAMES = """async ([steps, pixels]) => {
    const times = [];
    let last = await new Promise(requestAnimationFrame);
    for (let step = 0; step < steps; step += 1) {
        scrollBy(0, pixels);
        const now = await new Promise(requestAnimationFrame);
        times.push(now - last);
        last = now;
    }
    times.sort((a, b) => a - b);
    return { longest: times.at(-1), p99: times[Math.floor(times.length * 0.99)], median: times[times.length >> 1] };
}"""
_SEARCH = """async text => {
    const [input, found] = ['#words', '#found'].map(each => document.querySelector(each));
    const before = found.textContent;
    const start = performance.now();
    input.value = text;
    input.dispatchEvent(new Event('input', { bubbles: true }));
    while (found.textContent === before) await new Promise(requestAnimationFrame);
    return performance.now() - start;
}"""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written once: it takes most of the time."""
    return apart(large_gallery, tmp_path_factory.mktemp("many"), COUNT)


@pytest.fixture
def opened(chromium: Any, many: Path) -> Iterator[Visit]:
    """The gallery, all of whose entries are read."""
    with visit(chromium) as page:
        page.open(many)
        yield page


def figures(name: str, **values: float) -> None:
    reported = ", ".join(f"{key} {value:.0f}" for key, value in values.items())
    sys.stdout.write(f"\n{name}: {reported}\n")


def test_it_is_seen_within_a_second(opened):
    paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    cards, ready = (f"performance.getEntriesByName('{name}')[0].startTime" for name in ("first-cards", "all-entries"))

    first, shown, all_read = map(opened.page.evaluate, (paint, cards, ready))

    figures("opening, ms", first_paint=first, first_cards=shown, all_entries=all_read)
    assert opened.found.startswith("10,000 of 10,000 videos")
    assert first <= FIRST_PAINT_MS
    assert shown <= FIRST_PAINT_MS


@pytest.mark.parametrize("pixels", [40, 300, 5000], ids=["slow", "quick", "dragged"])
def test_scrolling_has_no_stalls_and_few_nodes(pixels, opened):
    opened.page.wait_for_selector(".card.loaded")

    frames = opened.page.evaluate(_FRAMES, [120, pixels])

    nodes = opened.page.evaluate("document.querySelectorAll('*').length")
    figures(f"scrolling by {pixels} pixels a frame, ms", nodes=nodes, **frames)
    assert frames["longest"] <= LONGEST_FRAME_MS
    assert nodes <= MAX_NODES


def test_the_last_of_them_is_reached_and_its_player_loads(opened):
    opened.page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")

    opened.page.locator(".card", has_text="p10000").locator("video").wait_for(state="attached")

    opened.until("document.querySelectorAll('.card.loaded').length > 3")
    assert opened.ids()[-1] == "p10000"
    assert opened.page.locator("video").count() < 40


def test_a_search_among_all_answers_at_once(opened):
    few = opened.page.evaluate(_SEARCH, "kite 9999 roofs")
    many = opened.page.evaluate(_SEARCH, "lake")

    figures("search until shown, ms", few=few, many=many)
    assert opened.found.startswith("3,333 of 10,000")
    assert max(few, many) <= 500
