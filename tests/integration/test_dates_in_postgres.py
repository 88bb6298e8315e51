# ruff: noqa: S311 - dates are drawn, nothing is encrypted
"""PostgreSQL's calendar and ours, over thousands of dates in a few statements."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from demo.postgres import Postgres
from lethe.deadlines import Period, cutoff, is_due, last_day, local_date, next_day, start_of

OSLO = ZoneInfo("Europe/Oslo")
CASES = 5_000


@pytest.fixture
def connection(server: Postgres) -> Any:
    with psycopg.connect(server.conninfo("postgres", "postgres", "admin"), autocommit=True) as opened:
        opened.execute("SET timezone = 'UTC'")
        yield opened


def _ask(connection: psycopg.Connection, query: str, columns: dict[str, str], rows: list[tuple[Any, ...]]) -> list[Any]:
    """The query's answer for each row, in their order; `given` holds them."""
    connection.execute("DROP TABLE IF EXISTS given")
    definition = ", ".join(f"{name} {type_}" for name, type_ in columns.items())
    connection.execute(f"CREATE TEMP TABLE given (n serial, {definition})")
    with connection.cursor().copy(f"COPY given ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    return [found for (found,) in connection.execute(f"SELECT {query} FROM given ORDER BY n").fetchall()]


def _day(rng: random.Random) -> date:
    """Any day of two centuries, often near the end of a month."""
    day = date(1950, 1, 1) + timedelta(days=rng.randrange(60_000))
    return day if rng.random() < 0.5 else day.replace(day=1) + timedelta(days=rng.randint(-3, 1))


def _period(rng: random.Random) -> Period:
    return Period(
        rng.choice([0, 1, 6, 12, 26, 42, 60, rng.randint(1, 400)]), rng.choice([0, 0, 1, 90, rng.randint(1, 400)])
    )


def test_the_last_day_is_what_date_plus_interval_gives(connection: psycopg.Connection) -> None:
    rng = random.Random(1)
    rows = [(_day(rng), _period(rng)) for _ in range(CASES)]
    given = [(day, str(period) if period != Period() else "P0D") for day, period in rows]
    found = _ask(connection, "(start + keep)::date", {"start": "date", "keep": "interval"}, given)
    assert found == [last_day(day, period) for day, period in rows]


def test_due_and_cutoff_are_what_date_plus_interval_before_today_gives(connection: psycopg.Connection) -> None:
    """The days around each cutoff, where a wrong one shows."""
    rng = random.Random(2)
    rows = []
    for _ in range(CASES):
        today, period = _day(rng), _period(rng)
        period = period if period != Period() else Period(12)
        rows.append((cutoff(today, period) + timedelta(days=rng.randint(-2, 3)), period, today))
    given = [(start, str(period), today) for start, period, today in rows]
    columns = {"start": "date", "keep": "interval", "today": "date"}
    found = _ask(connection, "(start + keep)::date < today", columns, given)
    assert found == [is_due(*row) for row in rows]
    assert found == [start <= cutoff(today, period) for start, period, today in rows]
    assert 0.2 < sum(found) / CASES < 0.8


def _moment(rng: random.Random) -> datetime:
    """Any moment since 1980, often near a midnight or an hour in which clocks change."""
    day = date(1981, 1, 1) + timedelta(days=rng.randrange(20_000))
    if rng.random() < 0.3:
        month, hour = rng.choice([(3, 1), (10, 1)])
        last = date(day.year, month, 31)
        change = datetime(day.year, month, 31 - (last.weekday() + 1) % 7, hour, tzinfo=UTC)
        return change + timedelta(minutes=rng.randint(-180, 180))
    midnight = start_of(day, rng.choice([OSLO, ZoneInfo("UTC")])).astimezone(UTC)
    return midnight + timedelta(microseconds=rng.choice([-1, 0, 1, rng.randrange(86_400_000_000)]))


def test_a_moments_date_is_what_at_time_zone_gives(connection: psycopg.Connection) -> None:
    rng = random.Random(3)
    rows = [_moment(rng) for _ in range(CASES)]
    found = _ask(connection, "(at AT TIME ZONE 'Europe/Oslo')::date", {"at": "timestamptz"}, [(at,) for at in rows])
    assert found == [local_date(at, OSLO) for at in rows]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Oslo", "America/New_York", "Asia/Kolkata"])
def test_a_time_without_zone_has_the_date_that_both_zones_give(connection: psycopg.Connection, zone: str) -> None:
    """The hour that there is twice, and the one that there is not, included."""
    rng = random.Random(zone)
    rows = [_moment(rng).replace(tzinfo=None) for _ in range(CASES)]
    query = f"(at AT TIME ZONE '{zone}' AT TIME ZONE 'Europe/Oslo')::date"
    found = _ask(connection, query, {"at": "timestamp"}, [(at,) for at in rows])
    assert found == [local_date(at, OSLO, ZoneInfo(zone)) for at in rows]


def test_up_to_a_day_is_before_the_start_of_the_next(connection: psycopg.Connection) -> None:
    """What an index can serve, a comparison with one moment, says the same as the date of each moment."""
    rng = random.Random(4)
    rows = [
        (at, local_date(at, OSLO) + timedelta(days=rng.randint(-1, 1))) for at in (_moment(rng) for _ in range(CASES))
    ]
    given = [(at, day, start_of(next_day(day), OSLO)) for at, day in rows]
    query = "(at < bound) = ((at AT TIME ZONE 'Europe/Oslo')::date <= day)"
    assert all(_ask(connection, query, {"at": "timestamptz", "day": "date", "bound": "timestamptz"}, given))
