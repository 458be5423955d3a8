"""`wan-assets ledger budgets`: the table, its numbers, what is planned, and the budgets that the ledger records."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from backfill_support import backfill, videos
from click.testing import CliRunner, Result
from dagster_support import table_of, written
from engine_support import PRICE, request_of
from rich.cells import cell_len

from wan_assets.cli import cli
from wan_assets.cli.dagster_home import instance_in
from wan_assets.ledger import Counter, Ledger, Origin
from wan_assets.settings import sqlite_url
from wan_assets.simulator import Behaviour, LocalSimulator

UNSET = dict.fromkeys(
    (
        *("RUNWARE_API_KEY", "RUNWARE_BASE_URL", "WAN_ASSETS_STORE", "WAN_ASSETS_LEDGER", "WAN_ASSETS_BUDGET_USD"),
        *("WAN_ASSETS_BUDGET_USD_RETAKES", "WAN_ASSETS_BUDGETS", "WAN_ASSETS_TABLE_OPTIONS", "DAGSTER_HOME"),
    )
)
BUDGETS = [
    {"usd": 10, "per": "month", "scope": {"campaign": "fall*"}, "time_zone": "Europe/Berlin"},
    {"usd": 3, "per": "run"},
    {"usd": 5, "per": "week", "scope": {"asset": "videos"}},
]


RUN = """
import sys
from contextlib import suppress
from wan_assets.cli import cli
for arguments in (["set", "5", "--per", "day"], [], ["--backfills"]):
    with suppress(SystemExit):
        cli(["ledger", "budgets", *arguments, "--data-dir", sys.argv[1]], standalone_mode=False)
