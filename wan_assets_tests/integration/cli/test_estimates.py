"""What `plan` shows of prices, margins and unknowns, and how a run reports what was charged otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from dagster_support import written
from engine_support import request_of
from rich.cells import cell_len
from test_pilot import UNSET, invoked, reported, table

from wan_assets.cli import cli
from wan_assets.ledger import Ledger, Origin

PICTURE = "https://example.com/hill.png"
ROWS = [
    {"prompt_id": "listed", "positive_prompt": "Kite", "resolution": "720p"},
    {"prompt_id": "unlisted", "positive_prompt": "Kite", "resolution": "480p"},
    {"prompt_id": "image", "positive_prompt": "Kite", "resolution": "720p", "inputs.frame_images": PICTURE},
    {
        "prompt_id": "auto",
        "positive_prompt": "Kite",
        "model": "wan3.0",
        "duration": "auto",
        "width": 832,
        "height": 480,
    },
    {"prompt_id": "open", "positive_prompt": "Kite", "model": "wan2.6", "inputs.frame_images": PICTURE},
    {
        "prompt_id": "reference",
        "positive_prompt": "Kite",
        "model": "wan2.7",
        "width": 1280,
        "height": 720,
        "inputs.reference_videos": "https://example.com/a.mp4",
    },
]
REAL = {"RUNWARE_API_KEY": "a-key"}


def paid(folder: Path, *costs: int | None, simulated: bool = False, **parameters: Any) -> None:
    """Tasks of 720p without sound that were charged; None where the cost is not known."""
    (folder / "out").mkdir(exist_ok=True)
    with Ledger(f"sqlite:///{folder / 'out' / 'ledger.db'}") as ledger:
        for number, cost in enumerate(costs):
            request = request_of(f"Paid {number}", **parameters)
            task = ledger.claim(request, Origin(), "me", simulated=simulated).task
            ledger.mark_submitted(task.task_uuid)
            ledger.settle(task.task_uuid, [{}], [cost])
            ledger.mark_stored(task.task_uuid, [{}])


def test_plan_shows_list_price_recent_costs_worst_case_and_margin_of_each_kind(tmp_path: Path) -> None:
    table(tmp_path, 2, **{"provider_settings.alibaba.audio": False})
    before = reported("plan", tmp_path, **REAL)["estimate"]
    paid(tmp_path, 460_000, 470_000, 478_000)

    after = reported("plan", tmp_path, **REAL)["estimate"]
    paid(tmp_path, 460_000, 470_000, 478_000, 470_000, 470_000)
    learned = reported("plan", tmp_path, **REAL)["estimate"]

    assert before["requests"] == [
        {
            "request": "1 x 720p 5 s from text, silent",
            "model": "runware:201@1",
            "requests": 2,
            "new": 2,
            "list_price_usd": 0.473,
            "learned_usd": None,
            "learned_highest_usd": None,
            "known_costs": 0,
            "expected_usd": 0.473,
            "worst_usd": 0.48246,
            "margin_share": 0.02,
            "margin_usd": 0.00946,
        }
    ]
    assert before["new"] == {"expected_usd": 0.946, "worst_usd": 0.96492}
    (found,) = after["requests"]
    assert (found["learned_usd"], found["learned_highest_usd"], found["known_costs"]) == (0.47, 0.478, 3)
    assert after["new"] == {"expected_usd": 0.94, "worst_usd": 0.96492}
    (found,) = learned["requests"]
    assert (found["worst_usd"], found["margin_share"], found["margin_usd"]) == (0.478, 0.0, 0.0)
    assert learned["total"] == {"expected_usd": 0.94, "worst_usd": 0.956}


def test_the_list_price_of_plan_says_how_many_requests_have_none(tmp_path: Path) -> None:
    written(tmp_path, ROWS[:2])
    one, shown = reported("plan", tmp_path, **REAL), invoked("plan", tmp_path, **REAL).stdout
    written(tmp_path, [ROWS[1], {**ROWS[1], "prompt_id": "other", "positive_prompt": "Boat"}])
    two = invoked("plan", tmp_path, **REAL).stdout
    written(tmp_path, ROWS[:1])
    listed = invoked("plan", tmp_path, **REAL).stdout

    rest = "without one, at the highest rate of the model; reserved at most"
    assert f"list price $1.2110, which includes 1 request {rest} $1.2352\n" in shown
    assert f"list price $1.4760, which includes 2 requests {rest} $1.5055\n" in two
    assert "list price $0.4730; reserved at most $0.4825\n" in listed
    assert (one["price_usd"], one["unpriced_requests"], one["new"]["unpriced_requests"]) == (1.211, 1, 1)
    assert {kind["resolution"]: kind["unpriced_requests"] for kind in one["kinds"]} == {"480p": 1, "720p": 0}


def test_plan_says_what_is_not_known_beforehand(tmp_path: Path) -> None:
    written(tmp_path, ROWS)
    paid(tmp_path, None)

    found = reported("plan", tmp_path, **REAL)["estimate"]

    listed = {each["request"]: each["list_price_usd"] for each in found["requests"]}
    assert listed["1 x 480p 5 s from text"] is None
    said = found["unknowns"]
    reasons = {sentence.rsplit(": ", 1)[0]: sentence.rsplit(": ", 1)[1] for sentence in said if " x " in sentence}
    assert said[0].startswith("No cost is known yet: ")
    assert all(each["request"] in said[0] for each in found["requests"])
    assert (
        said[1] == "The cost of 1 earlier task is unknown, and its reservation is kept; `wan-assets ledger` lists it."
    )
    assert reasons["No price is published, and the highest price of the model is reserved"] == "1 x 480p 5 s from text."
    assert "The model chooses the length, and the price of the longest video is reserved: wan3.0" in reasons
    assert "The seconds of input videos are charged too, and their number is not known: wan2.7" in reasons
    assert "The input decides the resolution, and the highest price of the model is reserved: wan2.6" in reasons
    assert any(sentence.startswith("A video from an image may be charged at the highest price") for sentence in said)
    assert any(sentence.startswith("Prices of wan2.5: The page's own example") for sentence in said)
    assert not any(sentence.startswith("The prices of") for sentence in said)


def test_simulated_costs_are_said_to_be_no_real_ones_and_paid_requests_leave_nothing_unknown(tmp_path: Path) -> None:
    silent = {"provider_settings.alibaba.audio": False}
    table(tmp_path, 1, **silent)
    paid(tmp_path, 473_000, simulated=True)
    new = reported("plan", tmp_path)["estimate"]
    written(tmp_path, [{"positive_prompt": "Paid 0", "resolution": "720p", **silent}])

    done = reported("plan", tmp_path)["estimate"]

    assert new["unknowns"][0] == "The learned prices are those of the simulator; they say nothing about real costs."
    assert done["unknowns"] == []
    assert done["new"] == {"expected_usd": 0.0, "worst_usd": 0.0}


@pytest.mark.parametrize("columns", [40, 80, 160])
def test_prices_and_unknowns_fit_the_terminal(tmp_path: Path, columns: int) -> None:
    written(tmp_path, ROWS)

    shown = invoked("plan", tmp_path, COLUMNS=str(columns), **REAL).stdout

    tables, rest = shown.split(str(tmp_path), 1)
    unknowns = rest[rest.index("not known beforehand:") :]
    assert "Prices of one request" in tables
    assert max(map(cell_len, [*tables.splitlines(), *unknowns.splitlines()])) <= columns
    assert "expected: $" in rest
    assert "2 more kinds" in " ".join(unknowns.split()) or "3 more kinds" in " ".join(unknowns.split())
    if columns > 40:
        assert "0   $0.7528   2 % $0.0148" in tables


def test_a_kind_without_a_published_price_shows_none(tmp_path: Path) -> None:
    written(tmp_path, ROWS[:2])

    shown = " ".join(invoked("plan", tmp_path, COLUMNS="120").stdout.split())

    assert "text-to-video 480p 5 s 1 unknown" in shown
    assert "text-to-video 720p 5 s 1 $0.4730" in shown


@pytest.mark.slow
def test_a_run_reports_estimate_and_cost_by_kind_and_shows_only_what_deviates(tmp_path: Path) -> None:
    written(tmp_path, ROWS[:2])
    equal, found = invoked("demo", tmp_path), reported("demo", tmp_path)
    written(tmp_path, [ROWS[0], ROWS[3]])
    deviating = invoked("demo", tmp_path, COLUMNS="80").stdout

    ledger = invoked_ledger(tmp_path)

    assert equal.exit_code == 0
    assert "Charged otherwise than listed" not in equal.stdout
    assert found["estimate_by_kind"] == []
    assert "Charged otherwise than listed" in deviating
    assert "wan3.0: 1 x 480p auto s from text" in deviating
    of_kind = {each["request"]: each for each in ledger["estimate_by_kind"]}
    exact, unlisted = of_kind["1 x 720p 5 s from text"], of_kind["1 x 480p 5 s from text"]
    assert (exact["compared"], exact["estimated_usd"], exact["cost_usd"]) == (1, 0.473, 0.473)
    assert (exact["deviation_share"], exact["drifted"], exact["margin_share"]) == (0.0, False, 0.02)
    assert (unlisted["tasks"], unlisted["compared"], unlisted["estimated_usd"]) == (1, 0, None)


def invoked_ledger(folder: Path) -> dict[str, Any]:
    url = f"sqlite:///{folder / 'out' / 'ledger.db'}"
    result = CliRunner().invoke(cli, ["ledger", "--url", url, "--json"], env=UNSET)
    found: dict[str, Any] = json.loads(result.stdout)
    return found
