"""Forecasts of budgets: the rate of the days with tasks, when nothing is left, and the expected totals."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from budget_support import FALL, dollars_of, past
from engine_support import PRICE

from wan_assets.ledger import BudgetLimit, Counter

BERLIN = "Europe/Berlin"


def test_a_month_is_forecast_with_the_mean_of_the_time_since_the_first_of_seven_days_with_tasks(tmp_path: Path) -> None:
    with past(tmp_path, BudgetLimit(usd=100, per="month")) as made:
        for day in range(2, 12):
            made.buy(f"2026-11-{day:02}T12:00", 2_000_000)
        forecast = made.at("2026-11-16T00:00")["month"]

    assert (forecast.rate.days, forecast.rate.since) == (7, date(2026, 11, 5))
    per_day = 7 * 2 / 11
    assert dollars_of(forecast) == pytest.approx((20, 0, 20 + 15 * per_day, per_day), abs=1e-5)
    assert forecast.percent == 20.0
    assert forecast.exhausted_at is None
    assert (forecast.begins_at, forecast.expected_at) == (
        datetime(2026, 11, 1, tzinfo=UTC),
        datetime(2026, 12, 1, tzinfo=UTC),
    )


def test_a_budget_that_does_not_last_has_the_moment_at_which_nothing_is_left(tmp_path: Path) -> None:
    with past(tmp_path, BudgetLimit(usd=10, per="month")) as made:
        for day in (10, 11, 12, 13):
            made.buy(f"2026-11-{day}T06:00", 2_000_000)
        forecast = made.at("2026-11-14T00:00")["month"]

    assert forecast.rate.per_day_microusd == 2_000_000
    assert forecast.exhausted_at == datetime(2026, 11, 15, tzinfo=UTC)
    assert dollars_of(forecast)[2] == 8 + 17 * 2


def test_the_first_day_counts_as_a_whole_day_and_no_task_as_no_rate(tmp_path: Path) -> None:
    with past(tmp_path, BudgetLimit(usd=10, per="month")) as made:
        before = made.at("2026-11-16T00:30")["month"]
        made.buy("2026-11-16T00:40")
        after = made.at("2026-11-16T01:00")["month"]

    assert (before.rate.days, before.rate.since, before.exhausted_at) == (0, None, None)
    assert after.rate.per_day_microusd == 1_000_000


def test_reserved_money_counts_and_is_shown_apart(tmp_path: Path) -> None:
    with past(tmp_path, BudgetLimit(usd=10, per="month")) as made:
        made.buy("2026-10-31T23:59", None)
        made.buy("2026-11-15T10:00", 400_000)
        made.buy("2026-11-15T10:00", None)
        forecast = made.at("2026-11-16T00:00")["month"]

    assert (forecast.spent_microusd, forecast.reserved_microusd) == (400_000, PRICE)
    assert forecast.rate.per_day_microusd == round((400_000 + 2 * PRICE) / 16)


def test_a_budget_counts_the_tasks_of_its_scope_and_the_days_of_its_time_zone(tmp_path: Path) -> None:
    fall = BudgetLimit(usd=10, per="month", scope={"campaign": "fall*"}, time_zone=BERLIN)
    spring = BudgetLimit(usd=10, per="month", scope={"campaign": "spring"}, time_zone=BERLIN)
    with past(tmp_path, fall, spring) as made:
        made.buy("2026-10-31T22:30", tags=FALL)
        made.buy("2026-10-31T23:30", tags=FALL)
        made.buy("2026-11-02T23:30", tags=FALL)
        found = made.at("2026-11-03T23:00")

    in_fall, in_spring = (found[f"month ({BERLIN}) for campaign={name}"] for name in ("fall*", "spring"))
    assert in_fall.spent_microusd == 2_000_000
    assert list(in_fall.history.by_day()) == [date(2026, 10, 31), date(2026, 11, 1), date(2026, 11, 3)]
    assert (in_spring.spent_microusd, in_spring.rate.days) == (0, 0)


@pytest.mark.parametrize(
    ("scope", "origin", "counts"),
    [
        ({"asset": "trail*"}, {"asset": "trailers"}, True),
        ({"asset": "trail*"}, {"asset": "videos"}, False),
        ({"partition": "2026-*"}, {"partition": "2026-11"}, True),
        ({"model": "wan2.5-preview"}, {}, True),
        ({"model": "wan2.6"}, {}, False),
        ({"takes": "further"}, {"take": 2, "row_fingerprint": "f"}, True),
        ({"run_tag:team": "ads"}, {"run_id": "tagged"}, True),
        ({"run_tag:team": "ads"}, {"run_id": "untagged"}, False),
        ({"x_größe": "7"}, {"tags": {"x_größe": "7"}}, True),
        ({'a "name"': "7"}, {"tags": {'a "name"': "7"}}, True),
        ({"campaign": "fall", "x_team": "ads"}, {"tags": {"campaign": "fall", "x_team": "ads"}}, True),
        ({"campaign": "fall", "x_team": "ads"}, {"tags": {"campaign": "fall"}}, False),
    ],
)
def test_the_history_has_the_tasks_that_the_sum_of_the_budget_has(scope, origin, counts, tmp_path: Path) -> None:
    with past(tmp_path, BudgetLimit(usd=10, per="month", scope=scope)) as made:
        made.ledger.record_run_tags("tagged", {"team": "ads"})
        made.buy("2026-11-15T10:00", None, **origin)
        (forecast,) = made.at("2026-11-16T00:00").values()

    expected = PRICE if counts else 0
    assert forecast.state.committed_microusd == expected
    assert sum(forecast.history.quarters.values()) == expected
    assert forecast.reserved_microusd == expected


def test_a_total_is_expected_at_the_end_of_the_month_and_may_be_exhausted_later(tmp_path: Path) -> None:
    with past(tmp_path, total=100) as made:
        made.buy("2026-11-15T00:00")
        forecast = made.at("2026-11-16T00:00")["total"]
        slow = made.at("2026-12-30T00:00")["total"]

    assert (forecast.expected_at, forecast.expected_microusd) == (datetime(2026, 12, 1, tzinfo=UTC), 16_000_000)
    assert forecast.exhausted_at == datetime(2027, 2, 23, tzinfo=UTC)
    assert slow.exhausted_at is None
    assert forecast.remaining() == []


def test_a_budget_of_runs_has_a_limit_and_no_forecast(tmp_path: Path) -> None:
    with past(tmp_path, per_run=3) as made:
        made.buy("2026-11-15T10:00")
        forecast = made.at("2026-11-16T00:00")["run"]

    assert forecast.is_of_runs
    assert (forecast.state.cap_microusd, forecast.spent_microusd, forecast.exhausted_at) == (3_000_000, 0, None)
    assert forecast.rate.days == 0


def test_a_budget_below_what_is_spent_is_exhausted_now_and_the_ledgers_limit_is_named_as_such(tmp_path: Path) -> None:
    with past(tmp_path, BudgetLimit(usd=10, per="month")) as made:
        made.buy("2026-11-15T10:00")
        made.ledger.set_budget(BudgetLimit(usd=0.5, per="month"))
        forecast = made.at("2026-11-16T00:00")["month"]
        made.ledger.unset_budget(BudgetLimit(usd=0, per="month"))
        unset = made.at("2026-11-16T00:00")["month"]

    assert (forecast.is_exhausted, forecast.exhausted_at, forecast.percent) == (True, forecast.now, 200.0)
    assert (forecast.is_recorded, unset.is_recorded, unset.percent) == (True, False, 10.0)


def test_what_was_left_is_told_for_each_day_of_the_period_until_now(tmp_path: Path) -> None:
    with past(tmp_path, BudgetLimit(usd=10, per="week", time_zone=BERLIN)) as made:
        made.buy("2026-11-15T22:00")
        made.buy("2026-11-16T22:59", 2_000_000)
        made.buy("2026-11-17T23:01", 3_000_000)
        forecast = made.at("2026-11-18T12:00")[f"week ({BERLIN})"]

    shown = [(f"{at:%m-%d %H:%M}", left) for at, left in forecast.remaining()]
    begin, *days, now = shown
    assert begin == ("11-16 00:00", 10_000_000)
    assert days == [("11-17 00:00", 8_000_000), ("11-18 00:00", 8_000_000)]
    assert now == ("11-18 12:00", 5_000_000)


def test_a_day_is_told_by_hour_and_has_the_hours_of_its_time_zone(tmp_path: Path) -> None:
    with past(tmp_path, BudgetLimit(usd=10, per="day", time_zone=BERLIN)) as made:
        made.buy("2026-10-25T01:30")
        forecast = made.at("2026-10-25T22:59")[f"day ({BERLIN})"]

    assert len(forecast.remaining()) == 26
    assert [left for _, left in forecast.remaining()][:6] == [10_000_000] * 4 + [9_000_000] * 2


def test_the_month_of_all_tasks_is_of_utc_and_independent_of_budgets(tmp_path: Path) -> None:
    with past(tmp_path) as made:
        made.buy("2026-10-31T23:59")
        made.buy("2026-11-01T00:00", 3_000_000)
        made.buy("2026-11-01T00:00", 7_000_000, simulated=True)
        made.at("2026-11-03T00:00")
        found = made.ledger.forecasts(simulated=False)

    assert found.budgets == ()
    assert (found.month.month, found.month.committed_microusd) == ("2026-11", 3_000_000)
    assert found.month.expected_microusd == 3_000_000 + 28 * round(4_000_000 / 3)


def test_open_partitions_cost_the_mean_of_the_others_without_what_their_tasks_have(tmp_path: Path) -> None:
    limit = BudgetLimit(usd=10, per="month", scope={"campaign": "fall-1"})
    with past(tmp_path, limit, total=50) as made:
        made.buy("2026-11-15T10:00", 1_000_000, partition="a", tags=FALL)
        made.buy("2026-11-15T10:00", 2_000_000, partition="b")
        made.buy("2026-11-15T10:00", 500_000, partition="c", tags=FALL)
        made.buy("2026-11-15T10:00", 9_000_000, partition="c", asset="others")
        counters = [limit.counter, Counter("total")]
        (found,) = made.ledger.open_partitions(counters, {"videos": ["c", "d"]}, simulated=False)
        (unknown,) = made.ledger.open_partitions(counters, {"new": ["c", "d"]}, simulated=False)

    assert (found.asset, found.partitions, found.made) == ("videos", 2, 2)
    assert found.needed_microusd == {limit.counter: 500_000, Counter("total"): 1_000_000 + 1_500_000}
    assert (unknown.made, unknown.needed_microusd) == (0, None)
