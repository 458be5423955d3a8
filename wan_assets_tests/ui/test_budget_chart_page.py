"""Burn-down charts in a browser: drawn in both schemes and on a phone, and read by those who do not see them."""

from pathlib import Path
from typing import Any

import pytest
from browser_support import Visit, apart, visit
from budget_support import FALL, past
from gallery_support import NOW, table_of

from wan_assets.gallery import write_gallery
from wan_assets.ledger import BudgetLimit
from wan_assets.store import VideoStore

CODE = '<img src=x onerror="document.title=1">'


def _written(folder: Path) -> Path:
    limits = [
        BudgetLimit(usd=30, per="month", scope={"campaign": "fall*"}, time_zone="Europe/Berlin"),
        BudgetLimit(usd=8, per="week"),
        BudgetLimit(usd=5, per="day", scope={"campaign": CODE}),
    ]
    with past(folder, *limits) as made:
        for day in (2, 3, 4, 5, 9, 10, 12, 13, 16, 17):
            made.buy(f"2026-11-{day:02}T09:00", 1_500_000, tags=FALL)
        made.at("2026-11-18T12:00")
        store = VideoStore(folder / "store")
        return write_gallery(
            folder / "gallery", table_of(), store=store, ledger=made.ledger, title="Budgets", now=NOW
        ).index


@pytest.fixture(scope="module")
def budgets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return apart(_written, tmp_path_factory.mktemp("budgets"))


def figure(seen: Visit, number: int) -> Any:
    return seen.page.locator("#budgets figure").nth(number)


def test_each_budget_is_drawn_with_its_line_an_even_use_and_the_projection(seen: Visit, budgets: Path) -> None:
    seen.open(budgets)

    month = figure(seen, 0)
    assert seen.page.locator("#budgets figure").count() == 3
    assert month.locator("figcaption").inner_text().split("\n")[0].startswith("Budget of month 2026-11 (Europe/Berlin)")
    for name in ("left", "even", "projection"):
        box = month.locator(f"polyline.{name}").bounding_box()
        assert box["width"] > 50
        assert box["height"] > 5
    points = month.locator("polyline.left").get_attribute("points").split()
    heights = [float(point.split(",")[1]) for point in points]
    assert heights == sorted(heights)
    seen.shot("budgets-light")


def test_who_does_not_see_the_chart_has_a_sentence_and_a_table(seen: Visit, budgets: Path) -> None:
    seen.open(budgets)

    week = figure(seen, 1)
    label = week.get_by_role("img").get_attribute("aria-label")
    week.locator("summary").click()
    cells = [row.split("\t") for row in week.locator("table").inner_text().splitlines()]

    assert "$5.00 of $8.00 left" in label
    assert "$6.50 expected by the end of the period" in label
    assert [cell.strip() for cell in cells[0]] == ["time", "left", "even use"]
    assert [cell.strip() for cell in cells[1]] == ["2026-11-16", "$8.00", "$8.00"]
    assert [cell.strip() for cell in cells[-1]][:2] == ["now", "$5.00"]


def test_names_of_budgets_are_text_and_never_code(seen: Visit, budgets: Path) -> None:
    seen.open(budgets)

    assert CODE in figure(seen, 2).locator("figcaption").inner_text()
    assert seen.page.locator("#budgets img").count() == 0
    assert seen.page.title() != "1"


def test_the_charts_have_the_colours_of_the_dark_scheme(chromium: Any, budgets: Path) -> None:
    colours = []
    for scheme in ("light", "dark"):
        with visit(chromium, color_scheme=scheme) as seen:
            seen.open(budgets)
            line = seen.page.locator("polyline.left").first
            colours.append(line.evaluate("line => getComputedStyle(line).stroke"))
            seen.shot(f"budgets-{scheme}")

    assert colours[0] != colours[1]


def test_on_a_phone_the_charts_fit_the_page(chromium: Any, budgets: Path) -> None:
    with visit(chromium, viewport={"width": 360, "height": 780}, color_scheme="dark") as seen:
        seen.open(budgets)
        seen.page.click("#totals > summary")
        widths = [figure(seen, number).bounding_box()["width"] for number in range(3)]
        seen.shot("budgets-phone")

        assert seen.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert all(width <= 340 for width in widths)
