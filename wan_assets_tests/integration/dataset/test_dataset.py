"""The manifest of all videos and the report of the money, on videos that the simulator made."""

import json
import tracemalloc
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow.parquet as pq
import pytest
from dagster_support import Studio, failure_of, studio, table_of, written
from engine_support import PRICE, request_of, stored_task, stored_video
from python_process import run_python

from wan_assets import build_dataset_assets, build_video_assets
from wan_assets.dataset import SCHEMA, Manifest, write_manifest
from wan_assets.ledger import Ledger, Origin
from wan_assets.orchestration.metadata.spend import spend_metadata
from wan_assets.prompts import PromptRow, PromptTable
from wan_assets.prompts.columns import column_of
from wan_assets.store import VideoStore

DATASET = dg.AssetKey("videos_dataset")
COSTS = dg.AssetKey("videos_costs")


def ledger_in(folder: Path, **options: Any) -> Ledger:
    return Ledger(f"sqlite:///{folder / 'ledger.db'}", **options)


def manifest_of(folder: Path, prompts: Any) -> Manifest:
    """What is written of a table, in a studio's folder."""
    table = prompts if isinstance(prompts, PromptTable) else PromptTable.load(prompts)
    return write_manifest("videos_dataset", table, store=VideoStore(folder / "store"), ledger=ledger_in(folder))


def rows_of(manifest: Manifest) -> list[dict[str, Any]]:
    return pq.read_table(manifest.uri).to_pylist()


def materialize(studio_: Studio, prompts: Any, **options: Any) -> dg.ExecuteInProcessResult:
    """One run of both assets."""
    return dg.materialize(
        build_dataset_assets(prompts=prompts, **options),
        instance=studio_.instance,
        resources={key: studio_.resources()[key] for key in ("store", "ledger")},
        raise_on_error=False,
    )


