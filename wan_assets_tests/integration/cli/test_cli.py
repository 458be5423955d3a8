"""What the command says of tables, books and mistakes."""

import contextlib
import json
import subprocess
import sys

import dagster as dg
import pytest
from cli_support import clean, lines
from click.testing import CliRunner

from wan_assets.cli import cli
from wan_assets.cli.dagster_home import instance_in

UNSET = dict.fromkeys(("RUNWARE_API_KEY", "WAN_ASSETS_STORE", "WAN_ASSETS_LEDGER", "WAN_ASSETS_BUDGET_USD"))


def test_plan_prices_a_table_and_sends_nothing(tmp_path):
    result = CliRunner().invoke(cli, ["plan", str(lines(tmp_path, "A kite", "A boat")), "--json"])

    reported = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (reported["rows"], reported["valid"], reported["price_usd"], reported["problems"]) == (2, 2, 0.946, [])


def test_plan_names_every_problem_of_every_row(tmp_path):
    path = tmp_path / "prompts.csv"
    path.write_text("positive_prompt,width,height,resolution,duration,seed\nA,1280,,,7,-1\n,1280,720,720p,5,\n")

    result = CliRunner().invoke(cli, ["plan", str(path), "--json"])

    reported = json.loads(result.stdout)
    found = {(problem["row"], problem["column"]) for problem in reported["problems"]}
    assert result.exit_code == 1
    assert found == {(1, "height"), (1, "duration"), (1, "seed"), (2, "positive_prompt"), (2, "resolution")}
    assert all(problem["rule"] and problem["fix"] for problem in reported["problems"])


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (["plan", "none.csv"], {}, "none.csv"),
        (["plan", "empty.csv"], {}, "empty.csv"),
        (["plan", "latin.csv"], {}, "UTF-8"),
        (["plan", "."], {}, "latin.csv"),
        (["demo", "--prompts", "none.csv"], {}, "none.csv"),
        (["demo", "--prompts", "prompts.txt", "--data-dir", "blocked"], {}, "blocked"),
        (["materialize", "prompts.txt"], {"WAN_ASSETS_STORE": "blocked"}, "store"),
        (["materialize", "prompts.txt"], {"WAN_ASSETS_LEDGER": "sqlite:///prompts.txt"}, "not a database"),
        (["materialize", "prompts.txt"], {"WAN_ASSETS_BUDGET_USD": "lots"}, "WAN_ASSETS_BUDGET_USD"),
        (["materialize", "problems.csv", "--data-dir", "out"], {}, "duration"),
        (["ledger", "--url", "sqlite:///none.db"], {}, "none.db"),
        (["simulator", "--port", "1", "--state", "state", "--fault", "rate_limt=1"], {}, "rate_limit"),
    ],
)
def test_what_a_person_can_mend_is_told_before_anything_starts(tmp_path, arguments, environment, words):
    lines(tmp_path, "A kite " * 20)
    (tmp_path / "blocked").write_text("a file where a folder should be")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "latin.csv").write_bytes("positive_prompt\ncaf\xe9\n".encode("latin-1"))
    (tmp_path / "problems.csv").write_text("positive_prompt,duration\nA,7\n")

    with contextlib.chdir(tmp_path):
        result = CliRunner().invoke(cli, arguments, env={**UNSET, **environment})

    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert "what to do" in result.stderr
    assert not (tmp_path / "wan_assets_data" / "simulator").exists()


@pytest.mark.slow
def test_a_run_has_a_target_and_a_code_location_for_dagster_s_pages(tmp_path):
    made = ["demo", "--prompts", str(lines(tmp_path, "A kite")), "--data-dir", str(tmp_path / "out"), "--json"]
    reported = json.loads(CliRunner().invoke(cli, made, env=UNSET).stdout)

    with instance_in(tmp_path / "out" / "dagster") as instance:
        run = instance.get_run_by_id(reported["run_id"])
        (event,) = instance.fetch_materializations(dg.AssetKey("videos_prompts"), limit=10).records

        assert run.status is dg.DagsterRunStatus.SUCCESS
        assert run.asset_selection == {dg.AssetKey("videos"), dg.AssetKey("videos_prompts")}
        assert run.remote_job_origin.repository_origin.get_label() == "__repository__@wan_assets.definitions"
        assert len(instance.get_materialized_partitions(dg.AssetKey("videos_requests"))) == 1
        assert event.asset_materialization.metadata["wan_assets/source"].value == str(tmp_path / "prompts.txt")


@pytest.mark.slow
def test_ledger_tells_what_was_spent_by_state_day_and_partition(tmp_path):
    made = ["demo", "--prompts", str(lines(tmp_path, "A kite", "A boat")), "--data-dir", str(tmp_path / "out")]
    CliRunner().invoke(cli, made, env=UNSET)

    url = f"sqlite:///{tmp_path / 'out' / 'ledger.db'}"
    asked = ["ledger", "--url", url, "--by", "state", "--by", "partition", "--json"]

    reported = json.loads(CliRunner().invoke(cli, asked).stdout)

    assert reported["real"]["tasks"] == 0
    assert (reported["simulated"]["tasks"], reported["simulated"]["cost_usd"]) == (2, 0.946)
    assert [line["key"] for line in reported["by"]["state"]] == ["stored"]
    assert [line["cost_usd"] for line in reported["by"]["partition"]] == [0.473, 0.473]
    assert reported["open"] == reported["unknown_cost"] == []


@pytest.mark.slow
def test_what_needs_no_dagster_starts_without_it():
    commands = ["plan", "ledger", "export", "gallery", "webhook", "simulator"]
    script = (
        "import sys; from wan_assets.cli import cli\n"
        f"for command in {commands}:\n"
        "    cli.get_command(None, command)\n"
        "    print(command, 'dagster' in sys.modules)"
    )

    result = subprocess.run([sys.executable, "-c", script], check=True, env=clean(), stdout=subprocess.PIPE, text=True)

    assert result.stdout.splitlines() == [f"{command} False" for command in commands]


def test_plan_tells_rule_and_fix_whole_in_a_narrow_terminal(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    table = tmp_path / "prompts.csv"
    table.write_text("prompt_id,positive_prompt,resolution\nboat,A blue boat,480\n")

    said = CliRunner().invoke(cli, ["plan", str(table)]).output

    assert said.splitlines()[0].rstrip() == "1 problem"
    assert "…" not in said
    assert all(said.count(f"'{resolution}'") == 2 for resolution in ("480p", "720p", "1080p"))
