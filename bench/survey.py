"""Measure 3: a plan against the one statement in which a skilled person would count the same."""

from __future__ import annotations

from collections.abc import Iterator

from bench.estate import CUTOFF, NOW, RULE, RUN, Calls, fresh_state, prepared
from bench.figures import Figure, in_turn, seconds, within
from bench.server import Server

# The same question: how many rows are due and how many are kept for which reason, oldest and newest of those due.
BARE = f"""
SELECT count(*) FILTER (WHERE started_at < '{CUTOFF}' AND status <> 'dispute') AS due,
       count(*) FILTER (WHERE started_at >= '{CUTOFF}' AND started_at < '2025-03-01 23:00:00+00') AS not_due,
       count(*) FILTER (WHERE started_at IS NULL OR started_at = '-infinity') AS undated,
       count(*) FILTER (WHERE started_at >= '2025-03-01 23:00:00+00') AS future,
       count(*) FILTER (WHERE status = 'dispute') AS held,
       min(started_at) FILTER (WHERE started_at < '{CUTOFF}' AND status <> 'dispute') AS oldest,
       max(started_at) FILTER (WHERE started_at < '{CUTOFF}' AND status <> 'dispute') AS newest
FROM call_log
"""  # noqa: S608 - constants of this file


def measure(server: Server, quick: bool) -> Iterator[Figure]:
    """Lethe.plan up to the plan stored, against the bare count; both from nothing connected, on a warm table."""
    rows = 300_000 if quick else 6_000_000
    calls = Calls("survey", rows, rows // 2, odd=True)
    calls.make(server)
    with prepared(server, calls) as site:

        def ours() -> float:
            fresh_state(server)  # else the approved plan of the day is taken up again
            return seconds(plan)

        def plan() -> None:
            with site.lethe() as lethe:
                lethe.plan(RULE, NOW, RUN)

        def bare() -> float:
            return seconds(count)

        def count() -> None:
            with server.connect(site.database) as connection:
                connection.execute(BARE).fetchall()

        times, floors = zip(*in_turn(3 if quick else 9, ours, bare), strict=True)
    yield within(f"plan over {rows:,} rows, time against one bare count", times, floors, 1.5)
    server.drop(calls.name)