def reported(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict[str, Any]:
    """Metadata of an asset that a run made."""
    (event,) = [event for event in result.get_asset_materialization_events() if event.asset_key == key]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def version_of(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.get_asset_materialization_events() if event.asset_key == DATASET]
    return event.materialization.tags["dagster/data_version"]


def bought(folder: Path, request: Any, costs: list[int | None], videos: list[int | None], **origin: str) -> str:
    """A stored task with what its results cost, and files that tell what they cost; gives its UUID."""
    ledger, store = ledger_in(folder), VideoStore(folder / "store")
    task = ledger.claim(request, Origin(**origin), "me", simulated=False).task
    ledger.mark_submitted(task.task_uuid)
    held = ledger.settle(task.task_uuid, [], costs).reserved_microusd
    kept = []
    for number, cost in enumerate(videos, 1):
        with store.incoming(".mp4") as path:
            path.write_bytes(f"{task.task_uuid}-{number}".encode())
            place = store.put(path, f"{task.task_uuid}-{number}.mp4", task.fingerprint, simulated=False)
        kept.append(stored_video(*place, cost))
    said = {"is_simulated": False, "videos": tuple(kept), "reserved_microusd": held}
    store.commit(stored_task(task.fingerprint, task.task_uuid, **said))
    ledger.mark_stored(task.task_uuid, [])
    ledger.close()
    return task.task_uuid


def prompt_table(*requests: Any) -> PromptTable:
    rows = tuple(PromptRow(number, f"p{number}", request, {}) for number, request in enumerate(requests, 1))
    return PromptTable(rows, (), len(rows))


@pytest.mark.slow
def test_the_manifest_has_a_row_for_each_file_in_the_tables_order_and_reads_in_pandas(tmp_path):
    rows = table_of("A kite", "A boat at sea", "Ein Drache über Köln", x_split="train")
    rows[1] |= {"number_results": 2, "seed": 7}
    path = written(tmp_path, rows)
    with studio(tmp_path) as studio_:
        studio_.run(path)
        result = materialize(studio_, path)

    metadata = reported(result, DATASET)
    found, frame = pq.read_table(metadata["dagster/uri"]), pd.read_parquet(metadata["dagster/uri"])
    assert metadata["dagster/uri"] == str(tmp_path / "store" / "datasets" / "videos_dataset.parquet")
    assert found.schema.equals(SCHEMA, check_metadata=True)
    assert list(zip(frame["prompt_id"], frame["result"], frame["row"], strict=True)) == [
        ("a", 1, 1),
        ("b", 1, 2),
        ("b", 2, 2),
        ("c", 1, 3),
    ]
    assert frame["positive_prompt"].tolist()[3] == "Ein Drache über Köln"
    assert {json.loads(text)["x_split"] for text in frame["extra"]} == {"train"}
    assert frame["is_simulated"].all()
    assert metadata["dagster/row_count"] == 4
    assert metadata["wan_assets/missing"] == 0


@pytest.mark.slow
def test_the_manifests_money_is_the_ledgers_to_the_micro_dollar_and_shared_videos_count_once(tmp_path):
    rows = [*table_of("A kite", "A boat"), {**table_of("A kite")[0], "prompt_id": "again"}]
    path = written(tmp_path, rows)
    with studio(tmp_path) as studio_:
        studio_.run(path)

    manifest = manifest_of(tmp_path, path)

    found = rows_of(manifest)
    booked = ledger_in(tmp_path).totals().simulated
    assert sum(row["cost_usd"] for row in found) == Decimal(booked.cost_microusd) / 1_000_000
    assert manifest.cost_microusd == booked.cost_microusd > 0
    assert found[0]["uri"] == found[2]["uri"]
    assert found[2]["cost_usd"] == 0


@pytest.mark.parametrize(
    ("costs", "videos", "by_hand", "expected"),
    [
        ([473_001, 473_002], [473_001, 473_002], None, ["0.473001", "0.473002"]),
        ([473_001, None], [473_001, None], None, ["0.473001", None]),
        ([473_001, None], [473_001, None], 946_005, ["0.473001", "0.473004"]),
        ([None, None], [None, None], 946_005, ["0.473003", "0.473002"]),
        ([473_001, None], [473_001], 500_000, ["0.5"]),
    ],
    ids=["told", "one-unknown", "one-found-out", "both-found-out", "failed-result-found-out"],
)
def test_a_tasks_cost_is_spread_over_its_files_and_null_while_it_is_unknown(costs, videos, by_hand, expected, tmp_path):
    request = request_of(number_results=2)
    task_uuid = bought(tmp_path, request, costs, videos)
    if by_hand:
        ledger_in(tmp_path).record_cost(task_uuid, by_hand)

    manifest = manifest_of(tmp_path, prompt_table(request))

    found, totals = rows_of(manifest), ledger_in(tmp_path).totals().real
    assert [row["cost_usd"] for row in found] == [cost and Decimal(cost) for cost in expected]
    assert manifest.unknown_cost_count == expected.count(None)
    assert manifest.cost_microusd == totals.cost_microusd
    assert sum(row["reserved_usd"] for row in found) == Decimal(totals.reserved_microusd) / 1_000_000


@pytest.mark.slow
def test_a_row_without_a_video_is_counted_and_not_in_the_manifest(tmp_path):
    with studio(tmp_path) as studio_:
        studio_.run(written(tmp_path, table_of("A kite")))
        result = materialize(studio_, written(tmp_path, table_of("A kite", "A boat")))

    metadata = reported(result, DATASET)
    assert pq.read_table(metadata["dagster/uri"])["prompt_id"].to_pylist() == ["a"]
    assert (metadata["dagster/row_count"], metadata["wan_assets/missing"]) == (1, 1)


def test_a_table_of_which_nothing_was_bought_gives_an_empty_manifest(tmp_path):
    manifest = manifest_of(tmp_path, written(tmp_path, table_of("A kite")))

    assert pq.read_table(manifest.uri).schema.equals(SCHEMA)
    assert (manifest.rows, manifest.missing, manifest.is_simulated) == (0, 1, False)


@pytest.mark.slow
def test_the_same_state_twice_is_the_same_bytes_and_version_and_an_edited_row_another(tmp_path):
    path = written(tmp_path, table_of("A kite", "A boat", x_split="train"))
    with studio(tmp_path) as studio_:
        studio_.run(path)
        one = materialize(studio_, path)
        before = Path(reported(one, DATASET)["dagster/uri"]).read_bytes()
        other = materialize(studio_, path)
        after = Path(reported(one, DATASET)["dagster/uri"]).read_bytes()
        edited = materialize(studio_, written(tmp_path, table_of("A kite", "A boat", x_split="test")))

    assert before == after
    assert version_of(one) == version_of(other)
    assert version_of(edited) != version_of(one)


_DIES = """
import os, sys
from wan_assets.dataset import write_manifest
from wan_assets.ledger import Ledger
from wan_assets.prompts import PromptTable
from wan_assets.store import VideoStore

class Dying(VideoStore):
    def put_dataset(self, incoming, name):
        assert incoming.stat().st_size > 0
        os._exit(9)

folder, table = sys.argv[1:]
store, ledger = Dying(f"{folder}/store"), Ledger(f"sqlite:///{folder}/ledger.db")
write_manifest("videos_dataset", PromptTable.load(table), store=store, ledger=ledger)
"""


@pytest.mark.slow
def test_a_writer_that_dies_before_the_move_leaves_the_old_manifest_and_what_is_swept_later(tmp_path):
    request = request_of()
    bought(tmp_path, request, [PRICE], [PRICE])
    old = manifest_of(tmp_path, prompt_table(request))
    before = Path(old.uri).read_bytes()

    dead = run_python(["-c", _DIES, tmp_path, written(tmp_path, table_of("A boat"))])
    left = list((tmp_path / "store" / ".incoming").iterdir())
    VideoStore(tmp_path / "store").make_ready()

    assert dead.returncode == 9
    assert Path(old.uri).read_bytes() == before
    assert len(left) == 1
    assert not list((tmp_path / "store" / ".incoming").iterdir())


def test_a_manifest_is_written_to_a_store_that_is_no_folder(tmp_path):
    path = written(tmp_path, table_of("A kite"))
    store = VideoStore("memory://datasets-of-a-test")

    manifest = write_manifest("clips", PromptTable.load(path), store=store, ledger=ledger_in(tmp_path))

    with (store.root / "datasets" / "clips.parquet").open("rb") as file:
        assert pq.read_table(file).num_rows == 0
    assert manifest.uri.endswith("datasets-of-a-test/datasets/clips.parquet")


@pytest.mark.slow
def test_the_schema_is_told_with_descriptions_and_lineage_names_only_columns_that_exist(tmp_path):
    path = written(tmp_path, table_of("A kite", x_split="train", note="n"))
    with studio(tmp_path) as studio_:
        studio_.run(path)
        metadata = reported(materialize(studio_, path), DATASET)

    schema, lineage = metadata["dagster/column_schema"], metadata["dagster/column_lineage"].deps_by_column
    asked = {dep.column_name for deps in lineage.values() for dep in deps if dep.asset_key.path == ["videos_prompts"]}
    assert [column.name for column in schema.columns] == SCHEMA.names
    assert all(column.description and column.type for column in schema.columns)
    assert set(lineage) == set(SCHEMA.names)
    assert {name for name in asked if getattr(column_of(name), "name", None) != name} == set()
    assert {dep.column_name for dep in lineage["extra"]} == {"x_split", "note"}
    assert [dep.asset_key.path for dep in lineage["cost_usd"]] == [["videos"]]


def test_a_table_with_problems_is_refused_with_advice_and_no_manifest_is_written(tmp_path):
    with studio(tmp_path) as studio_:
        result = materialize(studio_, written(tmp_path, [{"prompt_id": "bad", "positive_prompt": "B", "width": 1}]))
        missing = materialize(studio_, tmp_path / "nowhere.csv")

    assert "No manifest was written: the prompt table has" in failure_of(result)
    assert "wan-assets plan FILE" in failure_of(result)
    assert "PromptTableError" in failure_of(missing)
    assert not (tmp_path / "store" / "datasets").exists()


def test_what_may_be_a_secret_in_an_address_and_an_inline_picture_are_not_in_the_manifest(tmp_path):
    image = "HTTPS://user:pa55@example.com:8443/a.png?sig=s3cret#part"
    hook = {"webhook_url": "https://example.com/?k=s3cret"}
    request = request_of(inputs={"frame_images": [image]}, resolution=None, **hook)
    inline = request_of(inputs={"frame_images": ["data:image/png;base64," + "QUJD" * 200]}, resolution=None)
    for each in (request, inline):
        bought(tmp_path, each, [PRICE], [PRICE])

    found = rows_of(manifest_of(tmp_path, prompt_table(request, inline)))

    assert found[0]["image"] == "https://example.com:8443/a.png"
    assert found[1]["image"].startswith("sha256:")
    assert "s3cret" not in str(found)
    assert "pa55" not in str(found)


def peak_of(folder: Path, table: PromptTable) -> int:
    """The most memory that Python holds while a manifest is written."""
    tracemalloc.start()
    manifest_of(folder, table)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.slow
def test_ten_thousand_rows_are_written_in_bounded_memory(tmp_path):
    requests = [request_of(f"Kite {number}: {'wind ' * 300}") for number in range(5)]
    for request in requests:
        bought(tmp_path, request, [PRICE], [PRICE])
    few, many = (prompt_table(*(requests[n % 5] for n in range(rows))) for rows in (1000, 10_000))

    peaks = [peak_of(tmp_path, table) for table in (few, many)]

    assert rows_of(manifest_of(tmp_path, many))[-1]["prompt_id"] == "p10000"
    assert peaks[1] < 2 * peaks[0]


def book(ledger: Ledger, prompt: str, *, cost: int | None, simulated: bool = False) -> None:
    """A task that was delivered at a cost."""
    task = ledger.claim(request_of(prompt), Origin(asset="videos"), "me", simulated=simulated).task
    ledger.mark_submitted(task.task_uuid)
    ledger.settle(task.task_uuid, [], [cost])
    ledger.close()


def test_spending_is_told_by_day_and_real_and_simulated_money_apart(tmp_path):
    now = datetime(2026, 3, 2, 0, 5, tzinfo=UTC).timestamp()
    for days_ago in (0, 1, 40):
        moment = now - days_ago * 86_400
        book(ledger_in(tmp_path, clock=lambda moment=moment: moment), f"Kite {days_ago}", cost=500_001)
    book(ledger_in(tmp_path, clock=lambda: now), "Simulated", simulated=True, cost=7)
    book(ledger_in(tmp_path, clock=lambda: now), "Unknown", cost=None)

    metadata = spend_metadata(ledger_in(tmp_path), date(2026, 3, 2))

    assert metadata["wan_assets/spent_usd"] == 1.500003
    assert metadata["wan_assets/spent_today_usd"] == 0.500001
    assert metadata["wan_assets/spent_yesterday_usd"] == 0.500001
    assert metadata["wan_assets/tasks"] == 4
    assert metadata["wan_assets/reserved_usd"] > 0
    assert metadata["wan_assets/simulated_spent_usd"] == 0.000007
    assert metadata["wan_assets/simulated_tasks"] == 1
    days = [record.data["day"] for record in metadata["wan_assets/by_day"].records]
    assert days == ["2026-03-01", "2026-03-02", "2026-03-02"]


@pytest.mark.slow
def test_the_costs_asset_charts_what_a_run_spent_and_says_so_where_nothing_was_ever_sent(tmp_path):
    path = written(tmp_path, table_of("A kite", "A boat"))
    with studio(tmp_path) as studio_:
        nothing = reported(materialize(studio_, path), COSTS)
        studio_.run(path)
        some = reported(materialize(studio_, path), COSTS)

    spent = ledger_in(tmp_path).totals().simulated.cost_microusd
    assert "has no tasks" in nothing["wan_assets/note"]
    assert "wan_assets/note" not in some
    assert some["wan_assets/simulated_spent_usd"] == spent / 1e6
    assert some["wan_assets/spent_usd"] == 0.0


def test_freshness_and_automation_are_those_that_were_given():
    policy = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=26))
    condition = dg.AutomationCondition.eager()
    options = {"freshness_policy": policy, "automation_condition": condition, "group_name": "clips"}

    assets = build_dataset_assets(name="clips", prompts="prompts.csv", dataset_name="d", costs_name="c", **options)

    specs = [spec for asset in assets for spec in asset.specs]
    assert [spec.key.path for spec in specs] == [["d"], ["c"]]
    assert [(spec.freshness_policy, spec.automation_condition, spec.group_name) for spec in specs] == [
        (policy, condition, "clips")
    ] * 2


