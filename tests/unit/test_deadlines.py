from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lethe.deadlines import Period, YearEnd, cutoff, fiscal_cutoff, is_due, last_day, local_date, next_day, start_of

OSLO, UTC_ZONE = ZoneInfo("Europe/Oslo"), ZoneInfo("UTC")
DAY = timedelta(days=1)

dates = st.dates(date(1930, 1, 1), date(2200, 12, 31))
month_ends = st.builds(lambda day: day.replace(day=1) - DAY, dates)
days = dates | month_ends | month_ends.map(next_day)
lengths = st.integers(1, 400)
periods = (
    st.builds(Period, months=lengths)
    | st.builds(Period, days=lengths)
    | st.builds(Period, months=lengths, days=lengths)
)
year_ends = st.sampled_from([YearEnd(), YearEnd(6, 30), YearEnd(3, 31), YearEnd(2, 28), YearEnd(2, 29), YearEnd(1, 1)])
floors = st.sampled_from([Period.parse("P5Y"), Period.parse("P3Y6M"), Period.parse("P10Y")])


@pytest.mark.parametrize(
    ("start", "period", "last"),
    [
        ("2024-02-29", "P1Y", "2025-02-28"),
        ("2023-02-28", "P1Y", "2024-02-28"),
        ("2024-02-29", "P4Y", "2028-02-29"),
        ("2023-12-31", "P26M", "2026-02-28"),
        ("2022-12-31", "P14M", "2024-02-29"),
        ("2025-01-31", "P1M", "2025-02-28"),
        ("2025-03-31", "P1M", "2025-04-30"),
        ("2025-01-31", "P1M1D", "2025-03-01"),  # months first, then days
        ("2024-12-01", "P90D", "2025-03-01"),
        ("2025-02-22", "P1W", "2025-03-01"),
        ("2025-02-28", "P1D", "2025-03-01"),
    ],
)
def test_a_period_ends_with_its_last_day(start: str, period: str, last: str) -> None:
    begin, end = date.fromisoformat(start), date.fromisoformat(last)
    assert last_day(begin, Period.parse(period)) == end
    assert not is_due(begin, Period.parse(period), end)
    assert is_due(begin, Period.parse(period), end + DAY)


@given(days, periods, days)
@example(date(2024, 2, 29), Period(12), date(2025, 3, 1))
@example(date(2024, 2, 29), Period(12), date(2025, 2, 28))
@example(date(2023, 12, 31), Period(26), date(2026, 3, 1))
@example(date(2025, 1, 31), Period(1, 1), date(2025, 3, 2))
def test_due_is_exactly_what_starts_by_the_cutoff(start: date, period: Period, today: date) -> None:
    assert (start <= cutoff(today, period)) == is_due(start, period, today)


@given(days, periods)
def test_the_cutoff_is_the_latest_day_that_is_due(today: date, period: Period) -> None:
    latest = cutoff(today, period)
    assert is_due(latest, period, today)
    assert not any(is_due(latest + ahead * DAY, period, today) for ahead in range(1, 6))
    assert all(is_due(latest - back * DAY, period, today) for back in range(6))


@given(days, periods)
def test_a_day_later_nothing_is_due_that_the_calendar_forgot(start: date, period: Period) -> None:
    """Every start has one first day on which it is due: the day after its last one."""
    first = next_day(last_day(start, period))
    assert is_due(start, period, first)
    assert not is_due(start, period, first - DAY)


@given(days, days, periods, periods, days)
def test_due_is_monotone(start: date, other: date, period: Period, longer: Period, today: date) -> None:
    """What started earlier is due no later, time only adds what is due, and a longer period only keeps more."""
    early, late = sorted([start, other])
    assert is_due(early, period, today) >= is_due(late, period, today)
    assert is_due(start, period, today) <= is_due(start, period, today + DAY)
    both = Period(period.months + longer.months, period.days + longer.days)
    assert is_due(start, both, today) <= is_due(start, period, today)


@given(days, days, periods)
def test_the_cutoff_never_moves_back(first: date, second: date, period: Period) -> None:
    early, late = sorted([first, second])
    assert cutoff(early, period) <= cutoff(late, period)


@given(days, days, floors, year_ends)
@example(date(2019, 12, 31), date(2024, 12, 31), Period(60), YearEnd())
@example(date(2019, 12, 31), date(2025, 1, 1), Period(60), YearEnd())
def test_a_floor_is_over_exactly_when_its_year_and_period_are(
    start: date, today: date, period: Period, year_end: YearEnd
) -> None:
    assert (start <= fiscal_cutoff(today, period, year_end)) == is_due(year_end.of(start), period, today)


@pytest.mark.parametrize(
    ("invoice", "keep", "year_end", "first_free"),
    [
        ("2019-01-02", "P5Y", YearEnd(), "2025-01-01"),
        ("2019-12-31", "P5Y", YearEnd(), "2025-01-01"),
        ("2020-01-01", "P5Y", YearEnd(), "2026-01-01"),
        ("2020-05-05", "P3Y6M", YearEnd(), "2024-07-01"),
        ("2020-06-30", "P5Y", YearEnd(6, 30), "2025-07-01"),
        ("2020-07-01", "P5Y", YearEnd(6, 30), "2026-07-01"),
        ("2020-07-01", "P3Y6M", YearEnd(6, 30), "2024-12-31"),
        ("2020-02-29", "P5Y", YearEnd(2, 29), "2025-03-01"),
        ("2020-03-01", "P3Y6M", YearEnd(2, 29), "2024-08-29"),
    ],
)
def test_bookkeeping_counts_from_the_end_of_the_fiscal_year(
    invoice: str, keep: str, year_end: YearEnd, first_free: str
) -> None:
    """R13: years after the fiscal year's end, whatever day of the year the document bears."""
    day, free, period = date.fromisoformat(invoice), date.fromisoformat(first_free), Period.parse(keep)
    assert day <= fiscal_cutoff(free, period, year_end)
    assert day > fiscal_cutoff(free - DAY, period, year_end)


