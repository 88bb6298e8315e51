"""What a database holds, by its catalogue: tables, columns, foreign keys, and whatever keeps or sends copies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import psycopg

from lethe.sql import queries

_SQL = queries("discovery")

_TEXT = re.compile(r"(text|character varying|character|bpchar|(.*\.)?citext|name)(\[\])?")
_NUMBER = ("smallint", "integer", "bigint", "numeric")
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True)
class Column:
    """A column with its base type (domains resolved), and whether this user may read it."""

    name: str
    type: str
    comment: str = ""
    readable: bool = True
    is_key: bool = False
    is_enum: bool = False

    @property
    def shape(self) -> str:
        """What its values can be: text, number, json, or the type itself for all others."""
        if _TEXT.fullmatch(self.type) and not self.is_enum:
            return "text"
        if self.type in _NUMBER:
            return "number"
        return "json" if self.type in ("json", "jsonb") else self.type


@dataclass(frozen=True)
class Table:
    """A table, a partitioned one as a whole, or a foreign one; `rows` is the planner's estimate."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    oid: int = 0
    rows: int = 0
    comment: str = ""
    partitioned: bool = False
    partitions: tuple[str, ...] = ()
    is_foreign: bool = False

    @property
    def place(self) -> str:
        """The table as schema.table."""
        return f"{self.schema}.{self.name}"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns, in their order."""
        return tuple(column.name for column in self.columns)

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of its primary key."""
        return tuple(column.name for column in self.columns if column.is_key)

    @cached_property
    def form(self) -> frozenset[tuple[str, str]]:
        """Names and types of its columns."""
        return frozenset((column.name, column.type) for column in self.columns)


@dataclass(frozen=True)
class ForeignKey:
    """Rows of `table` refer to rows of `to`, both as schema.table."""

    table: str
    columns: tuple[str, ...]
    to: str


@dataclass(frozen=True)
class Inventory:
    """All of it. Views are materialized ones; they and publications have the tables that they read or carry."""

    tables: tuple[Table, ...]
    foreign_keys: tuple[ForeignKey, ...] = ()
    views: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    publications: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    large_objects: int = 0

    @cached_property
    def by_place(self) -> Mapping[str, Table]:
        """The tables by schema.table."""
        return {table.place: table for table in self.tables}

    def detached(self) -> Mapping[str, str]:
        """Tables that look like partitions of another and belong to none, with that other."""
        return {
            table.place: whole.place
            for whole in self.tables
            for table in self.tables
            if whole.partitioned and not table.partitioned and _was_part(table, whole)
        }


def _was_part(table: Table, whole: Table) -> bool:
    """Whether the columns are the same, and the name is of the sort that the partitions have."""
    sorts = {_DIGITS.sub("#", name) for name in whole.partitions}
    named = _DIGITS.sub("#", table.name) in sorts or table.name.startswith(f"{whole.name}_")
    return named and table.form == whole.form


def read_inventory(conn: psycopg.Connection[tuple[Any, ...]]) -> Inventory:
    """What the catalogue tells; psycopg.Error when it does not. No row of a table is read."""
    found = conn.execute(_SQL["tables"]).fetchall()
    places = {row[0]: f"{row[1]}.{row[2]}" for row in found}
    oids = {"oids": list(places)}
    columns, partitions = _grouped(conn.execute(_SQL["columns"], oids)), _grouped(conn.execute(_SQL["partitions"]))
    tables = tuple(
        Table(
            schema,
            name,
            tuple(_column(*each) for each in columns.get(oid, ())),
            oid=oid,
            rows=rows,
            comment=comment or "",
            partitioned=partitioned,
            is_foreign=is_foreign,
            partitions=tuple(part for (part,) in partitions.get(oid, ())),
        )
        for oid, schema, name, partitioned, is_foreign, comment, rows in found
    )
    keys = conn.execute(_SQL["foreign_keys"], oids).fetchall()
    return Inventory(
        tables,
        tuple(ForeignKey(places[table], tuple(names), places[to]) for table, to, names in keys),
        views=dict(_with_places(conn.execute(_SQL["views"]), places)),
        publications=dict(_with_places(conn.execute(_SQL["publications"]), places)),
        large_objects=_number(conn.execute(_SQL["large_objects"])),
    )


def _column(name: str, kind: str, is_enum: bool, comment: str | None, readable: bool, is_key: bool) -> Column:
    return Column(name, kind, comment or "", readable, is_key=is_key, is_enum=is_enum)


def _grouped(rows: Any) -> dict[int, list[tuple[Any, ...]]]:
    grouped = dict[int, list[tuple[Any, ...]]]()
    for oid, *rest in rows.fetchall():
        grouped.setdefault(oid, []).append(tuple(rest))
    return grouped


def _with_places(rows: Any, places: Mapping[int, str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, oids in rows.fetchall():
        yield name, tuple(sorted(places[oid] for oid in oids if oid in places))


def _number(rows: Any) -> int:
    return int(rows.fetchone()[0])
