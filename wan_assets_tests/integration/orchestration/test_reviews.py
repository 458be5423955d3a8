"""Decisions in Dagster: the check of each partition, its metadata, the sensors, and videos that were sent back."""

from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from dagster_support import materialized, studio, table_of, written
from drafts_project import DRAFTS, TABLE, Project

from wan_assets import (
    ApprovalPolicy,
    ApprovalRule,
    PromptTable,
    VideoRequest,
    build_dataset_assets,
    build_review_sensor,
    build_video_assets,
    build_video_sensor,
)
from wan_assets.dataset import Dataset, Entries
from wan_assets.ledger import DecisionValue, NewDecision, Origin, PartitionRecord, VideoKey
from wan_assets.models import request_of_take
from wan_assets.orchestration.checks import check_results

REVIEWED = dg.AssetCheckKey(DRAFTS, "reviewed")


def project_of(made: Any, folder: Path, *prompts: str, **options: Any) -> Project:
    drafts = {"review": True, **options.pop("drafts", {})}
    sensors = [build_review_sensor(name="drafts", **options.pop("sensor", {}))]
    return Project(made, written(folder, table_of(*prompts)), drafts=drafts, sensors=sensors, **options)


def tick(project: Project, name: str, cursor: str | None = None) -> dg.SensorResult:
    """The next tick of a sensor."""
    repository = project.definitions.get_repository_def()
    (sensor,) = [sensor for sensor in repository.sensor_defs if sensor.name == name]
    with dg.build_sensor_context(
        instance=project.made.instance,
        repository_def=repository,
        cursor=cursor,
        resources={
            name: each for name, each in project.made.resources().items() if name in sensor.required_resource_keys
        },
    ) as context:
        return sensor(context)


def evaluations(made: Any) -> dict[str | None, tuple[bool, str]]:
    """The latest evaluation of the check `reviewed` by partition."""
    history = made.instance.event_log_storage.get_asset_check_execution_history(REVIEWED, limit=100)
    found: dict[str | None, tuple[bool, str]] = {}
    for record in history:
        evaluation = record.event.dagster_event.event_specific_data
        if isinstance(evaluation, dg.AssetCheckEvaluation):
            found.setdefault(evaluation.partition, (evaluation.passed, evaluation.description or ""))
    return found


