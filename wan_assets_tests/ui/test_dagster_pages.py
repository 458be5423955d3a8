"""Dagster's own pages after the demo: a person sees what they paid for, and the link plays it."""

from collections.abc import Iterator

import pytest
from browser_support import Visit, apart
from dagster_pages import demo_in_dagster

_SHOWN = "document.querySelector('img[alt={0}]')?.naturalWidth > 0"


@pytest.fixture(scope="module")
def dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    serving = demo_in_dagster(tmp_path_factory.mktemp("dagster"))
    yield apart(serving.__enter__)
    apart(serving.__exit__, None, None, None)


def opened(seen: Visit, address: str, prompt_id: str = "hills-animated") -> None:
    """One partition's page, once its thumbnail is there."""
    seen.page.goto(f"{address}/assets/videos?view=partitions&partition={prompt_id}", wait_until="domcontentloaded")
    seen.page.locator("img[alt=poster]").first.wait_for()


def test_the_graph_shows_table_requests_and_videos(seen, dagster):
    seen.page.goto(f"{dagster}/asset-groups", wait_until="domcontentloaded")

    for asset in ("videos_prompts", "videos_requests", "videos_dataset"):
        seen.page.get_by_text(asset, exact=True).first.wait_for()
    seen.page.wait_for_timeout(1000)  # the graph moves into its place
    seen.shot("dagster-graph")


def test_the_requests_are_filled_and_the_run_has_a_target_and_a_place_in_the_timeline(seen, dagster):
    seen.page.goto(f"{dagster}/assets/videos_requests?view=partitions", wait_until="domcontentloaded")
    seen.page.get_by_text("Materialized (10)").wait_for()

    seen.page.goto(f"{dagster}/runs", wait_until="domcontentloaded")
    seen.page.get_by_text("videos_prompts", exact=True).first.wait_for()

    seen.page.goto(f"{dagster}/overview/activity/timeline", wait_until="domcontentloaded")
    seen.page.get_by_text("wan_assets.definitions", exact=True).first.wait_for()
    seen.shot("dagster-timeline")


def test_the_table_shows_its_columns_and_where_it_is_from(seen, dagster):
    seen.page.goto(f"{dagster}/assets/videos_prompts?view=overview", wait_until="domcontentloaded")

    for text in ("positive_prompt", "wan_assets/source", "wan_assets/first_rows"):
        seen.page.get_by_text(text, exact=True).first.wait_for()
    seen.shot("dagster-table")


def test_every_partition_is_listed_as_materialized(seen, dagster):
    opened(seen, dagster)

    seen.page.get_by_text("Materialized (10)").wait_for()
    for prompt_id in ("kite-480", "market-zh", "hills-variants"):
        assert seen.page.get_by_text(prompt_id, exact=True).first.is_visible()


def test_a_materialization_shows_its_picture_without_a_click(seen, dagster):
    opened(seen, dagster)

    assert seen.page.evaluate(_SHOWN.format("poster"))
    seen.shot("dagster-video")


def test_one_click_shows_frames_prompt_and_cost(seen, dagster):
    opened(seen, dagster)

    seen.page.get_by_text("[Show Markdown]").first.click()

    seen.page.locator("img[alt=frames]").first.wait_for()
    assert seen.page.evaluate(_SHOWN.format("frames"))
    dialog = seen.page.get_by_role("dialog")
    assert "The sun sinks behind the hills" in dialog.inner_text()
    assert "$0.473" in dialog.inner_text()
    seen.page.wait_for_timeout(1000)  # the dialog fades in
    seen.shot("dagster-frames")


def test_the_thumbnail_s_link_opens_the_video_which_plays_and_seeks(seen, dagster):
    opened(seen, dagster)
    link = seen.page.locator("a:has(img[alt=poster])").first.get_attribute("href")

    seen.page.goto(link)

    seen.until("document.querySelector('video')?.readyState >= 2")
    seen.page.evaluate("() => { const v = document.querySelector('video'); v.muted = true; return v.play(); }")
    seen.until("document.querySelector('video').currentTime > 0.2")
    seen.page.evaluate("() => { document.querySelector('video').currentTime = 4; }")
    seen.until("document.querySelector('video').currentTime >= 4 && !document.querySelector('video').seeking")
