"""What the gallery's page is told about budgets: what was left, an even use, the projection, and their words."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from budget_support import Past, past
from gallery_support import NOW, summary_of, table_of

from wan_assets.gallery import write_gallery
from wan_assets.ledger import BudgetLimit
from wan_assets.store import VideoStore


def charts(folder: Path, made: Past) -> list[dict[str, Any]]:
    store = VideoStore(folder / "store")
    gallery = write_gallery(folder / "gallery", table_of(), store=store, ledger=made.ledger, title="t", now=NOW)
    found: list[dict[str, Any]] = summary_of(gallery)["budgets"]
    return found


def stamp(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_a_budget_with_a_period_has_a_chart_and_others_have_none(tmp_path: Path) -> None:
    fall = BudgetLimit(usd=9, per="week", scope={"campaign": "fall"}, time_zone="Europe/Berlin")
    with past(tmp_path, fall, total=50, per_run=5, per_day=7, retakes=2) as made:
        made.at("2026-11-18T12:00")
        found = charts(tmp_path, made)

    assert sorted(each["name"] for each in found) == [
        "day 2026-11-18",
        "week 2026-W47 (Europe/Berlin) for campaign=fall",
    ]


def test_the_line_goes_from_the_limit_to_what_is_left_now_and_on_at_the_recent_rate(tmp_path: Path) -> None:
    with past(tmp_path, BudgetLimit(usd=28, per="week")) as made:
        made.buy("2026-11-16T06:00", 2_000_000)
        made.buy("2026-11-17T06:00", 4_000_000)
        made.at("2026-11-18T12:00")
        (chart,) = charts(tmp_path, made)

    assert (chart["begin"], chart["end"]) == (stamp("2026-11-16"), stamp("2026-11-23"))
    assert (chart["begin_text"], chart["end_text"]) == ("2026-11-16", "2026-11-23")
    assert chart["points"] == [
        [stamp("2026-11-16"), 28_000_000, "2026-11-16", "$28.00", "$28.00"],
        [stamp("2026-11-17"), 26_000_000, "2026-11-17", "$26.00", "$24.00"],
        [stamp("2026-11-18"), 22_000_000, "2026-11-18", "$22.00", "$20.00"],
        [stamp("2026-11-18T12:00"), 22_000_000, "now", "$22.00", "$18.00"],
    ]
    assert chart["projection"] == [[stamp("2026-11-18T12:00"), 22_000_000], [stamp("2026-11-23"), 11_200_000]]
    words = (chart["left_text"], chart["limit_text"], chart["per_day_text"], chart["expected_text"])
    assert words == ("$22.00", "$28.00", "$2.40", "$16.80")
    assert (chart["exhausted_text"], chart["is_exhausted"], chart["kind"]) == ("", False, "real")


def test_the_projection_ends_where_nothing_is_left(tmp_path: Path) -> None:
    with past(tmp_path, BudgetLimit(usd=8, per="week")) as made:
        made.buy("2026-11-16T06:00", 4_000_000)
        made.at("2026-11-17T00:00")
        (chart,) = charts(tmp_path, made)

    assert chart["projection"] == [[stamp("2026-11-17"), 4_000_000], [stamp("2026-11-18"), 0]]
    assert chart["exhausted_text"] == "2026-11-18"


@pytest.mark.parametrize("usd", [0, 3])
def test_an_exhausted_budget_has_no_projection(usd: float, tmp_path: Path) -> None:
    with past(tmp_path, BudgetLimit(usd=5, per="week")) as made:
        made.buy("2026-11-16T06:00", 4_000_000)
        made.ledger.set_budget(BudgetLimit(usd=usd, per="week"))
        made.at("2026-11-17T00:00")
        (chart,) = charts(tmp_path, made)

    assert (chart["is_exhausted"], chart["projection"], chart["left_text"]) == (True, [], "$0.00")
    assert chart["points"][-1][3] == f"-${4 - usd}.00"


def test_simulated_money_has_charts_of_its_own_if_there_is_any(tmp_path: Path) -> None:
    with past(tmp_path, BudgetLimit(usd=8, per="week")) as made:
        made.buy("2026-11-16T06:00", 4_000_000, simulated=True)
        only_simulated = charts(tmp_path, made)
        made.buy("2026-11-16T07:00", 1_000_000)
        both = charts(tmp_path, made)

    assert [(each["kind"], each["left_text"]) for each in only_simulated] == [("simulated", "$4.00")]
    assert [(each["kind"], each["left_text"]) for each in both] == [("real", "$7.00"), ("simulated", "$4.00")]
