"""The command as people run it, from its start to its end, or to a signal's."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from cli_support import clean, lines, wan_assets
from patience import PATIENCE_S
from ports import free_port

from wan_assets.ledger import Ledger
from wan_assets.simulator import Behaviour, Journal, LocalSimulator
from wan_assets.video import properties_of


def test_the_demo_leaves_verified_videos_of_every_kind_and_costs_nothing_the_second_time(tmp_path):
    first = wan_assets("demo", "--data-dir", tmp_path / "out")
    second = wan_assets("demo", "--data-dir", tmp_path / "out")

    assert first.returncode == 0, first.stderr
    assert "10 of 10 rows have their video" in first.stdout
    assert "dagster dev" in first.stdout
    videos = [path for path in (tmp_path / "out" / "videos").rglob("*") if path.suffix in (".mp4", ".mov", ".webm")]
    facts = [properties_of(path) for path in videos]
    assert len(facts) == 11
    assert {fact.container for fact in facts} == {"MP4", "MOV", "WEBM"}
    assert {round(fact.duration_s) for fact in facts} == {5, 10}
    assert {fact.has_audio for fact in facts} == {True, False}
    assert len({(fact.width, fact.height) for fact in facts}) >= 5
    assert second.returncode == 0
    assert "No submissions; this run cost $0.0000" in second.stdout
    assert Journal(tmp_path / "out" / "simulator").submissions() == 10


def test_materialize_speaks_to_the_api_of_the_environment_and_tells_programs_all(tmp_path):
    table = lines(tmp_path, "A kite", "A boat", "A kite")
    with LocalSimulator(tmp_path / "api", Behaviour(latency_s=0.1, api_key="right-key-1")) as simulator:
        environment = {"RUNWARE_API_KEY": "right-key-1", "RUNWARE_BASE_URL": simulator.base_url}

        result = wan_assets("materialize", table, "--data-dir", tmp_path / "out", "--json", **environment)

        assert len(simulator.journal.charges()) == 2
    reported = json.loads(result.stdout)
    assert result.returncode == 0
    assert (reported["rows"], reported["succeeded"], reported["failed"], reported["submitted"]) == (3, 3, 0, 2)
    assert (reported["reused"], reported["cost_usd"], reported["unknown_cost_count"], reported["failures"]) == (
        1,
        0.946,
        0,
        [],
    )


def test_materialize_with_a_refused_row_ends_with_status_1_and_says_why(tmp_path):
    table = lines(tmp_path, *(f"Clip {number}" for number in range(12)))
    with LocalSimulator(tmp_path / "api", Behaviour(latency_s=0.1, faults={"verdict_safety": 0.4})) as simulator:
        environment = {"RUNWARE_API_KEY": "some-key-1", "RUNWARE_BASE_URL": simulator.base_url}

        result = wan_assets("materialize", table, "--data-dir", tmp_path / "out", "--json", **environment)

    reported = json.loads(result.stdout)
    assert result.returncode == 1
    assert reported["failed"] == len(reported["failures"]) == 12 - reported["succeeded"] > 0
    assert {failure["class"] for failure in reported["failures"]} == {"ContentBlockedError"}
    assert {failure["code"] for failure in reported["failures"]} == {"invalidProviderContent"}
    assert all(failure["prompt_id"] and failure["hint"] for failure in reported["failures"])


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [({"api_key": "another-key"}, "invalidApiKey"), ({"balance_usd": 0.1}, "insufficientCredits")],
)
def test_a_wrong_key_and_an_empty_account_are_told_without_a_traceback(tmp_path, behaviour, code):
    table = lines(tmp_path, "A kite", "A boat")
    with LocalSimulator(tmp_path / "api", Behaviour(latency_s=0.1, **behaviour)) as simulator:
        environment = {"RUNWARE_API_KEY": "secret-key-42", "RUNWARE_BASE_URL": simulator.base_url}

        result = wan_assets("materialize", table, "--data-dir", tmp_path / "out", **environment)

        assert simulator.journal.charges() == []
    assert result.returncode == 1
    assert code in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
    held = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and b"secret-key-42" in path.read_bytes()]
    assert held == []
    assert "secret-key-42" not in result.stdout + result.stderr
    assert Ledger(f"sqlite:///{tmp_path / 'out' / 'ledger.db'}").totals().simulated.reserved_microusd == 0


def test_a_killed_run_is_finished_by_the_next_without_a_second_payment(tmp_path):
    table = lines(tmp_path, *(f"Clip {number}" for number in range(24)))
    command = [sys.executable, "-m", "wan_assets", "demo", "--prompts", table, "--data-dir", tmp_path / "out"]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=clean())
    wait_for_charges(tmp_path / "out" / "simulator" / "simulator.db", 8, first)
    first.send_signal(signal.SIGKILL)
    first.wait()

    result = wan_assets("demo", "--prompts", table, "--data-dir", tmp_path / "out", "--json")

    assert json.loads(result.stdout)["succeeded"] == 24
    charges = Journal(tmp_path / "out" / "simulator").charges()
    assert len(charges) == len({charge.fingerprint for charge in charges}) == 24


def test_an_interrupted_run_stops_sending_at_once_and_is_finished_by_the_next(tmp_path):
    table = lines(tmp_path, *(f"Clip {number}" for number in range(60)))
    command = [sys.executable, "-m", "wan_assets", "demo", "--prompts", table, "--data-dir", tmp_path / "out"]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=clean())
    wait_for_charges(tmp_path / "out" / "simulator" / "simulator.db", 10, first)
    first.send_signal(signal.SIGINT)
    said, _ = first.communicate(timeout=PATIENCE_S)
    journal = Journal(tmp_path / "out" / "simulator")
    sent = journal.submissions()

    result = wan_assets("demo", "--prompts", table, "--data-dir", tmp_path / "out", "--json")

    assert "Traceback" not in said
    assert sent < 60
    assert first.returncode != 0
    assert json.loads(result.stdout)["succeeded"] == 60
    assert len(journal.charges()) == 60


def wait_for_charges(journal: Path, count: int, process: subprocess.Popen) -> None:
    """Looks into the simulator's books until so many tasks are charged."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        if journal.exists():
            with suppress(sqlite3.OperationalError), sqlite3.connect(f"file:{journal}?mode=ro", uri=True) as db:
                if db.execute("SELECT count(*) FROM charges").fetchone()[0] >= count:
                    return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
    raise AssertionError(f"{count} charges were not seen")


