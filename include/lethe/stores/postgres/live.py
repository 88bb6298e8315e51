"""The live schema of a table, as the server's catalogue tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from lethe.model import Dataset
from lethe.sql import queries

_SQL = queries("schema")

CLOCK_TYPES = ("date", "timestamp with time zone", "timestamp without time zone")


@dataclass(frozen=True)
class Column:
    """A column's base type (domains resolved), and whether it takes NULL or is computed.

    `declared` is the type as it was declared, length and all; `kind` is enum, builtin or added (by an extension, say).
    """

    type: str
    not_null: bool
    generated: bool
    declared: str
    kind: str


@dataclass(frozen=True)
class Inbound:
    """A foreign key of another table that points here; `on_delete` is PostgreSQL's letter, a c d n r."""

    name: str
    table: str
    on_delete: str
    on_update: str
    columns: tuple[str, ...]
    to: tuple[str, ...]


@dataclass(frozen=True)
class Trigger:
    """A trigger or rewrite rule of a table or one of its partitions, and what sets it off."""

    name: str
    on_insert: bool
    on_update: bool
    on_delete: bool


@dataclass(frozen=True)
class Part:
    """A table that stores rows itself: a leaf partition, or the plain table."""

    oid: int
    schema: str
    table: str
    blocks: int
    parent: tuple[str, str] | None = None
    bound: str = ""
    droppable: bool = False
    ranged_by: str | None = None
    upper: str | None = None
    """The exclusive upper bound of a range partition, as PostgreSQL writes it in UTC."""


@dataclass(frozen=True)
class Table:
    """What the catalogue says of one table."""

    oid: int
    schema: str
    name: str
    partitioned: bool
    partition_columns: frozenset[str]
    rows: int
    columns: dict[str, Column]
    keys: tuple[tuple[str, ...], ...]
    unique: tuple[tuple[tuple[str, ...], bool], ...]
    indexed: frozenset[str]
    inbound: tuple[Inbound, ...]
    triggers: tuple[Trigger, ...]
    copies: tuple[str, ...]
    """Materialized views that keep what they once read of it, straight or through other views."""
    parts: tuple[Part, ...]
    inherited: bool

    def facts(self) -> dict[str, Any]:
        """What an approval of a plan binds: all but sizes, indexes and partitions, which change by themselves."""
        return {
            "table": f"{self.schema}.{self.name}",
            "columns": {name: [c.type, c.not_null, c.generated] for name, c in self.columns.items()},
            "keys": sorted(map(list, self.keys)),
            "inbound": [[f.name, f.table, f.on_delete, f.on_update, *f.columns] for f in self.inbound],
            "triggers": [[t.name, t.on_insert, t.on_update, t.on_delete] for t in self.triggers],
            "copies": list(self.copies),
        }


def read_table(conn: psycopg.Connection, schema: str, table: str) -> Table | None:
    """The table as it is now; None when there is no such table."""
    with conn.cursor(row_factory=tuple_row) as cur:
        found = cur.execute(_SQL["relation"], {"schema": schema, "table": table}).fetchone()
        if found is None:
            return None
        oid, kind, schema, table, rows, _ = found

        def ask(name: str) -> list[Any]:
            return cur.execute(_SQL[name], {"oid": oid}).fetchall()

        return Table(
            oid=oid,
            schema=schema,
            name=table,
            partitioned=kind == "p",
            partition_columns=frozenset(name for (name,) in ask("partition_columns")),
            rows=rows,
            columns={name: Column(*facts) for name, *facts in ask("columns")},
            keys=tuple(tuple(names) for (names,) in ask("keys")),
            unique=tuple((tuple(names), null_safe) for names, null_safe in ask("unique_sets")),
            indexed=frozenset(name for (name,) in ask("leading_columns")),
            inbound=read_inbound(conn, oid),
            triggers=read_triggers(conn, oid),
            copies=tuple(name for (name,) in ask("copies")),
            parts=_parts(ask("parts")) if kind == "p" else (Part(oid, schema, table, ask("blocks")[0][0]),),
            inherited=ask("children")[0][0] > 0,
        )


def read_inbound(conn: psycopg.Connection, oid: int) -> tuple[Inbound, ...]:
    """The foreign keys that point at the table or one of its partitions."""
    return tuple(
        Inbound(name, f"{schema}.{table}", on_delete, on_update, tuple(columns), tuple(to))
        for name, schema, table, on_delete, on_update, columns, to in conn.execute(_SQL["inbound"], {"oid": oid})
    )


def read_triggers(conn: psycopg.Connection, oid: int) -> tuple[Trigger, ...]:
    """The triggers and rewrite rules of the table and its partitions."""
    return tuple(Trigger(*facts) for facts in conn.execute(_SQL["triggers"], {"oid": oid}))


def _parts(rows: list[Any]) -> tuple[Part, ...]:
    return tuple(
        Part(
            oid,
            schema,
            table,
            blocks,
            parent=(parent_schema, parent),
            bound=bound,
            droppable=owned and plain and not beside_default and bound != "DEFAULT",
            ranged_by=ranged_by,
            upper=upper,
        )
        for (
            oid,
            schema,
            table,
            parent_schema,
            parent,
            bound,
            owned,
            plain,
            blocks,
            beside_default,
            ranged_by,
            upper,
        ) in rows
    )


def read_dataset(conn: psycopg.Connection, dataset: Dataset) -> Table | None:
    """The dataset's table as it is now."""
    return read_table(conn, dataset.schema, dataset.table)
