"""Assets by batch: days, shards, campaigns and what else tells rows apart, on a real simulator."""

import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_support import SMALL, Studio, failure_of, studio, written

from wan_assets import PromptTable, build_video_assets
from wan_assets.models.request import VideoRequest
from wan_assets.orchestration.partitions.assignment import partition_of, shard_of
from wan_assets.prompts import PromptRow

DAYS = dg.DailyPartitionsDefinition(start_date="2026-01-01", end_date="2026-02-01")
SHARDS = dg.StaticPartitionsDefinition([f"shard-{number}" for number in range(4)])
CAMPAIGNS = dg.DynamicPartitionsDefinition(name="campaigns")
BOTH = dg.MultiPartitionsDefinition({"day": DAYS, "shard": SHARDS})


def rows_of(number: int, **columns: Callable[[int], str]) -> list[dict[str, Any]]:
    """Rows `r0`, `r1`, … with further columns made of their number."""
    return [
        {
            "prompt_id": f"r{each}",
            "positive_prompt": f"Kite {each}",
            **SMALL,
            **{name: made(each) for name, made in columns.items()},
        }
        for each in range(number)
    ]


def run(
    made: Studio, prompts: Any, partitions: Any, *keys: str, select: str = "videos", **ledger: Any
) -> dg.ExecuteInProcessResult:
    """One run over a partition, or over the range from one to another."""
    assets = build_video_assets(prompts=prompts, partitions=partitions)
    one, ranged = {}, {}
    if len(keys) == 1:
        one = {"partition_key": keys[0]}
    elif keys:
        ranged = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    return dg.materialize(
        list(assets.assets or ()),
        instance=made.instance,
        resources=made.resources(**ledger),
        selection=select,
        raise_on_error=False,
        tags=ranged,
        **one,
    )


