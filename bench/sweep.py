"""Measure 1: half of three million rows by blocks, against one bare DELETE, the usual loop, and a whole partition."""

from __future__ import annotations

from collections.abc import Iterator

from bench.deleting import Deleting
from bench.estate import Calls
from bench.figures import Figure, beside, faster, in_turn
from bench.server import Server
from lethe.model import Way


def measure(server: Server, quick: bool) -> Iterator[Figure]:
    """Act against the bare DELETE and the loop; VACUUM beside; a partition dropped against its rows deleted."""
    rows = 300_000 if quick else 3_000_000
    calls = Calls("sweep", rows, rows // 2, odd=True)
    calls.make(server)
    runs = Deleting(server, calls, Way.BLOCKS)
    ours, bare = zip(*in_turn(2 if quick else 5, runs.act, runs.bare), strict=True)
    yield faster(f"sweep: {calls.due:,} of {rows:,} rows, speed against one DELETE", ours, bare, 0.9)
    vacuums = runs.vacuums
    yield beside("VACUUM (ANALYZE) after it, time", vacuums["ours"], vacuums["bare"])
    ours, loop = zip(*in_turn(1 if quick else 3, runs.act, runs.loop), strict=True)
    yield faster("sweep, speed against the loop `ctid IN (SELECT … LIMIT 10000)`", ours, loop, 1.8)
    server.drop(calls.name)
    yield from _partition(server, quick)


def _partition(server: Server, quick: bool) -> Iterator[Figure]:
    rows = 300_000 if quick else 3_000_000
    calls = Calls("partitions", rows, rows // 2, partitioned=True)
    calls.make(server)
    runs = Deleting(server, calls, Way.PARTITION)
    ours, bare, drop = zip(*in_turn(2 if quick else 5, runs.act, runs.bare, runs.drop), strict=True)
    yield faster(f"partition drop: {calls.due:,} rows, speed against one DELETE", ours, bare, 100)
    yield beside("partition drop, time against a bare DETACH and DROP", ours, drop)
    yield beside("bare DETACH and DROP, time against one DELETE", drop, bare)
    server.drop(calls.name)
