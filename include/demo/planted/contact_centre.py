"""Planted calls (R09), and the statistics they must leave behind."""

from __future__ import annotations

from demo.people import phone
from demo.planted.case import Row, around, due, exempt, kept, number

FEWEST_CALLS = 5  # a day of a queue with fewer calls is not written down: it could point at a caller


def call(n: int, clock: str | None) -> tuple[Row, ...]:
    return calls(n, clock, queue="prøve", count=1)


def calls(n: int, clock: str | None, *, queue: str, count: int) -> tuple[Row, ...]:
    values = {
        "started_at": clock,
        "queue": queue,
        "caller_number": phone(n),
        "duration_s": 100,
        "answered_by": "agent01",
    }
    return tuple(Row("call_log", {"id": number(100 * n + k), **values}, True) for k in range(count))


CALLS = [
    due("due long since", "2024-08-08T12:00:00Z"),
    *around("2024-11-30", "2024-12-01"),
    kept("not_due", "called lately", "2025-02-28T22:59:59Z"),
    kept("future", "future-dated", "2025-03-20T12:00:00Z"),
    *exempt("2024-09-10T12:00:00Z"),
]

GROUPS = [
    due("summer, past midnight in Norway only", "2024-07-14T22:30:00Z", queue="beredskap", count=6),
    due("winter, past midnight in Norway only", "2024-11-10T23:30:00Z", queue="beredskap", count=5),
    due("the hour that comes twice, second time", "2024-10-27T01:30:00Z", queue="beredskap", count=7),
    due("too few to be counted", "2024-09-01T10:00:00Z", queue="beredskap", count=4),
]

# (day, queue) → (calls, seconds), by hand; None: must not be written.
STATISTICS = {
    ("2024-07-15", "beredskap"): (6, 600),
    ("2024-11-11", "beredskap"): (5, 500),
    ("2024-10-27", "beredskap"): (7, 700),
    ("2024-07-14", "beredskap"): None,
    ("2024-11-10", "beredskap"): None,
    ("2024-09-01", "beredskap"): None,
    ("2024-08-08", "prøve"): None,
    ("2024-11-30", "prøve"): None,
    ("2024-12-01", "prøve"): None,
}