def reported(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    """Metadata of every partition that was materialized."""
    events = [event.step_materialization_data.materialization for event in result.get_asset_materialization_events()]
    return {
        str(event.partition): {key.removeprefix("wan_assets/"): value.value for key, value in event.metadata.items()}
        for event in events
    }


def row(prompt_id: str = "r0", **extra: str) -> PromptRow:
    return PromptRow(1, prompt_id, VideoRequest.model_validate({"positive_prompt": "A kite", **SMALL}), extra)


# Which partition a row belongs to.


@pytest.mark.parametrize(
    ("partitions", "extra", "key"),
    [
        (DAYS, {"date": "2026-01-03"}, "2026-01-03"),
        (DAYS, {"date": "2026-01-03T23:59:59"}, "2026-01-03"),
        (DAYS, {"date": "2026-01-03T23:30:00-01:00"}, "2026-01-04"),
        (
            dg.HourlyPartitionsDefinition(start_date="2026-01-01-00:00"),
            {"date": "2026-01-03T07:30"},
            "2026-01-03-07:00",
        ),
        (dg.MonthlyPartitionsDefinition(start_date="2026-01-01"), {"date": "2026-03-31"}, "2026-03-01"),
        (
            dg.DailyPartitionsDefinition(start_date="2026-01-01", timezone="Asia/Tokyo"),
            {"date": "2026-01-03T20:00:00+00:00"},
            "2026-01-04",
        ),
        (SHARDS, {"shard": "shard-3"}, "shard-3"),
        (CAMPAIGNS, {"campaign": "spring"}, "spring"),
        (BOTH, {"date": "2026-01-03", "shard": "shard-1"}, "2026-01-03|shard-1"),
    ],
)
def test_a_row_belongs_to_the_partition_that_its_columns_name(partitions: Any, extra: dict[str, str], key: str) -> None:
    assert partition_of(partitions)(row(**extra)) == key


def test_a_row_without_a_shard_has_one_that_other_rows_do_not_change() -> None:
    shards = SHARDS.get_partition_keys()
    found = [partition_of(SHARDS)(row(f"r{number}")) for number in range(400)]

    assert found == [shard_of(f"r{number}", shards) for number in range(400)]
    assert all(60 < found.count(shard) < 140 for shard in shards)
    assert shard_of("r0", shards) == "shard-2", "a shard that moves would make every batch stale"


@pytest.mark.parametrize(
    ("partitions", "extra", "said"),
    [
        (DAYS, {}, r"row 1 \(r0\): has no date, .*; fill in the column date"),
        (DAYS, {"date": "soon"}, "soon is not a date; write it as 2026-01-31"),
        (SHARDS, {"shard": "shard-9"}, "shard-9 is not one of the partitions; use one of shard-0, shard-1"),
        (CAMPAIGNS, {"campaign": " "}, "has no campaign"),
    ],
)
def test_a_row_whose_partition_cannot_be_told_stops_the_run_before_anything_is_sent(
    tmp_path: Path, partitions: Any, extra: dict[str, str], said: str
) -> None:
    path = written(tmp_path, [{**rows_of(1)[0], **extra}])
    key = {DAYS: "2026-01-01", SHARDS: "shard-0", CAMPAIGNS: "spring"}[partitions]

    with studio(tmp_path) as made:
        made.instance.add_dynamic_partitions("campaigns", ["spring"])
        result = run(made, path, partitions, key)

        assert made.simulator.journal.submissions() == 0
    assert not result.success
    with pytest.raises(Exception, match=said):
        partition_of(partitions)(row(**extra))
    assert "Fix the table" in failure_of(result)


def test_a_definition_of_another_kind_needs_to_be_told_how() -> None:
    class Own(dg.PartitionsDefinition[str]):
        """Not one of Dagster's."""

    Own.__abstractmethods__ = frozenset()

    with pytest.raises(ValueError, match="give `partition_key_of`"):
        build_video_assets(prompts="prompts.csv", partitions=Own())
    assert build_video_assets(prompts="p.csv", partitions=SHARDS, partition_key_of=lambda _: "shard-0").assets
    with pytest.raises(ValueError, match="neither 'prompt' nor"):
        build_video_assets(prompts="prompts.csv", partitions="promt")


# One matrix for all grains.

GRAINS = [
    ("prompt", {}, ["r0", "r1", "r2", "r3", "r4", "r5"]),
    (DAYS, {"date": lambda each: f"2026-01-0{each // 3 + 1}"}, ["2026-01-01", "2026-01-02"]),
    (SHARDS, {"shard": lambda each: f"shard-{each // 3}"}, ["shard-0", "shard-1"]),
    (CAMPAIGNS, {"campaign": lambda each: "ab"[each // 3]}, ["a", "b"]),
    (
        BOTH,
        {"date": lambda _: "2026-01-03", "shard": lambda each: f"shard-{each // 3}"},
        ["2026-01-03|shard-0", "2026-01-03|shard-1"],
    ),
]
IDS = ["prompt", "day", "shard", "campaign", "day and shard"]


@pytest.mark.slow
@pytest.mark.parametrize(("partitions", "columns", "keys"), GRAINS, ids=IDS)
def test_every_grain_pays_once_tells_each_cost_once_and_reuses_all_the_second_time(
    tmp_path: Path, partitions: Any, columns: Any, keys: list[str]
) -> None:
    path = written(tmp_path, rows_of(6, **columns))

    with studio(tmp_path) as made:
        assert run(made, path, partitions, select="videos_prompts").success
        first = [run(made, path, partitions, key) for key in keys]
        second = [run(made, path, partitions, key) for key in keys]

        charges = made.simulator.journal.charges()
        booked = made.resources()["ledger"].open().spending("partition")
    assert [result.success for result in [*first, *second]] == [True] * 2 * len(keys)
    assert len(charges) == len({charge.fingerprint for charge in charges}) == 6
    costs = [metadata["charged_usd"] for result in first for metadata in reported(result).values()]
    assert sum(costs) == pytest.approx(6 * 0.473)
    assert [metadata["charged_usd"] for result in second for metadata in reported(result).values()] == [0.0] * len(keys)
    assert {line.key: line.cost_microusd for line in booked} == {key: 6 // len(keys) * 473_000 for key in keys}


@pytest.mark.slow
@pytest.mark.parametrize(("partitions", "columns", "keys"), GRAINS[1:4], ids=IDS[1:4])
def test_a_run_over_several_batches_makes_all_of_them(
    tmp_path: Path, partitions: Any, columns: Any, keys: list[str]
) -> None:
    path = written(tmp_path, rows_of(6, **columns))

    with studio(tmp_path) as made:
        run(made, path, partitions, select="videos_prompts")
        result = run(made, path, partitions, *keys)

    assert result.success
    assert list(reported(result)) == keys or set(reported(result)) == set(keys)
    assert {metadata["new"] for metadata in reported(result).values()} == {3}


# What a batch tells.


@pytest.mark.slow
def test_a_batch_tells_counts_costs_and_rows(tmp_path: Path) -> None:
    rows = [
        *rows_of(2, shard=lambda _: "shard-0"),
        {"prompt_id": "big", "positive_prompt": "Big", "resolution": "1080p", "shard": "shard-0"},
    ]

    with studio(tmp_path) as made:
        run(made, written(tmp_path, rows[:1]), SHARDS, "shard-0")
        metadata = reported(run(made, written(tmp_path, rows), SHARDS, "shard-0"))["shard-0"]

    assert metadata["dagster/partition_row_count"] == 3
    assert (metadata["new"], metadata["reused"], metadata["refused"], metadata["failed"]) == (2, 1, 0, 0)
    assert metadata["charged_usd"] == pytest.approx(0.473 + 0.738)
    assert metadata["cost_usd"] == pytest.approx(2 * 0.473 + 0.738)
    assert (metadata["min_cost_usd"], metadata["max_cost_usd"]) == (0.473, 0.738)
    assert metadata["cost_by_tier_usd"] == {"1080p": 0.738, "480p": 0.946}
    assert metadata["simulated"] is True
    shown = {record.data["prompt_id"]: record.data for record in metadata["rows"].records}
    assert {prompt_id: record["state"] for prompt_id, record in shown.items()} == {
        "r0": "reused",
        "r1": "new",
        "big": "new",
    }
    assert shown["big"]["cost_usd"] == "0.738"
    assert Path(shown["big"]["uri"]).is_file()


def test_a_batch_without_rows_is_green_and_costs_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, rows_of(1, date=lambda _: "2026-01-01"))

    with studio(tmp_path) as made:
        result = run(made, path, DAYS, "2026-01-02")

        assert made.simulator.journal.submissions() == 0
    assert reported(result)["2026-01-02"]["dagster/partition_row_count"] == 0


@pytest.mark.slow
def test_the_data_version_of_a_batch_follows_its_videos_and_nothing_else(tmp_path: Path) -> None:
    rows = rows_of(3, shard=lambda each: f"shard-{each // 2}")

    with studio(tmp_path) as made:

        def versions() -> dict[str, str]:
            result = run(made, written(tmp_path, rows), SHARDS, "shard-0", "shard-1")
            events = [
                event.step_materialization_data.materialization for event in result.get_asset_materialization_events()
            ]
            return {str(event.partition): event.tags["dagster/data_version"] for event in events}

        first, again = versions(), versions()
        rows[2]["positive_prompt"] = "A boat"
        edited = versions()

    assert first == again
    assert edited["shard-0"] == first["shard-0"]
    assert edited["shard-1"] != first["shard-1"]


# Rows that have no video.


@pytest.mark.slow
def test_a_batch_with_failed_rows_is_not_green_tells_what_was_done_and_its_retry_sends_those_alone(
    tmp_path: Path,
) -> None:
    path = written(tmp_path, rows_of(4, shard=lambda each: f"shard-{each // 2}", resolution=lambda _: "720p"))

    with studio(tmp_path) as made:
        first = run(made, path, SHARDS, "shard-0", "shard-1", budget_usd_total=1.43)
        (record,) = made.instance.fetch_observations(dg.AssetKey("videos"), limit=10).records
        observed = record.asset_observation
        sent = made.simulator.journal.submissions()
        second = run(made, path, SHARDS, "shard-0", "shard-1")

        assert (sent, made.simulator.journal.submissions()) == (3, 4)
    assert not first.success
    (green,) = reported(first)
    assert observed.partition == ({"shard-0", "shard-1"} - {green}).pop()
    assert observed.metadata["wan_assets/failed"].value == 0
    assert observed.metadata["wan_assets/skipped"].value == 1
    assert [record.data["state"] for record in observed.metadata["wan_assets/rows"].records] == ["skipped", "new"]
    assert observed.metadata["wan_assets/charged_usd"].value == 0, "the complete batch charges all its rows"
    assert "1 row skipped: the total budget lacks $0.4715 for it. Raise the budget" in failure_of(first)
    assert f"skipped: {observed.partition}/r" in failure_of(first)
    assert second.success
    again = reported(second)
    assert again[green]["charged_usd"] == 0.0
    assert again[observed.partition]["charged_usd"] == pytest.approx(0.946), "of the row that landed in the red run too"


@pytest.mark.slow
def test_rows_that_are_refused_for_good_do_not_keep_a_batch_red_and_are_not_sent_again(tmp_path: Path) -> None:
    path = written(tmp_path, rows_of(3, shard=lambda _: "shard-0"))

    with studio(tmp_path, faults={"verdict_safety": 0.4}, seed=2) as made:
        first = run(made, path, SHARDS, "shard-0")
        sent = made.simulator.journal.submissions()
        second = run(made, path, SHARDS, "shard-0")

        assert made.simulator.journal.submissions() == sent == 3
    assert first.success
    assert 0 < reported(first)["shard-0"]["refused"] < 3
    assert reported(second)["shard-0"]["refused"] == reported(first)["shard-0"]["refused"]
    states = [record.data["state"] for record in reported(second)["shard-0"]["rows"].records]
    assert set(states) == {"refused", "reused"}


def test_no_row_of_a_batch_is_sent_while_any_row_of_the_table_has_a_problem(tmp_path: Path) -> None:
    rows = [
        *rows_of(2, shard=lambda each: f"shard-{each}"),
        {"prompt_id": "bad", "positive_prompt": "", "shard": "shard-3"},
    ]

    with studio(tmp_path) as made:
        result = run(made, written(tmp_path, rows), SHARDS, "shard-0")

        assert made.simulator.journal.submissions() == 0
    assert "The first is row 3" in failure_of(result)


def test_campaigns_are_added_and_retired_with_the_table(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        for campaigns in ("ab", "bc"):
            path = written(tmp_path, rows_of(2, campaign=lambda each, of=campaigns: of[each]))
            assert run(made, path, CAMPAIGNS, select="videos_prompts").success

        assert sorted(made.instance.get_dynamic_partitions("campaigns")) == ["b", "c"]


# Tables of any size.


def lines(number: int) -> Iterator[str]:
    for each in range(number):
        yield json.dumps({"prompt_id": f"r{each}", "positive_prompt": f"Kite {each}", "resolution": "480p"}) + "\n"


@pytest.mark.slow
def test_only_the_rows_of_the_wanted_batch_are_held(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    with path.open("w") as file:
        file.writelines(lines(20_000))
    shards = [f"s{number}" for number in range(1000)]

    tracemalloc.start()
    table = PromptTable.load(path, keep=lambda row: shard_of(row.prompt_id, shards) == "s0")
    _, maximum = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (table.row_count, table.problems) == (20_000, ())
    assert 5 < len(table.rows) < 60
    assert maximum < 60_000_000