print("dagster is loaded:", "dagster" in sys.modules)
"""


def budgets(folder: Path, *arguments: Any, **environment: str) -> Result:
    """Runs the command on the ledger of a folder."""
    given = ["ledger", "budgets", *arguments, "--data-dir", folder]
    return CliRunner().invoke(cli, [*map(str, given)], env={**UNSET, **environment})


def reported(folder: Path, *arguments: Any, **environment: str) -> dict[str, Any]:
    result = budgets(folder, *arguments, "--json", **environment)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def bought(folder: Path, *costs: int | None, simulated: bool = False, **origin: Any) -> None:
    """A ledger with tasks of now, which have cost so much."""
    with Ledger(sqlite_url(folder / "ledger.db")) as ledger:
        for number, cost in enumerate(costs):
            known = {"run_id": "run-1", "asset": "videos", "partition": "abcdefgh"[number], **origin}
            request = request_of(f"Kite {number}")
            task = ledger.claim(request, Origin(**known), "me", simulated=simulated).task
            if cost is not None:
                ledger.mark_submitted(task.task_uuid, "run-1")
                ledger.settle(task.task_uuid, [], [cost])


def test_each_budget_has_its_amounts_its_forecast_and_where_it_is_set(tmp_path: Path) -> None:
    bought(tmp_path, 1_000_000, None, tags={"campaign": "fall-1"})
    budgets(tmp_path, "set", 5, "--per", "total")

    found = reported(tmp_path, WAN_ASSETS_BUDGETS=json.dumps(BUDGETS), WAN_ASSETS_BUDGET_USD="50")

    total, runs, month, week = found["budgets"]
    reserved = total["reserved_usd"]
    assert (total["budget"], total["limit_usd"], total["set_in"]) == ("total", 5.0, "ledger")
    assert (total["spent_usd"], total["left_usd"]) == (1.0, pytest.approx(4 - reserved))
    assert total["percent"] == pytest.approx(20 * (1 + reserved), abs=0.1)
    assert total["per_day_usd"] == pytest.approx(1 + reserved)
    assert (total["days_with_tasks"], total["resets_at"]) == (1, None)
    assert total["exhausted_at"] > found["now"]
    assert (runs["budget"], runs["limit_usd"], runs["spent_usd"]) == ("each run", 3.0, None)
    assert (month["scope"], month["time_zone"], month["set_in"]) == (
        {"campaign": "fall*"},
        "Europe/Berlin",
        "configuration",
    )
    assert month["expected_usd"] >= month["spent_usd"] + month["reserved_usd"]
    assert week["resets_at"] > found["now"] > week["begins_at"]
    assert found["month"]["committed_usd"] == pytest.approx(1 + reserved)
    assert (found["plan"], found["open_partitions"], found["account"]) == (None, None, None)
    assert {"spent_usd", "plan_usd", "open_partitions_usd", "account"} <= found["sources"].keys()


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_the_tables_fit_a_terminal_and_are_complete(columns: int, tmp_path: Path) -> None:
    bought(tmp_path, 1_000_000, None, tags={"campaign": "fall-1"})

    shown = budgets(tmp_path, WAN_ASSETS_BUDGETS=json.dumps(BUDGETS), COLUMNS=str(columns)).stdout

    tables, _, notes = shown.partition(" (UTC), all tasks")
    assert all(cell_len(line.rstrip()) <= columns for line in tables.splitlines())
    assert "…" not in shown
    assert all(text in shown for text in ("campaign=fall*", "asset=videos", "each run", "Forecast", "config"))
    assert all(cell_len(line) <= 80 for line in notes.splitlines())


def test_simulated_money_is_shown_only_where_there_is_no_key_and_no_real_money(tmp_path: Path) -> None:
    bought(tmp_path, 1_000_000, simulated=True)
    without_key = reported(tmp_path, WAN_ASSETS_BUDGET_USD="5")
    with_key = reported(tmp_path, WAN_ASSETS_BUDGET_USD="5", RUNWARE_API_KEY="a-key")
    bought(tmp_path, 2_000_000)
    beside = reported(tmp_path, WAN_ASSETS_BUDGET_USD="5")

    spent = [(each["simulated"], each["budgets"][0]["spent_usd"]) for each in (without_key, with_key, beside)]
    assert spent == [(True, 1.0), (False, 0.0), (False, 2.0)]
    assert "simulated dollars: nothing was paid" not in budgets(tmp_path).stdout


def test_without_a_budget_the_command_says_how_to_set_one(tmp_path: Path) -> None:
    bought(tmp_path)
    result = budgets(tmp_path)

    assert result.exit_code == 0
    assert result.stdout.startswith(
        "No budget is set in the environment or in the ledger; `wan-assets ledger budgets set 500 --per month --url "
    )


def test_without_a_ledger_nothing_is_shown_and_nothing_is_created(tmp_path: Path) -> None:
    for arguments in ([], ["set", "5", "--per", "day"], ["unset", "--per", "day"]):
        result = budgets(tmp_path, *arguments)

        assert result.exit_code != 0
    assert list(tmp_path.iterdir()) == []


def test_a_budget_is_set_changed_and_removed_in_the_ledger(tmp_path: Path) -> None:
    bought(tmp_path, 1_000_000, tags={"campaign": "fall"})
    which = ["--per", "month", "--scope", "campaign=fall", "--time-zone", "Europe/Berlin"]
    raised = budgets(tmp_path, "set", 5, *which)
    lowered = budgets(tmp_path, "set", 0.5, *which)
    (found,) = reported(tmp_path)["budgets"]
    removed, again = budgets(tmp_path, "unset", *which), budgets(tmp_path, "unset", *which)

    name = "month (Europe/Berlin) for campaign=fall"
    assert raised.stdout == f"{name}: $5.00 for all processes; $1.00 is spent or reserved, $4.00 is left\n"
    assert "No row that counts in it is submitted until it is raised or unset. It resets at 20" in lowered.stdout
    assert (found["limit_usd"], found["is_exhausted"], found["percent"]) == (0.5, True, 200.0)
    assert (removed.exit_code, again.exit_code) == (0, 1)
    assert f"{name}: removed" in removed.stdout
    assert "the ledger records no such budget" in again.stderr
    with Ledger(sqlite_url(tmp_path / "ledger.db")) as ledger:
        assert ledger.recorded_budgets() == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["set", "5"], "Missing option '--per'"),
        (["set", "--per", "day", "--", "-1"], "usd"),
        (["set", "nan", "--per", "day"], "usd: a budget must be a number of dollars"),
        (["set", "0.0000001", "--per", "day"], "usd: the smallest budget is $0.000001"),
        (["set", "5", "--per", "year"], "'year' is not one of"),
        (["set", "5", "--per", "day", "--time-zone", "Berlin"], "'Berlin' is not a time zone"),
        (["set", "5", "--per", "day", "--scope", "campaign"], "write a condition as name=value, not 'campaign'"),
        (["set", "5", "--per", "day", "--scope", "a=1, b"], "write a condition as name=value, not 'b'"),
        (["set", "5", "--per", "day", "--scope", ""], "an empty scope would limit everything"),
        (["set", "5", "--per", "day", "--scope", "a=1", "--scope", " , "], "an empty scope would limit everything"),
        (["set", "5", "--per", "day", "--scope", "a="], "each condition needs a name and a value"),
        (["set", "5", "--per", "day", "--scope", "a=1", "--scope", "a=2"], "a is named twice"),
    ],
)
def test_a_wrong_budget_is_refused_and_nothing_is_recorded(arguments: list[str], message: str, tmp_path: Path) -> None:
    bought(tmp_path)
    result = CliRunner().invoke(cli, ["ledger", "budgets", *arguments], env={**UNSET, "COLUMNS": "200"})

    assert result.exit_code == 2
    assert message in result.stderr
    assert "Value error" not in result.stderr


@pytest.mark.parametrize(
    "scope",
    [
        ["--scope", "campaign=fall, x_team=ads"],
        ["--scope", "x_team=ads", "--scope", "campaign=fall"],
        ["--scope", "x_team=ads,", "--scope", " campaign = fall "],
    ],
)
def test_a_scope_with_several_conditions_is_written_as_in_the_environment(scope: list[str], tmp_path: Path) -> None:
    bought(tmp_path)
    budgets(tmp_path, "set", 1, "--per", "day", *scope)
    with Ledger(sqlite_url(tmp_path / "ledger.db")) as ledger:
        recorded = dict(ledger.recorded_budgets())
    removed = budgets(tmp_path, "unset", "--per", "day", *scope)

    assert recorded == {Counter("day", (("campaign", "fall"), ("x_team", "ads"))): 1_000_000}
    assert removed.exit_code == 0


WRONG = [
    {"WAN_ASSETS_BUDGETS": '[{"usd": 1, "per": "weak"}]'},
    {"WAN_ASSETS_BUDGET_USD": "lots"},
    {"WAN_ASSETS_BUDGET_USD_RETAKES": "-1"},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
@pytest.mark.parametrize(
    "arguments",
    [
        ["pause"],
        ["resume"],
        [],
        ["recover"],
        ["trace", "a"],
        ["chargeback", "--month", "2026-11", "--tag", "team"],
        ["budgets", "unset", "--per", "day"],
    ],
    ids=str,
)
def test_a_wrong_budget_does_not_stop_commands_that_need_none(
    arguments: list[str], wrong: dict[str, str], tmp_path: Path
) -> None:
    bought(tmp_path)
    given = ["ledger", *arguments, "--data-dir", str(tmp_path)]
    result = CliRunner().invoke(cli, given, env={**UNSET, **wrong})

    assert result.exit_code in (0, 1), result.stderr
    assert "WAN_ASSETS_BUDGET" not in result.stderr
    with Ledger(sqlite_url(tmp_path / "ledger.db")) as ledger:
        assert ledger.paused() == ("by hand" if arguments == ["pause"] else None)


@pytest.mark.parametrize("wrong", WRONG, ids=str)
@pytest.mark.parametrize(
    "arguments",
    [
        ["materialize", "prompts.csv"],
        ["plan", "prompts.csv"],
        ["probe", "--pay"],
        ["ledger", "budgets"],
        ["ledger", "budgets", "set", "1", "--per", "day"],
    ],
    ids=str,
)
def test_a_wrong_budget_stops_commands_that_spend_or_show_budgets(
    arguments: list[str], wrong: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wan_assets_data").mkdir()
    bought(tmp_path / "wan_assets_data")
    written(tmp_path, table_of("A kite"))
    result = CliRunner().invoke(cli, arguments, env={**UNSET, **wrong})

    assert result.exit_code == 2
    assert next(iter(wrong)) in result.stderr


def test_the_ledger_of_a_group_is_that_of_its_commands(tmp_path: Path) -> None:
    bought(tmp_path)
    url = sqlite_url(tmp_path / "ledger.db")
    for arguments in (["--url", url, "budgets", "set"], ["budgets", "--url", url, "set"]):
        result = CliRunner().invoke(cli, ["ledger", *arguments, "7", "--per", "day"], env=UNSET)

        assert result.exit_code == 0
    with Ledger(url) as ledger:
        assert ledger.recorded_budgets() == {Counter("day"): 7_000_000}


def test_a_table_is_added_to_each_budget_that_it_tells_about(tmp_path: Path) -> None:
    bought(tmp_path, simulated=True)
    table = written(tmp_path, table_of("Kite", "Boat", campaign="fall-1", resolution="720p"))
    given = {"WAN_ASSETS_BUDGETS": json.dumps(BUDGETS), "WAN_ASSETS_BUDGET_USD": "0.9"}

    found, result = reported(tmp_path, "--plan", table, **given), budgets(tmp_path, "--plan", table, **given)

    needed = {each["budget"].partition(" ")[0]: each["plan_usd"] for each in found["budgets"]}
    assert needed["total"] == needed["each"] == needed["month"] == pytest.approx(2 * PRICE / 1e6, rel=0.05)
    assert needed["week"] is None
    assert (found["plan"]["fits"], result.exit_code) == (False, 1)
    assert "does not fit in all budgets" in result.stdout
    assert budgets(tmp_path, "--plan", table, WAN_ASSETS_BUDGET_USD="3").exit_code == 0


def test_a_table_with_problems_is_told_as_such(tmp_path: Path) -> None:
    bought(tmp_path, simulated=True)
    result = budgets(tmp_path, "--plan", written(tmp_path, table_of("Kite", duration=77)))

    assert result.exit_code == 1
    assert "1 problem" in result.stdout


def test_a_table_cannot_be_added_to_real_money_without_a_key(tmp_path: Path) -> None:
    bought(tmp_path, 1_000_000)
    result = budgets(tmp_path, "--plan", written(tmp_path, table_of("Kite")))

    assert result.exit_code == 2
    assert "RUNWARE_API_KEY is not set" in result.stderr


@pytest.mark.slow
def test_the_accounts_own_projection_is_shown_for_comparison(tmp_path: Path) -> None:
    bought(tmp_path)
    with LocalSimulator(tmp_path / "account", Behaviour()) as simulator:
        key = {"RUNWARE_API_KEY": "a-key", "RUNWARE_BASE_URL": simulator.base_url}
        found, shown = reported(tmp_path, "--account", **key), budgets(tmp_path, "--account", **key).stdout

    account = found["account"]
    assert (account["simulated"], account["spend_usd"], account["projected_usd"]) == (True, 0.0, 0.0)
    assert account["first"] <= account["last"] == found["now"][:10]
    assert "$0.00 by its own projection (projectedSpend)" in shown


@pytest.mark.slow
def test_open_backfills_are_added_if_there_is_a_dagster_home(tmp_path: Path) -> None:
    bought(tmp_path, 1_000_000, 2_000_000)
    before = reported(tmp_path, "--backfills", WAN_ASSETS_BUDGET_USD="50")
    is_created = (tmp_path / "dagster").exists()
    with instance_in(tmp_path / "dagster") as instance:
        backfill(instance, "bcd", videos)

    found = reported(tmp_path, "--backfills", WAN_ASSETS_BUDGET_USD="50")

    assert (before["open_partitions"], before["budgets"][0]["open_partitions_usd"], is_created) == ([], 0.0, False)
    assert found["open_partitions"] == [{"asset": "videos", "partitions": 3, "partitions_made": 1}]
    assert found["budgets"][0]["open_partitions_usd"] == 2.0
    assert "open partitions of videos: 3; the mean of 1 partition" in budgets(tmp_path, "--backfills").stdout


@pytest.mark.slow
def test_dagster_is_loaded_only_for_backfills_of_a_dagster_home(tmp_path: Path) -> None:
    bought(tmp_path, 1_000_000)
    command = [sys.executable, "-c", RUN, str(tmp_path)]  # not forked from a process that has loaded it
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert shown.splitlines()[-1] == "dagster is loaded: False"