@pytest.mark.slow
def test_a_partition_is_reviewed_once_its_video_is_approved(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        project = project_of(made, tmp_path, "A kite", "A dog", "A cat")
        project.make("drafts")
        assert evaluations(made) == {key: (False, f"{key} is undecided") for key in "abc"}

        project.decide("approved", "a", rating=4, labels=("sharp",), note="good")
        project.decide("rejected", "b", reviewer="bob")
        first = tick(project, "drafts_review_sensor")
        again = tick(project, "drafts_review_sensor", first.cursor)

        assert not first.run_requests
        assert again.skip_reason is not None
        assert "no new decision" in str(again.skip_reason.skip_message)
        assert evaluations(made) == {
            "a": (True, "a is approved"),
            "b": (False, "b is rejected"),
            "c": (False, "c is undecided"),
        }
        (observed,) = made.instance.fetch_observations(
            dg.AssetRecordsFilter(DRAFTS, asset_partitions=["a"]), limit=10
        ).records
        metadata = observed.asset_observation.metadata
        assert metadata["wan_assets/approved"].value == 1
        (row,) = metadata["wan_assets/decisions"].records
        assert (row.data["reviewer"], row.data["rating"], row.data["labels"]) == ("ada", "4", "sharp")


@pytest.mark.slow
def test_a_video_that_is_sent_back_is_requested_generated_and_reviewed_again(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        project = project_of(made, tmp_path, "A kite", "A dog")
        project.make("drafts")
        project.decide("retake", "b")
        result = tick(project, "drafts_review_sensor")

        assert [request.partition_key for request in result.run_requests or ()] == ["b"]
        assert evaluations(made)["b"] == (False, "b is sent back")
        (event,) = [event for key, event in materialized(project.videos("drafts")).items() if key == "b"]
        assert event["wan_assets/take"] == 2
        assert evaluations(made)["b"] == (False, "b is undecided")
        project.decide("approved", "b")
        assert not tick(project, "drafts_review_sensor", result.cursor).run_requests
        assert evaluations(made)["b"] == (True, "b is approved")
        assert made.simulator.journal.submissions() == 3


@pytest.mark.slow
def test_the_sensor_requests_no_run_for_a_row_that_left_the_table_and_reports_the_others(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        project = project_of(made, tmp_path, "A kite", "A dog")
        project.make("drafts")
        project.decide("retake", "a", "b")
        made.instance.delete_dynamic_partition("drafts", "a")
        result = tick(project, "drafts_review_sensor")
        made.instance.delete_dynamic_partition("drafts", "b")
        last = tick(project, "drafts_review_sensor")

        assert [request.partition_key for request in result.run_requests or ()] == ["b"]
        assert not last.run_requests
        assert "not in the table any more" in str(last.skip_reason and last.skip_reason.skip_message)
        assert last.cursor == result.cursor


@pytest.mark.slow
def test_decisions_are_reported_after_a_person_reported_a_materialization(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        project = project_of(made, tmp_path, "A kite")
        project.make("drafts")
        made.instance.report_runless_asset_event(dg.AssetMaterialization(DRAFTS, partition="a"))
        cursor, found = None, []
        for value in ("approved", "rejected", "approved"):
            project.decide(value, "a")
            cursor = tick(project, "drafts_review_sensor", cursor).cursor
            found.append(evaluations(made)["a"][0])

        assert found == [True, False, True]


def _left_at_api(project: Project, prompt_id: str) -> None:
    """Submits the second take of a row for a run that ends before the video is there."""
    made = project.made
    with project.ledger as ledger:
        (row,) = ledger.recorded_partitions("drafts")[prompt_id].rows
        (task,) = [task for task in ledger.stored_tasks("drafts", simulated=True) if task.task_uuid == row.task_uuid]
        take = request_of_take(VideoRequest.from_record(task.request), 2)
        origin = Origin("ended", "drafts", prompt_id, prompt_id=prompt_id, take=2, row_fingerprint=row.fingerprint)
        task_uuid = ledger.claim(take, origin, "ended", simulated=True).task.task_uuid
        headers = {"Authorization": "Bearer a-key-for-tests"}
        httpx.post(made.simulator.base_url, json=[take.to_task(task_uuid)], headers=headers).raise_for_status()
        ledger.mark_submitted(task_uuid)
        ledger.release_leases("ended")


@pytest.mark.slow
def test_a_take_that_is_completed_after_another_one_was_approved_does_not_stay_the_video(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        project = project_of(made, tmp_path, "A kite")
        project.make("drafts")
        (decision,) = project.decide("retake", "a")
        _left_at_api(project, "a")
        with project.ledger as ledger:
            ledger.decide([NewDecision(decision.video, DecisionValue.APPROVED, "bob")])
        cursor, requested, takes = None, [], []
        for _ in range(3):
            result = tick(project, "drafts_review_sensor", cursor)
            repeated = tick(project, "drafts_review_sensor", result.cursor)
            cursor = repeated.cursor
            requested.append((len(result.run_requests or ()), len(repeated.run_requests or ())))
            takes.append(materialized(project.videos("drafts"))["a"].get("wan_assets/take"))

        assert requested == [(1, 0), (1, 0), (0, 0)]
        assert takes == [2, None, None]
        assert made.simulator.journal.submissions() == 2


@pytest.mark.slow
def test_a_video_that_is_sent_back_before_its_partition_is_recorded_is_requested_later(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        project = project_of(made, tmp_path, "A kite")
        project.make("drafts")
        with project.ledger as ledger:
            recorded = ledger.recorded_partitions("drafts")
            ledger.record_partitions("drafts", {"a": PartitionRecord("", ())})
            row = recorded["a"].rows[0]
            (taken,) = ledger.takes_of([row])
            assert taken.chosen.task
            video = VideoKey(row.fingerprint, taken.chosen.task.results[0]["sha256"])
            ledger.decide([NewDecision(video, DecisionValue.RETAKE, "ada")])
        before = tick(project, "drafts_review_sensor")
        with project.ledger as ledger:
            ledger.record_partitions("drafts", recorded)
        after = tick(project, "drafts_review_sensor", before.cursor)

        assert not before.run_requests
        assert [request.partition_key for request in after.run_requests or ()] == ["a"]


@pytest.mark.slow
def test_a_batch_keeps_the_earlier_take_of_a_row_whose_next_take_is_refused(tmp_path: Path) -> None:
    options = {"partitions": dg.StaticPartitionsDefinition(["all"]), "partition_key_of": lambda _: "all"}
    with studio(tmp_path) as made:
        project = project_of(made, tmp_path, "A kite", "A dog", drafts=options)
        assert project.run("drafts", tags={"dagster/partition": "all"}).success
        with project.ledger as ledger:
            before = ledger.recorded_partitions("drafts")["all"].rows
        project.decide("retake", "a")
    with studio(tmp_path, faults={"verdict_safety": 1.0}) as made:
        again = project_of(made, tmp_path, "A kite", "A dog", drafts=options)
        assert again.run("drafts", tags={"dagster/partition": "all"}).success
        (decided,) = again.decide("approved", "a")
        with again.ledger as ledger:
            rows = ledger.recorded_partitions("drafts")["all"].rows
            finals = again.approved.rows(ledger)

    assert rows == before
    assert [(row["prompt_id"], row["approval"]) for row in finals] == [("a", str(decided.number))]


@pytest.mark.slow
def test_a_decision_reaches_all_partitions_that_share_the_video(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        project = project_of(made, tmp_path, "A kite", "A kite")
        project.definitions = dg.Definitions.merge(
            project.definitions,
            build_video_assets(name="others", prompts=written(tmp_path, table_of("A kite", "A kite")), review=True),
            dg.Definitions(sensors=[build_review_sensor(name="others")]),
        )
        project.make("drafts")
        project.make("others")
        project.decide("retake", "b")
        result = tick(project, "drafts_review_sensor")
        others = tick(project, "others_review_sensor")
        project.videos("drafts")
        project.decide("approved", "a")
        tick(project, "drafts_review_sensor", result.cursor)

        assert {request.partition_key for request in result.run_requests or ()} == {"a", "b"}
        assert {request.partition_key for request in others.run_requests or ()} == {"a", "b"}
        assert evaluations(made) == {"a": (True, "a is approved"), "b": (True, "b is approved")}
        assert made.simulator.journal.submissions() == 2


@pytest.mark.slow
def test_an_earlier_take_that_is_approved_later_is_materialized_again_at_no_cost(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        project = project_of(made, tmp_path, "A kite")
        first = materialized(project.make("drafts"))["a"]
        (decision,) = project.decide("retake", "a")
        cursor = tick(project, "drafts_review_sensor").cursor
        second = materialized(project.videos("drafts"))["a"]
        with project.ledger as ledger:
            ledger.decide([NewDecision(decision.video, DecisionValue.APPROVED, "bob")])
        result = tick(project, "drafts_review_sensor", cursor)
        third = materialized(project.videos("drafts"))["a"]

        assert [request.partition_key for request in result.run_requests or ()] == ["a"]
        assert first["wan_assets/sha256"] == third["wan_assets/sha256"] != second["wan_assets/sha256"]
        assert made.simulator.journal.submissions() == 2


@pytest.mark.slow
def test_the_dataset_of_a_row_with_takes_has_the_chosen_one_and_no_orphan(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        prompts = written(tmp_path, table_of("A kite", "A dog"))
        project = Project(made, prompts)
        project.make("drafts")
        project.decide("retake", "b")
        second = materialized(project.videos("drafts"))["b"]["wan_assets/sha256"]
        store = made.resources()["store"].open()
        with project.ledger as ledger:
            table = PromptTable.load(prompts)
            dataset = Dataset.read("drafts", table, store, ledger)
            results = dict(check_results(dataset, ["no_orphan_video", "every_row_has_its_video"]))
            chosen = [entry.video.sha256 for entry in Entries(table, store=store, ledger=ledger)]
            takes = [
                (entry.dataset_row.take, entry.dataset_row.is_chosen)
                for entry in Entries(table, store=store, ledger=ledger, all_takes=True)
            ]

    assert {name: result.passed for name, result in results.items()} == dict.fromkeys(results, True)
    assert chosen[1] == second
    assert takes == [(1, True), (1, False), (2, True)]


@pytest.mark.slow
def test_the_sensor_of_the_finals_reads_their_table_again_after_each_decision(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        drafts = written(tmp_path, table_of("A kite", "A dog"))
        project = Project(made, drafts)
        project.definitions = dg.Definitions.merge(
            project.definitions,
            dg.Definitions(sensors=[build_video_sensor(name="finals", prompts=project.approved)]),
        )
        project.make("drafts")
        asked = []
        for prompt_id in ("a", "b"):
            project.decide("approved", prompt_id)
            result = tick(project, "finals_sensor")
            asked.append([request.asset_selection for request in result.run_requests or ()])
            assert project.run(TABLE).success
        after = tick(project, "finals_sensor")

        assert asked[0] == [[TABLE]]
        assert [TABLE] in asked[1]
        assert [request.asset_selection for request in after.run_requests or ()] == [[dg.AssetKey("finals")]]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"max_takes": 1}, {"max_takes": 2}])
def test_a_row_has_no_more_takes_than_the_asset_permits(tmp_path: Path, options: dict[str, Any]) -> None:
    with studio(tmp_path) as made:
        project = project_of(made, tmp_path, "A kite", drafts=options, sensor=options)
        project.make("drafts")
        requested = []
        for _ in range(3):
            project.decide("retake", "a")
            requested.append(len(tick(project, "drafts_review_sensor").run_requests or ()))
            project.videos("drafts")

        assert made.simulator.journal.submissions() == options["max_takes"]
        assert sum(requested) == options["max_takes"] - 1


@pytest.mark.slow
def test_a_policy_approves_good_videos_and_sends_others_back_up_to_the_permitted_takes(tmp_path: Path) -> None:
    rules = [
        ApprovalRule(decision="retake", failed_checks=["matches_request"]),
        ApprovalRule(decision="approved", all_checks_pass=True),
    ]
    with studio(tmp_path, faults={"longer_clip": 0.5}) as made:
        project = project_of(
            made, tmp_path, *(f"Kite {number}" for number in range(6)), sensor={"policy": ApprovalPolicy(rules=rules)}
        )
        first = materialized(project.make("drafts"))
        good = {key for key, event in first.items() if event["wan_assets/matches_request"]}
        result = tick(project, "drafts_review_sensor")
        sent_back = {request.partition_key for request in result.run_requests or ()}
        again = tick(project, "drafts_review_sensor", result.cursor)

        assert good
        assert sent_back == set("abcdef") - good
        assert sent_back
        assert {key for key, (passed, _) in evaluations(made).items() if passed} == good
        assert not again.run_requests
        with project.ledger as ledger:
            made_by = {(each.reviewer, each.source) for each in ledger.decisions_after(0)}
            assert made_by == {("policy default", "policy")}
            assert len(ledger.decisions_after(0)) == 6


@pytest.mark.slow
def test_the_dataset_counts_rows_by_decision(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        prompts = written(tmp_path, table_of("A kite", "A dog", "A cat"))
        project = Project(made, prompts, assets=build_dataset_assets(name="drafts", prompts=prompts))
        project.make("drafts")
        before = _metadata(project.run("drafts_dataset"))
        project.decide("approved", "a")
        project.decide("rejected", "b")
        after = _metadata(project.run("drafts_dataset"))

    assert "wan_assets/approved" not in before
    assert {name: after[f"wan_assets/{name}"] for name in ("approved", "rejected", "retake", "undecided")} == {
        "approved": 1,
        "rejected": 1,
        "retake": 0,
        "undecided": 1,
    }


def _metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()}
