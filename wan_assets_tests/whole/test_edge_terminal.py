"""The command at its edges: signals, dead runs, foreign encodings, narrow terminals and readers that go away."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from cli_support import clean, lines, wan_assets
from patience import PATIENCE_S
from python_process import PythonProcess
from rich.cells import cell_len
from terminal_support import on_terminal

from wan_assets.cli.dagster_home import instance_in
from wan_assets.ledger import Ledger
from wan_assets.ledger.processes import is_surely_dead
from wan_assets.orchestration.runs.run import POOL
from wan_assets.simulator import Behaviour, LocalSimulator

SLOW = {"latency_s": 600.0}
"""Nothing finishes while a test looks."""

LATER: dict[str, Any] = {"latency_s": 0.1, "clock": lambda: time.time() + 1000}
"""All that was submitted before has finished."""


@contextmanager
def started(*arguments: Any, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, which ends with the block at the latest."""
    process = PythonProcess(
        ["-m", "wan_assets", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean(**environment),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE_S)


def ended(process: subprocess.Popen[str]) -> tuple[str, str]:
    return process.communicate(timeout=PATIENCE_S)


def wait_until(is_so: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def submitted(folder: Path) -> int:
    """How many tasks the ledger of a run has booked as submitted."""
    if not (folder / "ledger.db").exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{folder / 'ledger.db'}?mode=ro", uri=True)) as database:
            return int(database.execute("SELECT count(submitted_at) FROM wan_tasks").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def states(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Tasks by state: how many, what they cost and what they reserve, in µ$."""
    asked = "SELECT state, count(*), sum(cost_microusd), sum(reserved_microusd) FROM wan_tasks GROUP BY state"
    with closing(sqlite3.connect(folder / "ledger.db")) as database:
        return {state: numbers for state, *numbers in database.execute(asked)}


def api(simulator: LocalSimulator) -> dict[str, str]:
    return {"RUNWARE_API_KEY": "some-key-1", "RUNWARE_BASE_URL": simulator.base_url}


def prompts(folder: Path, count: int = 6) -> Path:
    return lines(folder, *(f"Clip {number}" for number in range(count)))


def assert_told_as_in(folder: Path, reported: dict[str, Any]) -> None:
    found = states(folder)
    count, reserved = (sum(numbers[at] for numbers in found.values()) for at in (0, 2))
    assert reported["in_flight"] == found.get("submitted", (0, 0, 0))[0]
    assert reported["to_be_stored"] == found.get("delivered", (0, 0, 0))[0]
    assert reported["stored"] == found.get("stored", (0, 0, 0))[0]
    assert reported["submitted"] + reported["unconfirmed"] == count
    assert round(reported["reserved_usd"] * 1_000_000) == reserved


# Signals.


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_a_signal_ends_reports_what_the_ledger_has_and_the_next_one_reports_the_rest(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    out, table = tmp_path / "out", prompts(tmp_path)
    with LocalSimulator(tmp_path / "api", Behaviour(**SLOW)) as simulator:
        command = ("materialize", table, "--data-dir", out, "--json")
        with started(*command, **api(simulator)) as process:
            wait_until(lambda: submitted(out) == 6, process)
            process.send_signal(number)
            said, _ = ended(process)
        first = json.loads(said)
        assert_told_as_in(out, first)
    with LocalSimulator(tmp_path / "api", Behaviour(**LATER)) as simulator:
        second = json.loads(wan_assets(*command, **api(simulator)).stdout)

        charges = simulator.journal.charges()

    assert process.returncode == code
    assert (first["submitted"], first["in_flight"], first["stored"], first["cost_usd"]) == (6, 6, 0, 0.0)
    assert (first["simulated"], first["error"]["code"]) == (True, number.name)
    assert (first["succeeded"], first["failed"], len(first["failures"])) == (0, 6, 6)
    assert (second["succeeded"], second["submitted"], second["in_flight"]) == (6, 0, 0)
    ledger = Ledger(f"sqlite:///{out / 'ledger.db'}").totals().simulated
    assert round((first["cost_usd"] + second["cost_usd"]) * 1e6) == ledger.cost_microusd == 6 * 473_000
    assert len(charges) == 6


def test_people_are_told_after_ctrl_c_what_was_submitted_and_how_to_continue(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with (
        LocalSimulator(tmp_path / "api", Behaviour(**SLOW)) as simulator,
        started("materialize", prompts(tmp_path), "--data-dir", out, **api(simulator)) as process,
    ):
        wait_until(lambda: submitted(out) == 6, process)
        process.send_signal(signal.SIGINT)
        said, warned = ended(process)

    assert process.returncode == 130
    assert "6 submissions, 6 in flight; this run cost $0.0000" in said
    assert "$2.8948 reserved" in said
    assert "run the same command again" in said
    assert f"wan-assets ledger recover --url sqlite:///{out / 'ledger.db'}" in said
    assert "SIGINT received" in warned
    assert "Traceback" not in said + warned


def test_the_second_signal_ends_the_command_at_once_and_it_still_reports(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with (
        LocalSimulator(tmp_path / "api", Behaviour(**SLOW)) as simulator,
        started("materialize", prompts(tmp_path), "--data-dir", out, "--json", **api(simulator)) as process,
    ):
        wait_until(lambda: submitted(out) == 6, process)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        said, _ = ended(process)

    reported = json.loads(said)
    assert process.returncode in (130, 143)
    assert_told_as_in(out, reported)


def test_recovery_that_a_signal_ends_reports_what_is_open(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with LocalSimulator(tmp_path / "api", Behaviour(**SLOW)) as simulator:
        with started("materialize", prompts(tmp_path), "--data-dir", out, **api(simulator)) as process:
            wait_until(lambda: submitted(out) == 6, process)
        url = f"sqlite:///{out / 'ledger.db'}"
        asked = ("ledger", "recover", "--url", url, "--store", out / "videos", "--json")
        with started(*asked, **api(simulator)) as process:
            wait_until(lambda: _is_owned(out), process)
            process.send_signal(signal.SIGTERM)
            said, _ = ended(process)

    reported = json.loads(said)
    assert process.returncode == 143
    assert (reported["in_flight"], reported["reserved_usd"], reported["simulated"], reported["submitted"]) == (
        6,
        2.89476,
        True,
        0,
    )


def _is_owned(folder: Path) -> bool:
    """Whether a process that lives works on all tasks."""
    with closing(sqlite3.connect(folder / "ledger.db")) as database:
        owners = [owner for (owner,) in database.execute("SELECT owner FROM wan_tasks")]
    return all(owner and not is_surely_dead(owner) for owner in owners)


# Runs that cannot start.


@pytest.mark.parametrize(
    ("environment", "name", "code"),
    [
        ({"RUNWARE_API_KEY": "wrong-key-1"}, "AccessDeniedError", 1),
        ({"RUNWARE_API_KEY": "bad key"}, "AccessDeniedError", 1),
        ({"RUNWARE_BASE_URL": "ftp://127.0.0.1/v1"}, "WrongAddressError", 2),
        ({"RUNWARE_BASE_URL": "https://api.example.com/v1", "ALL_PROXY": "socks://127.0.0.1:1"}, "SettingsError", 2),
        ({"WAN_ASSETS_FILES_URL": "ftp://nowhere"}, "SettingsError", 1),
    ],
)
def test_a_wrong_key_address_or_setting_is_told_by_name_and_claims_no_submission(
    environment: dict[str, str], name: str, code: int, tmp_path: Path
) -> None:
    with LocalSimulator(tmp_path / "api", Behaviour(api_key="right-key-1")) as simulator:
        means = {**api(simulator), "RUNWARE_API_KEY": "right-key-1", **environment}
        done = wan_assets("materialize", prompts(tmp_path, 2), "--data-dir", tmp_path / "out", "--json", **means)

    reported = json.loads(done.stdout)
    assert done.returncode == code
    assert {failure["class"] for failure in reported["failures"]} == {name}
    assert (reported["submitted"], reported["in_flight"], reported["cost_usd"], reported["reserved_usd"]) == (
        0,
        0,
        0.0,
        0.0,
    )
    assert all(failure["message"] and failure["hint"] for failure in reported["failures"])
    assert "Dagster" not in json.dumps(reported["failures"])


# Two tables in one folder.


def test_two_first_runs_at_once_in_one_folder_leave_it_whole_and_keep_each_others_partitions(tmp_path: Path) -> None:
    out = tmp_path / "out"
    tables = [tmp_path / "one.csv", tmp_path / "two.csv"]
    for table in tables:
        rows = "".join(f"{table.stem}-{at},Clip {at},480p\n" for at in range(2))
        table.write_text(f"prompt_id,positive_prompt,resolution\n{rows}")
    commands = [("demo", "--prompts", table, "--data-dir", out, "--json") for table in tables]
    with started(*commands[0]) as one, started(*commands[1]) as two:
        reported = [json.loads(ended(process)[0]) for process in (one, two)]

    with instance_in(out / "dagster") as instance:
        present = set(instance.get_dynamic_partitions("videos"))
    assert [one.returncode, two.returncode] == [0, 0]
    assert [found["succeeded"] for found in reported] == [2, 2]
    assert present == {"one-0", "one-1", "two-0", "two-1"}


# Slots in a pool.


def test_a_slot_of_a_killed_run_does_not_keep_the_next_one_waiting(tmp_path: Path) -> None:
    out, table = tmp_path / "out", prompts(tmp_path, 2)
    with instance_in(out / "dagster") as instance:
        instance.event_log_storage.set_concurrency_slots(POOL, 1)
    with (
        LocalSimulator(tmp_path / "api", Behaviour(**SLOW)) as simulator,
        started("materialize", table, "--data-dir", out, **api(simulator)) as process,
    ):
        wait_until(lambda: submitted(out) == 2, process)
        process.kill()
        ended(process)
    with LocalSimulator(tmp_path / "api", Behaviour(**LATER)) as simulator:
        done = wan_assets("materialize", table, "--data-dir", out, **api(simulator))

    assert done.returncode == 0
    assert f"freed the slot of pool {POOL}" in done.stderr


def test_a_run_that_waits_for_a_live_run_says_so_and_heeds_a_signal(tmp_path: Path) -> None:
    out, table = tmp_path / "out", prompts(tmp_path, 2)
    with instance_in(out / "dagster") as instance:
        instance.event_log_storage.set_concurrency_slots(POOL, 1)
    with LocalSimulator(tmp_path / "api", Behaviour(**SLOW)) as simulator:
        command = ("materialize", table, "--data-dir", out)
        with started(*command, **api(simulator)) as first:
            wait_until(lambda: submitted(out) == 2, first)
            with started(*command, "--json", **api(simulator)) as second:
                assert second.stderr
                waiting = second.stderr.readline()
                second.send_signal(signal.SIGTERM)
                said, _ = ended(second)

    reported = json.loads(said)
    assert waiting.startswith(f"waiting for a slot of pool {POOL} (limit 1), held by run ")
    assert f"process {first.pid}" in waiting
    assert (second.returncode, reported["submitted"], reported["error"]["class"]) == (143, 0, "Interrupted")


# A lost task.


def test_a_lost_task_is_named_long_before_its_time_is_over_and_failures_at_once(tmp_path: Path) -> None:
    out = tmp_path / "out"
    faults = {"lost_task": 0.5, "verdict_safety": 0.5}
    with (
        LocalSimulator(tmp_path / "api", Behaviour(latency_s=0.1, faults=faults, seed=3)) as simulator,
        started("materialize", prompts(tmp_path, 12), "--data-dir", out, **api(simulator)) as process,
    ):
        assert process.stderr
        warned = ""
        while not ("does not know task" in warned and "has no video" in warned):
            warned += process.stderr.readline()
        is_running = process.poll() is None
        process.send_signal(signal.SIGINT)
        said, _ = ended(process)

    assert is_running
    assert "it is polled until" in warned
    assert "invalidProviderContent" in warned
    assert "in flight" in said


# Output.


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "cp1252"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["ascii", "cp1252", "C"],
)
def test_a_run_reports_in_any_encoding(environment: dict[str, str], tmp_path: Path) -> None:
    encoding = "cp1252" if environment.get("PYTHONIOENCODING") == "cp1252" else "ascii"
    table = tmp_path / "prompts.csv"
    table.write_text(
        "prompt_id,positive_prompt,resolution\ncafé-日本,Un café à Zürich 🪁 日本,480p\n", encoding="utf-8"
    )
    command = [sys.executable, "-m", "wan_assets", "demo", "--prompts", table, "--data-dir", tmp_path / "out"]
    env = clean(**environment)

    people = subprocess.run(command, env=env, capture_output=True, check=False, timeout=PATIENCE_S)
    programs = subprocess.run([*command, "--json"], env=env, capture_output=True, check=False, timeout=PATIENCE_S)

    assert (people.returncode, programs.returncode) == (0, 0), people.stderr
    assert b"Traceback" not in people.stderr + programs.stderr
    assert "1 of 1 row has its video" in people.stdout.decode(encoding)
    assert json.loads(programs.stdout.decode(encoding))["videos"][0]["prompt_id"] == "café-日本"


def test_a_folder_that_is_no_text_is_refused_before_anything_is_submitted(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("A kite")
    command = [
        sys.executable,
        "-m",
        "wan_assets",
        "demo",
        "--prompts",
        "prompts.txt",
        "--data-dir",
        b"caf\xe9",
        "--json",
    ]

    done = subprocess.run(command, cwd=tmp_path, env=clean(), capture_output=True, check=False, timeout=PATIENCE_S)

    reported = json.loads(done.stdout)
    assert (done.returncode, reported["error"]["class"], reported["submitted"]) == (2, "SettingsError", 0)
    assert b"not valid UTF-8" in done.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("plan", "prompts.txt"), ("plan", "prompts.txt", "--json")])
def test_a_reader_that_goes_away_is_no_failure(arguments: tuple[str, ...], tmp_path: Path) -> None:
    prompts(tmp_path, 200)
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "wan_assets", *arguments]

    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, env=clean(), cwd=tmp_path, check=False)
    os.close(writing)

    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
def test_output_that_cannot_be_written_is_a_failure_in_one_line(tmp_path: Path) -> None:
    prompts(tmp_path)
    command = [sys.executable, "-m", "wan_assets", "plan", "prompts.txt"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, env=clean(), cwd=tmp_path, text=True, check=False
        )

    assert (done.returncode, done.stderr) == (1, "error: cannot write the output: No space left on device\n")


def test_a_narrow_terminal_shows_a_whole_run_without_colours(tmp_path: Path) -> None:
    shown = on_terminal(
        "demo", "--prompts", prompts(tmp_path, 2), "--data-dir", tmp_path / "out",
        columns=40, **clean(NO_COLOR="1", COLUMNS="40"),
    )  # fmt: skip

    table = shown.stdout.partition("rows have their video")[0].splitlines()[:-1]
    assert shown.code == 0
    assert max(map(cell_len, [*table, *shown.lines])) <= 40
    assert "\x1b[1m" not in shown.raw + shown.stdout
    assert "\x1b" not in shown.stdout
