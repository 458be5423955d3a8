"""The partitions that open backfills and runs are still to make, and what the costs asset tells about budgets."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from backfill_support import backfill, materialized, others, run, videos, whole
from budget_support import FALL, past

from wan_assets import LedgerResource, build_dataset_assets
from wan_assets.ledger import BudgetLimit
from wan_assets.orchestration import Budget, open_partitions
from wan_assets.orchestration.metadata.budgets import budget_metadata

ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
OPEN = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.NOT_STARTED]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def test_a_backfill_is_to_make_what_is_not_materialized(instance: dg.DagsterInstance) -> None:
    backfill(instance, "abc", videos, others)
    materialized(instance, videos, "a")

    assert open_partitions(instance, ["videos"]) == {"videos": {"b", "c"}}
    assert open_partitions(instance, ["videos", "others"]) == {"videos": {"b", "c"}, "others": {"a", "b", "c"}}


@pytest.mark.parametrize("status", OPEN)
def test_a_run_is_to_make_its_partition_or_its_range(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> None:
    run(instance, videos, status=status, partition="a")
    ends = {"asset_partition_range_start": "c", "asset_partition_range_end": "e"}
    run(instance, videos, status=status, **ends)
    run(instance, others, status=status, partition="f")
    run(instance, whole, status=status)
    materialized(instance, videos, "d")

    assert open_partitions(instance, ["videos", "whole"]) == {"videos": {"a", "c", "e"}}


@pytest.mark.parametrize("status", ENDED)
def test_an_ended_run_is_to_make_nothing(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> None:
    run(instance, videos, status=status, partition="a")

    assert open_partitions(instance, ["videos"]) == {}


def test_an_ended_backfill_is_to_make_nothing(instance: dg.DagsterInstance) -> None:
    backfill(instance, "abc", videos)
    (found,) = instance.get_backfills()
    instance.update_backfill(found.with_status(type(found.status).CANCELED))

    assert open_partitions(instance, ["videos"]) == {}


def test_a_partition_of_a_backfill_and_its_run_is_one(instance: dg.DagsterInstance) -> None:
    backfill(instance, "ab", videos)
    run(instance, videos, status=dg.DagsterRunStatus.STARTED, partition="a")

    assert open_partitions(instance, ["videos"]) == {"videos": {"a", "b"}}


def costs(folder: Path, instance: dg.DagsterInstance, **ledger: Any) -> dict[str, Any]:
    """The metadata of one materialization of the costs."""
    around = build_dataset_assets(prompts=[], name="videos")
    (asset,) = [each for each in around if each.key.path[-1] == "videos_costs"]
    resources = {"ledger": LedgerResource(url=f"sqlite:///{folder / 'ledger.db'}", **ledger)}
    result = dg.materialize([asset], instance=instance, resources=resources)
    (event,) = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()}


def test_the_costs_have_numbers_under_the_same_names_in_every_period(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    fall = BudgetLimit(usd=10, per="month", scope={"campaign": "fall*"}, time_zone="Europe/Berlin")
    with past(tmp_path, fall, per_day=2, per_run=9) as made:
        for day in (29, 30):
            made.buy(f"2026-10-{day}T06:00", 2_000_000, tags=FALL)
        early = budget_metadata(made.ledger, instance, ["videos"])
        made.buy("2026-11-02T06:00", 2_000_000, tags=FALL)
        late = budget_metadata(made.ledger, instance, ["videos"])

    name = "wan_assets/budget_month_europe_berlin_for_campaign_fall"
    assert (early[f"{name}_percent"], early[f"{name}_left_usd"]) == (40.0, 6.0)
    assert (late[f"{name}_percent"], late[f"{name}_left_usd"]) == (20.0, 8.0)
    assert late["wan_assets/budget_day_percent"] == 100.0
    assert late["wan_assets/budget_day_exhausted_at"].value == made.now.timestamp()
    assert not any("budget_run" in key for key in late)
    assert "| each run | $9.00 | - |" in late["wan_assets/budgets"].value
    assert r"month 2026-11 (Europe/Berlin) for campaign=fall\* | $10.00 | $2.00 | $0.00 | $8.00 | 20.0%" in (
        late["wan_assets/budgets"].value
    )


def test_the_costs_add_what_open_partitions_still_cost(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    with past(tmp_path, total=50) as made:
        made.buy("2026-11-02T06:00", 2_000_000, partition="a")
        backfill(instance, "abc", videos)
        materialized(instance, videos, "a")

    found = costs(tmp_path, instance, budget_usd_total=50)

    (row,) = [line for line in found["wan_assets/budgets"].splitlines() if line.startswith("| total")]
    assert row.endswith("| $4.00 |")
    assert found["wan_assets/budget_total_left_usd"] == 48.0
    assert found["wan_assets/spent_usd"] == 2.0


def test_budgets_whose_names_have_the_same_letters_have_different_keys(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    with past(tmp_path, *(BudgetLimit(usd=usd, per="month", scope={"team": f"a{usd}"}) for usd in (1, 2))) as made:
        made.ledger.set_budget(BudgetLimit(usd=1, scope={"team": "a*"}))
        made.ledger.set_budget(BudgetLimit(usd=2, scope={"team": "*a"}))
        found = budget_metadata(made.ledger, instance, ["videos"])

    limits = sorted(value for key, value in found.items() if "total_for_team_a_" in key and key.endswith("_left_usd"))
    assert limits == [1.0, 2.0]


def test_simulated_money_is_shown_beside_real_money_and_not_added(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    with past(tmp_path, total=50) as made:
        made.buy("2026-11-02T06:00", 2_000_000)
        made.buy("2026-11-02T06:00", 5_000_000, simulated=True)
        found = budget_metadata(made.ledger, instance, ["videos"])

    assert found["wan_assets/budget_total_left_usd"] == 48.0
    assert found["wan_assets/simulated_budget_total_left_usd"] == 45.0
    assert "Simulated money, nothing was paid" in found["wan_assets/budgets"].value


def test_without_a_budget_there_is_no_table(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    with past(tmp_path) as made:
        assert budget_metadata(made.ledger, instance, ["videos"]) == {}


def test_the_costs_have_the_budgets_of_the_resource(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    with past(tmp_path) as made:
        made.buy("2026-11-02T06:00", 2_000_000)

    found = costs(tmp_path, instance, budgets=[Budget(usd=8, scope={"asset": "videos"})])

    assert found["wan_assets/budget_total_for_asset_videos_percent"] == 25.0
