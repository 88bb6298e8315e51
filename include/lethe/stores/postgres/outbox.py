"""The outbox of a PostgreSQL database: leaves go in with their deeds, and come out in the order of their numbers.

A place is taken last before the commit, under a row lock that is held until then. So numbers become visible in order:
whoever has read up to a number misses nothing below it, and a number that is missing was removed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg

from lethe.evidence.leaf import Leaf, Place, canonical
from lethe.sql import queries
from lethe.stores.postgres.connection import Connection, telling

_SQL = queries("outbox")

Conn = psycopg.Connection[tuple[Any, ...]]


def take_place(conn: Conn) -> Place:
    """The next place of the outbox, in the transaction that is open; whoever else wants one waits for its end."""
    return Place(*_row(conn, "take_place"))


def write(conn: Conn, place: Place, key: str, leaf: Leaf) -> None:
    """The leaf goes into its place, in the transaction that is open; a key can be used once in an epoch."""
    conn.execute(_SQL["write"], {"epoch": place.epoch, "seq": place.seq, "key": key, "leaf": canonical(leaf)})


def rehearse(conn: Conn) -> None:
    """Write a leaf and take it back: whatever speaks against it is said before anything is done, not after."""
    with conn.transaction(force_rollback=True):
        write(conn, take_place(conn), "rehearsal", {})


class Outbox:
    """The outbox of one database, for whoever is not in the middle of a deed; errors are StoreError."""

    def __init__(self, connection: Connection, guard: Callable[[Outbox], None] = lambda _: None) -> None:
        """`guard` is asked before anything is written here, and raises what speaks against it."""
        self.name = connection.name
        self._connection, self._guard = connection, guard

    @property
    def store(self) -> Outbox:
        """Itself: errors name this database."""
        return self

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def require_open(self) -> None:
        """Raise what speaks against writing here, if anything does."""
        self._guard(self)

    @telling
    def position(self) -> Place:
        """The last place that was taken, and the database's own moment."""
        return Place(*_row(self._connection.get(), "position"))

    @telling
    def waiting_since(self, epoch: int, seq: int) -> datetime | None:
        """When the first leaf after a place was written; None when there is none."""
        params = {"epoch": epoch, "seq": seq}
        found = self._connection.get().execute(_SQL["first_after"], params).fetchone()
        return found[0] if found else None

    @telling
    def leaf_at(self, epoch: int, seq: int) -> str | None:
        """The leaf in a place; None when there is none."""
        found = self._connection.get().execute(_SQL["at"], {"epoch": epoch, "seq": seq}).fetchone()
        return str(found[0]) if found else None

    @telling
    def leaves_after(self, epoch: int, seq: int, limit: int) -> list[bytes]:
        """At most `limit` leaves after a place, in order, each a line of COPY's text form: store, epoch, seq, leaf."""
        params = {"epoch": epoch, "seq": seq, "limit": limit}
        with self._connection.get().cursor() as cursor, cursor.copy(_SQL["copy_after"], params) as lines:
            return [bytes(line) for line in lines]

    @telling
    def write_once(self, key: str, leaf: Callable[[Place], Leaf]) -> bool:
        """Write a leaf in a transaction of its own; False when one with this key was written before in this epoch."""
        self.require_open()
        conn = self._connection.get()
        with conn.transaction():
            place = take_place(conn)  # before the question: nobody else writes in between
            new = not _row(conn, "is_written", key=key)[0]
            if not new:
                raise psycopg.Rollback
            write(conn, place, key, leaf(place))
        return new

    @telling
    def begin_epoch(self, published: int, key: str, leaf: Callable[[Place], Leaf]) -> Place:
        """Begin an epoch later than any that was published, with a leaf that says why; its first place."""
        conn = self._connection.get()
        with conn.transaction():
            place = Place(*_row(conn, "begin_epoch", published=published))
            write(conn, place, key, leaf(place))
        return place


def _row(conn: Conn, query: str, **params: Any) -> tuple[Any, ...]:
    row = conn.execute(_SQL[query], params).fetchone()
    assert row is not None
    return row
