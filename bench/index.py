"""Measures 2 and 5: ten thousand due among millions, by the clock's index."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from bench.deleting import Deleting
from bench.estate import Calls
from bench.figures import Figure, beside, in_turn, within
from bench.server import Server
from lethe.model import Way

DUE = 10_000


def measure(server: Server, quick: bool) -> Iterator[Figure]:
    """Act against the bare indexed DELETE, for rows spread over the table and for rows that lie in a row."""
    rows = 500_000 if quick else 10_000_000
    for layout in ("spread", "in order"):
        calls = Calls("few", rows, DUE, layout=layout, wide=False)
        calls.make(server)
        runs = Deleting(server, calls, Way.INDEX)
        ours, bare = zip(*in_turn(3 if quick else 7, runs.act, runs.bare), strict=True)
        what = f"{DUE:,} due among {rows:,}, {layout}: time against one DELETE by the index"
        yield within(what, ours, bare, 1.3) if layout == "spread" else beside(what, ours, bare)
        server.drop(calls.name)


def scale(server: Server, quick: bool) -> Iterator[Figure]:
    """Act with the same rows due in ever larger tables, against the smallest."""
    sizes = [500_000, 1_000_000] if quick else [1_000_000, 10_000_000, 50_000_000]
    times = []
    for rows in sizes:
        calls = Calls("scale", rows, DUE, layout="in order", wide=False)
        calls.make(server)
        runs = Deleting(server, calls, Way.INDEX)
        times.append([took for (took,) in in_turn(3 if quick else 4, runs.act)])
        server.drop(calls.name)
        if len(times) > 1:
            smallest = [median(times[0])] * len(times[-1])
            yield within(f"{DUE:,} due among {rows:,}, against the same among {sizes[0]:,}", times[-1], smallest, 1.5)
