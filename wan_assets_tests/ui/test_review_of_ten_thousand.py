"""A review of 10,000 clips: how soon it opens, the next clip plays, and a decision is recorded.

`wan_assets_tests/ui/test_review_of_ten_thousand.py -s` prints the figures of docs/review.md.
"""

import statistics
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from browser_support import apart, visit
from review_pages import Drafts, many_drafts
from review_support import ReviewerPage, ServedReview, served_review

COUNT = 10_000
DECIDED = 40
OPENS_MS = 1000
NEXT_CLIP_MS = 200
RECORDED_MS = 50
MEASURES = "name => performance.getEntriesByName(name).map(each => each.duration)"
ANSWERED = """performance.getEntriesByType('resource')
    .filter(each => each.name.endsWith('/api/decisions')).map(each => each.duration)"""
PLAYING = "performance.getEntriesByName('clip-playing').length === {}"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Drafts:
    """Written once: it takes most of the time."""
    return apart(many_drafts, tmp_path_factory.mktemp("many"), COUNT)


@pytest.fixture(scope="module")
def served(many: Drafts) -> Iterator[ServedReview]:
    with served_review(many.folder, many.table, "ada") as served:
        yield served


@pytest.fixture
def opened(chromium: Any, served: ServedReview) -> Iterator[ReviewerPage]:
    with visit(chromium) as seen:
        page = ReviewerPage(seen.page)
        page.open(served.links["ada"])
        yield page


def figures(name: str, values: list[float]) -> None:
    ordered = sorted(values)
    p95 = ordered[int(len(ordered) * 0.95)]
    sys.stdout.write(f"\n{name}, ms: median {statistics.median(ordered):.0f}, p95 {p95:.0f}, max {ordered[-1]:.0f}\n")


def test_the_review_opens_within_a_second(opened: ReviewerPage) -> None:
    opened.until(PLAYING.format(1))
    at = "name => performance.getEntriesByName(name)[0].startTime"
    first, read = (opened.page.evaluate(at, name) for name in ("first-clip", "all-entries"))
    plays = opened.page.evaluate("(e => e.startTime + e.duration)(performance.getEntriesByName('clip-playing')[0])")

    figures("first clip shown", [first])
    figures("first clip plays", [plays])
    figures("all 10,000 read", [read])
    assert "10,000 videos" in opened.page.locator("#progress").inner_text()
    assert first <= OPENS_MS
    assert plays <= OPENS_MS + NEXT_CLIP_MS


def test_the_next_clip_plays_and_the_decision_is_recorded_in_a_moment(opened: ReviewerPage, many: Drafts) -> None:
    opened.until(PLAYING.format(1))
    for number in range(DECIDED):
        opened.press("r" if number % 5 == 4 else "a")
        opened.until(PLAYING.format(number + 2))
        opened.until_recorded()

    playing = opened.page.evaluate(MEASURES, "clip-playing")[1:]
    answered = opened.page.evaluate(ANSWERED)
    figures("next clip plays after the key", playing)
    figures("decision is in the ledger", answered)
    figures("page shows that it is", opened.page.evaluate(MEASURES, "decision-recorded"))
    assert len(many.decisions()) == DECIDED
    assert statistics.median(playing) <= NEXT_CLIP_MS
    assert len(answered) == DECIDED
    assert statistics.median(answered) <= RECORDED_MS


def test_the_last_of_them_is_reached_and_found(opened: ReviewerPage) -> None:
    opened.press("End")
    opened.until("wanGallery.review.stage.video?.currentTime > 0")
    last = opened.title
    opened.press("f")
    opened.page.fill("#words", "p9999 kite")
    opened.until("wanGallery.review.found.length === 1")

    assert (last, opened.title) == ("p10000", "p9999")
    assert opened.page.locator("video").count() <= 6
