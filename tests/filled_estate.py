"""The random estate in a database: rows and holds of a case put in, and all rows read back."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.adapt import Loader

from lethe.deadlines import Unbounded
from lethe.stores.memory import Memory, Row
from random_estate import KEYS, Case
from support import Database

UNBOUNDED = {each.value.encode(): each for each in Unbounded}


class _Unbounded(Loader):
    """Reads dates and times with the two that no Python value can hold."""

    def load(self, data: Any) -> object:
        return UNBOUNDED.get(bytes(data)) or self.parse(bytes(data).decode())

    def parse(self, text: str) -> object:
        return datetime.fromisoformat(text)


class _UnboundedDate(_Unbounded):
    def parse(self, text: str) -> object:
        return date.fromisoformat(text)


@dataclass
class Bench:
    """A database with the estate's schema, filled anew for each case."""

    database: Database
    directory: Path
    connection: psycopg.Connection
    seen: Counter[str] = field(default_factory=Counter)
    """What the cases came to, by reason, way and fate."""

    def fill(self, case: Case, memory: Memory) -> None:
        """Put the rows and holds of `memory` into the database."""
        run = self.connection.execute
        for table in KEYS:
            run(sql.SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS follows").format(sql.Identifier(table)))
        run(f"TRUNCATE {', '.join(KEYS)}, lethe.hold, lethe.progress, lethe.outbox, lethe.redacted")
        for table, rows in memory.tables.items():
            self._copy(table, rows)
        for constraint in case.constraints():
            run(constraint)
        for dataset, key, kind in memory.holds:
            run("INSERT INTO lethe.hold VALUES (%s, %s, %s)", (dataset, key, str(kind.name).lower()))

    def _copy(self, table: str, rows: list[Row]) -> None:
        columns = list(rows[0])
        into = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        with self.connection.cursor().copy(into) as copy:
            for row in rows:
                copy.write_row([_written(column, row[column]) for column in columns])

    def tables(self) -> dict[str, list[Row]]:
        """All rows as they are now, in the order of their keys."""
        return {table: self._rows(table) for table in KEYS}

    def _rows(self, table: str) -> list[Row]:
        found = self.connection.execute(f"SELECT * FROM {table}")
        names = [column.name for column in found.description or ()]
        return by_key(table, [dict(zip(names, row, strict=True)) for row in found.fetchall()])


def _written(column: str, value: Any) -> Any:
    if column == "form" and value is not None:
        return json.dumps(value)
    return value.value if isinstance(value, Unbounded) else value


def by_key(table: str, rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: [row[column] for column in KEYS[table]])


def read_unbounded(connection: psycopg.Connection) -> None:
    """Let the connection read dates and times that no Python value can hold."""
    connection.adapters.register_loader("date", _UnboundedDate)
    connection.adapters.register_loader("timestamp", _Unbounded)
    connection.adapters.register_loader("timestamptz", _Unbounded)
