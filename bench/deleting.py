"""The runs that are timed, ours and the floors, each on a fresh copy that a plan was made over just before."""

from __future__ import annotations

from collections.abc import Callable

from bench.estate import CUTOFF, NOW, RUN, Calls, Prepared, prepared
from bench.figures import seconds
from bench.server import Server
from lethe.model import Way

LOOP_ROWS = 10_000
"""What people commonly write after LIMIT."""

_COUNT = "SELECT count(*) FROM call_log WHERE {due}"
_DELETE = "DELETE FROM call_log WHERE {due}"
_LOOP = "DELETE FROM call_log WHERE ctid IN (SELECT ctid FROM call_log WHERE {due} LIMIT {rows})"


class Deleting:
    """Runs that each give the seconds of the deed; those of the VACUUM after it collect beside."""

    def __init__(self, server: Server, calls: Calls, way: Way) -> None:
        self.server, self.calls, self.way = server, calls, way
        self.vacuums: dict[str, list[float]] = {"ours": [], "bare": []}
        held = " AND status <> 'dispute'" if calls.odd else ""
        self.due = f"started_at < '{CUTOFF}'{held}"  # as somebody would write it who knows this table

    def act(self) -> float:
        """Lethe.act over all shards, from nothing connected: the plan read back, each check, the deed, its evidence."""
        return self._timed(self._act, "ours", self._finish)

    def bare(self) -> float:
        """One DELETE, from nothing connected."""
        return self._timed(self._delete, "bare", self._vacuum)

    def loop(self) -> float:
        """The usual loop: so many rows at a time by ctid IN (SELECT … LIMIT), each in a transaction of its own."""
        return self._timed(self._delete_in_turns, "", lambda _: None)

    def drop(self) -> float:
        """The partition taken off and dropped by hand, nobody looking into it."""
        return self._timed(self._drop, "", lambda _: None)

    def _timed(self, deed: Callable[[Prepared], None], who: str, after: Callable[[Prepared], None]) -> float:
        with prepared(self.server, self.calls) as site:
            assert {shard.way for shard in site.plan.survey.shards} == {self.way}, site.plan.survey.shards
            took = seconds(lambda: deed(site))
            self.vacuums.setdefault(who, []).append(seconds(lambda: after(site)))
            with self.server.connect(site.database) as connection:
                left = connection.execute(_COUNT.format(due=self.due)).fetchone()
            assert left == (0,), left
        return took

    def _act(self, site: Prepared) -> None:
        with site.lethe() as lethe:
            for shard in site.plan.survey.shards:
                lethe.act(site.plan.digest, shard.number, NOW, RUN)

    def _finish(self, site: Prepared) -> None:
        with site.lethe() as lethe:
            lethe.finish(site.plan.digest, NOW, RUN)

    def _delete(self, site: Prepared) -> None:
        with self.server.connect(site.database) as connection:
            if self.way is Way.BLOCKS:  # left alone, the planner takes the clock's index here and needs twice the time
                connection.execute("SET enable_indexscan = off; SET enable_bitmapscan = off")
            connection.execute(_DELETE.format(due=self.due))

    def _delete_in_turns(self, site: Prepared) -> None:
        with self.server.connect(site.database) as connection:
            while connection.execute(_LOOP.format(due=self.due, rows=LOOP_ROWS)).rowcount:
                pass

    def _drop(self, site: Prepared) -> None:
        with self.server.connect(site.database) as connection:
            connection.execute("ALTER TABLE call_log DETACH PARTITION call_log_old CONCURRENTLY")
            connection.execute("DROP TABLE call_log_old")

    def _vacuum(self, site: Prepared) -> None:
        with self.server.connect(site.database) as connection:
            connection.execute("VACUUM (ANALYZE) call_log")
