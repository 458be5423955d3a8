"""The confirmation of `materialize`: it asks only if an account may be charged and no budget is set."""

from __future__ import annotations

import json
import os
import pty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from dagster_support import table_of, written

from wan_assets.cli import cli
from wan_assets.cli.confirmation import confirm_price
from wan_assets.engine import Limits
from wan_assets.errors import NotConfirmedError
from wan_assets.ledger import DecisionValue, Ledger, NewDecision, Origin, VideoKey
from wan_assets.prompts import PromptTable
from wan_assets.settings import settings_from
from wan_assets.simulator import Behaviour, LocalSimulator

UNSET = dict.fromkeys(("WAN_ASSETS_STORE", "WAN_ASSETS_LEDGER", "WAN_ASSETS_BUDGET_USD", "DAGSTER_HOME"))
QUESTION = "Pay up to $0.9649 for 2 videos? [y/N]"


@contextmanager
def account(folder: Path) -> Iterator[dict[str, str]]:
    """An API whose address is not loopback, like that of a real API, but leads to a simulator, which refuses all."""
    with LocalSimulator(folder / "simulator", Behaviour(latency_s=0.1, faults={"verdict_safety": 1.0})) as simulator:
        url = simulator.base_url.replace("127.0.0.1", "0.0.0.0")
        yield {"RUNWARE_API_KEY": "a-key", "RUNWARE_BASE_URL": url}


def materialized(folder: Path, *options: str, typed: str | None = None, **environment: str | None) -> Result:
    """Runs the command over two rows, with a terminal as its input if something is `typed`."""
    path = written(folder, table_of("A kite", "A boat", resolution="720p"))
    arguments = ["materialize", str(path), "--data-dir", str(folder / "out"), *options]
    if typed is None:
        return CliRunner().invoke(cli, arguments, env={**UNSET, **environment})
    screen, keyboard = pty.openpty()
    with os.fdopen(keyboard, "rb", 0) as terminal, os.fdopen(screen, "wb", 0) as keys:
        keys.write(typed.encode())
        return CliRunner().invoke(cli, arguments, input=terminal, env={**UNSET, **environment})


@pytest.mark.slow
def test_a_run_that_may_charge_an_account_is_confirmed_before_anything_is_submitted(tmp_path: Path) -> None:
    with account(tmp_path) as environment:
        refused = materialized(tmp_path, "--json", **environment)
        declined = materialized(tmp_path, typed="n\n", **environment)
        ended = materialized(tmp_path, typed="\x04", **environment)
        before = (tmp_path / "out").exists()
        agreed = materialized(tmp_path, "--json", typed="y\n", **environment)

    error = json.loads(refused.stdout)["error"]
    assert [found.exit_code for found in (refused, declined, ended)] == [2, 2, 2]
    assert error["class"] == "NotConfirmedError"
    assert "--yes" in error["hint"]
    assert "WAN_ASSETS_BUDGET_USD" in error["hint"]
    assert "2 videos may cost up to $0.9649" in refused.stderr
    assert QUESTION in declined.stderr
    assert QUESTION not in refused.stderr
    assert not before
    assert QUESTION in agreed.stderr
    assert json.loads(agreed.stdout)["submitted"] == 2


@pytest.mark.slow
def test_a_run_does_not_ask_with_yes_or_with_a_budget_or_if_nothing_is_to_be_paid(tmp_path: Path) -> None:
    with account(tmp_path) as environment:
        confirmed = materialized(tmp_path, "--yes", "--limit", "1", "--json", **environment)
        budgeted = materialized(tmp_path, "--json", **environment, WAN_ASSETS_BUDGET_USD="0")

    assert json.loads(confirmed.stdout)["submitted"] == 1
    reported = json.loads(budgeted.stdout)
    assert {failure["class"] for failure in reported["failures"]} <= {"ContentBlockedError"}
    assert {row["class"] for row in reported["skipped_rows"]} <= {"BudgetExceededError"}
    assert "Pay up to" not in confirmed.stderr + budgeted.stderr


def test_further_takes_are_confirmed_too(tmp_path: Path) -> None:
    settings = settings_from({"RUNWARE_API_KEY": "a-key"}, tmp_path)
    rows = PromptTable.load(written(tmp_path, table_of("A kite", "A boat"))).rows
    with Ledger(settings.ledger) as ledger:
        for row in rows:
            task = ledger.claim(row.request, Origin("run-1", "videos", row.prompt_id), "me", simulated=False).task
            ledger.mark_submitted(task.task_uuid)
            ledger.settle(task.task_uuid, [{"sha256": "0" * 64}], [473_000])
            ledger.mark_stored(task.task_uuid, [{"sha256": "0" * 64}])
        video = VideoKey(rows[0].fingerprint, "0" * 64)
        ledger.decide([NewDecision(video, DecisionValue.REJECTED, "ada")])

        confirm_price(rows, settings, is_confirmed=False, limits=Limits())
        with pytest.raises(NotConfirmedError, match="1 video may cost up to"):
            confirm_price(rows, settings, is_confirmed=False, limits=Limits(retake_rejected=True))
        ledger.decide([NewDecision(video, DecisionValue.RETAKE, "ada")])
        with pytest.raises(NotConfirmedError, match="1 video may cost up to"):
            confirm_price(rows, settings, is_confirmed=False, limits=Limits())
        confirm_price(rows, settings, is_confirmed=False, limits=Limits(max_takes=1))


@pytest.mark.parametrize(
    ("key", "url", "is_charged"),
    [
        ("", "https://api.runware.ai/v1", False),
        ("a-key", "https://api.runware.ai/v1", True),
        ("a-key", "http://127.0.0.1:8300/v1", False),
        ("a-key", "http://localhost:8300/v1", False),
        ("a-key", "http://[::1]:8300/v1", False),
        ("a-key", "http://127.0.0.1.example.com/v1", True),
        ("a-key", "http://user@127.0.0.1:80@example.com/v1", True),
        ("a-key", "http://[broken/v1", True),
        ("a-key", "", True),
    ],
)
def test_a_run_charges_an_account_with_a_key_and_an_address_on_another_machine(
    key: str, url: str, *, is_charged: bool
) -> None:
    settings = settings_from({"RUNWARE_API_KEY": key, "RUNWARE_BASE_URL": url})

    assert settings.is_charged is is_charged