@given(days, year_ends)
def test_a_fiscal_year_ends_once_a_year_and_not_before_its_days(day: date, year_end: YearEnd) -> None:
    end = year_end.of(day)
    assert day <= end < day + timedelta(days=366)
    assert year_end.of(end) == end
    assert year_end.of(end + DAY) > end


@pytest.mark.parametrize(("year", "day"), [(2023, 28), (2024, 29), (2000, 29), (2100, 28)])
def test_a_year_that_ends_in_february_ends_on_its_last_day(year: int, day: int) -> None:
    assert YearEnd(2, 29).in_year(year) == date(year, 2, day)


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2024, 12, 31, 22, 59, 59, 999999, UTC), "2024-12-31"),
        (datetime(2024, 12, 31, 23, 0, tzinfo=UTC), "2025-01-01"),
        (datetime(2024, 6, 30, 21, 59, 59, 999999, UTC), "2024-06-30"),
        (datetime(2024, 6, 30, 22, 0, tzinfo=UTC), "2024-07-01"),
        (datetime(2024, 3, 30, 22, 59, 59, tzinfo=UTC), "2024-03-30"),  # the clocks go forward on the 31st
        (datetime(2024, 3, 30, 23, 0, tzinfo=UTC), "2024-03-31"),
        (datetime(2024, 3, 31, 21, 59, 59, tzinfo=UTC), "2024-03-31"),
        (datetime(2024, 3, 31, 22, 0, tzinfo=UTC), "2024-04-01"),
        (datetime(2024, 10, 26, 22, 0, tzinfo=UTC), "2024-10-27"),  # the clocks go back on the 27th
        (datetime(2024, 10, 27, 22, 59, 59, tzinfo=UTC), "2024-10-27"),
        (datetime(2024, 10, 27, 23, 0, tzinfo=UTC), "2024-10-28"),
        (datetime(2024, 3, 31, 2, 30, tzinfo=OSLO), "2024-03-31"),  # an hour that there is not
        (datetime(2024, 10, 27, 2, 30, tzinfo=OSLO, fold=1), "2024-10-27"),  # an hour that there is twice
    ],
)
def test_a_moment_has_the_date_of_the_organisations_clock(moment: datetime, day: str) -> None:
    assert local_date(moment, OSLO) == date.fromisoformat(day)


def test_a_time_without_zone_is_read_in_the_declared_one() -> None:
    late = datetime(2024, 12, 31, 23, 30)  # noqa: DTZ001 - the column has no zone
    assert local_date(late, OSLO, unzoned=OSLO) == date(2024, 12, 31)
    assert local_date(late, OSLO, unzoned=UTC_ZONE) == date(2025, 1, 1)
    with pytest.raises(ValueError, match="expected the policy to declare its zone"):
        local_date(late, OSLO)


@given(st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - the strategy adds the zone
def test_a_day_begins_with_its_first_moment(naive: datetime) -> None:
    """23, 24 or 25 hours long: a moment belongs to a day exactly from its start to the start of the next."""
    moment = naive.replace(tzinfo=UTC)
    day = local_date(moment, OSLO)
    assert start_of(day, OSLO) <= moment < start_of(next_day(day), OSLO)


@given(st.dates(date(1981, 1, 1), date(2100, 1, 1)))
def test_just_before_midnight_is_the_day_before(day: date) -> None:
    midnight = start_of(day, OSLO).astimezone(UTC)
    assert local_date(midnight, OSLO) == day
    assert local_date(midnight - timedelta(microseconds=1), OSLO) == day - DAY


def test_a_date_is_its_own() -> None:
    assert local_date(date(2024, 2, 29), OSLO) == date(2024, 2, 29)


@given(st.integers(0, 9999), st.integers(0, 99999))
def test_a_period_reads_back_as_it_is_written(months: int, count: int) -> None:
    period = Period(months, count)
    if period == Period():
        return
    assert Period.parse(str(period)) == period


@pytest.mark.parametrize(
    ("text", "months", "days_", "written"),
    [
        ("P1Y", 12, 0, "P1Y"),
        ("P26M", 26, 0, "P26M"),
        ("P42M", 42, 0, "P3Y6M"),
        ("P24M", 24, 0, "P2Y"),
        ("P1Y1M", 13, 0, "P13M"),
        ("P3Y6M", 42, 0, "P3Y6M"),
        ("P90D", 0, 90, "P90D"),
        ("P2W", 0, 14, "P14D"),
        ("P1Y2M3W4D", 14, 25, "P14M25D"),
    ],
)
def test_iso_periods_are_understood(text: str, months: int, days_: int, written: str) -> None:
    assert Period.parse(text) == Period(months, days_)
    assert str(Period.parse(text)) == written


@pytest.mark.parametrize(
    "text", ["", "P", "1 year", "P1", "PT1H", "P1DT1H", "-P1Y", "P-1Y", "p1y", "P1D1Y", "P1.5Y", " P1Y", "P1Y\n"]
)
def test_what_is_no_period_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="expected a period in ISO 8601, for example"):
        Period.parse(text)


@pytest.mark.parametrize("text", ["P0D", "P0Y", "P0Y0M0W0D"])
def test_a_period_of_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="longer than nothing"):
        Period.parse(text)


def test_a_period_past_the_last_date_never_ends() -> None:
    assert not is_due(date(9999, 12, 31), Period(12), date(9999, 12, 31))
    assert not is_due(date(9990, 1, 1), Period(12 * 999), date(9999, 12, 31))
