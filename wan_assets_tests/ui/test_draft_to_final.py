"""From 30 drafts to 24 finals: two reviewers decide by keys, their server is killed, and each final is bought once.

The costs in docs/review.md are those of this test.
"""

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from browser_support import apart, visit
from dagster_support import materialized, studio
from drafts_project import DRAFTS, FINALS, TABLE, Project
from folders import REPOSITORY
from ports import free_port
from review_support import ReviewerPage, review_by_two, review_command

from wan_assets import build_review_sensor, build_video_sensor
from wan_assets.models import usd

DRAFT = {"model": "wan3.0", "width": 832, "height": 480, "duration": 2}
FINAL = {"model": "wan3.0-prime", "resolution": "1080p"}
APPROVED = [f"p{number:02}" for number in range(20)]
REJECTED = [f"p{number:02}" for number in range(20, 26)]
RETAKEN = [f"p{number:02}" for number in range(26, 30)]
KEYS = {**dict.fromkeys(APPROVED, "a"), **dict.fromkeys(REJECTED, "r"), **dict.fromkeys(RETAKEN, "t")}


def prompts(folder: Path) -> Path:
    """A table of 30 drafts."""
    path = folder / "prompts.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["prompt_id", "positive_prompt", *DRAFT])
        rows.writerows([prompt_id, f"Kite {prompt_id}", *DRAFT.values()] for prompt_id in KEYS)
    return path


class Pipeline(Project):
    """The project of the page `From draft to final`, with its sensors."""

    def __init__(self, made: Any, table: Path) -> None:
        super().__init__(made, table, FINAL, drafts={"review": True}, sensors=[build_review_sensor(name="drafts")])
        finals = build_video_sensor(name="finals", prompts=self.approved)
        self.definitions = dg.Definitions.merge(self.definitions, dg.Definitions(sensors=[finals]))
        self.cursors: dict[str, str | None] = {}

    def requested(self, name: str) -> list[dg.RunRequest]:
        """The runs that the next tick of a sensor requests."""
        repository = self.definitions.get_repository_def()
        sensor = repository.get_sensor_def(name)
        resources = {
            each: made for each, made in self.made.resources().items() if each in sensor.required_resource_keys
        }
        how: dict[str, Any] = {"instance": self.made.instance, "repository_def": repository, "resources": resources}
        with dg.build_sensor_context(cursor=self.cursors.get(name), **how) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        self.cursors[name] = result.cursor
        return list(result.run_requests or ())

    def run_requested(self, request: dg.RunRequest, asset: dg.AssetKey) -> dg.ExecuteInProcessResult:
        """Runs what a sensor requested."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.made.instance,
            asset_selection=[asset],
            partition_key=request.partition_key,
            tags=request.tags,
        )


@pytest.fixture
def pages(chromium: Any) -> Iterator[list[ReviewerPage]]:
    """The pages of two reviewers, in browsers of their own."""
    with ExitStack() as stack:
        yield [ReviewerPage(stack.enter_context(visit(chromium)).page) for _ in range(2)]


def spent_usd(project: Project) -> dict[str, Decimal]:
    """What each asset spent, in simulated dollars."""
    with project.ledger as ledger:
        return {line.key: usd(line.cost_microusd) for line in ledger.spending("asset")}


def test_thirty_drafts_become_twenty_four_finals(tmp_path: Path, pages: list[ReviewerPage]) -> None:
    with studio(tmp_path) as made:
        table = prompts(tmp_path)
        project = Pipeline(made, table)
        assert apart(project.make, "drafts").success
        places = ("--url", project.ledger.url, "--store", str(tmp_path / "store"), "--data-dir", str(tmp_path / "data"))
        start = partial(review_command, table, free_port(), ["ada", "bob"], *places)
        review_by_two(start, pages, KEYS)

        retakes = apart(project.requested, "drafts_review_sensor")
        assert sorted(request.partition_key or "" for request in retakes) == RETAKEN
        for request in retakes:
            (event,) = materialized(apart(project.run_requested, request, DRAFTS)).values()
            assert event["wan_assets/take"] == 2
        with start() as command:
            pages[1].open(command.links["bob"])
            pages[1].press(*("a" * len(RETAKEN)))  # the page opens with the first undecided video
            pages[1].until_recorded()

        assert not apart(project.requested, "drafts_review_sensor")
        (table_run,) = apart(project.requested, "finals_sensor")
        assert apart(project.run_requested, table_run, TABLE).success
        assert made.instance.get_dynamic_partitions("finals") == [*APPROVED, *RETAKEN]
        made_finals = materialized(apart(project.videos, "finals"))
        again = materialized(apart(project.videos, "finals"))

        assert len(made_finals) == 24
        assert all(event["wan_assets/reused"] for event in again.values())
        assert made.simulator.journal.submissions() == 30 + 4 + 24
        assert set(made.simulator.journal.charges_by_fingerprint().values()) == {1}
        assert {event["wan_assets/height"] for event in made_finals.values()} == {1080}
        reviewers = Counter(event["wan_assets/approved_by"] for event in made_finals.values())
        assert set(reviewers) == {"ada", "bob"}
        assert all(made_finals[each]["wan_assets/draft"] == f"drafts/{each}" for each in made_finals)
        assert_lineage(project)
        assert_costs_are_those_of_the_page(spent_usd(project))


def assert_lineage(project: Project) -> None:
    """The graph leads from the drafts to the finals, and the ledger names draft and decision of each final."""
    graph = project.definitions.resolve_asset_graph()
    assert graph.get(TABLE).parent_keys == {DRAFTS}
    assert graph.get(dg.AssetKey("finals_requests")).parent_keys == {TABLE}
    assert graph.get(FINALS).parent_keys == {dg.AssetKey("finals_requests")}
    with project.ledger as ledger:
        finals = ledger.stored_tasks("finals", simulated=True)
        decisions = {decision.number: decision for decision in ledger.decisions_after(0)}
        records = [row for record in ledger.recorded_partitions("finals").values() for row in record.rows]
    assert len(finals) == len(records) == 24
    for row in records:
        decision = decisions[int(row.extra["approval"])]
        assert decision.is_approved
        assert (decision.reviewer, decision.source) == (row.extra["approved_by"], "page")
        assert decision.video.sha256 == row.extra["draft_sha256"]


def assert_costs_are_those_of_the_page(spent: dict[str, Decimal]) -> None:
    text = (REPOSITORY / "docs" / "review.md").read_text(encoding="utf-8")
    drafts, finals = spent["drafts"], spent["finals"]
    without = "without drafts: 30 videos and 4 takes at the final price"
    each_draft, each_final = drafts / 34, finals / 24
    for line in (
        f"| drafts | 30 | ${each_draft:.2f} | ${30 * each_draft:.2f} |",
        f"| takes of 4 drafts | 4 | ${each_draft:.2f} | ${4 * each_draft:.2f} |",
        f"| finals of 24 approved drafts | 24 | ${each_final:.2f} | ${finals:.2f} |",
        f"| **together** | 58 | | **${drafts + finals:.2f}** |",
        f"| {without} | 34 | ${each_final:.2f} | ${34 * each_final:.2f} |",
    ):
        assert line in text
