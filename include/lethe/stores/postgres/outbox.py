"""The outbox of a PostgreSQL database: leaves go in with their deeds, and come out in the order of their numbers.

A place is taken last before the commit, under a row lock that is held until then. So numbers become visible in order:
whoever has read up to a number misses nothing below it, and a number that is missing was removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import psycopg
from psycopg import errors

from lethe.errors import Forked, StoreRefused
from lethe.evidence.leaf import Leaf, Place, canonical
from lethe.sql import queries
from lethe.stores.postgres.connection import Connection, telling

_SQL = queries("outbox")

_BLOCK = 5_000
"""Leaves that the server puts together into one text: the driver takes longer over a row than over its bytes."""

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
    def connection(self) -> Connection:
        """Where it is written."""
        return self._connection

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
        """At most `limit` leaves after a place, in order, each a line of store, epoch, seq and leaf between tabs."""
        lines = list[bytes]()
        with self._connection.get().cursor(binary=True) as cursor:
            while len(lines) < limit:  # in blocks that the server sorts nothing for
                params = {"epoch": epoch, "seq": seq, "limit": min(_BLOCK, limit - len(lines))}
                block = lines_of(self.name, cursor.execute(_SQL["lines_after"], params))
                if not block:
                    break
                lines += block
                epoch, seq = place_of(block[-1])
        return lines

    @telling
    def write_once(self, key: str, leaf: Callable[[Place], Leaf]) -> bool:
        """Write a leaf in a transaction of its own; False when one with this key was written before."""
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
    def last_before(self, epoch: int, seq: int) -> tuple[int, int, str] | None:
        """The last place before this one that holds a leaf, and the leaf."""
        return self._connection.get().execute(_SQL["last_before"], {"epoch": epoch, "seq": seq}).fetchone()

    @telling
    def held(self) -> dict[int, int]:
        """The last number that is here of each epoch; an epoch that a backup knew nothing of is missing."""
        return dict(self._connection.get().execute(_SQL["held"]).fetchall())

    @telling
    def begin_epoch(self, published: int, shared: tuple[int, int], leaf: Callable[[Place], Leaf]) -> tuple[Place, int]:
        """Begin an epoch later than the published one, with a leaf that says why, right after the place `shared`.

        What was written after `shared` takes places behind that leaf. Gives the leaf's place and how many these were.
        Only the owner may do it: StoreRefused for anybody else.
        """
        conn = self._connection.get()
        try:
            with conn.transaction():
                place = Place(*_row(conn, "begin_epoch", published=published, shared=shared[1]))
                params = {"epoch": shared[0], "seq": shared[1]}
                strayed = sorted(conn.execute(_SQL["take_out"], params).fetchall())
                write(conn, place, f"restore/{place.epoch}", leaf(place))
                _replace(conn, place, shared, strayed)
        except errors.InsufficientPrivilege:
            raise StoreRefused(
                f"{self.name}: found a sign-in that may not declare a restore, expected the database's owner: for "
                "this one command, let the connection sign in as the owner"
            ) from None
        return place, len(strayed)


def _replace(conn: Conn, first: Place, shared: tuple[int, int], strayed: list[tuple[int, int, str, str]]) -> None:
    """Leaves go from their places after `shared` into those after `first`; a number that was missing still is."""
    (epoch, seq), at = shared, first.seq
    for old_epoch, old_seq, key, leaf in strayed:
        at += old_seq - seq if old_epoch == epoch else 1
        epoch, seq = old_epoch, old_seq
        here = {"epoch": first.epoch, "seq": at}
        conn.execute(_SQL["write"], {**here, "key": key, "leaf": _elsewhere(leaf, first.store, (epoch, seq), here)})
        conn.execute(_SQL["move_receipts"], {**here, "old_epoch": epoch, "old_seq": seq})
    conn.execute(_SQL["go_on_from"], {"seq": at})


def _elsewhere(leaf: str, store: str, place: tuple[int, int], here: Mapping[str, int]) -> str:
    """The leaf as it reads in another place; Forked when it does not say itself that it is in this one."""
    told = '"outbox":{{"epoch":{},"seq":{},"store":"{}"}}'
    if (own := told.format(*place, store)) not in leaf:
        raise Forked(f"outbox {store}: number {place[1]} of epoch {place[0]} holds no leaf that was written there")
    return leaf.replace(own, told.format(here["epoch"], here["seq"], store))


def place_of(line: bytes) -> tuple[int, int]:
    """The epoch and number of a line as leaves_after() gives it."""
    _, epoch, seq, _ = line.split(b"\t", 3)
    return int(epoch), int(seq)


def lines_of(database: str, blocks: Iterable[tuple[bytes, int]]) -> list[bytes]:
    """The lines of texts that the server put together of so many leaves; Forked when a leaf is not one line."""
    lines = list[bytes]()
    for block, count in blocks:
        found = block.splitlines(keepends=True)
        if len(found) != count:
            raise Forked(f"{database}: a row holds more than one leaf; it was changed after it was written")
        lines += found
    return lines


def _row(conn: Conn, query: str, **params: Any) -> tuple[Any, ...]:
    row = conn.execute(_SQL[query], params).fetchone()
    assert row is not None
    return row
