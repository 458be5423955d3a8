"""How far long work is, as a terminal shows it."""

import re
import time
from pathlib import Path

import pytest
from cli_support import clean, lines, wan_assets
from engine_support import KEY
from rich.cells import cell_len
from terminal_support import Shown, on_terminal

from wan_assets.simulator import Behaviour, LocalSimulator

SLOW = {"latency_s": 2.5}
"""Longer than the engine's beat, so that it is told of tasks while they are in flight."""

LATE = re.compile(r"\[0:00:[1-5]\d\] videos \d of \d done: ")
"""A line after ten seconds, which even a short run takes on a slow machine."""


def materialized_on(columns: int, folder: Path, **environment: str) -> Shown:
    """Three slow videos, made under a cap with a terminal that watches."""
    table = lines(folder, "A kite", "A boat", "A pier")
    with LocalSimulator(folder / "api", Behaviour(**SLOW)) as simulator:
        means = {"RUNWARE_API_KEY": KEY, "RUNWARE_BASE_URL": simulator.base_url, "WAN_ASSETS_BUDGET_USD": "2"}
        reported = clean(**means, **{"TERM": "xterm-256color", **environment})
        return on_terminal("materialize", table, "--data-dir", folder / "out", columns=columns, **reported)


@pytest.mark.parametrize("columns", [80, 60])
def test_a_terminal_shows_counts_and_money_move_while_the_run_works(tmp_path: Path, columns: int) -> None:
    shown = materialized_on(columns, tmp_path)

    assert shown.code == 0
    assert "0 new, 0 reused, 0 failed, 3 in flight" in shown.lines
    assert any(line.startswith("spent $0.0000, reserved $1.4474, budget left $0.5526") for line in shown.lines)
    bar, counts, money, *_ = shown.lines[-4 if columns == 60 else -3 :]
    assert (bar.split()[0], bar.split()[2]) == ("videos", "3/3")
    assert counts == "3 new, 0 reused, 0 failed, 0 in flight"
    assert money.startswith("spent $1.4190, reserved $0.0000, budget left $0.5810")
    assert "simulated dollars" in shown.lines[-1]
    assert max(map(cell_len, shown.lines)) <= columns
    assert "\x1b" not in shown.stdout


def test_the_bar_is_not_in_the_log_of_the_step_and_the_cursor_is_there_again(tmp_path: Path) -> None:
    shown = materialized_on(80, tmp_path)

    logs = list((tmp_path / "out").rglob("compute_logs/*.err"))
    assert [log.read_text() for log in logs] == [""]
    assert shown.raw.rindex("\x1b[?25h") > shown.raw.rindex("\x1b[?25l")


def test_a_terminal_that_can_do_nothing_gets_no_bar(tmp_path: Path) -> None:
    reported = materialized_on(80, tmp_path, TERM="dumb").raw

    assert all(map(LATE.match, reported.splitlines()))


def test_a_plan_leaves_its_result_alone_on_the_terminal(tmp_path: Path) -> None:
    shown = on_terminal("plan", lines(tmp_path, "A kite", "A boat"), columns=60, **clean())

    assert any(line.split()[0] == "rows" and " 2 " in line for line in shown.lines)
    assert shown.raw.rstrip().endswith("\x1b[2K")
    assert "2 rows, 2 valid" in shown.stdout


def test_a_run_without_a_terminal_says_nothing_on_standard_error_for_ten_seconds(tmp_path: Path) -> None:
    began = time.monotonic()
    result = wan_assets("demo", "--prompts", lines(tmp_path, "A kite"), "--data-dir", tmp_path / "out", FORCE_COLOR="1")
    took_s = time.monotonic() - began

    reported = result.stderr.splitlines()
    assert result.returncode == 0
    assert len(reported) <= took_s // 10
    assert all(map(LATE.match, reported))
