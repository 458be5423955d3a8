"""What starts runs by itself: the sensor tick by tick, the job for what is missing, conditions and schedules."""

import itertools
import os
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_support import Studio, failure_of, materialized, studio, written
from hypothesis import given
from hypothesis import strategies as st
from test_partitions import BOTH, CAMPAIGNS, DAYS, SHARDS, rows_of

from wan_assets import build_video_assets
from wan_assets.orchestration.automation import build_missing_job, build_video_sensor
from wan_assets.orchestration.automation.cursor import Cursor
from wan_assets.orchestration.automation.ranges import partition_ranges

START, END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


class Watched:
    """A table, its assets and its sensor in a studio; ticks go on from where the last one stopped."""

    def __init__(self, made: Studio, prompts: Any, partitions: Any = "prompt", **settings: Any) -> None:
        self.made = made
        self.sensor = build_video_sensor(prompts=prompts, partitions=partitions, **settings)
        assets = build_video_assets(prompts=prompts, partitions=partitions)
        rest = dg.Definitions(sensors=[self.sensor], resources=made.resources())
        self.definitions = dg.Definitions.merge(assets, rest)
        self.cursor: str | None = None

    def tick(self) -> dg.SensorResult:
        context = dg.build_sensor_context(
            instance=self.made.instance,
            cursor=self.cursor,
            repository_def=self.definitions.get_repository_def(),
            sensor_name="videos_sensor",
            resources=self.made.resources(),
        )
        result = self.sensor(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        return result

    def launch(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        job = self.definitions.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.made.instance,
            asset_selection=[dg.AssetKey("videos")],
            partition_key=request.partition_key,
            tags=dict(request.tags),
            raise_on_error=False,
        )


def ranges_of(result: dg.SensorResult) -> list[tuple[str | None, str | None]]:
    return [
        (request.partition_key, request.partition_key)
        if request.partition_key
        else (request.tags.get(START), request.tags.get(END))
        for request in result.run_requests or []
    ]


def touched(path: Path) -> Path:
    """The same table, written at another time."""
    state = path.stat()
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1_000_000_000))
    return path


# The sensor.


