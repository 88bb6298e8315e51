"""Is it the database that is meant, and are these its tables? What answered is held against what answered before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from lethe.checks.finding import Finding
from lethe.checks.kept import Floored

WHO = """
SELECT (SELECT system_identifier::text FROM pg_control_system()),
    (SELECT oid::bigint FROM pg_database WHERE datname = current_database()), id::text, epoch, seq FROM lethe.store
"""
UNMARKED = """
SELECT (SELECT system_identifier::text FROM pg_control_system()),
    (SELECT oid::bigint FROM pg_database WHERE datname = current_database()), '', 0, 0
"""
TABLES = """
SELECT n.nspname || '.' || c.relname, c.oid::bigint, c.relkind::text, (
    SELECT json_agg(json_build_array(a.attname, format_type(a.atttypid, a.atttypmod)) ORDER BY a.attname)::text
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = ANY (%s)
"""


@dataclass(frozen=True)
class Table:
    """A table as the server knows it: its number, its kind, and the SHA-256 of its columns and their types."""

    oid: int
    kind: str
    columns: str


@dataclass(frozen=True)
class Identity:
    """The server and the database that answered, how far its evidence had come, and its tables by schema.table.

    A copy of the files has the server's own identifier, but not what was written after it was made; a copy by dump and
    restore has other numbers.
    """

    server: str
    database: int
    store: str
    position: tuple[int, int]
    tables: Mapping[str, Table]
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What else there is: the columns of all tables."""
    floored: Mapping[str, Floored] = field(default_factory=dict)
    """How many rows a law keeps, by rule."""

    @classmethod
    def of(cls, conn: Any, tables: Collection[str], *, marked: bool) -> Self:
        """What answers on a connection, `marked` where it is a store of ours; psycopg.Error when it does not say."""
        server, database, store, *position = conn.execute(WHO if marked else UNMARKED).fetchone() or ("", 0, "", 0, 0)
        found = conn.execute(TABLES, (list(tables),)).fetchall()
        return cls(
            server,
            database,
            store,
            (position[0], position[1]),
            {
                name: Table(oid, kind, hashlib.sha256((text or "").encode()).hexdigest())
                for name, oid, kind, text in found
            },
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """As to_json() wrote it."""
        told = json.loads(text)
        tables = {name: Table(**table) for name, table in told.pop("tables").items()}
        columns = {name: tuple(each) for name, each in told.pop("columns", {}).items()}
        floored = {rule: Floored.from_json(each) for rule, each in told.pop("floored", {}).items()}
        position = tuple(told.pop("position"))
        return cls(**told, position=position, tables=tables, columns=columns, floored=floored)

    def to_json(self) -> str:
        """As it is remembered."""
        floored = {rule: each.as_json for rule, each in self.floored.items()}
        return json.dumps({**asdict(self), "floored": floored}, sort_keys=True)

    def after(self, before: Identity | None) -> Identity:
        """What is to be remembered now that this answered: what was before, how far it has come, and new tables."""
        if before is None:
            return self
        if self.server != before.server or self.database != before.database or self.store != before.store:
            return before
        position = max(before.position, self.position)
        tables, columns = {**self.tables, **before.tables}, {**self.columns, **before.columns}
        floored = {**before.floored, **self.floored}
        return replace(before, position=position, tables=tables, columns=columns, floored=floored)


def estranged(name: str, now: Identity, before: Identity) -> Iterator[Finding]:
    """What is not as it was when the store `name` was first asked, or was last said to be the one that is meant."""
    if (now.server, now.database, now.store) != (before.server, before.database, before.store):
        what = [part for part in ("server", "database", "store") if getattr(now, part) != getattr(before, part)]
        yield Finding(name, "another-database", name, f"another {' and another '.join(what)}")
        return
    if now.position < before.position:
        (epoch, seq), (last_epoch, last) = now.position, before.position
        detail = f"its evidence ends at {epoch}/{seq}, and was at {last_epoch}/{last} before"
        yield Finding(name, "gone-back", name, detail)
    for table, was in before.tables.items():
        if table in now.tables and (now.tables[table].oid, now.tables[table].kind) != (was.oid, was.kind):
            yield Finding(name, "another-table", table, "dropped and made anew, or renamed and replaced")
        elif table in now.tables and now.tables[table].columns != was.columns:
            yield Finding(name, "changed-table", table, "columns or their types")
