"""Measure 10: a check through Great Expectations, against importing it and asking the same by hand."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from bench.estate import NOW, Calls, write_policy
from bench.figures import Figure, beside, in_turn, within
from bench.server import Server

GRACE = 1
# What a skilled person would ask to learn the same: rows past their period, what keeps them, and what remains.
BARE = """
SELECT count(*), count(last), count(*) FILTER (WHERE over), count(*) FILTER (WHERE over AND held),
       count(*) FILTER (WHERE over AND NOT held AND last >= date '{today}' - {grace}),
       count(*) FILTER (WHERE over AND NOT held AND last < date '{today}' - {grace})
FROM (
    SELECT last, last < date '{today}' AS over,
           status = 'dispute' OR id::text IN (SELECT key FROM lethe.hold WHERE dataset = 'calls') AS held
    FROM call_log, LATERAL (SELECT (started_at AT TIME ZONE 'Europe/Oslo')::date + 90 AS last) AS l
    WHERE isfinite(started_at) OR started_at IS NULL
) AS asked
"""


def measure(server: Server, quick: bool) -> Iterator[Figure]:
    """Whole processes: what a task of the DAG does, and the least that could answer; and the most memory of ours."""
    rows = 300_000 if quick else 10_000_000
    calls = Calls("checks", rows, rows // 100, odd=True)
    calls.make(server)
    with tempfile.TemporaryDirectory() as directory:
        write_policy(Path(directory), calls)
        address = server.conninfo(calls.name, "lethe_worker")
        peaks, answers = list[int](), set[tuple[int, ...]]()

        def run(how: str) -> float:
            told = json.dumps([how, directory, address, NOW.date().isoformat()])
            command = [sys.executable, "-m", "bench.checks"]
            child = subprocess.run(command, input=told, stdout=subprocess.PIPE, text=True, check=True)
            took, peak, *answer = json.loads(child.stdout.splitlines()[-1])
            answers.add(tuple(answer))
            if how == "ours":
                peaks.append(peak)
            return float(took)

        run("bare")  # the table is warm from here on
        times, floors, asking = zip(
            *in_turn(3, lambda: run("ours"), lambda: run("bare"), lambda: run("question")), strict=True
        )
    assert len(answers) == 1, answers  # all three say the same
    yield within(f"check of {rows:,} rows, time against importing GX and one bare query", times, floors, 1.3)
    yield beside("by itself: importing GX and the check's own query", asking, floors)
    most = max(peaks) / 1024
    yield Figure(f"peak memory of a check of {rows:,} rows", f"{most:.0f} MB", "–", 1, "under 500 MB", most < 500)
    server.drop(calls.name)


def _ask(how: str, directory: str, address: str, today: date) -> tuple[int, ...]:
    """Rows, past their period, held, due and remaining."""
    import psycopg

    from lethe.checks.questions import READING, Question
    from lethe.checks.sight import Seen
    from lethe.checks.suite import Asked, check_store
    from lethe.discovery.look import discover
    from lethe.policy import load

    policy = load(Path(directory))
    (rule,) = policy.rules.values()
    if how == "ours":
        counts = check_store(Asked(policy, "calls", (rule,), today, GRACE), address).rules[0].counts
        assert counts is not None
        discover(policy, "calls", address)  # with it, all that a task of the DAG asks of a store
        return counts.rows, counts.over, counts.kept["held"], counts.due, counts.remaining
    with psycopg.connect(address, autocommit=True, options=READING.replace("pg_catalog", "public")) as connection:
        if how == "question":
            query = Question(policy, rule, today, GRACE, Seen.by(connection).type_of).sql()
            counts = Question.answered(connection.execute(query).fetchone() or ())
            return counts.rows, counts.over, counts.kept["held"], counts.due, counts.remaining
        found = connection.execute(BARE.format(today=today, grace=GRACE)).fetchone()
        assert found is not None
        rows, _, over, held, due, remaining = found
        return rows, over, held, due, remaining


if __name__ == "__main__":
    from time import perf_counter

    from bench.memory import _own_peak

    started = perf_counter()
    asked = json.load(sys.stdin)
    answer = _ask(*asked[:3], date.fromisoformat(asked[3]))
    print(json.dumps([perf_counter() - started, _own_peak(), *answer]))
