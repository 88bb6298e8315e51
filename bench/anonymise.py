"""Measure 9: half of three million rows anonymised by blocks, against one bare UPDATE that sets the same."""

from __future__ import annotations

from collections.abc import Iterator

from bench.deleting import Deleting
from bench.estate import Calls, Prepared
from bench.figures import Figure, beside, faster, in_turn
from bench.server import Server
from lethe.model import Way

_THEN = (
    "{anonymise: {caller: {constant: borte}, answered_by: blank, duration_s: {generalise: {band: 60}}, note: delete}}"
)
_UPDATE = (
    "UPDATE call_log SET caller = 'borte', answered_by = NULL, duration_s = duration_s / 60 * 60, note = NULL"
    " WHERE {due}"
)


class Changing(Deleting):
    """The same runs where the rows stay, and lose their people."""

    def __init__(self, server: Server, calls: Calls) -> None:
        super().__init__(server, calls, Way.BLOCKS)
        self.due += " AND caller <> 'borte'"

    def _delete(self, site: Prepared) -> None:
        with self.server.connect(site.database) as connection:
            connection.execute("SET enable_indexscan = off; SET enable_bitmapscan = off")  # as for the DELETE
            connection.execute(_UPDATE.format(due=self.due))


def measure(server: Server, quick: bool) -> Iterator[Figure]:
    """Act against the bare UPDATE; VACUUM beside."""
    rows = 300_000 if quick else 3_000_000
    calls = Calls("anonymise", rows, rows // 2, odd=True, then=_THEN)
    calls.make(server)
    runs = Changing(server, calls)
    ours, bare = zip(*in_turn(2 if quick else 5, runs.act, runs.bare), strict=True)
    yield faster(f"anonymising {calls.due:,} of {rows:,} rows, speed against one UPDATE", ours, bare, 0.9)
    yield beside("VACUUM (ANALYZE) after it, time", runs.vacuums["ours"], runs.vacuums["bare"])
    server.drop(calls.name)