@pytest.mark.slow
def test_new_rows_become_partitions_and_runs_and_an_unchanged_table_nothing(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        watched = Watched(made, written(tmp_path, rows_of(50)))

        first, second = watched.tick(), watched.tick()
        result = watched.launch(first.run_requests[0])

        assert made.instance.get_dynamic_partitions("videos") == [f"r{each}" for each in range(50)]
        assert ranges_of(first) == [("r0", "r49")]
        assert second.skip_reason
        assert "not changed" in str(second.skip_reason.skip_message)
        assert result.success
        assert len(materialized(result)) == 50


@pytest.mark.slow
def test_an_edit_asks_for_one_run_of_one_partition_and_one_charge(tmp_path: Path) -> None:
    rows = rows_of(20)
    with studio(tmp_path) as made:
        path = written(tmp_path, rows)
        watched = Watched(made, path)
        assert watched.launch(watched.tick().run_requests[0]).success
        rows[7]["positive_prompt"] = "Another"
        written(tmp_path, rows)

        edited = watched.tick()

        assert ranges_of(edited) == [("r7", "r7")]
        assert watched.launch(edited.run_requests[0]).success
        assert len(made.simulator.journal.charges()) == 21
        touched(path)
        assert ranges_of(watched.tick()) == []


@pytest.mark.slow
def test_an_edit_that_is_taken_back_is_made_up_to_date_at_no_cost(tmp_path: Path) -> None:
    rows = rows_of(3)
    with studio(tmp_path) as made:
        path = written(tmp_path, rows)
        watched = Watched(made, path)
        watched.launch(watched.tick().run_requests[0])
        rows[1]["positive_prompt"] = "Another"
        written(tmp_path, rows)
        watched.tick()
        rows[1]["positive_prompt"] = "Kite 1"
        written(tmp_path, rows)

        back = watched.tick()

        assert ranges_of(back) == [("r1", "r1")]
        assert watched.launch(back.run_requests[0]).success
        assert len(made.simulator.journal.charges()) == 3
        touched(path)
        assert ranges_of(watched.tick()) == []


@pytest.mark.slow
def test_an_edit_during_a_run_that_is_taken_back_leaves_nothing_stale(tmp_path: Path) -> None:
    rows = rows_of(1)
    with studio(tmp_path) as made:
        path = written(tmp_path, rows)
        watched = Watched(made, path)
        watched.tick()

        def edited(_: object) -> None:
            rows[0]["positive_prompt"] = "Another"
            made.run(written(tmp_path, rows), only="videos_prompts")

        watched.launch(dg.RunRequest(partition_key="r0"))
        rows[0]["positive_prompt"] = "A third"
        written(tmp_path, rows)
        dg.materialize(
            list(build_video_assets(prompts=path, on_outcome=edited).assets or ()),
            instance=made.instance,
            resources=made.resources(),
            selection="videos",
            partition_key="r0",
        )
        rows[0]["positive_prompt"] = "A third"
        written(tmp_path, rows)

        back = watched.tick()

        assert ranges_of(back) == [("r0", "r0")]
        assert watched.launch(back.run_requests[0]).success
        assert len(made.simulator.journal.charges()) == 2
        touched(path)
        assert ranges_of(watched.tick()) == []


@pytest.mark.slow
def test_removed_rows_lose_their_partitions_and_keep_their_videos(tmp_path: Path) -> None:
    rows = rows_of(3)
    with studio(tmp_path) as made:
        watched = Watched(made, written(tmp_path, rows))
        watched.launch(watched.tick().run_requests[0])
        written(tmp_path, rows[:2])

        result = watched.tick()

        assert ranges_of(result) == []
        assert made.instance.get_dynamic_partitions("videos") == ["r0", "r1"]
        assert len(list((tmp_path / "store").rglob("*.mp4"))) == 3


def test_a_tick_does_a_bounded_part_and_the_next_goes_on(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        watched = Watched(made, written(tmp_path, rows_of(25)), partitions_per_run=4, runs_per_tick=3)

        found = [ranges_of(watched.tick()) for _ in range(4)]

    assert found == [
        [("r0", "r3"), ("r4", "r7"), ("r8", "r11")],
        [("r12", "r15"), ("r16", "r19"), ("r20", "r23")],
        [("r24", "r24")],
        [],
    ]


@pytest.mark.slow
def test_ticks_record_the_requests_of_a_large_table_in_portions(tmp_path: Path) -> None:
    recorded = []
    with studio(tmp_path) as made:
        watched = Watched(made, written(tmp_path, rows_of(350)), requests_runs=False)
        for _ in range(3):
            skipped = watched.tick().skip_reason
            recorded.append(len(made.instance.get_materialized_partitions(dg.AssetKey("videos_requests"))))

    assert recorded == [300, 350, 350]
    assert "has not changed" in str(skipped)


def test_two_ticks_at_once_ask_for_the_same_runs(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        path = written(tmp_path, rows_of(10))
        one, other = Watched(made, path), Watched(made, path)

        keys = [[request.run_key for request in watched.tick().run_requests] for watched in (one, other)]

        assert len(made.instance.get_dynamic_partitions("videos")) == 10
    assert keys[0] == keys[1], "Dagster launches a run key once"


@pytest.mark.slow
def test_the_same_edit_made_once_more_asks_for_another_run(tmp_path: Path) -> None:
    rows = rows_of(1)
    keys = []
    with studio(tmp_path) as made:
        watched = Watched(made, written(tmp_path, rows))
        for prompt in ("A", "B", "A", "B"):
            rows[0]["positive_prompt"] = prompt
            touched(written(tmp_path, rows))
            (request,) = watched.tick().run_requests
            keys.append(request.run_key)
            assert watched.launch(request).success

        assert len(made.simulator.journal.charges()) == 2
    assert len(set(keys)) == 4


BROKEN = {"missing": "No such file", "garbage": "UTF", "a bad row": "row 4", "a folder": "without tables"}


@pytest.mark.parametrize("break_it", BROKEN)
def test_a_broken_table_gives_a_reason_and_touches_nothing_until_it_is_mended(tmp_path: Path, break_it: str) -> None:
    rows = rows_of(3)
    with studio(tmp_path) as made:
        path = written(tmp_path, rows)
        watched = Watched(made, path)
        watched.tick()
        path.unlink()
        if break_it == "garbage":
            path.write_bytes(b"\xff\xfe\x00garbage")
        elif break_it == "a bad row":
            written(tmp_path, [*rows, {"prompt_id": "bad", "positive_prompt": ""}])
        elif break_it == "a folder":
            path.mkdir()

        reasons = [str(watched.tick().skip_reason.skip_message) for _ in range(2)]

        assert reasons[0] == reasons[1]
        assert BROKEN[break_it] in reasons[0]
        assert len(made.instance.get_dynamic_partitions("videos")) == 3
        if break_it == "a bad row":
            written(tmp_path, rows_of(4))
            assert ranges_of(watched.tick()) == [("r0", "r3")]


@pytest.mark.slow
def test_a_sensor_that_requests_no_runs_still_keeps_partitions_and_staleness_in_step(tmp_path: Path) -> None:
    rows = rows_of(3)
    with studio(tmp_path) as made:
        path = written(tmp_path, rows)
        watched = Watched(made, path, requests_runs=False)
        assert ranges_of(watched.tick()) == []
        assert made.run(path, only="videos").success
        rows[2]["positive_prompt"] = "Another"
        written(tmp_path, rows)

        assert ranges_of(watched.tick()) == []

        (record,) = made.instance.fetch_observations(dg.AssetKey("videos_requests"), limit=10).records
        assert record.asset_observation is not None
        assert record.asset_observation.partition == "r2"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("partitions", "columns", "expected"),
    [
        (DAYS, {"date": lambda each: f"2026-01-0{each // 2 + 1}"}, ["2026-01-01", "2026-01-02"]),
        (SHARDS, {"shard": lambda each: f"shard-{each // 2}"}, ["shard-0", "shard-1"]),
        (CAMPAIGNS, {"campaign": lambda each: "ab"[each // 2]}, ["a", "b"]),
        (
            BOTH,
            {"date": lambda _: "2026-01-03", "shard": lambda each: f"shard-{each // 2}"},
            ["2026-01-03|shard-0", "2026-01-03|shard-1"],
        ),
    ],
    ids=["day", "shard", "campaign", "day and shard"],
)
def test_batches_are_requested_each_by_its_key(
    tmp_path: Path, partitions: Any, columns: Any, expected: list[str]
) -> None:
    rows = rows_of(4, **columns)
    with studio(tmp_path) as made:
        path = written(tmp_path, rows)
        watched = Watched(made, path, partitions)

        first = watched.tick()
        assert [request.partition_key for request in first.run_requests] == expected
        assert all(watched.launch(request).success for request in first.run_requests)
        rows[3]["positive_prompt"] = "Another"
        written(tmp_path, rows)

        assert [request.partition_key for request in watched.tick().run_requests] == expected[1:]


def test_rows_of_a_day_that_has_not_come_wait_for_it(tmp_path: Path) -> None:
    days = dg.DailyPartitionsDefinition(start_date="2026-01-01")
    with studio(tmp_path) as made:
        path = written(tmp_path, rows_of(2, date=lambda each: ("2026-01-01", "2999-01-01")[each]))

        assert [request.partition_key for request in Watched(made, path, days).tick().run_requests] == ["2026-01-01"]


@pytest.mark.slow
def test_rows_are_asked_for_when_their_day_comes(tmp_path: Path) -> None:
    columns = {"date": lambda each: f"2026-01-0{each + 1}"}
    with studio(tmp_path) as made:
        path = written(tmp_path, rows_of(3, **columns))
        ahead = (datetime.now(UTC).date() - date(2026, 1, 3)).days
        today, later = (
            Watched(made, path, dg.DailyPartitionsDefinition(start_date="2026-01-01", end_offset=offset))
            for offset in (-ahead, 1 - ahead)
        )
        first = [request.partition_key for request in today.tick().run_requests]
        assert all(today.launch(dg.RunRequest(partition_key=key)).success for key in first)
        later.cursor = today.cursor

        assert first == ["2026-01-01", "2026-01-02"]
        assert [request.partition_key for request in later.tick().run_requests] == ["2026-01-03"]


def test_a_broken_table_is_not_read_again_until_it_is_written(tmp_path: Path) -> None:
    rows = rows_of(3)
    with studio(tmp_path) as made:
        path = written(tmp_path, [*rows[:2], {**rows[2], "prompt_id": "r0"}])
        watched = Watched(made, path)
        first, state = watched.tick(), path.stat()
        written(tmp_path, rows)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))

        second, third = watched.tick(), (touched(path), watched.tick())[1]

    assert path.stat().st_size == state.st_size
    assert second.skip_reason == first.skip_reason
    assert ranges_of(third) == [("r0", "r2")]


@pytest.mark.parametrize("said", ["", "not JSON", "[]", '{"after": 7}', "null"])
def test_a_cursor_of_another_make_starts_anew(said: str) -> None:
    assert Cursor.parse(said) == Cursor()


@given(st.integers(1, 60), st.sets(st.integers(0, 59)), st.integers(1, 12))
def test_ranges_hold_what_is_wanted_and_nothing_else_and_are_as_few_as_possible(
    number: int, wanted: set[int], length: int
) -> None:
    present: Sequence[str] = [str(each) for each in range(number)]
    wanting = [key for key in present if int(key) in wanted]

    found = list(partition_ranges(present, set(wanting), length))

    assert [key for found_range in found for key in found_range.keys] == wanting
    for keys in (found_range.keys for found_range in found):
        assert len(keys) <= length
        assert int(keys[-1]) - int(keys[0]) == len(keys) - 1
    for one, other in itertools.pairwise(found_range.keys for found_range in found):
        assert len(one) == length or int(other[0]) > int(one[-1]) + 1


@pytest.mark.slow
def test_rows_between_two_edits_are_not_requested_again(tmp_path: Path) -> None:
    rows = rows_of(6)
    with studio(tmp_path) as made:
        watched = Watched(made, written(tmp_path, rows))
        watched.launch(watched.tick().run_requests[0])
        for edited in (1, 3, 4):
            rows[edited]["positive_prompt"] = "Another"
        written(tmp_path, rows)

        assert ranges_of(watched.tick()) == [("r1", "r1"), ("r3", "r4")]


# The job for what is missing.


def missing(made: Studio, prompts: Any, partitions: Any = "prompt", **config: Any) -> dg.ExecuteInProcessResult:
    job = build_missing_job(prompts=prompts, partitions=partitions)
    rest = dg.Definitions(jobs=[job], resources=made.resources())
    definitions = dg.Definitions.merge(build_video_assets(prompts=prompts, partitions=partitions), rest)
    return definitions.resolve_job_def("videos_missing").execute_in_process(
        instance=made.instance,
        raise_on_error=False,
        run_config={"ops": {"make_missing_videos": {"config": config}}},
    )


@pytest.mark.slow
def test_one_run_makes_whatever_is_missing_or_changed_and_nothing_else(tmp_path: Path) -> None:
    rows = rows_of(12)
    with studio(tmp_path) as made:
        path = written(tmp_path, rows[:9])
        made.run(path)
        for each in (1, 5):
            rows[each]["positive_prompt"] = f"Another {each}"
        path = written(tmp_path, rows)

        first, second = missing(made, path), missing(made, path)

        assert set(materialized(first)) == {"r1", "r5", "r9", "r10", "r11"}
        assert first.success
        assert second.success
        assert materialized(second) == {}
        assert len(made.simulator.journal.charges()) == 9 + 5


@pytest.mark.slow
def test_the_job_takes_as_many_as_it_is_told_and_the_next_run_the_others(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        path = written(tmp_path, rows_of(5))

        found = [set(materialized(missing(made, path, max_partitions=2))) for _ in range(4)]

    assert found == [{"r0", "r1"}, {"r2", "r3"}, {"r4"}, set()]


@pytest.mark.slow
def test_the_job_works_by_batch_too(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        path = written(tmp_path, rows_of(4, shard=lambda each: f"shard-{each // 2}"))

        assert set(materialized(missing(made, path, SHARDS))) == {"shard-0", "shard-1"}


@pytest.mark.slow
def test_what_failed_is_tried_again_by_the_job_and_named(tmp_path: Path) -> None:
    with studio(tmp_path, faults={"verdict_error": 0.8}, seed=3) as made:
        path = written(tmp_path, rows_of(10))

        first = missing(made, path)

        failed = {f"r{each}" for each in range(10)} - set(materialized(first))
        assert not first.success
        assert failed
        assert all(f"{key}: TaskFailedError" in failure_of(first) for key in failed)
        sent = made.simulator.journal.submissions()
        missing(made, path)
        assert len(failed) <= made.simulator.journal.submissions() - sent <= 3 * len(failed)


def test_the_job_says_what_is_wrong_with_a_table_that_cannot_be_read(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        result = missing(made, tmp_path / "none.csv")

    assert not result.success
    assert "none.csv does not exist" in failure_of(result)


def test_the_job_sends_nothing_of_a_table_that_has_problems(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        path = written(tmp_path, [*rows_of(2), {"prompt_id": "bad", "positive_prompt": "", "resolution": "480p"}])
        result = missing(made, path)

        assert made.simulator.journal.submissions() == 0
        assert made.instance.get_dynamic_partitions("videos") == []
    assert not result.success
    assert "Nothing was submitted: the prompt table has 1 problem. The first is row 3" in failure_of(result)


# Conditions and schedules are Dagster's own; that they see what our assets tell is ours.


def conditioned(made: Studio, prompts: Any, condition: Any) -> dg.Definitions:
    assets = build_video_assets(prompts=prompts, automation_condition=condition)
    return dg.Definitions.merge(assets, dg.Definitions(resources=made.resources()))


def asked_of(result: Any) -> Any:
    """The partitions of the videos that Dagster's conditions ask for."""
    return result.get_requested_partitions(dg.AssetKey("videos"))


def test_a_condition_asks_for_what_is_missing(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        path = written(tmp_path, rows_of(3))
        definitions = conditioned(made, path, dg.AutomationCondition.missing())
        made.run(path, only="videos_prompts")

        assert asked_of(dg.evaluate_automation_conditions(definitions, made.instance)) == {"r0", "r1", "r2"}


@pytest.mark.slow
def test_a_condition_asks_for_new_rows_and_not_again_for_those_that_are_made(tmp_path: Path) -> None:
    rows = rows_of(3)
    with studio(tmp_path) as made:
        path = written(tmp_path, rows[:2])
        definitions = conditioned(made, path, dg.AutomationCondition.eager())
        start = dg.evaluate_automation_conditions(definitions, made.instance)
        made.run(path, only="videos_prompts")
        first = dg.evaluate_automation_conditions(definitions, made.instance, cursor=start.cursor)
        made.run(path, only="videos")
        second = dg.evaluate_automation_conditions(definitions, made.instance, cursor=first.cursor)
        made.run(written(tmp_path, rows), only="videos_prompts")

        third = dg.evaluate_automation_conditions(definitions, made.instance, cursor=second.cursor)

    assert [asked_of(each) for each in (first, second, third)] == [{"r0", "r1"}, set(), {"r2"}]


@pytest.mark.slow
def test_a_condition_asks_for_exactly_what_was_edited(tmp_path: Path) -> None:
    rows = rows_of(3)
    with studio(tmp_path) as made:
        path = written(tmp_path, rows)
        definitions = conditioned(made, path, dg.AutomationCondition.eager())
        made.run(path)
        before = dg.evaluate_automation_conditions(definitions, made.instance)
        rows[1]["positive_prompt"] = "Another"
        made.run(written(tmp_path, rows), only="videos_prompts")

        after = dg.evaluate_automation_conditions(definitions, made.instance, cursor=before.cursor)

    assert asked_of(before) == set()
    assert asked_of(after) == {"r1"}