def test_dollars_of_a_simulator_behind_an_address_are_said_to_be_simulated(tmp_path):
    table = lines(tmp_path, "A kite")
    with LocalSimulator(tmp_path / "api", Behaviour(latency_s=0.1)) as simulator:
        environment = {"RUNWARE_API_KEY": "any-key", "RUNWARE_BASE_URL": simulator.base_url}

        result = wan_assets("materialize", table, "--data-dir", tmp_path / "out", **environment)

    assert "(simulated dollars: nothing was charged)" in result.stdout


def test_rows_of_a_run_that_finds_nobody_at_the_address_are_told_why(tmp_path):
    table = lines(tmp_path, "A kite", "A boat")
    environment = {"RUNWARE_API_KEY": "any-key", "RUNWARE_BASE_URL": f"http://127.0.0.1:{free_port()}/v1"}

    result = wan_assets("materialize", table, "--data-dir", tmp_path / "out", **environment)

    assert result.returncode == 1
    assert "2 failed: RunwareBusyError [connection]" in result.stdout
    assert "Cannot connect to host 127.0.0.1" in result.stdout
    assert "Run again later" in result.stdout


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_a_package_that_is_missing_is_named_before_anything_is_sent(scheme: str, tmp_path: Path) -> None:
    package = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}[scheme]
    without = f"import sys; sys.modules[{package!r}] = None; from wan_assets.cli import main; main()"
    (tmp_path / "prompts.txt").write_text("A red kite\n")
    environment = {**os.environ, "WAN_ASSETS_STORE": f"{scheme}://videos/wan"}

    command = [sys.executable, "-c", without, "materialize", "prompts.txt"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert f"cannot open the store {scheme}://videos/wan: it needs `pip install 'wan-assets[{scheme}]'`" in done.stderr
    assert "Traceback" not in done.stderr
