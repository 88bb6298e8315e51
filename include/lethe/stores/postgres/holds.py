"""A store's mirror of the holds: what its batches read, brought up to the register while none of them is at work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import psycopg
from psycopg.sql import SQL

from lethe.evidence.leaf import hold_leaf
from lethe.holds import Open
from lethe.model import Dataset
from lethe.sql import queries
from lethe.stores.postgres.apply import HOLDS_LOCK
from lethe.stores.postgres.connection import Connection, telling
from lethe.stores.postgres.live import read_dataset
from lethe.stores.postgres.outbox import Conn, take_place, write
from lethe.stores.postgres.predicate import key_text, plain, table_name
from lethe.stores.postgres.verdicts import among_keys

_SQL = queries("holds")

PATIENCE = "2min"
"""How long a hold waits for the batches that are at work: each looks at the holds once, when it begins."""


class Mirror:
    """The mirror in one store; errors are StoreError."""

    def __init__(self, connection: Connection, guard: Callable[[], None]) -> None:
        """`guard` raises what speaks against writing in this database."""
        self._connection, self._guard = connection, guard

    @property
    def store(self) -> Connection:
        """The database that errors name."""
        return self._connection

    @telling
    def has_row(self, dataset: Dataset, key: str) -> bool:
        """Whether the dataset has a row whose key reads exactly like this."""
        return has_row(self._connection.get(), dataset, key)

    @telling
    def behind(self, targets: Sequence[Open]) -> int:
        """How many of the targets the mirror lacks, or has not let go of: the next plan sees to them first."""
        return len(_wrong(self._connection.get(), targets))

    @telling
    def bring_up(self, targets: Sequence[Open], run: str) -> tuple[Open, ...]:
        """Put what is missing, take off what was released, each with its leaf; the targets that came to rest by it.

        No batch is at work meanwhile, and whichever begins after it sees what was put. A hold that the register does
        not know stays: nobody has said that it is over.
        """
        conn = self._connection.get()
        if wrong := _wrong(conn, targets):
            self._guard()
            with conn.transaction():
                conn.execute(_SQL["lock"], {"timeout": PATIENCE, "lock": HOLDS_LOCK})
                for target in wrong:
                    _settle(conn, target, run)
        return tuple(_news(targets))


def has_row(conn: Conn, dataset: Dataset, key: str) -> bool:
    """Whether the dataset has a row whose key reads exactly like this; an open transaction is over when it has none."""
    table = read_dataset(conn, dataset)
    if table is None:
        return False
    query = SQL("SELECT EXISTS (SELECT FROM {} AS t WHERE {} AND {} = %(key)s)").format(
        table_name(dataset), among_keys(dataset, table), plain(key_text(dataset, "t"))
    )
    try:
        found = conn.execute(query, {"keys": [key], "key": key}).fetchone()
    except psycopg.DataError:  # not even of the key's type
        return False
    return bool(found and found[0])


def _wrong(conn: Conn, targets: Sequence[Open]) -> list[Open]:
    there = {tuple(row) for row in conn.execute(_SQL["mirror"]).fetchall()}
    return [target for target in targets if (_row(target) in there) == target.released]


def _settle(conn: Conn, target: Open, run: str) -> None:
    dataset, key, kind, hold = _row(target)
    params = {"dataset": dataset, "key": key, "kind": kind, "hold": hold}
    if conn.execute(_SQL["take_off" if target.released else "put"], params).rowcount:
        place = take_place(conn)
        leaf = hold_leaf(target, place, run)
        write(conn, place, f"hold/{hold}/{target.number}/{leaf['state']}/{place.seq}", leaf)


def _news(targets: Sequence[Open]) -> Iterator[Open]:
    for target in targets:
        if not (target.lifted if target.released else target.in_force):
            yield target


def _row(target: Open) -> tuple[str, str, str, str]:
    return target.dataset, target.key, target.because.kind, target.hold
