"""Further takes on the command line: their number, their budget, and their cost for each approved video."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from dagster_support import table_of, written
from engine_support import PRICE, caps, jobs_of, request_of, studio

from wan_assets.cli import cli
from wan_assets.engine import Outcome, VideoJob
from wan_assets.ledger import DecisionValue, Ledger, NewDecision, TakeCosts, VideoKey
from wan_assets.settings import sqlite_url
from wan_assets.simulator import Behaviour, LocalSimulator

UNSET = dict.fromkeys(
    ("WAN_ASSETS_STORE", "WAN_ASSETS_LEDGER", "WAN_ASSETS_BUDGET_USD", "WAN_ASSETS_BUDGET_USD_RETAKES", "DAGSTER_HOME")
)


def invoked(*arguments: Any, **environment: str) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)], env={**UNSET, **environment})


def key_of(outcome: Outcome, result: int = 1) -> VideoKey:
    assert outcome.stored is not None
    return VideoKey(outcome.stored.fingerprint, outcome.stored.videos[result - 1].sha256, result)


def decide(ledger: Ledger, videos: Sequence[VideoKey], value: str) -> None:
    ledger.decide([NewDecision(video, DecisionValue(value), "ada") for video in videos])


@pytest.mark.slow
def test_the_ledger_shows_the_cost_of_all_takes_of_rows_with_an_approved_video(tmp_path: Path) -> None:
    with studio(tmp_path) as made:
        jobs = [*jobs_of(3), VideoJob(request_of("Two boats", number_results=2), "p3")]
        with made.ledger(caps()) as ledger:
            assert ledger.take_costs() == []
            first = made.run(jobs)
            decide(ledger, [key_of(first[0]), key_of(first[1])], "retake")
            second = made.run(jobs)
            decide(ledger, [key_of(second[0]), key_of(first[2]), key_of(first[3]), key_of(first[3], 2)], "approved")
            decide(ledger, [key_of(first[2])], "rejected")
            (costs,) = ledger.take_costs()
        shown = [invoked("ledger", "--url", made.url, COLUMNS=str(width)) for width in (40, 80, 160)]
        reported = json.loads(invoked("ledger", "--url", made.url, "--json").stdout)

    assert costs == TakeCosts(
        is_simulated=True,
        approved=3,
        rows=2,
        tasks=3,
        cost_microusd=4 * PRICE,
        retakes=1,
        retakes_microusd=PRICE,
    )
    assert reported["approved"] == [
        {
            "simulated": True,
            "approved": 3,
            "rows": 2,
            "tasks": 3,
            "cost_usd": 1.892,
            "retakes": 1,
            "retakes_usd": 0.473,
            "per_approved_usd": 0.630667,
            "unknown_cost_count": 0,
        }
    ]
    for each, width in zip(shown, (40, 80, 160), strict=True):
        assert each.exit_code == 0
        assert "Approved videos" in each.stdout
        assert "$0.6307" in each.stdout
        assert max(map(len, each.stdout.splitlines()[:-1])) <= width


@pytest.mark.slow
def test_materialize_limits_the_takes_and_their_budget(tmp_path: Path) -> None:
    path = written(tmp_path, table_of("A kite", "A boat"))
    data = tmp_path / "data"

    with LocalSimulator(tmp_path / "simulator", Behaviour(latency_s=0.05)) as simulator:

        def materialized(*options: Any, **environment: str) -> dict[str, Any]:
            account = {"RUNWARE_API_KEY": "a-key-for-tests", "RUNWARE_BASE_URL": simulator.base_url}
            result = invoked(
                "materialize", path, "--data-dir", data, "--yes", "--json", *options, **account, **environment
            )
            found: dict[str, Any] = json.loads(result.stdout)
            return found

        first = materialized()
        with Ledger(sqlite_url(data / "ledger.db")) as ledger:
            tasks = [ledger.find_tasks(video["sha256"])[0] for video in first["videos"]]
            videos = [VideoKey(task.fingerprint, task.results[0]["sha256"]) for task in tasks]
            decide(ledger, videos[:1], "retake")
            decide(ledger, videos[1:], "rejected")
        limited = materialized("--max-takes", 1)
        unpaid = materialized(WAN_ASSETS_BUDGET_USD_RETAKES="0")
        retaken = materialized("--retake-rejected")

    assert limited["submitted"] == 0
    assert (unpaid["submitted"], [row["class"] for row in unpaid["skipped_rows"]]) == (0, ["BudgetExceededError"])
    assert (retaken["submitted"], retaken["reused"], retaken["failed"]) == (2, 0, 0)


def test_plan_shows_the_budget_of_takes_without_comparing_it_with_new_videos(tmp_path: Path) -> None:
    path = written(tmp_path, table_of("A kite"))
    arguments = ("plan", path, "--data-dir", tmp_path)

    shown = invoked(*arguments, WAN_ASSETS_BUDGET_USD_RETAKES="0.1")
    (budget,) = json.loads(invoked(*arguments, "--json", WAN_ASSETS_BUDGET_USD_RETAKES="0.1").stdout)["budget"]

    assert "budget: the budget of retakes: $0.1000 of $0.1000 left" in shown.stdout
    assert "budget: none is set (WAN_ASSETS_BUDGET_USD)" in shown.stdout
    assert (budget["budget"], budget["limit_usd"], budget["fits"]) == ("retakes", 0.1, True)
    assert "WAN_ASSETS_BUDGET_USD_RETAKES is 'lots'" in invoked(*arguments, WAN_ASSETS_BUDGET_USD_RETAKES="lots").stderr
