"""Looking into a store: its inventory, a sample of its rows, and what the policy says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader

from lethe.checks.finding import Finding
from lethe.discovery.candidates import candidates
from lethe.discovery.coverage import Columns, Looked, coverage, not_there
from lethe.discovery.declared import Declared, declared
from lethe.discovery.inventory import read_inventory
from lethe.discovery.reach import Way, reachable
from lethe.discovery.sample import Unread, read_sample
from lethe.discovery.signs import WHO
from lethe.discovery.values import Seen
from lethe.errors import LetheError
from lethe.model import Policy
from lethe.stores.postgres.connection import Connection, tell

Progress = Callable[[int, int], None]
"""Told before each table: how many were looked into, of how many."""


class _Lenient(Loader):
    """Text in UTF-8, and what is none replaced: a database without an encoding (SQL_ASCII) may hold anything.

    The error of strict decoding would carry the value.
    """

    def load(self, data: Buffer) -> str:
        return bytes(data).decode("utf-8", "replace")


@dataclass(frozen=True)
class Discovered:
    """One store: what was seen, what the policy lacks, what it accepts in vain, and what hangs on people."""

    store: str
    looked: Looked
    findings: tuple[Finding, ...]
    accepted_in_vain: tuple[str, ...]
    declared: Mapping[str, Declared]

    def knows(self, table: str, column: str) -> bool:
        """Whether the policy has the column."""
        return table in self.declared and column in self.declared[table].columns

    def reach(self) -> Mapping[str, tuple[Way, ...]]:
        """The tables that tell who somebody is, each with all that hangs on its rows by foreign keys."""
        free = {place: each.columns - each.personal for place, each in self.declared.items()}
        telling = {
            each.table
            for each in self.looked.candidates
            if each.is_sure and each.category.startswith(WHO) and each.column not in free.get(each.table, ())
        }
        found = {table: reachable(self.looked.inventory, table) for table in sorted(telling)}
        return {table: ways for table, ways in found.items() if ways}


def discover(
    policy: Policy, store: str, address: str, progress: Progress = lambda *_: None, known: Columns | None = None
) -> Discovered:
    """Look into one store; StoreError when it cannot be asked. Nothing is changed, and no value is kept."""
    connection = Connection(store, address)
    try:
        looked = look(connection.get(), store, progress)
    except psycopg.Error as error:
        problem: LetheError | None = tell(store, error)
    else:
        problem = None
    finally:
        connection.close()
    if problem is not None:  # outside the handler: the driver's error has values of rows
        raise problem
    return Discovered(
        store,
        looked,
        tuple(coverage(policy, store, looked, known)),
        not_there(policy, store, looked),
        declared(policy, store),
    )


def look(conn: psycopg.Connection[tuple[Any, ...]], store: str, progress: Progress = lambda *_: None) -> Looked:
    """What is in a database and what of it looks like personal data; psycopg.Error when it cannot be asked."""
    _read_any_text(conn)
    inventory = read_inventory(conn)
    looks, unread = dict[str, Mapping[str, Seen]](), dict[str, Unread]()
    for number, table in enumerate(inventory.tables):
        progress(number, len(inventory.tables))
        seen = read_sample(conn, store, table)
        if isinstance(seen, Unread):
            unread[table.place] = seen
        else:
            looks[table.place] = seen
    return Looked(inventory, candidates(inventory, looks), unread)


def _read_any_text(conn: psycopg.Connection[tuple[Any, ...]]) -> None:
    conn.execute("SET client_encoding = 'UTF8'")
    for name in ("text", "varchar", "bpchar", "name"):
        conn.adapters.register_loader(name, _Lenient)