def test_the_assets_stand_after_the_videos_in_one_graph(tmp_path):
    with studio(tmp_path) as studio_:
        resources = studio_.resources()
    around = dg.Definitions(assets=build_dataset_assets(prompts="prompts.csv"), resources=resources)

    graph = dg.Definitions.merge(build_video_assets(prompts="prompts.csv"), around).resolve_asset_graph()

    assert graph.get(DATASET).parent_keys == {dg.AssetKey("videos"), dg.AssetKey("videos_prompts")}
    assert graph.get(COSTS).parent_keys == {dg.AssetKey("videos")}


def estimates_of(folder: Path) -> tuple[dg.AssetCheckEvaluation, dict[str, Any]]:
    """The check `estimates` of a run over a ledger, and the metadata of the report of costs."""
    with studio(folder) as studio_:
        result = materialize(studio_, written(folder, table_of("A kite")))
    evaluations = [each for each in result.get_asset_check_evaluations() if each.check_name == "estimates"]
    return evaluations[0], reported(result, COSTS)


def test_the_check_of_estimates_passes_while_no_cost_is_known(tmp_path):
    check, metadata = estimates_of(tmp_path)

    assert check.passed
    assert check.asset_key == COSTS
    assert check.description == "No cost can be compared yet: no task with a list price has a known cost."
    assert "wan_assets/deviation_percent" not in metadata
    assert "wan_assets/estimates" not in metadata


