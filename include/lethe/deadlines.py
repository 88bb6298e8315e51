"""Calendar arithmetic of deadlines: pure, by calendar date, no clock of its own.

A period that starts on a local date ends when its last day, date + period, is over (Regulation (EEC, Euratom) 1182/71,
article 3); what it protects falls due when the day after begins. Comparing dates instead of times of day is what makes
a single cutoff possible: two moments around the end of February would otherwise swap their order one year on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

_ISO_PERIOD = re.compile(r"P(?=\d)(?:(\d{1,3})Y)?(?:(\d{1,4})M)?(?:(\d{1,4})W)?(?:(\d{1,5})D)?")
_ONE_DAY = timedelta(days=1)


class Unbounded(Enum):
    """PostgreSQL's `-infinity` and `infinity`, which no Python date can hold."""

    PAST = "-infinity"
    FUTURE = "infinity"


Moment = date | datetime | Unbounded | None


@dataclass(frozen=True)
class Period:
    """A calendar period such as P26M, P1Y6M or P90D; `months` are added first, then `days` (ISO 8601)."""

    months: int = 0
    days: int = 0

    @classmethod
    def parse(cls, text: str) -> Period:
        """Read an ISO 8601 period of years, months, weeks and days; ValueError when it is none, or is empty."""
        match = _ISO_PERIOD.fullmatch(text)
        if match is None:
            raise ValueError(f'found "{text}", expected a period in ISO 8601, for example P1Y, P26M or P90D')
        years, months, weeks, days = (int(part or 0) for part in match.groups())
        period = cls(years * 12 + months, weeks * 7 + days)
        if period == cls():
            raise ValueError(f'found "{text}", expected a period longer than nothing')
        return period

    @property
    def parts(self) -> tuple[int, int, int]:
        """Years, months and days as people say them: years where they are whole or half, else months alone."""
        years, months = divmod(self.months, 12) if self.months % 6 == 0 else (0, self.months)
        return years, months, self.days

    def __str__(self) -> str:
        """The ISO 8601 form that people expect: P1Y, P3Y6M, but P26M."""
        return "P" + "".join(f"{number}{unit}" for number, unit in zip(self.parts, "YMD", strict=True) if number)


@dataclass(frozen=True)
class YearEnd:
    """The last day of an organisation's fiscal year; a day past the month's end means its last day."""

    month: int = 12
    day: int = 31

    def of(self, day: date) -> date:
        """The end of the fiscal year that `day` lies in."""
        end = self.in_year(day.year)
        return end if day <= end else self.in_year(day.year + 1)

    def in_year(self, year: int) -> date:
        """The fiscal year's end in one calendar year."""
        return date(year, 1, 1) + relativedelta(month=self.month, day=self.day)


def last_day(start: date, period: Period) -> date:
    """The last day of the period; a day that the last month lacks becomes that month's last one."""
    return start + relativedelta(months=period.months, days=period.days)


def is_due(start: date, period: Period, today: date) -> bool:
    """True from the day after the period's last day."""
    try:
        return last_day(start, period) < today
    except (OverflowError, ValueError):  # past the year 9999: such a period never ends
        return False


def cutoff(today: date, period: Period) -> date:
    """The latest start date whose period is over: a start is due exactly when it is not after this date."""
    day = today - relativedelta(months=period.months) - timedelta(days=period.days)
    while not is_due(day, period, today):
        day -= _ONE_DAY
    while is_due(day + _ONE_DAY, period, today):  # several days of a long month can share one last day
        day += _ONE_DAY
    return day


def fiscal_cutoff(today: date, period: Period, year_end: YearEnd) -> date:
    """The latest start date whose fiscal year's end plus the period is over (bookkeeping act § 13: R13)."""
    latest = cutoff(today, period)
    end = year_end.in_year(latest.year)
    return end if end <= latest else year_end.in_year(latest.year - 1)


def local_date(moment: date | datetime, zone: ZoneInfo, unzoned: ZoneInfo | None = None) -> date:
    """The calendar date of a moment in `zone`; a time without zone is read in `unzoned`, else ValueError."""
    if not isinstance(moment, datetime):
        return moment
    if moment.tzinfo is None:
        if unzoned is None:
            raise ValueError("found a time without zone, expected the policy to declare its zone")
        moment = moment.replace(tzinfo=unzoned)
    return moment.astimezone(zone).date()


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a calendar date in `zone`."""
    return datetime.combine(day, time(), tzinfo=zone)


def next_day(day: date) -> date:
    """The day after."""
    return day + _ONE_DAY
