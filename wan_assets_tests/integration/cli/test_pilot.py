"""Pilot runs on the command line, and the prices, budget and duration that `plan` shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from dagster_support import written
from rich.cells import cell_len

from wan_assets.cli import cli
from wan_assets.cli.dagster_home import instance_in

UNSET = dict.fromkeys(
    ("RUNWARE_API_KEY", "WAN_ASSETS_STORE", "WAN_ASSETS_LEDGER", "WAN_ASSETS_BUDGET_USD", "DAGSTER_HOME")
)


def invoked(command: str, folder: Path, *options: Any, **environment: str) -> Result:
    """Runs a command over `prompts.jsonl` in a folder."""
    path = folder / "prompts.jsonl"
    named = ["--prompts", path] if command == "demo" else [path]
    arguments = [command, *named, "--data-dir", folder / "out", *options]
    return CliRunner().invoke(cli, [*map(str, arguments)], env={**UNSET, **environment})


def reported(command: str, folder: Path, *options: Any, **environment: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(invoked(command, folder, *options, "--json", **environment).stdout)
    return found


def table(folder: Path, count: int = 5, **parameters: Any) -> Path:
    """Rows `r0`, `r1`, … of two campaigns."""
    return written(
        folder,
        [
            {
                "prompt_id": f"r{number}",
                "positive_prompt": f"Kite {number}",
                "resolution": "720p",
                "campaign": "spring" if number % 2 else "autumn",
                **parameters,
            }
            for number in range(count)
        ],
    )


@pytest.mark.slow
def test_a_pilot_makes_some_videos_and_the_later_run_pays_for_the_others_only(tmp_path: Path) -> None:
    table(tmp_path, 6)
    first = invoked("demo", tmp_path, "--limit", 1)
    table(tmp_path, 4)

    pilot = reported("demo", tmp_path, "--select", "campaign=spring")
    with instance_in(tmp_path / "out" / "dagster") as instance:
        keys = instance.get_dynamic_partitions("videos")
        tags = instance.get_runs(limit=1)[0].tags
    whole = reported("demo", tmp_path)

    assert "selection (limit 1): 1 of 6 rows, 5 left out\nselected: r0\n" in first.stdout
    assert "1 of 1 row has its video" in first.stdout
    assert (pilot["rows"], pilot["reused"], pilot["submitted"]) == (2, 0, 2)
    assert (pilot["selection"]["prompt_ids"], pilot["selection"]["left_out"]) == (["r1", "r3"], 2)
    assert keys == ["r0", "r1", "r2", "r3", "r4", "r5"]
    assert (tags["wan_assets/selection"], tags["wan_assets/left_out"]) == ("select campaign=spring", "2")
    assert (whole["rows"], whole["reused"], whole["submitted"], whole["selection"]) == (4, 3, 1, None)


def test_plan_prices_the_selected_rows_and_validates_the_others(tmp_path: Path) -> None:
    table(tmp_path)
    (tmp_path / "ids.txt").write_text("r1\n\nr2 \nr4\n")

    whole, sample = reported("plan", tmp_path), reported("plan", tmp_path, "--sample", 2)
    named = reported("plan", tmp_path, "--ids", f"@{tmp_path / 'ids.txt'}", "--ids", "r3", "--limit", 3)
    shown = invoked("plan", tmp_path, "--limit", 2)

    assert whole["selection"] is None
    assert (whole["rows"], whole["valid"], whole["requests"], whole["price_usd"]) == (5, 5, 5, 2.365)
    assert (sample["rows"], sample["valid"], sample["requests"], sample["price_usd"]) == (5, 5, 2, 0.946)
    assert (sample["selection"]["selected"], sample["selection"]["left_out"]) == (2, 3)
    assert named["selection"]["prompt_ids"] == ["r1", "r2", "r3"]
    assert "5 rows, 5 valid, 2 different requests" in shown.stdout
    assert "selection (limit 2): 2 of 5 rows, 3 left out\nselected: r0, r1\n" in shown.stdout
    with (tmp_path / "prompts.jsonl").open("a") as file:
        file.write('{"prompt_id": "r5", "positive_prompt": "A kite", "resolution": "9p"}\n')
    assert invoked("plan", tmp_path, "--limit", 2).exit_code == 1
    assert reported("plan", tmp_path, "--ids", "r5")["problem_count"] == 1


@pytest.mark.parametrize("command", ["plan", "demo", "materialize"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--ids", "r8,r9"), "the prompt_ids r8, r9; did you mean r0 instead of r8?"),
        (("--select", "campain=spring"), "did you mean campaign?"),
        (("--select", "campaign=sprung"), "did you mean spring?"),
        (("--select", "campaign"), "is not of the form COLUMN=VALUE"),
        (("--limit", "0"), "0 is not in the range"),
        (("--limit", "1", "--sample", "1"), "limit and sample are both given"),
        (("--ids", "@none.txt"), "the file cannot be read: No such file or directory"),
        (("--ids", ","), "--ids names no id"),
    ],
)
def test_a_selection_that_cannot_be_meant_ends_the_command_before_anything_is_paid(
    tmp_path: Path, command: str, options: tuple[str, ...], said: str
) -> None:
    table(tmp_path)

    shown = invoked(command, tmp_path, *options)

    assert shown.exit_code == 2
    assert said in " ".join(shown.stderr.split())
    assert not (tmp_path / "out").exists()


def test_plan_shows_prices_by_kind_and_campaign(tmp_path: Path) -> None:
    path = table(tmp_path, 3)
    other = {"positive_prompt": "A boat", "resolution": "1080p", "duration": 10, "number_results": 2}
    with path.open("a") as file:
        file.write(json.dumps({**other, "provider_settings.alibaba.audio": False}) + "\n")

    found, shown = reported("plan", tmp_path), invoked("plan", tmp_path, COLUMNS="80")

    model = {"model": "runware:201@1", "kind": "text-to-video"}
    assert found["kinds"] == [
        {
            **model,
            "resolution": "1080p",
            "duration_s": 10,
            "audio": False,
            "videos": 2,
            "price_usd": 2.952,
            "unpriced_requests": 0,
            "reserved_usd": 3.01104,
        },
        {
            **model,
            "resolution": "720p",
            "duration_s": 5,
            "audio": True,
            "videos": 3,
            "price_usd": 1.419,
            "unpriced_requests": 0,
            "reserved_usd": 1.44738,
        },
    ]
    assert [(line["campaign"], line["videos"], line["price_usd"]) for line in found["campaigns"]] == [
        ("", 2, 2.952),
        ("autumn", 2, 0.946),
        ("spring", 1, 0.473),
    ]
    assert sum(kind["price_usd"] for kind in found["kinds"]) == pytest.approx(found["price_usd"])
    text = " ".join(shown.stdout.split())
    assert "kind resolution length audio videos list price" in text
    assert "text-to-video 1080p 10 s no 2 $2.9520" in text
    assert "(none) 2 $2.9520" in text


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_the_prices_of_plan_fit_the_terminal(tmp_path: Path, columns: int) -> None:
    table(tmp_path, campaign="a-campaign-with-a-name-that-is-longer-than-forty-columns")

    shown = invoked("plan", tmp_path, COLUMNS=str(columns))

    tables = shown.stdout[: shown.stdout.index(str(tmp_path))]
    assert "Prices by campaign" in tables
    assert max(map(cell_len, tables.splitlines())) <= columns


@pytest.mark.slow
def test_plan_states_whether_what_is_new_fits_the_budget_and_how_long_it_takes(tmp_path: Path) -> None:
    table(tmp_path)
    before = reported("plan", tmp_path, WAN_ASSETS_BUDGET_USD="2")
    is_created = (tmp_path / "out").exists()
    invoked("demo", tmp_path, "--limit", 2)

    after = reported("plan", tmp_path, WAN_ASSETS_BUDGET_USD="2.4")
    shown = invoked("plan", tmp_path, WAN_ASSETS_BUDGET_USD="2")

    (total,) = before["budget"]
    assert not is_created
    assert (total["budget"], total["limit_usd"], total["committed_usd"], total["fits"]) == ("total", 2.0, 0.0, False)
    assert total["shortfall_usd"] == pytest.approx(0.4123)
    assert before["expected_duration"]["basis"] == "an assumption: the ledger has no finished task"
    (total,) = after["budget"]
    assert (total["committed_usd"], total["left_usd"], total["fits"]) == (0.946, 1.454, True)
    assert (after["new"]["requests"], after["new"]["price_usd"], after["simulated"]) == (3, 1.419, True)
    expected = after["expected_duration"]
    assert (expected["in_flight"], expected["basis"]) == (50, "the median of the latest 2")
    assert 0 < expected["task_s"] == expected["expected_s"] < 60
    text = shown.stdout
    assert "2 requests have tasks on the simulator already: they cost nothing more\n" in text
    assert "does not fit in the total budget: $1.0540 of $2.0000 left, $0.3934 missing\n" in text
    assert "for each task (the median of the latest 2)\n" in text


@pytest.mark.slow
def test_plan_states_what_a_budget_lacks_that_is_exceeded_already(tmp_path: Path) -> None:
    table(tmp_path)
    invoked("demo", tmp_path, "--limit", 2)

    (total,) = reported("plan", tmp_path, WAN_ASSETS_BUDGET_USD="0.5")["budget"]
    shown = invoked("plan", tmp_path, WAN_ASSETS_BUDGET_USD="0.5")
    raised = str(total["limit_usd"] + total["shortfall_usd"])
    (enough,) = reported("plan", tmp_path, WAN_ASSETS_BUDGET_USD=raised)["budget"]
    per_run = invoked("plan", tmp_path, WAN_ASSETS_BUDGETS='[{"usd": 1, "per": "run"}]')

    assert (total["left_usd"], total["fits"], enough["fits"]) == (0.0, False, True)
    assert "the total budget: $0.9460 of $0.5000 is spent or reserved already, $1.8934 missing\n" in shown.stdout
    assert "does not fit in the budget of each run: $1.0000 of $1.0000 left" in per_run.stdout


def test_plan_counts_in_a_budget_what_the_ledger_would_record(tmp_path: Path) -> None:
    table(tmp_path, x_team=" ads ", page="https://example.com/a", note="x" * 200)

    def needed(**scope: str) -> float:
        limit = json.dumps([{"usd": 0, "per": "total", "scope": scope}])
        (budget,) = reported("plan", tmp_path, WAN_ASSETS_BUDGETS=limit)["budget"]
        return budget["shortfall_usd"]

    assert needed(x_team="ads") > 0
    assert needed(page="*") == needed(note="*") == 0


def test_plan_works_without_a_budget_and_with_a_ledger_that_cannot_be_read(tmp_path: Path) -> None:
    table(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "ledger.db").write_text("no database")

    shown, found = invoked("plan", tmp_path), reported("plan", tmp_path)

    assert shown.exit_code == 0
    assert "the ledger cannot be read: " in shown.stdout
    assert "budget: none is set (WAN_ASSETS_BUDGET_USD)" in shown.stdout
    assert "not a database" in found["ledger_error"]
    assert found["new"]["requests"] == 5
