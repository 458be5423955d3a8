"""Periods of budgets divide time without gaps and overlaps, in every time zone."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from wan_assets.ledger.budget_period import Per, begins_at, boundary_before, minute_of, period_of, resets_at

ZONES = st.sampled_from(sorted(available_timezones()))
MOMENTS = st.integers(946_684_800, 2_208_988_800).map(lambda second: datetime.fromtimestamp(second, UTC))
PERIODS = st.sampled_from(["day", "week", "month"])


def text_of(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def period_at(per: Per, zone: str, moment: datetime) -> str:
    return period_of(per, zone, minute_of(text_of(moment.astimezone(UTC))))


@given(PERIODS, ZONES, MOMENTS)
@example("month", "Africa/El_Aaiun", datetime(2008, 6, 1, tzinfo=UTC))
def test_a_period_begins_and_ends_where_its_name_changes(per: Per, zone: str, moment: datetime) -> None:
    minute = minute_of(text_of(moment))
    begin, end = begins_at(per, zone, minute), resets_at(per, zone, minute)

    assert begin is not None
    assert end is not None
    assert begin <= moment < end
    begin, end, minute_long = begin.astimezone(UTC), end.astimezone(UTC), timedelta(minutes=1)
    here = period_at(per, zone, moment)
    assert {period_at(per, zone, begin), period_at(per, zone, end - minute_long)} == {here}
    assert here not in {period_at(per, zone, end), period_at(per, zone, begin - minute_long)}


@given(PERIODS, ZONES, MOMENTS)
def test_every_period_begins_at_a_boundary(per: Per, zone: str, moment: datetime) -> None:
    before = datetime.fromisoformat(boundary_before(text_of(moment)))

    assert moment - timedelta(minutes=15) < before <= moment
    assert period_at(per, zone, before) == period_at(per, zone, moment)


@pytest.mark.parametrize(
    ("per", "zone", "moment", "period", "reset"),
    [
        ("day", "UTC", "2026-11-30T23:59", "2026-11-30", "2026-12-01T00:00:00+00:00"),
        ("day", "Europe/Berlin", "2026-11-30T23:00", "2026-12-01", "2026-12-02T00:00:00+01:00"),
        ("day", "Asia/Kathmandu", "2026-11-30T18:15", "2026-12-01", "2026-12-02T00:00:00+05:45"),
        ("day", "Europe/Berlin", "2026-03-28T23:30", "2026-03-29", "2026-03-30T00:00:00+02:00"),
        ("day", "Europe/Berlin", "2026-10-25T22:59", "2026-10-25", "2026-10-26T00:00:00+01:00"),
        ("day", "America/Santiago", "2026-09-05T12:00", "2026-09-05", "2026-09-06T01:00:00-03:00"),
        ("week", "UTC", "2027-01-03T12:00", "2026-W53", "2027-01-04T00:00:00+00:00"),
        ("month", "America/New_York", "2026-12-01T04:59", "2026-11", "2026-12-01T00:00:00-05:00"),
        ("month", "Europe/Berlin", "2026-12-15T00:00", "2026-12", "2027-01-01T00:00:00+01:00"),
        ("month", "UTC", "2028-02-29T12:00", "2028-02", "2028-03-01T00:00:00+00:00"),
    ],
)
def test_the_periods_of_known_moments(per: Per, zone: str, moment: str, period: str, reset: str) -> None:
    end = resets_at(per, zone, moment)

    assert (period_of(per, zone, moment), end and end.isoformat()) == (period, reset)


@pytest.mark.parametrize("per", ["run", "total"])
def test_what_has_no_periods_never_resets(per: Per) -> None:
    minute = "2026-11-30T12:00"

    assert (period_of(per, "UTC", minute), begins_at(per, "UTC", minute), resets_at(per, "UTC", minute)) == (
        "",
        None,
        None,
    )


def test_days_of_daylight_saving_time_have_23_and_25_hours() -> None:
    zone = ZoneInfo("Europe/Berlin")

    def hours_of(day: date) -> float:
        minute = minute_of(text_of(datetime(day.year, day.month, day.day, 12, tzinfo=zone).astimezone(UTC)))
        begin, end = begins_at("day", "Europe/Berlin", minute), resets_at("day", "Europe/Berlin", minute)
        assert begin is not None
        assert end is not None
        return (end.astimezone(UTC) - begin.astimezone(UTC)).total_seconds() / 3600

    assert [hours_of(date(2026, 3, 29)), hours_of(date(2026, 10, 25)), hours_of(date(2026, 11, 1))] == [23, 25, 24]
