"""The log: all leaves in one order, under a Merkle tree (RFC 6962), in the database lethe_evidence.

Leaves are added by one process at a time, in transactions that hold leaves and nodes alike. What is signed is a matter
of seal.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from time import monotonic, sleep
from typing import Any, NamedTuple

import psycopg

from lethe.errors import EvidenceError, Forked
from lethe.evidence.outside import Position
from lethe.evidence.tree import Frontier, leaf_hash, root_at
from lethe.sql import queries
from lethe.stores.postgres.connection import Connection, tell, telling
from lethe.stores.postgres.outbox import lines_of

EVIDENCE_CONNECTION = "lethe_evidence"

_SQL = queries("log")
_LOCK = 0x4C45_5448_4C4F_4700
_CHUNK = 5_000
"""Leaves that are read at a time."""
BUSY_SECONDS = 120.0
_HASH = 32
_BLOCK = 1_000
"""Leaves that are written at a time."""
_PARTS = 4


class Sealed(NamedTuple):
    """A signed checkpoint as the log keeps it."""

    size: int
    root: bytes
    note: str
    at: datetime


class Anchored(NamedTuple):
    """A checkpoint of this size that was brought outside, and what came back."""

    anchor: str
    kind: str
    size: int
    token: bytes | None
    at: datetime


class Log:
    """The database lethe_evidence through the connection it is given; errors are StoreError or EvidenceError."""

    name = EVIDENCE_CONNECTION

    def __init__(self, conninfo: str) -> None:
        self._connection = Connection(self.name, conninfo)
        self._locked: psycopg.Connection[tuple[Any, ...]] | None = None

    @property
    def store(self) -> Log:
        """Itself: errors name this database."""
        return self

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @telling
    def size(self) -> int:
        """How many leaves there are."""
        return int(self._one("size")[0])

    @telling
    def positions(self) -> dict[str, Position]:
        """The last place that was taken over from each outbox, by store id."""
        found = self._connection.get().execute(_SQL["positions"]).fetchall()
        return {store: (epoch, seq) for store, epoch, seq in found}

    @telling
    def positions_before(self, size: int) -> dict[str, Position]:
        """The same of the first `size` leaves."""
        return {store: (epoch, seq) for store, epoch, seq in self._all("positions_before", size=size)}

    @telling
    def leaves_of(self, store: str, kind: str, beyond: Mapping[int, int]) -> list[dict[str, Any]]:
        """The leaves of a kind from one outbox, with numbers higher than `beyond` says of their epoch."""
        params = {"store": store, "kind": kind, "epochs": list(beyond), "numbers": list(beyond.values())}
        return [json.loads(leaf) for (leaf,) in self._all("leaves_of", **params)]

    @telling
    def leaf_from(self, store: str, place: Position) -> str | None:
        """The leaf that was taken over from a place of an outbox."""
        params = {"store": store, "epoch": place[0], "seq": place[1]}
        found = self._connection.get().execute(_SQL["place"], params).fetchone()
        return str(found[0]) if found else None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else adds or signs meanwhile; EvidenceError when somebody is at it and does not come to an end."""
        deadline = monotonic() + BUSY_SECONDS
        while not self._try_lock():
            if monotonic() > deadline:
                raise EvidenceError(f"{self.name}: another run is sealing since {BUSY_SECONDS:.0f} s; try again later")
            sleep(0.1)
        self._locked = self._connection.get()
        try:
            yield
        finally:
            self._locked = None
            self._unlock()

    @telling
    def _try_lock(self) -> bool:
        return bool(self._one("try_lock", lock=_LOCK)[0])

    def _unlock(self) -> None:
        with suppress(psycopg.Error):  # a lost connection has given it up already
            self._one("unlock", lock=_LOCK)

    @telling
    def append(self, lines: list[bytes]) -> None:
        """Add leaves in the order given, as Outbox.leaves_after() gives them, all or none; to be called alone().

        Forked for a line whose leaf does not say itself that it was written there.
        """
        conn, hashes = self._connection.get(), list[bytes]()
        if conn is not self._locked:
            raise EvidenceError(f"{self.name}: the connection was lost, and with it the lock on the log; run again")
        with conn.transaction():
            size = int(self._one("size")[0])
            frontier = Frontier.at(size, self.node)
            conn.execute(_SQL["as_writer"])
            with conn.cursor() as cursor, cursor.copy(_SQL["copy_in"]) as rows:
                for first in range(0, len(lines), _BLOCK):  # the server takes one in while the next is hashed
                    block = lines[first : first + _BLOCK]
                    hashes += [leaf_hash(_own(line)) for line in block]
                    rows.write(b"".join([b"%d\t%b" % numbered for numbered in enumerate(block, size + first)]))
            conn.execute(_SQL["as_integrator"])
            for level, first, nodes in [(0, size, hashes), *frontier.extend(hashes)]:
                params = {"level": level, "first": first, "hashes": b"".join(nodes)}
                conn.execute(_SQL["add_nodes"], params)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """What is added meanwhile is kept all together, or not at all when an error is raised."""
        try:
            with self._connection.get().transaction():
                yield
        except psycopg.Error as error:
            problem = tell(self.name, error)
        else:
            return
        raise problem

    @telling
    def node(self, level: int, index: int) -> bytes:
        """The hash of a complete node; EvidenceError when it is not there."""
        found = self._connection.get().execute(_SQL["node"], {"level": level, "index": index}).fetchone()
        if found is None or len(found[0]) != _HASH:
            raise EvidenceError(
                f"{self.name}: node {index} of level {level} is missing; restore the database from a backup, then "
                "`lethe restore log`"
            )
        return bytes(found[0])

    @telling
    def root(self, size: int) -> bytes:
        """The root of the first `size` leaves, from the nodes as they are stored."""
        return root_at(size, self.node)

    def leaves(self, first: int, end: int) -> Iterator[bytes]:
        """The leaves from `first` to before `end`, each with a line feed at its end."""
        for start in range(first, end, _CHUNK):
            yield from self._leaves(start, min(start + _CHUNK, end))

    @telling
    def _leaves(self, first: int, end: int) -> list[bytes]:
        params = {"first": first, "end": end}
        with self._connection.get().cursor(binary=True) as cursor:
            return lines_of(self.name, cursor.execute(_SQL["lines"], params))

    @telling
    def hashes(self, first: int, end: int) -> bytes:
        """The leaf hashes from `first` to before `end` as they are stored, one after the other."""
        found = bytearray()
        for start, hashes in self._connection.get().execute(_SQL["hashes"], {"level": 0, "first": first, "end": end}):
            found += hashes[max(0, first - start) * _HASH : (end - start) * _HASH]
        return bytes(found)

    @telling
    def add_checkpoint(self, size: int, root: bytes, note: str) -> None:
        """Keep a signed checkpoint; nothing when one of this size is there."""
        self._add("add_checkpoint", size=size, root=root, note=note)

    @telling
    def checkpoints(self, size: int = 0) -> tuple[Sealed, ...]:
        """The signed checkpoints from a size on, smallest first."""
        return tuple(Sealed(*row) for row in self._all("checkpoints", size=size))

    @telling
    def last_checkpoint(self) -> Sealed | None:
        """The largest signed checkpoint."""
        return next((Sealed(*row) for row in self._all("last_checkpoint")), None)

    @telling
    def key_chain(self) -> tuple[tuple[str, str | None, int], ...]:
        """The keys that signed, first to newest: vkey, endorsement by the one before, size when it came into use."""
        return tuple((vkey, endorsement, size) for vkey, endorsement, size in self._all("keys"))

    @telling
    def add_key(self, vkey: str, endorsement: str | None, size: int) -> None:
        """Keep a key that comes into use; nothing when it is there."""
        self._add("add_key", vkey=vkey, endorsement=endorsement, size=size)

    @telling
    def anchors(self) -> tuple[Anchored, ...]:
        """What was brought outside, smallest checkpoint first."""
        return tuple(Anchored(*row) for row in self._all("anchors"))

    @telling
    def add_anchor(self, anchor: str, kind: str, size: int, token: bytes | None) -> None:
        """Keep that a checkpoint was brought outside; nothing when that is known."""
        self._add("add_anchor", anchor=anchor, kind=kind, size=size, token=token)

    @telling
    def unanchored(self, anchor: str, end: int) -> str | None:
        """The first leaf before `end` that an anchor does not cover; leaves about anchors do not count."""
        size = self._one("anchored", anchor=anchor)[0]
        return next((leaf for (leaf,) in self._all("first_besides_anchors", size=size, end=end)), None)

    @telling
    def policies(self) -> dict[str, str]:
        """The canonical text of each policy that was in use, by digest."""
        return dict(self._all("policies"))

    @telling
    def add_policy(self, digest: str, body: str) -> None:
        """Keep a policy as it was; nothing when it is there."""
        self._add("add_policy", digest=digest, body=body)

    @telling
    def gaps(self) -> tuple[tuple[str, int, int, int], ...]:
        """Places that no leaf came from though later ones did: store id, epoch, first and last number."""
        return tuple((store, epoch, first, last) for store, epoch, first, last in self._all("gaps"))

    @telling
    def last_verified(self) -> tuple[int, bytes]:
        """How far the log was looked through before, and the root there."""
        return next(((size, bytes(root)) for size, root in self._all("last_verified")), (0, b""))

    @telling
    def add_verified(self, size: int, root: bytes) -> None:
        """Keep that the log was looked through up to a size."""
        self._add("add_verified", size=size, root=root)

    @contextmanager
    def _as_integrator(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        conn = self._connection.get()
        with conn.transaction():
            conn.execute(_SQL["as_integrator"])
            yield conn

    def _add(self, query: str, **params: Any) -> None:
        with self._as_integrator() as conn:
            conn.execute(_SQL[query], params)

    def _all(self, query: str, **params: Any) -> list[tuple[Any, ...]]:
        return self._connection.get().execute(_SQL[query], params).fetchall()

    def _one(self, query: str, **params: Any) -> tuple[Any, ...]:
        (row,) = self._all(query, **params)
        return row


def _own(line: bytes) -> bytes:
    """The leaf of a line, which says itself where it was written; Forked when it says otherwise."""
    parts = line.split(b"\t")
    if len(parts) == _PARTS:
        store, epoch, seq, leaf = parts  # of whose shape the table sees to it: they are its columns
        told = b'"outbox":{"epoch":%b,"seq":%b,"store":"%b"}' % (epoch, seq, store)
        if told in leaf and b"\\" not in leaf and b"\r" not in leaf and leaf[-2:] == b"}\n":
            return leaf[:-1]
    place = b" ".join(parts[:3]).decode(errors="replace")
    raise Forked(f"outbox {place}: the row holds no leaf that was written there; it was changed in its store")
