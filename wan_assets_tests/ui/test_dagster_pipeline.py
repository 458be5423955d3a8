"""Dagster's pages of a project in which other assets depend on the videos."""

from collections.abc import Iterator

import pytest
from browser_support import apart
from dagster_pages import pipeline_in_dagster

from wan_assets.dataset import VIDEO_CHECKS

ROWS = 4


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    serving = pipeline_in_dagster(tmp_path_factory.mktemp("pipeline"), ROWS)
    yield apart(serving.__enter__)
    apart(serving.__exit__, None, None, None)


def test_the_graph_leads_from_the_warehouse_to_the_summary(seen, pipeline):
    lineage = "view=lineage&lineageScope=neighbors&lineageDepth=3"
    seen.page.goto(f"{pipeline}/assets/one?{lineage}", wait_until="domcontentloaded")

    for asset in ("one_prompts", "one_requests", "one_bytes", "one_summary"):
        seen.page.get_by_text(asset, exact=True).first.wait_for()
    seen.page.wait_for_timeout(1000)  # the graph moves into its place
    seen.shot("dagster-pipeline")


def test_the_checks_of_the_videos_have_passed(seen, pipeline):
    seen.page.goto(f"{pipeline}/assets/one?view=checks", wait_until="domcontentloaded")

    for check in VIDEO_CHECKS:
        seen.page.get_by_text(check, exact=True).first.wait_for()
    assert seen.page.get_by_text("Execution failed").count() == 0
    seen.shot("dagster-checks")


def test_a_partition_of_the_downstream_asset_is_materialized(seen, pipeline):
    seen.page.goto(f"{pipeline}/assets/one_bytes?view=partitions&partition=one-2", wait_until="domcontentloaded")

    seen.page.get_by_text(f"Materialized ({ROWS})").wait_for()
    seen.page.get_by_text("one-2", exact=True).first.wait_for()
    seen.shot("dagster-downstream")
