"""Finals of approved drafts in Dagster: their table, partitions, lineage, settings, and the refusal of all others."""

import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_support import failure_of, materialized, studio, table_of, written
from drafts_project import FINALS, TABLE, Project

from wan_assets import ApprovedVideos, PromptSource, PromptTable, VideoGenerator, build_video_assets
from wan_assets.errors import PromptTableError
from wan_assets.ledger import Ledger
from wan_assets.prompts import with_overrides
from wan_assets.video import sample_image


@pytest.mark.slow
def test_approved_drafts_become_finals_with_their_lineage_and_no_other_draft_does(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        project = Project(made, written(tmp_path, table_of("A kite", "A dog", "A cat", seed=7)), {"resolution": "720p"})
        assert project.make("drafts").success
        project.decide("approved", "a", "b")
        project.decide("rejected", "c")
        first, again = project.make("finals"), project.make("finals")

        assert made.instance.get_dynamic_partitions("finals") == ["a", "b"]
        found = materialized(first)
        assert made.simulator.journal.submissions() == 5
        assert {key: event["wan_assets/reused"] for key, event in materialized(again).items()} == {"a": True, "b": True}
    assert found["a"]["wan_assets/height"] == 720
    assert found["a"]["wan_assets/seed"] == "7"
    assert found["a"]["wan_assets/draft"] == "drafts/a"
    assert found["a"]["wan_assets/approved_by"] == "ada"
    with project.ledger as ledger:
        (task,) = [task for task in ledger.stored_tasks("finals", simulated=True) if task.origin.prompt_id == "a"]
        assert '"name":"drafts/a"' in (task.origin.approval or "")


@pytest.mark.slow
def test_a_table_without_an_approved_draft_is_empty_and_valid(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        project = Project(made, written(tmp_path, table_of("A kite")))
        project.make("drafts")
        assert project.run(TABLE).success
        assert not made.instance.get_dynamic_partitions("finals")


@pytest.mark.slow
def test_a_withdrawn_approval_stops_the_run_and_then_removes_the_row(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        project = Project(made, written(tmp_path, table_of("A kite", "A dog")))
        project.make("drafts")
        project.decide("approved", "a", "b")
        assert project.run(TABLE).success
        project.decide("undecided", "a", reviewer="bob")
        failed = project.videos("finals")

        assert list(materialized(failed)) == ["b"]
        assert "the draft drafts/a is not approved: bob withdrew the decision about it at" in failure_of(failed)
        assert made.simulator.journal.submissions() == 3
        assert project.make("finals").success
        assert made.instance.get_dynamic_partitions("finals") == ["b"]


@pytest.mark.slow
def test_a_reported_seed_that_no_request_can_have_is_replaced_by_one_of_the_file(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        project = Project(made, written(tmp_path, table_of("A kite", "A dog")))
        project.make("drafts")
        project.decide("approved", *"ab")
        kite, dog = PromptTable.load(ApprovedVideos("drafts", ledger=project.ledger.url)).rows

    assert int(kite.extra["draft_seed"]) > 2**31 > int(dog.extra["draft_seed"])
    assert kite.request.seed == int(kite.extra["draft_sha256"][:16], 16) % 2**31
    assert dog.request.seed == int(dog.extra["draft_seed"])


def test_without_keep_seed_the_model_draws_the_seed(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        project = Project(made, written(tmp_path, table_of("A kite", seed=7)))
        project.make("drafts")
        project.decide("approved", "a")
        (row,) = PromptTable.load(ApprovedVideos("drafts", keep_seed=False, ledger=project.ledger.url)).rows

    assert row.request.seed is None


@pytest.mark.slow
def test_another_take_that_is_approved_is_the_draft_of_the_final(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        project = Project(made, written(tmp_path, table_of("A kite")))
        project.make("drafts")
        project.decide("retake", "a")
        seeds = [materialized(project.videos("drafts"))["a"]["wan_assets/seed"]]
        project.decide("approved", "a")
        seeds.append(materialized(project.make("finals"))["a"]["wan_assets/seed"])

        assert seeds[0] == seeds[1]
        assert made.simulator.journal.submissions() == 3


def test_the_graph_of_a_project_leads_from_the_drafts_to_the_finals(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        project = Project(made, written(tmp_path, table_of("A kite")))
        graph = project.definitions.resolve_asset_graph()

        assert graph.get(TABLE).parent_keys == {dg.AssetKey("drafts")}
        assert graph.get(FINALS).parent_keys == {dg.AssetKey("finals_requests")}


@pytest.mark.slow
def test_a_draft_with_several_results_has_a_final_for_each_approved_one(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        project = Project(made, written(tmp_path, table_of("A kite", number_results=2)))
        project.make("drafts")
        project.decide("approved", "a")
        found = materialized(project.make("finals"))

        assert sorted(found) == ["a~result=1", "a~result=2"]
        assert len({event["wan_assets/seed"] for event in found.values()}) == 2
        assert len({event["wan_assets/draft_sha256"] for event in found.values()}) == 2


@pytest.mark.slow
def test_drafts_with_local_images_and_extra_columns_keep_them(tmp_path: Path) -> None:
    (tmp_path / "kite.png").write_bytes(sample_image(1))
    row = {"prompt_id": "a", "positive_prompt": "A kite", "frame_images": "kite.png", "campaign": "spring"}
    with studio(tmp_path) as made:
        project = Project(made, written(tmp_path, [row]), {"duration": 10})
        assert project.make("drafts").success
        project.decide("approved", "a")
        (final,) = materialized(project.make("finals")).values()

        assert final["wan_assets/duration_s"] == 10
    with project.ledger as ledger:
        (record,) = ledger.recorded_partitions("finals").values()
    assert record.rows[0].extra["campaign"] == "spring"


@pytest.mark.slow
def test_a_script_reads_the_approved_drafts_of_a_ledger(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        project = Project(made, written(tmp_path, table_of("A kite", "A dog")))
        project.make("drafts")
        project.decide("approved", "b", rating=5)
        source = ApprovedVideos("drafts", {"model": "wan2.6", "resolution": "1080p"}, ledger=project.ledger.url)
        (row,) = PromptTable.load(source).rows

    assert (row.prompt_id, row.request.model, row.request.resolution) == ("b", "alibaba:wan@2.6", "1080p")
    assert (row.extra["draft"], row.extra["approved_by"]) == ("b", "ada")


@pytest.mark.parametrize("overrides", [{"resolutoin": "720p"}, {"resolution": "9000p"}, {"seeds": 2}])
def test_an_override_that_no_row_can_have_is_refused_at_once(overrides: dict[str, object]) -> None:
    with pytest.raises(PromptTableError, match=r"^overrides: "):
        ApprovedVideos("drafts", overrides)


@pytest.mark.parametrize("destination", ["webhook_url", "upload_endpoint"])
def test_an_override_does_not_send_all_finals_to_one_address(destination: str) -> None:
    with pytest.raises(PromptTableError, match=f"{destination} has no effect"):
        ApprovedVideos("drafts", {destination: "https://example.com/put"})


@pytest.mark.parametrize(
    ("draft", "model", "size"),
    [
        ({"width": 480, "height": 854}, "wan2.5", (1080, 1920)),
        ({"width": 480, "height": 854}, "wan3.0-prime", (1080, 1920)),
        ({"width": 640, "height": 640}, "wan3.0", (1440, 1440)),
        ({"resolution": "480p"}, "wan3.0-prime", (1920, 1080)),
        ({"resolution": "480p"}, "wan2.5", None),
        ({"resolution": "480p", "inputs.frame_images": ["https://example.com/a.png"]}, "wan3.0-prime", None),
    ],
)
def test_another_resolution_keeps_the_form_of_the_draft_and_is_valid_for_its_model(
    draft: dict[str, Any], model: str, size: tuple[int, int] | None
) -> None:
    (row,) = PromptTable.load([{"prompt_id": "a", "positive_prompt": "A kite", **draft}]).rows
    cells = with_overrides(row.request, {"resolution": "1080p", "model": model})
    (final,) = PromptTable.load([{"prompt_id": "a", **cells}]).rows

    assert (final.request.width, final.request.height) == (size or (None, None))
    assert final.request.tier == "1080p"


@pytest.mark.parametrize(
    ("draft", "overrides", "duration"),
    [
        ({"resolution": "480p"}, {"model": "wan3.0-prime"}, 5),
        ({"resolution": "480p", "duration": 10}, {"model": "wan3.0-prime"}, 10),
        ({"resolution": "480p"}, {"model": "wan3.0-prime", "duration": 7}, 7),
        ({"model": "wan3.0", "width": 832, "height": 480}, {"model": "wan2.5"}, 5),
    ],
)
def test_a_final_of_another_model_keeps_the_duration_of_its_draft(
    draft: dict[str, Any], overrides: dict[str, Any], duration: int
) -> None:
    (row,) = PromptTable.load([{"prompt_id": "a", "positive_prompt": "A kite", **draft}]).rows
    cells = with_overrides(row.request, {"resolution": "1080p", **overrides})
    (final,) = PromptTable.load([{"prompt_id": "a", **cells}]).rows

    assert final.request.duration == duration


@pytest.mark.slow
def test_a_final_is_not_sent_to_the_address_of_its_draft(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        (row,) = table_of("A kite", webhook_url="https://example.com/hook", upload_endpoint="https://example.com/put")
        project = Project(made, written(tmp_path, [row]))
        project.make("drafts")
        project.decide("approved", "a")
        with project.ledger as ledger:
            (final,) = PromptTable.load(project.approved.rows(ledger)).rows

    assert (final.request.webhook_url, final.request.upload_endpoint) == (None, None)


@pytest.mark.slow
def test_approved_drafts_can_have_variants_and_need_their_approval_whatever_columns_are_left(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        project = Project(made, written(tmp_path, table_of("A kite")))
        project.make("drafts")
        project.decide("approved", "a")
        source = PromptSource(project.approved, variants={"resolution": ["480p", "720p"]})
        lost = PromptSource(project.approved, columns={"negative_prompt": "draft_sha256"})
        project.definitions = dg.Definitions.merge(
            project.definitions,
            build_video_assets(name="sizes", prompts=source),
            build_video_assets(name="lost", prompts=lost),
        )
        sizes = materialized(project.make("sizes"))
        without = project.make("lost")

        assert {key: event["wan_assets/draft"] for key, event in sizes.items()} == {
            "a~resolution=480p": "drafts/a",
            "a~resolution=720p": "drafts/a",
        }
        assert "NotApprovedError" in failure_of(without)
        assert made.simulator.journal.submissions() == 3


def test_a_row_whose_draft_is_nonsense_is_refused_like_one_without_approval(tmp_path: Path) -> None:
    nonsense = {"draft_fingerprint": "0" * 64, "draft_sha256": "0" * 64, "draft_result": "9" * 5_000}
    with studio(tmp_path) as made:
        result = made.run(written(tmp_path, table_of("A kite", **nonsense)))

        assert "NotApprovedError" in failure_of(result)
        assert made.simulator.journal.submissions() == 0


@pytest.mark.slow
def test_a_draft_that_moved_to_another_partition_has_one_final(tmp_path: Path) -> None:
    rows = [{**row, "campaign": campaign} for row, campaign in zip(table_of("A kite", "A dog"), "xy", strict=True)]
    options = {
        "partitions": dg.StaticPartitionsDefinition(["x", "y"]),
        "partition_key_of": lambda row: row.extra["campaign"],
    }
    with studio(tmp_path) as made:
        project = Project(made, written(tmp_path, rows), drafts=options)
        for key in "xy":
            assert project.run("drafts", tags={"dagster/partition": key}).success
        project.decide("approved", "a", "b")
        written(tmp_path, [rows[0], {**rows[1], "campaign": "x"}])
        assert project.run("drafts", tags={"dagster/partition": "x"}).success

        assert project.make("finals").success
        assert made.instance.get_dynamic_partitions("finals") == ["a", "b"]


@pytest.mark.slow
def test_a_generator_reads_approved_drafts_with_its_own_ledger(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        project = Project(made, written(tmp_path, table_of("A kite", "A dog")))
        project.make("drafts")
        project.decide("approved", "a", "b")
        generator = VideoGenerator(**made.resources())
        (found, variants) = [
            generator.generate(requests=requests, progress=False)
            for requests in (project.approved, PromptSource(project.approved, variants={"duration": [10]}))
        ]
        project.decide("rejected", "a")

        assert list(found["prompt_id"]) == ["a", "b"]
        assert list(variants["prompt_id"]) == ["a~duration=10", "b~duration=10"]
        assert list(generator.generate(requests=project.approved, progress=False)["reused"]) == [True]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"defaults": {"negative_prompt": "blur"}}])
def test_a_draft_with_a_secret_in_an_address_has_no_final_in_dagster(tmp_path: Path, options: dict[str, Any]) -> None:
    secret = "https://user:secret@example.com/a.png?signature=deadbeef"
    with studio(tmp_path) as made:
        prompts = written(tmp_path, table_of("A kite", frame_images=secret))
        project = Project(made, prompts, approved={"prompts": prompts})
        source = PromptSource(project.approved, **options)
        project.definitions = dg.Definitions.merge(
            project.definitions, build_video_assets(name="others", prompts=source)
        )
        assert project.make("drafts").success
        project.decide("approved", "a")
        message = failure_of(project.run("others_prompts"))
        with project.ledger as ledger:
            rows = project.approved.rows(ledger, table=PromptTable.load(prompts))

    assert "generate these finals outside of Dagster" in message
    assert "deadbeef" not in message
    assert [str(image) for image in rows[0]["inputs.frame_images"]] == [secret]


@pytest.mark.slow
def test_a_draft_becomes_a_final_after_it_has_been_approved_for_the_given_time(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        project = Project(made, written(tmp_path, table_of("A kite", "A dog")), approved={"approved_for_s": 600})
        project.make("drafts")
        project.decide("approved", "a")
        rows, numbers = [], []
        for age_s in (0, 599, 601):
            with Ledger(project.ledger.url, clock=lambda age_s=age_s: time.time() + age_s) as ledger:
                numbers.append(ledger.last_decision(600))
                rows.append([row["prompt_id"] for row in project.approved.rows(ledger)])
        assert project.run(TABLE).success

        assert made.instance.get_dynamic_partitions("finals") == []
    assert (numbers, rows) == ([0, 0, 1], [[], [], ["a"]])


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_the_time_of_an_approval_is_a_number_of_seconds(seconds: float) -> None:
    with pytest.raises(PromptTableError, match="approved_for_s"):
        ApprovedVideos("drafts", approved_for_s=seconds)
