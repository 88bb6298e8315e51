"""A look into a table's rows: up to a thousand values of each column, seen in a read-only session and not kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg.sql import SQL, Composed, Identifier
from psycopg.sql import Literal as Value

from lethe.discovery.inventory import Column, Table
from lethe.discovery.values import Seen, see, see_documents
from lethe.sql import queries
from lethe.stores.postgres.connection import tell

_SQL = queries("discovery")

VALUES = 1_000
_LETTERS = {"text": 2_000, "number": 100, "json": 10_000}
"""What is read of each value; a document that was cut off is a text."""
_BIG = 2_000
"""Blocks from which a table is sampled all over rather than at its start."""
_ROWS = 20
"""In a block, where the planner does not know yet."""
_DENIED = "42501"


class Unread(NamedTuple):
    """A table that could not be looked into: closed to this user, or the database did not answer; with why."""

    state: Literal["closed", "unknown"]
    why: str


def read_sample(conn: psycopg.Connection[tuple[Any, ...]], store: str, table: Table) -> Mapping[str, Seen] | Unread:
    """What the values of each column that may be read look like; StoreError never, a closed table is told as such.

    A lost connection raises psycopg.OperationalError, as for whoever asks next.
    """
    columns = tuple(column for column in table.columns if column.readable and column.shape in _LETTERS)
    if not columns or table.is_foreign:  # reading that one would be looking into another system through this one
        return {}
    try:
        rows = _rows(conn, table, columns)
    except psycopg.Error as error:
        if conn.closed or error.sqlstate is None:
            raise
        problem, state = tell(store, error), error.sqlstate
    else:
        return {column.name: _seen(column, [row[at] for row in rows]) for at, column in enumerate(columns)}
    return Unread("closed" if state == _DENIED else "unknown", str(problem))


def _rows(
    conn: psycopg.Connection[tuple[Any, ...]], table: Table, columns: tuple[Column, ...]
) -> list[tuple[Any, ...]]:
    with conn.transaction():
        conn.execute(
            "SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = '15s'; SET LOCAL lock_timeout = '3s';"
            " SET LOCAL search_path = pg_catalog"
        )
        share = _share(table, conn.execute(_SQL["blocks"], {"oid": table.oid}).fetchone())
        rows = conn.execute(_query(table, columns, share)).fetchall()
        if not rows and share is not None:
            rows = conn.execute(_query(table, columns, None)).fetchall()
    return rows


def _share(table: Table, found: tuple[Any, ...] | None) -> float | None:
    """The percentage of blocks that holds half as many rows again as are wanted; None to begin at the start."""
    blocks = int(found[0]) if found else 0
    if blocks < _BIG:
        return None
    return min(100.0, max(0.001, 150.0 * VALUES / (table.rows or blocks * _ROWS)))


def _query(table: Table, columns: tuple[Column, ...], share: float | None) -> Composed:
    chosen = SQL(", ").join(
        SQL("left({}::text, {})").format(Identifier(column.name), Value(_LETTERS[column.shape])) for column in columns
    )
    sampled = SQL("") if share is None else SQL(" TABLESAMPLE SYSTEM ({})").format(Value(share))
    source = Identifier(table.schema, table.name)
    return SQL("SELECT {} FROM {}{} LIMIT {}").format(chosen, source, sampled, Value(VALUES))


def _seen(column: Column, values: list[str | None]) -> Seen:
    there = [value for value in values if value is not None]
    if column.shape == "json":
        return see_documents(there)
    if column.shape == "number":  # a number has lost the zeros that it began with
        return see(value.zfill(11) if len(value) == 10 else value for value in there)
    return see(value.strip("{}") for value in there) if column.type.endswith("[]") else see(there)
