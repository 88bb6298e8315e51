"""Builds the demo estate: eight invented databases, the same rows for the same seed and day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from demo.people import companies, people
from demo.planted import CASES, HOLDS, TODAY, Row

STORES = ("website", "portal", "surveys", "contacts", "webshop", "bookkeeping", "contact-centre", "directory")
SEED = 20250301
PEOPLE, COMPANIES = 2000, 400
ESTATE = Path(__file__).parent / "estate"


def build(conninfo: dict[str, str], *, scale: str | int = "demo", today: date = TODAY, seed: int = SEED) -> None:
    """Drop and build the tables of every store in `conninfo` (store name → libpq connection string).

    `scale` is "demo" or a factor on the tables that grow without end (visits, access log, call log); the planted cases
    are the same in every size. `today` moves the filler only: the planted dates are those of 1 March 2025.
    """
    rows = 1 if scale == "demo" else int(scale)
    crowd = [(number, *astuple(person)) for number, person in enumerate(people(PEOPLE, seed))]
    firms = list(enumerate(companies(COMPANIES, seed)))
    for store, where in conninfo.items():
        with psycopg.connect(where) as connection:
            _settings(connection, {"rows": rows, "seed": seed, "today": today})
            _script(connection, "prelude")
            _copy(connection, "pg_temp.person", crowd)
            _copy(connection, "pg_temp.company", firms)
            _script(connection, store)
            _script(connection, f"{store}-fill")
            _plant(connection, store)
            _move_identities(connection)
        _analyze(where)


def plant_holds(conninfo: dict[str, str]) -> None:
    """Write the planted holds into every store's mirror, `lethe.hold`, which must be installed."""
    for store, where in conninfo.items():
        rows = [(hold.dataset, hold.key, hold.kind) for hold in HOLDS if hold.store == store]
        with psycopg.connect(where) as connection, connection.cursor() as cursor:
            cursor.executemany("DELETE FROM lethe.hold WHERE (dataset, key, kind) = (%s, %s, %s)", rows)
            cursor.executemany("INSERT INTO lethe.hold (dataset, key, kind) VALUES (%s, %s, %s)", rows)


def _settings(connection: psycopg.Connection, values: dict[str, object]) -> None:
    # Neither the host's zone nor the planner's mood may show in the rows.
    connection.execute("SET LOCAL timezone = 'UTC'; SET LOCAL max_parallel_workers_per_gather = 0")
    for name, value in values.items():
        connection.execute("SELECT set_config(%s, %s, true)", (f"demo.{name}", str(value)))


def _script(connection: psycopg.Connection, name: str) -> None:
    connection.execute((ESTATE / f"{name}.sql").read_bytes())


def _copy(connection: psycopg.Connection, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    name = sql.Identifier(*table.split("."))
    with connection.cursor() as cursor, cursor.copy(sql.SQL("COPY {} FROM STDIN").format(name)) as copy:
        for row in rows:
            copy.write_row(row)
    connection.execute(sql.SQL("ANALYZE {}").format(name))


def _plant(connection: psycopg.Connection, store: str) -> None:
    # A case names the row that is decided on first; the database wants the rows that others refer to first.
    rows = [row for case in CASES if case.store == store for row in case.rows]
    for row in sorted(rows, key=lambda row: PARENTS_FIRST.get(row.table, 0)):
        _insert(connection, row)


PARENTS_FIRST = {"cases": 1, "visits": 1, "attachments": 2, "case_messages": 2, "survey_answers": 1, "contacts": 1,
                 "orders": 1, "order_lines": 2, "messages": 1}  # fmt: skip


def _insert(connection: psycopg.Connection, row: Row) -> None:
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(row.table),
        sql.SQL(", ").join(map(sql.Identifier, row.values)),
        sql.SQL(", ").join(sql.Placeholder() * len(row.values)),
    )
    connection.execute(statement, [Jsonb(v) if isinstance(v, dict) else v for v in row.values.values()])


def _move_identities(connection: psycopg.Connection) -> None:
    """New rows of the applications get keys beyond the filler's and the planted ones."""
    found = connection.execute(
        "SELECT pg_get_serial_sequence(quote_ident(table_name), column_name) FROM information_schema.columns"
        " WHERE table_schema = 'public' AND is_identity = 'YES'"
    ).fetchall()
    for (sequence,) in found:
        connection.execute("SELECT setval(%s, 1000000000000)", (sequence,))


def _analyze(where: str) -> None:
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