def test_the_check_of_estimates_names_the_kinds_that_drifted_and_what_to_do(tmp_path):
    book(ledger_in(tmp_path), "Dear", cost=500_000)
    book(ledger_in(tmp_path), "As listed", simulated=True, cost=PRICE)

    check, metadata = estimates_of(tmp_path)

    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.WARN
    assert not check.blocking
    assert check.description.startswith(
        "1 x 720p 5 s from text, silent: 1 task cost $0.5000 instead of $0.4730 (+5.7%, margin 2.0%). Compare with "
    )
    assert "WAN_ASSETS_MODELS" in check.description
    assert check.metadata["wan_assets/drifted"].value == 1
    assert check.metadata["wan_assets/checked"].value == 2
    assert metadata["wan_assets/compared_tasks"] == 1
    assert metadata["wan_assets/compared_estimate_usd"] == 0.473
    assert metadata["wan_assets/compared_cost_usd"] == 0.5
    assert metadata["wan_assets/deviation_percent"] == 5.708
    assert metadata["wan_assets/simulated_deviation_percent"] == 0.0
    assert [record.data["deviation_percent"] for record in metadata["wan_assets/estimates"].records] == ["+5.7", "+0.0"]


def test_the_check_of_estimates_passes_where_kinds_cost_what_was_estimated(tmp_path):
    book(ledger_in(tmp_path), "As listed", cost=PRICE + 4_730)

    check, metadata = estimates_of(tmp_path)

    assert check.passed
    assert check.description == "1 kind of request costs what was estimated."
    assert metadata["wan_assets/deviation_percent"] == 1.0
